"""Loads a model that a training has left."""

import pathlib
import zipfile
from typing import Any

from recipes.runs.failures import UserError


def check(path: pathlib.Path, training: str) -> None:
    """Checks that a path is that of a `.keras` file, without importing Keras.

    Args:
        path: The path.
        training: The program that leaves such files, for the message.

    Raises:
        UserError: If it is not.
    """
    advice = f"name a model.keras that {training} has left"
    if not path.exists():
        raise UserError(f"{path} does not exist; {advice}")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise UserError(f"{path} is not a .keras model file; {advice}")


def load(path: pathlib.Path, kind: type, knowledge: str, training: str) -> Any:
    """Loads a model that knows what its numbers stand for.

    Args:
        path: The file.
        kind: Class of the model.
        knowledge: The attribute that must not be empty, for example `vocabulary`.
        training: See `check`.

    Raises:
        UserError: If the file holds no such model.
    """
    import keras

    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} cannot be loaded as a Keras model: {reason}") from None
    if not isinstance(model, kind) or not getattr(model, knowledge):
        raise UserError(
            f"{path} is a Keras model without {knowledge}; name a model.keras that {training} "
            "has left"
        )
    return model
