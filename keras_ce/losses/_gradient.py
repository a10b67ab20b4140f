"""Joins a loss's value to its closed-form gradient, and the row operations that it needs.

The one place of the package that knows which backend runs. Keras's `ops.custom_gradient` serves
TensorFlow and JAX. On torch it loses second derivatives, does not work under `torch.func` and
reruns the forward pass on any exception, so torch gets its own `autograd.Function`. And each
operation of torch writes a new matrix unless told to change one in place.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any
Forward = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]
Backward = Callable[..., Tensor | tuple[Tensor, ...]]

CLASSES_WORTH_COMPILING = 512
"""From here on, XLA saves more than it costs to compile once for each shape of a batch."""

ELEMENTS_OF_A_PIECE = 2**20
"""4 MB in float32."""

LAST_EXACT_FLOAT = 2**24
"""Integers up to here are float32 numbers."""


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

    Which allows to do better with many classes. TensorFlow's graphs compile the computation by
    XLA, which needs no memory between its operations. On torch, rows go piece by piece through
    the processor's cache, and only the gradient has the size of the logits.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        return _torch_function().apply((forward, backward, True), inputs, *constants)[0]
    if backend == "tensorflow":
        import tensorflow

        has_many_classes = (inputs.shape[-1] or 0) >= CLASSES_WORTH_COMPILING
        # Eager, each call would be compiled anew.
        if has_many_classes and not tensorflow.executing_eagerly():
            forward = tensorflow.function(forward, jit_compile=True, autograph=False)
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


def largest(rows: Tensor) -> Tensor:
    """The largest entry of each row: (..., C) to (..., 1)."""
    if keras.backend.backend() == "torch":
        return rows.amax(-1, keepdim=True)  # torch.compile cannot trace Keras's max.
    return ops.max(rows, -1, keepdims=True)


def smallest(rows: Tensor) -> Tensor:
    """The smallest entry of each row: (..., C) to (...)."""
    if keras.backend.backend() == "torch":
        return rows.amin(-1)
    return ops.min(rows, -1)


def top(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The largest entry (N, 1) of each row (N, C), and where it stands (N,), int32."""
    if keras.backend.backend() == "torch":
        ids = rows.argmax(-1)
        return label_entry(rows, ids), ops.cast(ids, "int32")
    peak = largest(rows)
    # ops.argmax makes four more passes to tell -0.0 from 0.0, and XLA takes long for it. Here the
    # distance to the peak, driven beyond all bounds, leaves the first class at the peak on top.
    far_below = (rows - peak) * largest_number(rows)
    classes = ops.arange(ops.shape(rows)[-1], dtype=rows.dtype)
    first = -ops.max(far_below - classes, -1)
    return peak, ops.cast(ops.where(ops.isfinite(first), first, 0.0), "int32")


def largest_number(values: Tensor) -> float:
    """The largest finite number of a tensor's dtype."""
    return float(np.finfo(keras.backend.standardize_dtype(values.dtype)).max)


def inner_product(rows: Tensor, values: Tensor) -> Tensor:
    """The sum of the products of each row, (N, 1), where 0 times -infinity is 0.

    `values` may be overwritten, as above.
    """
    if keras.backend.backend() == "torch":
        return scaled(values, rows).nansum(-1, keepdim=True)
    # No selection, as in `without_label_entry`. -infinity becomes a number that any label mass
    # worth the name, times a power of two, carries beyond the largest one.
    finite = ops.maximum(values, -largest_number(values))
    return ops.sum(rows * 2.0**64 * finite, -1, keepdims=True) / 2.0**64


def label_entry(rows: Tensor, ids: Tensor) -> Tensor:
    """Entry `ids[n]` of each row n: (N, C) and (N,) to (N, 1)."""
    return ops.take_along_axis(rows, ops.expand_dims(ids, -1), axis=-1)


def with_label_entry(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """`rows` (N, C) with entry `ids[n]` of each row n replaced by `values[n]`, shape (N, 1).

    A row without such an entry stays as it is. `rows` must be a tensor that nobody else needs: it
    may be overwritten.
    """
    if keras.backend.backend() == "torch":
        number = ops.arange(ops.shape(rows)[0], dtype=ids.dtype)
        given, ids = ids, ids.clip(0, rows.shape[-1] - 1)
        values = ops.where((given == ids)[:, None], values, label_entry(rows, ids))
        # Autograd records this line only for second derivatives, and needs the old values then.
        put = rows.index_put if _records() else rows.index_put_
        return put((number, ids), ops.squeeze(values, -1))
    classes = ops.arange(ops.shape(rows)[-1], dtype=ids.dtype)
    return ops.where(classes == ops.expand_dims(ids, -1), values, rows)


def without_label_entry(rows: Tensor, ids: Tensor) -> Tensor:
    """`rows` (N, C) of finite numbers with 0 at entry `ids[n]` of each row n that has one.

    `rows` may be overwritten, as above.
    """
    if keras.backend.backend() == "torch":
        return with_label_entry(rows, ids, ops.zeros_like(rows[:, :1]))
    if (rows.shape[-1] or 0) > LAST_EXACT_FLOAT:
        return with_label_entry(rows, ids, ops.zeros_like(rows[:, :1]))
    # A product, not a selection: XLA on JAX adds up the rows of a selection three times slower.
    classes = ops.arange(ops.shape(rows)[-1], dtype=rows.dtype)
    distance = ops.absolute(classes - ops.cast(ids, rows.dtype)[:, None])
    return rows * ops.minimum(distance, 1.0)


def apart(column: Tensor, use: int) -> Tensor:
    """`column` (N, 1) for its `use`-th use, counted from 1, that shares nothing with the others.

    XLA would write what two computations over the rows have in common to a matrix and read it
    twice, which takes longer than to compute it twice.
    """
    if keras.backend.backend() == "torch":
        return column
    # Always the column, but XLA does not know.
    return ops.maximum(column, largest_number(column) * (use / 16 - 1))


def again(parts: Tensor, compute: Callable[[], Tensor]) -> Tensor:
    """`compute()`, which would give `parts`, unless it is cheaper to have kept them."""
    return parts if keras.backend.backend() == "torch" else compute()


def exponentials(rows: Tensor, peak: Tensor) -> Tensor:
    """`exp(rows - peak)` (N, C), in a tensor of its own; `peak` is the largest of all C entries."""
    if keras.backend.backend() == "torch" and rows.shape[-1] > 1 and not _records():
        parts = rows.softmax(-1)  # One operation; a difference and exp are two, and slower.
        return parts.div_(parts.amax(-1, keepdim=True))
    return ops.exp(rows - peak)


def if_any(
    rows: Tensor, is_met: Tensor, compute: Callable[[], Tensor], otherwise: Tensor
) -> Tensor:
    """`compute()`, which may be left out for `otherwise` where `is_met` (N, 1) holds nowhere.

    Worth a branch with many classes alone. Torch cannot trace one.
    """
    has_many_classes = (rows.shape[-1] or 0) >= CLASSES_WORTH_COMPILING
    if keras.backend.backend() == "torch" or not has_many_classes:
        return compute()
    return ops.cond(ops.any(is_met), compute, lambda: otherwise)


def with_top_entry(
    rows: Tensor, y_pred: Tensor, peak: Tensor, values: Tensor, compute: Callable[[Tensor], Tensor]
) -> Tensor:
    """`rows` (N, C) with `compute(values)` where `y_pred` has its largest entry `peak` (N, 1).

    `rows` may be overwritten, as above.
    """
    if keras.backend.backend() == "torch":  # Each operation on all classes is one pass more.
        ids = y_pred.argmax(-1)
        return with_label_entry(rows, ids, compute(label_entry(values, ids)))
    return ops.where(ops.equal(y_pred, peak), compute(values), rows)


def without_top_entries(parts: Tensor, rows: Tensor, peak: Tensor) -> Tensor:
    """`parts` (N, C) with 0 wherever `rows` has its largest entry, `peak` (N, 1).

    `parts` may be overwritten, as above.
    """
    if keras.backend.backend() == "torch" and not _records():
        return parts.masked_fill_(rows == peak, 0.0)
    # Again a product: the distance to the peak, driven beyond 1.
    is_below = ops.minimum((peak - rows) * largest_number(rows), 1.0)
    return parts * ops.stop_gradient(is_below)


def affine(rows: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`rows @ kernel + bias` in one new tensor."""
    product = rows @ kernel
    if keras.backend.backend() == "torch" and not _records():
        return product.add_(bias)
    return product + bias


def exponentials_below(rows: Tensor, bound: Tensor) -> Tensor:
    """`exp(rows - bound)`. `rows` may be overwritten, as above."""
    if keras.backend.backend() == "torch" and not _records():
        return rows.sub_(bound).exp_()
    return ops.exp(rows - bound)


def scaled(rows: Tensor, factors: Tensor) -> Tensor:
    """`rows * factors`. `rows` may be overwritten, as above."""
    if keras.backend.backend() == "torch" and not _records():
        return rows.mul_(factors)
    return rows * factors


def minus_product(rows: Tensor, factors: Tensor, values: Tensor) -> Tensor:
    """`rows - factors * values`. `rows` may be overwritten, as above."""
    if keras.backend.backend() == "torch" and not _records():
        return rows.addcmul_(factors, values, value=-1)
    return rows - factors * values


def with_columns(matrix: Tensor, start: Any, columns: Tensor) -> Tensor:
    """`matrix` (D, C) with `columns` (D, width) from column `start` on. It may be overwritten."""
    if keras.backend.backend() == "torch":
        matrix[:, start : start + columns.shape[-1]] = columns
        return matrix
    return ops.slice_update(matrix, (0, start), columns)


def _for_each(gradients: Tensor | tuple[Tensor, ...], number: int) -> tuple[Tensor, ...]:
    """The gradients of the first tensors and None for the rest of them."""
    given = gradients if isinstance(gradients, tuple) else (gradients,)
    return *given, *(None,) * (number - len(given))


def _records() -> bool:
    import torch

    return bool(torch.is_grad_enabled())


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
