import backends
import keras
import numpy as np
import pytest
from backends import invalid, invalid_argument

from keras_ce.losses import WeightedSigmoidCrossentropy, weighted_sigmoid_crossentropy


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        ({"pos_weight": 0}, "pos_weight", "a positive number"),
        ({"pos_weight": True}, "pos_weight", "a positive number"),
        ({"pos_weight": [1.0, -2.0]}, "pos_weight[1]", "a positive number"),
        ({"pos_weight": {3: 0}}, "pos_weight[3]", "a positive number"),
        ({"pos_weight": "3"}, "pos_weight", "a sequence with one number per class"),
        ({"pos_weight": float("inf")}, "pos_weight", "a positive number"),
        ({"label_smoothing": 1.5}, "label_smoothing", "from 0 to 1"),
        ({"from_logits": "yes"}, "from_logits", "True or False"),
        ({"ignore_label": "-1"}, "ignore_label", "nan"),
        ({"ignore_label": True}, "ignore_label", "a finite number"),
        ({"ignore_label": float("inf")}, "ignore_label", "a finite number"),
    ],
)
def test_row_18_arguments_are_validated(arguments, name, expected):
    with invalid_argument(arguments, name, expected):
        WeightedSigmoidCrossentropy(**arguments)
    with invalid_argument(arguments, name, expected):
        weighted_sigmoid_crossentropy([[0.0, 1.0]], [[0.5, 0.5]], **arguments)


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
    with invalid("y_pred", fix="from_logits=True", position=(0, 0), value=np.float32(3.7)):
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
@pytest.mark.parametrize("ignore_label", [-1, "nan", float("nan")])
def test_ignored_entries_leave_the_mean_and_ignored_rows_the_denominator(ignore_label, mode):
    missing = float(ignore_label)
    labels = np.array([[1, missing, 0], [missing] * 3, [0, 0, 1]], "float32")
    logits = np.array([[0.3, np.nan, -1.0], [np.nan] * 3, [2.0, -1.0, 0.5]], "float32")
    loss = WeightedSigmoidCrossentropy(2.0, from_logits=True, ignore_label=ignore_label)
    value, slopes = backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred), logits, labels, mode=mode
    )
    first = (2 * np.log1p(np.exp(-0.3)) + np.log1p(np.exp(-1.0))) / 2
    third = (np.log1p(np.exp(2.0)) + np.log1p(np.exp(-1.0)) + 2 * np.log1p(np.exp(-0.5))) / 3
    np.testing.assert_allclose(value, (first + third) / 2, rtol=1e-6)
    is_kept = labels >= 0
    assert np.all(slopes[~is_kept] == 0)
    assert np.all(slopes[is_kept] != 0)


def test_a_saturated_probability_says_give_logits():
    values, slopes = backends.gradient(
        lambda y_pred, y_true: weighted_sigmoid_crossentropy(y_true, y_pred),
        np.array([[1.0], [1.0], [0.0], [0.0]], "float32"),
        np.array([[0.0], [1.0], [0.0], [1.0]], "float32"),
    )
    np.testing.assert_allclose(values, [69.0776, 0, 0, 69.0776], atol=1e-3)
    np.testing.assert_array_equal(slopes[:, 0], [0, -1, 0, 0])


def test_class_ids_get_a_hint():
    with invalid("y_true", "from 0 to 1", fix="softmax loss", position=(0, 1), value=2):
        weighted_sigmoid_crossentropy([[0, 2]], [[0.5, 0.5]])
    with invalid("y_true", "from 0 to 1", fix="softmax loss", position=(1,), value=2):
        weighted_sigmoid_crossentropy([0, 2], [[0.5], [0.5]])
