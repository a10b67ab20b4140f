"""The labels of an output, flattened to one id or one row per position."""

import dataclasses
from typing import Any

import numpy as np

from keras_ce.diagnosis._evaluation import Pair
from keras_ce.diagnosis._outputs import Output

Array = Any
_OF_IDS = ("softmax", "in-batch", "embedding", "ranking", "ordinal")


@dataclasses.dataclass(frozen=True)
class Labels:
    """All labels of an output that could be read in one form.

    Attributes:
        form: `"ids"` (one number per position), `"rows"` (one per class) or `"other"`.
        values: ids (N,) or rows (N, C); for `"other"` as they come, flattened.
        counts: which of the N positions are neither masked nor without weight.
        shape: the shape of the labels of the first batch.
    """

    form: str
    values: Array
    counts: Array
    shape: tuple[int, ...]

    @property
    def counted(self) -> Array:
        """The values of the positions that count."""
        return self.values[self.counts]


def labels_of(output: Output) -> Labels | None:
    """The labels of an output, or None where there are none."""
    pairs = [pair for pair in output.pairs if pair.y_true is not None]
    if any(pair.mask is not None for pair in pairs):
        pairs = [pair for pair in pairs if pair.mask is not None]  # others' masks are not known
    if not pairs or not output.shape:
        return None
    first = np.asarray(pairs[0].y_true)
    form = _form(output, first.shape)
    values, counts = [], []
    for pair in pairs:
        label = np.asarray(pair.y_true)
        if _is_half(label):
            label = label.astype("float32")
        if form == "rows":
            flat = _last(label, output, form)
            values.append(flat.reshape(-1, flat.shape[-1]))
        else:
            values.append(label.reshape(-1))
        counts.append(_counts(pair, len(values[-1]), len(label)))
    return Labels(form, np.concatenate(values), np.concatenate(counts), first.shape)


def _form(output: Output, shape: tuple[int, ...]) -> str:
    kind, predicted = output.kind, list(output.shape)[1:]
    if not predicted:
        return "ids" if len(shape) == 1 else "other"
    positions = predicted.copy()
    if kind.axis < 0 or kind.axis > 0:
        del positions[kind.axis if kind.axis < 0 else kind.axis - 1]
    given = list(shape)[1:]
    # A sequence of another length in this batch is no other form.
    is_rows = len(given) == len(predicted) and given[-1:] == predicted[-1:]
    is_ids = len(given) == len(positions) or (len(given) == len(positions) + 1 and given[-1] == 1)
    if kind.axis not in (-1, len(predicted)):
        is_rows, is_ids = given == predicted, given in (positions, [*positions, 1])
    if kind.family in _OF_IDS and predicted[-1] == 1 and is_ids:
        return "ids"
    if is_rows:
        return "rows"
    if is_ids and output.num_classes == 1 and kind.family in ("sigmoid", "overlap", "regression"):
        return "rows"  # (batch,) for (batch, 1)
    if kind.family == "grouped" and len(given) == len(predicted):
        return "ids" if given[-1] == len(kind.group_sizes) else "other"
    return "ids" if is_ids else "other"


def _last(label: Array, output: Output, form: str) -> Array:
    """Label rows with the class axis last."""
    if label.ndim < len(output.shape):
        return label[..., None]
    axis = output.kind.axis
    return label if axis in (-1, label.ndim - 1) else np.moveaxis(label, axis, -1)


def _counts(pair: Pair, number: int, rows: int) -> Array:
    """Which positions are neither masked nor without weight."""
    counts = np.ones(number, bool)
    for part in (pair.mask, pair.weight):
        if part is None:
            continue
        part = np.asarray(part)
        if part.size == number:
            counts &= part.reshape(-1) != 0
        elif part.size == rows and rows and number % rows == 0:
            counts &= np.repeat(part.reshape(-1) != 0, number // rows)
    return counts


def _is_half(array: Array) -> bool:
    return array.dtype.name in ("bfloat16", "float16")


def are_numbers(array: Array) -> bool:
    """Whether an array holds numbers, or something that Keras takes for them."""
    return np.asarray(array).dtype.kind in "biuf"
