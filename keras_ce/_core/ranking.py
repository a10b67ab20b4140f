"""Rows that are compared inside: scores of candidates, and similarities of a batch with itself."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Compilation
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.labels import (
    Given,
    are_dense,
    class_ids,
    either,
    first_entry,
    float_tensor,
    ids_of_rows,
    own_position,
    own_value,
    tensor,
    unless,
    unmarked,
    zero_at,
    zero_where,
)

Tensor = Any


@dataclasses.dataclass
class Candidates(Given):
    """Scores (..., n) of candidates.

    Attributes:
        y_pred: scores (..., n).
        ids: the index (...) of the right candidate, int32; None where the labels are relevances.
        relevance: the relevances (..., n); None where the labels are indices.
        is_kept: None, or which candidates (..., n) are none that is left out.
    """

    ids: Tensor | None = None
    relevance: Tensor | None = None
    is_kept: Tensor | None = None


def candidates(y_true: Any, y_pred: Any, ignore_label: float | None) -> Candidates:
    """The record of a ranking loss, from the index of the right candidate or relevances."""
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    number = y_pred.shape[-1] if len(y_pred.shape) else 0
    if number is not None and number < 2:
        raise ValueError(
            "`y_pred` must hold the scores of at least two candidates along its last axis. "
            f"Received: y_pred.shape={tuple(y_pred.shape)}."
        )
    given = Candidates(y_pred, marked, marked.is_exempt)
    if are_dense(y_true, y_pred, len(y_pred.shape) - 1):
        relevance = ops.cast(tensor("y_true", y_true), y_pred.dtype)
        if ignore_label is not None:
            given.is_kept = ops.not_equal(relevance, ignore_label)
            given.is_ignored = ops.logical_not(ops.any(given.is_kept, -1))
            given.is_exempt = either(given.is_exempt, given.is_ignored)
            relevance = ops.where(given.is_kept, relevance, ops.zeros_like(relevance))
            y_pred = ops.where(given.is_kept, y_pred, ops.zeros_like(y_pred))
        is_invalid = ops.logical_not(ops.all(ops.isfinite(relevance), -1))
        is_invalid = unless(given.is_exempt, is_invalid)
        found = checks.any_true(is_invalid)
        if found:
            position, value = first_entry(relevance, np.isfinite, given.is_exempt)
            raise InvalidValuesError(
                "y_true",
                value,
                "finite relevances",
                position,
                "Correct them, or give the row `sample_weight` 0.",
            )
        given.relevance = zero_where(given.is_exempt, relevance)
    else:
        if ignore_label is not None:
            raise ValueError(
                "`ignore_label` needs relevances of the shape of `y_pred` as labels. Received: "
                f"indices of right candidates for y_pred.shape={tuple(y_pred.shape)}, "
                f"ignore_label={ignore_label!r}."
            )
        ids = class_ids(y_true, len(y_pred.shape) - 1)
        size = ops.shape(y_pred)[-1]
        is_invalid = unless(given.is_exempt, ops.logical_or(ids < 0, ids >= size))
        found = checks.any_true(is_invalid)
        if found:
            position = own_position(checks.first(is_invalid), y_true)
            fix = "Candidates count from 0, along the last axis of `y_pred`."
            value = own_value(y_true, position)
            if value == -1:
                fix = (
                    "In torch's margin_ranking_loss, 1 means that the first is right and -1 that "
                    "the second is: give 0 and 1 here."
                )
            raise InvalidValuesError(
                "y_true",
                value,
                f"the index of the right candidate, an integer from 0 to {int(size) - 1}",
                position,
                fix,
            )
        given.ids = zero_at(either(given.is_exempt, is_invalid if found is None else None), ids)
    given.is_invalid = is_invalid if found is None else None
    given.y_pred = zero_where(given.is_exempt, y_pred)
    return given


@dataclasses.dataclass
class Pairs(Given):
    """Similarities (B, B) of rows with columns, and an id of each row.

    Attributes:
        y_pred: similarities (B, B).
        ids: ids (B,), int32.
    """

    ids: Tensor = None


def in_batch(y_true: Any, y_pred: Any) -> Pairs:
    """The record of an in-batch loss."""
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    shape = list(y_pred.shape)
    if len(shape) != 2 or (None not in shape and shape[0] != shape[1]):
        raise ValueError(
            "`y_pred` must hold similarities of shape (batch, batch). Received: "
            f"y_pred.shape={tuple(shape)}."
        )
    given = Pairs(zero_where(marked.is_exempt, y_pred), marked, marked.is_exempt)
    given.ids = ids_of_rows(
        y_true,
        given,
        "Number the questions, for example by `numpy.unique(questions, return_inverse=True)`.",
    )
    return given


# --- the hinge of pairs ---


def hinge_of_right(scores: Tensor, ids: Tensor, margin: float) -> Tensor:
    """The mean over the other candidates j of max(0, margin - (s_right - s_j)): (..., n) to (...).

    Args:
        scores: (..., n).
        ids: the index (...) of the right candidate.
        margin: a number >= 0.
    """
    size = ops.shape(scores)[-1]
    advantage = backend.label_entry(scores, ids) - scores
    is_pair = ops.not_equal(ops.arange(size, dtype=ids.dtype), ids[..., None])
    # A candidate is no pair with itself. Between the two differences the selection also keeps
    # TensorFlow from adding the margin to a large score first.
    advantage = ops.where(is_pair, advantage, ops.full_like(advantage, margin))
    return ops.sum(ops.relu(margin - advantage), -1) / ops.cast(size - 1, scores.dtype)


def hinge_of_pairs(
    scores: Tensor, relevance: Tensor, is_kept: Tensor | None, margin: float
) -> Tensor:
    """The mean of max(0, margin - (s_i - s_j)) over pairs with i more relevant than j.

    Candidates i go by one after another, so that no (n, n) numbers per row are held.

    Args:
        scores: (..., n).
        relevance: (..., n).
        is_kept: None, or which candidates (..., n) count.
        margin: a number >= 0.

    Returns:
        Means (...), 0 where there is no such pair.
    """
    shape, num_candidates = ops.shape(scores)[:-1], ops.shape(scores)[-1]
    tensors = [scores, relevance] if is_kept is None else [scores, relevance, is_kept]
    tensors = [ops.reshape(item, (-1, num_candidates)) for item in tensors]
    number = ops.shape(tensors[0])[0]
    # As many at a time as fit in the processor's cache.
    is_known = isinstance(number, int) and isinstance(num_candidates, int)
    least, most = (min, max) if is_known else (ops.minimum, ops.maximum)
    at_once = Compilation.ELEMENTS_OF_A_PIECE // most(1, number * num_candidates)
    step_size = least(num_candidates, most(1, at_once))
    pieces = (num_candidates + step_size - 1) // step_size

    def over_pieces(step: Callable[[Any, Any], Any], carry: Any) -> Any:
        is_one = isinstance(pieces, int) and pieces == 1
        return step(0, carry) if is_one else ops.fori_loop(0, pieces, step, carry)

    def start_of(piece: Any) -> Any:
        """Where a piece begins; the last two may overlap."""
        start, last = piece * step_size, num_candidates - step_size
        return min(start, last) if isinstance(start, int) else ops.minimum(start, last)

    def pairs_of(piece: Any, scores: Tensor, relevance: Tensor, *kept: Tensor) -> Any:
        """What each candidate i of a piece lacks to the margin above j, 0 where it is no pair."""
        start = start_of(piece)
        first = ops.expand_dims(start + ops.arange(step_size, dtype="int32"), -1)

        def of_piece(values: Tensor) -> Tensor:
            return ops.slice(values, (0, start), (number, step_size))[:, :, None]

        is_pair = of_piece(relevance) > relevance[:, None, :]
        is_pair = is_pair & (first >= piece * step_size)
        for each in kept:
            is_pair = is_pair & of_piece(each) & each[:, None, :]
        advantage = of_piece(scores) - scores[:, None, :]
        # Between the two differences the selection also keeps TensorFlow from adding the margin to
        # a large score first.
        advantage = ops.where(is_pair, advantage, ops.full_like(advantage, margin))
        return start, is_pair, ops.relu(margin - advantage)

    def forward(*tensors: Tensor) -> Any:
        def step(piece: Any, carry: Any) -> Any:
            total, pairs = carry
            _, is_pair, lacking = pairs_of(piece, *tensors)
            pairs = pairs + ops.sum(ops.cast(is_pair, total.dtype), (1, 2))
            return total + ops.sum(lacking, (1, 2)), pairs

        zero = ops.zeros_like(tensors[0][:, 0])
        total, pairs = over_pieces(step, (zero, zero))
        pairs = ops.maximum(pairs, ops.ones_like(pairs))
        return total / pairs, (pairs,)

    def backward(upstream: Tensor, residuals: Any, *tensors: Tensor) -> Tensor:
        def step(piece: Any, gradient: Tensor) -> Tensor:
            start, _, lacking = pairs_of(piece, *tensors)
            is_active = ops.cast(lacking > 0, gradient.dtype)
            gradient = gradient + ops.sum(is_active, 1)
            own = ops.slice(gradient, (0, start), (number, step_size)) - ops.sum(is_active, 2)
            return ops.slice_update(gradient, (0, start), own)

        counts = over_pieces(step, ops.zeros_like(tensors[0]))
        return (upstream / residuals[0])[:, None] * counts

    return ops.reshape(backend.closed_form(forward, backward, *tensors, by_rows=True), shape)
