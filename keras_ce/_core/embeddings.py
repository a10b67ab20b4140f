"""Rows of a batch compared with each other: cosines, distances, pairs and triplets of them.

Distances come from differences. |a|^2 + |b|^2 - 2ab is faster and loses what two rows close to
each other differ by. No (B, B, D) numbers exist at once: the forward pass goes over the entries
of the rows piece by piece, the gradient over the rows. Triplets are no (B, B, B) numbers either:
each anchor's positives go by one after another, and each sees a row (B,) of negatives.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Backward, Forward
from keras_ce._core.labels import (
    NO_ID,
    Given,
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


@dataclasses.dataclass
class Embeddings(Given):
    """Embeddings (B, D) with an id for each row.

    Attributes:
        y_pred: embeddings (B, D), zeros where a row is left out.
        ids: ids (B,), int32.
        is_candidate: None, or which rows (B,) may be a positive or a negative of others.
        is_positive: which rows (columns) have each row's id, itself left out: (B, B).
        is_negative: which rows have another id: (B, B).
    """

    ids: Tensor = None
    is_candidate: Tensor | None = None
    is_positive: Tensor = None
    is_negative: Tensor = None

    def settle(self, losses: Tensor) -> Tensor:
        """See the base class. A candidate that is not finite makes NaN of all rows."""
        is_broken = ops.logical_not(ops.all(ops.isfinite(self.y_pred)))
        is_broken = ops.broadcast_to(is_broken, ops.shape(losses))
        return super().settle(nan_where(is_broken, losses))

    def ignore_unless(self, has_others: Tensor) -> None:
        """Leave out rows that have none to be compared with; what is invalid stays."""
        is_ignored = ops.logical_not(has_others)
        if self.is_invalid is not None:
            is_ignored = ops.logical_and(is_ignored, ops.logical_not(self.is_invalid))
        self.is_ignored = is_ignored
        self.is_exempt = either(self.is_exempt, is_ignored)


def embeddings(y_true: Any, y_pred: Any) -> Embeddings:
    """The record of a loss that compares the rows of a batch."""
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    if len(y_pred.shape) != 2:
        raise ValueError(
            "`y_pred` must hold embeddings of shape (batch, features), one row for each label. "
            f"Received: y_pred.shape={tuple(y_pred.shape)}."
        )
    given = Embeddings(y_pred, marked, marked.is_exempt)
    ids = given.ids = ids_of_rows(
        y_true,
        given,
        "Number the labels, for example by `numpy.unique(labels, return_inverse=True)`, or give "
        "the row `sample_weight` 0.",
    )
    if given.is_exempt is not None or given.is_invalid is not None:
        is_candidate = ops.not_equal(ids, NO_ID)
        if given.is_exempt is not None:
            is_finite = ops.all(ops.isfinite(y_pred), -1)
            is_candidate = is_candidate & (is_finite | ops.logical_not(given.is_exempt))
        if marked.is_masked is not None:
            is_candidate = is_candidate & ops.logical_not(marked.is_masked)
        given.is_candidate = is_candidate
        given.y_pred = zero_where(ops.logical_not(is_candidate), y_pred)
    rows = _numbers(ids)
    is_same = ops.equal(ids[:, None], ids[None, :])
    given.is_negative = ops.logical_not(is_same)
    given.is_positive = ops.logical_and(is_same, ops.not_equal(rows[:, None], rows[None, :]))
    if given.is_candidate is not None:
        given.is_negative = given.is_negative & given.is_candidate[None, :]
        given.is_positive = given.is_positive & given.is_candidate[None, :]
    return given


def _numbers(ids: Tensor) -> Tensor:
    """0, 1, ..., B - 1."""
    return ops.arange(ops.shape(ids)[0], dtype="int32")


# --- cosines and distances ---


def unit_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (B, D) of length 1, and which of them (B, 1) are zero: those stay so.

    The gradient of a zero row is 0.
    """
    size = ops.stop_gradient(backend.largest(ops.abs(rows)))
    tiny = float(np.finfo("float32").tiny)
    is_zero = size < tiny  # of smaller numbers some backends make 0
    # Divided by its largest entry first, so that no square is too large or too small.
    rows = backend.where(is_zero, 0.0, rows) / backend.where(is_zero, 1.0, size)
    squares = backend.row_sum(rows * rows)
    return rows / ops.sqrt(backend.where(is_zero, 1.0, squares)), is_zero


def cosines(rows: Tensor) -> Tensor:
    """The cosines (B, B) of rows (B, D) with each other, 0 for zero rows."""
    rows, _ = unit_rows(rows)
    return backend.product(rows, ops.transpose(rows))


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

    def matrix(self) -> Tensor:
        """The distances (B, B) of all rows."""
        forward, backward = _distances(self.is_squared)
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
        is_zero = self.is_zero[:, 0]
        is_one = backend.of_classes(is_zero, first) | backend.of_classes(is_zero, second)
        return backend.where(is_one, 1.0, values)


def _scale(rows: Tensor) -> Tensor:
    """A power of 2 that keeps the squares of differences inside float32: 1 nearly always."""
    largest = ops.stop_gradient(backend.largest(ops.reshape(ops.abs(rows), (1, -1))))
    one = ops.ones_like(largest)
    scale = ops.where(largest > 2.0**48, one * 2.0**-80, one)
    return ops.where(largest < 2.0**-40, one * 2.0**80, scale)[0, 0]


@functools.cache
def _distances(is_squared: bool) -> tuple[Forward, Backward]:
    """Both passes of `factor` times the distances (B, B) of rows (B, D), compiled once."""

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


def _gradient_by_pieces(
    weights: Tensor, values: Tensor, rows: Tensor, is_squared: bool
) -> Tensor:
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
    known: int | None, number: Any, step: Callable[[Any, int, Tensor], Tensor], carry: Tensor
) -> Tensor:
    """`carry = step(start, size, carry)` over `number` things, a few at once."""
    size = 1 if known is None else AT_ONCE  # a trace that does not know the number has no rest
    pieces, rest = (number, 0) if known is None else divmod(known, size)
    if known is None or pieces:
        carry = ops.fori_loop(
            0, pieces, lambda piece, carry: step(piece * size, size, carry), carry
        )
    return step(known - rest, rest, carry) if rest else carry


# --- triplets ---


class Places:
    """Where the rows of one id are: `order` lists the rows by their ids.

    Attributes:
        order: numbers of rows (B,): those with row i's id stand from `first[i]` on.
        first: (B,).
        number: how many they are, row i among them: (B,); 0 where no row has another id.
    """

    def __init__(self, given: Embeddings, number_of_negatives: Tensor) -> None:
        ids = given.ids
        is_same = ops.equal(ids[:, None], ids[None, :])
        is_before = ids[None, :] < ids[:, None]
        if given.is_candidate is not None:
            is_same = is_same & given.is_candidate[None, :]
            is_before = is_before & given.is_candidate[None, :]
        self.first = _count(is_before)
        if given.is_candidate is None:
            self.order = ops.argsort(ids)
        else:  # what is no candidate comes last
            rows = _numbers(ids)
            place = self.first + _count(is_same & (rows[None, :] < rows[:, None]))
            self.order = ops.argsort(
                ops.where(given.is_candidate, place, rows + ops.shape(ids)[0])
            )
        number = _count(is_same)
        self.number = ops.where(number_of_negatives > 0, number, ops.zeros_like(number))


def _count(flags: Tensor) -> Tensor:
    """How many entries of each row are true."""
    return ops.sum(ops.cast(flags, "int32"), -1)


def hinge_of_triplets(
    given: Embeddings, distances: Tensor, margin: float, mining: str
) -> Tensor:
    """The mean over positives and mined negatives of max(0, d_ip - d_in + margin): (B,).

    Args:
        given: the rows.
        distances: (B, B).
        margin: a number > 0.
        mining: "all" or "semi-hard".
    """
    positives = ops.sum(ops.cast(given.is_positive, distances.dtype), -1)
    negatives = ops.sum(ops.cast(given.is_negative, distances.dtype), -1)
    places = Places(given, negatives)
    divisor = positives * negatives if mining == "all" else positives
    divisor = backend.where(divisor > 0, divisor, 1.0)
    forward, backward = _hinge(margin, mining == "all")
    totals = backend.closed_form(
        forward,
        backward,
        distances,
        given.is_negative,
        places.order,
        places.first,
        places.number,
        by_rows=True,
    )
    return totals / divisor


@functools.cache
def _hinge(margin: float, is_all: bool) -> tuple[Forward, Backward]:
    """Both passes of the sum over positives and negatives of the hinge, compiled once."""

    def over_positives(
        step: Callable[[Tensor, Tensor, Tensor, Tensor], Any],
        carry: Any,
        distances: Tensor,
        is_negative: Tensor,
        order: Tensor,
        first: Tensor,
        number: Tensor,
    ) -> Any:
        """`carry = step(carry, column, is_pair, distance)` for each anchor's next positive."""
        rows = _numbers(order)
        last = ops.shape(order)[0] - 1

        def of_rank(rank: Any, carry: Any) -> Any:
            place = first + rank
            column = backend.of_classes(order, ops.where(place > last, last, place))
            is_pair = ops.logical_and(rank < number, ops.not_equal(column, rows))[:, None]
            return step(carry, column, is_pair, backend.label_entry(distances, column))

        return ops.fori_loop(0, backend.number_of_steps(number), of_rank, carry)

    def forward(distances: Tensor, is_negative: Tensor, *places: Tensor) -> Any:
        beyond_all = largest_number(distances)
        to_negatives = backend.where(is_negative, distances, beyond_all)
        if not is_all:
            farthest = backend.largest(backend.where(is_negative, distances, -1.0))

        def step(total: Tensor, column: Tensor, is_pair: Tensor, distance: Tensor) -> Tensor:
            if is_all:
                hinge = backend.row_sum(ops.relu((distance - to_negatives) + margin))
            else:
                nearest = _nearest_beyond(to_negatives, distance, beyond_all)
                negative = ops.where(nearest < beyond_all, nearest, farthest)
                hinge = ops.relu((distance - negative) + margin)
            return total + backend.where(is_pair, hinge, 0.0)

        total = over_positives(step, distances[:, :1] * 0, distances, is_negative, *places)
        return backend.flat(total), ()

    def backward(
        upstream: Tensor, residuals: Any, distances: Tensor, is_negative: Tensor, *places: Tensor
    ) -> Tensor:
        # What follows is constant between its steps.
        distances = ops.stop_gradient(distances)
        beyond_all = largest_number(distances)
        to_negatives = backend.where(is_negative, distances, beyond_all)
        if not is_all:
            farthest = backend.largest(backend.where(is_negative, distances, -1.0))
            is_farthest = is_negative & ops.equal(distances, farthest)
            farthest_column = backend.first_true(is_farthest)

        def step(slopes: Tensor, column: Tensor, is_pair: Tensor, distance: Tensor) -> Tensor:
            if is_all:
                is_active = ((distance - to_negatives) + margin > 0) & is_pair
                active = ops.cast(is_active, slopes.dtype)
                slopes = slopes - active
                number = backend.row_sum(active)
            else:
                nearest = _nearest_beyond(to_negatives, distance, beyond_all)
                is_beyond = nearest < beyond_all
                negative = ops.where(is_beyond, nearest, farthest)
                is_active = ((distance - negative) + margin > 0) & is_pair
                number = ops.cast(is_active, slopes.dtype)
                chosen = backend.first_true(ops.equal(to_negatives, nearest))
                chosen = ops.where(backend.flat(is_beyond), chosen, farthest_column)
                pushed = backend.label_entry(slopes, chosen) - number
                slopes = backend.with_label_entry(slopes, chosen, pushed)
            pulled = backend.label_entry(slopes, column) + number
            return backend.with_label_entry(slopes, column, pulled)

        zeros = ops.zeros_like(distances)
        slopes = over_positives(step, zeros, distances, is_negative, *places)
        return backend.column(upstream) * slopes

    return backend.compiled(forward), backend.compiled(backward)


def _nearest_beyond(to_negatives: Tensor, distance: Tensor, beyond_all: float) -> Tensor:
    """The smallest of each row's distances that are larger than its `distance`."""
    return backend.smallest(backend.where(to_negatives > distance, to_negatives, beyond_all))


def hinge_of_hardest(given: Embeddings, metric: Metric, margin: float) -> Tensor:
    """max(0, d_ip - d_in + margin) of the farthest positive and the nearest negative: (B,)."""
    distances = ops.stop_gradient(metric.matrix())
    farthest = backend.largest(backend.where(given.is_positive, distances, -1.0))
    nearest = backend.smallest(
        backend.where(given.is_negative, distances, largest_number(distances))
    )
    rows = _numbers(given.ids)
    positive = backend.first_true(given.is_positive & ops.equal(distances, farthest))
    negative = backend.first_true(given.is_negative & ops.equal(distances, nearest))
    difference = metric.between(rows, positive) - metric.between(rows, negative)
    return ops.relu(difference + margin)
