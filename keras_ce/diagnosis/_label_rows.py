"""What the rows of dense labels are: distributions, groups, several labels, or one."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

import keras_ce.losses
from keras_ce.diagnosis._labels import Labels, are_numbers
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._report import Finding
from keras_ce.diagnosis._written import rewritten, softmax_loss

Array = Any
_FEWEST_ROWS = 20
_BY_CHANCE = 1e-6
_TOLERANCE = 1e-3


def row_findings(output: Output, labels: Labels) -> Iterator[Finding]:
    """`grouped-labels`, the two about the number of ones, and `not-a-distribution`."""
    if labels.form != "rows" or output.num_classes < 2 or not are_numbers(labels.values):
        return
    rows = np.asarray(labels.counted, "float64")
    rows = rows[np.isfinite(rows).all(-1)]
    if not len(rows) or output.kind.family not in ("softmax", "sigmoid"):
        return
    ones = _ones_per_row(rows)
    groups = _number_of_groups(rows, ones)
    if groups:
        yield _grouped(output, len(rows), groups)
    elif output.kind.family == "softmax":
        yield from _softmax_rows(output, rows, ones)
    elif ones is not None and len(rows) >= _FEWEST_ROWS and (ones == 1).all():
        yield Finding(
            "exclusive-with-sigmoid",
            "warning",
            f"Each of {len(rows):,} label rows has exactly one 1 among {rows.shape[1]} classes, "
            f"and {output.kind.name} treats the classes as independent.",
            f"If an example can only ever have one class, write {softmax_loss(output, 'rows')}"
            + ("" if output.kind.from_logits else " and end the model in activation='softmax'")
            + "; if it may have several, ignore this.",
            output.name,
        )


def _softmax_rows(output: Output, rows: Array, ones: Array | None) -> Iterator[Finding]:
    if ones is not None and (ones > 1).any():
        several = ones > 1
        yield Finding(
            "multi-label-with-softmax",
            "error",
            f"{several.sum():,} of {len(rows):,} label rows have several ones, up to "
            f"{int(ones.max())}, and {output.kind.name} is a loss of exclusive classes.",
            f"Write {_sigmoid_loss(output)}"
            + ("" if output.kind.from_logits else " and end the model in activation='sigmoid'")
            + "; or divide each row by its sum.",
            output.name,
        )
        return
    sums = rows.sum(-1)
    wrong = np.abs(sums - 1) > _TOLERANCE
    if not wrong.any():
        return
    message = (
        f"{wrong.sum():,} of {len(rows):,} label rows do not sum to 1; the first of them sums "
        f"to {sums[wrong][0]:g}."
    )
    is_wrong_gradient = keras.backend.backend() == "tensorflow" and not output.kind.is_ours
    if is_wrong_gradient:
        message += (
            " On TensorFlow, Keras then follows softmax - labels, which is not the gradient of "
            "the loss: rows of zeros have loss 0 and move the weights."
        )
    elif output.kind.is_ours:
        message += " This loss takes them as they are: the sum weighs the row."
    yield Finding(
        "not-a-distribution",
        "error" if is_wrong_gradient else "warning",
        message,
        "Divide each row by its sum, and give rows to leave out sample_weight 0.",
        output.name,
    )


def _sigmoid_loss(output: Output) -> str:
    """Keras's loss of independent classes in place of the one at hand, as a call."""
    return rewritten(output, keras.losses.BinaryCrossentropy)


def _grouped(output: Output, number: int, groups: int) -> Finding:
    size = output.num_classes // groups
    is_softmax = output.kind.family == "softmax"
    return Finding(
        "grouped-labels",
        "error" if is_softmax else "warning",
        f"Each of {number:,} label rows has exactly one 1 in each of {groups} blocks of {size} "
        f"classes, and {output.kind.name} "
        + ("takes one choice among all classes." if is_softmax else "treats all as independent."),
        f"Write {_grouped_loss(output, [size] * groups)} and end the model in no activation."
        + ("" if is_softmax else " If a block may hold none or several, ignore this."),
        output.name,
    )


def _grouped_loss(output: Output, sizes: list[int]) -> str:
    kind = keras_ce.losses.GroupedSoftmaxCrossentropy
    return rewritten(output, kind, group_sizes=sizes, from_logits=True)


def _ones_per_row(rows: Array) -> Array | None:
    """The number of ones of each row, or None where rows hold anything but 0 and 1."""
    return rows.sum(-1) if np.isin(rows, (0, 1)).all() else None


def _number_of_groups(rows: Array, ones: Array | None) -> int:
    """The number of equal blocks with one 1 each, or 0: chance must be out of the question."""
    if ones is None or len(rows) < _FEWEST_ROWS:
        return 0
    groups, classes = int(ones[0]), rows.shape[1]
    if groups < 2 or classes % groups or classes == groups or (ones != groups).any():
        return 0
    blocks = rows.reshape(len(rows), groups, classes // groups)
    if (blocks.sum(-1) != 1).any():
        return 0
    share = (classes // groups) ** groups / math.comb(classes, groups)
    # Rows that repeat each other are no further evidence.
    different = len(np.unique(rows, axis=0))
    return groups if share**different < _BY_CHANCE else 0
