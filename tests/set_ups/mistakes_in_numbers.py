"""Embeddings, inputs, weights and losses whose numbers stop the training."""

from typing import Any

import keras
import numpy as np
from keras import layers, losses, ops
from set_ups.mistakes import dense, mistake, model, operation, sparse, three
from set_ups.models import ROWS, features, ids, network, one_hot, scaled

import keras_ce.losses as ours


class InBatches(keras.utils.PyDataset):
    """Batches of eight rows, each of them of another label."""

    def __len__(self) -> int:
        return ROWS // 8

    def __getitem__(self, index: int) -> Any:
        """One batch."""
        return features()[index * 8 : index * 8 + 8], np.arange(8)


mistake(
    "embeddings that have collapsed",
    "collapse",
    model("sequential", dense(4, kernel_initializer="zeros", bias_initializer="ones")),
    three,
    lambda: ours.TripletMargin(),
)
mistake(
    "embeddings that all point one way",
    "collapse",
    model("functional", dense(4, kernel_initializer=keras.initializers.RandomUniform(-1e-4, 1e-4))),
    three,
    lambda: ours.TripletMargin(0.5, "hard", "squared"),
)
mistake(
    "directions that hardly differ",
    "collapse",
    model("subclassed", dense(4, bias_initializer=keras.initializers.Constant(900.0))),
    three,
    lambda: ours.SupervisedContrastive(),
)
mistake(
    "a label for each row",
    "without-positives",
    model("sequential", dense(4)),
    lambda: np.arange(ROWS),
    lambda: ours.SupervisedContrastive(),
)
mistake(
    "batches of a row of each label",
    "without-positives",
    model("functional", dense(4)),
    lambda: None,
    lambda: ours.TripletMargin(),
    x=InBatches,
)
mistake(
    "labels too many for a batch",
    "without-positives",
    model("sequential", dense(4)),
    lambda: np.arange(512) // 2,
    lambda: ours.SupervisedContrastive(),
    x=lambda: np.tile(features(), (8, 1)) + np.arange(512)[:, None] / 512,
)
mistake(
    "one label for all embeddings",
    "constant-labels",
    model("sequential", dense(4)),
    lambda: np.ones(ROWS, int),
    lambda: ours.TripletMargin(),
)

# --- numbers ---


def with_nan(array: Any) -> Any:
    """The array with one NaN."""
    array = np.array(array, "float32")
    array[7, ...] = np.nan
    return array


def with_broken_weights() -> keras.Model:
    """A model after a training that ended in NaN."""
    made = network("sequential", layers.Dense(3))
    made.layers[0].bias.assign(np.full(6, np.nan, "float32"))
    return made


mistake(
    "NaN in the inputs",
    "non-finite",
    model("sequential", dense(3)),
    three,
    sparse(from_logits=True),
    x=lambda: with_nan(features()),
)
mistake(
    "NaN in the targets",
    "non-finite",
    model("sequential", dense(1)),
    lambda: with_nan(features(1)),
    lambda: "mse",
)
mistake(
    "NaN in the weights of the model",
    "non-finite",
    with_broken_weights,
    three,
    sparse(from_logits=True),
)
mistake(
    "infinity in sample_weight",
    "non-finite",
    model("sequential", dense(3)),
    three,
    sparse(from_logits=True),
    sample_weight=lambda: np.where(np.arange(ROWS) == 3, np.inf, 1.0),
)
mistake(
    "the logarithm of 0 in the model",
    "non-finite",
    model("functional", operation(ops.log), dense(3)),
    three,
    sparse(from_logits=True),
)
mistake(
    "a loss of one's own takes the logarithm of logits",
    "non-finite",
    model("sequential", dense(3)),
    lambda: one_hot(3),
    lambda: lambda y_true, y_pred: -ops.sum(y_true * ops.log(y_pred), axis=-1),
)
mistake(
    "saturated probabilities",
    "dead-gradient",
    # Times 1: TensorFlow looks through a bare softmax.
    lambda: scaled(network("subclassed", layers.Dense(3), lambda z: ops.softmax(z) * 1), 200),
    three,
    sparse(),
)
mistake(
    "saturated focal loss of logits",
    "dead-gradient",
    lambda: scaled(network("sequential", layers.Dense(3)), 1000),
    lambda: one_hot(3),
    lambda: losses.CategoricalFocalCrossentropy(from_logits=True),
)
mistake(
    "inputs of 0 to 25,500",
    "initial-loss",
    model("sequential", dense(3)),
    three,
    sparse(from_logits=True),
    x=lambda: np.abs(features()) * 10_000,
)
mistake(
    "groups that begin far off",
    "initial-loss",
    lambda: scaled(network("functional", layers.Dense(6)), 100),
    lambda: ids(3, 2),
    lambda: ours.GroupedSoftmaxCrossentropy([3, 3], from_logits=True),
)
mistake(
    "inputs that are multiplied by 0",
    "constant-output",
    model("functional", operation(lambda each: each * 0.0), dense(3)),
    three,
    sparse(from_logits=True),
)
