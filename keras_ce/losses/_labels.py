"""What the labels of a softmax loss are: class ids or dense rows, and which are valid."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ce.losses import _checks
from keras_ce.losses._values import to_array

Tensor = Any
Shape = list[int | None]

NO_ID = -(2**31)
"""Stands for every label that is not an integer within int32."""


def are_dense(y_true: Any, y_pred: Tensor, axis: int) -> bool:
    """Whether labels are dense rows (exactly `y_pred`'s shape) rather than class ids.

    Ids have the shape of `y_pred` without the class axis, or that with a trailing 1.
    """
    shape: Shape = list(np.shape(y_true) if _is_plain(y_true) else y_true.shape)
    dense: Shape = list(y_pred.shape)
    positions = dense.copy()
    num_classes = positions.pop(axis)
    if len(shape) == len(dense):
        if shape == dense and None not in (shape[-1], shape[axis]):
            return True
        may_be_dense = _fits(shape, dense)
        may_be_ids = _fits(shape, [*positions, 1])
        if may_be_dense and may_be_ids:
            if shape[-1] == 1 and num_classes is None:
                return False
            if None in (shape[-1], shape[axis]):
                raise ValueError(
                    "`y_true` has the rank of `y_pred`, so its last dimension must be known to "
                    "tell class ids (1) from dense rows. Received: "
                    f"y_true.shape={tuple(shape)}, y_pred.shape={tuple(dense)}. Set the shape "
                    "of the labels, for example by `tensor.set_shape` or `keras.ops.reshape`."
                )
        if may_be_dense:
            return True
        if may_be_ids:
            return False
    elif _fits(shape, positions):
        return False
    raise ValueError(
        f"`y_true` must be class ids of shape {tuple(positions)} or {(*positions, 1)}, or dense "
        f"rows of shape {tuple(dense)}, to match y_pred.shape={tuple(dense)} with class axis "
        f"{axis}. Received: y_true.shape={tuple(shape)}."
    )


def are_grouped_rows(y_true: Any, y_pred: Tensor, width: int, number: int) -> bool:
    """Whether labels are rows of `y_pred`'s shape rather than the ids (..., number) of groups."""
    shape: Shape = list(np.shape(y_true) if _is_plain(y_true) else y_true.shape)
    expected: Shape = [*y_pred.shape[:-1], width]
    is_known = len(shape) > 0 and shape[-1] is not None
    if is_known and _fits(shape, expected):
        return True
    if is_known and _fits(shape, [*expected[:-1], number]):
        return False
    raise ValueError(
        f"`y_true` must be flat rows of shape {tuple(expected)}, or the class id inside each "
        f"group, of shape {(*expected[:-1], number)}; its last dimension must be known. "
        f"Received: y_true.shape={tuple(shape)}."
    )


def row_ids(y_true: Any, y_pred: Tensor) -> Tensor:
    """One id per row of `y_pred` (batch, batch), from labels (batch,) or (batch, 1)."""
    shape: Shape = list(np.shape(y_true) if _is_plain(y_true) else y_true.shape)
    batch = y_pred.shape[0]
    if not _fits(shape, [batch]) and not _fits(shape, [batch, 1]):
        raise ValueError(
            f"`y_true` must hold one id per row of `y_pred`, of shape {(batch,)} or {(batch, 1)}. "
            f"Received: y_true.shape={tuple(shape)}."
        )
    return ops.reshape(class_ids(y_true, None), (-1,))  # The last of two may be unknown.


def class_ids(y_true: Any, rank: int | None) -> Tensor:
    """Integer labels as an int32 tensor, with NO_ID for what is no id.

    Where `rank` is given, a trailing axis of size 1 beyond it is dropped.

    What lies beyond int32 is found before JAX, which knows no wider integers, can wrap it.
    """
    if _is_plain(y_true):
        labels = to_array("y_true", y_true)
        if labels.dtype.kind not in "iu":
            labels = labels.astype("float64")  # float16 does not reach the limits of int32.
        with np.errstate(invalid="ignore"):
            is_id = (np.floor(labels) == labels) & (labels > NO_ID) & (labels < 2**31)
        ids = ops.convert_to_tensor(np.where(is_id, labels, NO_ID).astype("int32"))
    else:
        dtype = keras.backend.standardize_dtype(y_true.dtype)
        if dtype == "string":
            raise ValueError(
                "`y_true` must hold class ids or rows of numbers. Received: strings. Map them "
                "to ids first, for example by `keras.layers.StringLookup`."
            )
        if "float" in dtype:
            labels = y_true if dtype == "float64" else ops.cast(y_true, "float32")
            is_id = ops.equal(ops.floor(labels), labels) & (labels > NO_ID) & (labels < 2.0**31)
            ids = ops.cast(ops.where(is_id, labels, ops.full_like(labels, NO_ID)), "int32")
        elif dtype in ("int64", "uint32", "uint64"):
            labels = ops.cast(y_true, "int64")  # On JAX int32: beyond it, negative and invalid.
            ids = ops.cast(
                ops.where(
                    ops.equal(ops.cast(ops.cast(labels, "int32"), labels.dtype), labels),
                    labels,
                    ops.full_like(labels, NO_ID),
                ),
                "int32",
            )
        else:
            ids = ops.cast(y_true, "int32")
    is_trailing = rank is not None and len(ids.shape) == rank + 1
    return ops.squeeze(ids, -1) if is_trailing else ids


def raise_unless_ids(
    y_true: Any, is_invalid: Tensor, num_classes: Any, ignore_class: int | None
) -> None:
    """In eager execution, raise at the first label that is not a class id."""

    def message(position: tuple[int, ...]) -> str:
        value = _checks.entry(y_true, position)
        text = (
            f"`y_true` must hold class ids, integers from 0 to {int(num_classes) - 1}, because "
            f"`y_pred` has {int(num_classes)} classes. Received: {value} at position "
            f"{position}."
        )
        if value == num_classes:
            return f"{text} If the ids count from 1, subtract 1."
        if value < 0 or value == 255:
            return f"{text} If it marks labels to ignore, give `ignore_class={value}`."
        return f"{text} Correct the labels, or give the output layer more classes."

    _checks.raise_where(is_invalid, message)


def raise_unless_integers(y_true: Any, is_invalid: Tensor) -> None:
    """In eager execution, raise at the first label that is no integer within int32."""
    _checks.raise_where(
        is_invalid,
        lambda position: (
            "`y_true` must hold integers within int32. Received: "
            f"{_checks.entry(y_true, position)} at position {position}. Number the questions, "
            "for example by `numpy.unique(questions, return_inverse=True)`."
        ),
    )


def raise_unless_rows(y_true: Tensor, is_invalid: Tensor) -> bool:
    """In eager execution, raise at the first dense label that is not a finite number >= 0.

    Args:
        y_true: label rows (..., C).
        is_invalid: which rows hold an invalid label.

    Returns:
        Whether it looked.
    """

    def message(position: tuple[int, ...]) -> str:
        row = _checks.to_numpy(y_true)[position]
        index = int(np.argmin(np.isfinite(row) & (row >= 0)))
        return (
            "`y_true` must hold finite numbers >= 0 in dense label rows. Received: "
            f"{row[index]} at position {(*position, index)}. Correct the "
            "labels, or give the row `sample_weight` 0."
        )

    return _checks.raise_where(is_invalid, message)


def _is_plain(y_true: Any) -> bool:
    return not ops.is_tensor(y_true)


def _fits(shape: Shape, expected: Shape) -> bool:
    return len(shape) == len(expected) and all(
        size is None or other is None or size == other
        for size, other in zip(shape, expected, strict=True)
    )
