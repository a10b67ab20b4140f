"""Joins a loss's value to its closed-form gradient, and the row operations that it needs.

The one place of the package that knows which backend runs. Keras's `ops.custom_gradient` serves
TensorFlow and JAX. On torch it loses second derivatives, does not work under `torch.func` and
reruns the forward pass on any exception, so torch gets its own `autograd.Function`; and torch
copies a whole matrix to change one entry per row unless told to change it in place.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any
Forward = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]
Backward = Callable[..., Tensor]


def closed_form(forward: Forward, backward: Backward, inputs: Tensor, *constants: Tensor) -> Tensor:
    """Evaluate `forward`, with `backward` as its gradient with respect to `inputs`.

    Args:
        forward: `forward(inputs, *constants)` returns the losses and a tuple of tensors that
            the gradient needs.
        backward: `backward(upstream, residuals, inputs, *constants)` returns the gradient with
            respect to `inputs`. No gradient flows to the constants.
        inputs: tensor to differentiate with respect to.
        *constants: further tensors, such as labels.

    Returns:
        The losses.
    """
    if keras.backend.backend() == "torch":
        return _torch_function().apply(forward, backward, inputs, *constants)[0]

    @ops.custom_gradient
    def losses_with_gradient(inputs: Tensor, *constants: Tensor) -> tuple[Tensor, Any]:
        losses, residuals = forward(inputs, *constants)

        def gradient(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, ...]:
            upstream = args[-1] if upstream is None else upstream
            return backward(upstream, residuals, inputs, *constants), *(None,) * len(constants)

        return losses, gradient

    return losses_with_gradient(inputs, *constants)


def largest(rows: Tensor) -> Tensor:
    """The largest entry of each row: (..., C) to (..., 1)."""
    if keras.backend.backend() == "torch":
        return rows.amax(-1, keepdim=True)  # torch.compile cannot trace Keras's max.
    return ops.max(rows, -1, keepdims=True)


def top_ids(rows: Tensor) -> Tensor:
    """Where the largest entry of each row stands: (N, C) to (N,), int32."""
    # Not ops.argmax, which makes four more passes to tell -0.0 from 0.0.
    backend = keras.backend.backend()
    if backend == "torch":
        return ops.cast(rows.argmax(-1), "int32")
    if backend == "jax":
        import jax.numpy

        return jax.numpy.argmax(rows, -1).astype("int32")
    import tensorflow

    return tensorflow.argmax(rows, -1, output_type="int32")


def label_entry(rows: Tensor, ids: Tensor) -> Tensor:
    """Entry `ids[n]` of each row n: (N, C) and (N,) to (N, 1)."""
    return ops.take_along_axis(rows, ops.expand_dims(ids, -1), axis=-1)


def with_label_entry(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """`rows` (N, C) with entry `ids[n]` of each row n replaced by `values[n]`, shape (N, 1).

    `rows` must be a tensor that nobody else needs: it may be overwritten.
    """
    backend = keras.backend.backend()
    if backend != "jax":
        number, values = ops.arange(ops.shape(rows)[0], dtype=ids.dtype), ops.squeeze(values, -1)
    if backend == "torch":
        # Autograd records this line only for second derivatives, and needs the old values then.
        return (rows.index_put if _records() else rows.index_put_)((number, ids), values)
    if backend == "tensorflow":
        return ops.scatter_update(rows, ops.stack([number, ids], axis=-1), values)
    classes = ops.arange(ops.shape(rows)[-1], dtype=ids.dtype)
    return ops.where(classes == ops.expand_dims(ids, -1), values, rows)


def exponential(rows: Tensor) -> Tensor:
    """`exp(rows)`. `rows` must be a tensor that nobody else needs: it may be overwritten."""
    if keras.backend.backend() == "torch" and not _records():
        return rows.exp_()
    return ops.exp(rows)


def minus_product(rows: Tensor, factors: Tensor, values: Tensor) -> Tensor:
    """`rows - factors * values`. `rows` may be overwritten, as above."""
    if keras.backend.backend() == "torch" and not _records():
        return rows.addcmul_(factors, values, value=-1)
    return rows - factors * values


def _records() -> bool:
    import torch

    return bool(torch.is_grad_enabled())


def _torch_function() -> Any:
    global _function
    if _function is None:
        import torch

        class ClosedForm(torch.autograd.Function):
            generate_vmap_rule = True

            @staticmethod
            def forward(forward: Forward, backward: Backward, *tensors: Tensor) -> Any:
                losses, residuals = forward(*tensors)
                return losses, *residuals

            @staticmethod
            def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
                ctx.passes, tensors, residuals = inputs[:2], inputs[2:], output[1:]
                ctx.num_tensors = len(tensors)
                ctx.mark_non_differentiable(*residuals)
                ctx.save_for_backward(*tensors, *residuals)

            @staticmethod
            def backward(ctx: Any, upstream: Tensor, *_: Tensor) -> Any:
                forward, backward = ctx.passes
                tensors = ctx.saved_tensors[: ctx.num_tensors]
                residuals = ctx.saved_tensors[ctx.num_tensors :]
                if torch.is_grad_enabled():  # A second derivative has to see the forward pass.
                    _, residuals = forward(*tensors)
                gradient = backward(upstream, residuals, *tensors)
                return None, None, gradient, *(None,) * (ctx.num_tensors - 1)

        _function = ClosedForm
    return _function


_function: Any = None
