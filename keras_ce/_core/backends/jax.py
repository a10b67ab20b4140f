"""The verbs on JAX."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from keras_ce._core.backends.passes import (
    Backward,
    Compilation,
    Forward,
    gradients_for_each,
)

Tensor = Any

CLASSES_WORTH_PIECES = 512
"""From here on, a piece of rows in the cache saves more than the loop over pieces costs."""

ELEMENTS_OF_A_PIECE = 2**20
"""4 MB in float32."""

ELEMENTS_OF_A_COMPILED_PIECE = 2**18
"""1 MB in float32: XLA works on all of a piece at once, for each operation in turn."""

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


exp, log, log1p, where, absolute = jnp.exp, jnp.log, jnp.log1p, jnp.where, jnp.abs


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


def closed_form(forward: Forward, backward: Backward, inputs: Tensor, *constants: Tensor) -> Tensor:
    """See `Passes`."""

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
    forward: Forward, backward: Backward, inputs: Tensor, *constants: Tensor
) -> Tensor:
    """`closed_form` of `inputs` (N, C) and constants (N, ...) whose rows do not see each other.

    With many classes, rows go piece by piece through the processor's cache.
    """
    # Outside of jit, each call would be compiled anew; on several devices, a piece would have to
    # be fetched from one of them.
    is_on_one = jax.default_backend() == "cpu" and jax.device_count() == 1
    if (
        inputs.shape[-1] >= CLASSES_WORTH_PIECES
        and is_on_one
        and isinstance(inputs, jax.core.Tracer)
        and Compilation.is_on
    ):
        forward = _piece_by_piece(forward)
    return closed_form(forward, backward, inputs, *constants)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of tensors, compiled by XLA, eager calls included."""
    by_xla = jax.jit(function)

    def run(*tensors: Tensor) -> Any:
        return (by_xla if Compilation.is_on else function)(*tensors)

    return run


def replica_scale() -> float:
    """1: an array is one over all devices."""
    return 1.0


def _piece_by_piece(forward: Forward) -> Forward:
    """`forward`, by pieces of rows where it gives a few numbers for each.

    XLA writes out whatever it adds up over a row. What has the size of a piece stays in the cache.
    """

    def in_pieces(*tensors: Tensor) -> Any:
        losses, residuals = jax.eval_shape(forward, *tensors)
        gives_numbers = all(math.prod(item.shape[1:]) == 1 for item in (losses, *residuals))
        number, width = tensors[0].shape
        step = max(1, ELEMENTS_OF_A_COMPILED_PIECE // width)
        if not gives_numbers or number <= step:
            return forward(*tensors)

        def with_piece(piece: Any, results: list[Tensor]) -> list[Tensor]:
            start = jnp.minimum(piece * step, number - step)  # The last two may overlap.
            rows = [jax.lax.dynamic_slice_in_dim(item, start, step) for item in tensors]
            losses, residuals = forward(*rows)
            return [
                jax.lax.dynamic_update_slice_in_dim(item, part, start, 0)
                for item, part in zip(results, (losses, *residuals), strict=True)
            ]

        results = [jnp.zeros(item.shape, item.dtype) for item in (losses, *residuals)]
        pieces = (number + step - 1) // step
        losses, *residuals = jax.lax.fori_loop(0, pieces, with_piece, results)
        return losses, tuple(residuals)

    return in_pieces


# --- operations on rows of classes ---


def largest(rows: Tensor) -> Tensor:
    """The largest entry of each row: (..., C) to (..., 1)."""
    return rows.max(-1, keepdims=True) if rows.shape[-1] else rows.sum(-1, keepdims=True)


def smallest(rows: Tensor) -> Tensor:
    """The smallest entry of each row: (..., C) to (..., 1)."""
    return rows.min(-1, keepdims=True) if rows.shape[-1] else rows.sum(-1, keepdims=True)


def top(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The largest entry (N, 1) of each row (N, C), and where it stands (N,), int32."""
    peak = largest(rows)
    # Not argmax: compiled, a selection and a minimum take less time beside the rest.
    last = rows.shape[-1] - 1
    classes = jnp.arange(last + 1, dtype="int32")
    return peak, jnp.where(rows == peak, classes, last).min(-1)


def inner_product(rows: Tensor, values: Tensor) -> Tensor:
    """The sum of the products of each row, (N, 1), where 0 times -infinity is 0."""
    return jnp.where(rows == 0, 0.0, rows * values).sum(-1, keepdims=True)


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


def minus_one_at(rows: Tensor, ids: Tensor) -> Tensor:
    """`rows` (N, C) minus 1 at entry `ids[n]` of each row n."""
    classes = jnp.arange(rows.shape[-1], dtype=ids.dtype)
    return rows - (classes == ids[:, None]).astype(rows.dtype)


def exponentials(rows: Tensor, peak: Tensor) -> Tensor:
    """`exp(rows - peak)` (N, C), in a tensor of its own."""
    return jnp.exp(rows - peak)


def sigmoid_losses(logits: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """-yes log p - no log(1 - p) of each entry, without (yes + no - 1) log(1 + exp(-|z|))."""
    distance = jnp.abs(logits)
    wrong = jnp.where(logits < 0, yes, no)
    return jnp.log1p(jnp.exp(-distance)) + jnp.where(wrong == 0, 0.0, wrong * distance)


def sigmoid_slopes(logits: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """The derivative of -yes log p - no log(1 - p) by each logit."""
    return no * jax.nn.sigmoid(logits) - yes * jax.nn.sigmoid(-logits)


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
