"""`plot_model`: from a model and what to show of it to a file."""

from __future__ import annotations

import html
import math
import numbers
import os
import pathlib
import sys
from typing import Any

import keras

from keras_ce.diagrams._dot import dot
from keras_ce.diagrams._graphviz import draw
from keras_ce.diagrams._labels import Contents, labels
from keras_ce.diagrams._mermaid import mermaid
from keras_ce.diagrams._simplify import (
    close_blocks,
    fold_repeated_blocks,
    hide_mask_operations,
    merge_calls,
    pass_sequential_inputs,
)
from keras_ce.diagrams._trace import trace

_RANK_DIRECTIONS = ("TB", "BT", "LR", "RL")
_SPLINES = ("ortho", "curved", "polyline", "spline", "line")
_STYLES = ("plain", "keras")


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
    *,
    show_calls: bool = True,
    hide_masks: bool = False,
    show_parameters: bool = False,
    max_depth: int | None = None,
    fold_repeats: bool = False,
    style: str = "plain",
) -> Any:
    """Draws the computation of a model into a file.

    Takes the arguments of `keras.utils.plot_model`, and draws what runs: a box for each call of a
    layer, with the shapes of that call, and an arrow for each tensor, to the argument that it
    feeds. The calls of one layer share a colour and a letter. Arrows of masks are dotted. Where a
    model has several outputs, boxes say which of them they give.

    A subclassed model is drawn like any other where its `call` works on symbolic inputs, which is
    tried; its layers then remember that call. Where it does not, it is one box.

    Keras needs the program `dot` even for a `.dot` file. This function draws with `dot` where it
    is there, and else with the Graphviz inside the wheels of `pygraphviz`. `.dot`, `.gv` and
    `.mmd` files need neither: they hold the graph as text, without positions.

    Args:
        model: A built `keras.Model`.
        to_file: The file to write. Its extension chooses the format: `.png`, `.svg`, `.pdf`,
            `.html` (a page with the SVG), `.mmd` (Mermaid, which code hosts draw in Markdown),
            `.dot` or any other that the installed Graphviz knows; none at all means PNG.
        show_shapes: Whether to show the shapes of arguments and results.
        show_dtype: Whether to show the dtype of results.
        show_layer_names: Whether to show the names of layers beside their classes. Those of
            inputs are shown wherever there are several.
        rankdir: The direction of the graph: `"TB"` (top to bottom), `"BT"`, `"LR"` or `"RL"`.
        expand_nested: Whether to draw the layers of nested models instead of one box for each.
        dpi: Dots per inch of pictures made of pixels.
        show_layer_activations: Whether to show the activation of layers that have one.
        show_trainable: Whether to show if a layer is trainable.
        splines: How arrows are drawn: `"ortho"` (right angles), `"curved"`, `"polyline"`,
            `"spline"` or `"line"`. Graphviz cannot lead right angles to one argument of several:
            where a box shows its arguments, `"ortho"` becomes `"spline"`.
        show_calls: Whether a layer that is called several times is several boxes. If not, it is
            one, as Keras has it, with the arrows and the shapes of all calls.
        hide_masks: Whether to leave out the operations that make masks and multiply by them; a
            dotted arrow goes from what a mask is made of to what it masks.
        show_parameters: Whether to show the number of parameters of each layer, and its share of
            those of the model.
        max_depth: How many levels of nested models to draw the layers of; by default all with
            `expand_nested`, and none without.
        fold_repeats: Whether blocks of layers that follow several times in a row, alike but for
            their weights, are drawn once, with their number.
        style: `"plain"`, light and narrow, or `"keras"`, black and white as Keras draws.

    Returns:
        In IPython and notebooks, for PNG, JPEG, GIF, SVG and HTML, an object that shows the
        picture; otherwise `None`.

    Raises:
        TypeError: If `model` is not a `keras.Model` or `to_file` is not a path.
        ValueError: If the model is not built, an option is out of its range, Graphviz cannot
            write the format, or the picture would have more pixels than Graphviz can draw.
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
    for name, value, allowed in (
        ("rankdir", rankdir, _RANK_DIRECTIONS),
        ("splines", splines, _SPLINES),
        ("style", style, _STYLES),
    ):
        if value not in allowed:
            raise ValueError(f"`{name}` must be one of {allowed}. Received: {name}={value!r}.")
    if not _is_positive_number(dpi):
        raise ValueError(f"`dpi` must be a positive number. Received: dpi={dpi!r}.")
    if max_depth is not None and (type(max_depth) is not int or max_depth < 0):
        raise ValueError(
            f"`max_depth` must be None or an integer of at least 0. Received: "
            f"max_depth={max_depth!r}."
        )

    levels = max_depth if max_depth is not None else math.inf if expand_nested else 0
    graph = pass_sequential_inputs(close_blocks(trace(model), levels))
    if hide_masks:
        graph = hide_mask_operations(graph)
    if fold_repeats:
        graph = fold_repeated_blocks(graph)
    if not show_calls:
        graph = merge_calls(graph)
    contents = Contents(
        shapes=show_shapes,
        dtype=show_dtype,
        layer_names=show_layer_names,
        activations=show_layer_activations,
        trainable=show_trainable,
        parameters=show_parameters,
    )
    written = labels(graph, contents)
    if file_format == "mmd":
        content = mermaid(graph, written, rankdir).encode()
    else:
        text = dot(graph, written, style=style, rankdir=rankdir, dpi=dpi, splines=splines)
        if file_format in ("dot", "gv"):
            content = text.encode()
        elif file_format == "html":
            content = _page(model.name, draw(text, "svg", dpi).decode()).encode()
        else:
            content = draw(text, file_format, dpi)
    path.write_bytes(content)
    return _notebook_display(content, file_format)


def _page(title: str, svg: str) -> str:
    """A page of HTML that needs no other file."""
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n"
        f"<body>\n{svg[svg.index('<svg') :]}</body>\n</html>\n"
    )


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


def _notebook_display(content: bytes, file_format: str) -> Any:
    # Looked up, not imported: inside a notebook it is there, and a script has no use for it.
    if "IPython" not in sys.modules:
        return None
    from IPython import display

    if file_format == "svg":
        return display.SVG(content)
    if file_format == "html":
        return display.HTML(content.decode())
    if file_format in ("png", "jpg", "jpeg", "gif"):
        return display.Image(content)
    return None
