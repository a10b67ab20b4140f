"""The verbs on TensorFlow."""

import contextvars
import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ce._core.backends.passes import (
    Backward,
    Compilation,
    Forward,
    Passes,
    gradients_for_each,
)
from keras_ce._core.backends.tensorflow_replicas import (
    number_of_replicas as number_of_replicas,
    replica_mean as replica_mean,
    replica_sum as replica_sum,
    rows_of_all_replicas as rows_of_all_replicas,
)

Tensor = Any

SMALL_ENOUGH_FOR_NUMPY = 2**16
"""Up to here NumPy looks at values in less time than an operation takes to start."""

ELEMENTS_OF_LOGITS_AT_ONCE = 2**19
"""2 MB: XLA goes over a piece of a head's logits several times, each time from the cache."""

LAYERS_SEE_METRICS = True
"""Whether Keras hands the state of metrics to the layers of a model that is trained."""

_NO_SECOND_DERIVATIVE = (
    "TensorFlow cannot differentiate this gradient once more. For second derivatives, take JAX or "
    "torch as backend."
)


# --- values and derivatives ---


def any_true(flags: Tensor) -> bool | None:
    """Whether an entry is true; None where there are no values: they are compiled or symbolic."""
    if _is_symbolic(flags):
        return None
    return bool(tf.reduce_any(flags).numpy())


def all_within(values: Tensor, low: float, high: float) -> bool | None:
    """Whether all entries lie from `low` to `high`; None where there are no values."""
    if _is_symbolic(values):
        return None
    array = values.numpy()
    if array.size > SMALL_ENOUGH_FOR_NUMPY:
        return bool(tf.reduce_all((values >= low) & (values <= high)))
    return not array.size or bool(low <= array.min() and array.max() <= high)


def are_at_hand(values: Tensor) -> bool:
    """Whether it costs no waiting for a device to read a tensor."""
    return not _is_symbolic(values) and "CPU" in values.device


def has_values(flags: Tensor) -> bool:
    """Whether the entries of a tensor can be read: `any_true` found one."""
    return True


def _is_symbolic(values: Tensor) -> bool:
    return isinstance(values, keras.KerasTensor) or tf.is_symbolic_tensor(values)


class Constant:
    """An array as a tensor, made once, for eager code and every graph."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        with tf.init_scope():
            self._values = tf.constant(values)

    def tensor(self, like: Tensor) -> Tensor:
        """The tensor beside another."""
        return self._values


exp, log, log1p = tf.exp, tf.math.log, tf.math.log1p


def where(condition: Tensor, first: Any, second: Any) -> Tensor:
    """`first` where the condition holds, else `second`; one of them may be a number."""
    # Graphs take a number for a float32 whatever the other one is.
    if isinstance(first, (int, float)):
        first = tf.constant(first, second.dtype)
    elif isinstance(second, (int, float)):
        second = tf.constant(second, first.dtype)
    return tf.where(condition, first, second)


def is_float(values: Any) -> bool:
    """Whether a value is a tensor of this backend in float32 or wider."""
    return isinstance(values, tf.Tensor) and values.dtype in (tf.float32, tf.float64)


def carries_nothing(values: Any) -> bool:
    """Whether it is sure that no layer has attached anything, such as a mask, to a tensor."""
    return tf.executing_eagerly() and not vars(values)


def widest_integer() -> str:
    """The widest type of integers."""
    return "int64"


def index(ids: Tensor) -> Tensor:
    """Integers in the type in which operations take them as indices."""
    return ids


def column(values: Tensor) -> Tensor:
    """From (N,) to (N, 1)."""
    return tf.expand_dims(values, -1)


def flat(values: Tensor) -> Tensor:
    """From (N, 1) to (N,)."""
    return tf.squeeze(values, -1)


def zero(like: Tensor) -> Tensor | float:
    """What `with_label_entry` takes as a zero; `like` is (N, 1)."""
    return 0.0


def row_sum(rows: Tensor) -> Tensor:
    """The sum of each row: (..., C) to (..., 1)."""
    return tf.reduce_sum(rows, -1, keepdims=True)


def row_sums(*terms: Tensor) -> tuple[Tensor, ...]:
    """The sum of each row of each term, (N, C) to (N, 1)."""
    if not _is_for_xla.get():
        return tuple(map(row_sum, terms))
    # XLA would go over the rows once for each sum, and compute what is added up each time. Two
    # real sums are one complex sum.
    sums: list[Tensor] = []
    for start in range(0, len(terms) - 1, 2):
        both = row_sum(tf.complex(*terms[start : start + 2]))
        sums += [tf.math.real(both), tf.math.imag(both)]
    return (*sums, row_sum(terms[-1])) if len(terms) % 2 else tuple(sums)


def closed_form(
    forward: Forward, backward: Backward, inputs: Tensor, *constants: Tensor, by_rows: bool = False
) -> Tensor:
    """See `Passes`."""

    @tf.custom_gradient
    def losses(*tensors: Tensor) -> tuple[Tensor, Any]:
        values, residuals = forward(*tensors)

        def gradients(upstream: Tensor) -> tuple[Tensor | None, ...]:
            return gradients_for_each(backward(upstream, residuals, *tensors), len(tensors))

        return values, gradients

    return losses(inputs, *constants)


def closed_form_of_rows(
    passes: Passes, inputs: Tensor, *constants: Tensor, varies: bool = False
) -> Tensor:
    """`closed_form` of `inputs` (N, C) and constants (N, ...) whose rows do not see each other.

    Graphs compile it by XLA unless it is small; with many classes, rows go piece by piece through
    the processor's cache. Eager calls run a graph that was traced once. `varies` says that N
    may be another number at each call: with few classes nothing is compiled for it then.
    """
    forward, backward = passes.forward, passes.backward
    if tf.executing_eagerly():
        if passes.are_kept and math.prod(inputs.shape) <= Compilation.MANY_ELEMENTS:
            forward, backward = _traced_once(passes, len(constants))
    elif Compilation.is_on and _is_worth_compiling(inputs.shape, varies):
        forward, backward = _compiled_by_pieces(forward), _by_xla(backward)
    return closed_form(forward, backward, inputs, *constants)


@functools.lru_cache(maxsize=256)
def _traced_once(passes: Passes, number_of_constants: int) -> tuple[Forward, Backward]:
    """Both passes as graphs, for all shapes: an eager call starts one instead of its operations.

    The backward pass computes the residuals anew, for second derivatives: the forward pass is not
    watched, or TensorFlow would trace its derivative too.
    """

    @functools.partial(tf.function, autograph=False, reduce_retracing=True)
    def losses(*tensors: Tensor) -> Tensor:
        return passes.forward(*tensors)[0]

    @functools.partial(tf.function, autograph=False, reduce_retracing=True)
    def gradient(upstream: Tensor, *tensors: Tensor) -> Tensor:
        return passes.backward(upstream, passes.forward(*tensors)[1], *tensors)

    def forward(inputs: Tensor, *constants: Tensor) -> tuple[Tensor, tuple[()]]:
        return losses(tf.stop_gradient(inputs), *constants), ()

    def backward(upstream: Tensor, residuals: Any, *tensors: Tensor) -> Tensor:
        return gradient(upstream, *tensors)

    return forward, backward


def _is_worth_compiling(shape: Any, varies: bool) -> bool:
    number, width = shape
    if width is None or width >= Compilation.MANY_CLASSES:
        return width is not None
    return not varies and (number is None or number * width >= Compilation.MANY_ELEMENTS)


_is_for_xla = contextvars.ContextVar("is_for_xla", default=False)
"""Whether the operations that this thread writes down now are for XLA."""


def _by_xla(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of tensors, compiled by XLA, and traced with the knowledge of it."""

    def traced(*tensors: Any) -> Any:
        before = _is_for_xla.set(True)
        try:
            return function(*tensors)
        finally:
            _is_for_xla.reset(before)

    return tf.function(traced, jit_compile=True, autograph=False)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of tensors, compiled by XLA, eager calls included."""
    by_xla = _by_xla(function)
    plain = tf.function(function, autograph=False)

    def run(*tensors: Tensor) -> Any:
        return (by_xla if Compilation.is_on else plain)(*tensors)

    return _with_derivative_of(run, plain)


def as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is, also where `tf.function` traces it.

    Autograph, which turns conditions on tensors into operations, has nothing to do in this package,
    and would read and rewrite the source of all of it: seconds at the first trace of a process.
    """
    return tf.autograph.experimental.do_not_convert(function)


def in_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself: eager calls run operation by operation."""
    return function


def devices_of(number: Any, kernel: Any = None, class_axis: int = 0) -> None:
    """None: a `keras.distribution` is JAX's."""
    return None


def _compiled_by_pieces(forward: Forward) -> Forward:
    """`forward`, compiled by XLA and by pieces of rows, where second derivatives see it whole."""
    whole = _by_xla(forward)
    if tf.config.list_physical_devices("GPU"):
        return whole
    return _with_derivative_of(_by_xla(_piece_by_piece(forward)), whole)


def _with_derivative_of(run: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """`run(*tensors)`, with the derivative of `plain`: the same that TensorFlow can differentiate.

    It is not watched: TensorFlow would differentiate a watched call at once.
    """

    def with_derivative(*nested: Any) -> Any:
        @tf.custom_gradient
        def of_flat(*tensors: Tensor) -> Any:
            def derivative(*upstream: Tensor) -> list[Tensor | None]:
                numbers = [item for item in tensors if item.dtype.is_floating]
                try:
                    with tf.GradientTape() as tape:
                        tape.watch(numbers)
                        results = tf.nest.flatten(plain(*tf.nest.pack_sequence_as(nested, tensors)))
                    pairs = [
                        (result, slope)
                        for result, slope in zip(results, upstream, strict=True)
                        if result.dtype.is_floating
                    ]
                    results, upstream = zip(*pairs, strict=True)
                    slopes = iter(tape.gradient(results, numbers, output_gradients=upstream))
                except LookupError as error:  # an operation of XLA's own
                    raise NotImplementedError(_NO_SECOND_DERIVATIVE) from error
                return [next(slopes) if item.dtype.is_floating else None for item in tensors]

            results = run(
                *tf.nest.pack_sequence_as(nested, [tf.stop_gradient(item) for item in tensors])
            )
            structure.append(results)
            return tf.nest.flatten(results), derivative

        structure: list[Any] = []
        flat = of_flat(*tf.nest.flatten(nested))
        return tf.nest.pack_sequence_as(structure[0], flat)

    return with_derivative


def _piece_by_piece(forward: Forward) -> Forward:
    """`forward`, by pieces of rows where it gives a few numbers for each.

    XLA writes out whatever it adds up over a row. What has the size of a piece stays in the cache.
    """

    def in_pieces(*tensors: Tensor) -> Any:
        number, width = tensors[0].shape
        if width < Compilation.MANY_CLASSES:
            return forward(*tensors)
        # For the shapes: XLA leaves out what has no entries.
        losses, residuals = forward(*(values[:0] for values in tensors))
        gives_numbers = all(math.prod(item.shape[1:]) == 1 for item in (losses, *residuals))
        most = max(1, Compilation.ELEMENTS_OF_A_COMPILED_PIECE // width)
        if not gives_numbers or (number is not None and number <= most):
            return forward(*tensors)
        if number is None:
            number = tf.shape(tensors[0])[0]
        step = tf.minimum(most, number)

        def with_piece(piece: Any, results: list[Tensor]) -> tuple[Any, list[Tensor]]:
            start = tf.minimum(piece * most, number - step)  # The last two may overlap.
            losses, residuals = forward(*(_rows(item, start, step) for item in tensors))
            return piece + 1, [
                keras.ops.slice_update(item, (start, *[0] * (len(item.shape) - 1)), part)
                for item, part in zip(results, (losses, *residuals), strict=True)
            ]

        results = [tf.zeros((number, *item.shape[1:]), item.dtype) for item in (losses, *residuals)]
        pieces = (number + most - 1) // most
        _, (losses, *residuals) = tf.while_loop(
            lambda piece, _: piece < pieces, with_piece, (0, results)
        )
        return losses, tuple(residuals)

    return in_pieces


def _rows(values: Tensor, start: Any, number: Any) -> Tensor:
    others = values.shape[1:]
    return tf.slice(values, (start, *[0] * len(others)), (number, *others))


# --- operations on rows of classes ---


def largest(rows: Tensor) -> Tensor:
    """The largest entry of each row: (..., C) to (..., 1)."""
    return tf.reduce_max(rows, -1, keepdims=True)


def smallest(rows: Tensor) -> Tensor:
    """The smallest entry of each row: (..., C) to (..., 1)."""
    return tf.reduce_min(rows, -1, keepdims=True)


def sums_beside_top(parts: Tensor, also: tuple[Tensor, ...] = ()) -> list[Tensor]:
    """The sum of each row but for one of its entries 1; and the sums of others, (N, 1) each."""
    ones = tf.cast(parts >= 1, parts.dtype)
    others, number, *sums = row_sums(parts - ones, ones, *also)
    return [others + (number - 1), *sums]


def label_sums(parts: Tensor, judged: Tensor, weights: Tensor, values: Tensor) -> list[Tensor]:
    """That of `sums_beside_top`, the sum of `judged` and that of the products weight * value.

    Each (N, C) to (N, 1); 0 times -infinity is 0.
    """
    return sums_beside_top(parts, (judged, tf.math.multiply_no_nan(values, weights)))


def label_entry(rows: Tensor, ids: Tensor) -> Tensor:
    """Entry `ids[n]` of each row n: (N, C) and (N,) to (N, 1)."""
    return tf.gather(rows, ids[..., None], batch_dims=len(ids.shape))


def entries(rows: Tensor, ids: Tensor) -> Tensor:
    """Entries `ids[n]` (K,) of each row n: (N, C) and (N, K) to (N, K)."""
    return tf.gather(rows, ids, batch_dims=1)


def of_classes(values: Tensor, ids: Tensor) -> Tensor:
    """The number (C,) of each id (N,)."""
    return tf.gather(values, ids)


def with_label_entry(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """`rows` (N, C) with entry `ids[n]` of each row n replaced by `values[n]`, shape (N, 1)."""
    return where(tf.range(tf.shape(rows)[-1]) == ids[:, None], values, rows)


def with_added(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """`rows` (N, C) with `values[n]` (K,) added to entries `ids[n]` (K,) of each row n."""
    is_there = tf.range(tf.shape(rows)[-1]) == ids[:, :, None]
    return rows + tf.reduce_sum(where(is_there, values[:, :, None], 0.0), 1)


def others_again(rows: Tensor, ids: Tensor) -> Tensor:
    """`rows` before their label entries are replaced: as they are."""
    return rows


def with_label_entry_of_piece(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """The same for rows of which some have no such entry: they stay as they are."""
    return with_label_entry(rows, ids, values)


def exponentials(rows: Tensor, peak: Tensor) -> Tensor:
    """`exp(rows - peak)` (N, C), in a tensor of its own."""
    return tf.exp(rows - peak)


def sigmoid_losses(logits: Tensor, yes: Tensor, no: Tensor, both: Tensor | float) -> Tensor:
    """-yes log p - no log(1 - p) of each entry; `both` is yes + no."""
    distance = tf.abs(logits)
    wrong = tf.where(logits < 0, yes, no)
    # XLA's softplus has selections that nothing needs here.
    information = (
        tf.math.log1p(tf.exp(-distance)) if _is_for_xla.get() else tf.math.softplus(-distance)
    )
    information = information if _is_one(both) else both * information
    return information + tf.math.multiply_no_nan(distance, wrong)


def sigmoid_slopes(logits: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """The derivative of -yes log p - no log(1 - p) by each logit."""
    if not _is_for_xla.get():
        return no * tf.sigmoid(logits) - yes * tf.sigmoid(-logits)
    # One exponential for both. Not the absolute value, whose derivative at 0 is 0.
    is_negative = logits < 0
    small = tf.exp(tf.where(is_negative, logits, -logits))
    one = tf.ones_like(small)
    right, wrong = tf.where(is_negative, small, one), tf.where(is_negative, one, small)
    return (no * right - yes * wrong) / (1 + small)


def _is_one(value: Tensor | float) -> bool:
    return isinstance(value, (int, float)) and value == 1


def exponentials_below(rows: Tensor, bound: Tensor) -> Tensor:
    """`exp(rows - bound)`."""
    return tf.exp(rows - bound)


def scaled(rows: Tensor, factors: Tensor) -> Tensor:
    """`rows * factors`."""
    return rows * factors


def minus_product(rows: Tensor, factors: Tensor, values: Tensor | float) -> Tensor:
    """`rows - factors * values`."""
    return rows - factors * values


# --- tiles of a linear map ---


def part(values: Tensor, start: Any, size: Any, axis: int = 0) -> Tensor:
    """`size` entries of one axis from `start` on."""
    sizes = [-1 if other is None else other for other in values.shape]  # -1 is all there is.
    sizes[axis] = size
    return tf.slice(values, [start if at == axis else 0 for at in range(len(sizes))], sizes)


def with_part(values: Tensor, start: Any, entries: Tensor, axis: int = 0) -> Tensor:
    """`values` with `entries` from `start` on along one axis. They may be overwritten."""
    starts = [start if at == axis else 0 for at in range(len(values.shape))]
    return keras.ops.slice_update(values, starts, entries)


def product(left: Tensor, right: Tensor, turn: str = "", out: Tensor | None = None) -> Tensor:
    """The product of two matrices, added up in float32 or wider.

    `turn` names those that are transposed first, "left" or "right"; `out` may take the result.
    """
    if left.dtype in (tf.float16, tf.bfloat16):
        left, right = tf.cast(left, tf.float32), tf.cast(right, tf.float32)
    return tf.matmul(left, right, transpose_a=turn == "left", transpose_b=turn == "right")


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
    size = added.shape[axis]
    size = tf.shape(added)[axis] if size is None else size
    return with_part(matrix, start, part(matrix, start, size, axis) + added, axis)


def room(like: Tensor, number: int, rows: Any, width: int, is_kept: bool) -> Tensor | None:
    """Where pieces (rows, width) may be written, `number` of them if they are to be kept."""
    return tf.zeros((number, rows, width), like.dtype) if is_kept else None


def place(store: Tensor | None, index: Any) -> Tensor | None:
    """Where a piece is to be written, on the backend that writes in place."""
    return None


def with_piece(store: Tensor, index: Any, piece: Tensor) -> Tensor:
    """`store` with a piece (rows, width) kept at its place."""
    return keras.ops.slice_update(store, (index, 0, 0), piece[None])


def piece_of(store: Tensor, index: Any) -> Tensor:
    """The piece kept at a place. It may be overwritten."""
    return store[index]


def plus(rows: Tensor, values: Tensor) -> Tensor:
    """`rows + values`. `rows` may be overwritten."""
    return rows + values


def soft_capped(rows: Tensor, cap: float) -> Tensor:
    """`cap * tanh(rows / cap)`. `rows` may be overwritten."""
    return cap * tf.tanh(rows / cap)


def without(rows: Tensor, ids: Tensor, skipped: Any, value: float) -> Tensor:
    """`rows` (N, C) with `value` at `ids[n]` of each row n, and in the first `skipped` columns.

    Ids outside [0, C) stand for no entry. `rows` may be overwritten.
    """
    columns = tf.range(rows.shape[-1], dtype=ids.dtype)
    return where((columns == ids[:, None]) | (columns < skipped), value, rows)


def top_k(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row in descending order, and where they stand."""
    values, places = tf.math.top_k(rows, k)
    return values, places


def trips(number: Any) -> Any:
    """A number of iterations that depends on the data, as a loop takes it."""
    return number


def may_loop_by_values(values: Tensor) -> bool:
    """Whether a loop's length may depend on these values."""
    return True


# --- derivatives of what is computed by tiles ---


def with_derivative_of(run: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """`run(*nested)`, compiled, whose derivative is that of `plain`, the same in plain steps."""
    by_xla, as_graph = _by_xla(run), tf.function(run, autograph=False)

    def either(*nested: Any) -> Any:
        return (by_xla if Compilation.is_on else as_graph)(*nested)

    return _with_derivative_of(either, plain)


def without_derivative(function: Callable[..., Any], *groups: tuple[Tensor, ...]) -> Any:
    """`function(*groups)` of groups of tensors, as a constant."""
    return function(*(tuple(map(tf.stop_gradient, group)) for group in groups))


def gradients_of(
    function: Callable[..., Any], inputs: tuple[Tensor, ...], upstream: Any
) -> tuple[Any, tuple[Tensor, ...]]:
    """`function(*inputs)` and the gradient of each input, for the upstream of each result."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = function(*inputs)
    zero = tf.UnconnectedGradients.ZERO
    return values, tuple(
        tape.gradient(values, inputs, output_gradients=upstream, unconnected_gradients=zero)
    )


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
    first, last = len(values), len(values) + len(inputs)

    @tf.custom_gradient
    def attached(*tensors: Tensor) -> Any:
        def derivative(*upstream: Tensor) -> list[Tensor | None]:
            of_inputs = gradients(upstream, tensors[first:last], tensors[last:])
            return [*first * [None], *of_inputs, *len(constants) * [None]]

        return [tf.identity(value) for value in tensors[:first]], derivative

    return tuple(attached(*map(tf.stop_gradient, values), *inputs, *constants))


def with_known_gradients(
    run: Callable[..., Any], inputs: tuple[Tensor, ...], constants: tuple[Tensor, ...]
) -> tuple[Tensor, Any]:
    """A value that comes with its gradients, and what else comes with it, without derivative.

    `run(inputs, constants)` returns the value, the rest, and the gradient of each input or None.
    """

    @tf.custom_gradient
    def value(*tensors: Tensor) -> Any:
        result, others, known = run(tensors[: len(inputs)], tensors[len(inputs) :])

        def derivative(upstream: Tensor, *_: Tensor) -> list[Tensor | None]:
            scaled = [
                None if each is None else tf.cast(upstream, each.dtype) * each for each in known
            ]
            return [*scaled, *len(constants) * [None]]

        return [result, *others], derivative

    result, *others = value(*inputs, *constants)
    return result, tuple(map(tf.stop_gradient, others))


# --- rows compared with each other ---


def full_product(rows: Tensor, columns: Tensor) -> Tensor:
    """`rows @ columns`."""
    return rows @ columns


def rows_at(rows: Tensor, numbers: Tensor) -> Tensor:
    """The rows (N, D) with the numbers (N,), of rows (B, D)."""
    return tf.gather(rows, numbers)


def first_true(flags: Tensor) -> Tensor:
    """The column (N,) of the first true entry of each row of flags (N, C); 0 without one."""
    # Not argmax, which refuses rows without entries.
    size = tf.shape(flags)[-1]
    column = tf.reduce_min(tf.where(flags, tf.range(size), size), -1)
    return tf.where(column < size, column, 0)


def number_of_steps(numbers: Tensor) -> Tensor:
    """The largest of numbers (N,), as a loop takes it."""
    return tf.maximum(tf.reduce_max(numbers), 0)


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
