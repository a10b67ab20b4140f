"""Labels that are the logits of another model, and predictions of the same shape."""

import dataclasses
from typing import Any

import numpy as np
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.labels import (
    Given,
    as_dtype,
    either,
    first_entry,
    fits,
    float_tensor,
    shape_of,
    tensor,
    unless,
    unmarked,
    zero_where,
)
from keras_ce._core.softmax import largest_number

Tensor = Any


@dataclasses.dataclass
class Taught(Given):
    """Logits of a student and of its teacher.

    Attributes:
        y_pred: the student's logits (..., C).
        teacher: the teacher's logits (..., C): finite, or -inf beside finite ones.
        are_finite: whether all logits of both are known to be finite.
    """

    teacher: Tensor = None
    are_finite: bool = False


def taught(y_true: Any, y_pred: Any) -> Taught:
    """The record of a loss whose labels are logits."""
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    shape, expected = shape_of("y_true", y_true), list(y_pred.shape)
    if not expected or not fits(shape, expected):
        raise ValueError(
            "`y_true` must hold the teacher's logits, of the shape of `y_pred`. Received: "
            f"y_true.shape={tuple(shape)}, y_pred.shape={tuple(expected)}."
        )
    if expected[-1] == 1:
        raise ValueError(
            "`y_pred` must have at least two classes. Received: 1 in "
            f"y_pred.shape={tuple(expected)}. A softmax over one class is always 1 and can learn "
            "nothing: for one yes-or-no output take `WeightedSigmoidCrossentropy`, with the "
            "teacher's probabilities as labels."
        )
    given = Taught(zero_where(marked.is_exempt, y_pred), marked, marked.is_exempt)
    given.varies = None in tuple(y_pred.shape)[1:]
    teacher = as_dtype(tensor("y_true", y_true), y_pred)
    given.teacher = teacher = zero_where(marked.is_exempt, teacher)
    most = largest_number(teacher)
    if not checks.all_within(teacher, -most, most):
        # 2 for what is no logit (no comparison with NaN holds), 0 for what is ruled out.
        kinds = backend.where(teacher <= most, ops.cast(teacher >= -most, teacher.dtype), 2.0)
        is_wrong = ops.not_equal(backend.flat(backend.largest(kinds)), 1)
        is_invalid = unless(marked.is_exempt, is_wrong)
        found = checks.any_true(is_invalid)
        if found:
            raise _no_logits(teacher, is_invalid)
        if found is None:
            given.is_invalid = is_invalid
            given.teacher = zero_where(is_invalid, teacher)
    elif checks.all_within(given.y_pred, -most, most):
        given.are_finite = True
    if expected[-1] is None:  # One class is no error that can be raised now.
        is_one = ops.broadcast_to(ops.shape(y_pred)[-1] < 2, ops.shape(y_pred)[:-1])
        given.is_invalid = either(given.is_invalid, unless(marked.is_exempt, is_one))
    return given


def _no_logits(teacher: Tensor, is_invalid: Tensor) -> InvalidValuesError:
    row = checks.to_numpy(teacher)[checks.first(is_invalid)]
    if np.isneginf(row).all():
        return InvalidValuesError(
            "y_true",
            -np.inf,
            "logits of which at least one in each row is finite",
            (*checks.first(is_invalid), 0),
            "Its row rules out every class. Correct it, or give it `sample_weight` 0.",
        )
    position, value = first_entry(teacher, lambda at: at < np.inf, None)
    return InvalidValuesError(
        "y_true",
        value,
        "the teacher's logits: finite numbers, or -inf for a class that it rules out",
        position,
        "Correct the teacher's predictions, or give the position `sample_weight` 0.",
    )
