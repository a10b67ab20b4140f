"""Which positions count and how much: Keras's mask and `sample_weight`, for losses and metrics."""

from typing import Any

import keras
from keras import ops

from keras_ce.losses._values import tensor

Tensor = Any


class Labels(keras.losses.Loss):
    """Returns its labels. What Keras does to them shows the mask and the replica scale."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The labels."""
        return y_true


def keras_mask(y_pred: Any, positions: list[int | None]) -> Tensor | None:
    """Which positions count according to Keras's mask of `y_pred`; None where it has no mask.

    Layers attach the mask to the tensor; where, is Keras's secret. Its effect on ones is public.
    """
    if not ops.is_tensor(y_pred):
        return None
    probe = Labels(reduction="none", dtype="float32", name="mask")
    mask = probe(ops.ones((1,) * len(positions)), y_pred)
    shape = list(mask.shape)
    if all(size == 1 for size in shape) and any(size != 1 for size in positions):
        return None  # The ones came back as they were.
    if len(shape) != len(positions) or not all(
        size is None or expected is None or size == expected
        for size, expected in zip(shape, positions, strict=True)
    ):
        raise ValueError(
            "The Keras mask of `y_pred` must have one entry per position. Received: a mask of "
            f"shape {tuple(shape)} for positions of shape {tuple(positions)}. A layer passed on "
            "the mask of its input after the positions had changed: end the mask before it."
        )
    return ops.cast(mask, "bool")


def aligned_weights(sample_weight: Any, positions: list[int | None], dtype: Any) -> Tensor | None:
    """`sample_weight` with one axis for each axis of the positions: (B,) weights rows."""
    if sample_weight is None:
        return None
    weights = ops.cast(tensor("sample_weight", sample_weight), dtype)
    shape, rank = list(weights.shape), len(positions)
    if len(shape) == rank + 1 and shape[-1] == 1:
        weights, shape = ops.squeeze(weights, -1), shape[:-1]
    aligned = shape + [1] * (rank - len(shape))
    if len(aligned) != rank or not all(
        size in (1, None, expected) or expected is None
        for size, expected in zip(aligned, positions, strict=True)
    ):
        raise ValueError(
            "`sample_weight` must be a scalar, or have one weight per row or per position. "
            f"Received: sample_weight.shape={tuple(shape)} for positions of shape "
            f"{tuple(positions)}."
        )
    return ops.reshape(weights, (*ops.shape(weights), *[1] * (rank - len(shape))))


def position_weights(y_pred: Any, sample_weight: Any, dtype: Any) -> Tensor:
    """The weight of each position of `y_pred` (..., C), 0 where it is masked: shape (...)."""
    positions = list(y_pred.shape)[:-1]
    mask = keras_mask(y_pred, positions)
    weights = aligned_weights(sample_weight, positions, dtype)
    if weights is None:
        weights = ops.ones((1,) * len(positions), dtype=dtype)
    weights = ops.broadcast_to(weights, ops.shape(y_pred)[:-1])
    return weights if mask is None else ops.where(mask, weights, ops.zeros_like(weights))
