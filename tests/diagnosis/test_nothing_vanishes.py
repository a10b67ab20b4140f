"""What a model, a loss or a metric raises is in the report, of whatever kind it is."""

import functools
import pathlib

import keras
import numpy as np
import pytest
from backends import BACKEND
from keras import layers, ops
from set_ups.models import ROWS, features, ids, network, one_hot

import keras_ce
from keras_ce.diagnosis import _evaluation, _identity

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class DeviceError(Exception):
    """No kind of error that `diagnose` could know by name."""


def findings(model=None, y=None, loss=LOGITS):
    model = model or network("sequential", layers.Dense(3))
    report = keras_ce.diagnose(model, features(), ids(3) if y is None else y, loss=loss)
    return [(each.code, each.severity, each.message) for each in report.findings]


def raises(*arguments, **options):
    raise DeviceError("the device is gone")


@pytest.mark.parametrize("is_function", [False, True])
def test_a_loss_that_fails_says_what_it_raises(is_function):
    class Failing(keras.losses.Loss):
        call = raises

    loss = raises if is_function else Failing()
    ((code, severity, message),) = findings(loss=loss)
    assert (code, severity) == ("loss-fails", "error")
    assert message.endswith(
        "raises on labels (64,), outputs (64, 3): DeviceError: the device is gone"
    )


def test_a_loss_that_fails_once():
    class FailingOnce(keras.losses.Loss):
        calls = 0

        def call(self, y_true, y_pred):
            FailingOnce.calls += 1
            if FailingOnce.calls == 1:
                raise DeviceError("the device is gone")
            return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)

    ((code, _, message),) = findings(loss=FailingOnce())
    assert code == "loss-fails"
    assert message.endswith(": DeviceError: the device is gone")


def test_a_gradient_that_fails():
    @ops.custom_gradient
    def plain(values):
        def gradient(*arguments, upstream=None):
            raise DeviceError("the device is gone")

        return values, gradient

    def loss(y_true, y_pred):
        return keras.losses.sparse_categorical_crossentropy(y_true, plain(y_pred), from_logits=True)

    ((code, _, message),) = findings(loss=loss)
    assert code == "loss-fails"
    assert "the device is gone" in message
    assert "DeviceError" in message


def test_a_loss_that_fails_without_its_last_row():
    def against_all(y_true, y_pred):  # (64, 1) against (64,)
        if len(y_true) < ROWS:
            raise DeviceError("the device is gone")
        return ops.square(ops.cast(y_true, "float32")[:, 0] - y_pred)

    model = network("sequential", layers.Dense(1))
    y = np.linspace(0, 1, ROWS)[:, None]
    assert findings(model, y, loss=against_all) == [
        ("not-checked", "note", "broadcast could not be looked at: DeviceError: the device is gone")
    ]


def test_a_loss_for_one_size_of_batch_is_no_finding():
    targets = np.eye(ROWS, dtype="float32")

    def contrastive(y_true, y_pred):
        similarity = ops.matmul(y_pred, ops.transpose(y_pred))
        return ops.square(ops.subtract(similarity, targets))

    assert findings(loss=contrastive) == []


def test_a_model_that_fails_says_what_it_raises():
    class Failing(keras.Model):
        def call(self, inputs):
            if len(inputs) == ROWS:
                raise DeviceError("the device is gone")
            return inputs

    model = Failing()
    model(features()[:2])
    ((code, severity, message),) = findings(model)
    assert (code, severity) == ("model-fails", "error")
    assert message.startswith("The model does not run on the first rows: DeviceError: ")
    assert "the device is gone" in message


class Particular(keras.Model):
    """Takes only its own weights; its values are those of a softmax."""

    def __init__(self, error):
        super().__init__()
        self.head = layers.Dense(3, "softmax", kernel_initializer="zeros")
        self.error = error

    def call(self, inputs):
        found = self.head(inputs)
        if float(ops.max(ops.abs(found - 1 / 3))) > 0.01:
            raise self.error("other weights")
        return found + 0.003 * ops.convert_to_tensor(inputs)[:, :3]


def particular(error):
    model = Particular(error)
    model.head.build((None, 8))
    model.built = True
    return model


def test_a_model_that_fails_with_other_weights():
    found = findings(particular(DeviceError), one_hot(3), "categorical_crossentropy")
    ((code, severity, message),) = found
    assert (code, severity) == ("not-checked", "note")
    assert message.startswith("the outputs with other weights could not be looked at: DeviceError:")
    assert "other weights" in message


def test_a_model_that_does_not_take_other_weights_is_no_finding():
    assert findings(particular(ValueError), one_hot(3), "categorical_crossentropy") == []


def with_metric(metric):
    model = network("sequential", layers.Dense(3))
    model.compile("sgd", LOGITS, metrics=[metric])
    return model


class Undescribed(keras.metrics.Mean):
    """A metric whose config raises."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def get_config(self):
        raise self.error("the device is gone")


def test_a_metric_that_fails_to_describe_itself():
    assert findings(with_metric(Undescribed(DeviceError))) == [
        (
            "not-checked",
            "note",
            "metric findings could not be looked at: DeviceError: the device is gone",
        )
    ]


class Callable:
    """A metric without a name and without a config."""

    def __call__(self, y_true, y_pred):
        return ops.mean(y_pred, -1)


@pytest.mark.parametrize(
    "metric",
    [
        Undescribed(NotImplementedError),
        Callable(),
        Callable().__call__,
        lambda y_true, y_pred: ops.mean(y_pred, -1),
        functools.partial(keras.metrics.sparse_top_k_categorical_accuracy, k=2),
    ],
    ids=["not implemented", "callable", "method", "lambda", "partial"],
)
def test_a_metric_that_cannot_describe_itself_is_no_finding(metric):
    assert findings(with_metric(metric)) == []


def test_a_loss_that_fails_to_describe_itself():
    class Silent(keras.losses.SparseCategoricalCrossentropy):
        get_config = raises

    ((code, severity, message),) = findings(loss=Silent(from_logits=True))
    assert (code, severity) == ("not-checked", "note")
    assert message == "the outputs could not be looked at: DeviceError: the device is gone"


def test_what_keras_raises_while_a_function_is_identified(monkeypatch):
    class Failing(keras.losses.Loss):
        call = raises

    monkeypatch.setattr(_identity, "_candidates", lambda: iter([Failing()]))
    assert findings(loss=lambda y_true, y_pred: LOGITS(y_true, y_pred)) == [
        (
            "not-checked",
            "note",
            "the outputs could not be looked at: DeviceError: the device is gone",
        )
    ]


@pytest.mark.parametrize("name", ["counted", "_of_chance"])
def test_a_mistake_of_its_own_is_not_one_of_the_loss(monkeypatch, name):
    monkeypatch.setattr(_evaluation, name, raises)
    loss = keras_ce.losses.FocalCrossentropy(from_logits=True)
    assert findings(loss=loss) == [
        (
            "not-checked",
            "note",
            "the outputs could not be looked at: DeviceError: the device is gone",
        )
    ]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", "b"] * (ROWS // 2)),
        np.array([{"a": 1}] * ROWS, dtype=object),
        np.array(["2026-01-01"] * ROWS, "datetime64[D]"),
        np.arange(ROWS) % 3 + 1,
        np.arange(ROWS) % 3 - 1,
        np.eye(5, dtype="float32")[np.arange(ROWS) % 5],
        np.zeros((ROWS, 4, 3), int),
        np.arange(ROWS) % 3 + 0.5,
        np.arange(ROWS) % 2 == 0,
        np.full(ROWS, 1j),
    ],
    ids=lambda labels: f"{labels.dtype} {labels.shape[1:]} {labels.reshape(-1)[0]}",
)
def test_labels_that_fit_no_loss_are_told_apart_from_failures(labels):
    def loss(y_true, y_pred):
        return ops.mean(ops.square(y_pred), -1)

    assert "not-checked" not in [code for code, _, _ in findings(y=labels, loss=loss)]


@pytest.mark.skipif(BACKEND != "torch", reason="torch has no name of its own for what does not fit")
def test_memory_that_runs_out_on_torch_is_told_apart_from_what_does_not_fit(monkeypatch):
    import torch

    class Failing(keras.losses.Loss):
        def call(self, y_true, y_pred):
            raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(_identity, "_candidates", lambda: iter([Failing()]))
    ((code, _, message),) = findings(loss=lambda y_true, y_pred: LOGITS(y_true, y_pred))
    assert code == "not-checked"
    assert message.endswith("OutOfMemoryError: no memory")


def test_a_loss_with_a_layer_that_asks_for_values():
    # Not compiled, where Keras makes another error of JAX's own.
    class Last(layers.Layer):
        def call(self, inputs):
            return inputs * int(ops.max(inputs) > -1e9)

    last = Last()

    def loss(y_true, y_pred):
        return keras.losses.sparse_categorical_crossentropy(y_true, last(y_pred), from_logits=True)

    assert findings(loss=loss) == []


def test_two_places_catch_whatever_is_raised():
    folder = pathlib.Path(keras_ce.diagnosis.__file__).parent
    counts = {path.name: path.read_text().count("except Exception") for path in folder.glob("*.py")}
    assert {name: number for name, number in counts.items() if number} == {
        "_diagnose.py": 1,
        "_user_code.py": 1,
    }
