"""What a diagnosis is made of: inputs and labels from a file or folder, a loss by its name."""

import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy

import keras_ce
from recipes.images import image_files
from recipes.runs.archives import read_arrays
from recipes.runs.failures import UserError
from recipes.tables import table_files

_PARTS = ("x", "y", "sample_weight")


def read_data(
    path: pathlib.Path, label_columns: Sequence[str], channels: int | None = None
) -> dict[str, Any]:
    """The arguments `x`, `y` and, where there are any, `sample_weight` of `keras_ce.diagnose`.

    Args:
        path: A table: one column for each label, all others are inputs; an empty field is NaN.
            Or an .npz with arrays `x`, `y`, `sample_weight`; with several inputs or outputs
            `x_NAME`, `y_NAME`. Or a folder of pictures of one size, in a folder for each class, as
            `keras.utils.image_dataset_from_directory` takes it: pixels are from 0 to 255, and the
            classes are in alphabetical order.
        label_columns: Names of the columns of a table that hold labels.
        channels: Of pictures, 1 or 3; by default 1 where all of them are gray.

    Raises:
        UserError: If the file or a picture cannot be read.
    """
    if path.is_dir():
        return _read_folder(path, channels)
    if path.suffix.lower() == ".npz":
        return _read_npz(path)
    if table_files.table_format(path) is None:
        raise UserError(
            f"{path} is in no known format; expected a file ending in {table_files.ENDINGS}, "
            "or .npz, or a folder of pictures"
        )
    table = table_files.read_table(path, label_columns, advice="choose with --label-column")
    if not table.columns:
        raise UserError(f"{path} is empty; expected one row for each example")
    inputs = [name for name in table.columns if name not in label_columns]
    rows = table.select([*inputs, *label_columns])
    if not rows:
        raise UserError(f"{path} has a header but no rows; add one for each example")
    if not inputs:
        raise UserError(f"{path} has no column beside {', '.join(map(repr, label_columns))}")
    x = [
        [_number(path, place, *field) for field in zip(inputs, values, strict=False)]
        for place, values in rows
    ]
    y = [values[len(inputs) :] for _, values in rows]
    labels = _labels(y)
    return {
        "x": numpy.array(x, "float32"),
        "y": labels[:, 0] if len(label_columns) == 1 else labels,
    }


def _number(path: pathlib.Path, place: str, column: str, text: str) -> float:
    try:
        return float(text) if text else numpy.nan
    except ValueError:
        raise UserError(
            f"{path}, {place}: expected a number in column {column!r}, received {text!r}; give "
            "the inputs as the model takes them, as .npz if they are no numbers"
        ) from None


def _labels(rows: Sequence[Sequence[str]]) -> numpy.ndarray:
    """Numbers where all labels are numbers, else texts: what is wrong is for `diagnose` to say."""
    try:
        return numpy.array([[float(text) if text else numpy.nan for text in row] for row in rows])
    except ValueError:
        return numpy.array(rows)


def _read_npz(path: pathlib.Path) -> dict[str, Any]:
    try:
        arrays = read_arrays(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as NumPy's .npz ({error}); write it with numpy.savez"
        ) from None
    found = {}
    for part in _PARTS:
        several = {
            name.removeprefix(f"{part}_"): array
            for name, array in arrays.items()
            if name.startswith(f"{part}_")
        }
        if part in arrays or several:
            found[part] = arrays.get(part, several)
    if "x" not in found or "y" not in found:
        raise UserError(
            f"{path} must hold arrays x and y, or x_NAME and y_NAME for each input and output; it "
            f"has {', '.join(arrays) or 'none'}"
        )
    return found


def _read_folder(path: pathlib.Path, channels: int | None) -> dict[str, Any]:
    images, unreadable = image_files.read_images(path)
    if unreadable:
        name, reason = next(iter(unreadable.items()))
        raise UserError(f"{path}: {name} {reason}; mend or remove it")
    outside = next((name for name in images if "/" not in name), None)
    if outside is not None:
        raise UserError(
            f"{path}: {outside} lies in no folder of a class; expected {path.name}/CLASS/{outside}"
        )
    classes = [name.split("/")[0] for name in images]
    _, ids = numpy.unique(classes, return_inverse=True)
    pictures = list(images.values())
    width, height = pictures[0].size
    for name, image in images.items():
        if image.size != (width, height):
            raise UserError(
                f"{path}: {name} is {image.width} x {image.height} pixels and others are {width} x "
                f"{height}; bring all to one size"
            )
    shape = None if channels is None else (height, width, channels)
    return {"x": image_files.to_array(pictures, shape).astype("float32"), "y": ids}


def make_loss(name: str, from_logits: bool) -> keras.losses.Loss:
    """A loss of Keras or of `keras_ce` by its name.

    Raises:
        UserError: If there is none of that name, or it has no such option.
    """
    made = getattr(keras_ce.losses, name, None) or getattr(keras.losses, name, None)
    if made is None or not isinstance(made, type):
        raise UserError(
            f"there is no loss {name!r}; expected the name of a class of keras.losses or "
            "keras_ce.losses, such as SparseCategoricalCrossentropy"
        )
    try:
        return made(from_logits=True) if from_logits else made()
    except TypeError as error:
        raise UserError(f"{name} cannot be made from the command line: {error}") from None
