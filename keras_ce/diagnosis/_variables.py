"""The weights of a model, read in pieces: a copy of all of them may not fit beside the model."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from keras_ce._core.checks import to_numpy

Array = Any
_NUMBERS_AT_ONCE = 4_000_000
_BLOCK = 1_000_003  # a prime: no axis of a kernel is a multiple of it


def pieces(variable: Any) -> Iterator[Array]:
    """The values of a variable, some rows after the other."""
    value = variable.value
    if not len(variable.shape):
        yield to_numpy(value)[None]
        return
    rows = int(variable.shape[0])
    numbers = int(np.prod(variable.shape[1:], dtype="int64"))
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, numbers))
    for start in range(0, rows, at_once):
        yield to_numpy(value[start : start + at_once] if at_once < rows else value)


def disturbed(variable: Any, scale: float, generator: np.random.Generator) -> Any:
    """The value of a variable, with noise of `scale` times its own size added, as a tensor."""
    noise: Array = generator.standard_normal(min(_BLOCK, int(np.prod(variable.shape))), "float32")
    result = np.resize(noise, tuple(variable.shape))
    number = max(1, result.size)
    squares = sum(float(np.square(piece.astype("float32")).sum()) for piece in pieces(variable))
    result *= scale * (0.1 + np.sqrt(squares / number))
    start = 0
    for piece in pieces(variable):
        part = result[start : start + len(piece)] if result.ndim else result
        part += piece.astype("float32").reshape(np.shape(part))
        start += len(piece)
    return ops.cast(ops.convert_to_tensor(result), variable.dtype)
