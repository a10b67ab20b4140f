"""Bad input to `diagnose` is one clear error or a finding, and never a traceback from inside."""

import keras
import numpy as np
import pytest
from backends import BACKEND
from keras import layers
from set_ups.models import ROWS, TwoHeads, compiled, features, ids, network, one_hot

import keras_ce
from keras_ce.diagnosis import _model_output

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def codes(*arguments, **options):
    return [finding.code for finding in keras_ce.diagnose(*arguments, **options).findings]


def two_heads():
    model = TwoHeads(layers.Dense(3), layers.Dense(1))
    model(features())
    return model


def test_not_a_model():
    with pytest.raises(TypeError, match="`model` must be a `keras.Model`. Received: 'model.keras'"):
        keras_ce.diagnose("model.keras", features(), ids(3))


def test_not_built():
    model = compiled(keras.Sequential([layers.Dense(3)]), LOGITS)
    with pytest.raises(ValueError, match="`model` must be built.*Call it on one batch first"):
        keras_ce.diagnose(model, features(), ids(3))
    assert not model.built


def test_neither_compiled_nor_a_loss():
    model = network("sequential", layers.Dense(3))
    with pytest.raises(ValueError, match="`loss` is missing: the model is not compiled"):
        keras_ce.diagnose(model, features(), ids(3))


@pytest.mark.parametrize(
    ("loss", "code"),
    [
        ("sparse_categorical_crossentropy", "logits-as-probabilities"),
        ("SparseCategoricalCrossentropy", "logits-as-probabilities"),
        (keras.losses.sparse_categorical_crossentropy, "logits-as-probabilities"),
        (keras.losses.SparseCategoricalCrossentropy(), "logits-as-probabilities"),
        (keras.losses.serialize(keras.losses.SparseCategoricalCrossentropy()), "logits-as-proba"),
        (LOGITS, None),
        ({"": LOGITS}, None),
    ],
)
def test_a_loss_that_is_given_needs_no_compile(loss, code):
    model = network("sequential", layers.Dense(3))
    found = codes(model, features(), ids(3), loss=loss)
    assert [each[: len(code or "")] for each in found] == ([code] if code else [])


def test_a_loss_that_is_given_comes_before_the_compiled_one():
    model = compiled(network("sequential", layers.Dense(3)), "sparse_categorical_crossentropy")
    assert codes(model, features(), ids(3), loss=LOGITS) == []


def test_what_a_loss_says_of_its_labels_is_passed_on():
    # MarginRanking takes an index of any size; only its own check of the values knows better.
    labels = ids(3)
    labels[5] = 3
    model = compiled(network("sequential", layers.Dense(3)), keras_ce.losses.MarginRanking())
    (finding,) = keras_ce.diagnose(model, features(), labels).findings
    assert finding.code == "loss-fails"
    assert "Received: 3 at position (5,)" in finding.message


def test_a_loss_that_asks_its_labels_for_their_values():
    # It cannot be compiled.
    def loss(y_true, y_pred):
        last = int(keras.ops.max(y_true))
        assert last == 2
        return LOGITS(y_true, y_pred)

    assert codes(network("sequential", layers.Dense(3)), features(), ids(3), loss=loss) == []


@pytest.mark.parametrize("loss", [3.0, "no such loss"])
def test_no_loss_at_all(loss):
    model = network("sequential", layers.Dense(3))
    with pytest.raises(ValueError, match="`loss` must be a Keras loss.*Received: "):
        keras_ce.diagnose(model, features(), ids(3), loss=loss)


def test_more_labels_than_outputs():
    model = network("sequential", layers.Dense(3))
    with pytest.raises(ValueError, match="`y` must match the outputs of the model.*2 parts"):
        keras_ce.diagnose(model, features(), [ids(3), ids(3)], loss=LOGITS)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ({"third": "mse"}, [ids(3), features(1)], r"`loss` must match.*loss with \['third'\]"),
        (["mse", "mse", "mse"], [ids(3), features(1)], "`loss` must match.*3 parts"),
        ("mse", {"first": ids(3), "other": features(1)}, "`y` must match.*'first', 'other'"),
        ("mse", [ids(3)] * 3, "`y` must match the outputs of the model.*3 parts"),
    ],
)
def test_structures_that_do_not_match(loss, y, message):
    with pytest.raises(ValueError, match=message):
        keras_ce.diagnose(two_heads(), features(), y, loss=loss)


def test_labels_may_be_left_out():
    model = network("sequential", layers.Dense(3, "softmax"))
    assert codes(model, features(), loss=LOGITS) == ["double-softmax"]


def test_an_output_without_structure_of_its_own():
    class Odd(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = layers.Dense(3)

        def call(self, inputs):
            return {"deep": [{"er": self.head(inputs)}]}

    model = Odd()
    model(features())
    labels = {"deep": [{"er": ids(3)}]}
    # On TensorFlow Keras's `fit` does not find the labels of such an output, elsewhere it does.
    refused = ["structure-mismatch"] if BACKEND == "tensorflow" else []
    assert codes(model, features(), labels, loss=LOGITS) == refused
    report = keras_ce.diagnose(model, features(), {"deep": [{"er": one_hot(3)}]}, loss=LOGITS)
    assert [(each.code, each.output) for each in report.findings][len(refused) :] == [
        ("label-kind", "deep/0/er")
    ]


def test_a_model_without_rows_in_its_output():
    class OneNumber(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = layers.Dense(3)

        def call(self, inputs):
            return keras.ops.mean(self.head(inputs))

    model = OneNumber()
    model(features())
    report = keras_ce.diagnose(model, features(), ids(3), loss=LOGITS)
    assert "not-checked" not in [each.code for each in report.findings]
    assert report.errors


def test_a_failure_of_a_check_is_a_note(monkeypatch):
    def broken(output):
        yield from ()
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(_model_output, "activation_findings", broken)
    model = network("sequential", layers.Dense(3))
    report = keras_ce.diagnose(model, features(), ids(3) + 1, loss=LOGITS)
    assert [(each.code, each.severity) for each in report.findings] == [
        ("label-out-of-range", "error"),
        ("not-checked", "note"),
    ]
    message = report.findings[1].message
    assert message.startswith("activation findings could not be looked at: ZeroDivisionError: by")


@pytest.mark.parametrize("rows", [1, 2])
def test_a_few_rows_are_no_evidence(rows):
    model = network("sequential", layers.Dense(3))
    assert codes(model, features()[:rows], np.zeros(rows, int), loss=LOGITS) == []


def test_labels_of_objects():
    model = network("sequential", layers.Dense(3))
    labels = np.array([{"a": 1}] * ROWS, dtype=object)
    assert codes(model, features(), labels, loss=LOGITS) == ["label-kind"]
