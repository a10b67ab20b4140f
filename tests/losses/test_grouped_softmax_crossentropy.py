import functools

import backends
import cases
import keras
import numpy as np
import pytest
from backends import invalid, invalid_argument
from cases import BATCH, CLASSES, TIME

import keras_ce
from keras_ce.losses import (
    GroupedSoftmaxCrossentropy,
    grouped_softmax_crossentropy,
    label_smoothed_crossentropy,
)

LOGITS = cases.logits(BATCH, TIME, CLASSES)
IDS = np.stack([cases.ids(BATCH, TIME, num_classes=2), cases.ids(BATCH, TIME, num_classes=3)], -1)
ROWS = np.concatenate(
    [np.eye(2, dtype="float32")[IDS[..., 0]], np.eye(3, dtype="float32")[IDS[..., 1]]], -1
)
MODE = "jit" if backends.BACKEND == "jax" else "eager"  # the faster one
gradient = functools.partial(backends.gradient, mode=MODE)


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        ({"group_sizes": 5}, "group_sizes", "a non-empty sequence of integers"),
        ({"group_sizes": []}, "group_sizes", "a non-empty sequence of integers"),
        ({"group_sizes": "23"}, "group_sizes", "a non-empty sequence of integers"),
        ({"group_sizes": {2: 1, 3: 1}}, "group_sizes", "a non-empty sequence of integers"),
        ({"group_sizes": None}, "group_sizes", "a non-empty sequence of integers"),
        ({"group_sizes": [5, 0]}, "group_sizes[1]", "an integer >="),
        ({"group_sizes": [-5, 10]}, "group_sizes[0]", "an integer >="),
        ({"group_sizes": [2.0, 3.0]}, "group_sizes[0]", "an integer >="),
        ({"group_sizes": [True, 4]}, "group_sizes[0]", "an integer >="),
        ({"label_smoothing": 7}, "label_smoothing", "from 0 to 1"),
        ({"label_smoothing": -0.1}, "label_smoothing", "from 0 to 1"),
        ({"label_smoothing": True}, "label_smoothing", "from 0 to 1"),
        ({"from_logits": "yes"}, "from_logits", "True or False"),
    ],
)
def test_row_18_arguments_are_validated(arguments, name, expected):
    arguments = {"group_sizes": [2, 3], **arguments}
    with invalid_argument(arguments, name, expected):
        GroupedSoftmaxCrossentropy(**arguments)
    with invalid_argument(arguments, name, expected):
        grouped_softmax_crossentropy(IDS, LOGITS, **arguments)


@pytest.mark.parametrize("sizes", [[2, 2], [2, 3, 2], [6]])
def test_row_18_sizes_must_sum_to_the_last_dimension(sizes):
    message = rf"`group_sizes` must sum to the last dimension of `y_pred`. .*sum {sum(sizes)} of"
    for labels in (IDS, ROWS):
        with pytest.raises(ValueError, match=message):
            grouped_softmax_crossentropy(labels, LOGITS, sizes)


@pytest.mark.parametrize("mode", backends.QUICK_MODES)
def test_row_10_one_softmax_over_two_groups_is_a_wrong_number(mode):
    """Keras: 2.146 instead of 0.678, without a word."""
    logits = np.array([[2.0, 0.0, 0.0, 1.0, 0.0]], "float32")  # a group of 2 and one of 3
    rows = np.array([[1.0, 0.0, 0.0, 1.0, 0.0]], "float32")
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True)(rows, logits)
    assert float(theirs) == pytest.approx(2.146, abs=5e-4)
    loss = GroupedSoftmaxCrossentropy([2, 3], from_logits=True)
    expected = np.log1p(np.exp(-2)) + np.log1p(2 * np.exp(-1))
    assert expected == pytest.approx(0.678, abs=5e-4)
    for labels in (rows, np.array([[0, 1]])):
        value, slopes = backends.gradient(
            lambda y_pred, y_true: loss(y_true, y_pred), logits, labels, mode=mode
        )
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        # Groups do not compete: the gradient sums to 0 inside each.
        np.testing.assert_allclose([slopes[0, :2].sum(), slopes[0, 2:].sum()], 0, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("from_logits", [True, False])
def test_it_is_the_sum_of_a_softmax_loss_of_each_group(from_logits, smoothing):
    y_pred = LOGITS if from_logits else cases.probabilities(BATCH, TIME, CLASSES)
    arguments = {"from_logits": from_logits}
    parts = [(y_pred[..., :2], IDS[..., 0]), (y_pred[..., 2:], IDS[..., 1])]
    expected, slopes = zip(
        *(
            gradient(
                lambda y_pred, y_true: label_smoothed_crossentropy(
                    y_true, y_pred, smoothing, **arguments
                ),
                part,
                ids,
            )
            for part, ids in parts
        ),
        strict=True,
    )
    for labels in (IDS, ROWS):
        values, actual_slopes = gradient(
            lambda y_pred, y_true: grouped_softmax_crossentropy(
                y_true, y_pred, [2, 3], label_smoothing=smoothing, **arguments
            ),
            y_pred,
            labels,
        )
        np.testing.assert_allclose(values, sum(expected), rtol=2e-6)
        np.testing.assert_allclose(actual_slopes, np.concatenate(slopes, -1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_one_group_is_label_smoothed_cross_entropy(smoothing):
    ids = cases.ids(BATCH, TIME)
    expected = backends.array(
        backends.quick(label_smoothed_crossentropy)(ids, LOGITS, smoothing, from_logits=True)
    )
    arguments = {"from_logits": True, "label_smoothing": smoothing}
    for labels in (ids[..., None], np.eye(CLASSES, dtype="float32")[ids]):
        values = grouped_softmax_crossentropy(labels, LOGITS, [CLASSES], **arguments)
        np.testing.assert_allclose(backends.array(values), expected, rtol=1e-6)
    # One id per group, also for one group.
    with pytest.raises(ValueError, match=r"of shape \(4, 3, 1\).*y_true.shape=\(4, 3\)"):
        grouped_softmax_crossentropy(ids, LOGITS, [CLASSES], **arguments)


def test_ids_have_one_entry_per_group():
    message = r"`y_true` must be flat rows of shape \(4, 3, 5\), or .* of shape \(4, 3, 2\)"
    for shape in [(BATCH, TIME), (BATCH, TIME, 1), (BATCH, TIME, 3), (BATCH, TIME, 2, 1)]:
        with pytest.raises(ValueError, match=message):
            grouped_softmax_crossentropy(np.zeros(shape, "int32"), LOGITS, [2, 3])


def test_a_single_row_of_ids():
    value = grouped_softmax_crossentropy([1, 2], LOGITS[0, 0], [2, 3], from_logits=True)
    assert tuple(value.shape) == ()
    expected = grouped_softmax_crossentropy([[1, 2]], LOGITS[0, :1], [2, 3], from_logits=True)
    np.testing.assert_allclose(float(value), float(expected[0]), rtol=1e-6)


@pytest.mark.parametrize("sizes", [[10] * 4, [2, 7, 2, 2, 7, 3]])
def test_equal_and_unequal_groups(sizes):
    """Neighbours of one size are computed together; nothing may show of it."""
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(6, sum(sizes))).astype("float32")
    ids = np.stack([generator.integers(0, size, 6) for size in sizes], -1)
    rows = np.concatenate(
        [np.eye(size, dtype="float32")[ids[:, group]] for group, size in enumerate(sizes)], -1
    )
    expected, column = np.zeros(6), 0
    for group, size in enumerate(sizes):
        part = logits[:, column : column + size].astype("float64")
        expected += np.log(np.exp(part).sum(-1)) - part[np.arange(6), ids[:, group]]
        column += size
    for labels in (ids, rows):
        values, _ = gradient(
            lambda y_pred, y_true: grouped_softmax_crossentropy(
                y_true, y_pred, sizes, from_logits=True
            ),
            logits,
            labels,
        )
        np.testing.assert_allclose(values, expected, rtol=5e-6)


@pytest.mark.parametrize("sizes", [[1] * CLASSES, [1, 4], [4, 1]])
def test_groups_of_one_class_are_refused(sizes):
    """A softmax over one class is 1: such a group would cost nothing and teach nothing."""
    hint, position = "WeightedSigmoidCrossentropy", (sizes.index(1),)
    with invalid("group_sizes", "an integer >= 2", fix=hint, position=position, value=1):
        GroupedSoftmaxCrossentropy(sizes)
    with invalid("group_sizes", "an integer >= 2", fix=hint, position=position, value=1):
        grouped_softmax_crossentropy(ROWS, LOGITS, sizes, from_logits=True)


def test_row_3_an_id_outside_its_group_says_where():
    """2 is a class of the second group, not of the first."""
    labels = IDS.copy()
    labels[1, 2] = [2, 0]
    with invalid("y_true", "from 0 to 1, in group 0", position=(1, 2, 0), value=2):
        grouped_softmax_crossentropy(labels, LOGITS, [2, 3], from_logits=True)
    labels[1, 2] = [0, 3]
    with invalid("y_true", "from 0 to 2, in group 1", position=(1, 2, 1), value=3):
        grouped_softmax_crossentropy(labels, LOGITS, [2, 3], from_logits=True)
    # After one that does not count.
    weights = np.ones((BATCH, TIME), "float32")
    weights[1, 2] = 0
    labels[3, 0] = [1, -1]
    with invalid("y_true", "from 0 to 2, in group 1", position=(3, 0, 1), value=-1):
        GroupedSoftmaxCrossentropy([2, 3], from_logits=True)(labels, LOGITS, weights)


def test_row_3_a_label_row_says_which_entry():
    rows = ROWS.copy()
    rows[1, 2, 4] = -0.5
    with invalid("y_true", ">= 0", position=(1, 2, 4), value=-0.5):
        grouped_softmax_crossentropy(rows, LOGITS, [2, 3], from_logits=True)


@pytest.mark.parametrize("mode", backends.COMPILED_MODES or ["eager"])
def test_row_3_one_invalid_group_makes_its_position_nan(mode):
    labels = IDS.copy()
    labels[1, 2] = [2, 0]
    keras_ce.set_value_checks(False)
    try:
        values, slopes = backends.gradient(
            lambda y_pred, y_true: grouped_softmax_crossentropy(
                y_true, y_pred, [2, 3], from_logits=True
            ),
            LOGITS,
            labels,
            mode=mode,
        )
    finally:
        keras_ce.set_value_checks(True)
    is_invalid = np.zeros((BATCH, TIME), bool)
    is_invalid[1, 2] = True
    np.testing.assert_array_equal(np.isnan(values), is_invalid)
    np.testing.assert_array_equal(slopes[is_invalid], 0)
    assert np.all(slopes[~is_invalid] != 0)


def test_row_2_probabilities_are_checked_group_by_group():
    y_pred = np.array([[0.5, 0.5, 0.0, 0.0, 0.0]], "float32")
    with invalid(
        "y_pred", "row sums are positive", fix="nothing but zeros", position=(0, 2), value=0
    ):
        grouped_softmax_crossentropy([[0, 0]], y_pred, [2, 3])


@pytest.mark.parametrize("sizes", [[2, 3], [2, 2, 2, 3, 3], [2, 3, 2, 3, 2]])
def test_row_2_a_wrong_probability_has_the_position_of_the_flat_vector(sizes):
    """Groups of one size are computed together; the position is that of the user's array."""
    y_pred = np.full((2, 3, sum(sizes)), 0.5, "float32")
    labels = np.zeros((2, 3, len(sizes)), "int32")
    for column in range(sum(sizes)):
        wrong = y_pred.copy()
        wrong[1, 2, column] = 3.7
        value = np.float32(3.7)
        with invalid("y_pred", fix="from_logits=True", position=(1, 2, column), value=value):
            grouped_softmax_crossentropy(labels, wrong, sizes)


def test_row_16_tiny_losses_keep_their_digits():
    logits = np.array([[40.0, 0.0, 0.0, 50.0, 0.0]], "float32")
    for labels in ([[0, 1]], [[1.0, 0.0, 0.0, 1.0, 0.0]]):
        value = grouped_softmax_crossentropy(labels, logits, [2, 3], from_logits=True)
        expected = np.exp(-40.0) + 2 * np.exp(-50.0)
        np.testing.assert_allclose(backends.array(value), expected, rtol=5e-6)
