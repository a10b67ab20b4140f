import functools

import backends
import cases
import numpy as np
import pytest
import references
from backends import invalid
from cases import BATCH, CLASSES, TIME

from keras_ce.losses import Poly1Crossentropy, label_smoothed_crossentropy, poly1_crossentropy

LOGITS = cases.logits(BATCH, TIME, CLASSES)
IDS = cases.ids(BATCH, TIME)
MODE = "jit" if backends.BACKEND == "jax" else "eager"  # the faster one
gradient = functools.partial(backends.gradient, mode=MODE)


@pytest.mark.parametrize("epsilon", [-1.01, True, float("nan"), float("inf"), "1", None, [1.0]])
def test_row_18_arguments_are_validated(epsilon):
    with invalid("epsilon", "a number >= -1", value=epsilon):
        Poly1Crossentropy(epsilon)
    with invalid("epsilon", "a number >= -1", value=epsilon):
        poly1_crossentropy(IDS, LOGITS, epsilon)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("dense", [True, False])
def test_epsilon_0_is_cross_entropy(dense, from_logits):
    labels = np.eye(CLASSES, dtype="float32")[IDS] * 0.7 + 0.1 if dense else IDS
    y_pred = LOGITS if from_logits else cases.probabilities(BATCH, TIME, CLASSES)
    values, slopes = gradient(
        lambda y_pred, y_true: poly1_crossentropy(y_true, y_pred, 0, from_logits=from_logits),
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


@pytest.mark.parametrize("epsilon", [-1, -0.5, 1, 10])
def test_epsilon_adds_the_missing_probability(epsilon):
    p = cases.probabilities(BATCH, TIME, CLASSES)
    plain = backends.array(backends.quick(label_smoothed_crossentropy)(IDS, p, 0))
    values = backends.array(backends.quick(poly1_crossentropy)(IDS, p, epsilon))
    missing = 1 - np.take_along_axis(p, IDS[..., None], -1)[..., 0]
    np.testing.assert_allclose(values, plain + epsilon * missing, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dense", [True, False])
def test_row_8_epsilon_minus_1_keeps_the_gradient_of_what_is_all_but_right(dense):
    """-1 + (1 - p) would cancel to 0: the gradient at the label is -(1 - p)^2."""
    logits = np.array([[9.0, 0.0], [19.0, 0.0]], "float32")
    labels = np.eye(2, dtype="float32")[[0, 0]] if dense else np.array([0, 0])
    _, slopes = gradient(
        lambda y_pred, y_true: poly1_crossentropy(y_true, y_pred, -1, from_logits=True),
        logits,
        labels,
    )
    for row, slope in zip(logits, slopes, strict=True):
        expected = references.slope(
            references.poly1_crossentropy, 0, row, epsilon=-1, from_logits=True
        )
        np.testing.assert_allclose(slope, expected, rtol=1e-5)
    assert np.all(slopes != 0)


def test_row_16_tiny_losses_keep_their_digits():
    """log1p(r) + 2 r with r = e^-20: 6.18e-9, where `logsumexp(x) - x_y` has 0 or 1.9e-6."""
    value = backends.array(
        backends.quick(poly1_crossentropy)([0], [[20.0, 0.0]], 2.0, from_logits=True)
    )
    np.testing.assert_allclose(value, 3 * np.exp(-20), rtol=1e-5)


def test_rows_that_do_not_sum_to_one_weigh_both_parts():
    rows, p = np.array([[0.5, 0.0, 2.0]], "float32"), np.array([[0.2, 0.3, 0.5]], "float32")
    expected = 0.5 * (-np.log(0.2) + 3 * 0.8) + 2 * (-np.log(0.5) + 3 * 0.5)
    np.testing.assert_allclose(
        backends.array(backends.quick(poly1_crossentropy)(rows, p, 3)), expected, rtol=1e-6
    )
