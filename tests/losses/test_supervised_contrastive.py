"""SupervisedContrastive: cosines, small losses, zero rows; its contract has a file of its own.

The reference is a loop over rows in float64, written from equation 2 of the paper.
"""

import backends
import numpy as np
import pytest
from backends import MODES, QUICK_MODE, invalid

from keras_ce.losses import (
    SupervisedContrastive,
    label_smoothed_crossentropy,
    supervised_contrastive,
)

both_modes = pytest.mark.parametrize("mode", sorted({QUICK_MODE, MODES[-1]}))
_generator = np.random.default_rng(9)
IDS = np.array([3, 1, 3, 5, 1, 1], "int32")
ROWS = _generator.normal(size=(6, 5)).astype("float32")


def reference(ids, rows, temperature):
    rows = np.asarray(rows, "float64")
    values = np.zeros(len(ids))
    for i in range(len(ids)):
        others = [a for a in range(len(ids)) if a != i]
        positives = [a for a in others if ids[a] == ids[i]]
        powers = {}
        for a in others:
            lengths = np.sqrt(rows[i] @ rows[i]) * np.sqrt(rows[a] @ rows[a])
            cosine = rows[i] @ rows[a] / lengths if lengths else 0.0
            powers[a] = np.exp(cosine / temperature)
        for p in positives:
            rest = sum(powers[a] for a in others if a != p)
            values[i] += np.log1p(rest / powers[p]) / len(positives)
    return values


def run(ids, rows, temperature=0.1, mode=QUICK_MODE):
    return backends.gradient(
        lambda y_pred, y_true: supervised_contrastive(y_true, y_pred, temperature),
        rows,
        ids,
        mode=mode,
    )


@pytest.mark.parametrize("temperature", [0, -0.1, True, float("nan"), float("inf"), "0.1", None])
def test_row_18_arguments_are_validated(temperature):
    for loss in (
        SupervisedContrastive,
        lambda given: supervised_contrastive(IDS, ROWS, given),
    ):
        with invalid("temperature", "a positive number", value=temperature):
            loss(temperature)


@pytest.mark.parametrize("temperature", [0.07, 0.1, 2.0])
def test_value(temperature):
    values, _ = run(IDS, ROWS, temperature)
    np.testing.assert_allclose(values, reference(IDS, ROWS, temperature), rtol=1e-5)
    assert SupervisedContrastive().temperature == 0.1


def test_it_is_the_cross_entropy_of_cosines_against_the_positives():
    units = ROWS / np.linalg.norm(ROWS, axis=-1, keepdims=True)
    logits = units @ units.T / 0.2 - 1e9 * np.eye(6)
    positives = (IDS[:, None] == IDS) & ~np.eye(6, dtype=bool)
    rows = positives / np.maximum(positives.sum(-1, keepdims=True), 1)
    expected = label_smoothed_crossentropy(rows, logits, 0, from_logits=True)
    np.testing.assert_allclose(
        backends.array(supervised_contrastive(IDS, ROWS, 0.2)), backends.array(expected), rtol=1e-5
    )


@both_modes
def test_row_16_small_losses_keep_their_digits(mode):
    """Two rows of a label along one axis, the others along another: e^-20 to e^-57."""
    ids = np.array([0, 0, 1, 1], "int32")
    rows = np.array([[1, 0.1], [1, 0.15], [-0.2, 1], [-0.1, 1]], "float32")
    for temperature in (0.05, 0.02):
        values, slopes = run(ids, rows, temperature, mode)
        expected = reference(ids, rows, temperature)
        assert np.all(expected < 1e-8)
        np.testing.assert_allclose(values, expected, rtol=1e-6 / temperature)
        assert np.all(slopes[np.abs(slopes) > 0] != 0)
        assert np.all(np.any(slopes != 0, -1))


@both_modes
def test_lengths_do_not_count_whatever_they_are(mode):
    lengths = np.array([1e-30, 1e30, 1.0, 1e-3, 7.0, 1e20], "float32")
    expected, expected_slopes = run(IDS, ROWS, mode=mode)
    values, slopes = run(IDS, ROWS * lengths[:, None], mode=mode)
    np.testing.assert_allclose(values, expected, rtol=2e-5)
    np.testing.assert_allclose(slopes * lengths[:, None], expected_slopes, rtol=1e-4, atol=1e-4)


@both_modes
def test_a_zero_row_has_cosine_0_and_gradient_0(mode):
    rows = ROWS.copy()
    rows[2] = 0
    values, slopes = run(IDS, rows, mode=mode)
    np.testing.assert_allclose(values, reference(IDS, rows, 0.1), rtol=1e-5)
    np.testing.assert_array_equal(slopes[2], 0)
    assert np.all(np.isfinite(slopes))
    assert np.any(slopes[0] != 0)


def test_row_12_ids_at_the_ends_of_int32_and_the_number_of_positives():
    """Equal labels have equal losses however they are named, and each positive counts alike."""
    ends = np.array([2**31 - 1, -(2**31) + 1, 2**31 - 1, 2**31 - 2] + [-(2**31) + 1] * 2)
    np.testing.assert_array_equal(run(ends, ROWS)[0], run(IDS, ROWS)[0])
    alike = np.tile(ROWS[:1], (5, 1))
    values, _ = run(np.zeros(5, "int32"), alike)
    np.testing.assert_allclose(values, np.log(4), rtol=1e-6)
