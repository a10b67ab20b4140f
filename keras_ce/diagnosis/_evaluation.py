"""The loss and its gradient at each position of an output."""

import dataclasses
import time
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ce._core.checks import to_numpy
from keras_ce._core.reduction import keras_mask
from keras_ce.diagnosis._gradient import with_gradient
from keras_ce.diagnosis._losses import LossKind, of_each_position
from keras_ce.diagnosis._run import MOST_SECONDS
from keras_ce.diagnosis._user_code import call_user_code

Array = Any


@dataclasses.dataclass
class Pair:
    """One output of one batch with its labels.

    Attributes:
        y_true: labels, or None.
        y_pred: predictions, or None where this batch did not go through the model.
        weight: sample weights, or None.
        mask: which positions count according to Keras's mask, or None.
        values: the loss of each position, or None.
        chance: the same for a prediction that knows nothing, or None.
        gradient: the gradient of the losses' sum with respect to `y_pred`, or None.
    """

    y_true: Array
    y_pred: Array
    weight: Array
    mask: Array = None
    values: Array = None
    chance: Array = None
    gradient: Array = None


def evaluate(loss: Any, kind: LossKind, pairs: list[Pair], tensors: list[Any]) -> None:
    """Fill in values, chance and gradient of each pair.

    Raises:
        UserCodeError: the loss raises; the pairs from there on have none.
    """
    each_position = of_each_position(loss)

    def losses(y_pred: Any, y_true: Any, counts: Any) -> Any:
        with keras.StatelessScope():  # a loss may have variables, such as a seed
            return each_position(y_true, y_pred, sample_weight=counts)

    losses_and_gradient = with_gradient(losses)

    def arrays(y_pred: Any, y_true: Any, counts: Any) -> tuple[Array, Array]:
        values, gradient = losses_and_gradient(y_pred, y_true, counts)
        # Here, not later: what fails on a device may say so only when its numbers are read.
        return to_numpy(values), None if gradient is None else to_numpy(gradient)

    start = 0.0
    for number, (pair, tensor) in enumerate(zip(pairs, tensors, strict=False)):
        if number == 1:
            start = time.monotonic()  # what compiles does so in the first
        elif number and time.monotonic() - start > MOST_SECONDS:
            return
        if pair.y_true is None:
            continue
        # Ours look away where nothing counts, Keras's do not.
        counts = counted(pair) if kind.is_ours else None
        pair.values, pair.gradient = call_user_code(arrays, tensor, pair.y_true, counts)
        chance = _of_chance(kind, tensor)
        if chance is not None:
            pair.chance, _ = call_user_code(arrays, chance, pair.y_true, counts)


def counted(pair: Pair) -> Array:
    """1 where a position counts, 0 where it is masked or without weight; None where all count."""
    weight = None if pair.weight is None else np.asarray(pair.weight) != 0
    if pair.mask is None:
        return None if weight is None else weight.astype("float32")
    mask = np.asarray(pair.mask) != 0
    if weight is not None:
        mask = mask & weight.reshape(weight.shape + (1,) * (mask.ndim - weight.ndim))
    return mask.astype("float32")


def _of_chance(kind: LossKind, y_pred: Any) -> Any:
    """A prediction of `y_pred`'s shape that knows nothing, or None where none is known."""
    known = ("softmax", "sigmoid", "grouped", "multi-label", "ordinal", "teacher", "listwise")
    if kind.family not in known or not y_pred.shape:
        return None
    if kind.from_logits or kind.family == "listwise":
        return ops.zeros_like(y_pred)
    if kind.family == "sigmoid":
        return ops.full_like(y_pred, 0.5)
    if kind.family == "grouped":
        row = np.concatenate([np.full(size, 1 / size) for size in kind.group_sizes])
        return ops.zeros_like(y_pred) + ops.cast(row, y_pred.dtype)
    return ops.full_like(y_pred, 1 / y_pred.shape[kind.axis])


def mask_of(tensor: Any) -> Array:
    """Keras's mask of predictions, one entry per position, or None."""
    try:
        mask = keras_mask(tensor, list(tensor.shape)[:-1])
    except ValueError:
        return None  # not one entry per position
    return None if mask is None else to_numpy(mask)
