"""The mean recall, against scikit-learn and by hand."""

import warnings

import backends
import numpy as np
import pytest
import sklearn.metrics

from keras_ce.metrics import BalancedAccuracy


def value(metric):
    return float(backends.array(metric.result()))


def test_by_hand():
    metric = BalancedAccuracy()
    metric.update_state([0, 0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.7, 0.3]])
    assert value(metric) == 0.5


@pytest.mark.parametrize("are_weighted", [False, True])
@pytest.mark.parametrize("missing", [None, 0, 3])
def test_scikit_learn(are_weighted, missing):
    """A class without a label leaves the mean, even if it is predicted."""
    generator = np.random.default_rng(0)
    labels = generator.choice([k for k in range(4) if k != missing], 50).astype("int32")
    scores = (generator.normal(size=(50, 4)) + np.eye(4)[labels]).astype("float32")
    weights = generator.random(50).astype("float32") if are_weighted else None
    assert missing in (None, *scores.argmax(-1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of labels that are predicted alone
        exact = sklearn.metrics.balanced_accuracy_score(
            labels, scores.argmax(-1), sample_weight=weights
        )
    metric = BalancedAccuracy(num_classes=4)
    backends.update(metric, labels, scores, weights)
    assert value(metric) == pytest.approx(exact, rel=1e-6)


def test_a_class_whose_labels_have_no_weight_leaves_the_mean():
    metric = BalancedAccuracy()
    metric.update_state([0, 1], [[1.0, 0.0], [1.0, 0.0]], sample_weight=[1.0, 0.0])
    assert value(metric) == 1.0


def test_defaults():
    assert BalancedAccuracy().get_config() == {
        "from_logits": False,
        "ignore_class": None,
        "num_classes": None,
        "name": "balanced_accuracy",
        "dtype": "float32",
    }
