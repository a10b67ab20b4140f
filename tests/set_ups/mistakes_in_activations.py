"""Outputs that the loss takes for something else."""

import functools

import numpy as np
from keras import layers, losses, ops
from set_ups.mistakes import (
    binary,
    dense,
    dense_rows,
    mistake,
    model,
    operation,
    sparse,
    three,
    yes_or_no,
)
from set_ups.models import (
    STYLES,
    TIME,
    dict_outputs,
    features,
    ids,
    multi_hot,
    network,
    one_hot,
    padded_lists,
    two_outputs,
)

import keras_ce.losses as ours

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
    padded_lists,
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
