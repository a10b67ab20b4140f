"""Several labels for each text: lists or an indicator array in, the same form out."""

import math
import warnings
from collections.abc import Mapping, Sequence, Set
from typing import Any

import keras
import numpy
import scipy.sparse
from scipy.special import expit
from sklearn.metrics import log_loss, precision_recall_curve

import keras_ce
from recipes.runs.failures import UserError
from recipes.text_classifier.data import known_ids, labels_as_array

_TEXTS_OF_ALL = 10
"""As many texts of a class as the threshold that is best for all classes weighs."""


def are_several(labels: Any) -> bool:
    """Whether these are several labels for each text: lists, tuples or sets, or two dimensions."""
    if isinstance(labels, str | bytes) or not hasattr(labels, "__len__"):
        return False
    dimensions = getattr(labels, "ndim", 1)
    return dimensions == 2 or (dimensions == 1 and any(map(_is_list, labels)))


def is_indicator(labels: Any) -> bool:
    """Whether several labels come as an array of 0 and 1, (texts, classes)."""
    return getattr(labels, "ndim", 1) == 2


def classes_and_ids(
    labels: Any, count: int, names: Sequence[Any] | None
) -> tuple[numpy.ndarray, list[tuple[int, ...]]]:
    """The classes of several labels for each text, and the ids of the classes of each text.

    Args:
        labels: A list, tuple or set for each text, or an indicator array, also a sparse one.
        count: The number of texts.
        names: Of the columns of an indicator array; else `None`.

    Raises:
        UserError: If the labels are no good, or no names come with an indicator array, or names
            with something else.
    """
    if is_indicator(labels):
        if names is None:
            raise UserError(
                "`labels` of two dimensions are an indicator array, 1 where a text has a class; "
                "name its columns: TextClassifier(classes=[...]). Received: shape "
                f"{tuple(labels.shape)}"
            )
        if isinstance(names, str) or not hasattr(names, "__len__"):
            raise UserError(
                "`classes` must be a sequence of labels, one for each column. "
                f"Received: classes={names!r}."
            )
        classes = labels_as_array(
            list(names), [f"entry {number} of `classes`" for number in range(1, len(names) + 1)]
        )
        if len(set(classes.tolist())) < len(classes):
            raise UserError(f"`classes` has a name twice: {classes.tolist()!r}; rename one")
        return classes, ids_of(labels, count, classes)
    if names is not None:
        raise UserError(
            "`classes` names the columns of an indicator array, and `labels` are lists of labels; "
            "leave it out, or give numpy.array(labels) where the lists are rows of 0 and 1"
        )
    flat, sizes = _flat(labels, count)
    if not len(flat):
        raise UserError("no text has a label; give texts with labels")
    classes, ids = numpy.unique(flat, return_inverse=True)
    return classes, _regrouped(ids.tolist(), sizes)


def ids_of(labels: Any, count: int, classes: numpy.ndarray) -> list[tuple[int, ...]]:
    """The ids of the classes of each text, in order; arguments as in `classes_and_ids`.

    Raises:
        UserError: If the labels are no good, or one is of no such class.
    """
    if is_indicator(labels):
        array = labels.toarray() if scipy.sparse.issparse(labels) else numpy.asarray(labels)
        if array.shape != (count, len(classes)):
            raise UserError(
                f"an indicator array must have the shape (texts, classes), ({count}, "
                f"{len(classes)}). Received: {array.shape}"
            )
        if not numpy.isin(array, (0, 1)).all():
            raise UserError(
                "an indicator array must hold 0 and 1 only. Received: "
                f"{array[~numpy.isin(array, (0, 1))][0].item()!r}"
            )
        return [tuple(numpy.flatnonzero(row).tolist()) for row in array]
    flat, sizes = _flat(labels, count)
    return _regrouped(known_ids(flat.tolist(), classes.tolist()), sizes)


def indicators(ids: Sequence[Sequence[int]], classes: int) -> numpy.ndarray:
    """1 where a text has a class and 0 elsewhere, (texts, classes)."""
    found = numpy.zeros((len(ids), classes), "int32")
    for row, of_text in zip(found, ids, strict=True):
        row[list(of_text)] = 1
    return found


def constant_logits(targets: numpy.ndarray) -> dict[int, float]:
    """The logit of each class that all texts have, or none, so that there is nothing to learn.

    By Laplace's rule of succession: of a class that 98 texts of 98 have, the next one has it with a
    probability of 0.99.

    Args:
        targets: 1 where a text has a class and 0 elsewhere, (texts, classes).
    """
    texts = len(targets)
    counts = enumerate(targets.sum(axis=0).tolist())
    return {
        number: math.log((count + 1) / (texts - count + 1))
        for number, count in counts
        if count in (0, texts)
    }


def warn_of_constant(constant: Mapping[int, float], classes: numpy.ndarray) -> None:
    """Warns of the classes that `constant_logits` gives.

    Raises:
        UserError: If there is no other class.
    """
    who = [
        f"{'every text' if logit > 0 else 'no text'} to learn from has the label "
        f"{classes[number].item()!r}"
        for number, logit in constant.items()
    ]
    more = f" (and {len(who) - 1} more labels are such)" if who[1:] else ""
    if who and len(who) == len(classes):
        raise UserError(
            f"{who[0]}{more}, so there is nothing to tell apart; give texts with and without "
            "a label"
        )
    if who:
        warnings.warn(
            f"{who[0]}{more}: its probability is the same for all texts; leave the label out, or "
            "give texts with and without it",
            stacklevel=3,
        )


def set_constant_logits(network: keras.Model, constant: Mapping[int, float]) -> None:
    """Gives a network's classes the logits of `constant_logits`, whatever the text."""
    layer = network.get_layer("logits")
    kernel, bias = layer.get_weights()
    for number, logit in constant.items():
        kernel[:, number], bias[number] = 0, logit
    layer.set_weights([kernel, bias])


def measure() -> keras.metrics.Metric:
    """What the history of a training has beside the loss: micro F1, at a probability of 0.5."""
    return keras_ce.metrics.F1Score("micro", 0.5, from_logits=True, name="micro_f1")


def best_thresholds(logits: numpy.ndarray, targets: numpy.ndarray) -> list[float]:
    """For each class the probability from which on to predict it, for the highest F1.

    F1 of a few texts jumps from one probability to the next. So the best logit of a class is
    averaged with the one that is best for all pairs of text and class together, which weighs as
    much as 10 texts of the class.

    Args:
        logits: (texts, classes), of texts that nothing was learned from.
        targets: 1 where a text has a class and 0 elsewhere, likewise.
    """
    of_all = _best_threshold(logits.ravel(), targets.ravel())
    of_each = numpy.array(list(map(_best_threshold, logits.T, targets.T)))
    texts = targets.sum(axis=0)
    found = (texts * of_each + _TEXTS_OF_ALL * of_all) / (texts + _TEXTS_OF_ALL)
    thresholds: list[float] = expit(found).tolist()
    return thresholds


def _best_threshold(logits: numpy.ndarray, targets: numpy.ndarray) -> float:
    if not targets.any():
        return 0.0
    precision, recall, levels = precision_recall_curve(targets, logits)
    f1 = 2 * precision * recall / numpy.maximum(precision + recall, 1e-12)
    best = int(f1[:-1].argmax())
    # Halfway to the logit below, which is not to be predicted any more.
    return float(levels[max(0, best - 1) : best + 1].mean())


def labels_of(
    predicted: numpy.ndarray, classes: numpy.ndarray, as_indicators: bool
) -> numpy.ndarray | list[list[Any]]:
    """Predictions, (texts, classes), in the form that `fit` got: an indicator array, or lists."""
    if as_indicators:
        return predicted.astype(int)
    return [classes[row].tolist() for row in predicted]


def scores(
    logits: numpy.ndarray, targets: numpy.ndarray, thresholds: numpy.ndarray
) -> dict[str, float]:
    """Scores logits of independent classes.

    Args:
        logits: (texts, classes).
        targets: 1 where a text has a class and 0 elsewhere, likewise.
        thresholds: The probability from which on each class is predicted.

    Returns:
        `micro_f1`; `macro_f1`, over the classes that occur or are predicted; `hamming`, the share
        of the pairs of text and class that are wrong; `nll` (nats) and `ece`, means over these
        pairs.
    """
    probabilities = expit(logits.astype("float64"))
    predicted = probabilities >= thresholds
    calibration = keras_ce.metrics.ExpectedCalibrationError(from_logits=True)
    calibration.update_state(targets.reshape(-1, 1), logits.reshape(-1, 1))
    return {
        **scores_of_predictions(predicted, targets),
        "nll": float(log_loss(targets.ravel(), probabilities.ravel(), labels=[0, 1])),
        "ece": float(calibration.result()),
    }


def scores_of_predictions(predicted: numpy.ndarray, targets: numpy.ndarray) -> dict[str, float]:
    """`micro_f1`, `macro_f1` and `hamming`, as `scores` has them, of labels without sureness.

    Where no label occurs or is predicted, both F1 are 0.
    """
    counts = hits_and_both(predicted, targets)
    return {
        "micro_f1": micro_f1(counts),
        "macro_f1": macro_f1(counts),
        "hamming": float((predicted != targets).mean()),
    }


def hits_and_both(predicted: numpy.ndarray, targets: numpy.ndarray) -> numpy.ndarray:
    """What F1 is made of, (texts, 2, classes): right predictions; labels and predictions together.

    Args:
        predicted: Whether each text is given each label, (texts, classes).
        targets: Whether it has it, likewise.
    """
    predicted, targets = predicted.astype("float32"), targets.astype("float32")
    return numpy.stack([predicted * targets, predicted + targets], axis=1)


def micro_f1(counts: numpy.ndarray) -> float:
    """Of what `hits_and_both` gives, or of its sum over the classes, (texts, 2)."""
    hits, both = counts[:, 0].sum(), counts[:, 1].sum()
    return float(2 * hits / both) if both else 0.0


def macro_f1(counts: numpy.ndarray) -> float:
    """Of what `hits_and_both` gives: the mean over the classes that occur or are predicted."""
    hits, both = counts.sum(axis=0)
    return float((2 * hits[both > 0] / both[both > 0]).mean()) if both.any() else 0.0


def _flat(labels: Any, count: int) -> tuple[numpy.ndarray, list[int]]:
    """All labels one after the other, checked, and how many of them each text has."""
    if getattr(labels, "ndim", 1) != 1:
        raise UserError(
            "`labels` must be a list of labels for each text, or an indicator array (texts, "
            f"classes). Received: shape {tuple(labels.shape)}"
        )
    several = list(labels)
    if len(several) != count:
        raise UserError(
            f"there must be a list of labels for each text. Received: {count} texts and "
            f"{len(several)} lists"
        )
    for number, each in enumerate(several, 1):
        if not _is_list(each):
            raise UserError(
                "where one text has a list of labels, all need one, also of one label or none. "
                f"Received: {each!r} for text {number}"
            )
    # A set has no order of its own; the first mistake of it is the same each time all the same.
    several = [sorted(each, key=repr) if isinstance(each, Set) else each for each in several]
    places = [
        f"label {place} of text {number}"
        for number, each in enumerate(several, 1)
        for place in range(1, len(each) + 1)
    ]
    flat = [label for each in several for label in each]
    sizes = list(map(len, several))
    return (labels_as_array(flat, places) if flat else numpy.array([], dtype=str)), sizes


def _regrouped(ids: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, ...]]:
    ends = numpy.cumsum(sizes).tolist()
    return [
        tuple(sorted(set(ids[end - size : end]))) for size, end in zip(sizes, ends, strict=True)
    ]


def _is_list(labels: Any) -> bool:
    return isinstance(labels, list | tuple | Set | numpy.ndarray)
