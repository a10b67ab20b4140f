"""The metrics of a confusion matrix from their definitions, by loops over the matrix in float64."""

import math

import numpy as np

from keras_ce import metrics


def matrix(true, predicted, num_classes, weights=None):
    """`matrix[i, j]`: the weight of the positions of class i that are predicted to be of j."""
    weights = np.ones(np.shape(true)) if weights is None else weights
    counts = np.zeros((num_classes, num_classes))
    for i, j, weight in zip(np.ravel(true), np.ravel(predicted), np.ravel(weights), strict=True):
        counts[i, j] += float(weight)
    return counts


def quotient(numerator, denominator):
    return numerator / denominator if denominator else 0.0


def f1_scores(counts):
    """One for each class, from precision and recall."""
    scores = []
    for k in range(len(counts)):
        precision = quotient(counts[k, k], sum(counts[:, k]))
        recall = quotient(counts[k, k], sum(counts[k]))
        scores.append(quotient(2 * precision * recall, precision + recall))
    return scores


def f1(counts, average="macro"):
    scores = f1_scores(counts)
    if average == "micro":  # Each position is one right answer, or one miss and one false alarm.
        return quotient(np.trace(counts), counts.sum())
    if average == "weighted":
        return quotient(
            sum(f * sum(row) for f, row in zip(scores, counts, strict=True)), counts.sum()
        )
    return scores if average is None else sum(scores) / len(scores)


def hamming(counts):
    return quotient(counts.sum() - np.trace(counts), counts.sum())


def balanced_accuracy(counts):
    recalls = [row[k] / sum(row) for k, row in enumerate(counts) if sum(row)]
    return quotient(sum(recalls), len(recalls))


def matthews(counts):
    """The correlation of the indicators of the classes."""
    total = counts.sum()
    labels, predictions = counts.sum(axis=1), counts.sum(axis=0)
    covariance = total * np.trace(counts) - labels @ predictions
    spread = (total**2 - labels @ labels) * (total**2 - predictions @ predictions)
    return quotient(covariance, math.sqrt(spread))


COSTS = {
    None: lambda i, j: float(i != j),
    "linear": lambda i, j: abs(i - j),
    "quadratic": lambda i, j: (i - j) ** 2,
}


def kappa(counts, weights=None):
    observed = expected = 0.0
    total = counts.sum()
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            cost = COSTS[weights](i, j)
            observed += cost * count
            expected += cost * sum(row) * sum(counts[:, j]) / (total or 1.0)
    return 1 - observed / expected if expected else 0.0


def with_option(function, option):
    return lambda counts: function(counts, option)


# Each metric with its options, and what it is of a matrix.
METRICS = {
    "macro_f1": (metrics.F1Score, {}, f1),
    "f1_of_each": (metrics.F1Score, {"average": None}, with_option(f1, None)),
    "micro_f1": (metrics.F1Score, {"average": "micro"}, with_option(f1, "micro")),
    "weighted_f1": (metrics.F1Score, {"average": "weighted"}, with_option(f1, "weighted")),
    "hamming": (metrics.HammingLoss, {}, hamming),
    "balanced": (metrics.BalancedAccuracy, {}, balanced_accuracy),
    "matthews": (metrics.MatthewsCorrelation, {}, matthews),
    "kappa": (metrics.CohenKappa, {}, kappa),
    "linear_kappa": (metrics.CohenKappa, {"weights": "linear"}, with_option(kappa, "linear")),
    "quadratic_kappa": (
        metrics.CohenKappa,
        {"weights": "quadratic"},
        with_option(kappa, "quadratic"),
    ),
}


def make(name, /, **options):
    metric, own, _ = METRICS[name]
    return metric(**own, **options)


def expected(name, true, predicted, num_classes, weights=None):
    return METRICS[name][2](matrix(true, predicted, num_classes, weights))
