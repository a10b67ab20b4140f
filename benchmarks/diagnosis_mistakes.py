"""Deliberate mistakes, each with the code of the finding that must name it."""

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
    scaled,
)

MISTAKES: list[Case] = []


def mistake(name: str, code: str, model: Any, y: Any, loss: Any, **options: Any) -> None:
    """Add a case: `model` and `y` are functions; `options` are further arguments.

    Args:
        name: what the case is.
        code: the finding that must be there.
        model: makes the model.
        y: makes the labels.
        loss: makes the loss.
        **options: `x` and `sample_weight` as functions; `metrics` for `compile`.
    """

    def make() -> dict[str, Any]:
        metrics = {"metrics": options["metrics"]} if "metrics" in options else {}
        found = {
            "model": compiled(model(), loss(), **metrics),
            "x": options.get("x", features)(),
            "y": y(),
        }
        if "sample_weight" in options:
            found["sample_weight"] = options["sample_weight"]()
        return found

    MISTAKES.append(Case(name, code, make))


def model(style: str, *tail: Any, **options: Any) -> Any:
    """A function that makes a network whose layers are made anew by functions in `tail`."""
    return lambda: network(style, *(each() for each in tail), **options)


def dense(units: int, activation: str | None = None, **options: Any) -> Any:
    """A function that makes a Dense layer."""
    return lambda: layers.Dense(units, activation, **options)


def operation(function: Any) -> Any:
    """A function that returns a function of tensors."""
    return lambda: function


def sparse(**options: Any) -> Any:
    """Makes Keras's sparse cross-entropy."""
    return lambda: losses.SparseCategoricalCrossentropy(**options)


def dense_rows(**options: Any) -> Any:
    """Makes Keras's cross-entropy of rows."""
    return lambda: losses.CategoricalCrossentropy(**options)


def binary(**options: Any) -> Any:
    """Makes Keras's binary cross-entropy."""
    return lambda: losses.BinaryCrossentropy(**options)


def three() -> Any:
    """Ids of three classes."""
    return ids(3)


def yes_or_no() -> Any:
    """Labels (batch, 1), 0 or 1."""
    return ids(2, 1).astype("float32")


def two_outputs(first: Any, second: Any) -> Any:
    """Makes a functional model with a list of two outputs."""

    def make() -> keras.Model:
        keras.utils.set_random_seed(1)
        inputs = keras.Input((8,))
        hidden = layers.Dense(6, "relu")(inputs)
        outputs = [
            layers.Dense(3, first, name="colour")(hidden),
            layers.Dense(1, second, name="size")(hidden),
        ]
        return keras.Model(inputs, outputs)

    return make


def dict_outputs(first: Any, second: Any) -> Any:
    """Makes a subclassed model with a dict of two outputs."""

    def make() -> keras.Model:
        keras.utils.set_random_seed(1)
        made = TwoHeads(layers.Dense(3, first), layers.Dense(1, second))
        made(np.zeros((2, 8), "float32"))
        return made

    return make


# --- activations ---

for style in STYLES:
    mistake(
        f"softmax twice, {style}",
        "double-softmax",
        model(style, dense(3, "softmax")),
        three,
        sparse(from_logits=True),
    )
    mistake(
        f"sigmoid twice, {style}",
        "double-softmax",
        model(style, dense(1, "sigmoid")),
        yes_or_no,
        binary(from_logits=True),
    )
    mistake(
        f"logits as probabilities, {style}",
        "logits-as-probabilities",
        model(style, dense(3)),
        three,
        sparse(),
    )
    mistake(
        f"binary logits as probabilities, {style}",
        "logits-as-probabilities",
        model(style, dense(1)),
        yes_or_no,
        lambda: "binary_crossentropy",
    )
    mistake(
        f"sigmoid for a softmax loss, {style}",
        "wrong-activation",
        model(style, dense(3, "sigmoid")),
        lambda: one_hot(3),
        lambda: "categorical_crossentropy",
    )
    mistake(
        f"softmax for a sigmoid loss, {style}",
        "wrong-activation",
        model(style, dense(3, "softmax")),
        lambda: multi_hot(3),
        binary(),
    )
mistake(
    "a layer Softmax",
    "double-softmax",
    model("functional", dense(3), layers.Softmax),
    lambda: one_hot(3),
    dense_rows(from_logits=True),
)
mistake(
    "an operation softmax in the graph",
    "double-softmax",
    model("functional", dense(3), operation(ops.softmax)),
    three,
    sparse(from_logits=True),
)
mistake(
    "a Lambda that the graph cannot look into",
    "double-softmax",
    model("sequential", dense(3), lambda: layers.Lambda(ops.softmax)),
    three,
    sparse(from_logits=True),
)
mistake(
    "softmax before a Reshape",
    "double-softmax",
    model("sequential", dense(3, "softmax"), lambda: layers.Reshape((3,))),
    three,
    sparse(from_logits=True),
)
mistake(
    "softmax in a nested model",
    "double-softmax",
    lambda: network("functional", network("sequential", layers.Dense(3, "softmax"), shape=(6,))),
    three,
    sparse(from_logits=True),
)
mistake(
    "softmax at each step of a sequence",
    "double-softmax",
    model(
        "sequential", lambda: layers.TimeDistributed(layers.Dense(3, "softmax")), shape=(TIME, 4)
    ),
    lambda: ids(3, TIME),
    sparse(from_logits=True),
    x=lambda: features(TIME, 4),
)
mistake(
    "softmax before our loss of logits",
    "double-softmax",
    model("sequential", dense(3, "softmax")),
    three,
    lambda: ours.LabelSmoothedCrossentropy(from_logits=True),
)
mistake(
    "softmax before a logit adjustment",
    "double-softmax",
    model("subclassed", dense(3, "softmax")),
    three,
    lambda: ours.LogitAdjustedCrossentropy([5, 3, 1]),
)
mistake(
    "sigmoid before ZLPR",
    "double-softmax",
    model("sequential", dense(3, "sigmoid")),
    lambda: multi_hot(3),
    lambda: ours.MultiLabelSoftmaxCrossentropy(),
)
mistake(
    "softmax of a student",
    "double-softmax",
    model("sequential", dense(3, "softmax")),
    lambda: features(3) * 3,
    lambda: ours.DistillationCrossentropy(),
)
mistake(
    "sigmoid before ordinal logits",
    "double-softmax",
    model("sequential", dense(2, "sigmoid")),
    three,
    lambda: ours.OrdinalCrossentropy(),
)
mistake(
    "softmax over a list before its softmax",
    "double-softmax",
    model("sequential", dense(4, "softmax")),
    lambda: ids(4, 4),
    lambda: ours.ListwiseCrossentropy(),
)
mistake(
    "a teacher's probabilities in place of its logits",
    "label-kind",
    model("sequential", dense(3)),
    lambda: np.random.default_rng(5).dirichlet(np.ones(3), 64).astype("float32"),
    lambda: ours.DistillationCrossentropy(),
)
mistake(
    "class ids in place of a teacher's logits",
    "label-kind",
    model("sequential", dense(3)),
    three,
    lambda: ours.DistillationCrossentropy(),
)
mistake(
    "rows of answers in place of grades",
    "label-kind",
    model("sequential", dense(3)),
    lambda: multi_hot(3),
    lambda: ours.OrdinalCrossentropy(),
)
mistake(
    "grades that count from 1",
    "label-out-of-range",
    model("sequential", dense(2)),
    lambda: three() + 1,
    lambda: ours.OrdinalCrossentropy(),
)
mistake(
    "a logit for each grade, one too many",
    "imbalance",
    model("sequential", dense(3)),
    lambda: np.repeat(three(), 2),
    lambda: ours.OrdinalCrossentropy(),
    x=lambda: np.repeat(features(), 2, axis=0),
)
mistake(
    "the index of the right candidate for a list of relevances",
    "label-kind",
    model("sequential", dense(4)),
    lambda: ids(4),
    lambda: ours.ListwiseCrossentropy(),
)
mistake(
    "lists that are padded with -1, and a loss that was not told",
    "label-out-of-range",
    model("sequential", dense(4)),
    lambda: np.where(ids(4, 4) == 3, -1, ids(4, 4)),
    lambda: ours.ListwiseCrossentropy(),
)
mistake(
    "clicks in place of grades",
    "label-out-of-range",
    model("sequential", dense(4)),
    lambda: ids(4, 4) * 50,
    lambda: ours.MarginRanking(0.5, "ndcg"),
)
mistake(
    "softmax inside each group, and a grouped loss of logits",
    "double-softmax",
    model(
        "functional",
        dense(6),
        lambda: layers.Reshape((2, 3)),
        layers.Softmax,
        layers.Flatten,
    ),
    lambda: ids(3, 2),
    lambda: ours.GroupedSoftmaxCrossentropy([3, 3], from_logits=True),
)
mistake(
    "the second of two outputs, a dict of losses",
    "double-softmax",
    two_outputs("softmax", "sigmoid"),
    lambda: [three(), yes_or_no()],
    lambda: {
        "colour": "sparse_categorical_crossentropy",
        "size": losses.BinaryCrossentropy(from_logits=True),
    },
)
mistake(
    "one of a dict of outputs",
    "logits-as-probabilities",
    dict_outputs("softmax", None),
    lambda: {"first": three(), "second": yes_or_no()},
    lambda: {"first": "sparse_categorical_crossentropy", "second": "bce"},
)
mistake(
    "one of two outputs, a list of losses",
    "logits-as-probabilities",
    two_outputs(None, None),
    lambda: [three(), yes_or_no()],
    lambda: ["sparse_categorical_crossentropy", "mse"],
)
mistake(
    "our focal loss without from_logits",
    "logits-as-probabilities",
    model("sequential", dense(3)),
    three,
    lambda: ours.FocalCrossentropy(),
)
mistake(
    "a partial of Keras's function",
    "logits-as-probabilities",
    model("sequential", dense(3)),
    lambda: one_hot(3),
    lambda: functools.partial(losses.categorical_crossentropy, label_smoothing=0.1),
)
mistake(
    "divergence of logits",
    "logits-as-probabilities",
    model("functional", dense(3)),
    lambda: one_hot(3) * 0.7 + 0.1,
    lambda: losses.KLDivergence(),
)
mistake(
    "log-softmax as probabilities",
    "logits-as-probabilities",
    model("sequential", dense(3, "log_softmax")),
    three,
    sparse(),
)
mistake(
    "softmax of one unit",
    "wrong-activation",
    model("sequential", dense(1, "softmax")),
    yes_or_no,
    lambda: "binary_crossentropy",
)
mistake(
    "one softmax over all groups",
    "wrong-activation",
    model("sequential", dense(6, "softmax")),
    lambda: ids(3, 2),
    lambda: ours.GroupedSoftmaxCrossentropy([3, 3]),
)

mistake(
    "a lambda around Keras's function",
    "double-softmax",
    model("sequential", dense(3, "softmax")),
    three,
    lambda: (
        lambda y_true, y_pred: losses.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=True
        )
    ),
)
mistake(
    "a function around Keras's function that takes the mean",
    "logits-as-probabilities",
    model("subclassed", dense(3)),
    lambda: multi_hot(3),
    lambda: lambda y_true, y_pred: ops.mean(losses.binary_crossentropy(y_true, y_pred)),
)

# --- labels ---

mistake(
    "ids for a loss of rows",
    "label-kind",
    model("sequential", dense(3, "softmax")),
    three,
    lambda: "categorical_crossentropy",
)
mistake(
    "one-hot rows for a loss of ids",
    "label-kind",
    model("functional", dense(3)),
    lambda: one_hot(3),
    sparse(from_logits=True),
)
mistake(
    "texts",
    "label-kind",
    model("sequential", dense(3)),
    lambda: np.array(["red", "green", "blue"])[three()],
    sparse(from_logits=True),
)
mistake(
    "fractions as ids",
    "label-kind",
    model("subclassed", dense(3)),
    lambda: features(1)[:, 0] ** 2,
    sparse(from_logits=True),
)
mistake(
    "ids for a sigmoid loss of several classes",
    "label-kind",
    model("sequential", dense(3)),
    three,
    binary(from_logits=True),
)
mistake(
    "ids from 1",
    "label-out-of-range",
    model("sequential", dense(3)),
    lambda: three() + 1,
    sparse(from_logits=True),
)
mistake(
    "ids from 1, our loss",
    "label-out-of-range",
    model("sequential", dense(3)),
    lambda: three() + 1,
    lambda: ours.LabelSmoothedCrossentropy(from_logits=True),
)
mistake(
    "-100 at some steps, no ignore_class",
    "label-out-of-range",
    model("sequential", dense(3), shape=(TIME, 4)),
    lambda: np.where(np.arange(TIME) < 4, ids(3, TIME), -100),
    sparse(from_logits=True),
    x=lambda: features(TIME, 4),
)
mistake(
    "255 in a segmentation",
    "label-out-of-range",
    model("functional", dense(3, "softmax"), shape=(4, 4, 2)),
    lambda: np.where(ids(7, 4, 4) == 6, 255, ids(3, 4, 4)),
    sparse(),
    x=lambda: features(4, 4, 2),
)
mistake(
    "-1 and 1 for a sigmoid loss",
    "label-out-of-range",
    model("sequential", dense(1)),
    lambda: yes_or_no() * 2 - 1,
    binary(from_logits=True),
)
mistake(
    "pixels of 0 to 255 for a sigmoid loss",
    "label-out-of-range",
    model("sequential", dense(8, "sigmoid")),
    lambda: ids(256, 8).astype("float32"),
    lambda: "binary_crossentropy",
)
mistake(
    "two classes, one unit, a softmax loss",
    "label-out-of-range",
    model("sequential", dense(1)),
    lambda: ids(2),
    sparse(from_logits=True),
)
mistake(
    "ids from 1 in the second of two groups",
    "label-out-of-range",
    model("sequential", dense(6)),
    lambda: ids(3, 2) + np.array([0, 1]),
    lambda: ours.GroupedSoftmaxCrossentropy([3, 3], from_logits=True),
)
mistake(
    "rows of zeros for rows to leave out",
    "not-a-distribution",
    model("sequential", dense(3)),
    lambda: one_hot(3) * (np.arange(ROWS) < 50)[:, None],
    dense_rows(from_logits=True),
)
mistake(
    "counts instead of shares",
    "not-a-distribution",
    model("subclassed", dense(3, "softmax")),
    lambda: ids(5, 3).astype("float32"),
    lambda: losses.CategoricalCrossentropy(),
)
mistake(
    "two digits in one vector, one softmax",
    "grouped-labels",
    model("sequential", dense(10)),
    lambda: np.concatenate(
        [one_hot(5), np.eye(5)[np.random.default_rng(9).integers(0, 5, ROWS)]], 1
    ),
    dense_rows(from_logits=True),
)
mistake(
    "two digits in one vector, sigmoids",
    "grouped-labels",
    model("sequential", dense(10)),
    lambda: np.concatenate(
        [one_hot(5), np.eye(5)[np.random.default_rng(9).integers(0, 5, ROWS)]], 1
    ),
    binary(from_logits=True),
)
mistake(
    "several labels and a softmax",
    "multi-label-with-softmax",
    model("functional", dense(4, "softmax")),
    lambda: multi_hot(4),
    lambda: "categorical_crossentropy",
)
mistake(
    "several labels and our softmax loss",
    "multi-label-with-softmax",
    model("functional", dense(4)),
    lambda: multi_hot(4),
    lambda: ours.Poly1Crossentropy(from_logits=True),
)
mistake(
    "one label per row and sigmoids",
    "exclusive-with-sigmoid",
    model("sequential", dense(3, "sigmoid")),
    lambda: one_hot(3),
    lambda: "binary_crossentropy",
)

# --- balance ---

mistake(
    "one class in twenty",
    "imbalance",
    model("sequential", dense(2)),
    lambda: (np.arange(ROWS) % 21 == 0).astype(int),
    sparse(from_logits=True),
)
mistake(
    "a class that never occurs",
    "imbalance",
    model("sequential", dense(3)),
    lambda: ids(2),
    sparse(from_logits=True),
)
mistake(
    "a rare yes",
    "imbalance",
    model("sequential", dense(1, "sigmoid")),
    lambda: (np.arange(ROWS) % 21 == 0).astype(int),
    lambda: "binary_crossentropy",
)
mistake(
    "one label only",
    "constant-labels",
    model("sequential", dense(3)),
    lambda: np.ones(ROWS, int),
    sparse(from_logits=True),
)
mistake(
    "one target only",
    "constant-labels",
    model("functional", dense(1)),
    lambda: np.full((ROWS, 1), 0.5, "float32"),
    lambda: "mse",
)
mistake(
    "one id for all questions",
    "constant-labels",
    lambda: network("functional", layers.Dense(4), lambda each: each @ ops.transpose(each)),
    lambda: np.zeros(ROWS, int),
    lambda: ours.InBatchCrossentropy(),
)

# --- embeddings ---


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

# --- weights, shapes, compile ---


class RowWise(losses.Loss):
    """A loss as many tutorials write it: it never looks at ranks."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Squares."""
        return ops.square(y_true - y_pred)


def one_number(y_true: Any, y_pred: Any) -> Any:
    """A loss that returns one number for the whole batch."""
    return ops.mean(ops.square(y_true - y_pred))


for steps, size in (("as many steps as rows", ROWS), ("fewer steps than rows", TIME)):
    mistake(
        f"row weights for a sequence, {steps}",
        "weights-along-time",
        model("sequential", dense(3), shape=(size, 2)),
        lambda size=size: ids(3, size),
        sparse(from_logits=True),
        x=lambda size=size: features(size, 2),
        sample_weight=lambda: np.linspace(0.5, 1.5, ROWS),
    )
mistake(
    "(batch,) labels for (batch, 1) outputs",
    "broadcast",
    model("sequential", dense(1)),
    lambda: features(1)[:, 0],
    RowWise,
)
mistake(
    "a scalar loss with sample_weight",
    "broadcast",
    model("sequential", dense(1)),
    lambda: features(1),
    lambda: one_number,
    sample_weight=lambda: np.linspace(0.5, 1.5, ROWS),
)
for metrics in (["accuracy"], [keras.metrics.BinaryAccuracy]):
    mistake(
        f"{'accuracy' if metrics == ['accuracy'] else 'BinaryAccuracy'} on logits",
        "accuracy-on-logits",
        model("sequential", dense(1)),
        yes_or_no,
        binary(from_logits=True),
        metrics=[each if isinstance(each, str) else each() for each in metrics],
    )
mistake(
    "accuracy on the logits of one of two outputs",
    "accuracy-on-logits",
    two_outputs("softmax", None),
    lambda: [three(), yes_or_no()],
    lambda: ["sparse_categorical_crossentropy", losses.BinaryCrossentropy(from_logits=True)],
    metrics={"size": ["accuracy"]},
)
mistake(
    "two losses for one output",
    "first-loss-only",
    model("functional", dense(1)),
    lambda: features(1),
    lambda: ["mse", "mae"],
)
mistake(
    "ids above 256 in bfloat16",
    "half-precision-ids",
    model("sequential", dense(300)),
    lambda: ids(300) * 4 + 44,
    sparse(from_logits=True, dtype="bfloat16"),
)
mistake(
    "ids above 2048 in float16",
    "half-precision-ids",
    model("subclassed", dense(3000)),
    lambda: ids(64) * 46,
    sparse(from_logits=True, dtype="float16"),
)
mistake(
    "labels that fit no loss",
    "loss-fails",
    model("sequential", dense(3)),
    lambda: features(5),
    lambda: "mse",
)
mistake(
    "inputs that fit no model",
    "model-fails",
    model("sequential", dense(3)),
    three,
    sparse(from_logits=True),
    x=lambda: features(5),
)

# --- metrics that contradict the loss, and structures ---

for metric, labels, made in (
    ("sparse_categorical_accuracy", lambda: one_hot(3), dense_rows(from_logits=True)),
    ("categorical_accuracy", three, sparse(from_logits=True)),
    ("binary_accuracy", lambda: one_hot(3), dense_rows(from_logits=True)),
    ("mse", three, sparse(from_logits=True)),
):
    mistake(
        f"{metric} beside {'ids' if labels is three else 'rows'}",
        "contradicting-metric",
        model("sequential", dense(3)),
        labels,
        made,
        metrics=[metric],
    )
mistake(
    "accuracy of several labels",
    "contradicting-metric",
    model("sequential", dense(4)),
    lambda: multi_hot(4),
    binary(from_logits=True),
    metrics=["accuracy"],
)
mistake(
    "accuracy of measured values",
    "contradicting-metric",
    model("sequential", dense(1)),
    lambda: features(1),
    lambda: "mse",
    metrics=["accuracy"],
)
mistake(
    "accuracy of several groups",
    "contradicting-metric",
    model("sequential", dense(6)),
    lambda: ids(3, 2),
    lambda: ours.GroupedSoftmaxCrossentropy([3, 3], from_logits=True),
    metrics=["accuracy"],
)
mistake(
    "CategoricalAccuracy of one unit",
    "contradicting-metric",
    model("sequential", dense(1)),
    yes_or_no,
    binary(from_logits=True),
    metrics=[keras.metrics.CategoricalAccuracy()],
)
for each in (
    keras.metrics.F1Score(threshold=0.5),
    keras.metrics.FBetaScore(beta=2.0, threshold=0.5),
    keras.metrics.Precision(),
    keras.metrics.Recall(),
    keras.metrics.AUC(),
    keras.metrics.PrecisionAtRecall(0.5),
    keras.metrics.TruePositives(),
    keras.metrics.BinaryCrossentropy(),
):
    mistake(
        f"{type(each).__name__} on logits",
        "accuracy-on-logits",
        model("sequential", dense(1)),
        yes_or_no,
        binary(from_logits=True),
        metrics=[each],
    )
mistake(
    "CategoricalCrossentropy as a metric of logits",
    "accuracy-on-logits",
    model("functional", dense(3)),
    lambda: one_hot(3),
    dense_rows(from_logits=True),
    metrics=["categorical_crossentropy"],
)
for name, y, options in (
    ("labels in a dict for one output", lambda: {"scores": three()}, {}),
    (
        "weights in a dict for one output",
        three,
        {"sample_weight": lambda: {"scores": np.ones(ROWS)}},
    ),
):
    mistake(
        name,
        "structure-mismatch",
        model("functional", dense(3)),
        y,
        sparse(from_logits=True),
        **options,
    )
for name, y, weights in (
    (
        "a dict of weights beside a list of labels",
        lambda: [three(), yes_or_no()],
        lambda: {"colour": np.ones(ROWS), "size": np.ones(ROWS)},
    ),
    (
        "weights for one of two outputs",
        lambda: [three(), yes_or_no()],
        lambda: [np.ones(ROWS)],
    ),
):
    mistake(
        name,
        "structure-mismatch",
        two_outputs("softmax", "sigmoid"),
        y,
        lambda: ["sparse_categorical_crossentropy", "binary_crossentropy"],
        sample_weight=weights,
    )
mistake(
    "a list of labels for a dict of outputs",
    "structure-mismatch",
    dict_outputs("softmax", "sigmoid"),
    lambda: [three(), yes_or_no()],
    lambda: {"first": "sparse_categorical_crossentropy", "second": "binary_crossentropy"},
    sample_weight=lambda: [np.ones(ROWS), np.ones(ROWS)],
)


class WithOwnLoss(layers.Layer):
    """Adds the mean square of its inputs."""

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        self.add_loss(ops.mean(ops.square(inputs)))
        return inputs


mistake(
    "weights for a model that adds its own loss",
    "ignored-weights",
    model("functional", dense(3), WithOwnLoss),
    lambda: None,
    lambda: None,
    sample_weight=lambda: np.ones(ROWS),
)
