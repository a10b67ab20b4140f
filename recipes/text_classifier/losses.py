"""What the network of a text classifier is trained with."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy
from sklearn.utils.class_weight import compute_class_weight

import keras_ce
from recipes._arguments import require_non_negative, require_positive
from recipes.runs.failures import UserError
from recipes.text_classifier import several_labels

_OF_ONE_LABEL = ("smoothed", "focal", "logit-adjusted", "generalized")
_OF_SEVERAL_LABELS = ("sigmoid", "multi-label-softmax")
LOSSES = ("auto", *_OF_ONE_LABEL, *_OF_SEVERAL_LABELS)
_WEIGHTED = ("smoothed", "focal", "sigmoid")
_LOSS_OF_SETTING = {
    "label_smoothing": "smoothed",
    "gamma": "focal",
    "strength": "logit-adjusted",
    "q": "generalized",
}


class Settings(Protocol):
    """Those of a `TextClassifier` that say what it is trained with."""

    loss: str
    label_smoothing: float
    gamma: float
    strength: float
    q: float


def chosen(loss: str, has_several: bool) -> str:
    """The name of the loss, also where `"auto"` is asked for.

    Args:
        loss: As `TextClassifier` takes it.
        has_several: Whether there are several labels for each text.

    Raises:
        UserError: If the loss is not for so many labels.
    """
    fitting = _OF_SEVERAL_LABELS if has_several else _OF_ONE_LABEL
    if loss == "auto":
        return fitting[0]
    if loss not in fitting:
        number = "several labels" if has_several else "one label"
        raise UserError(
            f"the loss {loss!r} is not for {number} for each text; leave it out, or choose one of "
            f"{', '.join(map(repr, fitting))}"
        )
    return loss


def require_own_settings(settings: Settings, loss: str) -> None:
    """Raises `UserError` where a setting of another loss is not what it is by default.

    Args:
        settings: The task.
        loss: From `chosen`.
    """
    defaults = inspect.signature(type(settings)).parameters
    for name, of_loss in _LOSS_OF_SETTING.items():
        value = getattr(settings, name)
        if loss != of_loss and value != defaults[name].default:
            raise UserError(
                f"`{name}` says nothing about the loss {loss!r}, only about {of_loss!r}; leave it "
                f"out. Received: {name}={value!r}"
            )


def loss_of(
    settings: Settings, targets: numpy.ndarray, class_weight: list[float] | None
) -> keras.losses.Loss:
    """The loss.

    Args:
        settings: Which, and its arguments.
        targets: Of the training texts: class ids (texts,), or indicators (texts, classes).
        class_weight: A weight for each class, or `None`.
    """
    name = chosen(settings.loss, targets.ndim == 2)
    if name == "sigmoid":
        weight = 1.0 if class_weight is None else class_weight
        return keras_ce.losses.WeightedSigmoidCrossentropy(weight, from_logits=True)
    if name == "multi-label-softmax":
        return keras_ce.losses.MultiLabelSoftmaxCrossentropy()
    if name == "focal":
        return keras_ce.losses.FocalCrossentropy(
            settings.gamma, from_logits=True, class_weight=class_weight
        )
    if name == "logit-adjusted":
        counts = numpy.bincount(targets).tolist()
        return keras_ce.losses.LogitAdjustedCrossentropy(counts, settings.strength)
    if name == "generalized":
        return keras_ce.losses.GeneralizedCrossentropy(settings.q, from_logits=True)
    return keras_ce.losses.LabelSmoothedCrossentropy(
        settings.label_smoothing, from_logits=True, class_weight=class_weight
    )


def class_weights(
    given: Any, loss: str, classes: numpy.ndarray, ids: Sequence[Any]
) -> list[float] | None:
    """The weight of each class, in the order of `classes`; with several labels, of its presence.

    Args:
        given: As `TextClassifier` takes `class_weight`.
        loss: From `chosen`.
        classes: The labels.
        ids: The class id of each training text, or a tuple of several.

    Raises:
        UserError: If the loss takes no weights, or these are none.
    """
    if given is None:
        return None
    if loss not in _WEIGHTED:
        raise UserError(
            f"the loss {loss!r} takes no `class_weight`; leave it out, or choose one of "
            f"{', '.join(map(repr, _WEIGHTED))}"
        )
    has_several = loss in _OF_SEVERAL_LABELS
    is_one_value = isinstance(given, str) or not isinstance(given, Iterable)
    if is_one_value and given != "balanced":
        raise UserError(
            "`class_weight` must be None, 'balanced', a dict or a sequence. "
            f"Received: class_weight={given!r}."
        )
    if isinstance(given, Mapping):
        unknown = [label for label in given if label not in classes.tolist()]
        if unknown:
            raise UserError(
                f"`class_weight` has labels that no text has: {unknown[:5]!r}; the labels are "
                f"{classes.tolist()[:10]!r}"
            )
        weights = [given.get(label, 1.0) for label in classes.tolist()]
    elif isinstance(given, str) and has_several:
        present = several_labels.indicators(ids, len(classes)).mean(axis=0)
        is_learned = (present > 0) & (present < 1)
        weights = numpy.divide(1 - present, present, out=numpy.ones_like(present), where=is_learned)
    elif isinstance(given, str):
        numbers = numpy.arange(len(classes))
        weights = compute_class_weight("balanced", classes=numbers, y=numpy.asarray(ids))
    else:
        weights = list(given)
    if len(weights) != len(classes):
        raise UserError(
            f"`class_weight` must have a number for each of {len(classes)} classes. "
            f"Received: {len(weights)}."
        )
    for label, weight in zip(classes.tolist(), weights, strict=True):
        require = require_positive if has_several else require_non_negative
        require(f"class_weight[{label!r}]", weight)
    return [float(weight) for weight in weights]
