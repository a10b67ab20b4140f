"""What is written in a box, whatever draws it."""

from __future__ import annotations

import dataclasses
import math
import string
from collections.abc import Sequence
from typing import Any

import keras

from keras_ce.diagrams._graph import Block, Box, Graph, Tensor


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a diagram shows of each box; see `plot_model`."""

    shapes: bool = False
    dtype: bool = False
    layer_names: bool = False
    activations: bool = False
    trainable: bool = False
    parameters: bool = False


@dataclasses.dataclass(frozen=True)
class Label:
    """The parts of a box; a part that is not shown is empty."""

    name: str
    kind: str = ""
    # A cell for each argument, where they must be told apart.
    arguments: Sequence[str] = ()
    input_shape: str = ""
    output_shape: str = ""
    dtype: str = ""
    activation: str = ""
    trainable: bool | None = None
    notes: Sequence[str] = ()
    # Which colour all calls of this layer have; None for a layer that is called once.
    colour: int | None = None
    is_input: bool = False

    def facts(self) -> list[str]:
        """What there is to say below the title, a line each."""
        arrow = "\N{RIGHTWARDS ARROW}"
        result = f"{arrow} {self.output_shape}" if self.arguments else self.output_shape
        shapes = f"{self.input_shape} {arrow} {result}" if self.input_shape else result
        trainable = {True: "trainable", False: "not trainable", None: ""}[self.trainable]
        shown = [shapes if self.output_shape else "", self.dtype, self.activation, trainable]
        return [*filter(None, shown), *self.notes]


def labels(graph: Graph, contents: Contents) -> dict[Box | Block, Label]:
    """The label of every box, and of every block around some of them."""
    tags = _tags(graph)
    blocks = dict.fromkeys(block for box in graph.boxes for block in box.path())
    counted: set[int] = set()
    all_of_them: list[Box | Block] = [*graph.boxes, *blocks]
    return {each: _label(each, graph, contents, tags.get(each), counted) for each in all_of_them}


def _label(
    each: Box | Block,
    graph: Graph,
    contents: Contents,
    tag: tuple[int, int, int] | None,
    counted: set[int],
) -> Label:
    layer = each.model if isinstance(each, Block) else each.layer
    if isinstance(each, Block) and each.repeats > 1:
        return Label(name=f"{each.repeats} times in a row")
    is_input = isinstance(each, Box) and each.is_input
    notes = []
    if tag is not None:
        letter, number, count = tag
        notes.append(f"layer {_letters(letter)}, call {number} of {count}")
    kind = "InputLayer" if is_input else type(layer).__name__
    name = ""
    if is_input:
        beside = [box for box in graph.boxes if isinstance(each, Box) and box.block is each.block]
        if contents.layer_names or sum(box.is_input for box in beside) > 1:
            name = each.results[0].name
    elif contents.layer_names or isinstance(each, Block):
        name = str(layer.name)
    arguments = [] if isinstance(each, Block) else each.arguments
    tell_apart = len(arguments) > 1 and any(tensor.name for tensor in arguments)
    cells = [
        f"{tensor.name}: {_shape(tensor)}" if contents.shapes else tensor.name
        for tensor in (arguments if tell_apart else [])
    ]
    shown = contents.shapes and isinstance(each, Box)
    outputs = [name for name, box in graph.outputs if box is each]
    ends = set(graph.boxes) - {arrow.source for arrow in graph.arrows}
    if outputs and (len(graph.outputs) > 1 or len(ends) > 1):
        notes += [f"output {name}".strip() for name in outputs]
    if contents.parameters and not is_input:
        notes += _parameters(layer, graph.model, counted)
    return Label(
        name=name,
        kind=kind,
        arguments=cells,
        input_shape=_shapes(each.arguments) if shown and not tell_apart else "",
        output_shape=_shapes(each.results) if shown else "",
        dtype=_dtypes(each.results) if contents.dtype else "",
        activation=_activation(layer) if contents.activations else "",
        trainable=_trainable(layer) if contents.trainable else None,
        notes=notes,
        colour=None if tag is None else tag[0],
        is_input=is_input,
    )


def _tags(graph: Graph) -> dict[Box | Block, tuple[int, int, int]]:
    """Number of the layer, of the call, and of all its calls, where there are several.

    A layer that is called once in each call of a nested model has none: the model has it.
    """
    each_once: dict[Box | Block, None] = {}
    for box in graph.boxes:
        each_once.update(dict.fromkeys([*box.path(), box]))
    calls: dict[int, list[Box | Block]] = {}
    for each in each_once:
        layer = each.model if isinstance(each, Block) else each.layer
        if layer is not None:
            calls.setdefault(id(layer), []).append(each)
    tags: dict[Box | Block, tuple[int, int, int]] = {}
    letter = 0
    for of_layer in calls.values():
        around = {each.parent if isinstance(each, Block) else each.block for each in of_layer}
        models = {id(block.model) if block else None for block in around}
        if len(of_layer) == 1 or (len(around) == len(of_layer) and len(models) == 1):
            continue
        for number, each in enumerate(of_layer):
            tags[each] = (letter, number + 1, len(of_layer))
        letter += 1
    return tags


def _letters(number: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    rest = number // 26
    return (_letters(rest - 1) if rest else "") + string.ascii_uppercase[number % 26]


def _shape(tensor: Tensor) -> str:
    return " or ".join(map(str, tensor.shapes))


def _shapes(tensors: list[Tensor]) -> str:
    """One shape for one tensor, or for several that have the same."""
    shapes = list(dict.fromkeys(map(_shape, tensors)))
    if len(shapes) == 1 and len(tensors) > 1:
        return f"{len(tensors)} x {shapes[0]}"
    return ", ".join(map(_shape, tensors))


def _dtypes(tensors: list[Tensor]) -> str:
    return ", ".join(dict.fromkeys(tensor.dtype for tensor in tensors)) or "?"


def _activation(layer: Any) -> str:
    activation = getattr(layer, "activation", None)
    if activation is None:
        return ""
    return str(getattr(activation, "name", None) or getattr(activation, "__name__", activation))


def _trainable(layer: Any) -> bool | None:
    has_weights = isinstance(layer, keras.Layer) and layer.weights
    return bool(layer.trainable) if has_weights else None


def _parameters(layer: Any, model: Any, counted: set[int]) -> list[str]:
    """The number of parameters and its share; those that another box has counted are its own."""
    if not isinstance(layer, keras.Layer) or not layer.weights:
        return []
    sizes = {id(weight): math.prod(weight.shape) for weight in layer.weights}
    own = sum(size for each, size in sizes.items() if each not in counted)
    shared = sum(sizes.values()) - own
    counted.update(sizes)
    if not own:
        return [f"the same {_count(shared)}"]
    share = f"{_count(own)}, {100 * own / model.count_params():.1f} %"
    return [f"{share}, and {shared:,} of another layer" if shared else share]


def _count(number: int) -> str:
    return f"{number:,} parameter{'s' if number != 1 else ''}"
