"""Shapes: weights against losses, and what a loss of the user returns."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_ce._core.checks import to_numpy
from keras_ce.diagnosis._gradient import if_it_fits
from keras_ce.diagnosis._losses import of_each_position
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._report import Finding
from keras_ce.diagnosis._sample import Batch
from keras_ce.diagnosis._user_code import call_user_code

Array = Any


def ignored_weights(model: Any, batches: list[Batch], outputs: list[Output]) -> Iterator[Finding]:
    """`ignored-weights`: sample weights that no loss is multiplied by."""
    if any(output.loss is not None for output in outputs):
        return
    has_own_step = any(
        getattr(type(model), name).__module__.partition(".")[0] != "keras"
        for name in ("train_step", "compute_loss")
        if hasattr(type(model), name)
    )
    if has_own_step or all(batch.sample_weight is None for batch in batches):
        return
    yield Finding(
        "ignored-weights",
        "error",
        "sample_weight is given, and the model is compiled without a loss: Keras hands the weights "
        "to the compiled loss alone, and those that layers add with add_loss do not see them.",
        "Make the weights an input of the model, and hand them to the layer that adds the loss; "
        "keras_ce.layers.LinearCrossentropy takes them as sample_weight.",
    )


def weight_findings(output: Output) -> Iterator[Finding]:
    """`weights-along-time`, and `broadcast` of a loss that returns one number."""
    pair = output.seen[0]
    if pair.weight is None or pair.values is None:
        return
    weight, values = np.shape(pair.weight), np.shape(pair.values)
    if values == ():
        yield Finding(
            "broadcast",
            "error",
            f"The loss {output.kind.name} returns one number for the whole batch, so Keras "
            "multiplies it by the mean weight: sample_weight does not tell rows apart.",
            "Return one loss per row, without the mean over the batch; Keras takes it.",
            output.name,
        )
    elif not output.kind.is_ours and len(weight) == 1 and len(values) > 1 and values[-1] != 1:
        yield Finding(
            "weights-along-time",
            "error",
            f"sample_weight has one number per row, {_shape(weight)}, and {output.kind.name} one "
            f"loss per position, {_shape(values)}: Keras multiplies along the last axis, fails "
            f"unless a batch has {values[-1]} rows, and weighs positions instead of rows if so.",
            "Give sample_weight[:, None], or take a loss of keras_ce.losses, where (batch,) weighs "
            "rows.",
            output.name,
        )


def broadcast(output: Output) -> Iterator[Finding]:
    """`broadcast`: (B,) against (B, 1) makes (B, B) in a loss of the user."""
    pair = output.seen[0]
    if not output.kind.is_custom or output.kind.is_ours or pair.y_true is None:
        return
    rows = len(pair.y_pred)
    if rows < 3 or np.shape(pair.values)[:2] != (rows, rows):
        return
    fewer = rows - 1  # both axes follow the number of rows, or it is a coincidence

    def losses(y_true: Array, y_pred: Array) -> Array:
        return to_numpy(of_each_position(output.loss)(y_true, y_pred))

    again = call_user_code(if_it_fits, losses, pair.y_true[:fewer], pair.y_pred[:fewer])
    if again is None or again.shape[:2] != (fewer, fewer):
        return  # made for this number of rows: then it is not known
    labels, outputs = np.shape(pair.y_true), np.shape(pair.y_pred)
    if len(labels) > 1 and len(outputs) > 1 and labels[1] == outputs[1] == rows:
        return  # all against all is meant
    yield Finding(
        "broadcast",
        "error",
        f"The loss {output.kind.name} returns {_shape(np.shape(pair.values))} for {rows} rows: "
        f"labels {_shape(labels)} against outputs {_shape(outputs)} compare each row with all.",
        "Give labels of the outputs' shape, such as y[:, None], or begin the loss with "
        "y_true = keras.ops.reshape(y_true, keras.ops.shape(y_pred)).",
        output.name,
    )


def _shape(shape: tuple[int, ...]) -> str:
    return str(tuple(shape))
