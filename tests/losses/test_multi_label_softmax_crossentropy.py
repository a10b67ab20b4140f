import functools
import inspect

import backends
import numpy as np
import pytest
from backends import invalid

from keras_ce.losses import (
    MultiLabelSoftmaxCrossentropy,
    label_smoothed_crossentropy,
    multi_label_softmax_crossentropy,
)

MODE = "jit" if backends.BACKEND == "jax" else "eager"  # the faster one
gradient = functools.partial(backends.gradient, mode=MODE)


def test_row_18_there_is_one_argument_to_get_wrong():
    parameters = inspect.signature(multi_label_softmax_crossentropy).parameters
    assert list(parameters) == ["y_true", "y_pred", "ignore_label"]
    for wrong in ("-1", "NaN", True, float("inf"), [-1]):
        with invalid("ignore_label", value=wrong):
            MultiLabelSoftmaxCrossentropy(ignore_label=wrong)
    with pytest.raises(TypeError, match="from_logits"):
        MultiLabelSoftmaxCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match="reduction"):
        MultiLabelSoftmaxCrossentropy(reduction="average")


@pytest.mark.parametrize("mode", backends.QUICK_MODES)
def test_without_a_label_it_is_a_softmax_with_zero_as_the_right_class(mode):
    """No present label: log(1 + sum e^s). All present: log(1 + sum e^-s)."""
    logits = np.random.default_rng(2).normal(size=(6, 4)).astype("float32") * 3
    for labels, sign in ((np.zeros_like(logits), 1), (np.ones_like(logits), -1)):
        with_zero = np.concatenate([np.zeros((6, 1), "float32"), sign * logits], -1)
        expected, expected_slopes = gradient(
            lambda y_pred, y_true: label_smoothed_crossentropy(y_true, y_pred, 0, from_logits=True),
            with_zero,
            np.zeros(6, "int32"),
        )
        values, slopes = backends.gradient(
            lambda y_pred, y_true: multi_label_softmax_crossentropy(y_true, y_pred),
            logits,
            labels,
            mode=mode,
        )
        np.testing.assert_allclose(values, expected, rtol=2e-6)
        np.testing.assert_allclose(sign * slopes, expected_slopes[:, 1:], atol=1e-6)


def test_one_class_is_twice_sided():
    """One present label: log(1 + e^-s), and log(1 + 0) for the absent ones."""
    values = backends.array(
        backends.quick(multi_label_softmax_crossentropy)([[1.0], [0.0]], [[1.5], [1.5]])
    )
    np.testing.assert_allclose(values, np.log1p(np.exp([-1.5, 1.5])), rtol=1e-6)


def test_every_pair_of_present_and_absent_is_compared():
    """log((1 + sum e^s_absent)(1 + sum e^-s_present)) holds a term for each pair."""
    logits = np.array([[1.0, -2.0, 0.5, 3.0]])
    labels = np.array([[1.0, 0.0, 1.0, 0.0]])
    absent, present = np.exp(logits[labels == 0]), np.exp(-logits[labels == 1])
    pairs = np.outer(absent, present).sum()
    expected = np.log(1 + absent.sum() + present.sum() + pairs)
    value = backends.array(backends.quick(multi_label_softmax_crossentropy)(labels, logits))
    np.testing.assert_allclose(value, [expected], rtol=1e-6)


def test_soft_labels_weigh_both_sides():
    value = backends.array(backends.quick(multi_label_softmax_crossentropy)([[0.3]], [[2.0]]))
    expected = np.log(1 + 0.7 * np.exp(2)) + np.log(1 + 0.3 * np.exp(-2))
    np.testing.assert_allclose(value, [expected], rtol=1e-6)


@pytest.mark.parametrize("mode", backends.MODES)
def test_row_11_infinite_logits_on_the_right_side_cost_nothing(mode):
    logits = np.array([[np.inf, -np.inf, 1.0], [-np.inf, 0.0, 0.0], [0.0, np.inf, 0.0]], "float32")
    labels = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], "float32")
    values, slopes = backends.gradient(
        lambda y_pred, y_true: multi_label_softmax_crossentropy(y_true, y_pred),
        logits,
        labels,
        mode=mode,
    )
    np.testing.assert_allclose(values, [np.log1p(np.exp(-1)), np.inf, np.inf], rtol=1e-6)
    assert np.all(np.isfinite(slopes))
    np.testing.assert_array_equal(slopes[0, :2], 0)


@pytest.mark.parametrize("mode", backends.MODES)
def test_row_8_a_confidently_wrong_label_keeps_its_gradient(mode):
    logits = np.array([[-1e4, 5.0, 0.0], [5.0, 1e4, -3.0]], "float32")
    labels = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], "float32")
    values, slopes = backends.gradient(
        lambda y_pred, y_true: multi_label_softmax_crossentropy(y_true, y_pred),
        logits,
        labels,
        mode=mode,
    )
    expected = [1e4 + np.log(2 + np.exp(5)), 1e4 + np.log1p(np.exp(-5))]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_allclose([slopes[0, 0], slopes[1, 1]], [-1, 1], rtol=1e-6)


def test_row_16_tiny_losses_keep_their_digits():
    values = multi_label_softmax_crossentropy([[1.0, 0.0]], [[40.0, -50.0]])
    np.testing.assert_allclose(backends.array(values), np.exp(-40) + np.exp(-50), rtol=1e-5)


def test_row_15_labels_of_one_axis_match_a_column_without_broadcasting():
    y_pred = np.array([[2.0], [-1.0], [0.5]], "float32")
    y_true = np.array([1.0, 0.0, 1.0], "float32")
    loss = MultiLabelSoftmaxCrossentropy(reduction="none")
    values = backends.array(loss(y_true, y_pred))
    np.testing.assert_allclose(values, np.log1p(np.exp([-2.0, -1.0, -0.5])), rtol=1e-6)
    for wrong in ([1.0, 0.0], [[1.0, 0.0, 1.0]]):
        with pytest.raises(ValueError, match="`y_true` must have the shape of `y_pred`"):
            loss(wrong, y_pred)


def test_class_ids_get_a_hint():
    with invalid("y_true", "from 0 to 1", fix="softmax loss", position=(0, 1), value=2):
        multi_label_softmax_crossentropy([[0, 2]], [[0.5, 0.5]])
    with invalid("y_true", "from 0 to 1", fix="softmax loss", position=(1,), value=2):
        multi_label_softmax_crossentropy([0, 2], [[0.5], [0.5]])


@pytest.mark.parametrize("mode", backends.MODES)
@pytest.mark.parametrize("ignore_label", [-1, "nan"])
def test_ignored_entries_leave_both_sums_and_ignored_rows_the_denominator(ignore_label, mode):
    missing = float(ignore_label)
    labels = np.array([[1, missing, 0], [missing] * 3, [0, 0, 1]], "float32")
    logits = np.array([[0.3, np.nan, -1.0], [np.nan] * 3, [2.0, -1.0, 0.5]], "float32")
    loss = MultiLabelSoftmaxCrossentropy(ignore_label=ignore_label)
    value, slopes = backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred), logits, labels, mode=mode
    )
    first = np.log1p(np.exp(-1.0)) + np.log1p(np.exp(-0.3))
    third = np.log1p(np.exp(2.0) + np.exp(-1.0)) + np.log1p(np.exp(-0.5))
    np.testing.assert_allclose(value, (first + third) / 2, rtol=1e-6)
    np.testing.assert_allclose(
        slopes[0], [-0.5 / (1 + np.exp(0.3)), 0, 0.5 / (1 + np.exp(1.0))], rtol=1e-5
    )
    np.testing.assert_array_equal(slopes[1], 0)
    assert np.all(slopes[2] != 0)
