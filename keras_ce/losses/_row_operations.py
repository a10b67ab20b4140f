"""Operations on rows of classes, in the way that is fast on each backend.

Each operation of torch writes a new matrix unless told to change one in place. XLA writes to a
matrix what two operations share, and adds up what was selected slowly.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ce.losses._gradient import CLASSES_WORTH_COMPILING

Tensor = Any

LAST_EXACT_FLOAT = 2**24
"""Integers up to here are float32 numbers."""


def largest(rows: Tensor) -> Tensor:
    """The largest entry of each row: (..., C) to (..., 1)."""
    if keras.backend.backend() == "torch":
        return rows.amax(-1, keepdim=True)  # torch.compile cannot trace Keras's max.
    return ops.max(rows, -1, keepdims=True)


def smallest(rows: Tensor) -> Tensor:
    """The smallest entry of each row: (..., C) to (...)."""
    if keras.backend.backend() == "torch":
        return rows.amin(-1)
    return ops.min(rows, -1)


def top(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The largest entry (N, 1) of each row (N, C), and where it stands (N,), int32."""
    if keras.backend.backend() == "torch":
        ids = rows.argmax(-1)
        return label_entry(rows, ids), ops.cast(ids, "int32")
    peak = largest(rows)
    # ops.argmax makes four more passes to tell -0.0 from 0.0, and XLA takes long for it. Here the
    # distance to the peak, driven beyond all bounds, leaves the first class at the peak on top.
    far_below = (rows - peak) * largest_number(rows)
    classes = ops.arange(ops.shape(rows)[-1], dtype=rows.dtype)
    first = -ops.max(far_below - classes, -1)
    return peak, ops.cast(ops.where(ops.isfinite(first), first, 0.0), "int32")


def largest_number(values: Tensor) -> float:
    """The largest finite number of a tensor's dtype."""
    return float(np.finfo(keras.backend.standardize_dtype(values.dtype)).max)


def inner_product(rows: Tensor, values: Tensor) -> Tensor:
    """The sum of the products of each row, (N, 1), where 0 times -infinity is 0.

    `values` may be overwritten, as above.
    """
    if keras.backend.backend() == "torch":
        return scaled(values, rows).nansum(-1, keepdim=True)
    # No selection, as in `without_label_entry`. -infinity becomes a number that any label mass
    # worth the name, times a power of two, carries beyond the largest one.
    finite = ops.maximum(values, -largest_number(values))
    return ops.sum(rows * 2.0**64 * finite, -1, keepdims=True) / 2.0**64


def label_entry(rows: Tensor, ids: Tensor) -> Tensor:
    """Entry `ids[n]` of each row n: (N, C) and (N,) to (N, 1)."""
    return ops.take_along_axis(rows, ops.expand_dims(ids, -1), axis=-1)


def with_label_entry(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """`rows` (N, C) with entry `ids[n]` of each row n replaced by `values[n]`, shape (N, 1).

    A row without such an entry stays as it is. `rows` must be a tensor that nobody else needs: it
    may be overwritten.
    """
    if keras.backend.backend() == "torch":
        number = ops.arange(ops.shape(rows)[0], dtype=ids.dtype)
        given, ids = ids, ids.clip(0, rows.shape[-1] - 1)
        values = ops.where((given == ids)[:, None], values, label_entry(rows, ids))
        # Autograd records this line only for second derivatives, and needs the old values then.
        put = rows.index_put if _records() else rows.index_put_
        return put((number, ids), ops.squeeze(values, -1))
    classes = ops.arange(ops.shape(rows)[-1], dtype=ids.dtype)
    return ops.where(classes == ops.expand_dims(ids, -1), values, rows)


def without_label_entry(rows: Tensor, ids: Tensor) -> Tensor:
    """`rows` (N, C) of finite numbers with 0 at entry `ids[n]` of each row n that has one.

    `rows` may be overwritten, as above.
    """
    if keras.backend.backend() == "torch":
        return with_label_entry(rows, ids, ops.zeros_like(rows[:, :1]))
    if (rows.shape[-1] or 0) > LAST_EXACT_FLOAT:
        return with_label_entry(rows, ids, ops.zeros_like(rows[:, :1]))
    # A product, not a selection: XLA on JAX adds up the rows of a selection three times slower.
    classes = ops.arange(ops.shape(rows)[-1], dtype=rows.dtype)
    distance = ops.absolute(classes - ops.cast(ids, rows.dtype)[:, None])
    return rows * ops.minimum(distance, 1.0)


def apart(column: Tensor, use: int) -> Tensor:
    """`column` (N, 1) for its `use`-th use, counted from 1, that shares nothing with the others.

    XLA would write what two computations over the rows have in common to a matrix and read it
    twice, which takes longer than to compute it twice.
    """
    if keras.backend.backend() == "torch":
        return column
    # Always the column, but XLA does not know.
    return ops.maximum(column, largest_number(column) * (use / 16 - 1))


def again(parts: Tensor, compute: Callable[[], Tensor]) -> Tensor:
    """`compute()`, which would give `parts`, unless it is cheaper to have kept them."""
    return parts if keras.backend.backend() == "torch" else compute()


def exponentials(rows: Tensor, peak: Tensor) -> Tensor:
    """`exp(rows - peak)` (N, C), in a tensor of its own; `peak` is the largest of all C entries."""
    if keras.backend.backend() == "torch" and rows.shape[-1] > 1 and not _records():
        parts = rows.softmax(-1)  # One operation; a difference and exp are two, and slower.
        return parts.div_(parts.amax(-1, keepdim=True))
    return ops.exp(rows - peak)


def if_any(
    rows: Tensor, is_met: Tensor, compute: Callable[[], Tensor], otherwise: Tensor
) -> Tensor:
    """`compute()`, which may be left out for `otherwise` where `is_met` (N, 1) holds nowhere.

    Worth a branch with many classes alone. Torch cannot trace one.
    """
    has_many_classes = (rows.shape[-1] or 0) >= CLASSES_WORTH_COMPILING
    if keras.backend.backend() == "torch" or not has_many_classes:
        return compute()
    return ops.cond(ops.any(is_met), compute, lambda: otherwise)


def with_top_entry(
    rows: Tensor, y_pred: Tensor, peak: Tensor, values: Tensor, compute: Callable[[Tensor], Tensor]
) -> Tensor:
    """`rows` (N, C) with `compute(values)` where `y_pred` has its largest entry `peak` (N, 1).

    `rows` may be overwritten, as above.
    """
    if keras.backend.backend() == "torch":  # Each operation on all classes is one pass more.
        ids = y_pred.argmax(-1)
        return with_label_entry(rows, ids, compute(label_entry(values, ids)))
    return ops.where(ops.equal(y_pred, peak), compute(values), rows)


def without_top_entries(parts: Tensor, rows: Tensor, peak: Tensor) -> Tensor:
    """`parts` (N, C) with 0 wherever `rows` has its largest entry, `peak` (N, 1).

    `parts` may be overwritten, as above.
    """
    if keras.backend.backend() == "torch" and not _records():
        return parts.masked_fill_(rows == peak, 0.0)
    # Again a product: the distance to the peak, driven beyond 1.
    is_below = ops.minimum((peak - rows) * largest_number(rows), 1.0)
    return parts * ops.stop_gradient(is_below)


def affine(rows: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`rows @ kernel + bias` in one new tensor."""
    product = rows @ kernel
    if keras.backend.backend() == "torch" and not _records():
        return product.add_(bias)
    return product + bias


def exponentials_below(rows: Tensor, bound: Tensor) -> Tensor:
    """`exp(rows - bound)`. `rows` may be overwritten, as above."""
    if keras.backend.backend() == "torch" and not _records():
        return rows.sub_(bound).exp_()
    return ops.exp(rows - bound)


def scaled(rows: Tensor, factors: Tensor) -> Tensor:
    """`rows * factors`. `rows` may be overwritten, as above."""
    if keras.backend.backend() == "torch" and not _records():
        return rows.mul_(factors)
    return rows * factors


def minus_product(rows: Tensor, factors: Tensor, values: Tensor) -> Tensor:
    """`rows - factors * values`. `rows` may be overwritten, as above."""
    if keras.backend.backend() == "torch" and not _records():
        return rows.addcmul_(factors, values, value=-1)
    return rows - factors * values


def with_columns(matrix: Tensor, start: Any, columns: Tensor) -> Tensor:
    """`matrix` (D, C) with `columns` (D, width) from column `start` on. It may be overwritten."""
    if keras.backend.backend() == "torch":
        matrix[:, start : start + columns.shape[-1]] = columns
        return matrix
    return ops.slice_update(matrix, (0, start), columns)


def _records() -> bool:
    import torch

    return bool(torch.is_grad_enabled())
