"""The verbs on JAX."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from keras_ce._core.backends.passes import (
    Backward,
    Compilation,
    Forward,
    Passes,
    gradients_for_each,
)

Tensor = Any

SMALL_ENOUGH_FOR_NUMPY = 2**16
"""Up to here NumPy looks at values in less time than an operation takes to start."""


# --- values and derivatives ---


def any_true(flags: Tensor) -> bool | None:
    """Whether an entry is true; None where there are no values: they are compiled or symbolic."""
    if not isinstance(flags, jax.core.Tracer):
        return bool(flags.any())
    try:
        return bool(jnp.any(flags))  # Inside a bare gradient there still are values.
    except jax.errors.ConcretizationTypeError:
        return None


def all_within(values: Tensor, low: float, high: float) -> bool | None:
    """Whether all entries lie from `low` to `high`; None where there are no values."""
    if isinstance(values, jax.core.Tracer):
        found = any_true(~((values >= low) & (values <= high)))
        return None if found is None else not found
    if values.size > SMALL_ENOUGH_FOR_NUMPY:
        return bool(((values >= low) & (values <= high)).all())
    array = np.asarray(values)
    return not array.size or bool(low <= array.min() and array.max() <= high)


def are_at_hand(values: Tensor) -> bool:
    """Whether it costs no waiting for a device to read a tensor."""
    is_array = isinstance(values, jax.Array) and not isinstance(values, jax.core.Tracer)
    return is_array and {device.platform for device in values.devices()} == {"cpu"}


def has_values(flags: Tensor) -> bool:
    """Whether the entries of a tensor can be read: `any_true` found one."""
    return True


class Constant:
    """An array as a tensor, made once."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        with jax.ensure_compile_time_eval():
            self._values = jnp.asarray(values)

    def tensor(self, like: Tensor) -> Tensor:
        """The tensor beside another."""
        return self._values


exp, log, log1p, where = jnp.exp, jnp.log, jnp.log1p, jnp.where


def is_float(values: Any) -> bool:
    """Whether a value is a tensor of this backend in float32 or wider."""
    return isinstance(values, jax.Array) and values.dtype in (jnp.float32, jnp.float64)


def carries_nothing(values: Any) -> bool:
    """Whether it is sure that no layer has attached anything to a tensor: never."""
    return False


def widest_integer() -> str:
    """The widest type of integers: int32, unless JAX has been told to know int64."""
    return str(jax.dtypes.canonicalize_dtype("int64"))


def index(ids: Tensor) -> Tensor:
    """Integers in the type in which operations take them as indices."""
    return ids


def column(values: Tensor) -> Tensor:
    """From (N,) to (N, 1)."""
    return jnp.expand_dims(values, -1)


def flat(values: Tensor) -> Tensor:
    """From (N, 1) to (N,)."""
    return jnp.squeeze(values, -1)


def zero(like: Tensor) -> Tensor | float:
    """What `with_label_entry` takes as a zero; `like` is (N, 1)."""
    return 0.0


def row_sum(rows: Tensor) -> Tensor:
    """The sum of each row: (..., C) to (..., 1)."""
    return rows.sum(-1, keepdims=True)


def row_sums(*terms: Tensor) -> list[Tensor]:
    """The sum of each row of each term, (N, C) to (N, 1), in one pass over all of them."""
    return jnp.split(_sums(*terms), len(terms), axis=1)


@jax.custom_jvp
def _sums(*terms: Tensor) -> Tensor:
    # XLA would go over the rows once for each sum, and compute what is added up each time.
    zeros = tuple(np.zeros((), term.dtype) for term in terms)
    return jnp.stack(jax.lax.reduce(terms, zeros, _add_each, (1,)), axis=1)


@functools.partial(_sums.defjvp, symbolic_zeros=True)
def _(terms: tuple[Tensor, ...], directions: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    sums = _sums(*terms)
    columns = [
        jnp.zeros_like(sums[:, column])
        if isinstance(direction, jax.custom_derivatives.SymbolicZero)
        else direction.sum(1)
        for column, direction in enumerate(directions)
    ]
    return sums, jnp.stack(columns, axis=1)


def _add_each(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(left + right for left, right in zip(first, second, strict=True))


def closed_form(
    forward: Forward, backward: Backward, inputs: Tensor, *constants: Tensor, by_rows: bool = False
) -> Tensor:
    """See `Passes`. By rows, it has a derivative in forward mode as well."""
    if by_rows:
        return _by_rows(forward, backward)(inputs, *constants)

    @jax.custom_vjp
    def losses(*tensors: Tensor) -> Tensor:
        return forward(*tensors)[0]

    def with_residuals(*tensors: Tensor) -> tuple[Tensor, Any]:
        values, residuals = forward(*tensors)
        return values, (residuals, tensors)

    def gradients(saved: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        residuals, tensors = saved
        return gradients_for_each(backward(upstream, residuals, *tensors), len(tensors))

    losses.defvjp(with_residuals, gradients)
    return losses(inputs, *constants)


def closed_form_of_rows(
    passes: Passes, inputs: Tensor, *constants: Tensor, varies: bool = False
) -> Tensor:
    """`closed_form` of `inputs` (N, C) and constants (N, ...) whose rows do not see each other.

    Forward mode works as well. Only `inputs` have a derivative.
    """
    if passes.are_kept and Compilation.is_on:
        return _compiled_by_rows(passes.forward, passes.backward)(inputs, *constants)
    return _by_rows(passes.forward, passes.backward)(inputs, *constants)


@functools.lru_cache(maxsize=256)
def _compiled_by_rows(forward: Forward, backward: Backward) -> Callable[..., Tensor]:
    """For eager calls, which pay for each operation; compiled code takes it apart again."""
    return jax.jit(_by_rows(forward, backward), inline=True)


def _by_rows(forward: Forward, backward: Backward) -> Callable[..., Tensor]:
    """The losses, one for each row or entry of the first tensor, the only one with a derivative."""

    @jax.custom_jvp
    def losses(*tensors: Tensor) -> Tensor:
        return forward(*tensors)[0]

    @losses.defjvp
    def _(tensors: tuple[Tensor, ...], directions: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        values, residuals = forward(*tensors)
        inputs, *constants = tensors
        is_large = (
            inputs.size >= Compilation.ELEMENTS_WORTH_NO_MATRIX
            or inputs.shape[-1] >= Compilation.CLASSES_WORTH_NO_MATRIX
        )
        # XLA keeps what both passes compute; the barrier hides that it is the same. Beside labels
        # that are a matrix themselves, one more is less than the time of a second exponential.
        if is_large and all(item.ndim == 1 for item in constants):
            tensors = tuple(jax.lax.optimization_barrier(tensors))
        slopes = backward(jnp.ones_like(values), residuals, *tensors)
        changes = slopes * directions[0]
        return values, changes if changes.ndim == values.ndim else changes.sum(-1)

    return losses


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of tensors, compiled by XLA, eager calls included."""
    by_xla = jax.jit(function)

    def run(*tensors: Tensor) -> Any:
        return (by_xla if Compilation.is_on else function)(*tensors)

    return run


in_one = compiled
"""The same for what an eager call would compile operation by operation, with its derivative."""


def replica_scale() -> float:
    """1: an array is one over all devices."""
    return 1.0


# --- operations on rows of classes ---


def largest(rows: Tensor) -> Tensor:
    """The largest entry of each row: (..., C) to (..., 1)."""
    return rows.max(-1, keepdims=True) if rows.shape[-1] else rows.sum(-1, keepdims=True)


def smallest(rows: Tensor) -> Tensor:
    """The smallest entry of each row: (..., C) to (..., 1)."""
    return rows.min(-1, keepdims=True) if rows.shape[-1] else rows.sum(-1, keepdims=True)


def sums_beside_top(parts: Tensor, also: tuple[Tensor, ...] = ()) -> list[Tensor]:
    """The sum of each row but for one of its entries 1; and the sums of others, (N, 1) each."""
    is_top = parts >= 1
    others, number, *sums = row_sums(
        jnp.where(is_top, 0.0, parts), is_top.astype(parts.dtype), *also
    )
    return [others + (number - 1), *sums]


def label_sums(parts: Tensor, judged: Tensor, weights: Tensor, values: Tensor) -> list[Tensor]:
    """That of `sums_beside_top`, the sum of `judged` and that of the products weight * value.

    Each (N, C) to (N, 1); 0 times -infinity is 0.
    """
    products = jnp.where(weights == 0, 0.0, weights * values)
    return sums_beside_top(parts, (judged, products))


def label_entry(rows: Tensor, ids: Tensor) -> Tensor:
    """Entry `ids[n]` of each row n: (N, C) and (N,) to (N, 1)."""
    # "clip" keeps the NaN out that stands for what lies outside; nothing does.
    return jnp.take_along_axis(rows, ids[..., None], axis=-1, mode="clip")


def of_classes(values: Tensor, ids: Tensor) -> Tensor:
    """The number (C,) of each id (N,)."""
    return values.take(ids, mode="clip")


def with_label_entry(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """`rows` (N, C) with entry `ids[n]` of each row n replaced by `values[n]`, shape (N, 1)."""
    return jnp.where(jnp.arange(rows.shape[-1], dtype=ids.dtype) == ids[:, None], values, rows)


def with_label_entry_of_piece(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """The same for rows of which some have no such entry: they stay as they are."""
    return with_label_entry(rows, ids, values)


def exponentials(rows: Tensor, peak: Tensor) -> Tensor:
    """`exp(rows - peak)` (N, C), in a tensor of its own."""
    return jnp.exp(rows - peak)


def sigmoid_losses(logits: Tensor, yes: Tensor, no: Tensor, both: Tensor | float) -> Tensor:
    """-yes log p - no log(1 - p) of each entry; `both` is yes + no."""
    distance = jnp.abs(logits)
    wrong = jnp.where(logits < 0, yes, no)
    return both * jnp.log1p(jnp.exp(-distance)) + jnp.where(wrong == 0, 0.0, wrong * distance)


def sigmoid_slopes(logits: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """The derivative of -yes log p - no log(1 - p) by each logit."""
    # One exponential for both. Not the absolute value, whose derivative at 0 is 0.
    is_negative = logits < 0
    small = jnp.exp(jnp.where(is_negative, logits, -logits))
    right, wrong = jnp.where(is_negative, small, 1.0), jnp.where(is_negative, 1.0, small)
    return (no * right - yes * wrong) / (1 + small)


def affine(rows: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`rows @ kernel + bias`."""
    return rows @ kernel + bias


def exponentials_below(rows: Tensor, bound: Tensor) -> Tensor:
    """`exp(rows - bound)`."""
    return jnp.exp(rows - bound)


def scaled(rows: Tensor, factors: Tensor) -> Tensor:
    """`rows * factors`."""
    return rows * factors


def minus_product(rows: Tensor, factors: Tensor, values: Tensor | float) -> Tensor:
    """`rows - factors * values`."""
    return rows - factors * values


def with_columns(matrix: Tensor, start: Any, columns: Tensor) -> Tensor:
    """`matrix` (D, C) with `columns` (D, width) from column `start` on."""
    return jax.lax.dynamic_update_slice(matrix, columns, (0, start))


# --- rows compared with each other ---


def product(rows: Tensor, columns: Tensor) -> Tensor:
    """`rows @ columns`, with no digits left out for speed."""
    return jnp.matmul(rows, columns, precision="highest")


def rows_at(rows: Tensor, numbers: Tensor) -> Tensor:
    """The rows (N, D) with the numbers (N,), of rows (B, D)."""
    return rows.take(numbers, axis=0, mode="clip")


def first_true(flags: Tensor) -> Tensor:
    """The column (N,) of the first true entry of each row of flags (N, C); 0 without one."""
    return jnp.argmax(flags, axis=-1).astype("int32") if flags.shape[-1] else flags.sum(-1)


def number_of_steps(numbers: Tensor) -> Tensor:
    """The largest of numbers (N,), as a loop takes it."""
    return numbers.max(initial=0)


def distances(rows: Tensor, is_squared: bool, by_pieces: Callable[..., Tensor]) -> Tensor:
    """The distances (B, B) of rows (B, D), or their squares: `by_pieces(rows, is_squared)`."""
    return by_pieces(rows, is_squared)


def distances_gradient(
    weights: Tensor,
    values: Tensor,
    rows: Tensor,
    is_squared: bool,
    by_pieces: Callable[..., Tensor],
) -> Tensor:
    """The sum over j of w_ij times the derivative of `distances` by row i: (B, D).

    `values` are these distances, the weights (B, B) are symmetric. It is `by_pieces` of the other
    arguments.
    """
    return by_pieces(weights, values, rows, is_squared)
