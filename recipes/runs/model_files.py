"""Keras models in files of one kind, whatever they are called; one line for a bad file."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator

import keras

from recipes.runs.archives import DAMAGES, require_memory
from recipes.runs.failures import UserError


def write_model(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Writes a model; what the path names is replaced when all is written.

    Raises:
        UserError: If it cannot be written.
    """
    path = pathlib.Path(path)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
            # Keras asks for this ending.
            written = pathlib.Path(folder) / "model.keras"
            model.save(written)
            os.replace(written, path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); name another file"
        ) from None


def read_model(path: str | os.PathLike[str], advice: str, is_compiled: bool = False) -> keras.Model:
    """Loads a model in Keras's safe mode.

    Args:
        path: The file.
        advice: What to do where there is no model in it, such as "name a file that
            TextClassifier.save has written".
        is_compiled: Whether with its loss and optimizer.

    Raises:
        UserError: If there is no such file, or it is damaged, or Keras cannot load it.
    """
    path = pathlib.Path(path)
    _require_sound_archive(path, advice)
    with _keras_name(path) as named:
        try:
            return keras.saving.load_model(named, compile=is_compiled, safe_mode=True)
        except Exception as error:  # Keras says nowhere what a config that it cannot read raises.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(
                f"{path} cannot be loaded as a Keras model: {reason.rstrip('.')}; {advice}"
            ) from None


def compiled_loss(path: str | os.PathLike[str]) -> str | None:
    """The name of the loss that a model was compiled with when it was saved, or `None`.

    Args:
        path: A file that `read_model` reads.
    """
    with zipfile.ZipFile(path) as archive:
        compiled = json.loads(archive.read("config.json")).get("compile_config") or {}
    loss = compiled.get("loss")
    if isinstance(loss, dict) and "class_name" in loss:
        loss = loss["config"] if loss["class_name"] == "function" else loss["class_name"]
    return None if loss is None else str(loss).split(">")[-1]


def _require_sound_archive(path: pathlib.Path, advice: str) -> None:
    """Raises `UserError` unless a file is an archive in which every bit is as it was written."""
    if not path.exists():
        raise UserError(f"{path} does not exist; {advice}")
    is_damaged = is_model = False
    try:
        with open(path, "rb") as file:
            is_model = file.read(4) == b"PK\x03\x04"
        if is_model:
            with zipfile.ZipFile(path) as archive:
                require_memory(archive)
                is_damaged = archive.testzip() is not None
                is_model = "config.json" in archive.namelist()
    except IsADirectoryError:
        pass
    except PermissionError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {advice}") from None
    except (OSError, *DAMAGES):
        is_damaged = True
    if is_damaged:
        raise UserError(f"{path} is a damaged model file; copy it again, or {advice}")
    if not is_model:
        raise UserError(f"{path} is not a .keras model file; {advice}")


@contextlib.contextmanager
def _keras_name(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The file under a name that Keras takes."""
    if path.suffix == ".keras":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(shutil.copy(path, pathlib.Path(folder) / "model.keras"))
