"""Ordered classes, from logits of "the class is above k"."""

import dataclasses
from typing import Any

from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.labels import (
    Given,
    as_rows,
    class_ids,
    fits,
    float_tensor,
    own_position,
    own_value,
    shape_of,
    unless,
    unmarked,
    zero_at,
    zero_where,
)

Tensor = Any


@dataclasses.dataclass
class Ordered(Given):
    """Rows of ordered classes.

    Attributes:
        y_pred: logits (N, C - 1).
        ids: class ids (N,), all inside [0, C).
        positions: the shape of the positions.
    """

    ids: Tensor = None
    positions: tuple[Any, ...] = ()


def ordered(y_true: Any, y_pred: Any) -> Ordered:
    """The record of a loss of ordered classes, from class ids."""
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    shape, expected = shape_of("y_true", y_true), list(y_pred.shape)
    if not expected or expected[-1] == 0:
        raise ValueError(
            "`y_pred` must hold a logit for each class but the first along its last axis. "
            f"Received: y_pred.shape={tuple(expected)}."
        )
    positions = expected[:-1]
    if not fits(shape, positions) and not fits(shape, [*positions, 1]):
        raise ValueError(
            f"`y_true` must be class ids of shape {tuple(positions)} or {(*positions, 1)}, to "
            f"match y_pred.shape={tuple(expected)}. Received: y_true.shape={tuple(shape)}. For "
            "rows of yes or no take `numpy.sum(rows, axis=-1)`."
        )
    number = ops.shape(y_pred)[-1]
    given = Ordered(y_pred, marked, marked.is_exempt, positions=tuple(ops.shape(y_pred)[:-1]))
    given.varies = None in tuple(y_pred.shape)[1:]
    ids = zero_at(given.is_exempt, class_ids(y_true, len(positions)))
    if not checks.all_within(ids, 0, number):
        given.is_invalid = unless(given.is_exempt, ops.logical_or(ids < 0, ids > number))
        _look_at(y_true, given.is_invalid, number)
        ids = zero_at(given.is_invalid, ids)
    given.ids = backend.index(ids if len(ids.shape) == 1 else ops.reshape(ids, (-1,)))
    given.y_pred = as_rows(zero_where(given.is_exempt, y_pred), number)
    return given


def _look_at(y_true: Any, is_invalid: Tensor, number: Any) -> None:
    """Raises at the first label that is no class id, where anybody looks."""
    if not checks.any_true(is_invalid):
        return
    number = int(number)
    position = own_position(checks.first(is_invalid), y_true)
    value = own_value(y_true, position)
    fix = (
        "Correct the labels, give the model more thresholds, or give the position "
        "`sample_weight` 0."
    )
    if value == number + 1:
        fix = "If the ids count from 1, subtract 1."
    raise InvalidValuesError(
        "y_true",
        value,
        f"class ids, integers from 0 to {number}, because `y_pred` has {number} logits, one "
        "fewer than classes",
        position,
        fix,
    )
