"""Which class a label means, and whether it means one."""

from typing import Any

import numpy as np
from keras import ops

from keras_ce._core.labels import class_ids

Tensor = Any


def shape_of(labels: Any) -> tuple[int | None, ...]:
    """The shape of a tensor, array or (nested) list."""
    return tuple(labels.shape if hasattr(labels, "shape") else np.shape(labels))


def of_ids(labels: Any, rank: int, num_classes: Any) -> tuple[Tensor, Tensor]:
    """The class of integer labels of `rank` axes, and whether it lies in [0, num_classes)."""
    classes = class_ids(labels, rank)
    return classes, ops.logical_and(classes >= 0, classes < num_classes)


def of_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The class of the largest entry of one-hot rows (..., C), and whether the row has any."""
    classes = ops.cast(ops.argmax(rows, axis=-1), "int32")
    is_finite = ops.all(ops.isfinite(ops.cast(rows, "float32")), axis=-1)
    return classes, ops.logical_and(is_finite, ops.any(ops.greater(rows, 0), axis=-1))
