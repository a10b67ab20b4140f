"""What comes close to a mistake and is none, beyond the table of `set_ups.near_misses`."""

import keras
import numpy as np
import pytest
from keras import layers, losses
from set_ups.models import (
    ROWS,
    TIME,
    TwoHeads,
    compiled,
    features,
    ids,
    multi_hot,
    network,
)

import keras_ce
import keras_ce.losses as ours

SPARSE = losses.SparseCategoricalCrossentropy
DENSE = losses.CategoricalCrossentropy
BINARY = losses.BinaryCrossentropy


def sequence():
    return network("sequential", layers.Dense(3), shape=(TIME, 4))


def test_an_impossible_class_of_ours_is_not_non_finite():
    impossible_third = np.array([[0, 0, -np.inf]], "float32")
    model = network("functional", layers.Dense(3), lambda z: z + impossible_third)
    compiled(model, ours.LabelSmoothedCrossentropy(0, from_logits=True))
    findings = keras_ce.diagnose(model, features(), ids(2)).findings
    assert [finding.code for finding in findings] == ["imbalance"]  # it never occurs: meant here


def test_the_model_runs_as_in_inference():
    class LoudInTraining(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = layers.Dense(3)

        def call(self, inputs, training=True):
            return self.head(inputs) * (1000.0 if training else 1.0)

    model = LoudInTraining()
    model(features())
    compiled(model, SPARSE(from_logits=True))
    assert keras_ce.diagnose(model, features(), ids(3)).findings == []


def test_weights_of_rows_with_one_loss_each():
    model = compiled(network("sequential", layers.Dense(3)), SPARSE(from_logits=True))
    report = keras_ce.diagnose(model, features(), ids(3), sample_weight=np.linspace(0, 1, ROWS))
    assert report.findings == []


@pytest.mark.parametrize("weight", [np.ones((ROWS, 1)), np.ones((ROWS, TIME))])
def test_weights_of_sequences_with_an_axis_for_time(weight):
    model = compiled(sequence(), SPARSE(from_logits=True))
    report = keras_ce.diagnose(model, features(TIME, 4), ids(3, TIME), sample_weight=weight)
    assert report.findings == []


@pytest.mark.parametrize("metric", ["binary_accuracy", "mae", "AUC"])
def test_metrics_on_probabilities_and_others_on_logits(metric):
    sure = compiled(network("sequential", layers.Dense(1, "sigmoid")), "bce", metrics=[metric])
    assert keras_ce.diagnose(sure, features(), ids(2)).findings == []
    loss = BINARY(from_logits=True)
    logits = compiled(network("sequential", layers.Dense(1)), loss, metrics=[metric])
    found = [finding.code for finding in keras_ce.diagnose(logits, features(), ids(2)).findings]
    assert found == (["accuracy-on-logits"] if metric != "mae" else [])


@pytest.mark.parametrize(
    ("metric", "units", "makes_a_difference"),
    [
        (lambda **options: keras_ce.metrics.F1Score(threshold=0.5, **options), 1, True),
        (lambda **options: keras_ce.metrics.HammingLoss(threshold=0.3, **options), 3, True),
        (keras_ce.metrics.CohenKappa, 1, True),
        (lambda **options: keras_ce.metrics.ExpectedCalibrationError(5, **options), 1, True),
        (keras_ce.metrics.MatthewsCorrelation, 3, False),  # the largest score is the same
    ],
)
@pytest.mark.parametrize("are_logits", [True, False])
def test_metrics_of_ours_that_take_the_outputs_for_something_else(
    metric, units, makes_a_difference, are_logits
):
    several = units > 1 and makes_a_difference
    loss = (BINARY if several or units == 1 else SPARSE)(from_logits=are_logits)
    activation = None if are_logits else "sigmoid" if several or units == 1 else "softmax"
    labels = multi_hot(units) if several else ids(max(units, 2))
    for of_metric in (True, False):
        model = network("sequential", layers.Dense(units, activation))
        compiled(model, loss, metrics=[metric(from_logits=of_metric)])
        findings = keras_ce.diagnose(model, features(), labels).findings
        if of_metric == are_logits or not makes_a_difference:
            assert findings == []
        else:
            (finding,) = findings
            assert finding.code == "accuracy-on-logits"
            assert ("from_logits=True" in finding.fix) == are_logits


def test_a_list_of_one_loss_and_one_of_two_for_two_outputs():
    one = compiled(network("functional", layers.Dense(1)), ["mse"])
    assert keras_ce.diagnose(one, features(), features(1)).findings == []
    two = TwoHeads(layers.Dense(3), layers.Dense(1))
    two(features())
    compiled(two, [SPARSE(from_logits=True), "mse"])
    labels = {"first": ids(3), "second": features(1)}
    assert keras_ce.diagnose(two, features(), labels).findings == []


@pytest.mark.parametrize(
    "loss",
    [
        SPARSE(from_logits=True),
        SPARSE(from_logits=True, dtype="float16"),
        ours.LabelSmoothedCrossentropy(from_logits=True, dtype="bfloat16"),
    ],
    ids=["float32", "float16", "ours in bfloat16"],
)
def test_ids_that_the_loss_can_hold(loss):
    model = compiled(network("sequential", layers.Dense(300)), loss)
    assert keras_ce.diagnose(model, features(), ids(64) * 4 + 44).findings == []


def test_a_custom_metric_that_cannot_describe_itself():
    class Silent(keras.metrics.Metric):
        def get_config(self):
            raise NotImplementedError

        def update_state(self, *arguments):
            """Nothing."""

        def result(self):
            return 0.0

    loss = BINARY(from_logits=True)
    model = compiled(network("sequential", layers.Dense(1)), loss, metrics=[Silent()])
    assert keras_ce.diagnose(model, features(), ids(2)).findings == []


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_a_model_that_calculates_with_its_inputs(dtype, kind):
    class Residual(keras.Model):
        def __init__(self):
            super().__init__(dtype=dtype)
            self.hidden, self.head = layers.Dense(8, dtype=dtype), layers.Dense(3, dtype=dtype)

        def call(self, inputs):
            return self.head(self.hidden(inputs) + inputs)

    model = Residual()
    model(features())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert keras_ce.diagnose(model, features().astype(kind), ids(3), loss=loss).findings == []
