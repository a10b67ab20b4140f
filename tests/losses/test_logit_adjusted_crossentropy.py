import functools

import backends
import cases
import numpy as np
import pytest
from backends import invalid, invalid_argument
from cases import BATCH, CLASSES, TIME

from keras_ce.losses import (
    LogitAdjustedCrossentropy,
    label_smoothed_crossentropy,
    logit_adjusted_crossentropy,
)

LOGITS = cases.logits(BATCH, TIME, CLASSES)
IDS = cases.ids(BATCH, TIME)
ONE_HOT = np.eye(CLASSES, dtype="float32")[IDS]
COUNTS = [900, 90, 9, 1, 50]
MODE = "jit" if backends.BACKEND == "jax" else "eager"  # the faster one
gradient = functools.partial(backends.gradient, mode=MODE)


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        ({"class_prior": 0.5}, "class_prior", "a sequence with one number per class"),
        ({"class_prior": "0.5"}, "class_prior", "a sequence with one number per class"),
        ({"class_prior": []}, "class_prior", "at least two classes"),
        ({"class_prior": {0: 1.0}}, "class_prior", "each of 2 classes"),
        ({"class_prior": [1, 0]}, "class_prior[1]", "a positive number"),
        ({"class_prior": [1, -2]}, "class_prior[1]", "a positive number"),
        ({"class_prior": {0: 1, 1: 0}}, "class_prior[1]", "a positive number"),
        ({"class_prior": [float("nan"), 1]}, "class_prior[0]", "a positive number"),
        ({"class_prior": [True, 1]}, "class_prior[0]", "a positive number"),
        ({"strength": -0.5}, "strength", "a non-negative number"),
        ({"strength": True}, "strength", "a non-negative number"),
        ({"strength": float("inf")}, "strength", "a non-negative number"),
    ],
)
def test_row_18_arguments_are_validated(arguments, name, expected):
    arguments = {"class_prior": COUNTS, **arguments}
    with invalid_argument(arguments, name, expected):
        LogitAdjustedCrossentropy(**arguments)
    with invalid_argument(arguments, name, expected):
        logit_adjusted_crossentropy(IDS, LOGITS, **arguments)


@pytest.mark.parametrize(("prior", "absent"), [({0: 3, 2: 1}, 1), ({1: 3}, 0)])
def test_row_18_every_class_needs_a_prior(prior, absent):
    """log 0 would forbid the class: what was never counted has to be named."""
    with invalid("class_prior", "every class", fix=f"Class {absent} has no number", value=prior):
        LogitAdjustedCrossentropy(prior)


def test_row_18_the_prior_must_match_the_classes():
    message = "`class_prior` must have one number per class. Received: 2 numbers for 5 classes"
    with pytest.raises(ValueError, match=message):
        LogitAdjustedCrossentropy([1.0, 2.0])(IDS, LOGITS)


@pytest.mark.parametrize("labels", [IDS, ONE_HOT * 0.7 + 0.1], ids=["ids", "rows"])
@pytest.mark.parametrize(
    ("prior", "strength"), [(COUNTS, 0), ([3.0] * CLASSES, 1.0), ([3.0] * CLASSES, 2.5)]
)
def test_no_strength_or_a_flat_prior_is_cross_entropy(prior, strength, labels):
    values, slopes = gradient(
        lambda y_pred, y_true: logit_adjusted_crossentropy(y_true, y_pred, prior, strength),
        LOGITS,
        labels,
    )
    expected, expected_slopes = gradient(
        lambda y_pred, y_true: label_smoothed_crossentropy(y_true, y_pred, 0, from_logits=True),
        LOGITS,
        labels,
    )
    np.testing.assert_allclose(values, expected, rtol=2e-6)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
def test_it_is_cross_entropy_of_shifted_logits(strength):
    prior = np.array(COUNTS) / np.sum(COUNTS)
    shifted = (LOGITS + strength * np.log(prior)).astype("float32")
    for labels in (IDS, ONE_HOT):
        expected = label_smoothed_crossentropy(labels, shifted, 0, from_logits=True)
        values = logit_adjusted_crossentropy(labels, LOGITS, COUNTS, strength)
        np.testing.assert_allclose(
            backends.array(values), backends.array(expected), rtol=1e-5, atol=1e-6
        )


def test_counts_and_shares_are_the_same():
    shares = [count / sum(COUNTS) for count in COUNTS]
    for prior in (
        shares,
        np.array(COUNTS),
        np.array(shares, "float32"),
        tuple(COUNTS),
        dict(reversed(list(enumerate(COUNTS)))),
    ):
        values = backends.array(backends.quick(logit_adjusted_crossentropy)(IDS, LOGITS, prior))
        expected = backends.array(backends.quick(logit_adjusted_crossentropy)(IDS, LOGITS, COUNTS))
        np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_equal_logits_cost_the_self_information_of_the_prior():
    values = logit_adjusted_crossentropy(np.arange(5), np.zeros((5, 5), "float32"), COUNTS)
    expected = -np.log(np.array(COUNTS) / np.sum(COUNTS))
    np.testing.assert_allclose(backends.array(values), expected, rtol=1e-6)


def test_a_config_of_arrays_is_plain():
    loss = LogitAdjustedCrossentropy(np.array(COUNTS))
    assert loss.get_config()["class_prior"] == [900.0, 90.0, 9.0, 1.0, 50.0]


@pytest.mark.parametrize("mode", backends.MODES)
def test_row_16_a_small_shift_survives_large_logits(mode):
    """9,000 + log(0.6) rounds to a multiple of 0.001; the shift must not."""
    logits = np.array([[9000.0, 9000.0]], "float32")
    values = backends.call(
        lambda y_true, y_pred: logit_adjusted_crossentropy(y_true, y_pred, [0.6, 0.4]),
        np.array([0]),
        logits,
        mode=mode,
    )
    np.testing.assert_allclose(values, [-np.log(0.6)], rtol=1e-6)
    rounded = (logits + np.log([0.6, 0.4])).astype("float32")
    without = backends.array(
        backends.quick(label_smoothed_crossentropy)([0], rounded, 0, from_logits=True)
    )
    assert abs(without[0] + np.log(0.6)) > 1e-5
    tiny = logit_adjusted_crossentropy([0], [[30.0, 0.0]], [1.0, 100.0])
    np.testing.assert_allclose(backends.array(tiny), [100 * np.exp(-30)], rtol=1e-5)
