import backends
import keras
import numpy as np
import pytest
from backends import BACKEND, QUICK, QUICK_MODES, array, invalid

from keras_ce.layers import OrdinalLogits
from keras_ce.losses import (
    OrdinalCrossentropy,
    ordinal_crossentropy,
    ordinal_probabilities,
    weighted_sigmoid_crossentropy,
)

GENERATOR = np.random.default_rng(32)
INF = np.inf


def reference(ids, logits):
    """Threshold by threshold."""
    total = 0.0
    for k, logit in enumerate(logits):
        total += np.log1p(np.exp(-logit)) if ids > k else np.log1p(np.exp(logit))
    return total


def reference_probabilities(logits):
    """Differences of sigmoids, in wide numbers: 80 bits where the machine has them."""
    descending = sorted(np.asarray(logits, np.longdouble), reverse=True)
    above = [1 / (1 + np.exp(-logit)) for logit in descending]
    below = [1 / (1 + np.exp(logit)) for logit in descending]
    between = [
        below[k] - below[k - 1] if descending[k] > 0 else above[k - 1] - above[k]
        for k in range(1, len(logits))
    ]
    return np.array([below[0], *between, above[-1]], "float64")


@pytest.mark.parametrize("mode", QUICK_MODES)
def test_against_a_loop_over_the_thresholds(mode):
    logits = GENERATOR.normal(size=(6, 5)).astype("float32") * 3
    ids = np.arange(6, dtype="int32")
    values, slopes = backends.gradient(
        lambda y_pred, y_true: ordinal_crossentropy(y_true, y_pred), logits, ids, mode=mode
    )
    wide = logits.astype("float64")
    expected = [reference(*pair) for pair in zip(ids, wide, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_allclose(
        slopes, 1 / (1 + np.exp(-wide)) - (ids[:, None] > np.arange(5)), atol=1e-6
    )


def test_it_is_a_sum_of_sigmoid_losses():
    logits = GENERATOR.normal(size=(4, 3)).astype("float32")
    ids = np.array([3, 0, 1, 2])
    levels = (ids[:, None] > np.arange(3)).astype("float32")
    values = array(backends.quick(ordinal_crossentropy)(ids, logits))
    means = backends.quick(weighted_sigmoid_crossentropy)(levels, logits, from_logits=True)
    np.testing.assert_allclose(values, 3 * array(means), rtol=1e-6)


def test_two_classes_are_one_threshold():
    logits = np.array([[2.0], [-1.0]], "float32")
    for ids in ([1, 0], [[1], [0]]):
        values = array(backends.quick(ordinal_crossentropy)(ids, logits))
        np.testing.assert_allclose(values, np.log1p(np.exp([-2.0, -1.0])), rtol=1e-6)


@pytest.mark.parametrize("mode", QUICK_MODES)
def test_infinite_logits_on_the_right_side_cost_nothing(mode):
    logits = np.array([[INF, INF, -INF], [INF, -INF, 1.0]], "float32")
    values, slopes = backends.gradient(
        lambda y_pred, y_true: ordinal_crossentropy(y_true, y_pred), logits, [2, 1], mode=mode
    )
    np.testing.assert_allclose(values, [0, np.log1p(np.exp(1.0))], rtol=1e-6)
    assert np.all(np.isfinite(slopes))


def test_what_is_no_grade():
    logits = np.zeros((2, 3), "float32")
    with invalid("y_true", "0 to 3", fix="subtract 1", position=(1,), value=4):
        ordinal_crossentropy([1, 4], logits)
    with invalid("y_true", "one fewer than classes", fix="thresholds", position=(0,), value=9):
        ordinal_crossentropy([9, 0], logits)
    with invalid("y_true", "0 to 3", position=(0, 0), value=-1):
        ordinal_crossentropy([[-1], [0]], logits)
    with pytest.raises(ValueError, match=r"`y_true` must be class ids .*numpy\.sum"):
        ordinal_crossentropy(np.zeros((2, 3)), logits)
    with pytest.raises(ValueError, match="a logit for each class but the first"):
        ordinal_crossentropy([0, 1], np.zeros((2, 0), "float32"))


# --- probabilities ---


@pytest.mark.parametrize("mode", QUICK_MODES)
def test_probabilities_are_exact_down_to_the_smallest(mode):
    rows = [
        [3.0, 1.0, 0.5, -2.0],
        [1e-6, 0.0, -1e-6, -2e-6],  # the differences of sigmoids that float32 does not hold
        [60.0, 59.999, 20.0, 19.0],
        [-20.0, -20.00001, -60.0, -70.0],
        [0.5, 0.5, 0.5, 0.5],
        [-1.0, 2.0, 0.3, -4.0],  # not in order
    ]
    logits = np.array(rows, "float32")
    expected = [reference_probabilities(row) for row in logits]
    found = backends.call(ordinal_probabilities, logits, mode=mode)
    assert found.shape == (6, 5)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-38)
    assert np.all(found >= 0)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-6)


@pytest.mark.parametrize("mode", QUICK_MODES)
def test_probabilities_of_infinite_logits(mode):
    logits = np.array([[INF, INF, -INF], [INF, 0.0, -INF], [-INF, -INF, -INF]], "float32")
    found = backends.call(ordinal_probabilities, logits, mode=mode)
    expected = [[0, 0, 1, 0], [0, 0.5, 0.5, 0], [1, 0, 0, 0]]
    np.testing.assert_allclose(found, expected, rtol=2e-7)


def test_probabilities_of_any_rank():
    logits = GENERATOR.normal(size=(2, 3, 4))
    found = array(ordinal_probabilities(logits.tolist()))
    np.testing.assert_allclose(found[1, 2], reference_probabilities(logits[1, 2]), rtol=1e-5)
    assert found.dtype == "float32"
    one = array(ordinal_probabilities([0.0]))
    np.testing.assert_array_equal(one, [0.5, 0.5])
    if BACKEND != "jax":
        wide = array(ordinal_probabilities(logits[0, 0]))
        np.testing.assert_allclose(wide, reference_probabilities(logits[0, 0]), rtol=1e-14)
    for wrong in (1.0, np.zeros((2, 0))):
        with pytest.raises(ValueError, match="`logits` must hold"):
            ordinal_probabilities(wrong)


def test_coral_pytorch_gives_this_number():
    """The example of `coral_pytorch.losses.coral_loss`, 1.4.0, whose mean is 0.6920."""
    logits = [[2.1, 1.8, -2.1, -1.8], [1.9, -1.0, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]]
    value = backends.quick(OrdinalCrossentropy())([2, 1, 4], logits)
    assert float(value) == pytest.approx(0.6920, abs=5e-5)


def test_a_model_learns_the_grade():
    keras.utils.set_random_seed(0)
    x = GENERATOR.normal(size=(64, 3)).astype("float32")
    grade = np.digitize(x @ [1.0, -2.0, 0.5], [-2.0, 0.0, 1.0])
    model = keras.Sequential([keras.Input((3,)), OrdinalLogits(4)])
    model.compile(keras.optimizers.Adam(0.3), OrdinalCrossentropy(), **QUICK)
    model.fit(x, grade, epochs=30, verbose=0)
    found = array(ordinal_probabilities(model.predict(x, verbose=0))).argmax(-1)
    assert np.abs(found - grade).mean() < 0.2
