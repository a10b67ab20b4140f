"""For each code a set-up that comes close to the mistake and is none: nothing may be found."""

import keras
import numpy as np
import pytest
from keras import layers, losses, ops

import keras_ce
import keras_ce.losses as ours
from benchmarks.diagnosis_models import (
    ROWS,
    TIME,
    TwoHeads,
    compiled,
    features,
    ids,
    multi_hot,
    network,
    one_hot,
    scaled,
)

SPARSE = losses.SparseCategoricalCrossentropy
DENSE = losses.CategoricalCrossentropy
BINARY = losses.BinaryCrossentropy


class RowWise(losses.Loss):
    """Squares that keep their last axis."""

    def call(self, y_true, y_pred):
        return ops.square(y_true - y_pred)


def logits_in_unit_interval():
    """A subclassed model whose logits all lie between 0 and 1 by chance."""
    model = network("subclassed", layers.Dense(3))
    bias, kernel = model.trainable_variables[-1], model.trainable_variables[-2]
    kernel.assign(kernel * 0.01)
    bias.assign([0.5, 0.5, 0.5])
    return model


def trained(model, loss):
    """A model whose optimizer has made a step."""
    compiled(model, loss)
    model.fit(features(), ids(3), verbose=0, batch_size=ROWS)
    return model


def sequence():
    return network("sequential", layers.Dense(3), shape=(TIME, 4))


def rare(number):
    """One row in `number` has class 1."""
    return (np.arange(ROWS) % number == 0).astype(int)


IMPOSSIBLE_THIRD = np.array([[0, 0, -np.inf]], "float32")

NEAR_MISSES = {
    "double-softmax: a softmax inside the model, logits at its end": lambda: (
        network("functional", layers.Dense(3, "softmax"), layers.Dense(3)),
        SPARSE(from_logits=True),
        ids(3),
    ),
    "double-softmax: logits between 0 and 1 by chance": lambda: (
        logits_in_unit_interval(),
        SPARSE(from_logits=True),
        ids(3),
    ),
    "logits-as-probabilities: softmax by hand": lambda: (
        network("subclassed", layers.Dense(3, "exponential"), lambda z: z / ops.sum(z, -1, True)),
        SPARSE(),
        ids(3),
    ),
    "wrong-activation: sigmoid of one unit and BinaryCrossentropy": lambda: (
        network("subclassed", layers.Dense(1, "sigmoid")),
        BINARY(),
        ids(2, 1),
    ),
    "label-kind: floats that are integers": lambda: (
        network("sequential", layers.Dense(3)),
        SPARSE(from_logits=True),
        ids(3, 1).astype("float32"),
    ),
    "label-kind: as many steps as classes": lambda: (
        sequence(),
        SPARSE(from_logits=True),
        ids(3, TIME),
        features(TIME, 4),
    ),
    "label-out-of-range: the value to ignore is given": lambda: (
        network("sequential", layers.Dense(3)),
        SPARSE(from_logits=True, ignore_class=-1),
        np.where(np.arange(ROWS) % 5 == 0, -1, ids(3)),
    ),
    "label-out-of-range: soft answers": lambda: (
        network("sequential", layers.Dense(1)),
        BINARY(from_logits=True),
        np.random.default_rng(0).uniform(0, 1, (ROWS, 1)),
    ),
    "not-a-distribution: rows in float16": lambda: (
        network("sequential", layers.Dense(3)),
        DENSE(from_logits=True),
        np.random.default_rng(0).dirichlet(np.ones(3), ROWS).astype("float16"),
    ),
    "grouped-labels: two ones that are not in two blocks": lambda: (
        network("sequential", layers.Dense(4, "sigmoid")),
        BINARY(),
        np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 1, 1]])[ids(4)],
    ),
    "grouped-labels: two rows that repeat, which may be chance": lambda: (
        network("sequential", layers.Dense(4, "sigmoid")),
        BINARY(),
        np.array([[1, 0, 1, 0], [0, 1, 0, 1]])[ids(2)],
    ),
    "multi-label-with-softmax: two labels that share one row's mass": lambda: (
        network("sequential", layers.Dense(4)),
        DENSE(from_logits=True),
        np.array([[0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1]])[ids(3)],
    ),
    "exclusive-with-sigmoid: one row has two ones": lambda: (
        network("sequential", layers.Dense(3)),
        BINARY(from_logits=True),
        np.maximum(one_hot(3), np.arange(ROWS)[:, None] == 9),
    ),
    "imbalance: one in nine": lambda: (
        network("sequential", layers.Dense(2)),
        SPARSE(from_logits=True),
        rare(9),
    ),
    "imbalance: one in twenty, weights given": lambda: (
        network("sequential", layers.Dense(1)),
        ours.WeightedSigmoidCrossentropy(pos_weight=20.0, from_logits=True),
        rare(21)[:, None],
    ),
    "imbalance: more classes than could all occur": lambda: (
        network("sequential", layers.Dense(30)),
        SPARSE(from_logits=True),
        ids(25),
    ),
    "dead-gradient: saturated, from logits": lambda: (
        scaled(trained(network("sequential", layers.Dense(3)), SPARSE(from_logits=True)), 1000),
        SPARSE(from_logits=True),
        ids(3),
    ),
    "dead-gradient: entries that the loss leaves out": lambda: (
        network("sequential", layers.Dense(4)),
        ours.WeightedSigmoidCrossentropy(from_logits=True, ignore_label=-1.0),
        np.array([[1, -1, 0, 1], [0, 1, -1, 0], [1, 0, 0, -1]])[ids(3)],
    ),
    "dead-gradient: (batch, time) answers for (batch, time, 1) outputs": lambda: (
        network("sequential", layers.Dense(1, "sigmoid"), shape=(TIME, 4)),
        BINARY(),
        ids(2, TIME),
        features(TIME, 4),
    ),
    "initial-loss: twice that of chance": lambda: (
        scaled(network("sequential", layers.Dense(3)), 3),
        SPARSE(from_logits=True),
        ids(3),
    ),
    "initial-loss: high after training": lambda: (
        scaled(trained(network("sequential", layers.Dense(3)), SPARSE(from_logits=True)), 100),
        SPARSE(from_logits=True),
        ids(3),
    ),
    "non-finite: -inf for an impossible class, our loss": lambda: (
        network("functional", layers.Dense(3), lambda z: z + IMPOSSIBLE_THIRD),
        ours.LabelSmoothedCrossentropy(0, from_logits=True),
        ids(2),
    ),
    "constant-output: inputs that are all the same": lambda: (
        network("sequential", layers.Dense(3)),
        SPARSE(from_logits=True),
        ids(3),
        np.ones((ROWS, 8), "float32"),
    ),
    "constant-labels: the first answer is always right": lambda: (
        network("sequential", layers.Dense(2)),
        ours.MarginRanking(),
        np.zeros(ROWS, int),
    ),
    "broadcast: labels of the outputs' shape": lambda: (
        network("sequential", layers.Dense(1)),
        RowWise(),
        features(1),
    ),
    "broadcast: as many outputs as rows": lambda: (
        network("sequential", layers.Dense(ROWS)),
        RowWise(),
        features(ROWS),
    ),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_nothing_is_found(name):
    model, loss, y, *rest = NEAR_MISSES[name]()
    x = rest[0] if rest else features()
    if not model.compiled:  # else it is trained, and would count as new again
        compiled(model, loss)
    report = keras_ce.diagnose(model, x, y)
    # A class that never occurs is meant in this case.
    codes = [finding.code for finding in report.findings]
    expected = ["imbalance"] if name.startswith("non-finite") else []
    assert codes == expected, str(report)


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
