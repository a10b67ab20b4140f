"""The loss of every row, and how sure and how right the model is of it."""

import dataclasses
import html
from typing import Any

import numpy as np
from keras import ops

from keras_ce._core.checks import to_numpy
from keras_ce.diagnosis._all_rows import RowByRow, loss_of_rows
from keras_ce.diagnosis._checked_model import checked_loss, checked_model
from keras_ce.diagnosis._labels import are_numbers, labels_of
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._sample import InputError
from keras_ce.losses import ordinal_probabilities

Array = np.ndarray[Any, Any]
_SHOWN = 20
_OF_CLASSES = ("softmax", "sigmoid", "multi-label", "grouped", "ordinal")


@dataclasses.dataclass(frozen=True)
class RowLosses:
    """What `keras_ce.row_losses` returns; `print` and a notebook show the hardest rows.

    Attributes:
        loss: the loss of each row (rows,): over the positions of a row their mean, times its
            weight. NaN where a loss of `keras_ce` refuses the label.
        margin: the probability of the right class less that of the best other (rows,), from -1 to
            1; of several positions, groups or labels the smallest. None where the loss has no
            classes; NaN for a row that does not count.
        entropy: of the predicted distribution in nats (rows,), summed over positions, groups and
            labels; or None.
        is_right: whether the most probable class is right (rows,), at all positions, groups and
            labels; or None.
    """

    loss: Array
    margin: Array | None
    entropy: Array | None
    is_right: Array | None

    @property
    def order(self) -> Array:
        """The indices of the rows, the hardest first: NaN, then the largest losses."""
        return np.argsort(np.where(np.isnan(self.loss), -np.inf, -self.loss), kind="stable")

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.loss)

    def __str__(self) -> str:
        """A table of the hardest rows."""
        lines = [self._header(), *self._lines()]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        shown = [
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            for line in lines
        ]
        return "\n".join([*shown, *self._rest()])

    def _repr_html_(self) -> str:
        def line(cells: list[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)

        rest = "".join(f"<p>{text}</p>" for text in self._rest())
        body = "".join(line(cells, "td") for cells in self._lines())
        return f"<table>{line(self._header(), 'th')}{body}</table>{rest}"

    def _columns(self) -> dict[str, Array]:
        names = ("loss", "margin", "entropy", "is_right")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def _header(self) -> list[str]:
        return ["row", *self._columns()]

    def _lines(self) -> list[list[str]]:
        return [
            [str(row)]
            + [
                str(bool(values[row])) if values.dtype == bool else f"{values[row]:.4g}"
                for values in self._columns().values()
            ]
            for row in self.order[:_SHOWN]
        ]

    def _rest(self) -> list[str]:
        rest = len(self) - _SHOWN
        return [f"... and {rest:,} easier rows"] if rest > 0 else []


def row_losses(
    model: Any, x: Any, y: Any = None, *, loss: Any = None, sample_weight: Any = None
) -> RowLosses:
    """The loss of every row, its margin, its entropy, and whether the model is right.

    All rows go through the model as in inference, 256 at once; nothing in it changes. Losses that
    compare the rows of a batch with each other see those of such a piece.

    Args:
        model: a built `keras.Model` with one output.
        x: inputs: arrays, tensors, lists or dicts of them; or a `tf.data.Dataset` or a
            `keras.utils.PyDataset` of batches (inputs, labels, sample_weight).
        y: labels; left out where `x` gives batches.
        loss: a loss, its name or a function; by default the one that the model was compiled with.
        sample_weight: as in `fit`; a row's loss is multiplied by its weight.

    Returns:
        Arrays (rows,) in the order of the rows: `loss`, `margin`, `entropy`, `is_right`, the last
        three None where the loss has no classes; `order` has the hardest rows first.

    Raises:
        TypeError: `model` is not a `keras.Model`.
        ValueError: the model is not built, has several outputs with a loss, or neither a loss nor
            labels; the data is empty, cannot be read or does not fit; model or loss raise.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
        >>> model.compile(loss="sparse_categorical_crossentropy")
        >>> rows = keras_ce.row_losses(model, np.array([[9.0, 0], [0, 0]]), np.array([1, 0]))
        >>> rows.order, rows.is_right
        (array([0, 1]), array([False,  True]))
    """
    checked_model(model)
    rows = RowByRow(model, x, y, sample_weight, checked_loss(model, loss))
    parts: list[Any] = []
    for batch in rows.batches():
        if not batch.rows:
            continue
        outputs = [each for each in rows.outputs(batch) if each.loss is not None]
        if len(outputs) != 1:
            raise InputError(
                "`model` must have one output with a loss. Received: "
                f"{[each.name or 'output' for each in outputs]}. Give a model of one of them, "
                "keras.Model(model.inputs, model.get_layer(NAME).output), and its `loss`."
            )
        (output,) = outputs
        if output.pairs[0].values is None:
            raise InputError("`y` is missing: give the label of each row.")
        parts.append((loss_of_rows(output), *_judged(output)))
    if not parts:
        raise ValueError("`x` must have at least one row. Received: none.")
    loss, *judged = zip(*parts, strict=True)
    columns = [None if each[0] is None else np.concatenate(each) for each in judged]
    return RowLosses(np.concatenate(loss), *columns)


def _judged(output: Output) -> tuple[Array | None, Array | None, Array | None]:
    """Margin, entropy and whether it is right, of each row; or None."""
    pair, kind = output.pairs[0], output.kind
    labels = labels_of(output)
    if labels is None or kind.family not in _OF_CLASSES or not are_numbers(labels.values):
        return None, None, None
    number = len(pair.y_pred)
    groups = _distributions(output)
    if groups is None:
        return None, None, None
    positions = [group.shape[0] for group in groups]
    right = _right_classes(output, labels, [group.shape[-1] for group in groups])
    if right is None or any(len(each) != size for each, size in zip(right, positions, strict=True)):
        return None, None, None
    margins, entropies, answers = [], [], []
    counts = labels.counts if len(labels.counts) == positions[0] else np.ones(positions[0], bool)
    for group, classes in zip(groups, right, strict=True):
        is_valid = (classes >= 0) & (classes < group.shape[-1]) & counts
        places = np.where(is_valid, classes, 0).astype(int)[:, None]
        of_right = np.take_along_axis(group, places, 1)[:, 0]
        others = group.copy()
        np.put_along_axis(others, places, -np.inf, 1)
        margins.append(np.where(is_valid, of_right - others.max(1), np.nan))
        positive = np.where(group > 0, group, 1.0)
        entropies.append(-(positive * np.log(positive)).sum(1))
        answers.append(np.where(is_valid, group.argmax(1) == places[:, 0], True))
    margin = np.stack(margins, 1).reshape(number, -1)
    counted = ~np.isnan(margin)
    smallest = np.where(counted, margin, np.inf).min(1)
    is_counted = counted.any(1)
    entropy = np.where(counted, np.stack(entropies, 1).reshape(number, -1), 0.0).sum(1)
    is_right = np.stack(answers, 1).reshape(number, -1).all(1) & is_counted
    return np.where(is_counted, smallest, np.nan), entropy, is_right


def _distributions(output: Output) -> list[Array] | None:
    """The predicted distributions of each position, one array (positions, classes) per group."""
    kind = output.kind
    scores = np.moveaxis(np.asarray(output.pairs[0].y_pred, "float64"), kind.axis, -1)
    rows = scores.reshape(-1, scores.shape[-1])
    if kind.family == "ordinal":
        return [to_numpy(ordinal_probabilities(ops.convert_to_tensor(rows))).astype("float64")]
    if kind.family in ("sigmoid", "multi-label"):
        yes = 1 / (1 + np.exp(-np.clip(rows, -700, 700))) if kind.from_logits else rows
        return [np.stack([1 - column, column], 1) for column in yes.T]
    sizes = kind.group_sizes or (rows.shape[-1],)
    groups = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    if not kind.from_logits:
        return [group / np.maximum(group.sum(1, keepdims=True), 1e-30) for group in groups]
    exponentials = [np.exp(group - group.max(1, keepdims=True)) for group in groups]
    return [each / each.sum(1, keepdims=True) for each in exponentials]


def _right_classes(output: Output, labels: Any, sizes: list[int]) -> list[Array] | None:
    """The right class of each position, one array per group; -1 where it does not count."""
    kind, values = output.kind, np.asarray(labels.values, "float64")
    if kind.family in ("sigmoid", "multi-label"):
        if labels.form != "rows":
            return None
        ignored = np.zeros(values.shape, bool) if kind.ignore is None else values == kind.ignore
        ignored |= np.isnan(values)
        return [
            np.where(is_ignored, -1, column >= 0.5)
            for column, is_ignored in zip(values.T, ignored.T, strict=True)
        ]
    if labels.form == "ids":
        columns = values.reshape(-1, len(sizes)).T if kind.family == "grouped" else [values]
        ignore = -1 if kind.ignore is None else kind.ignore
        return [np.where(column == ignore, -1, column) for column in columns]
    if labels.form == "rows" and kind.family != "ordinal":
        return [group.argmax(1) for group in np.split(values, np.cumsum(sizes)[:-1], axis=1)]
    return None
