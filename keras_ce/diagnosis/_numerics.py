"""NaN and infinity, gradients that are lost, and a first loss that chance does not explain."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

import keras_ce.losses
from keras_ce.diagnosis._evaluation import Pair
from keras_ce.diagnosis._losses import FunctionLoss
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._report import Finding
from keras_ce.diagnosis._sample import Batch
from keras_ce.diagnosis._variables import pieces
from keras_ce.diagnosis._written import rewritten, written

Array = Any
_MOST_LISTED = 3


def non_finite_data(batches: list[Batch]) -> Iterator[Finding]:
    """`non-finite` in inputs and sample weights."""
    for what, structures in (
        ("the inputs", [batch.x for batch in batches]),
        ("sample_weight", [batch.sample_weight for batch in batches]),
    ):
        by_leaf: dict[str, list[Array]] = {}
        for structure in structures:
            for path, leaf in keras.tree.flatten_with_path(structure):
                if leaf is not None:
                    by_leaf.setdefault("/".join(map(str, path)), []).append(np.asarray(leaf))
        for name, arrays in by_leaf.items():
            place = f"{what} {name!r}" if name else what
            yield from _non_finite(
                place, arrays, "Find out how they came about, and replace or drop those rows.", ""
            )


def non_finite_weights(model: Any) -> Iterator[Finding]:
    """`non-finite` in the variables of the model."""
    broken = []
    for variable in model.variables:
        if "float" in variable.dtype:
            number = sum(int((~np.isfinite(piece)).sum()) for piece in pieces(variable))
            if number:
                broken.append(f"{number:,} in {variable.path}")
    if broken:
        shown = ", ".join(broken[:_MOST_LISTED]) + (", ..." if len(broken) > _MOST_LISTED else "")
        yield Finding(
            "non-finite",
            "error",
            f"The model's own weights hold NaN or infinity: {shown}.",
            "Load an earlier checkpoint or build the model anew: nothing repairs them. Lower the "
            "learning rate, or clip gradients.",
        )


def non_finite_labels(output: Output, exempt: bool) -> Iterator[Finding]:
    """`non-finite` in the labels. `exempt`: where nothing counts, anything may stand."""
    arrays = []
    for pair in output.pairs:
        if pair.y_true is not None:
            label = np.asarray(pair.y_true)
            if exempt and pair.weight is not None and len(pair.weight) == len(label):
                weight = np.asarray(pair.weight).reshape(len(label), -1)
                label = label[(weight != 0).any(-1)]
            if output.kind.family == "teacher":  # It may rule a class out.
                label = np.where(np.isneginf(_wide(label)), 0.0, _wide(label))
            arrays.append(label)
    fix = "Find out how they came about, and drop those rows."
    if output.kind.is_ours:
        fix += " With sample_weight 0 this loss leaves a row out."
    yield from _non_finite("the labels", arrays, fix, output.name)


def non_finite_outputs(output: Output) -> Iterator[Finding]:
    """`non-finite` in the predictions, where inputs and weights are finite."""
    arrays = []
    for pair in output.seen:
        values = _wide(pair.y_pred)
        # Ours take -inf for "impossible"; Keras's losses make NaN of it.
        is_allowed = np.isneginf(values) & bool(output.kind.is_ours)
        arrays.append(np.where(is_allowed, 0.0, values))
    yield from _non_finite(
        "the outputs",
        arrays,
        "Look for log(0), a division by 0 or an overflow (float16) in the model.",
        output.name,
    )


def non_finite_losses(output: Output) -> Iterator[Finding]:
    """`non-finite` in the losses of valid labels and finite predictions."""
    yield from _non_finite(
        f"the losses of {output.kind.name}",
        [pair.values for pair in output.seen if pair.values is not None],
        "Look in the loss for the logarithm or root of what may be 0 or less, and for a division.",
        output.name,
    )


def _non_finite(place: str, arrays: list[Array], fix: str, output: str) -> Iterator[Finding]:
    bad, total, first, rows = 0, 0, "", 0
    for array in arrays:
        if array.dtype.kind not in "fc" and array.dtype.name != "bfloat16":
            continue
        array = np.atleast_1d(array)
        is_bad = ~np.isfinite(_wide(array))
        if is_bad.any() and not first:
            position = tuple(int(index) for index in np.argwhere(is_bad)[0][1:])
            first = f"such as {array[is_bad].reshape(-1)[0]}"
            first += f" at position {position} of a row" if position else ""
        bad += int(is_bad.sum())
        rows += int(is_bad.reshape(len(array), -1).any(-1).sum()) if len(array) else 0
        total += is_bad.size
    if bad:
        yield Finding(
            "non-finite",
            "error",
            f"{bad:,} of {total:,} numbers in {place} are NaN or infinite, in {rows:,} "
            f"{'row' if rows == 1 else 'rows'}, {first}.",
            fix,
            output,
        )


def initial_loss(output: Output) -> Iterator[Finding]:
    """`initial-loss`: far above chance before the first step.

    Far below is no finding: a bias that begins at the class shares, or weights from elsewhere,
    are ways to begin.
    """
    pairs = [pair for pair in output.seen if pair.values is not None and pair.chance is not None]
    if not output.is_untrained or not pairs:
        return
    values = np.concatenate([_counted(pair, pair.values) for pair in pairs])
    chance = np.concatenate([_counted(pair, pair.chance) for pair in pairs])
    if not len(values) or not np.isfinite(values).all() or not np.isfinite(chance).all():
        return
    loss, expected = float(values.mean()), float(chance.mean())
    if loss <= 3 * expected + 1 or expected <= 0:
        return
    largest = max(float(np.abs(_wide(pair.y_pred)).max()) for pair in pairs)
    scale = f" Its outputs reach {largest:.3g}." if output.kind.from_logits else ""
    yield Finding(
        "initial-loss",
        "warning",
        f"Before its first step the model has loss {loss:.3g}, and one that knows nothing has "
        f"{expected:.4g}{_formula(output, expected)}.{scale}",
        "Scale the inputs to about -1 to 1 and look at the initializer of the last layer; if the "
        "model was trained elsewhere, on other classes, ignore this.",
        output.name,
    )


def _formula(output: Output, expected: float) -> str:
    kind = output.kind
    candidates = {f"ln {output.num_classes}": np.log(output.num_classes), "ln 2": np.log(2)}
    if kind.group_sizes:
        terms = " + ".join(f"ln {size}" for size in kind.group_sizes[:8])
        candidates[terms] = float(np.log(kind.group_sizes).sum())
    for text, value in candidates.items():
        if abs(value - expected) < 1e-3 * expected:
            return f" = {text}"
    return ""


def dead_gradient(output: Output) -> Iterator[Finding]:
    """`dead-gradient`: a high loss, and nothing to learn from it."""
    dead, total, worst = 0, 0, 0.0
    for pair in output.seen:
        if pair.gradient is None or pair.values is None or pair.chance is None:
            continue
        high, slopes, losses = _high(output, pair)
        if high is None:
            continue
        is_dead = high & (slopes == 0)
        dead += int(is_dead.sum())
        total += is_dead.size
        if is_dead.any():
            worst = max(worst, float(losses[is_dead].max()))
    if not dead:
        return
    what = "labels" if output.kind.family == "sigmoid" else "positions"
    yield Finding(
        "dead-gradient",
        "error" if dead > total / 2 else "warning",
        f"{dead:,} of {total:,} {what} have a high loss, up to {worst:.3g}, and a gradient of "
        "exactly 0 at the output: the model cannot learn from them.",
        _with_gradient(output),
        output.name,
    )


def _with_gradient(output: Output) -> str:
    """What keeps the gradient."""
    name, is_logits = type(output.loss).__name__, output.kind.from_logits
    if is_logits and output.kind.is_ours:
        return "Lower the learning rate or clip gradients: the outputs have run away."
    own = keras_ce.losses
    if name == "CategoricalFocalCrossentropy":
        loss = rewritten(output, own.FocalCrossentropy, from_logits=True)
    elif name == "CategoricalGeneralizedCrossEntropy":
        loss = rewritten(output, own.GeneralizedCrossentropy, from_logits=True)
    elif name == "KLDivergence":
        loss = rewritten(output, keras.losses.CategoricalCrossentropy, from_logits=True)
    elif isinstance(output.loss, FunctionLoss):
        fix = "give from_logits=True to the loss that the function calls."
        return f"Remove the activation from the model and {fix}"
    else:
        loss = written(output, from_logits=True)
    if is_logits:
        return f"Write {loss}, which keeps the gradient."
    return f"Remove the activation from the model and write {loss}."


def _high(output: Output, pair: Pair) -> tuple[Array, Array, Array]:
    """Where the loss is high; the largest slope there; the loss: one number per position."""
    gradient, values = _wide(pair.gradient), _wide(pair.values)
    if output.kind.family == "sigmoid":
        labels = np.asarray(pair.y_true, "float64")
        if labels.size != gradient.size:
            return None, None, None
        predicted = _wide(pair.y_pred)
        if output.kind.from_logits:
            predicted = (predicted > 0).astype(float)
        error = np.abs(labels.reshape(gradient.shape) - predicted)
        trailing = (1,) * (gradient.ndim - values.ndim)
        losses = np.broadcast_to(values.reshape(values.shape + trailing), gradient.shape)
        counts = _counts_of(pair, gradient)
        if output.kind.ignore is not None:
            counts = counts & (labels.reshape(gradient.shape) != output.kind.ignore)
        return (error > 0.5) & counts & np.isfinite(losses), np.abs(gradient), losses
    slopes = np.abs(gradient).max(output.kind.axis)
    if slopes.shape != values.shape:
        return None, None, None
    counts = _counts_of(pair, slopes)
    high = (values > _wide(pair.chance)) & np.isfinite(values) & counts
    return high, slopes, values


def _counts_of(pair: Pair, like: Array) -> Array:
    counts = np.ones(like.shape, bool)
    for part in (pair.mask, pair.weight):
        if part is not None:
            part = np.asarray(part)
            part = part.reshape(part.shape + (1,) * (like.ndim - part.ndim))
            if part.ndim == like.ndim and all(
                size in (1, other) for size, other in zip(part.shape, like.shape, strict=True)
            ):
                counts = counts & (part != 0)
    return counts


def _counted(pair: Pair, values: Array) -> Array:
    values = _wide(values)
    return values[_counts_of(pair, values)]


def _wide(array: Array) -> Array:
    return np.asarray(array, "float64") if array.dtype.kind != "c" else np.asarray(array)
