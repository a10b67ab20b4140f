"""Cohen's kappa, against scikit-learn and by hand."""

import backends
import numpy as np
import pytest
import sklearn.metrics

from keras_ce.metrics import CohenKappa


def value(metric):
    return float(backends.array(metric.result()))


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
class TestValue:
    @pytest.mark.parametrize("are_weighted", [False, True])
    @pytest.mark.parametrize("signal", [-2.0, 0.0, 3.0])
    @pytest.mark.parametrize("num_classes", [2, 5])
    def test_scikit_learn(self, weights, are_weighted, signal, num_classes):
        generator = np.random.default_rng(0)
        labels = generator.integers(0, num_classes, 50).astype("int32")
        scores = generator.normal(size=(50, num_classes)) + signal * np.eye(num_classes)[labels]
        of_rows = generator.random(50).astype("float32") if are_weighted else None
        exact = sklearn.metrics.cohen_kappa_score(
            labels,
            scores.argmax(-1),
            labels=range(num_classes),
            weights=weights,
            sample_weight=of_rows,
        )
        metric = CohenKappa(weights, num_classes=num_classes)
        backends.update(metric, labels, scores.astype("float32"), of_rows)
        assert value(metric) == pytest.approx(exact, rel=1e-5, abs=1e-6)

    def test_near_classes_far_from_the_first(self, weights):
        # Squares of numbers near 10,000 have no digits left for a difference of 1.
        generator = np.random.default_rng(0)
        labels = generator.integers(9990, 10_000, 60)
        predictions = np.clip(labels + generator.integers(-2, 3, 60), 9990, 9999)
        exact = sklearn.metrics.cohen_kappa_score(
            labels - 9990, predictions - 9990, labels=range(10), weights=weights
        )
        metric = CohenKappa(weights, num_classes=10_000)
        metric.update_state(labels, predictions)
        assert value(metric) == pytest.approx(exact, abs=1e-4)

    def test_limits(self, weights):
        for predictions, exact in (([0, 1, 2], 1.0), ([1, 1, 1], 0.0), ([2, 1, 0], None)):
            metric = CohenKappa(weights, num_classes=3)
            metric.update_state([0, 1, 2], np.array(predictions))
            exact = (
                {None: 0.0, "linear": -0.5, "quadratic": -1.0}[weights] if exact is None else exact
            )
            assert value(metric) == pytest.approx(exact, abs=1e-6)


def test_by_hand():
    metric = CohenKappa("quadratic", num_classes=4)
    metric.update_state([0, 1, 2, 3], np.array([0, 1, 3, 3]))
    # Of the labels' squared distances, to a prediction by chance: (19 + 9 + 7 + 13) / 16 = 3.
    assert value(metric) == pytest.approx(1 - 0.25 / 3, rel=1e-6)


@pytest.mark.parametrize("weights", ["cubic", True, 2])
def test_an_error_says_which_weights_there_are(weights):
    with backends.invalid("weights", '"linear" or "quadratic"', value=weights):
        CohenKappa(weights)


def test_config():
    config = CohenKappa("linear").get_config()
    assert config["weights"] == "linear"
    assert CohenKappa.from_config(config).get_config() == config
