"""Products and quotients that keep their limits, and values that exist only where they hold."""

from typing import Any

from keras import ops

from keras_ce._core.backends import backend

Tensor = Any

SMALLEST_PROBABILITY = 1e-30
"""What a smaller probability counts as."""


def clamped(probabilities: Tensor) -> Tensor:
    """Probabilities within [1e-30, 1]. The gradient is 1 inside, the ends included, else 0."""
    # Not clip or minimum: at p = 1 their gradient is 0, 0.5 or 1, depending on the backend.
    at_most_one = backend.where(probabilities > 1, 1.0, probabilities)
    is_large = probabilities >= SMALLEST_PROBABILITY
    return backend.where(is_large, at_most_one, SMALLEST_PROBABILITY)


def weighted(weights: Tensor, values: Tensor) -> Tensor:
    """`weights * values`, where infinity with weight 0 counts 0."""
    return backend.where(weights == 0, 0.0, weights * values)


def finite_product(small: Tensor, large: Tensor) -> Tensor:
    """`small * large`, where 0 times infinity is 0: for p (-log p) and its kin."""
    return backend.where(small == 0, 0.0, small * large)


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """`numerator / denominator`, 1 where both are 0: for (-log p) / (1 - p) and its kin."""
    is_zero = denominator == 0
    return backend.where(is_zero, 1.0, numerator / backend.where(is_zero, 1.0, denominator))


def nan_where(is_invalid: Tensor, losses: Tensor) -> Tensor:
    """NaN without gradient where `is_invalid`, else the losses.

    It is computed there alone: a NaN that exists as a constant would stop tools that hunt them.
    """
    not_a_number = ops.sqrt(-ops.cast(is_invalid, losses.dtype))
    return backend.where(is_invalid, 0.0, losses) + not_a_number


def infinity_where(condition: Tensor, dtype: Any) -> Tensor:
    """Infinity where `condition` holds, else 0; no infinity exists where it holds nowhere."""
    # Not 1 / x - 1: TensorFlow's reciprocal of 1 may be 0.99999994.
    return -ops.log(ops.cast(ops.logical_not(condition), dtype))
