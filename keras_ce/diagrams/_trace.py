"""From a model to the graph of its calls, by Keras's public names alone.

`clone_model` runs a model with a function in the place of each call and hands it what the call
takes. The function notes that, and returns symbolic tensors of the right shapes from an operation
of its own: the layers of the model are looked at, not called, and remember nothing.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import warnings
from typing import Any, NamedTuple

import keras
from keras import ops, tree

from keras_ce.diagrams._graph import Arrow, Block, Box, Graph, Tensor

# Classes of Keras, layers and operations, to which the order of their arguments is all one.
_ORDERLESS = ("Add", "Average", "Maximum", "Minimum", "Multiply")


def trace(model: Any) -> Graph:
    """The graph of all calls, those inside of nested models included.

    Args:
        model: A built model. One that cannot be traced, such as a subclassed model whose `call`
            does what symbolic tensors do not, becomes one box.
    """
    graph = Graph(model)
    with warnings.catch_warnings():
        # Of inputs that are called otherwise than the model: whoever built it has read them.
        warnings.simplefilter("ignore")
        plan = _plan(model)
        if plan is None:
            box = Box(model, None, [], [])
            return Graph(model, [box], [], [("", box)])
        tracer = _Tracer(graph)
        results = tracer.run(plan, [_like(each) for each in plan.functional.inputs], None)
    graph.outputs = [
        (name, tracer.sources[id(tensor)])
        for name, tensor in zip(plan.output_names, results, strict=True)
    ]
    return _in_order(graph)


def _in_order(graph: Graph) -> Graph:
    """The inputs, then each box behind those that it takes from, along the arguments in order.

    Keras runs a model from its farthest calls on, in which streams come as they may.
    """
    taken: dict[Box, list[Arrow]] = {}
    for arrow in sorted(graph.arrows, key=lambda arrow: arrow.argument):
        taken.setdefault(arrow.target, []).append(arrow)
    inputs = [box for box in graph.boxes if box.is_input and box.block is None]
    places = dict.fromkeys(inputs)
    for end in [*(box for _, box in graph.outputs), *graph.boxes]:
        waiting = [end]
        while waiting:
            box = waiting[-1]
            before = [arrow.source for arrow in taken.get(box, ()) if arrow.source not in places]
            if before:
                waiting.append(before[0])
            else:
                places.setdefault(waiting.pop(), None)
    boxes = list(places)
    arrows = [arrow for box in boxes for arrow in taken.get(box, ())]
    return Graph(graph.model, boxes, arrows, graph.outputs)


class _Plan(NamedTuple):
    """A model as a functional one, whatever it was, with names to show."""

    functional: Any
    input_names: list[str]
    output_names: list[str]


class _Feed(NamedTuple):
    """What a call of a nested model gives to one of its inputs."""

    like: Any  # a symbolic input of that shape and dtype
    tensor: Any
    mask: Any = None


class _Result(keras.Operation):
    """Stands for one call: symbolic results, joined to what it takes."""

    def __init__(self, results: list[Any]) -> None:
        super().__init__(name=_name())
        self.results = results

    def compute_output_spec(self, *_: Any) -> list[Any]:
        return [keras.KerasTensor(each.shape, each.dtype) for each in self.results]


class _Tracer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        # By identity, and the tensors kept: another could get the address of one that is gone.
        self.sources: dict[int, Box] = {}
        self.kept: list[Any] = []

    def run(self, plan: _Plan, inputs: list[Any], block: Block | None) -> list[Any]:
        """Notes all calls of a model, its inputs first."""
        for index, (name, tensor) in enumerate(zip(plan.input_names, inputs, strict=True)):
            box = Box(None, block, [], [_described(tensor, name)], index)
            self.graph.boxes.append(box)
            self.give(tensor, box)
            _passed_on(tensor)  # Keras 3.12 wants a call on each input, also if no output needs it.
        copy = keras.models.clone_model(
            plan.functional,
            input_tensors=inputs,
            clone_function=lambda layer: layer,
            call_function=functools.partial(self.note, block),
        )
        return list(copy.outputs)

    def note(self, block: Block | None, layer: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Takes the place of one call of `layer`."""
        if isinstance(layer, keras.Model):
            results = self.enter(layer, args, kwargs, block)
            if results is not None:
                return results
        given = _given(layer, args, kwargs)
        box = Box(
            layer,
            block,
            arguments=[_described(tensor, name) for name, tensor, _ in given],
            results=[],
            constants=_constants((args, kwargs)),
        )
        for number, (_, tensor, is_mask) in enumerate(given):
            self.connect(tensor, box, number, is_mask)
        self.graph.boxes.append(box)
        results = _Result(_tensors(_output_spec(layer, args, kwargs)))(*_tensors((args, kwargs)))
        box.results = [_described(tensor) for tensor in results]
        for tensor in results:
            self.give(tensor, box)
        return results

    def enter(
        self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], block: Block | None
    ) -> list[Any] | None:
        """Notes the calls inside of a nested model; `None` where nobody can look inside."""
        entered = _entered(model, args, kwargs)
        if entered is None:
            return None
        plan, feeds = entered
        inner = Block(model, [], block)
        names = plan.input_names if len(feeds) > 1 else [""]
        inner.arguments = [
            _described(feed.like, name) for name, feed in zip(names, feeds, strict=True)
        ]
        first = len(self.graph.boxes)
        inside = self.run(plan, [feed.like for feed in feeds], inner)
        for index, feed in enumerate(feeds):
            box = self.graph.boxes[first + index]
            self.connect(feed.tensor, box, index, False)
            self.connect(feed.mask, box, index, True)
        inner.results = [_described(tensor) for tensor in inside]
        results: list[Any] = _Result(inside)(*_tensors((args, kwargs)))
        for tensor, source in zip(results, inside, strict=True):
            self.give(tensor, self.sources[id(source)])
        return results

    def give(self, tensor: Any, box: Box) -> None:
        self.sources[id(tensor)] = box
        self.kept.append(tensor)

    def connect(self, tensor: Any, box: Box, argument: int, is_mask: bool) -> None:
        if isinstance(tensor, keras.KerasTensor):
            arrow = Arrow(self.sources[id(tensor)], box, argument, is_mask)
            self.graph.arrows.append(arrow)


_numbers = itertools.count()


def _name() -> str:
    """A name of its own: one that Keras gives would change those of the user's next layers."""
    return f"traced_{next(_numbers)}"


def _passed_on(tensor: Any) -> Any:
    """The tensor through a layer: not every Keras has models whose outputs are their inputs."""
    return keras.layers.Identity(name=_name())(tensor)


def _plan(model: Any) -> _Plan | None:
    """What a model does with inputs as it was built for; `None` where nobody can see that."""
    if _runs_its_graph(model):
        outputs = model.outputs if isinstance(model, keras.Sequential) else model.output
        names = _input_names(model)
        functional = keras.Model(list(model.inputs), list(model.outputs), name=_name())
        return _Plan(functional, names, _names(outputs))
    if getattr(model, "inputs", None):  # a graph and a `call` of its own
        plan = _called(model, (tree.map_structure(_like, model.input),), {})
        return plan and plan._replace(input_names=_input_names(model))
    config = model.get_build_config() or {}
    if "input_shape" in config:
        shapes = {next(iter(_parameters(model)), ""): config["input_shape"]}
    else:
        shapes = {
            name.removesuffix("_shape"): shape
            for name, shape in config.get("shapes_dict", {}).items()
        }
    if None in shapes.values():
        return None
    inputs = tree.map_shape_structure(
        lambda shape: keras.Input(batch_shape=(None, *shape[1:]), name=_name()), shapes
    )
    return _called(model, (), inputs)


def _entered(
    model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[_Plan, list[_Feed]] | None:
    """What a call does inside of a nested model, and what goes into each of its inputs."""
    if not _runs_its_graph(model):
        fresh_args, fresh_kwargs = tree.map_structure(_like, (args, kwargs))
        plan = _called(model, fresh_args, fresh_kwargs)
        feeds = [
            _Feed(_like(tensor), *((None, tensor) if is_mask else (tensor, None)))
            for _, tensor, is_mask in _given(model, args, kwargs)
        ]
        return None if plan is None else (plan, feeds)
    plan = _plan(model)
    assert plan is not None
    arguments = inspect.signature(model.call).bind(*args, **kwargs).arguments
    given = tree.flatten(arguments["inputs"])
    fresh = tree.map_structure(_like, arguments["inputs"])
    # A list, a dict, other names, another order: Keras itself says what becomes an input of what.
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    inputs_of = keras.Model(structure, [_passed_on(each) for each in model.inputs], name=_name())
    reached = tree.flatten(inputs_of.call(fresh))
    origins = _origins(inputs_of, fresh, len(reached))
    masks = [*tree.flatten(arguments.get("mask")), *[None] * len(reached)]
    feeds = []
    for wanted, tensor, origin, mask in zip(model.inputs, reached, origins, masks, strict=False):
        if origin is None:  # an optional input that is left out
            feeds.append(_Feed(_like(wanted), None))
            continue
        like = _input(tensor.shape, wanted)
        feeds.append(_Feed(like, given[origin], mask))
    return plan, feeds


def _origins(inputs_of: Any, given: Any, count: int) -> list[int | None]:
    """For each of `count` inputs the place of what it gets; `None` where it gets nothing."""
    flat = tree.flatten(given)
    if len(flat) == 1:
        return [0]
    origins: list[int | None] = [None] * count
    # Ones go in at one place, zeros at the others: where do the ones come out?
    for place in range(len(flat)):
        numbers = [_filled(each, index == place) for index, each in enumerate(flat)]
        for index, number in enumerate(
            tree.flatten(inputs_of.call(tree.pack_sequence_as(given, numbers)))
        ):
            if number is not None and ops.any(ops.cast(number, "bool")):
                origins[index] = place
    return origins


def _filled(like: Any, value: float) -> Any:
    """A tensor of one number, with a batch of one; anything but a symbolic tensor as it is."""
    if not isinstance(like, keras.KerasTensor):
        return like
    return ops.full([1 if size is None else size for size in like.shape], value, like.dtype)


def _called(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Plan | None:
    """A subclassed model, called on symbolic inputs; `None` where it cannot be."""
    given = _given(model, args, kwargs)
    if not given:
        return None
    try:
        outputs = model.call(*args, **kwargs)
        inputs = [tensor for _, tensor, _ in given]
        functional = keras.Model(inputs, _tensors(outputs), name=_name())
    except Exception:  # somebody's code, written for numbers
        return None
    names = [name for name, _, _ in given]
    return _Plan(functional, names if len(names) > 1 else ["inputs"], _names(outputs))


@functools.cache
def _functional_class() -> Any:
    """Keras has no public name for the class of models that are made of inputs and outputs."""
    tensor = keras.Input((), name=_name())
    return type(keras.Model(tensor, _passed_on(tensor), name=_name()))


def _runs_its_graph(model: Any) -> bool:
    """Whether calling the model is running the graph from `inputs` to `outputs`."""
    for kind in (_functional_class(), keras.Sequential):
        if isinstance(model, kind):
            return type(model).call is kind.call and getattr(model, "inputs", None) is not None
    return False


def _given(
    layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[tuple[str, Any, bool]]:
    """The tensors that a call takes: the name of each, the tensor, and whether it is a mask."""
    try:
        arguments = inspect.signature(layer.call).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):  # what Keras's own context adds, or no signature
        arguments = {**{str(index + 1): each for index, each in enumerate(args)}, **kwargs}
    found = [
        (parameter, path, tensor)
        for parameter, value in arguments.items()
        for path, tensor in tree.flatten_with_path(value)
        if isinstance(tensor, keras.KerasTensor)
    ]
    is_keras = type(layer).__module__.startswith("keras.")
    if is_keras and type(layer).__name__ in _ORDERLESS:
        return [("", tensor, False) for _, _, tensor in found]
    several = len({parameter for parameter, _, _ in found}) > 1
    return [
        (
            " ".join([*([parameter] if several else []), *_words(path)]) if len(found) > 1 else "",
            tensor,
            parameter.removeprefix("attention_").endswith("mask"),
        )
        for parameter, path, tensor in found
    ]


def _words(path: tuple[Any, ...]) -> list[str]:
    """A place in a structure: keys, and numbers counted from 1."""
    return [str(part + 1 if isinstance(part, int) else part) for part in path]


def _input_names(model: Any) -> list[str]:
    """The names of the inputs: those of their layers, which `Sequential` does not list."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.InputLayer)]
    names = {id(layer.output): layer.name for layer in layers}
    return [names.get(id(tensor), "input") for tensor in model.inputs]


def _names(structure: Any) -> list[str]:
    """A name for each tensor of a structure; "" for an only one."""
    paths = [path for path, _ in tree.flatten_with_path(structure)]
    return [" ".join(_words(path)) if len(paths) > 1 else "" for path in paths]


def _output_spec(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    says_no_shape = isinstance(layer, keras.Layer) and all(
        getattr(type(layer), name) is getattr(keras.Layer, name)
        for name in ("compute_output_shape", "compute_output_spec")
    )
    # Somebody's layer, whose `call` says the shapes, may need what only `__call__` does: there
    # inputs and weights are cast. It remembers that it was called.
    if says_no_shape and layer.compute_dtype != layer.variable_dtype:
        return layer(*args, **kwargs)
    try:
        return layer.compute_output_spec(*args, **kwargs)
    except Exception:  # somebody's code: whatever it raises, `__call__` may still know the shapes
        return layer(*args, **kwargs)


def _parameters(model: Any) -> list[str]:
    return list(inspect.signature(model.call).parameters)


def _tensors(structure: Any) -> list[Any]:
    return [each for each in tree.flatten(structure) if isinstance(each, keras.KerasTensor)]


def _constants(structure: Any) -> tuple[Any, ...]:
    """What is no tensor: plain values as text, which is equal where they are."""
    return tuple(
        repr(each) if isinstance(each, (bool, int, float, str, slice, type(None))) else each
        for each in tree.flatten(structure)
        if not isinstance(each, keras.KerasTensor)
    )


def _like(value: Any) -> Any:
    """A symbolic input of the shape and dtype of a symbolic tensor; anything else as it is."""
    if not isinstance(value, keras.KerasTensor):
        return value
    return _input(value.shape, value)


def _input(shape: Any, like: Any) -> Any:
    return keras.Input(batch_shape=shape, dtype=like.dtype, sparse=like.sparse, name=_name())


def _described(tensor: Any, name: str = "") -> Tensor:
    return Tensor((tuple(tensor.shape),), keras.backend.standardize_dtype(tensor.dtype), name)
