"""`row_losses` against the definitions in NumPy, and against `evaluate`."""

import keras
import numpy as np
import pytest
from keras import layers
from set_ups.models import TwoHeads

import keras_ce
import keras_ce.losses as ours

LOGITS = np.array([[2.0, 0.0, -1.0], [0.0, 3.0, 1.0], [0.5, 0.4, 0.0]], "float32")
IDS = np.array([0, 2, 1])


def identity(loss, shape=(3,), activation="linear"):
    model = keras.Sequential([keras.Input(shape), layers.Activation(activation)])
    model.compile("sgd", loss)
    return model


def softmax(z):
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def test_softmax_from_logits():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rows = keras_ce.row_losses(identity(loss), LOGITS, IDS, sample_weight=np.array([1, 2, 0.5]))
    p = softmax(LOGITS.astype("float64"))
    right = p[range(3), IDS]
    np.testing.assert_allclose(rows.loss, -np.log(right) * [1, 2, 0.5], rtol=1e-5)
    best_other = [p[0, 1], p[1, 1], p[2, 0]]
    np.testing.assert_allclose(rows.margin, right - best_other, rtol=1e-5)
    np.testing.assert_allclose(rows.entropy, -(p * np.log(p)).sum(1), rtol=1e-5)
    assert rows.is_right.tolist() == [True, False, False]
    assert rows.order.tolist() == [1, 2, 0]
    assert len(rows) == 3


def test_a_table_has_the_hardest_first():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rows = keras_ce.row_losses(identity(loss), np.tile(LOGITS, (8, 1)), np.tile(IDS, 8))
    lines = str(rows).splitlines()
    assert lines[0].split() == ["row", "loss", "margin", "entropy", "is_right"]
    assert lines[1].split()[0] == "1"
    assert lines[-1] == "... and 4 easier rows"
    assert len(lines) == 22
    assert "<td>1</td><td>2.17</td>" in rows._repr_html_()


def test_one_unit_and_several_labels():
    binary = identity(keras.losses.BinaryCrossentropy(from_logits=True), (1,))
    rows = keras_ce.row_losses(binary, LOGITS[:, :1], np.array([1, 0, 0]))
    yes = 1 / (1 + np.exp(-LOGITS[:, 0]))
    np.testing.assert_allclose(rows.margin, [2 * yes[0] - 1, 1 - 2 * yes[1], 1 - 2 * yes[2]], 1e-5)
    assert rows.is_right.tolist() == [True, True, False]
    several = identity(ours.WeightedSigmoidCrossentropy(from_logits=True, ignore_label=-1))
    labels = np.array([[1, 1, 0], [-1, 1, 1], [0, 0, 0]], "float32")
    rows = keras_ce.row_losses(several, LOGITS, labels)
    signs = np.where(labels > 0, 1, -1) * np.tanh(LOGITS / 2)
    signs[1, 0] = 1
    np.testing.assert_allclose(rows.margin, signs.min(1), atol=1e-6)
    assert rows.is_right.tolist() == [False, True, False]


def test_groups_positions_and_other_losses():
    grouped = identity(ours.GroupedSoftmaxCrossentropy([2, 2], from_logits=True), (4,))
    z = np.array([[1, 0, 0, 2], [0, 1, 3, 0]], "float32")
    rows = keras_ce.row_losses(grouped, z, np.array([[0, 1], [0, 0]]))
    assert rows.is_right.tolist() == [True, False]
    np.testing.assert_allclose(rows.margin, [np.tanh(0.5), -np.tanh(0.5)], rtol=1e-5)
    steps = identity(ours.LabelSmoothedCrossentropy(0.0, from_logits=True, ignore_class=-1), (3, 3))
    labels = np.array([[0, 2, 1], [0, -1, -1], [-1, -1, -1]])
    rows = keras_ce.row_losses(steps, np.stack([LOGITS] * 3), labels)
    assert rows.is_right.tolist() == [False, True, False]
    assert np.isnan(rows.margin[2])
    squares = keras_ce.row_losses(identity("mse"), LOGITS, LOGITS + 2)
    np.testing.assert_allclose(squares.loss, 4, rtol=1e-5)
    assert squares.margin is squares.entropy is squares.is_right is None
    assert str(squares).splitlines()[0].split() == ["row", "loss"]


def test_a_label_that_is_refused_is_the_hardest():
    model = identity(ours.LabelSmoothedCrossentropy(from_logits=True))
    rows = keras_ce.row_losses(model, LOGITS, np.array([0, 1, 3]))
    assert np.isnan(rows.loss).tolist() == [False, False, True]
    assert rows.order[0] == 2


class InBatches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return LOGITS[index : index + 1], IDS[index : index + 1]


def test_more_rows_than_one_piece_and_a_dataset():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = identity(loss)
    x, y = np.tile(LOGITS, (100, 1)), np.tile(IDS, 100)
    rows = keras_ce.row_losses(model, x, y)
    np.testing.assert_allclose(rows.loss.mean(), model.evaluate(x, y, verbose=0), rtol=1e-5)
    of_dataset = keras_ce.row_losses(model, InBatches())
    np.testing.assert_allclose(of_dataset.loss, rows.loss[:3], rtol=1e-6)


def test_bad_input():
    model = identity("mse")
    with pytest.raises(TypeError, match="must be a `keras.Model`"):
        keras_ce.row_losses("model", LOGITS, LOGITS)
    with pytest.raises(ValueError, match="`y` is missing"):
        keras_ce.row_losses(model, LOGITS)
    with pytest.raises(ValueError, match="same number of rows"):
        keras_ce.row_losses(model, LOGITS, LOGITS[:2])
    two = TwoHeads(layers.Dense(1), layers.Dense(1))
    two(LOGITS)
    with pytest.raises(ValueError, match="one output with a loss. Received: .'first', 'second'."):
        keras_ce.row_losses(two, LOGITS, {"first": IDS, "second": IDS}, loss="mse")
