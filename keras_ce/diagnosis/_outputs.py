"""The outputs of a model on the sample, each with its loss, labels, weights, values, gradient."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_ce._core.checks import to_numpy
from keras_ce.diagnosis import _structure
from keras_ce.diagnosis._activation import End, end_in_graph, end_of_values
from keras_ce.diagnosis._evaluation import Pair, evaluate, mask_of
from keras_ce.diagnosis._identity import identify
from keras_ce.diagnosis._losses import LossKind, as_loss, kind_of
from keras_ce.diagnosis._run import predictions_of
from keras_ce.diagnosis._sample import Batch
from keras_ce.diagnosis._user_code import UserCodeError

Array = Any


@dataclasses.dataclass
class Output:
    """One output: what the loss expects of it, what it ends in, and its pairs.

    `failure` is what the loss raises, or an empty text.
    """

    name: str
    loss: Any
    kind: LossKind
    pairs: list[Pair]
    end: End = dataclasses.field(default_factory=lambda: End(""))
    is_untrained: bool = False
    still_varies: bool = True  # with other weights
    failure: str = ""

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


def collect(model: Any, batches: list[Batch], loss: Any) -> tuple[list[Output], int, Any]:
    """Run the model on as many batches as time allows, and pair everything up.

    Returns:
        The outputs, the number of rows that went through the model, and what it returns for the
        first of them, in its structure.

    Raises:
        ModelError: the model does not run.
        InputError: labels, weights or losses do not fit the outputs.
        UserCodeError: the `get_config` of a loss raises.
    """
    predictions = predictions_of(model, batches)
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
            pair.mask = mask_of(tensor)
        if given[index] is None:
            outputs.append(Output(name, None, LossKind("no loss"), pairs))
            continue
        first = pairs[0]
        label_shape = (1,) if first.y_true is None else tuple(first.y_true.shape)
        one = as_loss(given[index], label_shape, tuple(first.y_pred.shape))
        kind, end = kind_of(one), end_in_graph(model, index)
        output = Output(name, one, kind, pairs, end, _is_untrained(model))
        outputs.append(output)
        try:
            output.kind = identify(one, kind, first.y_true, tensors[0])
            evaluate(one, output.kind, pairs, tensors)
        except UserCodeError as error:
            output.failure = str(error)
    return outputs, rows, y_pred


def _is_untrained(model: Any) -> bool:
    optimizer = getattr(model, "optimizer", None)
    return optimizer is not None and int(to_numpy(optimizer.iterations.value)) == 0


def unclear_outputs(outputs: list[Output]) -> list[Output]:
    """Those whose end the graph does not tell, or that are constant: their values are asked."""
    return [
        output
        for output in outputs
        if output.shape
        and ((output.kind.from_logits is not None and not output.end.kind) or is_constant(output))
    ]


def measure_ends(outputs: list[Output], unclear: list[Output], perturbed: list[Any] | None) -> None:
    """Ask the values of the unclear ones of all outputs, and those with other weights, if any."""
    for index, output in enumerate(outputs):
        if output not in unclear:
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
