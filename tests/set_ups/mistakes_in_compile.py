"""Weights, shapes, metrics and structures that do not fit the rest."""

from typing import Any

import keras
import numpy as np
from keras import losses, ops
from set_ups.mistakes import binary, dense, dense_rows, mistake, model, sparse, three, yes_or_no
from set_ups.models import (
    ROWS,
    TIME,
    RowWise,
    WithOwnLoss,
    dict_outputs,
    features,
    ids,
    multi_hot,
    one_hot,
    two_outputs,
)

import keras_ce.losses as ours


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


mistake(
    "weights for a model that adds its own loss",
    "ignored-weights",
    model("functional", dense(3), WithOwnLoss),
    lambda: None,
    lambda: None,
    sample_weight=lambda: np.ones(ROWS),
)
