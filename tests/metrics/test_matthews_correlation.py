"""The correlation of classes, against scikit-learn and by hand."""

import backends
import numpy as np
import pytest
import sklearn.metrics

from keras_ce.metrics import MatthewsCorrelation


def value(metric):
    return float(backends.array(metric.result()))


@pytest.mark.parametrize("are_weighted", [False, True])
@pytest.mark.parametrize("signal", [-2.0, 0.0, 0.5, 3.0])
@pytest.mark.parametrize("num_classes", [2, 5])
def test_scikit_learn(are_weighted, signal, num_classes):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, num_classes, 50).astype("int32")
    scores = generator.normal(size=(50, num_classes)) + signal * np.eye(num_classes)[labels]
    weights = generator.random(50).astype("float32") if are_weighted else None
    exact = sklearn.metrics.matthews_corrcoef(labels, scores.argmax(-1), sample_weight=weights)
    metric = MatthewsCorrelation(num_classes=num_classes)
    backends.update(metric, labels, scores.astype("float32"), weights)
    assert value(metric) == pytest.approx(exact, rel=1e-5, abs=1e-6)


def test_by_hand():
    metric = MatthewsCorrelation()
    metric.update_state([0, 0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    # TP = 2, TN = 1, FP = 1, FN = 0.
    assert value(metric) == pytest.approx((2 * 1 - 0) / (3 * 2 * 2 * 1) ** 0.5, rel=1e-6)


@pytest.mark.parametrize(("predictions", "exact"), [([0, 1], 1.0), ([1, 0], -1.0), ([1, 1], 0.0)])
def test_limits(predictions, exact):
    metric = MatthewsCorrelation(num_classes=2)
    metric.update_state([0, 1], np.array(predictions))
    assert value(metric) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("weight", [1e-30, 1e25])
def test_weights_near_the_limits_of_float32(weight):
    metric = MatthewsCorrelation(num_classes=2)
    metric.update_state([0, 0, 1, 1], np.array([0, 1, 1, 1]), sample_weight=weight)
    assert value(metric) == pytest.approx(2 / 12**0.5, rel=1e-5)
