"""Rows of a batch compared with each other: cosines, distances, pairs and triplets of them.

Distances come from differences. |a|^2 + |b|^2 - 2ab is faster and loses what two rows close to
each other differ by. No (B, B, D) numbers exist at once: the forward pass goes over the entries
of the rows piece by piece, the gradient over the rows. Triplets are no (B, B, B) numbers either:
each anchor's positives go by one after another, and each sees a row (B,) of negatives; in small
batches, whose steps cost little more than their start, a few positives at once.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_ce._core import checks, softmax
from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Backward, Forward, once
from keras_ce._core.labels import (
    NO_ID,
    Exclusive,
    Given,
    Marked,
    either,
    float_tensor,
    ids_of_rows,
    unmarked,
    zero_where,
)
from keras_ce._core.limits import nan_where
from keras_ce._core.softmax import largest_number

Tensor = Any

AT_ONCE = 8
"""Entries of rows, or rows, that one step of a loop takes: XLA makes one pass of them."""

TRIPLETS_AT_ONCE = 2**17
"""So many numbers, 0.5 MB in float32, one step over positives may take: above 362 rows it is one
positive of each row."""


@dataclasses.dataclass
class Embeddings(Given):
    """Embeddings (B, D) with an id for each row.

    Attributes:
        y_pred: embeddings (B, D), zeros where a row is left out.
        ids: ids (B,), int32.
        is_candidate: None, or which rows (B,) may be a positive or a negative of others.
    """

    ids: Tensor = None
    is_candidate: Tensor | None = None

    def losses(self, formula: Callable[..., tuple[Tensor, Tensor]]) -> Tensor:
        """The settled losses (B,) of a formula.

        Args:
            formula: takes rows (B, D), ids (B,) and, where some are left out, which are
                candidates (B,); returns losses (B,), and which rows (B,) have those that they are
                compared with: the others are ignored.
        """
        if self.y_pred.shape[0] == 0:
            return self.settle(ops.sum(self.y_pred, -1))
        candidates = () if self.is_candidate is None else (self.is_candidate,)
        losses, has_others = formula(self.y_pred, self.ids, *candidates)
        self.is_ignored = ops.logical_not(has_others)
        if self.is_invalid is not None:
            self.is_ignored = self.is_ignored & ops.logical_not(self.is_invalid)
        self.is_exempt = either(self.is_exempt, self.is_ignored)
        # A comparison hides what is not a number.
        is_broken = ops.logical_not(ops.all(ops.isfinite(self.y_pred)))
        losses = nan_where(ops.broadcast_to(is_broken, ops.shape(losses)), losses)
        return self.settle(losses)


def embeddings(y_true: Any, y_pred: Any) -> Embeddings:
    """The record of a loss that compares the rows of a batch."""
    checks.one_replica("Train on one device, or on several with a `keras.distribution` on JAX.")
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    if len(y_pred.shape) != 2:
        raise ValueError(
            "`y_pred` must hold embeddings of shape (batch, features), one row for each label. "
            f"Received: y_pred.shape={tuple(y_pred.shape)}."
        )
    given = Embeddings(y_pred, marked, marked.is_exempt)
    given.ids = ids_of_rows(
        y_true,
        given,
        "Number the labels, for example by `numpy.unique(labels, return_inverse=True)`, or give "
        "the row `sample_weight` 0.",
    )
    if given.is_exempt is not None or given.is_invalid is not None:
        is_candidate = ops.not_equal(given.ids, NO_ID)
        if given.is_exempt is not None:
            is_finite = ops.all(ops.isfinite(y_pred), -1)
            is_candidate = is_candidate & (is_finite | ops.logical_not(given.is_exempt))
        if marked.is_masked is not None:
            is_candidate = is_candidate & ops.logical_not(marked.is_masked)
        given.is_candidate = is_candidate
        given.y_pred = zero_where(ops.logical_not(is_candidate), y_pred)
    return given


class Relations:
    """Which rows have the same id.

    Attributes:
        is_positive: which candidates (columns) have each row's id, itself left out: (B, B).
        is_negative: which candidates have another id: (B, B).
    """

    def __init__(self, ids: Tensor, *is_candidate: Tensor) -> None:
        rows = _numbers(ids)
        is_same = ops.equal(ids[:, None], ids[None, :])
        self.is_negative = ops.logical_not(is_same)
        self.is_positive = is_same & ops.not_equal(rows[:, None], rows[None, :])
        for each in is_candidate:
            self.is_negative = self.is_negative & each[None, :]
            self.is_positive = self.is_positive & each[None, :]


def _numbers(ids: Tensor) -> Tensor:
    """0, 1, ..., B - 1."""
    return ops.arange(ops.shape(ids)[0], dtype="int32")


# --- cosines ---


def unit_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (B, D) of length 1, and which of them (B, 1) are zero: those stay so.

    The gradient of a zero row is 0.
    """
    size = ops.stop_gradient(backend.largest(ops.abs(rows)))
    is_zero = size < float(np.finfo("float32").tiny)  # of smaller numbers some backends make 0
    # Divided by its largest entry first, so that no square is too large or too small.
    rows = backend.where(is_zero, 0.0, rows) / backend.where(is_zero, 1.0, size)
    squares = backend.row_sum(rows * rows)
    return rows / ops.sqrt(backend.where(is_zero, 1.0, squares)), is_zero


@once
def contrast(temperature: float) -> Callable[..., tuple[Tensor, Tensor]]:
    """The formula of `SupervisedContrastive`, see `Embeddings.losses`."""

    def formula(rows: Tensor, ids: Tensor, *is_candidate: Tensor) -> tuple[Tensor, Tensor]:
        relations = Relations(ids, *is_candidate)
        units, _ = unit_rows(rows)
        cosines = backend.full_product(units, ops.transpose(units))
        is_kept = relations.is_positive | relations.is_negative
        cosines = backend.where(is_kept, cosines, -2.0)  # below every cosine
        # What a row has in common goes first, so that the division keeps its digits.
        logits = (cosines - ops.stop_gradient(backend.largest(cosines))) / temperature
        logits = backend.where(is_kept, logits, -largest_number(logits) / 2)
        positives = ops.cast(relations.is_positive, logits.dtype)
        number = backend.row_sum(positives)
        labels = positives / backend.where(number > 0, number, 1.0)
        given = Exclusive(logits, Marked(labels, None), rows=labels)
        return softmax.crossentropy(given), backend.flat(number) > 0

    compiled: Callable[..., tuple[Tensor, Tensor]] = backend.in_one(formula)
    return compiled


# --- distances ---


class Metric:
    """A distance of the rows of a batch: "euclidean", "squared" or "cosine" (1 - cosine)."""

    def __init__(self, rows: Tensor, distance: str) -> None:
        self.is_squared = distance != "euclidean"
        self.is_zero: Tensor | None = None
        if distance == "cosine":
            # 1 - cosine is half the squared distance of rows of length 1.
            self.rows, self.is_zero = unit_rows(rows)
            self.factor = ops.full((), 0.5, dtype=rows.dtype)
        else:
            scale = _scale(rows)
            self.rows = rows * scale
            self.factor = 1 / (scale * scale) if self.is_squared else 1 / scale

    def matrix(self, is_constant: bool = False) -> Tensor:
        """The distances (B, B) of all rows."""
        forward, backward = _distances(self.is_squared)
        if is_constant:
            values, _ = forward(ops.stop_gradient(self.rows), self.factor)
        else:
            values = backend.closed_form(forward, backward, self.rows, self.factor)
        if self.is_zero is None:
            return values
        return backend.where(self.is_zero | ops.transpose(self.is_zero), 1.0, values)

    def between(self, first: Tensor, second: Tensor) -> Tensor:
        """The distances (N,) of rows with the numbers `first` and `second`, (N,) each."""
        difference = backend.rows_at(self.rows, first) - backend.rows_at(self.rows, second)
        squares = ops.sum(difference * difference, -1)
        if not self.is_squared:
            is_zero = ops.equal(squares, 0)  # where the gradient of the root is infinite
            root = ops.sqrt(backend.where(is_zero, 1.0, squares))
            return backend.where(is_zero, 0.0, root) * self.factor
        values = squares * self.factor
        if self.is_zero is None:
            return values
        is_zero = backend.flat(self.is_zero)
        is_one = backend.of_classes(is_zero, first) | backend.of_classes(is_zero, second)
        return backend.where(is_one, 1.0, values)


def _scale(rows: Tensor) -> Tensor:
    """A power of 2 that keeps the squares of differences inside float32: 1 nearly always."""
    largest = ops.stop_gradient(backend.largest(ops.reshape(ops.abs(rows), (1, -1))))
    one = ops.ones_like(largest)
    scale = ops.where(largest > 2.0**48, one * 2.0**-80, one)
    return ops.where(largest < 2.0**-40, one * 2.0**80, scale)[0, 0]


@once
def _distances(is_squared: bool) -> tuple[Forward, Backward]:
    """Both passes of `factor` times the distances (B, B) of rows (B, D)."""

    def forward(rows: Tensor, factor: Tensor) -> Any:
        values = backend.distances(rows, is_squared, _distances_by_pieces)
        return values * factor, (values,)

    def backward(upstream: Tensor, residuals: Any, rows: Tensor, factor: Tensor) -> Tensor:
        weights = (upstream + ops.transpose(upstream)) * factor
        return backend.distances_gradient(
            weights, residuals[0], rows, is_squared, _gradient_by_pieces
        )

    return backend.compiled(forward), backend.compiled(backward)


def _distances_by_pieces(rows: Tensor, is_squared: bool) -> Tensor:
    """Sums of squared differences (B, B) of rows (B, D), or the roots of them."""
    columns = ops.transpose(rows)
    width = ops.shape(rows)[0]

    def step(start: Any, size: int, total: Tensor) -> Tensor:
        piece = ops.slice(columns, (start, 0), (size, width))
        parts = 0.0
        for index in range(size):
            difference = piece[index][:, None] - piece[index][None, :]
            parts = parts + difference * difference
        return total + parts

    zeros = ops.zeros((width, width), dtype=rows.dtype)
    squares = _over_pieces(rows.shape[1], ops.shape(rows)[1], step, zeros)
    return squares if is_squared else ops.sqrt(squares)


def _gradient_by_pieces(weights: Tensor, values: Tensor, rows: Tensor, is_squared: bool) -> Tensor:
    """The sum over j of w_ij (row_i - row_j) / d_ij, 0 where d_ij is; twice that without d_ij."""
    if is_squared:
        weights = 2 * weights
    else:
        is_zero = ops.equal(values, 0)
        weights = weights / backend.where(is_zero, 1.0, values)
        weights = backend.where(is_zero, 0.0, weights)
    batch, number = ops.shape(rows)

    def step(start: Any, size: int, total: Tensor) -> Tensor:
        others = ops.slice(rows, (start, 0), (size, number))
        of_others = ops.slice(weights, (start, 0), (size, batch))
        parts = 0.0
        for index in range(size):
            parts = parts + of_others[index][:, None] * (rows - others[index][None, :])
        return total + parts

    return _over_pieces(rows.shape[0], batch, step, ops.zeros_like(rows))


def _over_pieces(
    known: Any, number: Any, step: Callable[[Any, int, Tensor], Tensor], carry: Tensor
) -> Tensor:
    """`carry = step(start, size, carry)` over `number` things, a few at once."""
    # One by one where a trace does not know the number (None, or a symbol on JAX), nor a rest.
    if not isinstance(known, int):
        return ops.fori_loop(0, number, lambda start, carry: step(start, 1, carry), carry)
    pieces, rest = divmod(known, AT_ONCE)
    if pieces:
        carry = ops.fori_loop(
            0, pieces, lambda piece, carry: step(piece * AT_ONCE, AT_ONCE, carry), carry
        )
    return step(known - rest, rest, carry) if rest else carry


# --- triplets ---


@once
def triplets(margin: float, mining: str, distance: str) -> Callable[..., tuple[Tensor, Tensor]]:
    """The formula of `TripletMargin`, see `Embeddings.losses`."""

    def formula(rows: Tensor, ids: Tensor, *is_candidate: Tensor) -> tuple[Tensor, Tensor]:
        relations = Relations(ids, *is_candidate)
        positives = ops.sum(ops.cast(relations.is_positive, rows.dtype), -1)
        negatives = ops.sum(ops.cast(relations.is_negative, rows.dtype), -1)
        has_both = (positives > 0) & (negatives > 0)
        metric = Metric(rows, distance)
        if mining == "hard":
            return _hinge_of_hardest(relations, metric, margin), has_both
        places = places_of(ids, has_both, *is_candidate)
        forward, backward = _hinge(margin, mining == "all")
        totals = backend.closed_form(
            forward, backward, metric.matrix(), relations.is_negative, *places, by_rows=True
        )
        number = positives * negatives if mining == "all" else positives
        return totals / backend.where(has_both, number, 1.0), has_both

    compiled: Callable[..., tuple[Tensor, Tensor]] = backend.in_one(formula)
    return compiled


def _hinge_of_hardest(relations: Relations, metric: Metric, margin: float) -> Tensor:
    """max(0, d_ip - d_in + margin) of the farthest positive and the nearest negative: (B,)."""
    distances = metric.matrix(is_constant=True)
    of_positives = backend.where(relations.is_positive, distances, -1.0)
    of_negatives = backend.where(relations.is_negative, distances, largest_number(distances))
    positive = backend.first_true(ops.equal(of_positives, backend.largest(of_positives)))
    negative = backend.first_true(ops.equal(of_negatives, backend.smallest(of_negatives)))
    # Anew, from two rows each: the gradient of the matrix would be one of all pairs.
    rows = ops.arange(ops.shape(distances)[0], dtype="int32")
    difference = metric.between(rows, positive) - metric.between(rows, negative)
    return ops.relu(difference + margin)


def places_of(ids: Tensor, has_both: Tensor, *is_candidate: Tensor) -> tuple[Tensor, ...]:
    """Where the candidates of one id are.

    Returns:
        The numbers of the rows (B,) in the order of their ids; where in it those with row i's id
        begin (B,); how many they are, row i among them (B,), and 0 where the row is ignored.
    """
    is_same = ops.equal(ids[:, None], ids[None, :])
    is_before = ids[None, :] < ids[:, None]
    for each in is_candidate:
        is_same, is_before = is_same & each[None, :], is_before & each[None, :]
    first, number = _count(is_before), _count(is_same)
    place = ids
    for each in is_candidate:  # what is none comes last
        rows = _numbers(ids)
        place = first + _count(is_same & (rows[None, :] < rows[:, None]))
        place = ops.where(each, place, rows + ops.shape(ids)[0])
    return ops.argsort(place), first, ops.where(has_both, number, ops.zeros_like(number))


def _count(flags: Tensor) -> Tensor:
    """How many entries of each row are true."""
    return ops.sum(ops.cast(flags, "int32"), -1)


@once
def _hinge(margin: float, is_all: bool) -> tuple[Forward, Backward]:
    """Both passes of the sum (B,) of the hinge over positives, and over negatives or a mined one.

    The passes take distances (B, B), which of them are to negatives (B, B), and `places_of`.
    """

    def over_positives(
        step: Callable[..., Tensor],
        carry: Tensor,
        distances: Tensor,
        order: Tensor,
        first: Tensor,
        number: Tensor,
    ) -> Tensor:
        """`carry = step(carry, columns, is_pair, distance)` for each anchor's next K positives.

        The columns (B, K) and which of them are a pair (B, K), with their distances (B, K, 1).
        """
        rows, size = backend.column(_numbers(order)), order.shape[0]
        at_once = 1
        if isinstance(size, int):  # a trace may not know it: None, or a symbol on JAX
            at_once = max(1, min(AT_ONCE, TRIPLETS_AT_ONCE // size**2))

        def of_ranks(turn: Any, carry: Tensor) -> Tensor:
            ranks = turn * at_once + ops.arange(at_once, dtype="int32")
            is_there = ranks < backend.column(number)
            columns = ops.where(is_there, backend.column(first) + ranks, rows)
            columns = backend.of_classes(order, columns)
            is_pair = is_there & ops.not_equal(columns, rows)
            distance = backend.column(backend.entries(distances, columns))
            return step(carry, columns, is_pair, distance)

        turns = (backend.number_of_steps(number) + at_once - 1) // at_once
        return ops.fori_loop(0, turns, of_ranks, carry)

    def mined(of_negatives: Tensor, farthest: Tensor, distance: Tensor) -> Tensor:
        """The nearest of the distances to negatives above one, if any; else the farthest."""
        none = largest_number(distance)
        beyond = backend.where(of_negatives > distance, of_negatives, none)
        nearest = backend.smallest(beyond)
        return ops.where(nearest < none, nearest, farthest)

    def prepared(distances: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
        """The distances to negatives (B, 1, B), the largest number elsewhere; the largest."""
        of_negatives = backend.where(is_negative, distances, largest_number(distances))[:, None]
        if is_all:
            return of_negatives, of_negatives
        farthest = backend.largest(backend.where(is_negative, distances, -1.0))
        return of_negatives, backend.column(farthest)

    def forward(distances: Tensor, is_negative: Tensor, *places: Tensor) -> Any:
        of_negatives, farthest = prepared(distances, is_negative)

        def step(total: Tensor, columns: Tensor, is_pair: Tensor, distance: Tensor) -> Tensor:
            if is_all:
                hinge = backend.row_sum(ops.relu((distance - of_negatives) + margin))
            else:
                negative = mined(of_negatives, farthest, distance)
                hinge = ops.relu((distance - negative) + margin)
            return total + backend.row_sum(backend.where(is_pair, backend.flat(hinge), 0.0))

        zeros = backend.column(ops.zeros_like(places[1], dtype=distances.dtype))
        total = over_positives(step, zeros, distances, *places)
        return backend.flat(total), ()

    def backward(
        upstream: Tensor, residuals: Any, distances: Tensor, is_negative: Tensor, *places: Tensor
    ) -> Tensor:
        distances = ops.stop_gradient(distances)  # Between its steps what follows is constant.
        of_negatives, farthest = prepared(distances, is_negative)

        def step(slopes: Tensor, columns: Tensor, is_pair: Tensor, distance: Tensor) -> Tensor:
            if is_all:
                is_active = ((distance - of_negatives) + margin > 0) & backend.column(is_pair)
                active = ops.cast(is_active, slopes.dtype)
                slopes, number = slopes - ops.sum(active, 1), ops.sum(active, -1)
            else:
                negative = mined(of_negatives, farthest, distance)
                is_active = ((distance - negative) + margin > 0) & backend.column(is_pair)
                number = backend.flat(ops.cast(is_active, slopes.dtype))
                chosen = backend.first_true(ops.equal(of_negatives, negative))
                slopes = backend.with_added(slopes, chosen, -number)
            return backend.with_added(slopes, columns, number)

        slopes = over_positives(step, ops.zeros_like(distances), distances, *places)
        return backend.column(upstream) * slopes

    return backend.compiled(forward), backend.compiled(backward)


KEPT = (contrast, triplets, _distances, _hinge)
"""What is made once: on TensorFlow and JAX it holds what was traced."""
