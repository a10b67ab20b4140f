"""A bounded number of rows out of whatever Keras trains on, as batches of NumPy arrays."""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ce._core.checks import to_numpy
from keras_ce.diagnosis._user_code import described

MOST_ROWS = 5_000
ROWS_OF_A_BATCH = 256
_MOST_BATCHES = 2_000  # an endless stream of empty batches ends too
_MOST_SECONDS = 5.0  # of reading a stream, once it has given a row

Array = np.ndarray[Any, Any]


class InputError(ValueError):
    """The user's loss, labels or weights do not fit; the text says how to put it right."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Inputs, labels and weights of some rows, as (nested) structures of arrays, or None."""

    x: Any
    y: Any
    sample_weight: Any
    rows: int


def read_batches(
    x: Any, y: Any, sample_weight: Any, rows_at_once: int = ROWS_OF_A_BATCH
) -> list[Batch]:
    """Up to a few thousand rows of arrays, of a dataset or of a generator's batches.

    Rows of arrays are taken evenly from the whole, so that sorted data shows all its classes, and
    each batch spans the whole again. A stream is read from its beginning, no further than needed.

    Raises:
        ValueError: the data cannot be read, is empty, or its parts differ in their number of rows.
    """
    if not is_stream(x):
        weights = _arrays("sample_weight", sample_weight)
        return _split(_arrays("x", x), _arrays("y", y), weights, rows_at_once)
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(
                f"`{name}` must be left out where `x` gives whole batches. Received: x of type "
                f"{type(x).__name__} and {name}. Let `x` give (inputs, labels, sample_weight)."
            )
    batches: list[Batch] = []
    rows, start = 0, time.monotonic()
    for number, element in enumerate(_stream(x)):
        batch = _batch(*(_arrays(f"batch {number}", part) for part in _unpacked(element)))
        if batch.rows:
            batches.append(batch)
            rows += batch.rows
        is_late = bool(rows) and time.monotonic() - start > _MOST_SECONDS
        if rows >= MOST_ROWS or number + 1 >= _MOST_BATCHES or is_late:
            break
    if not rows:
        raise ValueError(
            f"`x` must give at least one row. Received: {type(x).__name__} without any. A "
            "generator that has been read once is empty: hand over a fresh one."
        )
    return batches


def all_batches(x: Any, y: Any, sample_weight: Any, rows_at_once: int) -> Iterator[Batch]:
    """Every row in its order: pieces of arrays, or the batches of a dataset.

    Raises:
        ValueError: as `read_batches`.
    """
    if is_stream(x):
        elements = (x[index] for index in range(len(x))) if hasattr(x, "__getitem__") else x
        for number, element in enumerate(elements):
            yield _batch(*(_arrays(f"batch {number}", part) for part in _unpacked(element)))
        return
    whole = _batch(_arrays("x", x), _arrays("y", y), _arrays("sample_weight", sample_weight))
    for start in range(0, whole.rows, rows_at_once):
        rows = np.arange(start, min(start + rows_at_once, whole.rows))
        parts = [_taken(part, rows) for part in (whole.x, whole.y, whole.sample_weight)]
        yield Batch(parts[0], parts[1], parts[2], len(rows))


def is_stream(x: Any) -> bool:
    """Whether inputs come in batches of their own."""
    if isinstance(x, (keras.utils.PyDataset, Iterator)) or hasattr(x, "element_spec"):
        return True
    is_array = hasattr(x, "shape") or hasattr(x, "__array__") or hasattr(x, "to_numpy")
    is_structure = isinstance(x, (list, tuple, Mapping, str, bytes))
    return isinstance(x, Iterable) and not is_array and not is_structure


def _stream(x: Any) -> Iterator[Any]:
    if not isinstance(x, keras.utils.PyDataset):
        yield from x
        return
    try:
        number = x.num_batches
    except NotImplementedError:
        number = None
    # Evenly from the whole, as with arrays; how many are needed shows the first.
    if number is None or number == 0:
        yield from (x[index] for index in range(0 if number == 0 else _MOST_BATCHES))
        return
    first = x[0]
    yield first
    rows = max(1, _batch(*(_arrays("batch 0", part) for part in _unpacked(first))).rows)
    chosen = np.linspace(0, number - 1, min(number, -(-MOST_ROWS // rows)), dtype=int)
    yield from (x[int(index)] for index in np.unique(chosen)[1:])


def _unpacked(element: Any) -> tuple[Any, Any, Any]:
    if isinstance(element, list):
        element = tuple(element)
    try:
        return keras.utils.unpack_x_y_sample_weight(element)
    except ValueError:
        raise ValueError(
            "`x` must give batches (inputs,), (inputs, labels) or (inputs, labels, "
            f"sample_weight). Received: a {type(element).__name__} of {len(element)} parts."
        ) from None


def _arrays(name: str, value: Any) -> Any:
    """A structure of arrays, tensors or (nested) lists of numbers as one of NumPy arrays."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)) and all(map(_is_plain, keras.tree.flatten(value))):
        return _array(name, value)
    return keras.tree.map_structure(
        lambda leaf: None if leaf is None else _array(name, leaf), value
    )


def _is_plain(leaf: Any) -> bool:
    return isinstance(leaf, (bool, int, float, str, bytes))


def _array(name: str, value: Any) -> Any:
    if hasattr(value, "detach"):  # a torch tensor, on any backend
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        value = value.numpy()
    elif hasattr(value, "to_numpy"):  # pandas
        value = value.to_numpy()
    is_foreign = not ops.is_tensor(value) and not hasattr(value, "numpy")
    if is_foreign and hasattr(value, "shape") and hasattr(value, "__getitem__"):
        return value  # sliced before it is converted: it may lie on disk, as HDF5 does
    try:
        array = to_numpy(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"`{name}` must hold arrays or tensors with one length per axis. Received: "
            f"{type(value).__name__} ({described(error)})."
        ) from None
    return array


def _rows(structure: Any) -> list[int]:
    lengths = []
    for leaf in keras.tree.flatten(structure):
        if leaf is None:
            continue
        if not len(leaf.shape):
            raise ValueError(
                f"`x`, `y` and `sample_weight` must have rows. Received: a single number, {leaf!s}."
            )
        lengths.append(int(leaf.shape[0]))
    return lengths


def _batch(x: Any, y: Any, sample_weight: Any) -> Batch:
    lengths = {
        name: _rows(part) for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight))
    }
    if not lengths["x"]:
        raise ValueError(f"`x` must hold at least one array. Received: {x!r}.")
    rows = lengths["x"][0]
    if any(length != rows for part in lengths.values() for length in part):
        shown = ", ".join(
            f"{name} has {' and '.join(map(str, dict.fromkeys(part)))}"
            for name, part in lengths.items()
            if part
        )
        raise ValueError(
            "`x`, `y` and `sample_weight` must have the same number of rows, one label for each "
            f"input. Received: {shown}."
        )
    return Batch(x, y, sample_weight, rows)


def _split(x: Any, y: Any, sample_weight: Any, rows_at_once: int) -> list[Batch]:
    whole = _batch(x, y, sample_weight)
    if not whole.rows:
        raise ValueError("`x` must have at least one row. Received: arrays without any.")
    number = min(whole.rows, MOST_ROWS)
    chosen = np.unique(np.linspace(0, whole.rows - 1, number).astype(int))
    parts = -(-len(chosen) // rows_at_once)
    return [
        Batch(_taken(x, rows), _taken(y, rows), _taken(sample_weight, rows), len(rows))
        for rows in (chosen[part::parts] for part in range(parts))
    ]


def _taken(structure: Any, rows: Array) -> Any:
    return keras.tree.map_structure(
        lambda leaf: None if leaf is None else np.asarray(leaf[rows]), structure
    )
