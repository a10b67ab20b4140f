import functools

import backends
import cases
import keras
import numpy as np
import pytest
from backends import invalid
from cases import BATCH, CLASSES, TIME

from keras_ce.losses import (
    GeneralizedCrossentropy,
    generalized_crossentropy,
    label_smoothed_crossentropy,
)

LOGITS = cases.logits(BATCH, TIME, CLASSES)
IDS = cases.ids(BATCH, TIME)
MODE = "jit" if backends.BACKEND == "jax" else "eager"  # the faster one
gradient = functools.partial(backends.gradient, mode=MODE)


@pytest.mark.parametrize("q", [0, -0.1, 1.01, True, float("nan"), float("inf"), "0.7", None])
def test_row_18_arguments_are_validated(q):
    expected = "a number above 0 and up to 1"
    with invalid("q", expected, value=q):
        GeneralizedCrossentropy(q)
    with invalid("q", expected, value=q):
        generalized_crossentropy(IDS, LOGITS, q)


def test_q_1_is_the_missing_probability():
    p = backends.array(keras.ops.softmax(LOGITS))
    values = backends.array(
        backends.quick(generalized_crossentropy)(IDS, LOGITS, 1, from_logits=True)
    )
    expected = 1 - np.take_along_axis(p, IDS[..., None], -1)[..., 0]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_q_near_0_is_cross_entropy():
    values, slopes = gradient(
        lambda y_pred, y_true: generalized_crossentropy(y_true, y_pred, 1e-7, from_logits=True),
        LOGITS,
        IDS,
    )
    expected, expected_slopes = gradient(
        lambda y_pred, y_true: label_smoothed_crossentropy(y_true, y_pred, 0, from_logits=True),
        LOGITS,
        IDS,
    )
    np.testing.assert_allclose(values, expected, rtol=3e-6)
    np.testing.assert_allclose(slopes, expected_slopes, atol=3e-6)


@pytest.mark.parametrize("q", [0.1, 0.7, 1.0])
def test_no_label_costs_more_than_1_over_q(q):
    logits = np.array([[1e4, -1e4], [200.0, 0.0], [3.0, 0.0]], "float32")
    values = backends.array(
        backends.quick(generalized_crossentropy)([1, 1, 1], logits, q, from_logits=True)
    )
    np.testing.assert_allclose(values[:2], 1 / q, rtol=1e-6)
    assert values[2] < 1 / q


def test_row_2_keras_takes_logits_for_probabilities():
    """Keras's loss has no `from_logits` and no check: a negative number."""
    y_pred = keras.ops.convert_to_tensor([[3.7, -1.0]])
    theirs = keras.losses.categorical_generalized_cross_entropy(np.array([0]), y_pred, q=0.5)
    np.testing.assert_allclose(backends.array(theirs), (1 - 3.7**0.5) / 0.5, rtol=1e-5)
    with invalid("y_pred", fix="from_logits=True", position=(0, 0), value=np.float32(3.7)):
        generalized_crossentropy([0], [[3.7, -1.0]], 0.5)


def test_row_16_tiny_losses_keep_their_digits():
    """1 - p^q from a probability is a multiple of 6e-8; from -log p it is exact."""
    logits = np.array([[20.0, 0.0]], "float32")
    p = keras.ops.softmax(keras.ops.convert_to_tensor(logits))
    theirs = keras.losses.categorical_generalized_cross_entropy(np.array([0]), p, q=0.7)
    assert float(backends.array(theirs)[0]) == 0
    value = backends.array(backends.quick(generalized_crossentropy)([0], logits, from_logits=True))
    np.testing.assert_allclose(value, np.exp(-20), rtol=1e-5)


def test_rows_that_are_not_distributions_weigh_their_terms():
    rows = np.array([[0.5, 0.0, 2.0]], "float32")
    p = np.array([[0.2, 0.3, 0.5]], "float32")
    expected = 0.5 * (1 - 0.2**0.7) / 0.7 + 2 * (1 - 0.5**0.7) / 0.7
    np.testing.assert_allclose(
        backends.array(backends.quick(generalized_crossentropy)(rows, p)), [expected], rtol=1e-5
    )
