"""How good a ranking is: the measures of the literature, from `keras_rs`."""

from collections.abc import Sequence

import keras_rs
import numpy

HIT_CUTOFF = 10


def score_ranking(
    scores: Sequence[numpy.ndarray], labels: Sequence[Sequence[int]]
) -> dict[str, float]:
    """Scores the candidates of some questions against what is right.

    Equal scores are put in a random order, always the same: the order of the candidates in a file
    often says which is right.

    Args:
        scores: For each question the score of each candidate.
        labels: For each question 1 for a right candidate and 0 for a wrong one.

    Returns:
        `map`, `mrr`, `precision_at_1` and `hit_at_10`, means over the questions.
    """
    random = numpy.random.default_rng(0)
    longest = max(map(len, scores))
    ranked_labels = numpy.full((len(scores), longest), -1, dtype="float32")  # -1: no candidate
    for row, of_question, right in zip(ranked_labels, scores, labels, strict=True):
        of_question = numpy.asarray(of_question, dtype="float64")
        if not numpy.isfinite(of_question).all():
            raise ValueError("`scores` must be finite; a model that gives NaN ranks nothing.")
        order = numpy.lexsort((random.random(len(of_question)), -of_question))
        row[: len(of_question)] = numpy.asarray(right)[order]
    places = numpy.tile(numpy.arange(longest, 0, -1, dtype="float32"), (len(scores), 1))
    metrics = {
        "map": keras_rs.metrics.MeanAveragePrecision(shuffle_ties=False),
        "mrr": keras_rs.metrics.MeanReciprocalRank(shuffle_ties=False),
        "precision_at_1": keras_rs.metrics.PrecisionAtK(k=1, shuffle_ties=False),
    }
    results = {}
    for name, metric in metrics.items():
        metric.update_state(ranked_labels, places)
        results[name] = float(metric.result())
    results["hit_at_10"] = float((ranked_labels[:, :HIT_CUTOFF] == 1).any(axis=1).mean())
    return results
