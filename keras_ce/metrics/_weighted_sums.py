"""What the metrics share: which positions count, and sums that are exact."""

import abc
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.labels import (
    Exclusive,
    Marked,
    first_entry,
    float_tensor,
    may_be_probabilities,
    not_a_probability,
    tensor,
    unless,
)
from keras_ce._core.limits import nan_where
from keras_ce._core.reduction import position_weights
from keras_ce._core.sums import SumsInPairs

Tensor = Any
Position = tuple[int, ...]
Values = tuple[Tensor, Tensor | None, Tensor | None]

STEPS = 4096
"""So many steps make a unit. A float32 adds up so many numbers of so many steps exactly."""

POWERS = 2.0 ** np.arange(-100, 101)
"""What may be the unit; less would make a step of it underflow."""


class WeightedSums(SumsInPairs, abc.ABC):
    """A metric of weighted sums over the positions of all batches, one for each bin.

    Args:
        num_bins: number of bins.
        name: name of the metric.
        dtype: dtype of the result.
    """

    def __init__(self, num_bins: int, name: str, dtype: Any) -> None:
        super().__init__(name, dtype)
        self._make_sums(num_bins + 1)  # The last sum is that of the weights.

    @abc.abstractmethod
    def _values(self, y_true: Marked, y_pred: Tensor) -> Values:
        """The value of each position, which are invalid, and the bin of each, if there are bins."""

    @backend.as_written
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: the right classes.
            y_pred: the predictions.
            sample_weight: weights of rows or positions, or None.
        """
        y_pred = tensor("y_pred", y_pred)
        if len(y_pred.shape) < 2:
            raise ValueError(
                f"{type(self).__name__} expects `y_pred` with a batch axis before the class axis. "
                f"Received: y_pred.shape={tuple(y_pred.shape)}."
            )
        weights = position_weights(y_pred, sample_weight, self._sum_dtype)
        is_exempt = ops.equal(weights, 0)
        y_pred = ops.cast(float_tensor("y_pred", y_pred), self._sum_dtype)
        values, is_invalid, bins = self._values(Marked(y_true, is_exempt), y_pred)
        if is_invalid is not None:
            values = nan_where(is_invalid, values)
        # Selected, not multiplied alone: 0 * NaN is NaN.
        values = ops.where(is_exempt, ops.zeros_like(values), values * weights)

        of_bins = exact_sums(ops.reshape(values, (-1,)), bins, self.sums.shape[0] - 1)
        of_weights = exact_sums(ops.reshape(weights, (-1,)))
        self._add(map(ops.concatenate, zip(of_bins, of_weights, strict=True)))

    def _result(self) -> tuple[Tensor, Tensor]:
        """The sums of the bins, and that of the weights."""
        sums = self.sums + self.rests
        return sums[:-1], sums[-1]


def exact_sums(
    values: Tensor, bins: Tensor | None = None, num_bins: int = 1, are_ones: bool = False
) -> list[Tensor]:
    """Terms (num_bins,) that add up to the sum of the values of each bin.

    One float after another would lose what is small beside the sum so far. Here each value is cut
    into a whole number of steps and a rest. Whole numbers add up exactly in any order, at first
    those of a lane of values, then, cut again, those of the lanes. Rests do so too where values
    end at the 24th binary digit of the unit; of others, the 36th is rounded.

    Args:
        values: one for each position (N,); or, without bins, one for each position and bin
            (N, num_bins).
        bins: the bin of each value, or None.
        num_bins: number of bins.
        are_ones: whether the values are known to be 0 or 1: they are whole, and a lane is longer.
    """
    if are_ones:
        unit, size, parts = STEPS, STEPS**2, ops.expand_dims(values, -1)
    else:
        largest = ops.max(ops.absolute(values), initial=0.0)
        powers = ops.convert_to_tensor(POWERS, dtype=values.dtype)
        # A power of two: nothing is rounded by it.
        unit, size = ops.min(ops.where(powers >= largest, powers, powers[-1])), STEPS
        parts = ops.stack(cut(values / unit * STEPS), axis=-1)

    number = ops.shape(values)[0]
    lanes = number // size + 1
    if len(values.shape) == 1 and bins is None:
        padding = ops.zeros((lanes * size - number, parts.shape[-1]), dtype=values.dtype)
        sums = ops.sum(ops.reshape(ops.concatenate([parts, padding]), (1, lanes, size, -1)), axis=2)
    else:
        lane = ops.arange(number, dtype="int32") // size
        if bins is None:
            if isinstance(lanes, int) and lanes == 1:
                sums = ops.sum(parts, axis=0, keepdims=True)
            else:
                sums = ops.segment_sum(parts, lane, num_segments=lanes)
            sums = ops.transpose(sums, (1, 0, 2))
        else:
            of_lanes = ops.cast(bins, "int32") * lanes + lane
            sums = ops.segment_sum(parts, of_lanes, num_segments=num_bins * lanes)
            sums = ops.reshape(sums, (num_bins, lanes, parts.shape[-1]))
    units, steps = cut(sums[..., 0] / STEPS)
    stacks, units_left = cut(units / STEPS)
    step = unit / STEPS
    terms = [
        ops.sum(stacks, axis=1) * (unit * STEPS),
        ops.sum(units_left * STEPS, axis=1) * unit,
    ]
    if are_ones:
        return [*terms, ops.sum(steps * STEPS, axis=1)]
    more_steps, rest = cut(sums[..., 1])
    return [
        *terms,
        ops.sum(steps * STEPS + more_steps, axis=1) * step,
        ops.sum(rest, axis=1) * step,
    ]


def cut(values: Tensor) -> tuple[Tensor, Tensor]:
    """Values as whole numbers, and what is left of them, from -0.5 to 0.5."""
    whole = ops.round(values)
    return whole, values - whole


def true_classes(
    record: Exclusive, is_exempt: Any, own_position: Callable[[Position], Position]
) -> tuple[Tensor, Tensor]:
    """The right class of each position, and which have none; raises where somebody looks.

    Args:
        record: rows of exclusive classes, of which the core has judged all but whether label rows
            have a largest entry.
        is_exempt: which of its positions do not count.
        own_position: from a position to that of the first entry of its row in the user's array.
    """
    if record.ids is not None:
        classes = ops.reshape(record.ids, record.positions)
        return classes, ops.zeros_like(classes, dtype="bool")
    is_none = ops.logical_not(ops.any(ops.greater(record.rows, 0), axis=-1))
    is_none = ops.reshape(is_none, record.positions)
    is_none = ops.logical_and(is_none, ops.logical_not(is_exempt))
    if checks.any_true(is_none):
        raise InvalidValuesError(
            "y_true",
            0.0,
            "label rows with a positive entry, the right class",
            own_position(checks.first(is_none)),
            "Its row holds nothing but zeros. Correct the labels, or give the position "
            "`sample_weight` 0.",
        )
    smallest, total = backend.smallest(record.rows), ops.sum(record.rows, axis=-1)
    is_right = ops.logical_and(ops.reshape(smallest, (-1,)) >= 0, ops.isfinite(total))
    is_wrong = ops.reshape(ops.logical_not(is_right), record.positions)
    return largest_class(record, record.rows), ops.logical_or(is_none, is_wrong)


def largest_class(record: Exclusive, rows: Tensor) -> Tensor:
    """The class of the first largest entry of each of the record's rows (N, C), by position."""
    # Keras's argmax ranks -0 below 0 on TensorFlow and JAX, not on torch.
    rows = ops.where(ops.equal(rows, 0), ops.zeros_like(rows), rows)
    return ops.reshape(ops.cast(ops.argmax(rows, axis=-1), "int32"), record.positions)


def look_at_binary(y_pred: Tensor, is_exempt: Tensor) -> None:
    """Raises at the first entry (..., 1) that is no probability: of the pair, it is not it."""
    is_wrong = ops.logical_not(may_be_probabilities(ops.squeeze(y_pred, -1)))
    if checks.any_true(unless(is_exempt, is_wrong)):
        raise not_a_probability(*first_entry(y_pred, may_be_probabilities, is_exempt))
