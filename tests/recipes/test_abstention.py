"""Thresholds for a promised accuracy: the bound, the promise kept, and when there is none."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import beta, binomtest

from recipes.runs.abstention import find_threshold, least_accuracy
from recipes.runs.failures import UserError

DRAWS = 1000
CONFIDENCE = 0.9


def test_the_bound_is_the_one_of_clopper_and_pearson():
    right = np.array([0, 1, 57, 99, 100])
    found = least_accuracy(right, 100, 0.95)
    expected = [
        # The two-sided interval of 90 % has the same lower end.
        binomtest(int(each), 100).proportion_ci(0.9, method="exact").low
        for each in right
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found[0] == 0
    assert found[-1] == pytest.approx(0.05 ** (1 / 100))


def broken_promises(draw, true_accuracy, promise, count):
    """In how many of the draws the promise is false, and the mean share of examples answered."""
    random = np.random.default_rng(3)
    broken, answered = 0, 0.0
    for _ in range(DRAWS):
        sureness, is_right = draw(random, count)
        try:
            threshold = find_threshold(sureness, is_right, promise, CONFIDENCE)
        except UserError:
            continue
        broken += true_accuracy(threshold) < promise
        answered += np.mean(sureness >= threshold)
    return broken, answered / DRAWS


# So many of the draws may break their promise before chance is no excuse: 3 standard deviations.
MOST_BROKEN = DRAWS * (1 - CONFIDENCE) + 3 * np.sqrt(DRAWS * CONFIDENCE * (1 - CONFIDENCE))


def test_promises_of_a_calibrated_classifier_are_kept():
    """Its sureness is Beta(7, 1), and as often is it right: 0.875 on average."""

    def draw(random, count):
        sureness = random.beta(7, 1, count)
        return sureness, random.random(count) < sureness

    def true_accuracy(threshold):
        return 7 / 8 * (1 - threshold**8) / (1 - threshold**7)

    broken, answered = broken_promises(draw, true_accuracy, 0.93, 1000)
    assert broken <= MOST_BROKEN
    # Who knew the truth would answer little more.
    ideal = brentq(lambda threshold: true_accuracy(threshold) - 0.93, 0.1, 0.99)
    assert 0.75 * beta.sf(ideal, 7, 1) < answered < beta.sf(ideal, 7, 1)


@pytest.mark.parametrize("digits", [None, 1, 0])
def test_no_search_among_thresholds_breaks_the_confidence(digits):
    """The hardest case: every example is right with a little less than the promised accuracy, so
    that every answer breaks it, and each of many thresholds could pass by luck."""

    def draw(random, count):
        sureness = random.random(count)
        # Rounded, many are equally sure.
        return sureness if digits is None else sureness.round(digits), random.random(count) < 0.899

    broken, _ = broken_promises(draw, lambda threshold: 0.899, 0.9, 400)
    assert 0 < broken <= MOST_BROKEN


def test_the_walk_goes_from_strict_to_loose_and_stops_at_the_first_failure():
    # Tried are 333, 353, ..., 993 and 1000 of them.
    sureness = np.linspace(1, 0.001, 1000)
    is_right = np.ones(1000, bool)
    assert find_threshold(sureness, is_right, 0.95, 0.95) == sureness[-1]
    is_right[500:530] = False
    proved = least_accuracy([500, 503, 970], [513, 533, 1000], 0.95)
    assert (proved >= 0.95).tolist() == [True, False, True]
    threshold = find_threshold(sureness, is_right, 0.95, 0.95)
    assert threshold == sureness[513 - 1]
    # In whatever order they come.
    mixed = np.random.default_rng(0).permutation(1000)
    assert find_threshold(sureness[mixed], is_right[mixed], 0.95, 0.95) == threshold


def test_who_is_as_sure_is_answered_too():
    sureness = np.repeat([0.9, 0.5], [150, 150])
    is_right = np.repeat([True, False], [150, 150])
    assert find_threshold(sureness, is_right, 0.95, 0.95) == 0.9
    # Tried are 100 at first, which are right; but another 32 are as sure, and wrong.
    is_right[118:150] = False
    with pytest.raises(UserError, match="of the 150 surest of 300 examples 118 are right"):
        find_threshold(sureness, is_right, 0.95, 0.95)


def test_what_cannot_be_promised_is_said():
    sureness, is_right = np.linspace(0, 1, 58), np.ones(58, bool)
    with pytest.raises(UserError, match=r"0\.95 at a .* takes at least 59 .* Received: 58; give"):
        find_threshold(sureness, is_right, 0.95, 0.95)
    assert find_threshold(np.zeros(59), np.ones(59, bool), 0.95, 0.95) == 0
    with pytest.raises(UserError, match=r"takes at least 59 .* Received: 0"):
        find_threshold(sureness[:0], is_right[:0], 0.95, 0.95)
    sureness = np.linspace(0, 1, 200)
    with pytest.raises(
        UserError,
        match=r"of the 66 surest of 200 examples 33 are right, which proves 0\.\d{3}; promise less",
    ):
        find_threshold(sureness, np.arange(200) % 2 == 0, 0.95, 0.95)


def test_a_sureness_that_is_no_number_proves_nothing():
    sureness = np.full(100, 0.9)
    sureness[7] = np.nan
    with pytest.raises(UserError, match="must be a number. Received: NaN"):
        find_threshold(sureness, np.ones(100, bool), 0.9, 0.9)
