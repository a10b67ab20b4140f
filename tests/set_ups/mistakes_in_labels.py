"""Labels that do not fit the loss, or that it learns nothing from."""

import numpy as np
from keras import layers, losses, ops
from set_ups.mistakes import binary, dense, dense_rows, mistake, model, sparse, three, yes_or_no
from set_ups.models import ROWS, TIME, features, ids, multi_hot, network, one_hot, rare, two_digits

import keras_ce.losses as ours

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
    two_digits,
    dense_rows(from_logits=True),
)
mistake(
    "two digits in one vector, sigmoids",
    "grouped-labels",
    model("sequential", dense(10)),
    two_digits,
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
    rare,
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
    rare,
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
