"""What the metrics share: which positions count, and sums that lose no row."""

import abc
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.labels import Exclusive, Marked, float_tensor, tensor
from keras_ce._core.limits import nan_where
from keras_ce._core.reduction import position_weights

Tensor = Any
Position = tuple[int, ...]
Values = tuple[Tensor, Tensor | None, Tensor | None]

STEPS = 4096
"""So many steps make a unit. A float32 adds up so many numbers of so many steps exactly."""

POWERS = 2.0 ** np.arange(-100, 101)
"""What may be the unit; less would make a step of it underflow."""


class WeightedSums(keras.metrics.Metric, abc.ABC):
    """A metric of weighted sums over the positions of all batches, one for each bin.

    A float32 counts up to 2**24 and stands still there, so each sum has a second variable for
    what rounding took from it. Both together count up to 2**48; how the positions were split
    into batches does not show.

    Args:
        num_bins: number of bins.
        name: name of the metric.
        dtype: dtype of the result.
    """

    def __init__(self, num_bins: int, name: str, dtype: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self._sum_dtype = "float64" if self.dtype == "float64" else "float32"
        # The last sum is that of the weights.
        self.sums, self.rests = (
            self.add_variable((num_bins + 1,), "zeros", dtype=self._sum_dtype, name=part)
            for part in ("sums", "rests")
        )

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
        sums, rests = ops.convert_to_tensor(self.sums), ops.convert_to_tensor(self.rests)
        for term in map(ops.concatenate, zip(of_bins, of_weights, strict=True)):
            sums, lost = rounded_sum(sums, term)
            rests = rests + lost
        sums, rests = rounded_sum(sums, rests)
        self.sums.assign(sums)
        self.rests.assign(rests)

    def _result(self) -> tuple[Tensor, Tensor]:
        """The sums of the bins, and that of the weights."""
        sums = self.sums + self.rests
        return sums[:-1], sums[-1]


def rounded_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """`a + b`, and what rounding took from it, exactly (Knuth 1969)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def exact_sums(values: Tensor, bins: Tensor | None = None, num_bins: int = 1) -> list[Tensor]:
    """Terms (num_bins,) that add up to the sum of the values of each bin.

    One float after another would lose what is small beside the sum so far. Here each value is cut
    into a whole number of steps and a rest. Whole numbers add up exactly in any order, at first
    those of a lane of values, then, cut again, those of the lanes. Rests do so too where values
    end at the 24th binary digit of the unit; of others, the 36th is rounded.
    """
    largest = ops.max(ops.absolute(values), initial=0.0)
    powers = ops.convert_to_tensor(POWERS, dtype=values.dtype)
    # A power of two: nothing is rounded by it.
    unit = ops.min(ops.where(powers >= largest, powers, powers[-1]))
    parts = ops.stack(cut(values / unit * STEPS), axis=-1)

    number = ops.shape(values)[0]
    lanes = number // STEPS + 1
    if bins is None:
        padding = ops.zeros((lanes * STEPS - number, 2), dtype=values.dtype)
        sums = ops.sum(ops.reshape(ops.concatenate([parts, padding]), (1, lanes, STEPS, 2)), axis=2)
    else:
        lane = ops.arange(number, dtype="int32") // STEPS
        of_lanes = ops.cast(bins, "int32") * lanes + lane
        sums = ops.segment_sum(parts, of_lanes, num_segments=num_bins * lanes)
        sums = ops.reshape(sums, (num_bins, lanes, 2))
    units, steps = cut(sums[..., 0] / STEPS)
    stacks, units_left = cut(units / STEPS)
    more_steps, rest = cut(sums[..., 1])
    step = unit / STEPS
    return [
        ops.sum(stacks, axis=1) * (unit * STEPS),
        ops.sum(units_left * STEPS, axis=1) * unit,
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
