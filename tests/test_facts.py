"""Facts about Keras that no single loss keeps, with Keras's number and ours."""

import keras
import numpy as np
import pytest
from backends import BACKEND

from keras_ce.losses import LabelSmoothedCrossentropy


@pytest.mark.skipif(BACKEND != "jax", reason="Keras builds the one-hot matrix on JAX")
def test_row_23_ids_need_no_matrix_of_their_own():
    import jax

    generator = np.random.default_rng(0)
    logits = generator.normal(size=(64, 30_000)).astype("float32")
    ids = generator.integers(0, 30_000, 64).astype("int32")

    def temporary_bytes(loss):
        step = jax.jit(jax.value_and_grad(loss, argnums=1))
        return step.lower(ids, logits).compile().memory_analysis().temp_size_in_bytes

    # One matrix, the exponentials, serves value and gradient.
    ours = temporary_bytes(LabelSmoothedCrossentropy(0, from_logits=True))
    assert ours <= 1.01 * logits.nbytes
    rows = keras.ops.one_hot(ids, 30_000)
    with_matrix = temporary_bytes(
        lambda ids, logits: LabelSmoothedCrossentropy(0, from_logits=True)(rows, logits)
    )
    assert with_matrix > ours  # what the measure would show
