"""What `benchmarks.step_time` compares: our losses and their peers, on the backend of this process.

Each loss takes its labels first, then logits or probabilities, or features and a kernel.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import keras_ce
from keras_ce import losses
from keras_ce.layers import ContrastivePairs, LinearCrossentropy

BACKEND = keras.backend.backend()
SMOOTHING = 0.1
LOGIT_TASKS = ("ids", "smoothing", "rows", "sigmoid", "focal", "binary-focal", "generalized")
PER_CLASS_TASKS = ("per-class", "prior")
HEAD_TASKS = ("head", "head-50", "head-90")  # the latter: percent of the positions ignored
PAIR_TASKS = ("pairs", "symmetric-pairs")
IGNORED = -1
UNCHECKED = "ours, unchecked"  # in eager modes only: compiled, nothing is checked anyway


class Candidate(NamedTuple):
    """Losses with the same name for what they compare are compared."""

    task: str
    who: str
    # Of labels and logits; of labels, features and kernel where the task is a head; of labels,
    # questions and answers where it is pairs.
    loss: Callable


def candidates_of(task: str, classes: int, width: int | None) -> list[Candidate]:
    """Ours first, then what it is compared to."""
    if task in HEAD_TASKS:
        candidates = with_features(width, classes)
    elif task in PAIR_TASKS:
        candidates = with_pairs()
    elif task in PER_CLASS_TASKS:
        candidates = with_numbers_per_class(classes)
    else:
        candidates = with_logits(classes)
    return [candidate for candidate in candidates if candidate.task == task]


def unchecked(loss: Callable) -> Callable:
    """A loss that does not look at values, as after `keras_ce.set_value_checks(False)`."""

    def loss_of(*tensors: Any) -> Any:
        keras_ce.set_value_checks(False)
        try:
            return loss(*tensors)
        finally:
            keras_ce.set_value_checks(True)

    return loss_of


def with_logits(classes: int) -> list[Candidate]:
    """Ours, checked and unchecked, then the peers, for each kind of labels and each loss."""
    theirs = keras.losses
    smooth = theirs.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING)
    plain = losses.LabelSmoothedCrossentropy(0, from_logits=True)
    pairs = [
        ("ids", plain, "Keras, sparse", theirs.SparseCategoricalCrossentropy(from_logits=True)),
        (
            "smoothing",
            losses.LabelSmoothedCrossentropy(SMOOTHING, from_logits=True),
            "Keras, one_hot",
            lambda y, z: smooth(ops.one_hot(y, classes), z),
        ),
        ("rows", plain, "Keras", theirs.CategoricalCrossentropy(from_logits=True)),
        (
            "sigmoid",
            losses.WeightedSigmoidCrossentropy(from_logits=True),
            "Keras",
            theirs.BinaryCrossentropy(from_logits=True),
        ),
        (
            "focal",
            losses.FocalCrossentropy(2.0, from_logits=True),
            "Keras",
            theirs.CategoricalFocalCrossentropy(from_logits=True),
        ),
        (
            "binary-focal",
            losses.AsymmetricSigmoidCrossentropy(2.0, 2.0, 0.0, from_logits=True),
            "Keras",
            theirs.BinaryFocalCrossentropy(from_logits=True),
        ),
        # Keras's takes probabilities only.
        (
            "generalized",
            losses.GeneralizedCrossentropy(0.5),
            "Keras",
            theirs.CategoricalGeneralizedCrossEntropy(0.5),
        ),
    ]
    candidates = []
    for task, ours, who, peer in pairs:
        candidates += [
            Candidate(task, "ours", ours),
            Candidate(task, UNCHECKED, unchecked(ours)),
            Candidate(task, who, peer),
        ]
    return candidates + peers_of_the_backend(classes)


def peers_of_the_backend(classes: int) -> list[Candidate]:
    """What optax or torch has of plain and smoothed cross-entropy."""
    if BACKEND == "jax":
        import jax
        import optax

        def optax_smooth(y, z):
            rows = optax.smooth_labels(jax.nn.one_hot(y, classes), SMOOTHING)
            return optax.softmax_cross_entropy(z, rows).mean()

        integer = optax.softmax_cross_entropy_with_integer_labels
        return [
            Candidate("ids", "optax", lambda y, z: integer(z, y).mean()),
            Candidate("smoothing", "optax", optax_smooth),
            Candidate("rows", "optax", lambda y, z: optax.softmax_cross_entropy(z, y).mean()),
        ]
    if BACKEND == "torch":
        from torch.nn.functional import cross_entropy

        return [
            Candidate("ids", "torch", lambda y, z: cross_entropy(z, y.long())),
            Candidate(
                "smoothing",
                "torch",
                lambda y, z: cross_entropy(z, y.long(), label_smoothing=SMOOTHING),
            ),
            Candidate("rows", "torch", lambda y, z: cross_entropy(z, y)),
        ]
    return []


def with_numbers_per_class(classes: int) -> list[Candidate]:
    """Ours with an argument that has a number per class, then ours without it."""
    generator = np.random.default_rng(1)
    weights = generator.uniform(0.5, 2, classes).tolist()
    counts = generator.integers(1, 1_000, classes).tolist()
    smooth = losses.LabelSmoothedCrossentropy(SMOOTHING, from_logits=True)
    weighted = losses.LabelSmoothedCrossentropy(SMOOTHING, from_logits=True, class_weight=weights)
    plain = losses.LabelSmoothedCrossentropy(0, from_logits=True)
    return [
        Candidate("per-class", "ours", weighted),
        Candidate("per-class", "ours, plain", smooth),
        Candidate("prior", "ours", losses.LogitAdjustedCrossentropy(counts)),
        Candidate("prior", "ours, plain", plain),
    ]


def with_features(width: int, classes: int) -> list[Candidate]:
    """Output layers without bias, from labels, features and kernel."""
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss_of(layer: keras.Layer, mean: Callable) -> Callable:
        layer.build((None, width))
        (variable,) = layer.trainable_variables

        def loss(labels, features, kernel):
            with keras.StatelessScope([(variable, kernel)], collect_losses=True) as scope:
                return mean(scope, labels, features)

        return loss

    def added(ignore_class: int | None = None) -> Callable:
        """The loss that `fit` would take."""
        head = LinearCrossentropy(classes, use_bias=False, ignore_class=ignore_class)

        def mean(scope, labels, features):
            head(features, labels, training=True)
            return scope.losses[0]

        return loss_of(head, mean)

    dense = keras.layers.Dense(classes, use_bias=False)
    candidates = [
        Candidate("head", "ours", added()),
        Candidate(
            "head", "Dense, Keras, sparse", loss_of(dense, lambda _, y, x: sparse(y, dense(x)))
        ),
    ]
    plain = added()
    for task in ("head-50", "head-90"):
        candidates += [
            Candidate(task, "ours", added(IGNORED)),
            Candidate(task, "ours, none ignored", lambda y, x, w: plain(ops.maximum(y, 0), x, w)),
        ]
    if BACKEND == "torch":
        import torch

        function = getattr(torch.nn.functional, "linear_cross_entropy", None)
        if function is not None:  # from torch 2.13 on
            # Its own choice is a few rows at a time on a processor, and many times as slow.
            for rows in (64, 256, 1_024):
                options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=rows)
                candidates.append(
                    Candidate(
                        "head",
                        f"torch, linear_cross_entropy, {rows} rows",
                        lambda y, x, w, options=options: function(
                            x, w.T, y.long(), options=options
                        ),
                    )
                )
    return candidates


def with_pairs() -> list[Candidate]:
    """The mean in-batch loss of questions and answers, by tiles and from the whole matrix."""
    temperature = 0.05
    by_tiles = ContrastivePairs(temperature)
    both_by_tiles = ContrastivePairs(temperature, symmetric=True)
    in_batch = losses.InBatchCrossentropy(temperature)
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def similarities(questions, answers):
        return ops.matmul(questions, ops.transpose(answers))

    def both(loss):
        return lambda y, s: (loss(y, s) + loss(y, ops.transpose(s))) / 2

    def of_layer(layer):
        def added(labels, questions, answers):
            with keras.StatelessScope(collect_losses=True) as scope:
                layer(questions, answers, training=True)
                return scope.losses[0]

        return added

    def of_matrix(loss):
        return lambda y, q, a: loss(y, similarities(q, a))

    def in_keras(y, s):
        return sparse(y, s / temperature)

    return [
        Candidate("pairs", "ours", of_layer(by_tiles)),
        Candidate("pairs", "matrix, InBatchCrossentropy", of_matrix(in_batch)),
        Candidate("pairs", "matrix, Keras, sparse", of_matrix(in_keras)),
        Candidate("symmetric-pairs", "ours", of_layer(both_by_tiles)),
        Candidate("symmetric-pairs", "matrix, InBatchCrossentropy", of_matrix(both(in_batch))),
        Candidate("symmetric-pairs", "matrix, Keras, sparse", of_matrix(both(in_keras))),
    ]
