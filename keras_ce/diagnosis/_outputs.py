"""The outputs of a model on the sample, each with its loss, labels, weights, values, gradient."""

import dataclasses
import functools
import inspect
import time
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ce.diagnosis import _structure
from keras_ce.diagnosis._activation import (
    End,
    end_in_graph,
    end_of_values,
    with_random_weights,
)
from keras_ce.diagnosis._gradient import values_and_gradient
from keras_ce.diagnosis._losses import LossKind, as_loss, kind_of, of_each_position
from keras_ce.diagnosis._sample import Batch, first_line
from keras_ce.losses._checks import to_numpy
from keras_ce.losses._masks import keras_mask

Array = Any
_MOST_SECONDS = 2.0  # of forward passes, after the first


@dataclasses.dataclass
class Pair:
    """One output of one batch with its labels.

    Attributes:
        y_true: labels, or None.
        y_pred: predictions, or None where this batch did not go through the model.
        weight: sample weights, or None.
        mask: which positions count according to Keras's mask, or None.
        values: the loss of each position, or None.
        chance: the same for a prediction that knows nothing, or None.
        gradient: the gradient of the losses' sum with respect to `y_pred`, or None.
        failure: why the loss has no values.
    """

    y_true: Array
    y_pred: Array
    weight: Array
    mask: Array = None
    values: Array = None
    chance: Array = None
    gradient: Array = None
    failure: str = ""


@dataclasses.dataclass
class Output:
    """One output: what the loss expects of it, what it ends in, and its pairs."""

    name: str
    loss: Any
    kind: LossKind
    end: End
    pairs: list[Pair]
    is_untrained: bool
    still_varies: bool

    @property
    def seen(self) -> list[Pair]:
        """The pairs that went through the model."""
        return [pair for pair in self.pairs if pair.y_pred is not None]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the predictions of the first batch."""
        return tuple(self.seen[0].y_pred.shape)

    @property
    def num_classes(self) -> int:
        """The size of the class axis."""
        return int(self.shape[self.kind.axis]) if self.shape else 1

    @property
    def failure(self) -> str:
        """Why the loss has no values, or an empty text."""
        return next((pair.failure for pair in self.pairs if pair.failure), "")


def run(model: Any, x: Any, trainable: list[Any] | None = None) -> Any:
    """The outputs of a model as in inference; nothing in it changes, its seeds neither."""
    if trainable is None:
        trainable = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    options = {"training": False} if "training" in _parameters(model.call) else {}
    return model.stateless_call(trainable, others, x, **options)[0]


def _parameters(function: Any) -> Any:
    return inspect.signature(function).parameters


def collect(model: Any, batches: list[Batch], loss: Any) -> tuple[list[Output], int]:
    """Run the model on as many batches as time allows, and pair everything up.

    Returns:
        The outputs, and the number of rows that went through the model.

    Raises:
        ModelError: the model does not run.
        ValueError: labels, weights or losses do not fit the outputs.
    """
    predictions = _predictions(model, batches)
    y_pred = predictions[0]
    names, paths = _structure.output_names(model, y_pred), _structure.output_paths(y_pred)
    given = _structure.losses_of_outputs(loss, names, paths, model)
    has_loss = [each is not None for each in given]

    def parts(value: Any, what: str) -> list[Any]:
        return _structure.parts_of_outputs(value, names, paths, has_loss, what)

    labels = [parts(batch.y, "y") for batch in batches]
    weights = [parts(batch.sample_weight, "sample_weight") for batch in batches]
    flat = [keras.tree.flatten(each) for each in predictions]
    rows = sum(batch.rows for batch in batches[: len(flat)])
    outputs = []
    for index, name in enumerate(names):
        pairs = [
            Pair(label[index], None, weight[index])
            for label, weight in zip(labels, weights, strict=True)
        ]
        tensors = [each[index] for each in flat]
        for pair, tensor in zip(pairs, tensors, strict=False):
            pair.y_pred = to_numpy(tensor)
            pair.mask = _mask(tensor)
        output = _output(name, given[index], pairs)
        output.is_untrained = _is_untrained(model)
        end = end_in_graph(model, index)
        output.end = end
        outputs.append(output)
        if output.loss is not None:
            _evaluate(output, tensors)
    _measure_ends(model, batches[0].x, outputs)
    return outputs, rows


class ModelError(Exception):
    """The model does not run on the first batch."""


def _predictions(model: Any, batches: list[Batch]) -> list[Any]:
    predictions: list[Any] = []
    start = 0.0
    for batch in batches:
        try:
            predictions.append(run(model, batch.x))
        except Exception as error:  # whatever a model may raise is a finding
            raise ModelError(first_line(error)) from error
        if len(predictions) == 1:
            start = time.monotonic()
        elif time.monotonic() - start > _MOST_SECONDS:
            break
    return predictions


def _mask(tensor: Any) -> Array:
    try:
        mask = keras_mask(tensor, list(tensor.shape)[:-1])
    except ValueError:
        return None  # not one entry per position
    return None if mask is None else to_numpy(mask)


def _is_untrained(model: Any) -> bool:
    optimizer = getattr(model, "optimizer", None)
    return optimizer is not None and int(to_numpy(optimizer.iterations.value)) == 0


def _output(name: str, given: Any, pairs: list[Pair]) -> Output:
    if given is None:
        return Output(name, None, LossKind("no loss"), End(""), pairs, False, True)
    first = pairs[0]
    label_shape = () if first.y_true is None else tuple(first.y_true.shape)
    loss = as_loss(given, label_shape or (1,), tuple(first.y_pred.shape))
    return Output(name, loss, kind_of(loss), End(""), pairs, False, True)


def _evaluate(output: Output, tensors: list[Any]) -> None:
    """Fill in values, chance and gradient of each pair, or why there are none."""
    each_position = of_each_position(output.loss)
    for pair, tensor in zip(output.pairs, tensors, strict=False):
        if pair.y_true is None:
            continue
        try:
            # Ours look away where nothing counts, Keras's do not.
            counts = _counted(pair) if output.kind.is_ours else None
            losses = functools.partial(each_position, pair.y_true, sample_weight=counts)
            values, gradient = values_and_gradient(losses, tensor)
            pair.values = to_numpy(values)
            pair.gradient = None if gradient is None else to_numpy(gradient)
            chance = _of_chance(output.kind, tensor)
            if chance is not None:
                pair.chance = to_numpy(losses(chance))
        except Exception as error:  # whatever a loss may raise is a finding
            pair.failure = first_line(error)
            return


def _counted(pair: Pair) -> Array:
    """1 where a position counts, 0 where it is masked or without weight; None where all count."""
    weight = None if pair.weight is None else np.asarray(pair.weight) != 0
    if pair.mask is None:
        return None if weight is None else weight.astype("float32")
    mask = np.asarray(pair.mask) != 0
    if weight is not None:
        mask = mask & weight.reshape(weight.shape + (1,) * (mask.ndim - weight.ndim))
    return mask.astype("float32")


def _of_chance(kind: LossKind, y_pred: Any) -> Any:
    """A prediction of `y_pred`'s shape that knows nothing, or None where none is known."""
    if kind.family not in ("softmax", "sigmoid", "grouped", "multi-label") or not y_pred.shape:
        return None
    if kind.from_logits:
        return ops.zeros_like(y_pred)
    if kind.family == "sigmoid":
        return ops.full_like(y_pred, 0.5)
    if kind.family == "grouped":
        row = np.concatenate([np.full(size, 1 / size) for size in kind.group_sizes])
        return ops.zeros_like(y_pred) + ops.cast(row, y_pred.dtype)
    return ops.full_like(y_pred, 1 / y_pred.shape[kind.axis])


def _measure_ends(model: Any, x: Any, outputs: list[Output]) -> None:
    """Ask the values of those outputs whose end the graph does not tell, or that are constant."""
    asked = [
        output
        for output in outputs
        if (output.kind.from_logits is not None and not output.end.kind) or is_constant(output)
    ]
    if not asked:
        return
    few = keras.tree.map_structure(lambda leaf: leaf[:32], x)
    try:
        perturbed = with_random_weights(model, run, few)
    except Exception:  # a model that cannot take other weights
        perturbed = None
    for index, output in enumerate(outputs):
        if output not in asked:
            continue
        others = None
        if perturbed is not None:
            others = [to_numpy(keras.tree.flatten(each)[index]) for each in perturbed]
            finite = [each for each in others if np.isfinite(each).all()]
            output.still_varies = any(_varies(each) for each in finite)
        if not output.end.kind:
            axis = output.kind.axis
            output.end = end_of_values(
                [np.moveaxis(pair.y_pred, axis, -1) for pair in output.seen],
                None if others is None else [np.moveaxis(each, axis, -1) for each in others],
            )


def _varies(values: Array) -> bool:
    return bool(np.any(np.ptp(np.asarray(values, "float64"), axis=0) > 1e-6))


def is_constant(output: Output) -> bool:
    """Whether every row of every batch has the same prediction."""
    shapes = {pair.y_pred.shape[1:] for pair in output.seen}
    if len(shapes) != 1 or not output.shape:
        return False
    rows = np.concatenate([np.asarray(pair.y_pred, "float64") for pair in output.seen])
    if len(rows) < 8 or not np.isfinite(rows).all():
        return False
    scale = max(1e-3, float(np.abs(rows).max()))
    return bool(np.ptp(rows, axis=0).max() <= 1e-6 * scale)
