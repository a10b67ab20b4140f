"""Rows that are compared inside: scores of candidates, and similarities of a batch with itself."""

import dataclasses
import math
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
    fits,
    float_tensor,
    ids_of_rows,
    own_position,
    own_value,
    shape_of,
    tensor,
    unless,
    unmarked,
    zero_at,
    zero_where,
)
from keras_ce._core.softmax import largest_number

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


def candidates(
    y_true: Any, y_pred: Any, ignore_label: float | None, most: float | None = None
) -> Candidates:
    """The record of a ranking loss, from the index of the right candidate or relevances.

    Relevances are any numbers; with `most`, numbers from 0 to that.
    """
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    _require_candidates(y_pred)
    given = Candidates(y_pred, marked, marked.is_exempt)
    if are_dense(y_true, y_pred, len(y_pred.shape) - 1):
        relevance = ops.cast(tensor("y_true", y_true), y_pred.dtype)
        if ignore_label is not None:
            relevance, y_pred = _without_padding(given, relevance, y_pred, ignore_label)
            given.is_ignored = ops.logical_not(ops.any(given.is_kept, -1))
            given.is_exempt = either(given.is_exempt, given.is_ignored)
        is_right = ops.isfinite(relevance)
        if most is not None:
            is_right = ops.logical_and(relevance >= 0, relevance <= most)
        is_invalid = unless(given.is_exempt, ops.logical_not(ops.all(is_right, -1)))
        found = checks.any_true(is_invalid)
        if found:
            raise _no_relevance(relevance, given.is_exempt, most)
        if most is not None and found is None:  # Gains are computed from them.
            relevance = ops.where(is_right, relevance, ops.zeros_like(relevance))
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


def graded(y_true: Any, y_pred: Any, ignore_label: float | None) -> Candidates:
    """The record of a loss of whole lists, from relevances >= 0.

    A list in which nothing is relevant is ignored.
    """
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    shape, expected = shape_of("y_true", y_true), list(y_pred.shape)
    _require_candidates(y_pred)
    if not fits(shape, expected):
        raise ValueError(
            "`y_true` must hold the relevance of each candidate, of the shape of `y_pred`. "
            f"Received: y_true.shape={tuple(shape)}, y_pred.shape={tuple(expected)}. For the index "
            "of the one right candidate take `LabelSmoothedCrossentropy(0, from_logits=True)`."
        )
    given = Candidates(y_pred, marked, marked.is_exempt)
    given.varies = None in tuple(y_pred.shape)[1:]
    relevance = ops.cast(tensor("y_true", y_true), y_pred.dtype)
    if ignore_label is not None:
        relevance, y_pred = _without_padding(given, relevance, y_pred, ignore_label)
    given.is_ignored = ops.all(ops.equal(relevance, 0), -1)
    given.is_exempt = either(given.is_exempt, given.is_ignored)
    relevance = zero_where(given.is_exempt, relevance)
    is_right = ops.logical_and(ops.all(relevance >= 0, -1), ops.isfinite(ops.sum(relevance, -1)))
    is_invalid = ops.logical_not(is_right)
    found = checks.any_true(is_invalid)
    if found:
        largest = float(np.finfo("float32").max)
        raise _no_relevance(relevance, None, largest / expected[-1])
    if found is None:
        given.is_invalid = is_invalid
        relevance = zero_where(is_invalid, relevance)
    if expected[-1] is None:  # One candidate is no error that can be raised now.
        is_one = ops.broadcast_to(ops.shape(y_pred)[-1] < 2, ops.shape(y_pred)[:-1])
        given.is_invalid = either(given.is_invalid, unless(given.is_exempt, is_one))
    given.relevance = relevance
    given.y_pred = zero_where(given.is_exempt, y_pred)
    return given


def _require_candidates(y_pred: Tensor) -> None:
    number = y_pred.shape[-1] if len(y_pred.shape) else 0
    if number is not None and number < 2:
        raise ValueError(
            "`y_pred` must hold the scores of at least two candidates along its last axis. "
            f"Received: y_pred.shape={tuple(y_pred.shape)}."
        )


def _without_padding(
    given: Candidates, relevance: Tensor, y_pred: Tensor, ignore_label: float
) -> tuple[Tensor, Tensor]:
    """Relevances and scores with a 0 for the candidates that only pad a list."""
    given.is_kept = ops.not_equal(relevance, ignore_label)
    relevance = ops.where(given.is_kept, relevance, ops.zeros_like(relevance))
    return relevance, ops.where(given.is_kept, y_pred, ops.zeros_like(y_pred))


def softened(scores: Tensor, is_kept: Tensor | None, temperature: float) -> Tensor:
    """Scores / temperature less the largest of their list; the lowest number where left out."""
    lowest = -largest_number(scores) / 2
    if is_kept is not None:
        scores = backend.where(is_kept, scores, lowest)
    # What a list has in common goes first, so that the division keeps its digits.
    logits = (scores - ops.stop_gradient(backend.largest(scores))) / temperature
    return logits if is_kept is None else backend.where(is_kept, logits, lowest)


def _no_relevance(
    relevance: Tensor, is_exempt: Tensor | None, most: float | None
) -> InvalidValuesError:
    fix = "Correct them, or give the row `sample_weight` 0."
    if most is None:
        position, value = first_entry(relevance, np.isfinite, is_exempt)
        return InvalidValuesError("y_true", value, "finite relevances", position, fix)
    position, value = first_entry(relevance, lambda at: (at >= 0) & (at <= most), is_exempt)
    if value < 0:
        fix = f"If it marks candidates that only pad a list, give `ignore_label={value:g}`."
    elif most == LARGEST_RELEVANCE < value:
        fix = f"A gain is 2^relevance: give grades such as 0 to 4, not counts. {fix}"
    expected = "finite relevances >= 0 of a finite sum"
    if most == LARGEST_RELEVANCE:
        expected = f"relevances from 0 to {most:g}"
    return InvalidValuesError("y_true", value, expected, position, fix)


@dataclasses.dataclass
class Pairs(Given):
    """Similarities (B, B) of rows with columns, and an id of each row.

    Attributes:
        y_pred: similarities (B, B).
        ids: ids (B,), int32.
    """

    ids: Tensor = None


NUMBER_THE_QUESTIONS = (
    "Number the questions, for example by `numpy.unique(questions, return_inverse=True)`."
)


def in_batch(y_true: Any, y_pred: Any) -> Pairs:
    """The record of an in-batch loss."""
    checks.one_replica(
        "Take the layer `keras_ce.layers.ContrastivePairs`, which gathers the answers of all."
    )
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
        NUMBER_THE_QUESTIONS,
    )
    return given


# --- what a pair weighs ---

LARGEST_RELEVANCE = 30.0
"""Gains are 2^relevance - 1: beyond, one candidate would be all that counts."""

_POWERS_OF_TWO = 2.0 ** np.arange(LARGEST_RELEVANCE + 1)


@dataclasses.dataclass
class Places:
    """Where candidates stand in the present order.

    Attributes:
        ranks: (..., n), counted from 1; the highest score first, equal ones as they come.
        discounts: (..., n), 1 / log(1 + rank).
    """

    ranks: Tensor
    discounts: Tensor


def places(scores: Tensor, is_kept: Tensor | None) -> Places:
    """The places of candidates by their scores (..., n); those left out come last."""
    scores = ops.stop_gradient(scores)
    if is_kept is not None:
        scores = backend.where(is_kept, scores, -largest_number(scores))
    order = ops.argsort(-scores, axis=-1)
    ranks = ops.cast(ops.argsort(order, axis=-1) + 1, scores.dtype)
    return Places(ranks, 1 / ops.log1p(ranks))


def gains(relevance: Tensor) -> Tensor:
    """2^relevance, exact where that is an integer."""
    whole = ops.floor(relevance)
    powers = ops.convert_to_tensor(_POWERS_OF_TWO, dtype=relevance.dtype)
    return ops.take(powers, ops.cast(whole, "int32")) * ops.exp((relevance - whole) * math.log(2))


def discount_change(rank: Tensor, other: Tensor, discount: Tensor, of_other: Tensor) -> Tensor:
    """|1 / log(1 + a) - 1 / log(1 + b)| = |log((1 + a) / (1 + b))| / (log(1 + a) log(1 + b)).

    Not the difference, which has no digits where neighbours far down change places.
    """
    ratio = ops.abs(rank - other) / (1 + ops.minimum(rank, other))
    return ops.log1p(ratio) * discount * of_other


# --- the hinge of pairs ---


def hinge_of_right(scores: Tensor, ids: Tensor, margin: float, at: Places | None = None) -> Tensor:
    """The mean over the other candidates j of max(0, margin - (s_right - s_j)): (..., n) to (...).

    Args:
        scores: (..., n).
        ids: the index (...) of the right candidate.
        margin: a number >= 0.
        at: None, or the places of the candidates: the mean is weighted by the change of NDCG that
            swapping a pair makes.
    """
    size = ops.shape(scores)[-1]
    advantage = backend.label_entry(scores, ids) - scores
    is_pair = ops.not_equal(ops.arange(size, dtype=ids.dtype), ids[..., None])
    # A candidate is no pair with itself. Between the two differences the selection also keeps
    # TensorFlow from adding the margin to a large score first.
    advantage = ops.where(is_pair, advantage, ops.full_like(advantage, margin))
    lacking = ops.relu(margin - advantage)
    if at is None:
        return ops.sum(lacking, -1) / ops.cast(size - 1, scores.dtype)
    own = [backend.label_entry(item, ids) for item in (at.ranks, at.discounts)]
    weights = discount_change(own[0], at.ranks, own[1], at.discounts)  # 0 beside itself
    return ops.sum(weights * lacking, -1) / ops.sum(weights, -1)


def hinge_of_pairs(
    scores: Tensor,
    relevance: Tensor,
    is_kept: Tensor | None,
    margin: float,
    at: Places | None = None,
) -> Tensor:
    """The mean of max(0, margin - (s_i - s_j)) over pairs with i more relevant than j.

    Candidates i go by one after another, so that no (n, n) numbers per row are held.

    Args:
        scores: (..., n).
        relevance: (..., n).
        is_kept: None, or which candidates (..., n) count.
        margin: a number >= 0.
        at: None, or the places of the candidates: the mean is weighted by the change of NDCG that
            swapping a pair makes.

    Returns:
        Means (...), 0 where there is no such pair.
    """
    shape, num_candidates = ops.shape(scores)[:-1], ops.shape(scores)[-1]
    tensors = [scores, relevance]
    if at is not None:
        tensors += [gains(relevance), at.ranks, at.discounts]
    tensors += [] if is_kept is None else [is_kept]
    tensors = [ops.reshape(item, (-1, num_candidates)) for item in tensors]
    number = ops.shape(tensors[0])[0]
    # As many as fit in the processor's cache; all where a trace on JAX leaves a size open.
    is_known = isinstance(number, int) and isinstance(num_candidates, int)
    step_size, pieces = num_candidates, 1
    if is_known or ops.is_tensor(number) or ops.is_tensor(num_candidates):
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

    def pairs_of(piece: Any, scores: Tensor, relevance: Tensor, *others: Tensor) -> Any:
        """The start of a piece, its pairs, None or their weights, and what i lacks to the margin.

        Entries that are no pair lack nothing and have weight 0.
        """
        placed, kept = (others[:3], others[3:]) if at is not None else ((), others)
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
        lacking = ops.relu(margin - advantage)
        if not placed:
            return start, is_pair, None, lacking
        gain, ranks, discounts = placed
        # 2^a - 2^b = 2^b (2^(a - b) - 1), with all digits of the difference.
        more = backend.where(is_pair, of_piece(relevance) - relevance[:, None, :], 0.0)
        weights = gain[:, None, :] * ops.expm1(more * math.log(2))
        weights = weights * discount_change(
            of_piece(ranks), ranks[:, None, :], of_piece(discounts), discounts[:, None, :]
        )
        return start, is_pair, weights, lacking

    def forward(*tensors: Tensor) -> Any:
        def step(piece: Any, carry: Any) -> Any:
            total, mass = carry
            _, is_pair, weights, lacking = pairs_of(piece, *tensors)
            if weights is None:
                weights = ops.cast(is_pair, total.dtype)
            else:
                lacking = weights * lacking
            return total + ops.sum(lacking, (1, 2)), mass + ops.sum(weights, (1, 2))

        zero = ops.zeros_like(tensors[0][:, 0])
        total, mass = over_pieces(step, (zero, zero))
        mass = ops.where(ops.equal(mass, 0), ops.ones_like(mass), mass)
        return total / mass, (mass,)

    def backward(upstream: Tensor, residuals: Any, *tensors: Tensor) -> Tensor:
        def step(piece: Any, gradient: Tensor) -> Tensor:
            start, _, weights, lacking = pairs_of(piece, *tensors)
            active = ops.cast(lacking > 0, gradient.dtype)
            if weights is not None:
                active = weights * active
            gradient = gradient + ops.sum(active, 1)
            own = ops.slice(gradient, (0, start), (number, step_size)) - ops.sum(active, 2)
            return ops.slice_update(gradient, (0, start), own)

        masses = over_pieces(step, ops.zeros_like(tensors[0]))
        return (upstream / residuals[0])[:, None] * masses

    return ops.reshape(backend.closed_form(forward, backward, *tensors, by_rows=True), shape)
