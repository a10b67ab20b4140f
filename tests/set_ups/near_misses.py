"""Healthy set-ups that come close to a mistake: the code before the colon must not be found."""

import numpy as np
from keras import layers, losses, ops
from set_ups.healthy import add, arguments
from set_ups.models import (
    ROWS,
    TIME,
    RowWise,
    compiled,
    features,
    ids,
    network,
    one_hot,
    rare,
    scaled,
)

import keras_ce.losses as ours

SPARSE = losses.SparseCategoricalCrossentropy
DENSE = losses.CategoricalCrossentropy
BINARY = losses.BinaryCrossentropy


def logits_in_unit_interval():
    """A subclassed model whose logits all lie between 0 and 1 by chance."""
    model = network("subclassed", layers.Dense(3))
    bias, kernel = model.trainable_variables[-1], model.trainable_variables[-2]
    kernel.assign(kernel * 0.01)
    bias.assign([0.5, 0.5, 0.5])
    return model


def trained(model, loss):
    """A model whose optimizer has made a step."""
    compiled(model, loss).fit(features(), ids(3), verbose=0, batch_size=ROWS)
    return model


def sequence():
    return network("sequential", layers.Dense(3), shape=(TIME, 4))


# Model, loss, labels, and inputs where they are not the usual ones.
NEAR_MISSES = {
    "double-softmax: a softmax inside the model, logits at its end": lambda: (
        network("functional", layers.Dense(3, "softmax"), layers.Dense(3)),
        SPARSE(from_logits=True),
        ids(3),
    ),
    "double-softmax: logits between 0 and 1 by chance": lambda: (
        logits_in_unit_interval(),
        SPARSE(from_logits=True),
        ids(3),
    ),
    "logits-as-probabilities: softmax by hand": lambda: (
        network("subclassed", layers.Dense(3, "exponential"), lambda z: z / ops.sum(z, -1, True)),
        SPARSE(),
        ids(3),
    ),
    "wrong-activation: sigmoid of one unit and BinaryCrossentropy": lambda: (
        network("subclassed", layers.Dense(1, "sigmoid")),
        BINARY(),
        ids(2, 1),
    ),
    "label-kind: floats that are integers": lambda: (
        network("sequential", layers.Dense(3)),
        SPARSE(from_logits=True),
        ids(3, 1).astype("float32"),
    ),
    "label-kind: as many steps as classes": lambda: (
        sequence(),
        SPARSE(from_logits=True),
        ids(3, TIME),
        features(TIME, 4),
    ),
    "label-out-of-range: the value to ignore is given": lambda: (
        network("sequential", layers.Dense(3)),
        SPARSE(from_logits=True, ignore_class=-1),
        np.where(np.arange(ROWS) % 5 == 0, -1, ids(3)),
    ),
    "label-out-of-range: soft answers": lambda: (
        network("sequential", layers.Dense(1)),
        BINARY(from_logits=True),
        np.random.default_rng(0).uniform(0, 1, (ROWS, 1)),
    ),
    "not-a-distribution: rows in float16": lambda: (
        network("sequential", layers.Dense(3)),
        DENSE(from_logits=True),
        np.random.default_rng(0).dirichlet(np.ones(3), ROWS).astype("float16"),
    ),
    "grouped-labels: two ones that are not in two blocks": lambda: (
        network("sequential", layers.Dense(4, "sigmoid")),
        BINARY(),
        np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 1, 1]])[ids(4)],
    ),
    "grouped-labels: two rows that repeat, which may be chance": lambda: (
        network("sequential", layers.Dense(4, "sigmoid")),
        BINARY(),
        np.array([[1, 0, 1, 0], [0, 1, 0, 1]])[ids(2)],
    ),
    "multi-label-with-softmax: two labels that share one row's mass": lambda: (
        network("sequential", layers.Dense(4)),
        DENSE(from_logits=True),
        np.array([[0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1]])[ids(3)],
    ),
    "exclusive-with-sigmoid: one row has two ones": lambda: (
        network("sequential", layers.Dense(3)),
        BINARY(from_logits=True),
        np.maximum(one_hot(3), np.arange(ROWS)[:, None] == 9),
    ),
    "imbalance: one in nine": lambda: (
        network("sequential", layers.Dense(2)),
        SPARSE(from_logits=True),
        rare(9),
    ),
    "imbalance: one in twenty, weights given": lambda: (
        network("sequential", layers.Dense(1)),
        ours.WeightedSigmoidCrossentropy(pos_weight=20.0, from_logits=True),
        rare(21)[:, None],
    ),
    "imbalance: more classes than could all occur": lambda: (
        network("sequential", layers.Dense(30)),
        SPARSE(from_logits=True),
        ids(25),
    ),
    "dead-gradient: saturated, from logits": lambda: (
        scaled(trained(network("sequential", layers.Dense(3)), SPARSE(from_logits=True)), 1000),
        SPARSE(from_logits=True),
        ids(3),
    ),
    "dead-gradient: entries that the loss leaves out": lambda: (
        network("sequential", layers.Dense(4)),
        ours.WeightedSigmoidCrossentropy(from_logits=True, ignore_label=-1.0),
        np.array([[1, -1, 0, 1], [0, 1, -1, 0], [1, 0, 0, -1]])[ids(3)],
    ),
    "dead-gradient: (batch, time) answers for (batch, time, 1) outputs": lambda: (
        network("sequential", layers.Dense(1, "sigmoid"), shape=(TIME, 4)),
        BINARY(),
        ids(2, TIME),
        features(TIME, 4),
    ),
    "initial-loss: twice that of chance": lambda: (
        scaled(network("sequential", layers.Dense(3)), 3),
        SPARSE(from_logits=True),
        ids(3),
    ),
    "initial-loss: high after training": lambda: (
        scaled(trained(network("sequential", layers.Dense(3)), SPARSE(from_logits=True)), 100),
        SPARSE(from_logits=True),
        ids(3),
    ),
    "constant-output: inputs that are all the same": lambda: (
        network("sequential", layers.Dense(3)),
        SPARSE(from_logits=True),
        ids(3),
        np.ones((ROWS, 8), "float32"),
    ),
    "constant-labels: the first answer is always right": lambda: (
        network("sequential", layers.Dense(2)),
        ours.MarginRanking(),
        np.zeros(ROWS, int),
    ),
    "broadcast: labels of the outputs' shape": lambda: (
        network("sequential", layers.Dense(1)),
        RowWise(),
        features(1),
    ),
    "broadcast: as many outputs as rows": lambda: (
        network("sequential", layers.Dense(ROWS)),
        RowWise(),
        features(ROWS),
    ),
}

for name, make in NEAR_MISSES.items():
    add(name, lambda make=make: arguments(*make()))
