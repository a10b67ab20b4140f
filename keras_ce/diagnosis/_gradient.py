"""The one place of the diagnosis that reaches for a backend: for a derivative and its errors.

Whether a gradient is exactly 0 can only be seen by asking the backend that will train: TensorFlow
differentiates some activations together with the loss, the others do not, and finite differences
cannot tell 0 from small. Keras has no public function for a gradient, and no names for what the
backends raise.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any
# What JAX raises where a function needs the values of what it is compiled for: kinds of the first
# two. Keras cannot copy those errors, and raises the last if a layer does so.
_NOT_COMPILED = (TypeError, IndexError, AttributeError)


def with_gradient(
    function: Callable[..., Tensor],
) -> Callable[..., tuple[Tensor, Tensor | None]]:
    """The same function of `y_pred` and other tensors, with a gradient.

    Returns:
        A function that returns the values, and the gradient of their sum with respect to
        `y_pred`, or None where the values do not depend on `y_pred` itself: on TensorFlow,
        Keras's losses take the logits behind a softmax or sigmoid.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return functools.partial(_on_tensorflow, function)
    if backend == "jax":
        return _on_jax(function)
    return functools.partial(_on_torch, function)


def _on_tensorflow(
    function: Callable[..., Tensor], y_pred: Tensor, *others: Any
) -> tuple[Tensor, Tensor | None]:
    import tensorflow

    with tensorflow.GradientTape() as tape:
        tape.watch(y_pred)
        values = function(y_pred, *others)
        total = ops.sum(values)
    return values, tape.gradient(total, y_pred)


def _on_jax(function: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, Tensor | None]]:
    """Compiled: JAX compiles each operation of an eager call for itself, which takes seconds."""
    import jax

    def differentiate(y_pred: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
        values, pullback = jax.vjp(lambda y_pred: function(y_pred, *others), y_pred)
        return values, pullback(ops.ones_like(values))[0]

    compiled = jax.jit(differentiate)

    def run(y_pred: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
        try:
            values, gradient = compiled(y_pred, *others)
        except _NOT_COMPILED:  # what asks for values may still run; else it raises the same again
            return differentiate(y_pred, *others)
        # Where there is no number, the eager call may say why.
        if ops.any(ops.isnan(values)):
            return differentiate(y_pred, *others)
        return values, gradient

    return run


def _on_torch(
    function: Callable[..., Tensor], y_pred: Tensor, *others: Any
) -> tuple[Tensor, Tensor | None]:
    y_pred = y_pred.detach().requires_grad_()
    values = function(y_pred, *others)
    if values.requires_grad:
        values.sum().backward()
    return values.detach(), y_pred.grad


def if_it_fits(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, or None where the shapes or values of its arguments do not fit.

    Other errors pass, such as those of a device or of its memory.
    """
    misfits, failures = _errors()
    try:
        return function(*arguments)
    except failures:
        raise
    except misfits:
        return None


def _errors() -> tuple[tuple[type[Exception], ...], tuple[type[Exception], ...]]:
    """What the backend raises of arguments that do not fit; what of that is something else."""
    plain = (ValueError, TypeError, IndexError)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from tensorflow import errors

        return (*plain, errors.InvalidArgumentError, errors.UnimplementedError), ()
    if backend == "torch":
        import torch

        memory = torch.OutOfMemoryError  # one kind of RuntimeError, as what does not fit is
        return (*plain, RuntimeError), (memory, getattr(torch, "AcceleratorError", memory))
    return plain, ()
