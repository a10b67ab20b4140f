"""The measures of a ranking, against a loop and against WikiQA's published runs."""

import numpy as np
import pytest

from recipes.answer_ranker.evaluation import score_ranking


def reference(scores, labels):
    """MAP, MRR, precision at 1 and hit at 10, as a textbook has them."""
    results = []
    for of_question, right in zip(scores, labels, strict=True):
        ranked = [label for _, label in sorted(zip(-of_question, right, strict=True))]
        ranks = [rank for rank, label in enumerate(ranked, 1) if label]
        precisions = [found / rank for found, rank in enumerate(ranks, 1)]
        results.append([sum(precisions) / len(ranks), 1 / ranks[0], ranks[0] == 1, ranks[0] <= 10])
    return np.mean(results, axis=0)


def test_against_a_loop():
    random = np.random.default_rng(3)
    sizes = [2, 3, 15, 30, 40, 7]
    scores = [random.normal(size=size) for size in sizes]
    labels = [[1, *random.integers(0, 2, size - 1)] for size in sizes]
    labels[3] = [0] * 29 + [1]
    scores[3][29] = scores[3].min() - 1  # the only right one comes last of 30
    found = score_ranking(scores, labels)
    expected = reference(scores, labels)
    for name, value in zip(("map", "mrr", "precision_at_1", "hit_at_10"), expected, strict=True):
        assert found[name] == pytest.approx(value, abs=1e-6), name
    assert 0 < found["hit_at_10"] < 1


def test_equal_scores_know_nothing_of_the_order():
    found = score_ranking([np.zeros(2)] * 2000, [[1, 0]] * 2000)
    assert found["map"] == pytest.approx(0.75, abs=0.02)
    assert found == score_ranking([np.zeros(2)] * 2000, [[1, 0]] * 2000)


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(
        ValueError, match="`scores` must be finite; .* with a lower `learning_rate`"
    ):
        score_ranking([np.array([0.1, np.nan])], [[1, 0]])


@pytest.mark.parametrize(
    ("system", "expected"), [("CNN", (0.6190, 0.6281)), ("CNN-Cnt", (0.6591, 0.6738))]
)
def test_the_published_runs_of_wikiqa(shared_data, system, expected):
    folder = shared_data / "wikiqa"
    labels, scores = {}, {}
    for line in (folder / "WikiQA-test-filtered.ref").read_text().splitlines():
        question, _, document, label = line.split()
        labels.setdefault(question, {})[document] = int(label)
    for line in (folder / f"WikiQA.{system}.test.rank").read_text().splitlines():
        question, _, document, _, score, _ = line.split()
        scores.setdefault(question, {})[document] = float(score)
    assert len(labels) == 237
    found = score_ranking(
        [np.array([scores[key][document] for document in labels[key]]) for key in labels],
        [list(of_question.values()) for of_question in labels.values()],
    )
    assert (found["map"], found["mrr"]) == pytest.approx(expected, abs=5e-5)
