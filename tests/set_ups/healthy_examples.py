"""Healthy set-ups of the shapes of Keras's own examples."""

import functools
from typing import Any

import keras
import numpy as np
from keras import layers, losses, ops
from set_ups.healthy import arguments, healthy
from set_ups.models import (
    ROWS,
    TIME,
    TwoHeads,
    WithOwnLoss,
    features,
    ids,
    multi_hot,
    network,
    one_hot,
)

import keras_ce.losses as ours
from recipes.text_classifier import build_text_classifier


@healthy
def images() -> Any:
    """Keras's MNIST convnet: pixels from 0 to 1, one-hot rows, softmax."""
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    pixels = np.random.default_rng(5).uniform(0, 1, (ROWS, 12, 12, 1))
    return arguments(model, "categorical_crossentropy", one_hot(10), pixels, metrics=["accuracy"])


@healthy
def reviews() -> Any:
    """Keras's IMDB reviews: token ids, a recurrent layer, one sigmoid."""
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(20, 8),
            layers.Bidirectional(layers.LSTM(3)),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    return arguments(model, "binary_crossentropy", ids(2), ids(20, TIME), metrics=["accuracy"])


@healthy
def segmentation() -> Any:
    """Keras's segmentation of pets: a class for each pixel."""
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, activation="relu", padding="same"),
            layers.Conv2D(3, 1),
        ]
    )
    # Not a softmax: on torch, Keras 3.15 cannot train one of four dimensions with this loss.
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    return arguments(model, loss, ids(3, 6, 6, 1), features(6, 6, 3))


@healthy
def ignored_pixels() -> Any:
    """A segmentation with 255 and ignore_class."""
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(3, 3, padding="same")])
    return arguments(
        model,
        losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
        np.where(ids(7, 6, 6) == 6, 255, ids(3, 6, 6)),
        features(6, 6, 3),
    )


@healthy
def autoencoder() -> Any:
    """Keras's autoencoder: the pixels themselves are the labels of a sigmoid."""
    pixels = np.random.default_rng(5).uniform(0, 1, (ROWS, 8)).astype("float32")
    return arguments(network("functional", layers.Dense(8, "sigmoid")), "bce", pixels, pixels)


@healthy
def binary_autoencoder() -> Any:
    """An autoencoder of binary pixels, one of which is always 0."""
    pixels = multi_hot(8)
    pixels[:, 3] = 0
    return arguments(network("functional", layers.Dense(8, "sigmoid")), "bce", pixels, pixels)


@healthy
def text_generation() -> Any:
    """A language model: logits at each step, rare tokens among the labels."""
    model = keras.Sequential(
        [
            keras.Input((TIME,), dtype="int32"),
            layers.Embedding(30, 8),
            layers.GRU(5, return_sequences=True),
            layers.Dense(30),
        ]
    )
    tokens = np.random.default_rng(6).zipf(1.5, (ROWS, TIME + 1)).clip(1, 29)
    return arguments(
        model,
        losses.SparseCategoricalCrossentropy(from_logits=True),
        tokens[:, 1:],
        tokens[:, :-1],
        metrics=["accuracy"],
    )


@healthy
def padded_tags() -> Any:
    """Tags for each token, with a Keras mask over the padding."""
    model = keras.Sequential(
        [
            keras.Input((TIME,), dtype="int32"),
            layers.Embedding(20, 8, mask_zero=True),
            layers.Dense(4, activation="softmax"),
        ]
    )
    tokens = ids(19, TIME) + 1
    tokens[:, -2:] = 0
    return arguments(
        model, "sparse_categorical_crossentropy", np.where(tokens > 0, ids(4, TIME), 0), tokens
    )


@healthy
def time_series() -> Any:
    """Keras's time series: one number ahead, mean absolute error."""
    model = keras.Sequential([keras.Input((TIME, 2)), layers.LSTM(3), layers.Dense(1)])
    return arguments(model, "mae", features(1), features(TIME, 2))


@healthy
def step_weights() -> Any:
    """A sequence with one weight for each step."""
    return arguments(
        network("sequential", layers.Dense(3), shape=(TIME, 4)),
        losses.SparseCategoricalCrossentropy(from_logits=True),
        ids(3, TIME),
        features(TIME, 4),
        sample_weight=np.random.default_rng(4).uniform(size=(ROWS, TIME)),
    )


@healthy
def tickets() -> Any:
    """Keras's customer tickets: a dict of inputs, a dict of labels, a dict of losses."""
    title, tags = keras.Input((8,), name="title"), keras.Input((3,), name="tags")
    hidden = layers.concatenate([layers.Dense(4, "relu")(title), tags])
    outputs = [
        layers.Dense(1, name="priority")(hidden),
        layers.Dense(4, name="department")(hidden),
    ]
    return arguments(
        keras.Model([title, tags], outputs),
        {
            "priority": losses.BinaryCrossentropy(from_logits=True),
            "department": losses.CategoricalCrossentropy(from_logits=True),
        },
        {"priority": ids(2, 1), "department": one_hot(4)},
        {"title": features(), "tags": multi_hot(3)},
        loss_weights={"priority": 1.0, "department": 0.2},
        metrics={"department": ["accuracy"]},
    )


@healthy
def dict_outputs() -> Any:
    """A subclassed model with a dict of outputs."""
    model = TwoHeads(layers.Dense(3, "softmax"), layers.Dense(1))
    model(features())
    labels = {"first": ids(3), "second": features(1)}
    return arguments(model, {"first": "sparse_categorical_crossentropy", "second": "mse"}, labels)


@healthy
def one_of_two_losses() -> Any:
    """Two outputs, one of them without a loss."""
    model = TwoHeads(layers.Dense(3, "softmax"), layers.Dense(1))
    model(features())
    loss = {"first": "sparse_categorical_crossentropy"}
    return arguments(model, loss, {"first": ids(3), "second": features(1)})


@healthy
def same_loss_twice() -> Any:
    """One loss for a list of outputs."""
    inputs = keras.Input((8,))
    outputs = [layers.Dense(3, "softmax", name=name)(inputs) for name in ("left", "right")]
    return arguments(
        keras.Model(inputs, outputs), "sparse_categorical_crossentropy", [ids(3), ids(3)[::-1]]
    )


@healthy
def pairs() -> Any:
    """Keras's siamese network: a contrastive loss written as a function."""

    def contrastive(y_true: Any, y_pred: Any) -> Any:
        near = y_true * ops.square(y_pred)
        far = (1 - y_true) * ops.square(ops.maximum(1 - y_pred, 0))
        return ops.mean(near + far, axis=-1)

    left, right = keras.Input((8,)), keras.Input((8,))
    encoder = keras.Sequential([keras.Input((8,)), layers.Dense(4)])
    distance = ops.sqrt(
        ops.sum(ops.square(encoder(left) - encoder(right)), axis=-1, keepdims=True) + 1e-6
    )
    return arguments(
        keras.Model([left, right], distance),
        contrastive,
        ids(2, 1).astype("float32"),
        [features(), features()[::-1]],
    )


@healthy
def scalar_loss() -> Any:
    """A loss that returns one number, without sample_weight."""
    return arguments(
        network("functional", layers.Dense(1)),
        lambda y_true, y_pred: ops.mean(ops.square(y_true - y_pred)),
        features(1),
    )


@healthy
def distillation() -> Any:
    """A teacher's probabilities as labels of a divergence."""
    teacher = np.random.default_rng(8).dirichlet(np.ones(3), ROWS).astype("float32")
    return arguments(network("subclassed", layers.Dense(3, "softmax")), "kl_divergence", teacher)


@healthy
def mixup() -> Any:
    """Labels mixed of two classes."""
    share = np.random.default_rng(8).uniform(size=(ROWS, 1)).astype("float32")
    mixed = share * one_hot(3) + (1 - share) * one_hot(3)[::-1]
    return arguments(
        network("functional", layers.Dense(3)),
        losses.CategoricalCrossentropy(from_logits=True),
        mixed,
    )


@healthy
def discriminator() -> Any:
    """The discriminator of a GAN, on logits."""
    return arguments(
        network("sequential", layers.Dense(1)),
        losses.BinaryCrossentropy(from_logits=True),
        ids(2, 1) * 0.9,
    )


@healthy
def hinge() -> Any:
    """Labels of -1 and 1 for a hinge loss."""
    return arguments(network("sequential", layers.Dense(1)), "hinge", ids(2, 1) * 2 - 1)


@healthy
def counts() -> Any:
    """Counts and a Poisson loss."""
    model = network("sequential", layers.Dense(1, "softplus"))
    return arguments(model, "poisson", ids(4, 1).astype("float32"))


@healthy
def overlap() -> Any:
    """Masks and a Dice loss."""
    model = keras.Sequential(
        [keras.Input((6, 6, 3)), layers.Conv2D(1, 3, activation="sigmoid", padding="same")]
    )
    return arguments(model, losses.Dice(), ids(2, 6, 6, 1).astype("float32"), features(6, 6, 3))


@healthy
def speech() -> Any:
    """Keras's speech recognition: logits and CTC."""
    model = network("sequential", layers.Dense(6), shape=(10, 4))
    return arguments(model, losses.CTC(), ids(5, 3) + 1, features(10, 4))


@healthy
def averaged_models() -> Any:
    """An ensemble: the average of two softmaxes."""
    inputs = keras.Input((8,))
    average = layers.average([layers.Dense(3, "softmax")(inputs) for _ in range(2)])
    return arguments(keras.Model(inputs, average), "sparse_categorical_crossentropy", ids(3))


@healthy
def nested() -> Any:
    """A frozen model inside another, a new head on top."""
    body = network("functional", layers.Dense(5, "relu"))
    body.trainable = False
    inputs = keras.Input((8,))
    return arguments(
        keras.Model(inputs, layers.Dense(3, "softmax")(body(inputs))),
        "sparse_categorical_crossentropy",
        ids(3),
    )


@healthy
def zero_head() -> Any:
    """A last layer that begins with zeros."""
    head = layers.Dense(3, kernel_initializer="zeros")
    return arguments(
        network("sequential", head),
        losses.SparseCategoricalCrossentropy(from_logits=True),
        ids(3),
    )


@healthy
def mixed_precision() -> Any:
    """bfloat16 inside, a softmax in float32 at the end."""
    model = network(
        "sequential",
        layers.Dense(3, dtype="mixed_bfloat16"),
        layers.Activation("softmax", dtype="float32"),
    )
    return arguments(model, "sparse_categorical_crossentropy", ids(3))


@healthy
def partial_function() -> Any:
    """A partial of Keras's function."""
    loss = functools.partial(losses.sparse_categorical_crossentropy, from_logits=True)
    return arguments(network("sequential", layers.Dense(3)), loss, ids(3))


@healthy
def function_around_keras() -> Any:
    """A lambda around Keras's function."""
    return arguments(
        network("sequential", layers.Dense(3)),
        lambda y_true, y_pred: losses.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=True
        ),
        ids(3),
    )


@healthy
def chosen_by_keras() -> Any:
    """The loss "crossentropy", which Keras chooses by the shapes."""
    return arguments(network("sequential", layers.Dense(3, "softmax")), "crossentropy", one_hot(3))


@healthy
def channels_first() -> Any:
    """Classes on axis 1."""
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(3, 3, padding="same"),
            layers.Permute((3, 1, 2)),
            layers.Softmax(axis=1),
        ]
    )
    rows = np.moveaxis(one_hot(3, 6, 6), -1, 1)
    return arguments(model, losses.CategoricalCrossentropy(axis=1), rows, features(6, 6, 3))


@healthy
def no_loss() -> Any:
    """A model that adds its own loss, compiled without one."""
    return arguments(network("functional", layers.Dense(3), WithOwnLoss()), None, None)


@healthy
def text_classifier() -> Any:
    """The recipe of the text classifier."""
    return arguments(
        build_text_classifier(20, 3, embedding_dim=8, units=4),
        ours.LabelSmoothedCrossentropy(0.1, from_logits=True),
        ids(3),
        ids(19, TIME) + 1,
        metrics=["accuracy"],
    )
