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

    # What the measure shows where there is a matrix: Keras keeps at least one.
    assert temporary_bytes(keras.losses.SparseCategoricalCrossentropy(True)) >= logits.nbytes
    assert temporary_bytes(LabelSmoothedCrossentropy(0, from_logits=True)) < logits.nbytes / 100
