"""`Watch` names the planted row, its argument and the layer, and stays silent else."""

import json

import keras
import numpy as np
import pytest
from backends import QUICK
from keras import layers, ops

import keras_ce

ROWS = 96
X = np.random.default_rng(0).normal(size=(ROWS, 4)).astype("float32")
Y = X[:, :1] * 2


def network(*tail):
    keras.utils.set_random_seed(0)
    hidden = layers.Dense(4, "tanh", name="hidden")
    return keras.Sequential([keras.Input((4,)), hidden, *tail, layers.Dense(1, name="score")])


def fit(model, x, y, watch, loss="mse", **options):
    optimizer = options.pop("optimizer", "sgd")
    model.compile(optimizer, loss, **QUICK)
    fitted = {"epochs": 3, "batch_size": 32, "shuffle": False, "verbose": 0, **options}
    return model.fit(x, y, callbacks=[watch], **fitted)


def planted(array, row):
    array = array.copy()
    array[row, -1] = np.nan
    return array


@pytest.mark.parametrize("argument", ["input", "label", "sample_weight"])
def test_a_row_with_a_nan_is_named_and_saved(argument, tmp_path, capsys):
    x = planted(X, 41) if argument == "input" else X
    y = planted(Y, 41) if argument == "label" else Y
    weight = np.ones(ROWS, "float32")
    if argument == "sample_weight":
        weight[41] = np.inf
    watch = keras_ce.Watch(x, y, weight, folder=tmp_path / "found")
    history = fit(network(), x, y, watch, sample_weight=weight)
    assert len(history.history["loss"]) == 1  # stopped
    (finding,) = watch.findings
    assert (finding.row, finding.argument) == (41, argument)
    assert finding.layer == ("hidden" if argument == "input" else "")
    assert not np.isfinite(finding.loss)
    printed = capsys.readouterr().out
    assert printed.startswith("In epoch 1 the loss became ")
    assert f"row 41, {argument}: not finite at place" in printed
    saved = np.load(tmp_path / "found" / "rows.npz")
    np.testing.assert_array_equal(saved["x"], x[41:42])
    np.testing.assert_array_equal(saved["y"], y[41:42])
    np.testing.assert_array_equal(saved["sample_weight"], weight[41:42])
    assert saved["rows"].tolist() == [41]
    (told,) = json.loads((tmp_path / "found" / "rows.json").read_text(encoding="utf-8"))
    assert (told["row"], told["argument"]) == (41, argument)


def test_a_number_that_arises_in_a_layer():
    class Logarithm(layers.Layer):
        def call(self, inputs):
            return ops.log(inputs + 5.0)

    x = X.copy()
    x[70, 0] = -9.0
    model = keras.Sequential([keras.Input((4,)), Logarithm(name="log"), layers.Dense(1)])
    watch = keras_ce.Watch(x, Y)
    fit(model, x, Y, watch)
    (finding,) = watch.findings
    assert (finding.row, finding.argument, finding.layer) == (70, "model", "log")
    assert "call" not in vars(model.layers[0])


def test_a_label_that_a_loss_of_ours_refuses():
    labels = np.arange(ROWS) % 3
    labels[50] = 7
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    watch = keras_ce.Watch(X, labels)
    loss = keras_ce.losses.LabelSmoothedCrossentropy(from_logits=True)
    with keras_ce.value_checks(False):  # as in compiled code
        fit(model, X, labels, watch, loss)
    (finding,) = watch.findings
    assert (finding.row, finding.argument) == (50, "label")
    assert "does not take 7" in finding.message


def test_a_jump_names_the_row_and_goes_on():
    y = Y.copy()
    y[40] = 300.0
    watch = keras_ce.Watch(X, y)
    # Small steps: what is far off comes in the second batch of an epoch.
    sgd = keras.optimizers.SGD(1e-6)
    history = fit(network(), X, y, watch, optimizer=sgd, batch_size=2)
    assert len(history.history["loss"]) == 3
    assert {finding.row for finding in watch.findings} == {40}
    assert "the loss of a step jumped to" in watch.message


def test_steps_that_lead_there_by_themselves():
    watch = keras_ce.Watch(X, Y)
    sgd = keras.optimizers.SGD(1e30)
    history = fit(network(), X, Y, watch, optimizer=sgd)
    assert watch.findings == []
    assert "no row is to blame" in watch.message
    assert len(history.history["loss"]) == 1


def test_a_nan_that_a_relu_hides(capsys):
    """The loss stays finite, and the weights are lost: seen at the end of the epoch."""

    x = planted(X, 41)
    model = network()
    watch = keras_ce.Watch(x, Y)

    class BreaksTheWeights(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            kernel = self.model.layers[0].kernel
            kernel.assign(np.full(kernel.shape, np.nan))

    model.compile("sgd", "mse", **QUICK)
    # Clean rows are trained on: the loss is finite, as behind such a ReLU.
    model.fit(X, Y, epochs=3, verbose=0, shuffle=False, callbacks=[BreaksTheWeights(), watch])
    assert [(each.row, each.argument) for each in watch.findings] == [(41, "input")]
    assert "In epoch 1 the weights became nan" in capsys.readouterr().out


def test_silence_and_the_same_weights_where_all_is_well(capsys):
    watch = keras_ce.Watch(X, Y)
    watched, plain = network(), network()
    fit(watched, X, Y, watch)
    fit(plain, X, Y, keras.callbacks.Callback())
    for one, other in zip(watched.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert watch.findings == []
    assert capsys.readouterr().out == ""


class InBatches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(index * 32, index * 32 + 32)
        return {"left": planted(X, 41)[rows]}, Y[rows]


def test_a_dataset_of_named_inputs():
    inputs = {"left": keras.Input((4,), name="left")}
    model = keras.Model(inputs, layers.Dense(1)(inputs["left"]))
    watch = keras_ce.Watch(InBatches())
    fit(model, InBatches(), None, watch, batch_size=None)
    (finding,) = watch.findings
    assert (finding.row, finding.argument) == (41, "input 'left'")


def test_what_can_be_read_once_only():
    with pytest.raises(ValueError, match="give its batches again.*Received: generator"):
        keras_ce.Watch(each for each in [(X, Y)])
