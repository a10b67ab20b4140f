"""A value and its gradient in closed form, as each backend takes them."""

from collections.abc import Callable
from typing import Any, NamedTuple

Tensor = Any
Forward = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]
Backward = Callable[..., Tensor | tuple[Tensor, ...]]


class Passes(NamedTuple):
    """Both passes of a computation.

    `forward(inputs, *constants)` returns the losses and a tuple of tensors that the gradient
    needs. `backward(upstream, residuals, inputs, *constants)` returns the gradient with respect to
    `inputs`, or a tuple of it and those of the first constants. No gradient flows to the others.
    """

    forward: Forward
    backward: Backward
    by_rows: bool = False
    """Whether rows (N, ...) of all tensors do not see each other."""


class Compilation:
    """Whether the package compiles by itself what has many classes, and goes by pieces then."""

    is_on = True


def set_compilation(enabled: bool) -> None:
    """Switch on or off what the package compiles by itself.

    On (the default), losses of 512 classes and more and `LinearCrossentropy` are compiled by XLA
    in TensorFlow's graphs and on JAX. Off, only what the user compiles is: for a device without
    XLA, and for tools that look into graphs, such as `tf.debugging.enable_check_numerics`.

    Args:
        enabled: whether the package compiles.

    Raises:
        TypeError: if `enabled` is not a bool.
    """
    if not isinstance(enabled, bool):
        raise TypeError(f"`enabled` must be True or False. Received: enabled={enabled!r}.")
    Compilation.is_on = enabled


def gradients_for_each(
    gradients: Tensor | tuple[Tensor, ...], number: int
) -> tuple[Tensor | None, ...]:
    """The gradients of the first tensors and None for the rest of them."""
    given = gradients if isinstance(gradients, tuple) else (gradients,)
    return *given, *(None,) * (number - len(given))
