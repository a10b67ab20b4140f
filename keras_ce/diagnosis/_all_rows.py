"""All rows of the data, batch by batch, with the loss of each."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_ce._core.checks import to_numpy, value_checks
from keras_ce.diagnosis import _structure
from keras_ce.diagnosis._evaluation import Pair, counted, mask_of
from keras_ce.diagnosis._identity import identify
from keras_ce.diagnosis._losses import as_loss, kind_of, of_each_position
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._run import run
from keras_ce.diagnosis._sample import Batch, all_batches
from keras_ce.diagnosis._user_code import UserCodeError, call_user_code

Array = Any
ROWS_AT_ONCE = 256


class RowByRow:
    """Runs a model and its loss on all rows.

    Args:
        model: a built `keras.Model`.
        x: inputs, as in `fit`; what gives batches is gone through from its beginning.
        y: labels, likewise.
        sample_weight: weights, likewise.
        loss: as in `compile`.
        variables: pairs of a variable of the model and the value that it has meanwhile.
    """

    def __init__(
        self,
        model: Any,
        x: Any,
        y: Any,
        sample_weight: Any,
        loss: Any,
        variables: list[tuple[Any, Any]] | None = None,
    ) -> None:
        self._model = model
        self._data = (x, y, sample_weight)
        self._loss = loss
        self._variables = variables
        self._known: list[tuple[Any, Any]] = []

    def batches(self) -> Iterator[Batch]:
        """The data, up to `ROWS_AT_ONCE` rows at once; of a stream its own batches."""
        return all_batches(*self._data, ROWS_AT_ONCE)

    def predictions(self, x: Any) -> Any:
        """What the model returns, as in inference."""
        return run(self._model, x, self._variables)

    def outputs(self, batch: Batch) -> list[Output]:
        """The outputs of the model for a batch, those with a loss with the loss of each position.

        A label that a loss of `keras_ce` refuses has loss NaN.

        Raises:
            UserCodeError: the model or the loss raises.
            InputError: labels, weights or losses do not fit the outputs.
        """
        y_pred = call_user_code(self.predictions, batch.x)
        tensors = keras.tree.flatten(y_pred)
        names = _structure.output_names(self._model, y_pred)
        paths = _structure.output_paths(y_pred)
        given = _structure.losses_of_outputs(self._loss, names, paths, self._model)
        has_loss = [each is not None for each in given]
        parts = _structure.parts_of_outputs
        labels = parts(batch.y, names, paths, has_loss, "y")
        weights = parts(batch.sample_weight, names, paths, has_loss, "sample_weight")
        if not self._known:
            self._known = [
                _known(loss, label, tensor)
                for loss, label, tensor in zip(given, labels, tensors, strict=True)
            ]
        found = []
        for name, (loss, kind), label, weight, tensor in zip(
            names, self._known, labels, weights, tensors, strict=True
        ):
            pair = Pair(label, to_numpy(tensor), weight, mask_of(tensor))
            if loss is not None and label is not None:
                pair.values = call_user_code(_values, loss, kind, pair, tensor)
            found.append(Output(name, loss, kind, [pair]))
        return found


def _known(loss: Any, label: Array, tensor: Any) -> tuple[Any, Any]:
    if loss is None:
        return None, None
    shape = (1,) if label is None else tuple(label.shape)
    made = as_loss(loss, shape, tuple(tensor.shape))
    kind = kind_of(made)
    try:
        return made, identify(made, kind, label, tensor)
    except UserCodeError:
        return made, kind  # what it raises of these labels is said of the rows


def _values(loss: Any, kind: Any, pair: Pair, tensor: Any) -> Array:
    counts = counted(pair) if kind.is_ours else None
    with keras.StatelessScope(), value_checks(False):
        return to_numpy(of_each_position(loss)(pair.y_true, tensor, sample_weight=counts))


def loss_of_rows(output: Output) -> Array:
    """The loss of each row of a batch in float64: the mean over its positions that count.

    It is multiplied by the sample weight of the row, as in training.
    """
    pair = output.pairs[0]
    values = np.asarray(pair.values, "float64")
    rows = len(pair.y_pred)
    if not values.ndim:
        return np.full(rows, float(values))
    weight = np.ones(1) if pair.weight is None else np.asarray(pair.weight, "float64")
    weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    mask = np.ones(values.shape) if pair.mask is None else np.asarray(pair.mask, "float64")
    mask = np.broadcast_to(
        mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim)), values.shape
    )
    terms = values * weight * mask
    if output.kind.is_ours:  # For Keras's losses 0 times NaN is NaN, as in training.
        terms = np.where(weight * mask == 0, 0.0, terms)
    return terms.reshape(rows, -1).sum(1) / np.maximum(1, mask.reshape(rows, -1).sum(1))
