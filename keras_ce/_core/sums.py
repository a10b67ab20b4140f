"""Sums over many batches, in metrics, that lose no row."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

Tensor = Any


class SumsInPairs(keras.metrics.Metric):
    """A metric of sums over all batches that lose no row.

    A float32 counts up to 2**24 and stands still there, so each sum has a second variable for
    what rounding took from it. Both together count up to 2**48; how the positions were split
    into batches does not show. (An int32 would end at 2**31, and TensorFlow keeps such variables
    in the processor's memory, where code compiled for a GPU does not reach them.)

    Args:
        name: name of the metric.
        dtype: dtype of the result.
    """

    def __init__(self, name: str, dtype: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self._sum_dtype = "float64" if self.dtype == "float64" else "float32"

    def _make_sums(self, number: int) -> None:
        # Not `add_variable`, whose variables a layer with mixed precision reads in half precision.
        self.sums, self.rests = (
            keras.Variable(
                "zeros",
                (number,),
                self._sum_dtype,
                trainable=False,
                autocast=False,
                aggregation="sum",
                synchronization="on_read",
                name=part,
            )
            for part in ("sums", "rests")
        )

    def _add(self, terms: Iterable[Tensor]) -> None:
        """Adds terms, each with one number for each sum."""
        sums, rests = ops.convert_to_tensor(self.sums), ops.convert_to_tensor(self.rests)
        for term in terms:
            sums, lost = rounded_sum(sums, term)
            rests = rests + lost
        sums, rests = rounded_sum(sums, rests)
        self.sums.assign(sums)
        self.rests.assign(rests)


def rounded_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """`a + b`, and what rounding took from it, exactly (Knuth 1969)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)
