"""Diagrams of models, drawn on machines with and without a Graphviz installation."""

from __future__ import annotations

import contextlib
import html
import math
import numbers
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import keras

_RANK_DIRECTIONS = ("TB", "BT", "LR", "RL")
_TEXT_FORMATS = ("dot", "gv")


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
) -> Any:
    """Draws a model into a file.

    Takes the arguments of `keras.utils.plot_model`, which refuses to work, even to write a
    `.dot` file, where the program `dot` is not installed. This function uses `dot` where it is
    there, and else the Graphviz that comes inside the wheels of `pygraphviz`. `.dot` and `.gv`
    files need neither: they hold the description of the graph, without positions.

    Args:
        model: A built `keras.Model`. A subclassed model is drawn as one box.
        to_file: The file to write. Its extension chooses the format: `.png`, `.svg`, `.pdf`,
            `.dot` or any other that the installed Graphviz knows; none at all means PNG.
        show_shapes: Whether to show the shapes of inputs and outputs.
        show_dtype: Whether to show the dtype of outputs.
        show_layer_names: Whether to show the names of layers beside their classes.
        rankdir: The direction of the graph: `"TB"` (top to bottom), `"BT"`, `"LR"` or `"RL"`.
        expand_nested: Whether to draw the layers of nested models instead of one box for each.
        dpi: Dots per inch of pictures made of pixels.
        show_layer_activations: Whether to show the activation of layers that have one.
        show_trainable: Whether to show if a layer is trainable.
        splines: How edges are drawn: `"ortho"` (right angles), `"curved"`, `"polyline"`,
            `"spline"` or `"line"`.

    Returns:
        In IPython and notebooks, for PNG, JPEG, GIF and SVG, an object that shows the picture;
        otherwise `None`.

    Raises:
        TypeError: If `model` is not a `keras.Model` or `to_file` is not a path.
        ValueError: If the model is not built, an option is out of its range, or Graphviz cannot
            write the format.
        FileNotFoundError: If the folder of `to_file` does not exist.
        IsADirectoryError: If `to_file` is a folder.
        ImportError: If a picture is asked for and neither `dot` nor `pygraphviz` is installed.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> keras_ce.plot_model(model, "model.svg", show_shapes=True)
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a `keras.Model`. Received: model={model!r} "
            f"(of type {type(model).__name__})."
        )
    if not model.built:
        raise ValueError(
            f"`model` must be built before it can be drawn. Received: model={model.name!r}, which "
            "has not seen an input shape yet. Call `model.build(input_shape)`, or the model on one "
            "batch of data."
        )
    path, file_format = _file_and_format(to_file)
    if rankdir not in _RANK_DIRECTIONS:
        raise ValueError(
            f"`rankdir` must be one of {_RANK_DIRECTIONS}. Received: rankdir={rankdir!r}."
        )
    if not _is_positive_number(dpi):
        raise ValueError(f"`dpi` must be a positive number. Received: dpi={dpi!r}.")

    graph = keras.utils.model_to_dot(
        model,
        show_shapes=show_shapes,
        show_dtype=show_dtype,
        show_layer_names=show_layer_names,
        rankdir=rankdir,
        expand_nested=expand_nested,
        dpi=dpi,
        show_layer_activations=show_layer_activations,
        show_trainable=show_trainable,
    )
    # Set here, because older releases of Keras do not take it.
    graph.set("splines", splines)
    text = _escape_labels(graph.to_string())
    content = text.encode() if file_format in _TEXT_FORMATS else _draw(text, file_format)
    path.write_bytes(content)
    return _notebook_display(content, file_format)


def _file_and_format(to_file: str | os.PathLike[str]) -> tuple[pathlib.Path, str]:
    if not isinstance(to_file, (str, os.PathLike)) or not os.fspath(to_file):
        raise TypeError(f"`to_file` must be the path of a file. Received: to_file={to_file!r}.")
    path = pathlib.Path(to_file)
    if path.is_dir():
        raise IsADirectoryError(
            f"`to_file` must be the path of a file. Received: to_file={str(to_file)!r}, "
            "which is a folder. Add a file name to it."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"`to_file` must lie in a folder that exists. Received: to_file={str(to_file)!r}, "
            f"and there is no folder {str(path.parent)!r}. Create it first."
        )
    return path, path.suffix[1:].lower() or "png"


def _is_positive_number(value: Any) -> bool:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and 0 < value < math.inf


def _escape_labels(text: str) -> str:
    """Escapes the names inside Keras's HTML labels, which it writes there as they are.

    Without this an activation that is a lambda, named `<lambda>`, or a layer named `a&b` is a
    syntax error to Graphviz.
    """
    # Unescaped first, so that a Keras release that learns to escape is not escaped twice.
    return re.sub(
        r"<b>(.*?)</b>",
        lambda match: f"<b>{html.escape(html.unescape(match[1]), quote=False)}</b>",
        text,
    )


def _draw(text: str, file_format: str) -> bytes:
    """Returns the picture, from the first Graphviz that can draw it."""
    reasons = []
    for draw in (_draw_with_dot, _draw_with_pygraphviz):
        try:
            picture = draw(text, file_format)
        except _DrawingError as error:
            # A `dot` without the plug-in for this format need not be the end of it.
            reasons.append(str(error))
            continue
        if picture is not None:
            return picture
    if reasons:
        raise ValueError(
            f"Graphviz could not write the format {file_format!r}, which is the extension of "
            f"`to_file`. Use '.png', '.svg', '.pdf' or '.dot'. Graphviz said: {' '.join(reasons)}"
        )
    raise ImportError(
        f"Drawing a {file_format!r} file needs Graphviz, and this machine has neither the program "
        "`dot` nor the Python package `pygraphviz`. Run `pip install pygraphviz`, which brings "
        "Graphviz with it, or install Graphviz itself (https://graphviz.org/download/), or write "
        "a '.dot' file, which needs neither."
    )


class _DrawingError(Exception):
    """Graphviz is there and did not draw."""


def _draw_with_dot(text: str, file_format: str) -> bytes | None:
    """Returns the picture, or None where there is no `dot` program."""
    program = shutil.which("dot")
    if program is None:
        return None
    try:
        completed = subprocess.run(
            [program, f"-T{file_format}"], input=text.encode(), capture_output=True, check=False
        )
    except OSError as error:
        raise _DrawingError(f"{program} does not run: {error}.") from error
    if completed.returncode != 0 or not completed.stdout:
        message = " ".join(completed.stderr.decode(errors="replace").split())
        raise _DrawingError(
            message or f"{program} ended with exit status {completed.returncode} and no message."
        )
    return completed.stdout


def _draw_with_pygraphviz(text: str, file_format: str) -> bytes | None:
    """Returns the picture, or None where pygraphviz is not installed."""
    try:
        import pygraphviz
    except ImportError:
        return None
    graph = pygraphviz.AGraph(string=text)
    try:
        with _without_font_warnings():
            return bytes(graph.draw(format=file_format, prog="dot"))
    except (TypeError, ValueError) as error:
        # TypeError: pygraphviz tries to index the error code that it received. Graphviz itself
        # has by then named the formats that it knows on standard error.
        raise _DrawingError(
            f"pygraphviz {pygraphviz.__version__} does not know the format."
        ) from error


@contextlib.contextmanager
def _without_font_warnings() -> Iterator[None]:
    """Holds back what the fontconfig inside the wheel says of the settings of the one outside.

    Compiled code writes it, past `sys.stderr`; all that it writes else comes through.
    """
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (AttributeError, OSError, ValueError):  # a process without standard error
        yield
        return
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            for line in written:
                if not line.startswith(b"Fontconfig "):
                    sys.stderr.write(line.decode(errors="replace"))


def _notebook_display(content: bytes, file_format: str) -> Any:
    # Looked up, not imported: inside a notebook it is there, and a script has no use for it.
    if "IPython" not in sys.modules:
        return None
    from IPython import display

    if file_format == "svg":
        return display.SVG(content)
    if file_format in ("png", "jpg", "jpeg", "gif"):
        return display.Image(content)
    return None
