import functools

import backends
import cases
import numpy as np
import pytest
from backends import invalid
from cases import BATCH, CLASSES, TIME

from keras_ce.losses import (
    SymmetricCrossentropy,
    label_smoothed_crossentropy,
    symmetric_crossentropy,
)

LOGITS = cases.logits(BATCH, TIME, CLASSES)
IDS = cases.ids(BATCH, TIME)
ONE_HOT = np.eye(CLASSES, dtype="float32")[IDS]
MODE = "jit" if backends.BACKEND == "jax" else "eager"  # the faster one
gradient = functools.partial(backends.gradient, mode=MODE)


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("value", [-0.1, True, float("nan"), float("inf"), "1", None])
def test_row_18_arguments_are_validated(name, value):
    with invalid(name, "a non-negative number", value=value):
        SymmetricCrossentropy(**{name: value})
    with invalid(name, "a non-negative number", value=value):
        symmetric_crossentropy(IDS, LOGITS, **{name: value})


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("dense", [True, False])
def test_alpha_1_and_beta_0_is_cross_entropy(dense, from_logits):
    labels = ONE_HOT * 0.7 + 0.1 if dense else IDS
    y_pred = LOGITS if from_logits else cases.probabilities(BATCH, TIME, CLASSES)
    values, slopes = gradient(
        lambda y_pred, y_true: symmetric_crossentropy(
            y_true, y_pred, 1, 0, from_logits=from_logits
        ),
        y_pred,
        labels,
    )
    expected, expected_slopes = gradient(
        lambda y_pred, y_true: label_smoothed_crossentropy(
            y_true, y_pred, 0, from_logits=from_logits
        ),
        y_pred,
        labels,
    )
    np.testing.assert_allclose(values, expected, rtol=2e-6)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=1e-5, atol=1e-6)


def test_alpha_0_is_four_times_the_missing_probability():
    p = cases.probabilities(BATCH, TIME, CLASSES)
    missing = 1 - np.take_along_axis(p, IDS[..., None], -1)[..., 0]
    for labels in (IDS, ONE_HOT):
        values = backends.array(backends.quick(symmetric_crossentropy)(labels, p, 0, 0.5))
        np.testing.assert_allclose(values, 0.5 * 4 * missing, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dense", [True, False])
def test_alpha_0_is_bounded_where_a_logit_is_minus_infinity(dense):
    """0 times the infinite cross-entropy does not count."""
    logits = np.array([[0.0, -np.inf, 0.0]], "float32")
    labels = np.eye(3, dtype="float32")[[1]] if dense else np.array([1])
    value, slopes = gradient(
        lambda y_pred, y_true: symmetric_crossentropy(y_true, y_pred, 0, 1, from_logits=True),
        logits,
        labels,
    )
    np.testing.assert_allclose(value, 4, rtol=1e-6)
    np.testing.assert_allclose(slopes, 0, atol=1e-6)


def test_the_reverse_part_of_soft_rows_from_its_definition():
    """log y counts -4 at least: labels of 0.01 and of 0 cost the same."""
    rows = np.array([[0.7, 0.29, 0.01, 0.0]], "float32")
    p = np.array([[0.1, 0.2, 0.3, 0.4]], "float32")
    expected = -(0.1 * np.log(0.7) + 0.2 * np.log(0.29) + 0.7 * -4)
    value = backends.array(backends.quick(symmetric_crossentropy)(rows, p, 0, 1))
    np.testing.assert_allclose(value, [expected], rtol=1e-6)
    forward = -(rows * np.log(p)).sum()
    value = backends.array(backends.quick(symmetric_crossentropy)(rows, p))
    np.testing.assert_allclose(value, [0.1 * forward + expected], rtol=1e-6)


def test_the_paper_for_one_hot_labels():
    """Equation 8 with A = -4, from the paper: the reverse part is -A (1 - p_y)."""
    p = np.array([[0.25, 0.75]], "float32")
    value = backends.array(backends.quick(symmetric_crossentropy)([0], p, 0.5, 2.0))
    np.testing.assert_allclose(value, [0.5 * -np.log(0.25) + 2 * 4 * 0.75], rtol=1e-6)


def test_row_16_tiny_losses_keep_their_digits():
    for labels in ([0], [[1.0, 0.0]]):
        value = symmetric_crossentropy(labels, [[30.0, 0.0]], 0.1, 1.0, from_logits=True)
        np.testing.assert_allclose(backends.array(value), 4.1 * np.exp(-30), rtol=1e-5)
