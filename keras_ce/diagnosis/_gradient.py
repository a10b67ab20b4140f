"""The one place of the diagnosis that reaches for a backend, for one derivative.

Whether a gradient is exactly 0 can only be seen by asking the backend that will train: TensorFlow
differentiates some activations together with the loss, the others do not, and finite differences
cannot tell 0 from small. Keras has no public function for a gradient.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any


def values_and_gradient(
    function: Callable[[Tensor], Tensor], y_pred: Tensor
) -> tuple[Tensor, Tensor | None]:
    """`function(y_pred)`, and the gradient of its sum with respect to `y_pred`.

    Returns:
        The values, and the gradient, or None where the values do not depend on `y_pred` itself:
        on TensorFlow, Keras's losses take the logits behind a softmax or sigmoid.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        with tensorflow.GradientTape() as tape:
            tape.watch(y_pred)
            values = function(y_pred)
            total = ops.sum(values)
        return values, tape.gradient(total, y_pred)
    if backend == "jax":
        import jax

        values, pullback = jax.vjp(function, y_pred)
        return values, pullback(ops.ones_like(values))[0]
    y_pred = y_pred.detach().requires_grad_()
    values = function(y_pred)
    if values.requires_grad:
        values.sum().backward()
    return values.detach(), y_pred.grad
