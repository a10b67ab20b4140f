"""The one place of the diagnosis that reaches for a backend, for one derivative.

Whether a gradient is exactly 0 can only be seen by asking the backend that will train: TensorFlow
differentiates some activations together with the loss, the others do not, and finite differences
cannot tell 0 from small. Keras has no public function for a gradient.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any


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
        except Exception:  # what does not compile may still run
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
