"""Runs a model without changing anything in it."""

import inspect
import math
import time
from typing import Any

import keras

from keras_ce.diagnosis._sample import ROWS_OF_A_BATCH, Batch
from keras_ce.diagnosis._user_code import UserCodeError, call_user_code

MOST_SECONDS = 2.0  # of forward passes, after the first
_NUMBERS_AT_ONCE = 4_000_000  # of an output: a language model has many for each row
_MOST_NUMBERS = 20_000_000


def rows_at_once(model: Any, x: Any) -> int:
    """How many rows may go through the model together, by the size of its outputs."""
    try:
        shapes = [list(each.shape) for each in model.outputs]
    except (AttributeError, TypeError, ValueError):
        return ROWS_OF_A_BATCH  # only a graph knows
    # An unknown size is that of a sequence, and as long as the inputs are.
    longest = 1
    for leaf in keras.tree.flatten(x):
        sizes = list(getattr(leaf, "shape", ()) or ())[1:]
        longest = max([longest, *(size for size in sizes if isinstance(size, int))])
    numbers = max(
        math.prod(longest if size is None else size for size in shape[1:]) for shape in shapes
    )
    return max(1, min(ROWS_OF_A_BATCH, _NUMBERS_AT_ONCE // max(1, numbers)))


def run(model: Any, x: Any, variables: list[tuple[Any, Any]] | None = None) -> Any:
    """The outputs of a model as in inference; nothing in it changes, its seeds neither.

    `variables`: pairs of a variable of the model and the value that it has in this call.
    """
    options = {"training": False} if "training" in _parameters(model.call) else {}
    # Not `stateless_call`, which hands NumPy arrays to `call` as they are: torch adds none.
    with keras.StatelessScope(state_mapping=variables or []):
        return model(x, **options)


def _parameters(function: Any) -> Any:
    return inspect.signature(function).parameters


class ModelError(Exception):
    """The model does not run on the first batch."""


def predictions_of(model: Any, batches: list[Batch]) -> list[Any]:
    """What the model returns for each batch, for as many as time and memory allow.

    Raises:
        ModelError: the model does not run.
    """
    predictions: list[Any] = []
    start, numbers = 0.0, 0
    for batch in batches:
        try:
            predictions.append(call_user_code(run, model, batch.x))
        except UserCodeError as error:
            raise ModelError(str(error)) from error
        if len(predictions) == 1:
            start = time.monotonic()  # what compiles does so in the first
        numbers += sum(math.prod(each.shape) for each in keras.tree.flatten(predictions[-1]))
        if time.monotonic() - start > MOST_SECONDS or numbers > _MOST_NUMBERS:
            break
    return predictions
