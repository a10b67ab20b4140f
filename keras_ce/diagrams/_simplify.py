"""A smaller graph of the same computation: what is drawn of all that is known."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import keras

from keras_ce.diagrams._graph import Arrow, Block, Box, Graph, Tensor


def close_blocks(graph: Graph, levels: float) -> Graph:
    """Draws nested models as one box each from the level `levels` on, 0 the outermost."""
    closed: dict[Block, Box] = {}

    def drawn(box: Box) -> Box:
        path = box.path()
        if len(path) <= levels:
            return box
        block = path[int(levels)]
        if block not in closed:
            closed[block] = Box(block.model, block.parent, block.arguments, block.results)
        return closed[block]

    def argument(arrow: Arrow) -> int:
        # Into a nested model leads one way, its inputs.
        return arrow.argument if drawn(arrow.target) is arrow.target else arrow.target.index

    return _rebuilt(graph, drawn, argument)


def pass_sequential_inputs(graph: Graph) -> Graph:
    """Leaves out the inputs of nested `Sequential` models, which have one each."""
    outputs = {box for _, box in graph.outputs}
    return _passed(
        graph,
        [
            box
            for box in graph.boxes
            if box.is_input
            and box.block is not None
            and isinstance(box.block.model, keras.Sequential)
            and box not in outputs
        ],
    )


def merge_calls(graph: Graph) -> Graph:
    """Draws one box for all calls of a layer, with the shapes of them all."""

    def key(box: Box) -> tuple[Any, ...]:
        own = ("input", box.index) if box.is_input else id(box.layer)
        return (*(id(block.model) for block in box.path()), own)

    calls: dict[tuple[Any, ...], list[Box]] = {}
    for box in graph.boxes:
        calls.setdefault(key(box), []).append(box)
    blocks: dict[tuple[int, ...], Block] = {}

    def merged_block(block: Block | None) -> Block | None:
        if block is None:
            return None
        path = tuple(id(each.model) for each in block.path())
        if path not in blocks:
            blocks[path] = dataclasses.replace(block, parent=merged_block(block.parent))
        return blocks[path]

    boxes = {
        place: dataclasses.replace(
            several[0],
            block=merged_block(several[0].block),
            arguments=_merged([box.arguments for box in several]),
            results=_merged([box.results for box in several]),
        )
        for place, several in calls.items()
    }
    return _rebuilt(graph, lambda box: boxes[key(box)], lambda arrow: arrow.argument)


def hide_mask_operations(graph: Graph) -> Graph:
    """Leaves out the operations that make and shape masks, and those that multiply by one.

    What they give is drawn as an arrow, a mask's, from what they take.
    """
    takes: dict[Box, list[Arrow]] = {box: [] for box in graph.boxes}
    gives: dict[Box, list[Arrow]] = {box: [] for box in graph.boxes}
    for arrow in graph.arrows:
        takes[arrow.target].append(arrow)
        gives[arrow.source].append(arrow)
    outputs = {box for _, box in graph.outputs}
    masks: set[Box] = set()
    products: set[Box] = set()
    for box in graph.boxes:
        if box.is_input or isinstance(box.layer, keras.Layer) or box in outputs:
            continue
        from_masks = [arrow.source in masks for arrow in takes[box]]
        if _is_comparison(box) or all(from_masks):
            masks.add(box)
        elif type(box.layer).__name__ == "Multiply" and sorted(from_masks) == [False, True]:
            products.add(box)
    # What something else reads as well is no plumbing, nor is anything that it is made of.
    while True:
        needed = {
            box
            for box in masks
            if not gives[box]
            or any(
                not (arrow.is_mask or arrow.target in masks or arrow.target in products)
                for arrow in gives[box]
            )
        }
        if not needed:
            break
        masks -= needed
        products = {box for box in products if any(arrow.source in masks for arrow in takes[box])}
    return _passed(graph, [*masks, *products], masks)


def fold_repeated_blocks(graph: Graph) -> Graph:
    """Draws once what follows several times in a row, such as the blocks of a deep network.

    The same are boxes of one class, with the same shapes and the same arrows between them; what a
    layer that is called elsewhere takes part in stays as it is.
    """
    stretches = _stretches(graph)
    signatures = _signatures(graph, stretches)
    boxes: dict[Box, Box] = {}  # what is drawn for each box that is kept
    ends: dict[Box, Box] = {}  # for the last box of a row, the last of its first stretch
    start = 0
    while start < len(stretches):
        length, count = _longest_row(signatures, start)
        kept = [box for stretch in stretches[start : start + length] for box in stretch]
        if count == 1:
            boxes.update({box: box for box in kept})
        else:
            block = Block(None, [], kept[0].block, repeats=count)
            boxes.update({box: dataclasses.replace(box, block=block) for box in kept})
            ends[stretches[start + length * count - 1][-1]] = boxes[kept[-1]]
        start += length * count
    drawn = {**boxes, **ends}
    arrows = [
        dataclasses.replace(arrow, source=drawn[arrow.source], target=boxes[arrow.target])
        for arrow in graph.arrows
        if arrow.target in boxes
    ]
    outputs = [(name, drawn[box]) for name, box in graph.outputs]
    return Graph(graph.model, list(boxes.values()), arrows, outputs)


def _stretches(graph: Graph) -> list[list[Box]]:
    """The boxes, cut wherever all that goes on comes from one box."""
    places = {box: place for place, box in enumerate(graph.boxes)}
    last = dict(places)
    for arrow in graph.arrows:
        last[arrow.source] = max(last[arrow.source], places[arrow.target])
    stretches: list[list[Box]] = [[]]
    reach = 0  # how far the boxes before this one are taken from
    for place, box in enumerate(graph.boxes):
        stretches[-1].append(box)
        if reach <= place:
            stretches.append([])
        reach = max(reach, last[box])
    return [stretch for stretch in stretches if stretch]


def _signatures(graph: Graph, stretches: list[list[Box]]) -> list[Any]:
    """What is equal for stretches that compute the same with other weights."""
    calls = collections.Counter(id(box.layer) for box in graph.boxes)
    outputs = {box for _, box in graph.outputs}
    taken: dict[Box, list[Arrow]] = {}
    for arrow in graph.arrows:
        taken.setdefault(arrow.target, []).append(arrow)
    signatures = []
    for stretch in stretches:
        places = {box: place for place, box in enumerate(stretch)}
        signatures.append(
            tuple(
                (
                    # An input, an output and a layer of several calls are equal to nothing else.
                    box
                    if box.is_input or calls[id(box.layer)] > 1 or box in outputs
                    else _settings(box.layer),
                    box.block,
                    [each if isinstance(each, str) else id(each) for each in box.constants],
                    tuple(box.arguments),
                    tuple(box.results),
                    tuple(
                        (places.get(arrow.source), arrow.argument, arrow.is_mask)
                        for arrow in taken.get(box, ())
                    ),
                )
                for box in stretch
            )
        )
    return signatures


def _settings(layer: Any) -> Any:
    """Class and config but for the name; the layer itself where it has none to tell."""
    try:
        config = layer.get_config()
    except NotImplementedError:
        return layer
    return type(layer), str({key: value for key, value in config.items() if key != "name"})


def _longest_row(signatures: list[Any], start: int) -> tuple[int, int]:
    """How many stretches from `start` on are repeated, and how often; what leaves out most."""
    best = (1, 1)
    for length in range(1, (len(signatures) - start) // 2 + 1):
        first = signatures[start : start + length]
        count = 1
        while signatures[start + count * length : start + (count + 1) * length] == first:
            count += 1
        if length * (count - 1) > best[0] * (best[1] - 1):
            best = (length, count)
    return best


def _is_comparison(box: Box) -> bool:
    return all(tensor.dtype == "bool" for tensor in box.results) and any(
        tensor.dtype != "bool" for tensor in box.arguments
    )


def _passed(graph: Graph, left_out: Iterable[Box], masks: Iterable[Box] = ()) -> Graph:
    """Leaves boxes out, and joins what they take to what they give."""
    masks = set(masks)
    arrows = list(graph.arrows)
    for box in left_out:
        into = [arrow for arrow in arrows if arrow.target is box]
        out = [arrow for arrow in arrows if arrow.source is box]
        arrows = [arrow for arrow in arrows if box not in (arrow.source, arrow.target)]
        for before in into:
            for after in out:
                is_mask = before.is_mask or after.is_mask or box in masks
                arrows.append(dataclasses.replace(after, source=before.source, is_mask=is_mask))
    gone = set(left_out)
    boxes = [box for box in graph.boxes if box not in gone]
    return Graph(graph.model, boxes, list(dict.fromkeys(arrows)), graph.outputs)


def _rebuilt(graph: Graph, drawn: Callable[[Box], Box], argument: Callable[[Arrow], int]) -> Graph:
    """The graph with each box replaced by the one that is drawn for it."""
    arrows: dict[Arrow, None] = {}
    for arrow in graph.arrows:
        source, target = drawn(arrow.source), drawn(arrow.target)
        if source is not target or arrow.source is arrow.target:
            arrows[Arrow(source, target, argument(arrow), arrow.is_mask)] = None
    boxes = dict.fromkeys(map(drawn, graph.boxes))
    outputs = [(name, drawn(box)) for name, box in graph.outputs]
    return Graph(graph.model, list(boxes), list(arrows), outputs)


def _merged(calls: list[list[Tensor]]) -> list[Tensor]:
    """The tensors of several calls as those of one, with all their shapes."""
    longest = max(calls, key=len)
    return [
        dataclasses.replace(
            tensor,
            shapes=tuple(
                dict.fromkeys(
                    shape for call in calls if len(call) > place for shape in call[place].shapes
                )
            ),
        )
        for place, tensor in enumerate(longest)
    ]
