"""Healthy set-ups: each style with each way to say the same, and every loss of the package."""

from typing import Any

import keras
import numpy as np
from keras import layers, losses, ops
from set_ups.healthy import add, arguments, healthy
from set_ups.models import ROWS, STYLES, TIME, features, ids, multi_hot, network, one_hot

import keras_ce.losses as ours
from keras_ce.layers import OrdinalLogits

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
