"""The graph as Mermaid text, which code hosts draw where they show a Markdown file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from keras_ce.diagrams._dot import INPUT, tint
from keras_ce.diagrams._graph import Block, Box, Graph
from keras_ce.diagrams._labels import Label


def mermaid(graph: Graph, labels: dict[Box | Block, Label], rankdir: str) -> str:
    """The text of a `.mmd` file; the name of an argument stands at the arrow into it."""
    numbers = {box: f"b{number}" for number, box in enumerate(graph.boxes)}
    lines = _inside(None, graph, labels, numbers, itertools.count())
    for arrow in graph.arrows:
        cells = labels[arrow.target].arguments
        name = f'|"{_text(cells[arrow.argument])}"|' if cells else ""
        line = "-.->" if arrow.is_mask else "-->"
        lines.append(f"{numbers[arrow.source]} {line}{name} {numbers[arrow.target]}")
    for box in graph.boxes:
        colour = tint(labels[box], INPUT if box.is_input else "#ffffff")
        lines.append(f"style {numbers[box]} fill:{colour},stroke:#555555,color:#000000")
    return "\n".join([f"flowchart {rankdir}", *lines, ""])


def _inside(
    block: Block | None,
    graph: Graph,
    labels: dict[Box | Block, Label],
    numbers: dict[Box, str],
    subgraphs: Iterator[int],
) -> list[str]:
    lines = []
    for box in graph.boxes_in(block):
        label = labels[box]
        title = f"<b>{_text(label.name)}</b> {_text(label.kind)}" if label.name else label.kind
        words = "<br/>".join([title, *map(_text, label.facts())])
        lines.append(f'{numbers[box]}["{words}"]')
    for inner in graph.blocks_in(block):
        label = labels[inner]
        title = f"{label.name} ({label.kind})" if label.kind else label.name
        words = ", ".join([title, *label.notes])
        lines += [
            f'subgraph s{next(subgraphs)}["{_text(words)}"]',
            *_inside(inner, graph, labels, numbers, subgraphs),
            "end",
        ]
    return lines


def _text(words: str) -> str:
    """Words inside quotation marks: all that means something to Mermaid as its number."""
    return "".join(
        each if each.isalnum() or each in " _.,()-" else f"#{ord(each)};" for each in words
    )
