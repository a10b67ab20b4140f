"""Healthy set-ups, among them every loss of the package and the shapes of Keras's own examples."""

import functools
from typing import Any

import keras
import numpy as np
from keras import layers, losses, ops

import keras_ce.losses as ours
from benchmarks.diagnosis_models import (
    ROWS,
    STYLES,
    TIME,
    Case,
    TwoHeads,
    compiled,
    features,
    ids,
    multi_hot,
    network,
    one_hot,
)
from keras_ce.layers import OrdinalLogits
from recipes.text_classifier import build_text_classifier

HEALTHY: list[Case] = []


def healthy(make: Any) -> Any:
    """Add a case; the docstring says what it is."""
    HEALTHY.append(Case(make.__doc__.rstrip("."), None, make))
    return make


def add(name: str, make: Any) -> None:
    """Add a case under a name."""
    HEALTHY.append(Case(name, None, make))


def arguments(model: Any, loss: Any, y: Any, x: Any = None, **options: Any) -> dict[str, Any]:
    """The arguments of `diagnose` for a model that is compiled here."""
    weight = options.pop("sample_weight", None)
    found = {"model": compiled(model, loss, **options), "x": features() if x is None else x, "y": y}
    return found if weight is None else {**found, "sample_weight": weight}


# --- each style with each way to say the same ---

for style in STYLES:
    add(
        f"softmax and ids, {style}",
        lambda style=style: arguments(
            network(style, layers.Dense(3, "softmax")),
            "sparse_categorical_crossentropy",
            ids(3),
            metrics=["accuracy"],
        ),
    )
    add(
        f"logits and one-hot rows, {style}",
        lambda style=style: arguments(
            network(style, layers.Dense(3)),
            losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
            one_hot(3),
        ),
    )
    add(
        f"sigmoid and (batch,) labels, {style}",
        lambda style=style: arguments(
            network(style, layers.Dense(1, "sigmoid")),
            "binary_crossentropy",
            ids(2),
            metrics=["accuracy"],
        ),
    )
    add(
        f"binary logits, threshold 0, {style}",
        lambda style=style: arguments(
            network(style, layers.Dense(1)),
            losses.BinaryCrossentropy(from_logits=True),
            ids(2, 1),
            metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
        ),
    )
    add(
        f"several labels, {style}",
        lambda style=style: arguments(
            network(style, layers.Dense(4, "sigmoid")), "bce", multi_hot(4)
        ),
    )
    add(
        f"regression, {style}",
        lambda style=style: arguments(
            network(style, layers.Dense(1)), "mse", features(1)[:, 0], metrics=["mae"]
        ),
    )

# --- every loss of the package ---

OF_OURS = {
    "AsymmetricSigmoidCrossentropy": ({"from_logits": True}, 4, lambda: multi_hot(4)),
    "DistillationCrossentropy": ({}, 3, lambda: features(3)),
    "FocalCrossentropy": ({"from_logits": True}, 3, lambda: ids(3)),
    "GeneralizedCrossentropy": ({"from_logits": True}, 3, lambda: one_hot(3)),
    "GroupedSoftmaxCrossentropy": (
        {"group_sizes": [3, 2], "from_logits": True},
        5,
        lambda: np.concatenate([one_hot(3), one_hot(2)], -1),
    ),
    "LabelSmoothedCrossentropy": ({"from_logits": True}, 3, lambda: ids(3)),
    "ListwiseCrossentropy": ({}, 4, lambda: ids(4, 4)),
    "LogitAdjustedCrossentropy": ({"class_prior": [3, 2, 1]}, 3, lambda: ids(3)),
    "MarginRanking": ({}, 2, lambda: np.zeros(ROWS, "int32")),
    "MultiLabelSoftmaxCrossentropy": ({}, 4, lambda: multi_hot(4)),
    "OrdinalCrossentropy": ({}, 2, lambda: ids(3)),
    "Poly1Crossentropy": ({"from_logits": True}, 3, lambda: ids(3)),
    "SymmetricCrossentropy": ({"from_logits": True}, 3, lambda: ids(3)),
    "WeightedSigmoidCrossentropy": (
        {"pos_weight": 2.0, "from_logits": True},
        4,
        lambda: multi_hot(4),
    ),
}
for name, (options, units, labels) in OF_OURS.items():
    add(
        name,
        lambda name=name, options=options, units=units, labels=labels: arguments(
            network("sequential", layers.Dense(units)), getattr(ours, name)(**options), labels()
        ),
    )


@healthy
def ordinal_logits() -> Any:
    """OrdinalCrossentropy of two classes, one threshold, labels with a trailing axis."""
    return arguments(network("functional", OrdinalLogits(2)), ours.OrdinalCrossentropy(), ids(2, 1))


@healthy
def distillation_of_logits() -> Any:
    """DistillationCrossentropy of a teacher that rules a class out."""
    teacher = features(3) * 3
    teacher[::5, 1] = -np.inf
    return arguments(
        network("subclassed", layers.Dense(3)), ours.DistillationCrossentropy(4.0), teacher
    )


@healthy
def graded_lists() -> Any:
    """MarginRanking weighted by NDCG, lists padded with -1."""
    grades = np.where(ids(4, 4) == 3, -1, ids(4, 4))
    loss = ours.MarginRanking(0.5, "ndcg", ignore_label=-1)
    return arguments(network("sequential", layers.Dense(4)), loss, grades)


@healthy
def listwise_of_sigmoids() -> Any:
    """ListwiseCrossentropy of scores from 0 to 1, spread by a temperature."""
    return arguments(
        network("sequential", layers.Dense(4, "sigmoid")),
        ours.ListwiseCrossentropy(0.1),
        ids(4, 4),
    )


@healthy
def in_batch() -> Any:
    """InBatchCrossentropy of two encoders."""
    question, answer = keras.Input((8,)), keras.Input((8,))
    encoders = [layers.UnitNormalization()(layers.Dense(4)(each)) for each in (question, answer)]
    similarities = ops.matmul(encoders[0], ops.transpose(encoders[1]))
    return arguments(
        keras.Model([question, answer], similarities),
        ours.InBatchCrossentropy(0.5),
        np.arange(ROWS),
        [features(), features() + 0.1],
    )


for mining in ("all", "semi-hard", "hard"):
    add(
        f"TripletMargin, {mining}",
        lambda mining=mining: arguments(
            network("functional", layers.Dense(4), layers.UnitNormalization()),
            ours.TripletMargin(mining=mining),
            ids(5),
        ),
    )


@healthy
def contrastive() -> Any:
    """SupervisedContrastive with a label of its own for some rows."""
    labels = ids(4)
    labels[::9] = 100 + np.arange(len(labels[::9]))
    return arguments(
        network("sequential", layers.Dense(4)), ours.SupervisedContrastive(), labels[:, None]
    )


@healthy
def small_embeddings() -> Any:
    """Embeddings far from 0 and closer together than the margin, as at a start."""
    bias = keras.initializers.Constant(3.0)
    return arguments(
        network("subclassed", layers.Dense(4, bias_initializer=bias)),
        ours.TripletMargin(5.0, "all"),
        ids(3),
    )


@healthy
def ours_on_probabilities() -> Any:
    """Our loss on a softmax, with class weights for labels out of balance."""
    return arguments(
        network("sequential", layers.Dense(3, "softmax")),
        ours.LabelSmoothedCrossentropy(class_weight=[0.4, 3.0, 3.0]),
        np.where(np.arange(ROWS) < 56, 0, np.arange(ROWS) % 2 + 1),
    )


@healthy
def grouped_probabilities() -> Any:
    """A softmax inside each group, and a grouped loss of probabilities."""
    tail = [layers.Dense(6), layers.Reshape((2, 3)), layers.Softmax(), layers.Flatten()]
    return arguments(
        network("functional", *tail), ours.GroupedSoftmaxCrossentropy([3, 3]), ids(3, 2)
    )


@healthy
def ours_ignores_what_does_not_count() -> Any:
    """Our loss, with labels out of range and NaN where the weight is 0."""
    counts = np.arange(ROWS) % 4 > 0
    return arguments(
        network("sequential", layers.Dense(3)),
        ours.LabelSmoothedCrossentropy(from_logits=True),
        np.where(counts, ids(3), 99.0),
        sample_weight=counts.astype("float32"),
    )


@healthy
def our_row_weights_for_a_sequence() -> Any:
    """Our loss, with one weight per row of a sequence."""
    return arguments(
        network("sequential", layers.Dense(3), shape=(TIME, 4)),
        ours.LabelSmoothedCrossentropy(from_logits=True),
        ids(3, TIME),
        features(TIME, 4),
        sample_weight=np.linspace(0.5, 1.5, ROWS),
    )


# --- the shapes of Keras's own examples ---


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

    class WithOwnLoss(layers.Layer):
        """Adds the mean square of its inputs."""

        def call(self, inputs: Any) -> Any:
            self.add_loss(ops.mean(ops.square(inputs)))
            return inputs

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
