"""How often each class occurs: too unevenly, never, or one alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

import keras_ce.losses
from keras_ce.diagnosis._labels import Labels, are_numbers
from keras_ce.diagnosis._losses import FunctionLoss
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._report import Finding
from keras_ce.diagnosis._written import own_softmax_loss, rewritten, written

Array = Any
_FEWEST_LABELS = 50
_LARGEST_RATIO = 10.0
_MOST_CLASSES = 200  # vocabularies and identities are uneven by nature
_LABELS_PER_CLASS = 20


def constant_labels(output: Output, labels: Labels) -> Iterator[Finding]:
    """`constant-labels`: one label only."""
    # A ranking's labels may all say "the first is right", and an unknown loss may need none.
    not_judged = ("ranking", "listwise", "margin", "ctc", "other", "overlap", "grouped")
    if output.kind.family in not_judged:
        return
    values = labels.counted
    if len(values) < _FEWEST_LABELS // 5 or not are_numbers(values):
        return
    if values.ndim > 1 and values.shape[1] == 1:
        values = values[:, 0]
    if (values != values[:1]).any():
        return
    shown = f"{values[0]:g}" if values.ndim == 1 else np.array2string(values[0], threshold=8)
    message = f"All {len(values):,} labels are the same: {shown}."
    fix = "Look at how the labels are read; for sorted data, shuffle before splitting."
    if output.kind.family == "in-batch":
        message += " Rows with one id do not compete, so the loss is 0."
        fix = "Give each question an id of its own, such as np.arange(number of rows)."
    if output.kind.family == "embedding":
        message += " No row has a negative, and nothing holds the embeddings apart."
    yield Finding("constant-labels", "error", message, fix, output.name)


def imbalance(
    output: Output,
    labels: Labels,
    is_reconstruction: bool,
    class_names: Sequence[str],
    takes_class_weight: bool,
) -> Iterator[Finding]:
    """`imbalance`: uneven shares, and classes that never occur.

    `class_names`: of all classes, or empty. `takes_class_weight`: whether this `fit` takes one.
    """
    kind = output.kind
    if is_reconstruction or not are_numbers(labels.values) or kind.ignore in (0, 1):
        return
    if kind.family in ("softmax", "ordinal"):
        ids = _ids(output, labels)
        if ids is not None:
            names = [repr(name) for name in class_names]
            if len(names) != _number_of_classes(output):
                names = [str(number) for number in range(_number_of_classes(output))]
            yield from _of_classes(output, ids, names, takes_class_weight)
    elif kind.family == "sigmoid" and labels.form == "rows":
        yield from _of_answers(output, np.asarray(labels.counted, "float64"))


def _number_of_classes(output: Output) -> int:
    return output.num_classes + (output.kind.family == "ordinal")


def _ids(output: Output, labels: Labels) -> Array | None:
    number = _number_of_classes(output)
    if labels.form == "rows":
        rows = np.asarray(labels.counted, "float64")
        is_one_hot = np.isin(rows, (0, 1)).all() and (rows.sum(-1) == 1).all()
        return rows.argmax(-1) if len(rows) and is_one_hot else None
    # What follows what in a sequence is uneven by nature.
    if labels.form != "ids" or len(output.shape) == 3:
        return None
    ids = np.asarray(labels.counted, "float64")
    if output.kind.ignore is not None:
        ids = ids[ids != output.kind.ignore]
    is_valid = len(ids) and ((ids >= 0) & (ids < number) & (ids == np.floor(ids))).all()
    return ids.astype("int64") if is_valid else None


def _of_classes(
    output: Output, ids: Array, names: list[str], takes_class_weight: bool
) -> Iterator[Finding]:
    number, is_ordinal = _number_of_classes(output), output.kind.family == "ordinal"
    if not 2 <= number <= _MOST_CLASSES or len(ids) < max(
        _FEWEST_LABELS, _LABELS_PER_CLASS * number
    ):
        return
    counts = np.bincount(ids, minlength=number)
    if (counts > 0).sum() < 2:
        return  # constant-labels says it
    missing = np.flatnonzero(counts == 0)
    if len(missing):
        yield Finding(
            "imbalance",
            "warning",
            f"{_plural(len(missing), 'class', 'classes')} of {number} never {_verb(missing)} "
            f"among {len(ids):,} labels: {_listed([names[number] for number in missing])}.",
            f"{output.kind.name} takes one logit fewer than classes: end the model in "
            f"OrdinalLogits({number - len(missing)}). If more data shows them, ignore this."
            if is_ordinal
            else "If more data does not show them, give the last layer no unit for them; else "
            "ignore this.",
            output.name,
        )
    if is_ordinal:
        return  # Grades are uneven by nature, and there are no weights to give.
    present = counts[counts > 0]
    ratio = present.max() / present.min()
    if ratio <= _LARGEST_RATIO or output.kind.has_weights:
        return
    weights = [
        round(float(len(ids) / (len(present) * count)), 3) if count else 1.0 for count in counts
    ]
    yield Finding(
        "imbalance",
        "note",
        f"Class {names[counts.argmax()]} occurs {ratio:.0f} times as often as class "
        f"{names[np.where(counts == 0, len(ids), counts).argmin()]}; "
        f"shares: {_shares(counts, names)}.",
        "Where each class counts as much as every other, write "
        f"{_class_weight(output, weights, takes_class_weight)}.",
        output.name,
    )


def _class_weight(output: Output, weights: list[float], takes_class_weight: bool) -> str:
    """A loss or a call of `fit` with these weights; else weights of rows."""
    is_function = isinstance(output.loss, FunctionLoss)
    if not is_function and "class_weight" in output.loss.get_config():
        return written(output, class_weight=weights)
    if not takes_class_weight or len(output.shape) > 2:
        is_plain = type(output.loss) in (
            keras.losses.CategoricalCrossentropy,
            keras.losses.SparseCategoricalCrossentropy,
        )
        if is_plain:
            return own_softmax_loss(output, class_weight=weights)
        return f"sample_weight=np.array({weights})[ids], times the weights that there are"
    listed = ", ".join(f"{index}: {weight:g}" for index, weight in enumerate(weights))
    return f"fit(class_weight={{{listed}}})"


def _of_answers(output: Output, rows: Array) -> Iterator[Finding]:
    number = rows.shape[1]
    if number > _MOST_CLASSES or len(rows) < _FEWEST_LABELS or not np.isin(rows, (0, 1)).all():
        return
    yes = rows.sum(0)
    missing = np.flatnonzero(yes == 0)
    is_enough = yes.sum() >= _LABELS_PER_CLASS * number
    if number > 1 and len(missing) and is_enough:
        yield Finding(
            "imbalance",
            "warning",
            f"{_plural(len(missing), 'class', 'classes')} of {number} never {_verb(missing)} in "
            f"{len(rows):,} label rows: {_listed(missing)}.",
            "If more data does not show them, give the last layer no unit for them; else ignore "
            "this.",
            output.name,
        )
    present = yes[(yes > 0) & (yes < len(rows))]
    if not len(present) or output.kind.has_weights:
        return
    ratios = (len(rows) - present) / present
    # Several labels of many are rare by nature: only where all are.
    ratio = float(np.median(ratios)) if number > 1 else float(max(ratios[0], 1 / ratios[0]))
    if ratio <= _LARGEST_RATIO * (2 if number > 1 else 1):
        return
    share = float(yes.sum() / rows.size)
    yield Finding(
        "imbalance",
        "note",
        f"{share:.1%} of {rows.size:,} labels are yes.",
        "Where a missed yes is worse than a false one, write "
        f"{_pos_weight(output, _rounded((1 - share) / share))}.",
        output.name,
    )


def _pos_weight(output: Output, weight: float) -> str:
    kind = keras_ce.losses.WeightedSigmoidCrossentropy
    return rewritten(output, kind, pos_weight=weight)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _shares(counts: Array, names: list[str]) -> str:
    shares = zip(names, counts / counts.sum(), strict=True)
    shown = [f"{name}: {share:.1%}" for name, share in shares]
    return ", ".join(shown[:12]) + (", ..." if len(shown) > 12 else "")


def _listed(ids: Any) -> str:
    return ", ".join(map(str, ids[:10])) + (", ..." if len(ids) > 10 else "")


def _plural(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _verb(missing: Array) -> str:
    return "occurs" if len(missing) == 1 else "occur"
