import functools

import backends
import cases
import keras
import numpy as np
import pytest
import references
from backends import invalid, invalid_argument
from cases import BATCH, CLASSES, TIME
from keras import ops

from keras_ce.losses import (
    AsymmetricSigmoidCrossentropy,
    asymmetric_sigmoid_crossentropy,
    weighted_sigmoid_crossentropy,
)

LOGITS = cases.logits(BATCH, TIME, CLASSES)
LABELS = cases.binary(BATCH, TIME, CLASSES)
MODE = "jit" if backends.BACKEND == "jax" else "eager"  # the faster one
gradient = functools.partial(backends.gradient, mode=MODE)


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        ({"gamma_positive": -1}, "gamma_positive", "a non-negative number"),
        ({"gamma_positive": True}, "gamma_positive", "a non-negative number"),
        ({"gamma_positive": float("nan")}, "gamma_positive", "a non-negative number"),
        ({"gamma_negative": -0.1}, "gamma_negative", "a non-negative number"),
        ({"gamma_negative": "4"}, "gamma_negative", "a non-negative number"),
        ({"gamma_negative": float("inf")}, "gamma_negative", "a non-negative number"),
        ({"clip": 1}, "clip", "from 0 up to, but not including, 1"),
        ({"clip": -0.05}, "clip", "from 0 up to, but not including, 1"),
        ({"clip": None}, "clip", "from 0 up to, but not including, 1"),
        ({"from_logits": 1}, "from_logits", "True or False"),
        ({"ignore_label": "-1"}, "ignore_label", "nan"),
        ({"ignore_label": float("inf")}, "ignore_label", "a finite number"),
    ],
)
def test_row_18_arguments_are_validated(arguments, name, expected):
    with invalid_argument(arguments, name, expected):
        AsymmetricSigmoidCrossentropy(**arguments)
    with invalid_argument(arguments, name, expected):
        asymmetric_sigmoid_crossentropy(LABELS, LOGITS, **arguments)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("soft", [True, False])
def test_both_gammas_0_and_clip_0_is_sigmoid_cross_entropy(soft, from_logits):
    labels = LABELS * 0.7 + 0.1 if soft else LABELS
    y_pred = LOGITS if from_logits else cases.probabilities(BATCH, TIME, CLASSES)
    values, slopes = gradient(
        lambda y_pred, y_true: asymmetric_sigmoid_crossentropy(
            y_true, y_pred, 0, 0, 0, from_logits=from_logits
        ),
        y_pred,
        labels,
    )
    expected, expected_slopes = gradient(
        lambda y_pred, y_true: weighted_sigmoid_crossentropy(
            y_true, y_pred, from_logits=from_logits
        ),
        y_pred,
        labels,
    )
    np.testing.assert_allclose(values, expected, rtol=2e-6)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
def test_equal_gammas_and_clip_0_is_the_sigmoid_focal_loss_of_keras(gamma):
    theirs = keras.losses.binary_focal_crossentropy(LABELS, LOGITS, gamma=gamma, from_logits=True)
    ours = asymmetric_sigmoid_crossentropy(LABELS, LOGITS, gamma, gamma, 0, from_logits=True)
    np.testing.assert_allclose(backends.array(ours), backends.array(theirs), rtol=1e-4, atol=1e-6)


def entries(labels, logits, *arguments, mode=MODE):
    """One entry per row, so that the mean over the last axis changes nothing."""
    values, slopes = backends.gradient(
        lambda y_pred, y_true: asymmetric_sigmoid_crossentropy(
            y_true, y_pred, *arguments, from_logits=True
        ),
        np.array(logits, "float32")[:, None],
        np.array(labels, "float32")[:, None],
        mode=mode,
    )
    return values, slopes[:, 0]


def expected_entries(labels, logits, *arguments):
    names = ("gamma_positive", "gamma_negative", "clip")
    options = {**dict(zip(names, arguments, strict=True)), "from_logits": True}
    loss = references.asymmetric_sigmoid_crossentropy
    values = [
        references.value(loss, [y], [z], **options) for y, z in zip(labels, logits, strict=True)
    ]
    slopes = [
        references.slope(loss, [y], [z], **options)[0] for y, z in zip(labels, logits, strict=True)
    ]
    return values, slopes


def keras_entries(labels, logits, gamma):
    return gradient(
        lambda y_pred, y_true: keras.losses.binary_focal_crossentropy(
            y_true, y_pred, gamma=gamma, from_logits=True
        ),
        np.array(logits, "float32")[:, None],
        np.array(labels, "float32")[:, None],
    )


@pytest.mark.parametrize("mode", backends.MODES)
@pytest.mark.parametrize("arguments", [(0.0, 4.0, 0.05), (2.0, 2.0, 0.0), (0.5, 0.5, 0.0)])
def test_row_8_a_confidently_wrong_entry_keeps_its_gradient(arguments, mode):
    """Logit -100 with label 1 costs 100 and pulls with -1; Keras on JAX, torch: 16.1 and 0."""
    labels, logits = [1.0, 1.0, 0.0, 0.0], [-100.0, -1e4, 100.0, 1e4]
    values, slopes = entries(labels, logits, *arguments, mode=mode)
    if arguments[2]:  # 0.95^4 of -log(0.05), and nothing more to learn: the shifted p is clipped
        expected, expected_slopes = expected_entries(labels, logits, *arguments)
        np.testing.assert_allclose(values, expected, rtol=1e-5)
        np.testing.assert_allclose(slopes, expected_slopes, atol=1e-6)
    else:
        np.testing.assert_allclose(values, [100, 1e4, 100, 1e4], rtol=1e-6)
        np.testing.assert_allclose(slopes, [-1, -1, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(slopes[:2], [-1, -1], rtol=1e-6)
    if backends.BACKEND != "tensorflow":
        theirs, their_slopes = keras_entries([1.0], [-100.0], 2.0)
        np.testing.assert_allclose(theirs, 16.118, rtol=1e-4)
        assert their_slopes[0, 0] == 0


@pytest.mark.parametrize("mode", backends.MODES)
def test_row_8_gamma_below_1_at_a_logit_of_20(mode):
    """Keras: NaN."""
    assert np.isnan(keras_entries([1.0], [20.0], 0.5)[1][0, 0])
    labels, logits = [1.0, 0.0, 1.0, 0.0], [20.0, -20.0, 100.0, -100.0]
    values, slopes = entries(labels, logits, 0.5, 0.5, 0.0, mode=mode)
    expected, expected_slopes = expected_entries(labels, logits, 0.5, 0.5, 0.0)
    is_normal = np.array(expected) > 1e-30
    np.testing.assert_allclose(values[is_normal], np.array(expected)[is_normal], rtol=1e-5)
    np.testing.assert_allclose(slopes[:2], expected_slopes[:2], rtol=1e-5)
    assert np.all(np.isfinite(slopes))
    assert np.all(slopes[:2] != 0)


def test_the_clip_forgets_easy_negatives():
    """Below p = 0.05 a negative costs nothing and pulls at nothing; at the kink, too."""
    logit = np.log(0.05 / 0.95)
    values, slopes = entries([0.0] * 3, [-50.0, logit - 0.01, logit + 0.5], 0.0, 4.0, 0.05)
    np.testing.assert_array_equal(values[:2], 0)
    np.testing.assert_array_equal(slopes[:2], 0)
    assert values[2] > 0
    assert slopes[2] > 0
    _, slopes = gradient(
        lambda y_pred, y_true: asymmetric_sigmoid_crossentropy(y_true, y_pred, 0, 0, 0.25),
        np.array([[0.25], [0.5]], "float32"),
        np.array([[0.0], [0.0]], "float32"),
    )
    np.testing.assert_allclose(slopes[:, 0], [0, 1 / 0.75], rtol=1e-6)


def test_hard_labels_agree_with_timm_and_soft_labels_differ():
    """timm puts soft labels into p and the exponent; ours weigh both parts with them."""
    labels = np.array([[1.0, 0.0, 0.3, 0.9]])
    logits = np.array([[1.5, 2.9, -0.7, 0.4]])
    p = 1 / (1 + np.exp(-logits))
    q = np.minimum(1 - p + 0.05, 1)
    focus = 1 - p * labels - q * (1 - labels)
    parts = labels * np.log(p) + (1 - labels) * np.log(q)
    timm = -parts * focus ** (labels + 4 * (1 - labels))
    ours, _ = entries(labels[0], logits[0], 1.0, 4.0, 0.05)
    np.testing.assert_allclose(ours[:2], timm[0, :2], rtol=1e-5)
    np.testing.assert_allclose(timm[0, 2:] - ours[2:], [-0.1903, -0.0194], atol=1e-4)


def test_row_13_a_perfect_prediction_in_half_precision():
    """1 - 1e-7 rounds to 1 in float16: Keras's loss is NaN on TensorFlow and JAX."""
    y_pred = ops.convert_to_tensor([[1.0, 0.0]], "float16")
    y_true = ops.convert_to_tensor([[1.0, 0.0]], "float16")
    theirs = keras.losses.BinaryFocalCrossentropy(gamma=0, dtype="float16")(y_true, y_pred)
    assert np.isnan(backends.array(theirs)) or backends.BACKEND == "torch"
    assert float(AsymmetricSigmoidCrossentropy(dtype="float16")(y_true, y_pred)) == 0


def test_row_2_logits_taken_for_probabilities_are_refused():
    with invalid(
        "y_pred", "from 0 to 1", fix="from_logits=True", position=(1, 0), value=np.float32(3.7)
    ):
        asymmetric_sigmoid_crossentropy([[1.0], [1.0]], [[0.7], [3.7]])


def test_row_15_labels_of_one_axis_match_a_column_without_broadcasting():
    y_pred = np.array([[2.0], [-1.0], [0.5]], "float32")
    y_true = np.array([1.0, 0.0, 1.0], "float32")
    loss = AsymmetricSigmoidCrossentropy(from_logits=True, reduction="none")
    values = backends.array(loss(y_true, y_pred))
    assert values.shape == (3,)
    np.testing.assert_array_equal(values, backends.array(loss(y_true[:, None], y_pred)))
    for wrong in ([1.0, 0.0], [[1.0, 0.0, 1.0]]):
        with pytest.raises(ValueError, match="`y_true` must have the shape of `y_pred`"):
            loss(wrong, y_pred)


@pytest.mark.parametrize("mode", backends.MODES)
@pytest.mark.parametrize("ignore_label", [-1, "nan"])
def test_ignored_entries_leave_the_mean_and_ignored_rows_the_denominator(ignore_label, mode):
    missing = float(ignore_label)
    labels = np.array([[1, missing, 0], [missing] * 3, [0, 0, 1]], "float32")
    logits = np.array([[0.3, np.nan, -1.0], [np.nan] * 3, [2.0, -1.0, 0.5]], "float32")
    loss = AsymmetricSigmoidCrossentropy(from_logits=True, ignore_label=ignore_label)
    value, slopes = backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred), logits, labels, mode=mode
    )
    kept, kept_slopes = gradient(
        lambda y_pred, y_true: asymmetric_sigmoid_crossentropy(y_true, y_pred, from_logits=True),
        logits[:1, ::2],
        labels[:1, ::2],
    )
    full, full_slopes = gradient(
        lambda y_pred, y_true: asymmetric_sigmoid_crossentropy(y_true, y_pred, from_logits=True),
        logits[2:],
        labels[2:],
    )
    np.testing.assert_allclose(value, (kept[0] + full[0]) / 2, rtol=1e-6)
    expected = np.zeros_like(logits)
    expected[0, ::2], expected[2] = kept_slopes[0] / 2, full_slopes[0] / 2
    np.testing.assert_allclose(slopes, expected, rtol=1e-5, atol=1e-8)


def test_row_1_a_saturated_probability():
    values, slopes = gradient(
        lambda y_pred, y_true: asymmetric_sigmoid_crossentropy(y_true, y_pred, 2.0, 2.0, 0),
        np.array([[1e-10], [0.0], [1.0], [1.0]], "float32"),
        np.array([[1.0], [1.0], [0.0], [1.0]], "float32"),
    )
    np.testing.assert_allclose(values, [23.02585, 69.0776, 69.0776, 0], rtol=1e-5)
    np.testing.assert_allclose(slopes[0, 0], -1e10, rtol=1e-5)
    assert np.all(np.isfinite(slopes))


def test_row_16_tiny_losses_keep_their_digits():
    values, _ = entries([1.0, 0.0], [20.0, -20.0], 2.0, 2.0, 0.0)
    np.testing.assert_allclose(values, np.exp(-60), rtol=1e-5)
    assert keras_entries([1.0], [20.0], 2.0)[0][0] == 0


def test_what_a_certain_mistake_costs_is_what_the_docstring_says():
    """A label 0 at p = 1: the clip bounds it, at the defaults far below 69.08."""
    costs = float(asymmetric_sigmoid_crossentropy([0.0], [1.0]))
    np.testing.assert_allclose(costs, -np.log(0.05) * 0.95**4, rtol=1e-6)
    assert f"{costs:.2f} at the defaults" in AsymmetricSigmoidCrossentropy.__doc__
    unclipped = float(asymmetric_sigmoid_crossentropy([0.0], [1.0], clip=0))
    np.testing.assert_allclose(unclipped, 69.08, rtol=1e-4)
