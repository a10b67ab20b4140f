import backends
import keras
import numpy as np
import pytest

from keras_ce.losses import WeightedSigmoidCrossentropy, weighted_sigmoid_crossentropy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pos_weight": 0}, "`pos_weight` must be a positive number. Received: pos_weight=0"),
        ({"pos_weight": True}, "`pos_weight` must be a positive number"),
        ({"pos_weight": [1.0, -2.0]}, r"`pos_weight\[1\]` must be a positive number"),
        ({"pos_weight": "3"}, "`pos_weight` must be a sequence with one number per class"),
        ({"pos_weight": float("inf")}, "`pos_weight` must be a positive number"),
        ({"label_smoothing": 1.5}, "`label_smoothing` must be a number from 0 to 1"),
        ({"from_logits": "yes"}, "`from_logits` must be True or False"),
        ({"ignore_label": "-1"}, "`ignore_label` must be a finite number"),
    ],
)
def test_row_18_arguments_are_validated(arguments, message):
    with pytest.raises(ValueError, match=message):
        WeightedSigmoidCrossentropy(**arguments)


def test_pos_weight_must_match_the_classes():
    with pytest.raises(ValueError, match="`pos_weight` must have one number per class"):
        weighted_sigmoid_crossentropy([[0.0, 1.0]], [[0.5, 0.5]], [1.0, 2.0, 3.0])


def test_row_15_labels_of_one_axis_match_a_column_without_broadcasting():
    y_pred = np.array([[2.0], [-1.0], [0.5]], "float32")
    y_true = np.array([1.0, 0.0, 1.0], "float32")
    loss = WeightedSigmoidCrossentropy(from_logits=True, reduction="none")
    values = backends.array(loss(y_true, y_pred))
    expected = np.log1p(np.exp([-2.0, -1.0, -0.5]))
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_array_equal(values, backends.array(loss(y_true[:, None], y_pred)))
    for wrong in ([1.0, 0.0], [[1.0, 0.0, 1.0]]):
        with pytest.raises(ValueError, match="`y_true` must have the shape of `y_pred`"):
            loss(wrong, y_pred)


def test_row_2_logits_taken_for_probabilities_are_refused():
    with_keras = keras.losses.binary_crossentropy(np.array([[1.0]]), np.array([[3.7]]))
    assert float(backends.array(with_keras)[0]) < 1e-6  # Keras: no loss, no word
    with pytest.raises(ValueError, match=r"Received: 3.7 at position \(0, 0\).*from_logits=True"):
        weighted_sigmoid_crossentropy([[1.0]], [[3.7]])


@pytest.mark.parametrize("mode", backends.MODES)
def test_infinite_logits_on_the_right_side_cost_nothing(mode):
    logits = np.array([[np.inf], [-np.inf], [np.inf], [-np.inf]], "float32")
    labels = np.array([[1.0], [0.0], [0.0], [1.0]], "float32")
    values, slopes = backends.gradient(
        lambda y_pred, y_true: weighted_sigmoid_crossentropy(y_true, y_pred, 3.0, from_logits=True),
        logits, labels, mode=mode,
    )  # fmt: skip
    np.testing.assert_array_equal(values, [0, 0, np.inf, np.inf])
    np.testing.assert_array_equal(slopes[:, 0], [0, 0, 1, -3])


@pytest.mark.parametrize("mode", backends.MODES)
def test_ignored_entries_leave_the_mean_and_ignored_rows_the_denominator(mode):
    labels = np.array([[1, -1, 0], [-1, -1, -1], [0, 0, 1]], "float32")
    logits = np.array([[0.3, np.nan, -1.0], [np.nan] * 3, [2.0, -1.0, 0.5]], "float32")
    loss = WeightedSigmoidCrossentropy(2.0, from_logits=True, ignore_label=-1)
    value, slopes = backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred), logits, labels, mode=mode
    )
    first = (2 * np.log1p(np.exp(-0.3)) + np.log1p(np.exp(-1.0))) / 2
    third = (np.log1p(np.exp(2.0)) + np.log1p(np.exp(-1.0)) + 2 * np.log1p(np.exp(-0.5))) / 3
    np.testing.assert_allclose(value, (first + third) / 2, rtol=1e-6)
    assert np.all(slopes[labels == -1] == 0)
    assert np.all(slopes[labels != -1] != 0)


def test_a_saturated_probability_says_give_logits():
    values, slopes = backends.gradient(
        lambda y_pred, y_true: weighted_sigmoid_crossentropy(y_true, y_pred),
        np.array([[1.0], [1.0], [0.0], [0.0]], "float32"),
        np.array([[0.0], [1.0], [0.0], [1.0]], "float32"),
    )
    np.testing.assert_allclose(values, [69.0776, 0, 0, 69.0776], atol=1e-3)
    np.testing.assert_array_equal(slopes[:, 0], [0, -1, 0, 0])


def test_class_ids_get_a_hint():
    with pytest.raises(ValueError, match=r"Received: 2 at position \(0, 1\).*softmax loss"):
        weighted_sigmoid_crossentropy([[0, 2]], [[0.5, 0.5]])
