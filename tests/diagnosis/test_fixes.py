"""Every line that a fix offers to paste runs as it stands, and the finding is gone then."""

import re

import keras
import numpy as np
import pytest
from keras import layers, losses, metrics
from pasting import calls, made
from set_ups.models import (
    ROWS,
    TIME,
    compiled,
    features,
    ids,
    multi_hot,
    network,
    one_hot,
    padded_lists,
    rare,
    scaled,
    two_digits,
)

import keras_ce
import keras_ce.losses as ours

SPARSE, DENSE, BINARY = (
    losses.SparseCategoricalCrossentropy,
    losses.CategoricalCrossentropy,
    losses.BinaryCrossentropy,
)


def without_activation(model, index=-1):
    """Removes what a model ends in."""
    layer = [each for each in model.layers if hasattr(each, "activation")][index]
    layer.activation = keras.activations.linear


def pasted(model, x, y, finding, sample_weight=None, index=0):
    """The report after the lines of a fix have been pasted, compiled and fitted."""
    options = {"loss": model.loss}
    fit = {} if sample_weight is None else {"sample_weight": sample_weight}
    code = calls(finding.fix)[index]
    if code.startswith("fit("):
        fit |= made(code)
    elif ".metrics." in code:
        options["metrics"] = [made(code)]
    else:
        options["loss"] = made(code)
    activation = re.search(r"activation='(\w+)'", finding.fix)
    removes = re.match("Remove the activation(?!.* as it is)", finding.fix)
    if removes or "in no activation" in finding.fix:
        without_activation(model)
    elif activation and "metric" not in finding.message.split(",")[0]:
        model.layers[-1].activation = getattr(keras.activations, activation[1])
    model.compile("sgd", **options)
    history = model.fit(x, y, epochs=1, batch_size=ROWS, verbose=0, **fit).history
    assert np.isfinite(history["loss"][0]), code
    weight = fit.get("sample_weight")
    return options["loss"], keras_ce.diagnose(model, x, y, sample_weight=weight)


def found(model, x, y, code, **options):
    (finding,) = [
        each for each in keras_ce.diagnose(model, x, y, **options).findings if each.code == code
    ]
    return finding


def sequence():
    return network("sequential", layers.Dense(2), shape=(TIME, 4))


def dense(units, activation=None):
    return network("sequential", layers.Dense(units, activation))


# Each with the arguments that the user has given and that have to stay.
SOFTMAX = {"from_logits": True, "reduction": "sum", "name": "mine"}
CASES = {
    "imbalance, our loss": (
        lambda: (dense(2), ours.LabelSmoothedCrossentropy(0.2, **SOFTMAX), features(), rare()),
        "imbalance",
        {"label_smoothing": 0.2, **SOFTMAX},
    ),
    "imbalance, Keras's loss, fit takes weights": (
        lambda: (dense(2), SPARSE(from_logits=True), features(), rare()),
        "imbalance",
        {},
    ),
    "imbalance of sigmoids": (
        lambda: (dense(1), BINARY(True, label_smoothing=0.1), features(), rare()),
        "imbalance",
        {"from_logits": True, "label_smoothing": 0.1},
    ),
    "logits as probabilities": (
        lambda: (dense(3), SPARSE(ignore_class=-1, reduction="sum"), features(), ids(3)),
        "logits-as-probabilities",
        {"from_logits": True, "ignore_class": -1, "reduction": "sum"},
    ),
    "softmax twice": (
        lambda: (dense(3, "softmax"), DENSE(True, 0.1), features(), one_hot(3)),
        "double-softmax",
        {"from_logits": False, "label_smoothing": 0.1},
    ),
    "ids in bfloat16": (
        lambda: (dense(300), SPARSE(True, ignore_class=3, dtype="bfloat16"), features(), LARGE),
        "half-precision-ids",
        {"from_logits": True, "ignore_class": 3, "dtype": "float32"},
    ),
    "rows for a loss of ids": (
        lambda: (dense(3), SPARSE(from_logits=True, name="mine"), features(), one_hot(3)),
        "label-kind",
        {"from_logits": True, "name": "mine"},
    ),
    "ids for a loss of rows with smoothing": (
        lambda: (dense(3), DENSE(True, 0.3), features(), ids(3)),
        "label-kind",
        {"from_logits": True, "label_smoothing": 0.3},
    ),
    "several labels": (
        lambda: (dense(4), DENSE(True, 0.1), features(), multi_hot(4)),
        "multi-label-with-softmax",
        {"from_logits": True, "label_smoothing": 0.1},
    ),
    "one label and sigmoids": (
        lambda: (dense(3, "sigmoid"), BINARY(label_smoothing=0.1), features(), one_hot(3)),
        "exclusive-with-sigmoid",
        {"from_logits": False, "label_smoothing": 0.1},
    ),
    "two digits": (
        lambda: (dense(10), DENSE(True, 0.1), features(), two_digits()),
        "grouped-labels",
        {"group_sizes": [5, 5], "from_logits": True, "label_smoothing": 0.1},
    ),
    "a value to ignore": (
        lambda: (
            dense(3),
            ours.LabelSmoothedCrossentropy(0.2, from_logits=True),
            features(),
            np.where(np.arange(ROWS) % 5 == 0, -1, ids(3)),
        ),
        "label-out-of-range",
        {"label_smoothing": 0.2, "from_logits": True, "ignore_class": -1},
    ),
    "saturated focal loss": (
        lambda: (
            scaled(dense(3), 1000),
            losses.CategoricalFocalCrossentropy(gamma=1.5, from_logits=True),
            features(),
            one_hot(3),
        ),
        "dead-gradient",
        {"gamma": 1.5, "from_logits": True},
    ),
    "padded lists": (
        lambda: (dense(4), ours.ListwiseCrossentropy(2.0), features(), padded_lists()),
        "label-out-of-range",
        {"temperature": 2.0, "ignore_label": -1.0},
    ),
}
LARGE = ids(64) * 4 + 44


@pytest.mark.parametrize("name", CASES)
def test_a_fix_runs_and_keeps_the_users_arguments(name):
    make, code, kept = CASES[name]
    model, loss, x, y = make()
    finding = found(compiled(model, loss), x, y, code)
    written, report = pasted(model, x, y, finding)
    assert code not in [each.code for each in report.findings if each.severity != "note"]
    config = {**written.get_config(), "dtype": written.dtype}
    assert {argument: config[argument] for argument in kept} == kept


def test_a_class_weight_for_several_outputs_and_beside_sample_weight():
    # Keras's `fit` refuses its own class_weight in both.
    weight = np.linspace(0.5, 1.5, ROWS)
    model = compiled(dense(2), DENSE(True, 0.1))
    rows = np.eye(2)[rare()]
    finding = found(model, features(), rows, "imbalance", sample_weight=weight)
    loss, report = pasted(model, features(), rows, finding, weight)
    assert report.findings == []
    assert loss.label_smoothing == 0.1
    inputs = keras.Input((8,))
    heads = [layers.Dense(2, name="a")(inputs), layers.Dense(1, name="b")(inputs)]
    two = compiled(keras.Model(inputs, heads), [SPARSE(from_logits=True), "mse"])
    finding = found(two, features(), [rare(), features(1)], "imbalance")
    assert finding.output == "a"
    (code,) = calls(finding.fix)
    compiled(two, [made(code), "mse"])
    two.fit(features(), [rare(), features(1)], verbose=0)


def test_the_offered_weights_balance_the_classes():
    model = compiled(dense(2), ours.LabelSmoothedCrossentropy(0.0, from_logits=True))
    finding = found(model, features(), rare(), "imbalance")
    (code,) = calls(finding.fix)
    weights = np.array(made(code).class_weight)
    np.testing.assert_allclose(weights * np.bincount(rare()), ROWS / 2, rtol=1e-3)


def test_names_where_they_are_known():
    class Named(keras.Model):
        class_names = ("ham", "spam")

    inputs = keras.Input((8,))
    model = compiled(Named(inputs, layers.Dense(2)(inputs)), SPARSE(from_logits=True))
    message = found(model, features(), rare(), "imbalance").message
    assert "Class 'ham' occurs 15 times as often as class 'spam'" in message
    assert "shares: 'ham': 93.8%, 'spam': 6.2%" in message
    dataset = InBatches()
    dataset.class_names = ["no", "yes"]
    plain = compiled(dense(2), SPARSE(from_logits=True))
    assert "Class 'no' occurs 15" in found(plain, dataset, None, "imbalance").message


class InBatches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(index * 32, index * 32 + 32)
        return features()[rows], rare()[rows]


METRICS = {
    "F1": (metrics.F1Score(average="macro", threshold=0.5, name="f"), "f"),
    "precision": (metrics.Precision(name="p"), "p"),
    "recall": (metrics.Recall(thresholds=0.5, name="r"), "r"),
    "accuracy": ("accuracy", "accuracy"),
    "AUC": (metrics.AUC(curve="PR", num_thresholds=1000, name="a"), "a"),
    "cross-entropy": (metrics.BinaryCrossentropy(name="c"), "c"),
    "ours": (keras_ce.metrics.F1Score(threshold=0.5, name="o"), "o"),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_on_logits_gives_what_it_gives_on_probabilities(name):
    """The pasted metric on logits against the user's own on the sigmoid of them."""
    metric, key = METRICS[name]
    y = ids(2, 1).astype("float32")
    model = dense(1)
    compiled(model, BINARY(from_logits=True), metrics=[metric])
    finding = found(model, features(), y, "accuracy-on-logits")
    (code,) = calls(finding.fix)
    model.compile("sgd", BINARY(from_logits=True), metrics=[made(code)], run_eagerly=True)
    on_logits = model.evaluate(features(), y, verbose=0, return_dict=True)
    assert keras_ce.diagnose(model, features(), y).findings == []
    model.layers[-1].activation = keras.activations.sigmoid
    fresh = metric if isinstance(metric, str) else type(metric).from_config(metric.get_config())
    model.compile("sgd", BINARY(), metrics=[fresh], run_eagerly=True)
    on_probabilities = model.evaluate(features(), y, verbose=0, return_dict=True)
    np.testing.assert_allclose(on_logits[key], on_probabilities[key], atol=5e-3)
