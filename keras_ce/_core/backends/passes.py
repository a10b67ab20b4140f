"""A value and its gradient in closed form, as each backend takes them, and when they compile."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import keras

Tensor = Any
Result = TypeVar("Result")
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
    are_kept: bool = False
    """Whether later calls get the same two functions: a graph of them is worth its while."""


def once(make: Callable[..., Result]) -> Callable[..., Result]:
    """`make(...)` once for the same arguments, which must be hashable: what it makes is traced."""
    if keras.backend.backend() == "torch":  # which traces nothing; its compiler distrusts caches
        return make
    return functools.lru_cache(maxsize=256)(make)


def kept(make: Callable[..., Passes]) -> Callable[..., Passes]:
    """The same for passes, which know of it; see `Passes.are_kept`."""
    if keras.backend.backend() == "torch":
        return make
    return once(lambda *arguments: make(*arguments)._replace(are_kept=True))


class Compilation:
    """What the package compiles by itself in graphs of TensorFlow, and what goes by pieces."""

    is_on = True

    MANY_CLASSES = 512
    """From here on, XLA is worth a compilation for each new shape, and the rows go by pieces."""
    MANY_ELEMENTS = 2**13
    """So many are worth a compilation, with few classes, where shapes seldom change."""
    ELEMENTS_WORTH_A_MATRIX = 2**18
    """So few are written before JAX adds them up: they are read back from the cache."""
    ELEMENTS_WORTH_NO_MATRIX = 2**22
    """So many are computed anew for the gradient: to keep them takes longer, and the memory."""
    CLASSES_WORTH_NO_MATRIX = 2**14
    """Likewise: whoever has so many classes is short of memory first."""
    ELEMENTS_OF_A_PIECE = 2**20
    """4 MB in float32: for operations that write their results one by one."""
    ELEMENTS_OF_ROWS_AT_ONCE = 2**19
    """2 MB: what a loss of rows writes stays in the processor's cache until it is read again."""
    ELEMENTS_OF_A_TILE = 2**24
    """64 MB in float32: the exponentials of a tile of `LinearCrossentropy` in training."""
    MOST_ELEMENTS_OF_A_TILE = 2**26
    """Up to here a tile may be as large as the kernel, whose gradient each tile goes through."""
    ELEMENTS_OF_A_COMPILED_PIECE = 2**18
    """1 MB in float32: XLA works on all of a piece at once, for each operation in turn."""


def set_compilation(enabled: bool) -> None:
    """Switch on or off what the package compiles by itself.

    On (the default), losses are compiled by XLA in TensorFlow's graphs, unless they are small, and
    in eager calls on JAX; `LinearCrossentropy` is compiled on TensorFlow and JAX. Off, only
    what the user compiles is: for a device without XLA, and for tools that look into graphs, such
    as `tf.debugging.enable_check_numerics`.

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
