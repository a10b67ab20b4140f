"""How good a ranking is: the measures of the literature, from `keras_rs`."""

from collections.abc import Sequence

import keras_rs
import numpy

HIT_CUTOFF = 10


def mean_average_precision(
    scores: Sequence[numpy.ndarray], labels: Sequence[Sequence[int]]
) -> float:
    """The `map` of `score_ranking` alone."""
    return _result(keras_rs.metrics.MeanAveragePrecision, _ranked_labels(scores, labels))


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
    ranked = _ranked_labels(scores, labels)
    return {
        "map": _result(keras_rs.metrics.MeanAveragePrecision, ranked),
        "mrr": _result(keras_rs.metrics.MeanReciprocalRank, ranked),
        "precision_at_1": _result(keras_rs.metrics.PrecisionAtK, ranked, k=1),
        "hit_at_10": float((ranked[:, :HIT_CUTOFF] == 1).any(axis=1).mean()),
    }


def _ranked_labels(
    scores: Sequence[numpy.ndarray], labels: Sequence[Sequence[int]]
) -> numpy.ndarray:
    """The labels of each question (questions, candidates), the best first; -1 for no candidate."""
    random = numpy.random.default_rng(0)
    ranked = numpy.full((len(scores), max(map(len, scores))), -1, dtype="float32")
    for row, of_question, right in zip(ranked, scores, labels, strict=True):
        of_question = numpy.asarray(of_question, dtype="float64")
        if not numpy.isfinite(of_question).all():
            raise ValueError("`scores` must be finite; a model that gives NaN ranks nothing.")
        order = numpy.lexsort((random.random(len(of_question)), -of_question))
        row[: len(of_question)] = numpy.asarray(right)[order]
    return ranked


def _result(metric_class: type, ranked: numpy.ndarray, k: int | None = None) -> float:
    metric = metric_class(k=k, shuffle_ties=False)
    places = numpy.arange(ranked.shape[1], 0, -1, dtype="float32")
    metric.update_state(ranked, numpy.tile(places, (len(ranked), 1)))
    return float(metric.result())
