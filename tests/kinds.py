"""Cases that stand for a kind, and the same question asked in every mode."""

import contextlib

import backends
import keras
import numpy as np
import pytest
from backends import BACKEND, MODES
from cases import CASES, EMBEDDING_CASES

import keras_ce

NOT_BY_POSITION = {"InBatchCrossentropy", *(case.loss for case in EMBEDDING_CASES)}
"""Losses that compare the rows of a batch: their promises are in files of their own."""

every_mode = pytest.mark.parametrize("mode", MODES)

SOFTMAX = {
    "FocalCrossentropy": {},
    "GeneralizedCrossentropy": {},
    "LabelSmoothedCrossentropy": {},
    "LogitAdjustedCrossentropy": {"class_prior": [1.0, 1.0]},
    "Poly1Crossentropy": {},
    "SymmetricCrossentropy": {},
}
"""Losses of exclusive classes along one axis, and what they cannot do without."""


def one_per(*features, among=CASES):
    """The first case of each combination of features."""
    found = {tuple(getattr(case, name) for name in features): case for case in reversed(among)}
    return pytest.mark.parametrize(
        "case", list(reversed(found.values())), ids=lambda case: case.name
    )


def function_of(name):
    """The function of a loss class's name."""
    module = getattr(keras_ce.losses, name).__module__
    return getattr(keras_ce.losses, module.rpartition(".")[2])


@contextlib.contextmanager
def invalid(argument, position=None, value=None):
    """An `InvalidValuesError` with these fields; gives it to look at the others."""
    with pytest.raises(keras_ce.InvalidValuesError) as caught:
        yield caught
    error = caught.value
    assert error.argument == argument
    assert error.position == position
    if value is not None:
        assert error.value == value


def raises_in(mode, function, *inputs, match):
    """`function(*inputs)` is a ValueError in a mode, which for compiled ones means at its trace."""
    with pytest.raises(ValueError, match=match):
        backends.call(function, *inputs, mode=mode)


def graph_of_unknown(function, *inputs, known=()):
    """A TensorFlow function whose arguments have no known size but those in `known`."""
    import tensorflow as tf

    signature = [
        tf.TensorSpec(
            [size if (number, axis) in known else None for axis, size in enumerate(item.shape)],
            item.dtype,
        )
        for number, item in enumerate(map(np.asarray, inputs))
    ]
    return tf.function(function, input_signature=signature)


only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow alone has this")
only_torch = pytest.mark.skipif(BACKEND != "torch", reason="torch alone has this")
only_jax = pytest.mark.skipif(BACKEND != "jax", reason="JAX alone has this")


def tensor(values, dtype=None):
    """An array as a tensor of the backend."""
    return keras.ops.convert_to_tensor(values, dtype=dtype)
