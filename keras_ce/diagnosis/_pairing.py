"""Whether Keras itself can pair labels, weights and losses with the outputs: it is asked."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_ce.diagnosis._report import Finding
from keras_ce.diagnosis._sample import Batch
from keras_ce.diagnosis._user_code import UserCodeError, call_user_code

_ROWS = 2


class _Stand(keras.Model):
    """A model that returns its inputs in the structure of the outputs of another."""

    def __init__(self, names: Any, structure: Any) -> None:
        super().__init__()
        self._pack = functools.partial(keras.tree.pack_sequence_as, structure)
        if names is not None:
            self.output_names = names

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        return self._pack(keras.tree.flatten(inputs))


def structure_mismatch(
    model: Any, y_pred: Any, batch: Batch, loss: Any, is_stream: bool
) -> Iterator[Finding]:
    """`structure-mismatch`: labels, weights or losses in a structure that Keras refuses.

    Asked with two rows of one number in place of each array, so that nothing but the structure
    counts. Arrays for a single output need no question.
    """
    if len(keras.tree.flatten(y_pred)) == 1:
        loss = None  # whichever: there is one
    structured = (batch.y, batch.sample_weight, loss)
    if not any(isinstance(each, (list, tuple, Mapping)) for each in structured):
        return
    if batch.y is None or (isinstance(loss, Mapping) and "class_name" in loss):
        return
    loss = loss or _nothing
    labels = _ones(batch.y, (_ROWS, 1))
    weights = _ones(batch.sample_weight, (_ROWS,))
    refusal = _refusal(model, y_pred, labels, weights, loss, is_stream)
    if refusal is None:
        return
    fitting = keras.tree.map_structure(lambda _: np.ones((_ROWS, 1), "float32"), y_pred)
    what = f"labels {_shown(batch.y)}"
    if batch.sample_weight is not None:
        what += f" and sample_weight {_shown(batch.sample_weight)}"
    fix = f"Give labels, and weights where there are any, as {_shown(y_pred)}"
    if _refusal(model, y_pred, fitting, None, loss, is_stream) is not None:
        fix += ", and the losses likewise, with None for an output without one"
    yield Finding(
        "structure-mismatch",
        "error",
        f"Keras refuses {what} for the outputs {_shown(y_pred, model)}: {refusal}",
        f"{fix}.",
    )


def _refusal(
    model: Any, y_pred: Any, labels: Any, weights: Any, loss: Any, is_stream: bool
) -> str | None:
    """What Keras raises, or None."""
    stand = _Stand(getattr(model, "output_names", None), y_pred)
    losses = keras.tree.map_structure(lambda each: each and _nothing, loss)
    inputs = [np.ones((_ROWS, 1), "float32") for _ in keras.tree.flatten(y_pred)]

    def evaluate() -> None:
        stand.compile(loss=losses, run_eagerly=True)
        if is_stream:
            parts = (inputs, labels) if weights is None else (inputs, labels, weights)
            stand.evaluate(iter([tuple(parts)]), verbose=0)
        else:
            stand.evaluate(inputs, labels, sample_weight=weights, verbose=0)

    try:
        call_user_code(evaluate)
    except UserCodeError as error:
        return str(error)
    return None


def _nothing(y_true: Any, y_pred: Any) -> Any:
    """A loss of each row that takes everything."""
    return keras.ops.sum(y_pred, axis=-1)


def _ones(structure: Any, shape: tuple[int, ...]) -> Any:
    return keras.tree.map_structure(
        lambda leaf: None if leaf is None else np.ones(shape, "float32"), structure
    )


def _shown(structure: Any, model: Any = None) -> str:
    """A structure as one would write it, without its numbers."""
    if structure is None:
        return "None"
    if isinstance(structure, Mapping):
        return "{" + ", ".join(f"{name!r}: {_shown(structure[name])}" for name in structure) + "}"
    if isinstance(structure, (list, tuple)):
        names = list(getattr(model, "output_names", None) or [])
        shown = names if len(names) == len(structure) else list(map(_shown, structure))
        return f"[{', '.join(shown)}]" if isinstance(structure, list) else f"({', '.join(shown)},)"
    return "array"
