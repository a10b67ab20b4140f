import backends
import numpy as np
import pytest
from backends import invalid

from keras_ce.losses import MarginRanking, margin_ranking


@pytest.mark.parametrize("margin", [-0.1, True, "0.1", float("nan"), float("inf"), None, [0.1]])
def test_row_18_arguments_are_validated(margin):
    with invalid("margin", "a non-negative number", value=margin):
        MarginRanking(margin)
    with invalid("margin", "a non-negative number", value=margin):
        margin_ranking([0], [[1.0, 2.0]], margin)


@pytest.mark.parametrize("ignore_label", ["nan", "-1", True, float("nan"), float("inf"), [-1]])
def test_row_18_the_label_to_ignore_is_validated(ignore_label):
    with invalid("ignore_label", "a finite number", value=ignore_label):
        MarginRanking(ignore_label=ignore_label)


def test_row_9_two_scores_in_one_tensor():
    scores = np.array([[0.9, 0.3], [0.2, 0.4], [0.55, 0.5]], "float32")
    values = backends.array(margin_ranking([0, 0, 0], scores))
    np.testing.assert_allclose(values, [0, 0.3, 0.05], atol=1e-7)
    values = backends.array(margin_ranking([1, 1, 1], scores))  # "the second is right"
    np.testing.assert_allclose(values, [0.7, 0, 0.15], atol=1e-7)


def test_index_and_relevance_agree():
    scores = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    index = np.array([0, 4, 2, 2, 1, 3])
    by_index = backends.array(margin_ranking(index, scores, 0.5))
    by_relevance = backends.array(margin_ranking(np.eye(5, dtype="float32")[index], scores, 0.5))
    np.testing.assert_allclose(by_index, by_relevance, rtol=1e-6)


def test_equal_relevances_are_no_pairs():
    scores = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], "float32")
    relevance = np.array([[1.0, 1.0, 1.0], [-3.0, -3.0, 2.5]], "float32")
    values = backends.array(margin_ranking(relevance, scores, 1.5))
    np.testing.assert_allclose(values, [0, (0 + 0.5) / 2])


@pytest.mark.parametrize("mode", backends.MODES)
def test_a_pair_exactly_at_the_margin_has_no_gradient(mode):
    scores = np.array([[1.0, 0.5, 0.0]], "float32")
    values, slopes = backends.gradient(
        lambda y_pred, y_true: margin_ranking(y_true, y_pred, 0.5), scores, np.array([0]), mode=mode
    )
    assert values[0] == 0
    np.testing.assert_array_equal(slopes, [[0, 0, 0]])


def test_one_candidate_cannot_be_ranked():
    with pytest.raises(ValueError, match="at least two candidates"):
        margin_ranking([0, 0], [[1.0], [2.0]])


def test_relevance_must_be_finite():
    scores = [[1.0, 2.0], [3.0, 4.0]]
    for value in (np.nan, np.inf, -np.inf):
        with invalid("y_true", "finite relevances", position=(1, 1), value=value):
            margin_ranking([[1.0, 0.0], [0.0, value]], scores)


def test_an_index_that_is_none_says_where():
    scores = [[1.0, 2.0], [3.0, 4.0]]
    expected = "the index of the right candidate, an integer from 0 to 1"
    with invalid("y_true", expected, fix="count from 0", position=(1,), value=2):
        margin_ranking([0, 2], scores)
    with invalid("y_true", expected, position=(1, 0), value=0.5):
        margin_ranking([[0], [0.5]], scores)
    with invalid("y_true", expected, fix="margin_ranking_loss", position=(0,), value=-1):
        margin_ranking([-1, 1], scores)


@pytest.mark.parametrize("mode", backends.MODES)
def test_ignored_candidates_are_in_no_pair_and_ignored_lists_in_no_denominator(mode):
    relevance = np.array([[2, -1, 0, 1], [-1] * 4, [0, 1, 1, -1]], "float32")
    scores = np.array([[0.5, np.nan, 0.7, 0.6], [np.nan] * 4, [0.3, 0.1, 2.0, np.inf]], "float32")
    loss = MarginRanking(0.1, ignore_label=-1)
    value, slopes = backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred), scores, relevance, mode=mode
    )
    first = (0.3 + 0.2 + 0.2) / 3
    third = 0.3 / 2
    np.testing.assert_allclose(value, (first + third) / 2, rtol=1e-5)
    expected = [[-2 / 3, 0, 2 / 3, 0], [0] * 4, [0.5, -0.5, 0, 0]]
    np.testing.assert_allclose(slopes, np.array(expected) / 2, atol=1e-6)


def test_only_relevances_can_be_ignored():
    with pytest.raises(ValueError, match="`ignore_label` needs relevances .* ignore_label=-1"):
        MarginRanking(ignore_label=-1)([0, 1], [[1.0, 2.0], [3.0, 4.0]])


def test_agrees_with_torch():
    torch = pytest.importorskip("torch")
    scores = np.random.default_rng(1).normal(size=(8, 2)).astype("float32")
    expected = torch.nn.functional.margin_ranking_loss(
        torch.tensor(scores[:, 0]), torch.tensor(scores[:, 1]), torch.ones(8), 0.3,
        reduction="none",
    )  # fmt: skip
    values = margin_ranking(np.zeros(8, "int32"), scores, 0.3)
    np.testing.assert_allclose(backends.array(values), expected.numpy(), atol=1e-6)
