"""What losses of embeddings cannot learn from: rows that are all alike, and rows that are alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_ce.diagnosis._evaluation import Pair
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._report import Finding

Array = Any
_FEWEST_ROWS = 8
_USUAL_BATCH = 32  # of `fit`
_FEW = 0.2  # of the rows of a batch
_NEGLIGIBLE = 0.01  # of the margin, or of a radius of 1
_ROUNDING = 1e-6


def collapse(output: Output, inputs_differ: bool) -> Iterator[Finding]:
    """`collapse`: all embeddings so close together that the loss sees no difference."""
    rows = [np.asarray(pair.y_pred, "float64")[_counts(pair)] for pair in output.seen]
    if not inputs_differ or {each.ndim for each in rows} != {2}:
        return
    embeddings = np.concatenate(rows)
    if len(embeddings) < _FEWEST_ROWS or not np.isfinite(embeddings).all():
        return
    config = output.loss.get_config()
    distance, margin = config.get("distance", "cosine"), config.get("margin")
    if distance == "cosine":
        lengths = np.linalg.norm(embeddings, axis=-1, keepdims=True)
        embeddings = embeddings / np.where(lengths > 0, lengths, 1)
    size = float(np.abs(embeddings).max())
    # No two rows are farther from each other than twice the farthest from the mean.
    width = 2 * float(np.linalg.norm(embeddings - embeddings.mean(0), axis=-1).max())
    farthest = {"squared": width**2, "cosine": width**2 / 2}.get(distance, width)
    if margin is None:
        if width > 2 * _NEGLIGIBLE:
            return
        stuck = "the loss is that of a guess, log(rows of the batch - 1)"
    else:
        if farthest > _NEGLIGIBLE * margin:
            return
        stuck = f"the loss is the margin, {margin:g}"
    is_exact = width <= _ROUNDING * size or size == 0
    if is_exact:
        message = f"All of {len(embeddings):,} embeddings are the same, for different inputs"
        fix = (
            "No gradient leads out of it: build the model anew, with a smaller learning rate, and "
            "mining='semi-hard' or 'all' rather than 'hard'; look at an initializer of zeros."
        )
    else:
        message = (
            f"All of {len(embeddings):,} embeddings lie within {farthest:.2g} of each other "
            f"({distance} distance), for different inputs"
        )
        fix = (
            "Scale the inputs to mean 0 and size 1, lower the learning rate, and take "
            "mining='semi-hard' or 'all' rather than 'hard'; if the loss falls in the first "
            "epochs, ignore this."
        )
    severity: Any = "error" if is_exact else "warning"
    yield Finding("collapse", severity, f"{message}: {stuck}.", fix, output.name)


def without_positives(output: Output, are_batches: bool) -> Iterator[Finding]:
    """`without-positives`: rows whose label no other row of their batch has.

    `are_batches`: whether the pairs are those of the training, and no pieces of arrays.
    """
    pairs = [pair for pair in output.pairs if pair.y_true is not None and len(pair.y_true)]
    labels = [np.asarray(pair.y_true).reshape(-1) for pair in pairs]
    if any(len(each) != len(pair.y_true) for each, pair in zip(labels, pairs, strict=True)):
        return  # what the loss refuses
    counts = [_counts(pair) for pair in pairs]
    if not are_batches and pairs:
        labels, counts = [np.concatenate(labels)], [np.concatenate(counts)]
    rows = int(sum(each.sum() for each in counts))
    if rows < _FEWEST_ROWS:
        return
    having = [
        int(_has_another(label)[counted].sum())
        for label, counted in zip(labels, counts, strict=True)
    ]
    fix = (
        "Let each batch hold several rows of each of its labels, by a keras.utils.PyDataset or "
        "generator that draws labels first, and rows of them then."
    )
    if not any(having):
        everything = np.concatenate(labels)
        if len(np.unique(everything)) == len(everything) or not are_batches:
            message = f"No label of {rows:,} rows occurs twice"
            fix = "Give rows that belong together the same label: a class, a person, a product."
        else:
            message = f"In none of {len(labels):,} batches has a row another one of its label"
        message += ": no row has a positive, and the loss is 0."
        yield Finding("without-positives", "error", message, fix, output.name)
        return
    alone = sum(not each for each in having)
    if alone > _FEW * len(labels):
        yield Finding(
            "without-positives",
            "warning",
            f"In {alone:,} of {len(labels):,} batches no row has another one of its label: their "
            "loss is 0.",
            fix,
            output.name,
        )
        return
    share = _share_in_a_batch(np.concatenate(labels), _USUAL_BATCH)
    if not are_batches and rows > _USUAL_BATCH and share < _FEW:
        yield Finding(
            "without-positives",
            "warning",
            f"In a batch of {_USUAL_BATCH} rows at random, {share:.1%} of the rows have another "
            "one of their label: the others are ignored.",
            fix[:-1] + ", or take larger batches.",
            output.name,
        )


def _has_another(labels: Array) -> Array:
    _, places, numbers = np.unique(labels, return_inverse=True, return_counts=True)
    return numbers[places.reshape(-1)] > 1


def _share_in_a_batch(labels: Array, size: int) -> float:
    """The share of rows that have a positive in a batch of rows drawn at random, about."""
    _, numbers = np.unique(labels, return_counts=True)
    others = (numbers - 1) / max(1, len(labels) - 1)
    return float((numbers * (1 - (1 - others) ** (size - 1))).sum() / len(labels))


def _counts(pair: Pair) -> Array:
    """Which rows are neither masked nor without weight."""
    number = len(pair.y_true) if pair.y_pred is None else len(pair.y_pred)
    counts = np.ones(number, bool)
    for part in (pair.mask, pair.weight):
        if part is not None and np.size(part) == number:
            counts &= np.asarray(part).reshape(-1) != 0
    return counts
