"""Operations on rows of classes, in the way that is fast on each backend.

Each operation of torch writes a new matrix unless told to change one in place.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any

BLOCK = 128
"""Classes of which the largest logit is found at once."""

CLASSES_WORTH_A_SOFTMAX = 64
"""From here on, one softmax of torch takes less time than a difference and exp; below, far more."""


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
        ids = ops.cast(_argmax(rows), "int32")
        return label_entry(rows, ids), ids
    peak = largest(rows)
    # Not ops.argmax, which makes four more passes to tell -0.0 from 0.0.
    last = ops.shape(rows)[-1] - 1
    return peak, ops.min(ops.where(ops.equal(rows, peak), ops.arange(last + 1), last), -1)


def _argmax(rows: Tensor) -> Tensor:
    """On torch, where each row (N, C) has its first largest entry, (N,).

    torch's argmax takes as long as a softmax; the largest entry alone, a tenth. So: the largest
    entry of each block first, then its place in the best block.
    """
    num_classes = rows.shape[-1]
    if num_classes < 2 * BLOCK:
        return rows.argmax(-1)
    whole = num_classes // BLOCK * BLOCK
    best = rows[:, :whole].unflatten(-1, (-1, BLOCK)).amax(-1)
    if whole < num_classes:
        best = ops.concatenate([best, rows[:, whole:].amax(-1, keepdim=True)], -1)
    inside = ops.arange(BLOCK, dtype="int64")
    columns = (best.argmax(-1, keepdim=True) * BLOCK + inside).clip(max=num_classes - 1)
    return columns.gather(-1, rows.gather(-1, columns).argmax(-1, keepdim=True))[:, 0]


def largest_number(values: Tensor) -> float:
    """The largest finite number of a tensor's dtype."""
    return float(np.finfo(keras.backend.standardize_dtype(values.dtype)).max)


def inner_product(rows: Tensor, values: Tensor) -> Tensor:
    """The sum of the products of each row, (N, 1), where 0 times -infinity is 0.

    `values` may be overwritten, as above.
    """
    if keras.backend.backend() == "torch":
        return scaled(values, rows).nansum(-1, keepdim=True)
    return ops.sum(ops.where(ops.equal(rows, 0), 0.0, rows * values), -1, keepdims=True)


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
    return with_label_entry(rows, ids, ops.zeros_like(rows[:, :1]))


def minus_one_at(rows: Tensor, ids: Tensor) -> Tensor:
    """`rows` (N, C) minus 1 at entry `ids[n]` of each row n. They may be overwritten, as above."""
    if keras.backend.backend() == "torch":
        number = ops.arange(ops.shape(rows)[0], dtype=ids.dtype)
        put = rows.index_put if _records() else rows.index_put_
        return put((number, ids), -ops.ones_like(rows[:, 0]), accumulate=True)
    classes = ops.arange(ops.shape(rows)[-1], dtype=ids.dtype)
    return rows - ops.cast(classes == ops.expand_dims(ids, -1), rows.dtype)


def exponentials(rows: Tensor, peak: Tensor) -> Tensor:
    """`exp(rows - peak)` (N, C), in a tensor of its own; `peak` is the largest of all C entries."""
    if keras.backend.backend() == "torch" and not _records():
        if rows.shape[-1] < CLASSES_WORTH_A_SOFTMAX:
            return (rows - peak).exp_()
        parts = rows.softmax(-1)
        return parts.div_(parts.amax(-1, keepdim=True))
    return ops.exp(rows - peak)


def affine(rows: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`rows @ kernel + bias` in one new tensor."""
    product = rows @ kernel
    if keras.backend.backend() == "torch" and not _records():
        return product.add_(bias)
    return product + bias


def exponentials_below(rows: Tensor, bound: Tensor) -> Tensor:
    """`exp(rows - bound)`. `rows` may be overwritten, as above."""
    if keras.backend.backend() == "torch" and not _records():
        import torch

        # Subnormal numbers, ten times as slow, are 0 under XLA and in TensorFlow as well.
        lowest = math.log(torch.finfo(rows.dtype).tiny)
        return torch.threshold_(rows.sub_(bound), lowest, -math.inf).exp_()
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
