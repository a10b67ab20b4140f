"""Labels and predictions as tensors, and what happens to those that do not count."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any

SMALLEST_PROBABILITY = 1e-30
PROBABILITY_TOLERANCE = 1e-6


def predictions(y_pred: Any) -> Tensor:
    """`y_pred` as a tensor of float32 or wider."""
    y_pred = tensor("y_pred", y_pred)
    if keras.backend.standardize_dtype(y_pred.dtype) in ("float32", "float64"):
        return y_pred
    return ops.cast(y_pred, "float32")


def tensor(name: str, value: Any) -> Tensor:
    """An array, tensor or (nested) list of numbers as a tensor; Python floats become float32."""
    if ops.is_tensor(value) or isinstance(value, keras.Variable):
        return ops.convert_to_tensor(value)
    array = to_array(name, value)
    if array.dtype == np.float64 and not hasattr(value, "dtype"):
        array = array.astype("float32")
    return ops.convert_to_tensor(array)


def to_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    """An array or (nested) list of numbers as NumPy array."""
    if isinstance(value, dict) or (
        isinstance(value, Sequence) and any(ops.is_tensor(item) for item in value)
    ):
        raise ValueError(
            f"`{name}` must be one tensor. Received: a {type(value).__name__} of {len(value)} "
            "tensors. A loss sees one output of a model at a time: concatenate or stack them "
            "in the model, or give each output a loss of its own."
        )
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ValueError(f"`{name}` must hold numbers. Received: values of type {array.dtype}.")
    return array


def clamped(probabilities: Tensor) -> Tensor:
    """Probabilities within [1e-30, 1]. The gradient is 1 inside, the ends included, else 0."""
    # Not clip or minimum: at p = 1 their gradient is 0, 0.5 or 1, depending on the backend.
    at_most_one = ops.where(probabilities > 1, ops.ones_like(probabilities), probabilities)
    smallest = ops.full_like(probabilities, SMALLEST_PROBABILITY)
    return ops.where(probabilities >= SMALLEST_PROBABILITY, at_most_one, smallest)


def weighted(weights: Tensor, values: Tensor) -> Tensor:
    """`weights * values`, where infinity with weight 0 counts 0."""
    return ops.where(ops.equal(weights, 0), 0.0, weights * values)


def finite_product(small: Tensor, large: Tensor) -> Tensor:
    """`small * large`, where 0 times infinity is 0: for p (-log p) and its kin."""
    return ops.where(ops.equal(small, 0), 0.0, small * large)


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """`numerator / denominator`, 1 where both are 0: for (-log p) / (1 - p) and its kin."""
    is_zero = ops.equal(denominator, 0)
    return ops.where(is_zero, 1.0, numerator / ops.where(is_zero, 1.0, denominator))


def last_axis_size(values: Tensor) -> Tensor:
    """The size of the last axis in the dtype of `values`, also where a trace does not know it."""
    return ops.cast(ops.shape(values)[-1], values.dtype)


def last_axis_mean(values: Tensor) -> Tensor:
    """The mean over the last axis, which stays. On torch, `ops.mean` rounds float64 to float32."""
    return ops.sum(values, -1, keepdims=True) / last_axis_size(values)


def either(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Logical or of two boolean tensors, each of which may be missing."""
    if first is None or second is None:
        return second if first is None else first
    return ops.logical_or(first, second)


def unless_exempt(condition: Tensor, is_exempt: Tensor | None) -> Tensor:
    """Where `condition` holds at a position that is not exempt."""
    return condition if is_exempt is None else condition & ops.logical_not(is_exempt)


def exempt_to_zero(values: Tensor, is_exempt: Tensor | None) -> Tensor:
    """`values` (..., C) with the rows of the exempt positions (...) replaced by zeros."""
    if is_exempt is None:
        return values
    return ops.where(ops.expand_dims(is_exempt, -1), ops.zeros_like(values), values)


def settle(losses: Tensor, is_valid: Tensor, is_exempt: Tensor | None) -> Tensor:
    """NaN at the positions that are not valid, then 0 at the exempt ones."""
    losses = ops.where(is_valid, losses, float("nan"))
    return losses if is_exempt is None else ops.where(is_exempt, 0.0, losses)
