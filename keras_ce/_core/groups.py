"""Several exclusive choices side by side in one flat vector, made into one record per size."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_ce._core import checks
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.labels import (
    Exclusive,
    Given,
    Shape,
    class_ids,
    either,
    fits,
    float_tensor,
    look_at_rows,
    own_position,
    own_value,
    probabilities,
    shape_of,
    tensor,
    unless,
    unmarked,
    zero_at,
    zero_where,
)

Tensor = Any


def grouped(
    y_true: Any, y_pred: Any, group_sizes: Sequence[int], from_logits: bool
) -> tuple[Given, list[Exclusive]]:
    """The record of a grouped loss, and one of exclusive classes for each run of equal sizes.

    Returns:
        The record of all positions, and that of each run, whose positions are the groups:
        [10] * 4 is one computation, not four.
    """
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    width, number = sum(group_sizes), len(group_sizes)
    if not len(y_pred.shape) or y_pred.shape[-1] not in (None, width):
        raise ValueError(
            f"`group_sizes` must sum to the last dimension of `y_pred`. Received: sum {width} "
            f"of {number} groups for y_pred.shape={tuple(y_pred.shape)}."
        )
    given = Given(y_pred, marked, marked.is_exempt)
    positions = ops.shape(y_pred)[:-1]
    is_dense = are_grouped_rows(y_true, y_pred, width, number)
    if is_dense:
        labels = ops.cast(tensor("y_true", y_true), y_pred.dtype)
        given.is_invalid = look_at_rows(labels, y_true, given, -1)
    else:
        labels = class_ids(y_true, None)
        sizes = ops.convert_to_tensor(np.array(group_sizes, "int32"))
        each_exempt = None if given.is_exempt is None else given.is_exempt[..., None]
        is_invalid = unless(each_exempt, ops.logical_or(labels < 0, labels >= sizes))
        if look_at_group_ids(y_true, is_invalid, group_sizes):
            is_invalid = None
        else:
            given.is_invalid = ops.any(is_invalid, -1)
        labels = zero_at(either(each_exempt, is_invalid), labels)
    y_pred = zero_where(given.is_exempt, y_pred)

    blocks, column, group = [], 0, 0
    for size, run in itertools.groupby(group_sizes):
        count = len(list(run))
        shape = (*positions, count, size)
        block = ops.reshape(y_pred[..., column : column + count * size], shape)
        record = Exclusive(block, marked, from_logits=from_logits)
        record.are_valid = given.is_invalid is None
        record.positions = (*positions, count)
        if is_dense:
            rows = labels[..., column : column + count * size]
            record.rows = ops.reshape(rows, (-1, size))
        else:
            record.ids = ops.reshape(labels[..., group : group + count], (-1,))
        if not from_logits:
            if given.is_exempt is not None:
                record.is_exempt = ops.broadcast_to(given.is_exempt[..., None], shape[:-1])
            block = probabilities(block, record, None, (column, size))
            if record.is_invalid is not None:
                given.is_invalid = either(given.is_invalid, ops.any(record.is_invalid, -1))
                record.is_invalid = None
        record.y_pred = ops.reshape(block, (-1, size))
        blocks.append(record)
        column, group = column + count * size, group + count
    return given, blocks


def are_grouped_rows(y_true: Any, y_pred: Tensor, width: int, number: int) -> bool:
    """Whether labels are rows of `y_pred`'s shape rather than the ids (..., number) of groups."""
    shape = shape_of("y_true", y_true)
    expected: Shape = [*y_pred.shape[:-1], width]
    is_known = len(shape) > 0 and shape[-1] is not None
    if is_known and fits(shape, expected):
        return True
    if is_known and fits(shape, [*expected[:-1], number]):
        return False
    raise ValueError(
        f"`y_true` must be flat rows of shape {tuple(expected)}, or the class id inside each "
        f"group, of shape {(*expected[:-1], number)}; its last dimension must be known. "
        f"Received: y_true.shape={tuple(shape)}."
    )


def look_at_group_ids(y_true: Any, is_invalid: Tensor, group_sizes: Sequence[int]) -> bool:
    """Raises at the first id outside its group; returns whether anybody looked."""
    found = checks.any_true(is_invalid)
    if not found:
        return found is False
    position = own_position(checks.first(is_invalid), y_true)
    group = position[-1]
    size = group_sizes[group]
    raise InvalidValuesError(
        "y_true",
        own_value(y_true, position),
        f"class ids, integers from 0 to {size - 1}, in group {group}, which has {size} classes",
        position,
        "Ids count from 0 within each group. Correct the labels or `group_sizes`, or give the "
        "position `sample_weight` 0.",
    )
