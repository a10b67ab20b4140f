import functools

import backends
import cases
import keras
import numpy as np
import pytest
import references
from backends import invalid_argument
from cases import BATCH, CLASSES, TIME

from keras_ce.losses import (
    FocalCrossentropy,
    LabelSmoothedCrossentropy,
    focal_crossentropy,
    label_smoothed_crossentropy,
)

LOGITS = cases.logits(BATCH, TIME, CLASSES)
IDS = cases.ids(BATCH, TIME)
ONE_HOT = np.eye(CLASSES, dtype="float32")[IDS]
MODE = "jit" if backends.BACKEND == "jax" else "eager"  # the faster one
gradient = functools.partial(backends.gradient, mode=MODE)


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        ({"gamma": -1}, "gamma", "a non-negative number"),
        ({"gamma": True}, "gamma", "a non-negative number"),
        ({"gamma": float("nan")}, "gamma", "a non-negative number"),
        ({"gamma": float("inf")}, "gamma", "a non-negative number"),
        ({"gamma": "2"}, "gamma", "a non-negative number"),
        ({"gamma": None}, "gamma", "a non-negative number"),
        ({"class_weight": 0.25}, "class_weight", "a sequence with one number per class"),
        ({"class_weight": []}, "class_weight", "at least two classes"),
        ({"class_weight": [1.0]}, "class_weight", "at least two classes"),
        ({"class_weight": [1.0, -1.0]}, "class_weight[1]", "a non-negative number"),
        ({"class_weight": {0: float("nan")}}, "class_weight[0]", "a non-negative number"),
    ],
)
def test_row_18_arguments_are_validated(arguments, name, expected):
    with invalid_argument(arguments, name, expected):
        FocalCrossentropy(**arguments)
    with invalid_argument(arguments, name, expected):
        focal_crossentropy(IDS, LOGITS, **arguments)
    if "gamma" in arguments and arguments["gamma"] == -1:
        keras.losses.CategoricalFocalCrossentropy(gamma=-1)  # Keras: no word


def test_row_18_class_weights_must_match_the_classes():
    with pytest.raises(ValueError, match="`class_weight` must have one number per class"):
        FocalCrossentropy(from_logits=True, class_weight=[1.0, 2.0])(IDS, LOGITS)
    with pytest.raises(ValueError, match="`class_weight` has a number for class 5, but .* 0 to 4"):
        FocalCrossentropy(from_logits=True, class_weight={CLASSES: 2.0})(IDS, LOGITS)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("dense", [True, False])
def test_gamma_0_is_cross_entropy(dense, from_logits):
    labels = ONE_HOT * 0.7 + 0.1 if dense else IDS
    y_pred = LOGITS if from_logits else cases.probabilities(BATCH, TIME, CLASSES)
    arguments = {"from_logits": from_logits, "class_weight": {0: 0.25, 3: 2.0}}
    values, slopes = gradient(
        lambda y_pred, y_true: focal_crossentropy(y_true, y_pred, 0, **arguments),
        y_pred,
        labels,
    )
    expected, expected_slopes = gradient(
        lambda y_pred, y_true: label_smoothed_crossentropy(y_true, y_pred, 0, **arguments),
        y_pred,
        labels,
    )
    np.testing.assert_allclose(values, expected, rtol=2e-6)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=1e-5, atol=1e-6)


def test_class_weights_as_list_dict_and_strings():
    as_list = FocalCrossentropy(from_logits=True, class_weight=[1, 2, 1, 0.5, 1])
    as_dict = FocalCrossentropy(from_logits=True, class_weight={"1": 2, 3: 0.5})
    weights = np.array([1, 2, 1, 0.5, 1])[IDS]
    plain = backends.array(backends.quick(focal_crossentropy)(IDS, LOGITS, from_logits=True))
    expected = (plain * weights).mean()  # a class weight never enters the denominator
    for labels in (IDS, ONE_HOT):
        for loss in (as_list, as_dict):
            np.testing.assert_allclose(backends.array(loss(labels, LOGITS)), expected, rtol=1e-6)


def test_row_7_class_weight_is_the_alpha_of_keras():
    alpha = [0.25, 0.5, 0.75, 1.0, 0.1]
    theirs = keras.losses.categorical_focal_crossentropy(
        ONE_HOT, LOGITS, alpha=alpha, gamma=2.0, from_logits=True
    )
    ours = focal_crossentropy(IDS, LOGITS, from_logits=True, class_weight=alpha)
    np.testing.assert_allclose(backends.array(ours), backends.array(theirs), rtol=1e-4, atol=1e-6)


def keras_focal(rows, logits, gamma):
    return gradient(
        lambda y_pred, y_true: keras.losses.categorical_focal_crossentropy(
            y_true, y_pred, alpha=1.0, gamma=gamma, from_logits=True
        ),
        logits,
        rows,
    )


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("label", [0, 1])
def test_row_8_a_saturated_prediction_keeps_its_gradient(label, gamma, dense):
    """Keras: gradient [0, 0, 0] for both labels, and 16.1181 of the loss 19 for the wrong one."""
    logits = np.array([[0.0, 19.0, 0.0]], "float32")
    row = np.eye(3, dtype="float32")[[label]]
    theirs, their_slopes = keras_focal(row, logits, gamma)
    np.testing.assert_array_equal(their_slopes, [[0, 0, 0]])
    values, slopes = gradient(
        lambda y_pred, y_true: focal_crossentropy(y_true, y_pred, gamma, from_logits=True),
        logits,
        row if dense else np.array([label]),
    )
    arguments = {"gamma": gamma, "from_logits": True}
    loss = references.focal_crossentropy
    expected = references.value(loss, label, logits[0], **arguments)
    np.testing.assert_allclose(values[0], expected, rtol=1e-5)
    assert np.all(slopes != 0)
    np.testing.assert_allclose(
        slopes[0], references.slope(loss, label, logits[0], **arguments), rtol=1e-5, atol=1e-7
    )
    if label == 0:
        np.testing.assert_allclose(values, 19, rtol=1e-6)
        np.testing.assert_allclose(slopes, [[-1, 1, 0]], atol=1e-6)
        np.testing.assert_allclose(theirs, 16.1181, rtol=1e-5)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("gamma", [0.1, 0.5])
def test_row_8_gamma_below_1_when_all_is_right(gamma, dense):
    """The derivative of (1 - p)^0.5 at p = 1 is infinite: Keras's binary focal loss is NaN."""
    logits = np.array([[20.0, 0.0], [100.0, 0.0], [1e4, -1e4]], "float32")
    labels = np.eye(2, dtype="float32")[[0, 0, 0]] if dense else np.array([0, 0, 0])
    values, slopes = gradient(
        lambda y_pred, y_true: focal_crossentropy(y_true, y_pred, gamma, from_logits=True),
        logits,
        labels,
    )
    assert np.all(np.isfinite(slopes))
    arguments = {"gamma": gamma, "from_logits": True}
    loss = references.focal_crossentropy
    np.testing.assert_allclose(
        values[0], references.value(loss, 0, logits[0], **arguments), rtol=1e-5
    )
    np.testing.assert_allclose(
        slopes[0], references.slope(loss, 0, logits[0], **arguments), rtol=1e-5
    )
    assert slopes[0, 0] < 0 < slopes[0, 1]


def test_row_1_a_probability_of_1e_10_keeps_its_gradient():
    y_pred = np.array([[1e-10, 1.0, 0.0]], "float32")
    row = np.array([[1.0, 0.0, 0.0]], "float32")
    theirs = gradient(
        lambda y_pred, y_true: keras.losses.categorical_focal_crossentropy(
            y_true, y_pred, alpha=1.0
        ),
        y_pred,
        row,
    )
    np.testing.assert_allclose(theirs[0], 16.1181, rtol=1e-5)
    np.testing.assert_array_equal(theirs[1], [[0, 0, 0]])
    values, slopes = gradient(
        lambda y_pred, y_true: focal_crossentropy(y_true, y_pred), y_pred, row
    )
    np.testing.assert_allclose(values, 23.02585, rtol=1e-6)
    np.testing.assert_allclose(slopes[0, 0], -1e10, rtol=1e-5)


def test_row_16_tiny_losses_keep_their_digits():
    """Keras clips, so that no prediction is better than 1e-7 away from 1: 1.7e-21."""
    logits = np.array([[0.0, 19.0, 0.0]], "float32")
    theirs, _ = keras_focal(np.array([[0.0, 1.0, 0.0]], "float32"), logits, 2.0)
    np.testing.assert_allclose(theirs, 1.694e-21, rtol=1e-3)
    value = backends.array(backends.quick(focal_crossentropy)([1], logits, from_logits=True))
    exact = references.value(
        references.focal_crossentropy, 1, logits[0], gamma=2.0, from_logits=True
    )
    assert exact == pytest.approx(1.40624e-24, rel=1e-3)
    np.testing.assert_allclose(value, exact, rtol=1e-5)


def test_the_paper_looks_away_by_100_at_a_probability_of_0_9():
    """Section 3.2 of the paper: gamma 2 scales the loss of p = 0.9 by 1 / 100."""
    y_pred = np.array([[0.9, 0.1]])
    focal = backends.array(backends.quick(focal_crossentropy)([0], y_pred))
    plain = backends.array(LabelSmoothedCrossentropy(0).call([0], y_pred))
    np.testing.assert_allclose(plain / focal, 100, rtol=1e-5)
