"""Which rows make a loss NaN or large, which of their numbers, and where in the model it arises."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_ce._core.checks import to_numpy
from keras_ce.diagnosis._all_rows import RowByRow, loss_of_rows
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._sample import Batch
from keras_ce.diagnosis._user_code import UserCodeError, call_user_code

Array = Any
MOST_ROWS = 100


@dataclasses.dataclass(frozen=True)
class RowFinding:
    """What is wrong with a row that makes the loss NaN, infinite or large.

    Attributes:
        row: its number in the data, from 0; of what gives batches, counted through them in order.
        argument: what holds the number: `"input"`, `"label"` or `"sample_weight"`, with the name
            where there are several, such as `"input 'title'"`; `"model"` or `"loss"` where the
            row is finite and the number arises in there.
        message: what was seen.
        layer: the layer where the first number that is not finite arises, or an empty text.
        loss: the loss of the row, NaN included.
    """

    row: int
    argument: str
    message: str
    layer: str
    loss: float

    def __str__(self) -> str:
        """One line."""
        where = f"; first in the layer {self.layer!r}" if self.layer else ""
        return f"row {self.row}, {self.argument}: {self.message}{where}"


def find_culprits(
    model: Any, rows: RowByRow, is_large: Callable[[Array], Array]
) -> tuple[list[RowFinding], list[Batch]]:
    """Goes over all rows, and tells of the first hundred that are to blame.

    Args:
        model: the model.
        rows: its data, with the weights that it has meanwhile.
        is_large: says of losses (rows,) which of them are worth naming, finite as they are.

    Returns:
        The findings, at least one for each row, and these rows.
    """
    findings: list[RowFinding] = []
    parts: list[Batch] = []
    start = 0
    for batch in rows.batches():
        holes = _holes(batch)
        for row in _suspects(rows, batch, holes, is_large):
            if len(parts) == MOST_ROWS:
                return findings, parts
            part = _taken(batch, row)
            parts.append(part)
            loss, outputs, failure = _losses(rows, part)
            value = float(loss[0]) if len(loss) else float("nan")
            for argument, message in _reasons(holes, row, outputs, failure, value):
                layer = ""
                if argument.partition(" ")[0] in ("input", "model"):
                    layer = _first_layer(model, rows, part)
                findings.append(RowFinding(start + row, argument, message, layer, value))
        start += batch.rows
    return findings, parts


def _suspects(
    rows: RowByRow, batch: Batch, holes: dict[str, Array], is_large: Callable[[Array], Array]
) -> list[int]:
    """The rows of a batch that hold or make what is not finite, or have a large loss."""
    losses, _, failure = _losses(rows, batch)
    if failure:  # one of them is enough
        bad = np.array([bool(_losses(rows, _taken(batch, row))[2]) for row in range(batch.rows)])
    else:
        bad = ~np.isfinite(losses) | is_large(losses)
    for each in holes.values():
        bad = bad | (np.isnan(each) == 0)
    return [int(row) for row in np.flatnonzero(bad)]


def _reasons(
    holes: dict[str, Array], row: int, outputs: list[Output], failure: str, loss: float
) -> Iterator[tuple[str, str]]:
    """The argument that is to blame for a row, and what was seen of it."""
    in_data = [what for what, places in holes.items() if not np.isnan(places[row])]
    if in_data:
        for what in in_data:
            yield what, f"not finite at place {int(holes[what][row])} of the row"
        return
    if failure:
        yield ("label" if failure.startswith("loss: ") else "model"), failure.partition(": ")[2]
        return
    for output in outputs:
        values = output.pairs[0].values
        if not np.isfinite(np.asarray(output.pairs[0].y_pred, "float64")).all():
            yield "model", "the row is finite, and the prediction is not"
            return
        if values is not None and not np.isfinite(np.asarray(values, "float64")).all():
            label = np.asarray(output.pairs[0].y_true)
            if _is_refused(output, label):
                yield "label", f"{output.kind.name} does not take {label[0].tolist()}"
            else:
                yield "loss", "row and prediction are finite, and the loss is not"
            return
    yield "loss", f"the loss is {loss:.4g}"


def _is_refused(output: Output, label: Array) -> bool:
    """Whether a label is the reason for a loss that is not finite."""
    if output.kind.is_ours:
        return True  # of finite predictions nothing else makes it NaN
    is_id = output.kind.family == "softmax" and label.size < np.size(output.pairs[0].y_pred)
    return is_id and bool(((label < 0) | (label >= output.num_classes)).any())


def _losses(rows: RowByRow, batch: Batch) -> tuple[Array, list[Output], str]:
    """The loss of each row, all outputs added up, and the outputs; or what model or loss raise."""
    try:
        outputs = rows.outputs(batch)
    except UserCodeError as error:
        try:
            call_user_code(rows.predictions, batch.x)
        except UserCodeError:
            return np.zeros(0), [], f"model: {error}"
        return np.zeros(0), [], f"loss: {error}"
    losses = np.zeros(batch.rows)
    for output in outputs:
        if output.pairs[0].values is not None:
            losses = losses + loss_of_rows(output)
    return losses, outputs, ""


def _holes(batch: Batch) -> dict[str, Array]:
    """For each array that is not finite the place of the first such number in each row, or NaN."""
    found = {}
    for what, structure in (
        ("input", batch.x),
        ("label", batch.y),
        ("sample_weight", batch.sample_weight),
    ):
        for path, leaf in keras.tree.flatten_with_path(structure):
            if leaf is None or np.asarray(leaf).dtype.kind in "biuOSUT":
                continue
            array = np.asarray(leaf)
            is_bad = ~np.isfinite(array).reshape(len(array), -1)
            if is_bad.any():
                name = "/".join(map(str, path))
                places = np.where(is_bad.any(1), is_bad.argmax(1), np.nan)
                found[f"{what} {name!r}" if name else what] = places
    return found


def _taken(batch: Batch, row: int) -> Batch:
    def one(structure: Any) -> Any:
        return keras.tree.map_structure(
            lambda leaf: None if leaf is None else leaf[row : row + 1], structure
        )

    return Batch(one(batch.x), one(batch.y), one(batch.sample_weight), 1)


def _first_layer(model: Any, rows: RowByRow, batch: Batch) -> str:
    """The name of the layer or operation whose output is the first that is not finite."""
    found: list[str] = []
    with contextlib.ExitStack() as stack:
        for operation in _operations(model):
            stack.enter_context(_watched(operation, found))
        with contextlib.suppress(UserCodeError):  # it may raise, as in the training
            call_user_code(rows.predictions, batch.x)
    return found[0] if found else ""


def _operations(model: Any) -> list[Any]:
    """All layers and operations inside a model, those of nested models and wrappers too."""
    found: dict[int, Any] = {}

    def visit(operation: Any) -> None:
        if id(operation) in found:
            return
        found[id(operation)] = operation
        inner = [*(getattr(operation, "layers", None) or [])]
        inner += getattr(operation, "operations", None) or []
        inner += [getattr(operation, name, None) for name in ("layer", "forward_layer", "cell")]
        for each in inner:
            if isinstance(each, keras.Operation):
                visit(each)

    visit(model)
    return [each for each in found.values() if not isinstance(each, keras.Model)]


@contextlib.contextmanager
def _watched(operation: Any, found: list[str]) -> Iterator[None]:
    """Notes the name of an operation that returns what is not finite."""
    call = operation.call

    def watched(*arguments: Any, **options: Any) -> Any:
        result = call(*arguments, **options)
        if not all(map(_is_finite, keras.tree.flatten(result))):
            found.append(operation.name)
        return result

    # Not by `setattr`, which would have Keras track what is set.
    vars(operation)["call"] = watched
    try:
        yield
    finally:
        del vars(operation)["call"]


def _is_finite(value: Any) -> bool:
    if not keras.ops.is_tensor(value):
        return True
    array = to_numpy(value)
    return array.dtype.kind in "biu" or bool(np.isfinite(array).all())
