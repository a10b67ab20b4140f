"""How many diagrams say what the model computes: ours, and those of `keras.utils.plot_model`.

    python -m benchmarks.diagrams
    python -m benchmarks.diagrams --options 6

Of each model, one input after the other is changed. The numbers then say which inputs reach which
output, and which reach each call of each layer; the arrows of a diagram say the same, or not. A
nested model that is drawn as one box mixes its inputs, so it is made to do that in the numbers.
Prints a Markdown table of the models that are drawn right, and the names of the others.

`--options 6` draws each model six times, with all options taken at random, and prints the slowest
time, and every drawing that fails or about which Graphviz says something. A PNG that nobody could
read is refused.
"""

import argparse
import collections
import contextlib
import functools
import html
import io
import pathlib
import random
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import pygraphviz

import keras_ce
from benchmarks.diagram_models import MODELS, example

OURS = {
    "plot_model": {},
    "plot_model, hide_masks=True": {"hide_masks": True},
}
KERAS = "keras.utils.plot_model"


class Reached(NamedTuple):
    """Which inputs reach what: frozen sets of their names."""

    outputs: dict[str, frozenset[str]]  # by name of the output
    calls: dict[str, list[frozenset[str]]]  # by name of the layer, one for each call, sorted


def main() -> None:
    """Compare and print."""
    # Of masks that a nested model does not pass on.
    warnings.filterwarnings("ignore", ".*does not support masking")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagrams")
    parser.add_argument("--only", default="", help="models whose description has this in it")
    parser.add_argument("--options", type=int, metavar="N", help="draw with N sets of options")
    options = parser.parse_args()
    models = {name: make for name, make in MODELS.items() if options.only in name}
    if options.options:
        draw_at_random(models, options.options)
        return
    right: collections.Counter[tuple[str, str]] = collections.Counter()
    wrong = collections.defaultdict(list)
    seconds: collections.Counter[str] = collections.Counter()
    for name, make in models.items():
        made = make()
        for expanded, kind in ((False, "plain"), (True, "expanded")):
            expected = computed(made, expanded)
            for drawer in (*OURS, KERAS):
                start = time.perf_counter()
                text = (
                    by_keras(made, expanded)
                    if drawer == KERAS
                    else by_us(made, expand_nested=expanded, **OURS[drawer])
                )
                seconds[drawer] += time.perf_counter() - start
                ends = keras_outputs(made, expanded) if drawer == KERAS else None
                found = drawn(text, expected, ends)
                good = {
                    f"{kind}, outputs": found.outputs == expected.outputs,
                    f"{kind}, calls": found.calls == expected.calls,
                }
                right.update((drawer, column) for column, is_good in good.items() if is_good)
                if all(good.values()):
                    right[drawer, kind] += 1
                else:
                    wrong[f"{drawer}, {kind}"].append(name)
    columns = [
        f"{kind}{what}" for kind in ("plain", "expanded") for what in ("", ", outputs", ", calls")
    ]
    print(f"keras {keras.__version__}, {keras.backend.backend()}, {len(models)} models\n")
    print(f"| drawn right | {' | '.join(columns)} | seconds for DOT |")
    print("|---|" + "---|" * (len(columns) + 1))
    for drawer in (*OURS, KERAS):
        counts = " | ".join(str(right[drawer, column]) for column in columns)
        print(f"| {drawer} | {counts} | {seconds[drawer]:.1f} |")
    for drawer, names in wrong.items():
        print(f"\nwrong: {drawer}")
        print("\n".join(f"- {name}" for name in names))


def draw_at_random(models: dict[str, Callable[[], Any]], count: int) -> None:
    """Draws every model with options at random."""
    generator = random.Random(0)
    flags = (
        "shapes",
        "dtype",
        "layer_names",
        "layer_activations",
        "trainable",
        "calls",
        "parameters",
    )
    names = [*(f"show_{flag}" for flag in flags), "expand_nested", "hide_masks", "fold_repeats"]
    slowest, refused, failed = 0.0, 0, 0
    for name, make in models.items():
        model = model_of(make())
        for _ in range(count):
            chosen = {
                **{flag: generator.random() < 0.5 for flag in names},
                "rankdir": generator.choice(["TB", "BT", "LR", "RL"]),
                "splines": generator.choice(["ortho", "curved", "polyline", "spline", "line"]),
                "style": generator.choice(["plain", "keras"]),
                "max_depth": generator.choice([None, 0, 1, 2]),
            }
            extension = generator.choice(["png", "svg", "pdf", "html", "mmd"])
            said, start = io.StringIO(), time.perf_counter()
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(said):
                try:
                    keras_ce.plot_model(model, pathlib.Path(folder, f"m.{extension}"), **chosen)
                except Exception as error:  # whatever it is, it is counted
                    if "few enough pixels" in str(error):
                        refused += 1
                    else:
                        print(repr(error), file=said)
            slowest = max(slowest, time.perf_counter() - start)
            if said.getvalue():
                failed += 1
                print(f"{name}, {extension}, {chosen}: {said.getvalue()}")
    print(
        f"{count * len(models)} drawings, {failed} failed, {refused} refused as too large for PNG, "
        f"the slowest took {slowest:.1f} s"
    )


def by_us(made: Any, **options: Any) -> str:
    """The DOT text of our diagram."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.dot")
        keras_ce.plot_model(model_of(made), path, show_layer_names=True, **options)
        return path.read_text(encoding="utf-8")


def by_keras(made: Any, expanded: bool) -> str:
    """The DOT text of Keras's diagram; nothing where it is an error."""
    try:
        graph = keras.utils.model_to_dot(
            model_of(made), show_layer_names=True, expand_nested=expanded
        )
        text = graph.to_string()
        pygraphviz.AGraph(string=text)
    except Exception as error:  # whatever it is, there is no diagram
        print(f"{type(error).__name__} for {model_of(made).name}: {str(error)[:100]}")
        return "digraph {}"
    return text


def model_of(made: Any) -> Any:
    """The model, without the structure of its inputs where that had to be said."""
    return made[0] if isinstance(made, tuple) else made


# What is computed.


def computed(made: Any, expanded: bool) -> Reached:
    """What the numbers say.

    Args:
        made: A model, or a model and the structure of its inputs.
        expanded: Whether to look inside of nested models; else each mixes its inputs.
    """
    model, generator = model_of(made), np.random.default_rng(0)
    base, other = example(made, generator), example(made, generator)
    names = input_names(made)
    parts = list(layers_of(model, inside=expanded))
    with watched(parts) as watch:
        structure = model(base)
        before = numbers_of(structure)
        calls, watch.base = watch.calls, watch.calls
        outputs = [set[str]() for _ in before]
        reached = {key: [set[str]() for _ in each] for key, each in calls.items()}
        for place, name in enumerate(names):
            flat = keras.tree.flatten(base)
            flat[place] = keras.tree.flatten(other)[place]
            watch.calls = collections.defaultdict(list)
            after = numbers_of(model(keras.tree.pack_sequence_as(base, flat)))
            for found, old, new in zip(outputs, before, after, strict=True):
                if moved(old, new):
                    found.add(name)
            for key, several in reached.items():
                for found, old, new in zip(several, calls[key], watch.calls[key], strict=True):
                    if moved(old, new):
                        found.add(name)
    by_name = collections.defaultdict(list)
    for key, several in reached.items():
        by_name[watch.names[key]] += map(frozenset, several)
    return Reached(
        dict(zip(output_names(structure), map(frozenset, outputs), strict=True)),
        {name: sorted(several, key=sorted) for name, several in by_name.items()},
    )


def input_names(made: Any) -> list[str]:
    """The names of the inputs, in the order of the flattened structure."""
    if isinstance(made, tuple):
        return [str(path[-1]) for path, _ in keras.tree.flatten_with_path(made[1])]
    layers = [layer for layer in made.layers if isinstance(layer, keras.layers.InputLayer)]
    by_tensor = {id(layer.output): layer.name for layer in layers}
    return [by_tensor.get(id(tensor), "input") for tensor in made.inputs]


def output_names(structure: Any) -> list[str]:
    """As the diagram counts them: keys, or numbers from 1; "" for one alone."""
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    return [
        " ".join(str(part + 1 if isinstance(part, int) else part) for part in path)
        if len(paths) > 1
        else ""
        for path in paths
    ]


def layers_of(model: Any, inside: bool) -> Iterator[Any]:
    """The layers that are drawn, each once."""
    seen: set[int] = set()
    waiting = list(model.layers)
    while waiting:
        layer = waiting.pop(0)
        if isinstance(layer, keras.layers.InputLayer) or id(layer) in seen:
            continue
        seen.add(id(layer))
        if inside and isinstance(layer, keras.Model):
            waiting += layer.layers
        else:
            yield layer


class Watch:
    """The arguments of each call, by layer; of the first run as well."""

    def __init__(self) -> None:
        self.calls: dict[int, list[Any]] = collections.defaultdict(list)
        self.base: dict[int, list[Any]] = {}
        self.names: dict[int, str] = {}


@contextlib.contextmanager
def watched(layers: list[Any]) -> Iterator[Watch]:
    """Has layers note what they are called with; a model that is called on others mixes them."""
    watch = Watch()

    def noting(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def note(*args: Any, **kwargs: Any) -> Any:
            given = numbers_of((args, kwargs))
            number = len(watch.calls[id(layer)])
            watch.calls[id(layer)].append(given)
            results = call(*args, **kwargs)
            mixes = isinstance(layer, keras.Model) and watch.base
            if mixes and moved(watch.base[id(layer)][number], given):
                return keras.tree.map_structure(lambda each: each + 1, results)
            return results

        return note

    for layer in layers:
        watch.names[id(layer)] = layer.name
        layer.call = noting(layer, layer.call)
    try:
        yield watch
    finally:
        for layer in layers:
            del layer.call


def numbers_of(structure: Any) -> list[np.ndarray]:
    """The tensors in a structure as arrays."""
    return [
        keras.ops.convert_to_numpy(each)
        for each in keras.tree.flatten(structure)
        if keras.ops.is_tensor(each)
    ]


def moved(before: Any, after: Any) -> bool:
    """Whether any number is another one."""
    pairs = zip(keras.tree.flatten(before), keras.tree.flatten(after), strict=True)
    return not all(np.array_equal(old, new) for old, new in pairs)


# What is drawn.


def drawn(text: str, expected: Reached, ends: dict[str, str] | None = None) -> Reached:
    """What the arrows of a DOT text say of the layers and outputs that are expected.

    Args:
        text: Of a diagram with the names of layers.
        expected: What names the layers; and which box gives an output, of several with one name.
        ends: For each output the name of the layer that gives it, where the diagram does not say.
    """
    graph = pygraphviz.AGraph(string=text)
    labels = {node: str(node.attr["label"]) for node in graph.nodes()}
    names, kinds = {}, {}
    for node, label in labels.items():
        if title := re.search(r"<b>(.*?)</b> \(?(\w+)", label):
            names[node], kinds[node] = html.unescape(title[1]), title[2]
    inner = {node for each in graph.subgraphs_iter() for node in each.nodes()}
    inputs = {
        node: names[node]
        for node in graph.nodes()
        if kinds.get(node) == "InputLayer" and node not in inner
    }
    if not inputs:  # Keras leaves that of `Sequential` out
        inputs = {node: "input" for node in graph.nodes() if not graph.predecessors(node)}
    reached: dict[Any, set[str]] = {node: set() for node in graph.nodes()}
    for node, name in inputs.items():
        waiting, seen = [node], {node}
        while waiting:
            here = waiting.pop()
            reached[here].add(name)
            following = set(graph.successors(here)) - seen
            seen |= following
            waiting += following
    calls: dict[str, list[frozenset[str]]] = {name: [] for name in expected.calls}
    for node, name in names.items():
        if name in calls and kinds[node] != "InputLayer":
            calls[name].append(frozenset(reached[node]))
    outputs: dict[str, frozenset[str]] = {}
    if ends is not None:
        for output, end in ends.items():
            boxes = [frozenset(reached[node]) for node, name in names.items() if name == end]
            wanted = expected.outputs[output]
            if boxes:
                outputs[output] = wanted if wanted in boxes else boxes[0]
    else:
        for node, label in labels.items():
            for output in re.findall(r">output ?([^<]*)<", label):
                outputs[html.unescape(output)] = frozenset(reached[node])
        last = [node for node in graph.nodes() if not graph.successors(node)]
        if not outputs and len(last) == 1:
            outputs[""] = frozenset(reached[last[0]])
    return Reached(outputs, {name: sorted(several, key=sorted) for name, several in calls.items()})


def keras_outputs(made: Any, expanded: bool) -> dict[str, str]:
    """The layer that gives each output, which a diagram of Keras does not say."""

    def layer_of(model: Any, place: int) -> str:
        if isinstance(model, keras.Sequential):
            name = model.layers[-1].name
        elif not hasattr(model, "output_names"):  # a subclassed model
            return str(model.name)
        else:
            name = model.output_names[min(place, len(model.output_names) - 1)]
            place = model.output_names[:place].count(name)  # or a call of one output
        inner = next((layer for layer in model.layers if layer.name == name), None)
        goes_on = expanded and isinstance(inner, keras.Model)
        return layer_of(inner, place) if goes_on else name

    if isinstance(made, tuple):
        return {}
    structure = "" if isinstance(made, keras.Sequential) else made.output
    return {name: layer_of(made, place) for place, name in enumerate(output_names(structure))}


if __name__ == "__main__":
    main()
