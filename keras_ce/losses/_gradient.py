"""Joins a loss's value to its closed-form gradient, and compiles both where that pays.

Keras's `ops.custom_gradient` serves TensorFlow and JAX. On torch it loses second derivatives, does
not work under `torch.func` and reruns the forward pass on any exception, so torch gets its own
`autograd.Function`. This file and `_row_operations` are the places of the losses that know which
backend runs.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any
Forward = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]
Backward = Callable[..., Tensor | tuple[Tensor, ...]]

CLASSES_WORTH_COMPILING = 512
"""From here on, XLA saves more than it costs to compile once for each shape of a batch."""

ELEMENTS_OF_A_PIECE = 2**20
"""4 MB in float32."""

ELEMENTS_OF_A_COMPILED_PIECE = 2**18
"""1 MB in float32: XLA works on all of a piece at once, for each operation in turn."""


def closed_form(forward: Forward, backward: Backward, inputs: Tensor, *constants: Tensor) -> Tensor:
    """Evaluate `forward`, with `backward` as its gradient with respect to `inputs`.

    Args:
        forward: `forward(inputs, *constants)` returns the losses and a tuple of tensors that
            the gradient needs.
        backward: `backward(upstream, residuals, inputs, *constants)` returns the gradient with
            respect to `inputs`, or a tuple of it and those of the first constants. No gradient
            flows to the others.
        inputs: tensor to differentiate with respect to.
        *constants: further tensors, such as labels.

    Returns:
        The losses.
    """
    if keras.backend.backend() == "torch":
        return _torch_function().apply((forward, backward, False), inputs, *constants)[0]

    @ops.custom_gradient
    def losses_with_gradient(inputs: Tensor, *constants: Tensor) -> tuple[Tensor, Any]:
        losses, residuals = forward(inputs, *constants)

        def gradient(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, ...]:
            upstream = args[-1] if upstream is None else upstream
            gradients = backward(upstream, residuals, inputs, *constants)
            return _for_each(gradients, 1 + len(constants))

        return losses, gradient

    return losses_with_gradient(inputs, *constants)


def closed_form_of_rows(
    forward: Forward, backward: Backward, inputs: Tensor, *constants: Tensor
) -> Tensor:
    """`closed_form` of `inputs` (N, C) and constants (N, ...) whose rows do not see each other.

    Which allows to do better with many classes: rows go piece by piece through the processor's
    cache, and only the gradient has the size of the logits. TensorFlow's graphs compile the
    computation by XLA for it.
    """
    backend = keras.backend.backend()
    has_many_classes = (inputs.shape[-1] or 0) >= CLASSES_WORTH_COMPILING
    if backend == "torch":
        return _torch_function().apply((forward, backward, True), inputs, *constants)[0]
    if backend == "jax" and has_many_classes:
        import jax

        # Outside of jit, each call would be compiled anew; on several devices, a piece would have
        # to be fetched from one of them.
        is_on_one = jax.default_backend() == "cpu" and jax.device_count() == 1
        if is_on_one and isinstance(inputs, jax.core.Tracer):
            forward = _piece_by_piece(forward)
    if backend == "tensorflow" and has_many_classes:
        import tensorflow

        # Eager, each call would be compiled anew.
        if not tensorflow.executing_eagerly():
            forward = _compiled_by_tensorflow(forward)
            backward = tensorflow.function(backward, jit_compile=True, autograph=False)
    return closed_form(forward, backward, inputs, *constants)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of tensors, compiled by XLA where the backend knows it, eager calls included.

    TensorFlow cannot differentiate the result: it says so.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        run = tensorflow.function(function, jit_compile=True, autograph=False)

        def refuse(*_: Tensor) -> Any:
            raise NotImplementedError(
                "TensorFlow cannot differentiate this gradient once more. For second derivatives, "
                "take `Dense` and `LabelSmoothedCrossentropy`, or JAX or torch as backend."
            )

        def run_unwatched(*tensors: Tensor) -> Any:
            # A watched call would be differentiated at once.
            return run(*tensorflow.nest.map_structure(tensorflow.stop_gradient, tensors)), refuse

        return tensorflow.custom_gradient(run_unwatched)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


def _compiled_by_tensorflow(forward: Forward) -> Forward:
    """`forward`, compiled by XLA and by pieces of rows, where second derivatives see it whole."""
    import tensorflow

    whole = tensorflow.function(forward, jit_compile=True, autograph=False)
    if tensorflow.config.list_physical_devices("GPU"):
        return whole
    in_pieces = tensorflow.function(_piece_by_piece(forward), jit_compile=True, autograph=False)

    def run(*tensors: Tensor) -> Any:
        def derivative(*upstream: Tensor) -> list[Tensor | None]:
            numbers = [item for item in tensors if item.dtype.is_floating]
            with tensorflow.GradientTape() as tape:
                tape.watch(numbers)
                losses, residuals = whole(*tensors)
            pairs = zip((losses, *residuals), upstream, strict=True)
            results, upstream = zip(*((a, b) for a, b in pairs if a.dtype.is_floating), strict=True)
            slopes = iter(tape.gradient(results, numbers, output_gradients=upstream))
            return [next(slopes) if item.dtype.is_floating else None for item in tensors]

        return in_pieces(*map(tensorflow.stop_gradient, tensors)), derivative

    return tensorflow.custom_gradient(run)


def _piece_by_piece(forward: Forward) -> Forward:
    """`forward`, by pieces of rows where it gives a few numbers for each, to be compiled by XLA.

    XLA writes out whatever it adds up over a row. What has the size of a piece stays in the cache.
    """

    def in_pieces(*tensors: Tensor) -> Any:
        # For the shapes: XLA leaves out what has no entries.
        losses, residuals = forward(*(values[:0] for values in tensors))
        gives_numbers = all(math.prod(item.shape[1:]) == 1 for item in (losses, *residuals))
        number, width = ops.shape(tensors[0])[0], tensors[0].shape[-1]
        most = max(1, ELEMENTS_OF_A_COMPILED_PIECE // width)
        if not gives_numbers or (isinstance(number, int) and number <= most):
            return forward(*tensors)
        step = most if isinstance(number, int) else ops.minimum(most, number)

        def with_piece(piece: Any, results: list[Tensor]) -> list[Tensor]:
            start = ops.minimum(piece * most, number - step)  # The last two may overlap.
            losses, residuals = forward(*(_slice_of_rows(item, start, step) for item in tensors))
            return [
                ops.slice_update(item, (start, *[0] * (len(item.shape) - 1)), part)
                for item, part in zip(results, (losses, *residuals), strict=True)
            ]

        results = [
            ops.zeros((number, *item.shape[1:]), item.dtype) for item in (losses, *residuals)
        ]
        pieces = (number + most - 1) // most
        losses, *residuals = ops.fori_loop(0, pieces, with_piece, results)
        return losses, tuple(residuals)

    return in_pieces


def _slice_of_rows(values: Tensor, start: Any, number: Any) -> Tensor:
    others = values.shape[1:]
    return ops.slice(values, (start, *[0] * len(others)), (number, *others))


def _for_each(gradients: Tensor | tuple[Tensor, ...], number: int) -> tuple[Tensor, ...]:
    """The gradients of the first tensors and None for the rest of them."""
    given = gradients if isinstance(gradients, tuple) else (gradients,)
    return *given, *(None,) * (number - len(given))


def _pieces(matrix: Tensor) -> list[slice]:
    """Slices of rows that fit in a processor's cache; none where it is not worth the while."""
    import torch

    number, width = matrix.shape
    is_plain = matrix.device.type == "cpu" and not torch.compiler.is_compiling()
    if not is_plain or number * width < 4 * ELEMENTS_OF_A_PIECE:
        return []
    step = max(1, ELEMENTS_OF_A_PIECE // width)
    return [slice(start, start + step) for start in range(0, number, step)]


def _rows(piece: slice, tensors: tuple[Tensor, ...]) -> list[Tensor]:
    return [values[piece] for values in tensors]


def _torch_function() -> Any:
    global _function
    if _function is None:
        import torch

        class ClosedForm(torch.autograd.Function):
            generate_vmap_rule = True

            @staticmethod
            def forward(passes: tuple[Forward, Backward, bool], *tensors: Tensor) -> Any:
                forward, _, goes_by_rows = passes
                pieces = _pieces(tensors[0]) if goes_by_rows else []
                if not pieces:
                    losses, residuals = forward(*tensors)
                    return losses, *residuals
                results = [forward(*_rows(piece, tensors)) for piece in pieces]
                losses = torch.cat([losses for losses, _ in results])
                parts = zip(*(residuals for _, residuals in results), strict=True)
                return losses, *(torch.cat(part) for part in parts)

            @staticmethod
            def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
                ctx.passes, tensors, residuals = inputs[0], inputs[1:], output[1:]
                ctx.num_tensors = len(tensors)
                ctx.mark_non_differentiable(*residuals)
                ctx.save_for_backward(*tensors, *residuals)

            @staticmethod
            def backward(ctx: Any, upstream: Tensor, *_: Tensor) -> Any:
                forward, backward, goes_by_rows = ctx.passes
                tensors = ctx.saved_tensors[: ctx.num_tensors]
                residuals = ctx.saved_tensors[ctx.num_tensors :]
                if torch.is_grad_enabled():  # A second derivative has to see the forward pass.
                    _, residuals = forward(*tensors)
                    gradient = backward(upstream, residuals, *tensors)
                elif goes_by_rows and (pieces := _pieces(tensors[0])):
                    gradient = None
                    for piece in pieces:
                        part = backward(
                            upstream[piece], _rows(piece, residuals), *_rows(piece, tensors)
                        )
                        if gradient is None:
                            # Of the part, so that vmap knows that it has a batch.
                            gradient = part.new_empty(tensors[0].shape)
                        gradient[piece] = part
                else:
                    gradient = backward(upstream, residuals, *tensors)
                return None, *_for_each(gradient, ctx.num_tensors)

        _function = ClosedForm
    return _function


_function: Any = None
