"""Labels of the wrong kind, out of range, or beyond the digits of the loss."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_ce.diagnosis._labels import Labels, are_numbers
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._report import Finding
from keras_ce.diagnosis._written import own_softmax_loss, rewritten, softmax_loss, written

Array = Any
_EXACT_UP_TO = {"bfloat16": 2**8, "float16": 2**11, "float32": 2**24}
_IGNORE_VALUES = (-1, -100, 255)
_KNOWN = (
    "softmax",
    "sigmoid",
    "multi-label",
    "grouped",
    "ordinal",
    "teacher",
    "ranking",
    "listwise",
)
_FEWEST_ROWS = 20
_TOLERANCE = 1e-3


def label_findings(output: Output, labels: Labels) -> Iterator[Finding]:
    """`label-kind`, `label-out-of-range` and `half-precision-ids`."""
    kind = output.kind
    if kind.family not in _KNOWN:
        return
    if not are_numbers(labels.values):
        example = labels.values.reshape(-1)[:1].tolist()[0]
        yield _kind_finding(
            output,
            f"The labels are {_type_name(labels.values)}, such as {example!r}, and "
            f"{kind.name} takes numbers.",
            "Map them to ids, by keras.layers.StringLookup(num_oov_indices=0) or "
            "np.unique(labels, return_inverse=True).",
        )
    elif kind.family == "softmax":
        yield from _softmax_labels(output, labels)
    elif kind.family == "ordinal":
        yield from _ordinal_labels(output, labels)
    elif kind.family == "teacher":
        yield from _teacher_labels(output, labels)
    elif kind.family in ("ranking", "listwise"):
        yield from _relevances(output, labels)
    elif kind.family == "grouped":
        if labels.form == "ids":
            yield from _integers(output, labels)
            yield from _within_groups(output, labels)
        elif labels.form == "rows":
            yield from _within_unit(output, labels)
    else:
        yield from _sigmoid_labels(output, labels)


def _softmax_labels(output: Output, labels: Labels) -> Iterator[Finding]:
    kind, number = output.kind, output.num_classes
    if labels.form == "rows" and kind.labels == "ids":
        hot = "one-hot rows" if _are_one_hot(labels.values) else "rows"
        yield _kind_finding(
            output,
            f"The labels are {hot} of shape {_shape(labels)}, one number for each of {number} "
            f"classes, and {kind.name} takes class ids.",
            f"Write {softmax_loss(output, 'rows')}, or give it np.argmax(labels, axis=-1).",
        )
    elif labels.form == "ids" and kind.labels == "rows" and number > 1:
        yield _kind_finding(
            output,
            f"The labels are one number per position, of shape {_shape(labels)}, and "
            f"{kind.name} takes a row of {number} numbers, one for each class.",
            f"Write {softmax_loss(output, 'ids')}, or give it "
            f"keras.utils.to_categorical(labels, {number}).",
        )
    elif labels.form == "ids":
        yield from _integers(output, labels)
        yield from _ids_within_range(output, labels)
        yield from _within_precision(output, labels)
    elif labels.form == "rows":
        negative = _judged(output, labels) < 0
        if negative.any():
            yield _range_finding(
                output,
                f"{negative.sum():,} entries of the label rows are negative, and probabilities "
                "are not.",
                "Give rows of numbers >= 0 that sum to 1.",
            )


def _ordinal_labels(output: Output, labels: Labels) -> Iterator[Finding]:
    if labels.form == "ids":
        yield from _integers(output, labels)
        yield from _ids_within_range(output, labels)
    elif labels.form == "rows":
        yield _kind_finding(
            output,
            f"The labels are rows of shape {_shape(labels)}, and {output.kind.name} takes class "
            f"ids from 0 to {output.num_classes}.",
            'For rows of "above 0", "above 1", ... give np.sum(labels, axis=-1); for one-hot rows '
            "np.argmax(labels, axis=-1), with one logit fewer than classes.",
        )


def _teacher_labels(output: Output, labels: Labels) -> Iterator[Finding]:
    kind = output.kind
    if labels.form == "ids":
        yield _kind_finding(
            output,
            f"The labels are one number per position, of shape {_shape(labels)}, and "
            f"{kind.name} takes the {output.num_classes} logits of a teacher.",
            "Give teacher.predict(x), or for class ids write "
            f"{own_softmax_loss(output, label_smoothing=0.1, from_logits=True)}; a model that "
            "learns from both has two outputs.",
        )
    elif labels.form == "rows":
        rows = np.asarray(labels.counted, "float64")
        are_distributions = len(rows) >= _FEWEST_ROWS and (rows >= 0).all()
        if are_distributions and (np.abs(rows.sum(-1) - 1) < _TOLERANCE).all():
            yield _kind_finding(
                output,
                f"All {len(rows):,} label rows are >= 0 and sum to 1, which are probabilities, "
                f"and {kind.name} takes the teacher's logits: a second softmax would make them "
                "almost equal.",
                "Give np.log(labels), which are logits, or the teacher without its last softmax.",
            )


def _relevances(output: Output, labels: Labels) -> Iterator[Finding]:
    kind = output.kind
    if labels.form == "ids" and kind.family == "listwise":
        yield _kind_finding(
            output,
            f"The labels are one number per list, of shape {_shape(labels)}, and {kind.name} "
            f"takes the relevance of each of the {output.num_classes} candidates.",
            "Where they are the index of the right candidate, write "
            f"{own_softmax_loss(output, from_logits=True)}, or give "
            f"keras.utils.to_categorical(labels, {output.num_classes}).",
        )
    elif labels.form == "rows" and (kind.family == "listwise" or kind.most is not None):
        values = _finite(_judged(output, labels))
        if kind.ignore is not None:
            values = values[values != kind.ignore]
        most = np.inf if kind.most is None else kind.most
        outside = values[(values < 0) | (values > most)]
        if not len(outside):
            return
        allowed = "numbers >= 0" if kind.most is None else f"numbers from 0 to {kind.most:g}"
        fix = f"A gain is 2^relevance: give grades such as 0 to 4, not {outside.max():g}."
        if len(np.unique(outside)) == 1 and outside[0] < 0:
            fix = (
                f"If {outside[0]:g} marks candidates that only pad a list, write "
                f"{written(output, ignore_label=float(outside[0]))}."
            )
        elif outside.min() < 0:
            fix = "Add to the relevances what makes the least of them 0."
        yield _range_finding(
            output,
            f"{len(outside):,} of {len(values):,} relevances, such as {outside[0]:g}, are none "
            f"that {kind.name} takes: {allowed}.",
            fix,
        )


def _integers(output: Output, labels: Labels) -> Iterator[Finding]:
    ids = _finite(_judged(output, labels))
    fractions = ids[ids != np.floor(ids)]
    if len(fractions):
        yield _kind_finding(
            output,
            f"{len(fractions):,} of {len(ids):,} labels are no integers, such as "
            f"{fractions[0]:g}, and {output.kind.name} takes class ids.",
            "Take a regression loss such as MeanSquaredError for measured values; for classes "
            "number them 0, 1, 2, ...",
        )


def _ids_within_range(output: Output, labels: Labels) -> Iterator[Finding]:
    kind, number = output.kind, output.num_classes
    is_ordinal = kind.family == "ordinal"
    number += is_ordinal  # one logit fewer than classes
    ids = _finite(_judged(output, labels))
    ids = ids[ids == np.floor(ids)]
    if kind.ignore is not None:
        ids = ids[ids != kind.ignore]
    outside = ids[(ids < 0) | (ids >= number)]
    if not len(outside):
        return
    values = np.unique(outside)
    shown = ", ".join(f"{value:g}" for value in values[:5]) + (", ..." if len(values) > 5 else "")
    message = (
        f"{len(outside):,} of {len(ids):,} labels lie outside 0 to {number - 1}, the ids of the "
        f"{number} classes of the output: {shown}."
    )
    inside = ids[(ids >= 0) & (ids < number)]
    if len(values) == 1 and values[0] in _IGNORE_VALUES:
        fix = f"Give sample_weight 0 and a valid label where the label is {values[0]:g}."
        if "ignore_class" in output.loss.get_config():
            fix = (
                f"If {values[0]:g} marks positions to leave out, write "
                f"{written(output, ignore_class=int(values[0]))}, or give sample_weight 0 and "
                "another label there."
            )
    elif number == 1:
        other = rewritten(output, keras.losses.BinaryCrossentropy)
        fix = f"The softmax of one unit is always 1: write {other}, or take one unit per class."
    elif values[0] == number and len(values) == 1 and not (inside == 0).any():
        fix = "The ids count from 1: subtract 1."
    elif values[-1] >= number and is_ordinal:
        fix = f"Correct the labels, or end the model in OrdinalLogits({int(values[-1]) + 1})."
    elif values[-1] >= number:
        fix = f"Correct the labels, or give the last layer at least {int(values[-1]) + 1} units."
    else:
        fix = "Correct the labels: ids count from 0."
    yield _range_finding(output, message, fix)


def _within_groups(output: Output, labels: Labels) -> Iterator[Finding]:
    sizes = np.array(output.kind.group_sizes)
    ids = np.asarray(labels.values, "float64").reshape(-1, len(sizes))
    is_outside = ((ids < 0) | (ids >= sizes)) & labels.counts.reshape(ids.shape)
    if is_outside.any():
        group = int(np.argwhere(is_outside)[0][-1])
        yield _range_finding(
            output,
            f"{is_outside.sum():,} of {ids.size:,} labels lie outside their group, such as "
            f"{ids[is_outside][0]:g} in group {group}, whose ids are 0 to {sizes[group] - 1}.",
            "Count from 0 inside each group, or correct `group_sizes`.",
        )


def _within_precision(output: Output, labels: Labels) -> Iterator[Finding]:
    if output.kind.is_ours:
        return  # they look at ids before they touch their dtype
    dtype = keras.backend.standardize_dtype(output.loss.dtype)
    limit = _EXACT_UP_TO.get(dtype)
    ids = _finite(labels.counted)
    if limit is None or not len(ids) or ids.max() <= limit:
        return
    beyond = ids[ids > limit]
    yield Finding(
        "half-precision-ids",
        "error",
        f"{len(beyond):,} of {len(ids):,} labels are above {limit}, such as {beyond[0]:g}, and "
        f"{output.kind.name} casts labels to {dtype}, which rounds them to other classes.",
        f"Write {written(output, dtype='float32')}, or {own_softmax_loss(output)}, which keeps "
        "ids.",
        output.name,
    )


def _sigmoid_labels(output: Output, labels: Labels) -> Iterator[Finding]:
    number = output.num_classes
    if labels.form == "ids" and number > 1:
        yield _kind_finding(
            output,
            f"The labels are one number per position, of shape {_shape(labels)}, and "
            f"{output.kind.name} takes a row of {number} numbers from 0 to 1.",
            f"For exclusive classes write {softmax_loss(output, 'ids')}"
            + ("" if output.kind.from_logits else " and end the model in activation='softmax'")
            + "; for several labels at once give multi-hot rows.",
        )
    elif labels.form == "rows":
        yield from _within_unit(output, labels)


def _within_unit(output: Output, labels: Labels) -> Iterator[Finding]:
    values = _finite(_judged(output, labels))
    if output.kind.ignore is not None:
        values = values[values != output.kind.ignore]
    outside = values[(values < 0) | (values > 1)]
    if not len(outside):
        return
    found = set(np.unique(values)[:3].tolist())
    if found == {-1.0, 1.0}:
        fix = "Labels of -1 and 1 belong to a hinge loss; here write (labels + 1) / 2."
    elif found <= {1.0, 2.0}:
        fix = "The labels count from 1: subtract 1."
    elif values.max() > 100 and values.min() >= 0:
        fix = "Divide the labels by 255." if values.max() <= 255 else "Scale the labels to 0 to 1."
    else:
        fix = "Correct the labels, or give the position sample_weight 0 and a valid label."
    yield _range_finding(
        output,
        f"{len(outside):,} of {values.size:,} labels lie outside 0 to 1, such as {outside[0]:g}, "
        f"and {output.kind.name} takes the probability of yes.",
        fix,
    )


def _judged(output: Output, labels: Labels) -> Array:
    """The labels that must be valid: ours look away where nothing counts, Keras's do not."""
    return labels.counted if output.kind.is_ours else labels.values


def _finite(values: Array) -> Array:
    values = np.asarray(values, "float64")
    return values[np.isfinite(values)]


def _are_one_hot(rows: Array) -> bool:
    return bool(np.isin(rows, (0, 1)).all() and (rows.sum(-1) == 1).all())


def _shape(labels: Labels) -> str:
    return str(("batch", *labels.shape[1:])).replace("'", "")


def _type_name(values: Array) -> str:
    return "texts" if values.dtype.kind in "SUT" else f"of type {values.dtype}"


def _kind_finding(output: Output, message: str, fix: str) -> Finding:
    return Finding("label-kind", "error", message, fix, output.name)


def _range_finding(output: Output, message: str, fix: str) -> Finding:
    return Finding("label-out-of-range", "error", message, fix, output.name)
