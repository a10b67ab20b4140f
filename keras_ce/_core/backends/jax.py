"""The verbs on JAX."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
from jax import numpy as jnp

from keras_ce._core.backends.one_replica import (
    number_of_replicas as number_of_replicas,
    replica_mean as replica_mean,
    replica_sum as replica_sum,
    rows_of_all_replicas as rows_of_all_replicas,
)
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

ELEMENTS_OF_LOGITS_AT_ONCE = 2**19
"""2 MB: XLA goes over a piece of a head's logits several times, each time from the cache."""

LAYERS_SEE_METRICS = False
"""Whether Keras hands the state of metrics to the layers of a model that is trained: here it comes
after the forward pass."""

LONG_ENOUGH_FOR_A_VECTOR = 32
"""Rows so long are worth a loop of their own."""


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


def _is_above(size: Any, limit: int) -> bool:
    """Whether a size is above a limit. One that a trace leaves open may be."""
    return not isinstance(size, int) or size > limit


@jax.custom_jvp
def _sums(*terms: Tensor) -> Tensor:
    number, num_classes = terms[0].shape
    is_large = _is_above(number * num_classes, Compilation.ELEMENTS_WORTH_A_MATRIX)
    if not is_large and num_classes >= LONG_ENOUGH_FOR_A_VECTOR:
        # XLA computes with vectors what it writes, but not the terms of several sums at once.
        terms = jax.lax.optimization_barrier(terms)
        return jnp.stack([term.sum(1) for term in terms], axis=1)
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
        return _through_the_cache(forward, tensors)[0]

    @losses.defjvp
    def _(tensors: tuple[Tensor, ...], directions: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        values, residuals = _through_the_cache(forward, tensors)
        inputs, *constants = tensors
        is_large = _is_above(inputs.size, Compilation.ELEMENTS_WORTH_NO_MATRIX) or _is_above(
            inputs.shape[-1], Compilation.CLASSES_WORTH_NO_MATRIX - 1
        )
        # XLA keeps what both passes compute; the barrier hides that it is the same. Beside labels
        # that are a matrix themselves, one more is less than the time of a second exponential.
        if is_large and all(item.ndim == 1 for item in constants):
            tensors = tuple(jax.lax.optimization_barrier(tensors))
        slopes = backward(jnp.ones_like(values), residuals, *tensors)
        changes = slopes * directions[0]
        return values, changes if changes.ndim == values.ndim else changes.sum(-1)

    return losses


def _through_the_cache(forward: Forward, tensors: tuple[Tensor, ...]) -> Any:
    """`forward(*tensors)`; with label rows of very many classes, some rows at a time.

    XLA writes what it adds up in several ways, and reads it back from the cache then.
    """
    number, num_classes = tensors[0].shape[0], tensors[0].shape[-1]
    is_known = isinstance(number, int) and isinstance(num_classes, int)
    has_many_classes = is_known and num_classes >= Compilation.CLASSES_WORTH_NO_MATRIX
    # On several devices, a piece would have to be fetched from one of them.
    is_at_hand = jax.default_backend() == "cpu" and jax.device_count() == 1
    have_matrices = all(item.ndim == 2 for item in tensors)
    if not (has_many_classes and have_matrices and is_at_hand):
        return forward(*tensors)
    rows = max(1, Compilation.ELEMENTS_OF_A_COMPILED_PIECE // num_classes)
    whole = number // rows * rows
    pieces = [item[:whole].reshape(-1, rows, *item.shape[1:]) for item in tensors]
    results = jax.lax.map(lambda piece: forward(*piece), pieces)
    results = jax.tree.map(lambda item: item.reshape(-1, *item.shape[2:]), results)
    if whole == number:
        return results
    last = forward(*(item[whole:] for item in tensors))
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), results, last)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of tensors, compiled by XLA, eager calls included."""
    by_xla = jax.jit(function)

    def run(*tensors: Tensor) -> Any:
        return (by_xla if Compilation.is_on else function)(*tensors)

    return run


def as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is, also where a graph is made of it."""
    return function


in_one = compiled
"""The same for what an eager call would compile operation by operation, with its derivative."""


class Devices(NamedTuple):
    """How a `keras.distribution` spreads positions, and the classes of a kernel, over devices.

    The axes of tensors are named in words, such as "positions width": of those that this names,
    each device holds its part, and of all others the whole.

    Attributes:
        mesh: the devices.
        positions: the axis of the mesh over which the positions are spread, or None.
        classes: that of the classes, or None.
    """

    mesh: Any
    positions: str | None
    classes: str | None

    def each(self, run: Callable[..., Any], tensors: Any, results: Any) -> Callable[..., Any]:
        """`run` of nested tensors with these axes, on each device with its own parts."""
        whole = jax.shard_map(
            run,
            mesh=self.mesh,
            in_specs=jax.tree.map(self._layout, tensors),
            out_specs=jax.tree.map(self._layout, results),
            check_vma=False,
        )
        return jax.jit(whole)

    def _layout(self, axes: str) -> Any:
        return jax.sharding.PartitionSpec(*(getattr(self, axis, None) for axis in axes.split()))

    def total(self, values: Tensor, spread: str) -> Tensor:
        """Inside of `each`, the sum over the devices that share what is spread."""
        axis = getattr(self, spread)
        return values if axis is None else jax.lax.psum(values, axis)

    def largest(self, values: Tensor, spread: str) -> Tensor:
        """The largest of each entry over them."""
        axis = getattr(self, spread)
        return values if axis is None else jax.lax.pmax(values, axis)

    def beside(self, values: Tensor, spread: str) -> Tensor:
        """The columns (N, k) of all of them beside each other."""
        axis = getattr(self, spread)
        return values if axis is None else jax.lax.all_gather(values, axis, axis=1, tiled=True)

    def first(self, size: int, spread: str) -> Any:
        """Where this device's part begins, of parts of this size."""
        axis = getattr(self, spread)
        return 0 if axis is None else size * jax.lax.axis_index(axis)


def devices_of(number: Any, kernel: Any = None, class_axis: int = 0) -> Devices | None:
    """How a number of positions and a kernel are spread over devices, None on one of them.

    Of a kernel that is no weight nothing is known: it is taken as whole on each device.
    """
    distribution = keras.distribution.distribution()
    if distribution is None or not isinstance(number, int):
        return None
    mesh, positions, classes = distribution.device_mesh, distribution.batch_dim_name, None
    if isinstance(kernel, keras.Variable):
        classes = distribution.get_variable_layout(kernel).axes[class_axis]
    sizes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
    if number % sizes[positions]:
        positions = None
    # With the kernel spread over the devices that share the positions, each needs all of it.
    return Devices(mesh.backend_mesh, positions, None if classes == positions else classes)


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


def entries(rows: Tensor, ids: Tensor) -> Tensor:
    """Entries `ids[n]` (K,) of each row n: (N, C) and (N, K) to (N, K)."""
    return jnp.take_along_axis(rows, ids, axis=-1, mode="clip")


def of_classes(values: Tensor, ids: Tensor) -> Tensor:
    """The number (C,) of each id (N,)."""
    return values.take(ids, mode="clip")


def with_label_entry(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """`rows` (N, C) with entry `ids[n]` of each row n replaced by `values[n]`, shape (N, 1)."""
    return jnp.where(jnp.arange(rows.shape[-1], dtype=ids.dtype) == ids[:, None], values, rows)


def with_added(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """`rows` (N, C) with `values[n]` (K,) added to entries `ids[n]` (K,) of each row n."""
    is_there = jnp.arange(rows.shape[-1], dtype=ids.dtype) == ids[:, :, None]
    return rows + jnp.where(is_there, values[:, :, None], 0.0).sum(1)


def others_again(rows: Tensor, ids: Tensor) -> Tensor:
    """`rows` before their label entries are replaced, as the forward pass has added them up.

    Without the label's: XLA keeps one matrix for both passes then, and not one with it as well.
    """
    return with_label_entry(rows, ids, 0.0)


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


def exponentials_below(rows: Tensor, bound: Tensor) -> Tensor:
    """`exp(rows - bound)`."""
    return jnp.exp(rows - bound)


def scaled(rows: Tensor, factors: Tensor) -> Tensor:
    """`rows * factors`."""
    return rows * factors


def minus_product(rows: Tensor, factors: Tensor, values: Tensor | float) -> Tensor:
    """`rows - factors * values`."""
    return rows - factors * values


# --- tiles of a linear map ---


def part(values: Tensor, start: Any, size: Any, axis: int = 0) -> Tensor:
    """`size` entries of one axis from `start` on."""
    return jax.lax.dynamic_slice_in_dim(values, start, size, axis)


def with_part(values: Tensor, start: Any, entries: Tensor, axis: int = 0) -> Tensor:
    """`values` with `entries` from `start` on along one axis. They may be overwritten."""
    return jax.lax.dynamic_update_slice_in_dim(values, entries, start, axis)


def product(left: Tensor, right: Tensor, turn: str = "", out: Tensor | None = None) -> Tensor:
    """The product of two matrices, added up in float32 or wider.

    `turn` names those that are transposed first, "left" or "right"; `out` may take the result.
    """
    axes = (0 if turn == "left" else 1,), (1 if turn == "right" else 0,)
    wide = jnp.promote_types(left.dtype, jnp.float32)
    return jax.lax.dot_general(left, right, (axes, ((), ())), preferred_element_type=wide)


def plus_product(
    matrix: Tensor,
    start: Any,
    axis: int,
    left: Tensor,
    right: Tensor,
    turn: str = "",
    factor: Tensor | None = None,
) -> Tensor:
    """`matrix` plus `factor` times a product, from `start` on along one axis.

    It may be overwritten.
    """
    added = product(left, right, turn)
    added = added if factor is None else factor * added
    return with_part(matrix, start, part(matrix, start, added.shape[axis], axis) + added, axis)


def room(like: Tensor, number: int, rows: Any, width: int, is_kept: bool) -> Tensor | None:
    """Where pieces (rows, width) may be written, `number` of them if they are to be kept."""
    return jnp.zeros((number, rows, width), like.dtype) if is_kept else None


def place(store: Tensor | None, index: Any) -> Tensor | None:
    """Where a piece is to be written, on the backend that writes in place."""
    return None


def with_piece(store: Tensor, index: Any, piece: Tensor) -> Tensor:
    """`store` with a piece (rows, width) kept at its place."""
    return jax.lax.dynamic_update_slice_in_dim(store, piece[None], index, 0)


def piece_of(store: Tensor, index: Any) -> Tensor:
    """The piece kept at a place. It may be overwritten."""
    return jax.lax.dynamic_index_in_dim(store, index, 0, keepdims=False)


def plus(rows: Tensor, values: Tensor) -> Tensor:
    """`rows + values`. `rows` may be overwritten."""
    return rows + values


def soft_capped(rows: Tensor, cap: float) -> Tensor:
    """`cap * tanh(rows / cap)`. `rows` may be overwritten."""
    return cap * jnp.tanh(rows / cap)


def without(rows: Tensor, ids: Tensor, skipped: Any, value: float) -> Tensor:
    """`rows` (N, C) with `value` at `ids[n]` of each row n, and in the first `skipped` columns.

    Ids outside [0, C) stand for no entry. `rows` may be overwritten.
    """
    columns = jnp.arange(rows.shape[-1], dtype=ids.dtype)
    return jnp.where((columns == ids[:, None]) | (columns < skipped), value, rows)


def top_k(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row in descending order, and where they stand."""
    return jax.lax.top_k(rows, k)


def trips(number: Any) -> Any:
    """A number of iterations that depends on the data, as a loop takes it."""
    return number


def may_loop_by_values(values: Tensor) -> bool:
    """Whether a loop's length may depend on these values."""
    return True


# --- derivatives of what is computed by tiles ---


def with_derivative_of(run: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """`run(*nested)`, compiled, whose derivative is that of `plain`, the same in plain steps.

    It is `plain` itself where a trace leaves a size open: then nobody can count tiles.
    """
    by_xla = jax.jit(run)

    @jax.custom_jvp
    def both(*nested: Any) -> Any:
        sizes = [size for item in jax.tree.leaves(nested) for size in item.shape]
        if not all(isinstance(size, int) for size in sizes):
            return plain(*nested)
        return (by_xla if Compilation.is_on else run)(*nested)

    @both.defjvp
    def _(nested: Any, directions: Any) -> Any:
        return both(*nested), jax.jvp(plain, nested, directions)[1]

    return both


def without_derivative(function: Callable[..., Any], *groups: tuple[Tensor, ...]) -> Any:
    """`function(*groups)` of groups of tensors, as a constant."""
    return function(*(tuple(map(jax.lax.stop_gradient, group)) for group in groups))


def gradients_of(
    function: Callable[..., Any], inputs: tuple[Tensor, ...], upstream: Any
) -> tuple[Any, tuple[Tensor, ...]]:
    """`function(*inputs)` and the gradient of each input, for the upstream of each result."""
    values, pullback = jax.vjp(function, *inputs)
    return values, pullback(upstream)


def attach(
    values: tuple[Tensor, ...],
    gradients: Callable[..., tuple[Tensor | None, ...]],
    inputs: tuple[Tensor, ...],
    constants: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    """Values that are a known function of `inputs`, with its gradient.

    `gradients(upstream, inputs, constants)` gives that of each input, from one upstream for each
    value; None where there is none.
    """

    @jax.custom_vjp
    def attached(values: Any, inputs: Any, constants: Any) -> Any:
        return values

    def forward(values: Any, inputs: Any, constants: Any) -> Any:
        # By itself, so that whoever differentiates this meets the gradient again.
        return attached(values, inputs, constants), (inputs, constants)

    def backward(saved: Any, upstream: Any) -> Any:
        return None, gradients(upstream, *saved), None

    attached.defvjp(forward, backward)
    return attached(jax.lax.stop_gradient(values), inputs, constants)


def with_known_gradients(
    run: Callable[..., Any], inputs: tuple[Tensor, ...], constants: tuple[Tensor, ...]
) -> tuple[Tensor, Any]:
    """A value that comes with its gradients, and what else comes with it, without derivative.

    `run(inputs, constants)` returns the value, the rest, and the gradient of each input or None.
    """

    @jax.custom_vjp
    def value(inputs: Any, constants: Any) -> Any:
        return run(inputs, constants)[:2]

    def forward(inputs: Any, constants: Any) -> Any:
        result, others, gradients = run(inputs, constants)
        return (result, others), gradients

    def backward(gradients: Any, upstream: Any) -> Any:
        scaled = (
            each if each is None else upstream[0].astype(each.dtype) * each for each in gradients
        )
        return tuple(scaled), None

    value.defvjp(forward, backward)
    result, others = value(inputs, constants)
    return result, jax.lax.stop_gradient(others)


# --- rows compared with each other ---


def full_product(rows: Tensor, columns: Tensor) -> Tensor:
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


def divergence(
    student: Tensor, teacher: Tensor, temperature: float, by_differences: Callable[..., Any]
) -> Any:
    """What `DistillationCrossentropy` is of finite rows (N, C): `by_differences` of both."""
    return by_differences(student, teacher)


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
