"""From which sureness on a classifier answers, so that its answers keep a promised accuracy."""

import pathlib
from typing import Any

import numpy
from scipy.special import betaincinv

from recipes._arguments import require_proper_fraction
from recipes.runs.failures import UserError
from recipes.tables import table_files

_STEPS = 50
_HALF_A_DIGIT = 0.00005
"""How much lower a probability may be than `predictions.csv`, of 4 digits, has it."""


def least_accuracy(right: Any, count: Any, confidence: float) -> numpy.ndarray:
    """The accuracy that examples prove: the lower end of the exact binomial interval.

    Clopper and Pearson (1934), one-sided: whatever the true accuracy is, it is below this number in
    a share of 1 - `confidence` of all draws of examples, or less.

    Args:
        right: How many examples are right, a number or an array.
        count: Out of how many, at least 1, of the same shape.
        confidence: From 0 to 1, both excluded.

    Returns:
        Accuracies of the same shape; 0 where none is right.
    """
    right, count = numpy.broadcast_arrays(right, count)
    lowest = betaincinv(numpy.maximum(right, 1), count - right + 1, 1 - confidence)
    return numpy.where(right == 0, 0.0, lowest)


def find_threshold(
    sureness: numpy.ndarray, is_right: numpy.ndarray, accuracy: float, confidence: float
) -> float:
    """The lowest sureness whose answers are proved to be right as often as promised.

    Thresholds are tried from strict to loose until one fails, and the last that passed is taken
    (fixed-sequence testing). A threshold passes if `least_accuracy` of the examples at or above it
    reaches the promise. Each is tried at the whole confidence, not at a part of it as Bonferroni's
    correction would have it: a false promise can be given only if the very first threshold that is
    too loose passes, and for one threshold that happens in a share of 1 - `confidence` of all
    draws, or less. So the confidence holds for whatever threshold comes out. Bonferroni would pay
    for each of 50 thresholds, and leave more examples without an answer.

    Which numbers of examples are tried depends on how many there are, not on what they say: first a
    third of them (more, if a third could not prove the promise without a single mistake), then a
    fiftieth more each time, and all at last. From fewer on, one wrong label among the surest would
    often end the search: for a promise of 0.95 on TREC-6, half of 2,726 held-out texts gave no
    threshold in 127 of 200 draws when it began with 118 of them, and in none when with a third.
    The price: where less than a third can be answered, no threshold is found.

    The confidence holds for examples drawn at random from those to come, if surer ones are right at
    least as often as less sure ones. It says nothing of examples of another kind.

    Args:
        sureness: (examples,), a number for each, such as the probability of the predicted class;
            of examples that nothing was learned from.
        is_right: (examples,), whether each prediction is right.
        accuracy: The promise, from 0 to 1, both excluded.
        confidence: How often the promise is to be kept over draws of examples, likewise.

    Returns:
        The threshold: answers are to be given at or above it.

    Raises:
        UserError: If there are too few examples, the surest are wrong too often, or a sureness is
            NaN.
    """
    if numpy.isnan(sureness).any():
        raise UserError(
            "how sure a prediction is must be a number. Received: NaN; has the training diverged?"
        )
    count = len(sureness)
    fewest = int(numpy.ceil(numpy.log(1 - confidence) / numpy.log(accuracy)))
    promise = f"an accuracy of {accuracy:g} at a confidence of {confidence:g}"
    if count < fewest:
        raise UserError(
            f"{promise} takes at least {fewest} labelled examples, all right, to prove. Received: "
            f"{count}; give more, or promise less"
        )
    order = numpy.argsort(-sureness, kind="stable")
    surest, right = sureness[order], numpy.cumsum(is_right[order])
    first = max(fewest, count // 3)
    sizes = numpy.append(numpy.arange(first, count, max(1, count // _STEPS)), count)
    # Examples as sure as the last one of a size are answered too.
    sizes = numpy.searchsorted(-surest, -surest[sizes - 1], side="right")
    passes = least_accuracy(right[sizes - 1], sizes, confidence) >= accuracy
    if not passes[0]:
        raise UserError(
            f"no threshold keeps a promise of {promise}: of the {sizes[0]} surest of {count} "
            f"examples {right[sizes[0] - 1]} are right, which proves "
            f"{least_accuracy(right[sizes[0] - 1], sizes[0], confidence):.3f}; promise less, or "
            "give more of them"
        )
    last = len(passes) - 1 if passes.all() else int(passes.argmin()) - 1
    return float(surest[sizes[last] - 1])


def threshold_of_run(folder: pathlib.Path, truth: str, accuracy: float, confidence: float) -> float:
    """The threshold for a promised accuracy, from what a training was tested with.

    Args:
        folder: Of the training, with its `predictions.csv`.
        truth: The column there that holds the right answer.
        accuracy: See `find_threshold`.
        confidence: Likewise.

    Raises:
        UserError: If there are no predictions, or no threshold keeps the promise.
    """
    require_proper_fraction("accuracy", accuracy)
    require_proper_fraction("confidence", confidence)
    path = folder / "predictions.csv"
    if not path.exists():
        raise UserError(
            f"{path} does not exist, and a promised accuracy is proved by the predictions in it; "
            "name the folder of a training"
        )
    columns = [truth, "predicted", "probability"]
    cells = [cells for _, cells in table_files.read_table(path, columns).select(columns)]
    is_right = numpy.array([right == predicted for right, predicted, _ in cells])
    try:
        sureness = numpy.array([float(probability) for _, _, probability in cells])
    except ValueError as error:
        raise UserError(f"{path} holds a probability that is no number: {error}") from None
    return find_threshold(sureness, is_right, accuracy, confidence) - _HALF_A_DIGIT
