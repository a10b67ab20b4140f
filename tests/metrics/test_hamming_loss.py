"""The share of wrong labels, against scikit-learn and by hand."""

import math

import backends
import numpy as np
import pytest
import sklearn.metrics

from keras_ce.metrics import HammingLoss


def value(metric):
    return float(backends.array(metric.result()))


def quickly(labels, predictions, weights=None, **options):
    metric = HammingLoss(num_classes=predictions.shape[-1], **options)
    backends.update(metric, labels, predictions, weights)
    return value(metric)


def test_by_hand():
    metric = HammingLoss(threshold=0.5)
    metric.update_state([[1, 0], [1, 1]], [[0.9, 0.6], [0.8, 0.7]])
    assert value(metric) == 0.25
    metric = HammingLoss()
    metric.update_state([1, 0, 1, 1], [[0.9, 0.6], [0.8, 0.7], [0.1, 0.2], [0.0, 0.3]])
    assert value(metric) == 0.25


@pytest.mark.parametrize("are_weighted", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.4, 0.5])
@pytest.mark.parametrize("from_logits", [False, True])
def test_scikit_learn(are_weighted, threshold, from_logits):
    generator = np.random.default_rng(0)
    p = generator.uniform(0.01, 0.99, (50, 4)).astype("float32")
    labels = (
        generator.integers(0, 4, 50) if threshold is None else generator.integers(0, 2, (50, 4))
    )
    predicted = p.argmax(-1) if threshold is None else p > threshold
    weights = generator.random(50).astype("float32") if are_weighted else None
    exact = sklearn.metrics.hamming_loss(labels, predicted, sample_weight=weights)
    scores = np.log(p) - np.log1p(-p) if from_logits else p
    options = {"threshold": threshold, "from_logits": from_logits}
    result = quickly(labels.astype("int32"), scores, weights, **options)
    assert result == pytest.approx(exact, rel=1e-6)


def test_ignored_entries_leave_the_divisor():
    labels = np.array([[1, 0, -1], [-1, 1, 1]], "float32")
    p = np.array([[0.9, 0.6, math.nan], [0.1, 0.7, 0.2]], "float32")
    assert quickly(labels, p, threshold=0.5, ignore_label=-1) == pytest.approx(2 / 4)
    weights = np.array([1.0, 3.0], "float32")
    result = quickly(labels, p, weights, threshold=0.5, ignore_label=-1)
    assert result == pytest.approx((1 + 3) / (2 + 6))
    assert quickly(np.full((2, 3), -1.0, "float32"), p, threshold=0.5, ignore_label=-1) == 0.0


def test_config():
    metric = HammingLoss(0.25, from_logits=True, ignore_label=-1)
    config = metric.get_config()
    assert config == {
        "threshold": 0.25,
        "from_logits": True,
        "ignore_class": None,
        "ignore_label": -1.0,
        "num_classes": None,
        "name": "hamming_loss",
        "dtype": "float32",
    }
    assert HammingLoss.from_config(config).get_config() == config
