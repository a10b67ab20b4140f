"""The graph as DOT, the language of Graphviz."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Callable, Iterator

from keras_ce.diagrams._graph import Block, Box, Graph
from keras_ce.diagrams._labels import Label

# Light enough for black text and for print; one for each layer that is called more than once.
TINTS = (
    "#cfe2f3",
    "#fce5cd",
    "#d9ead3",
    "#ead1dc",
    "#fff2cc",
    "#d9d2e9",
    "#d0e0e3",
    "#f4cccc",
)
INPUT = "#eeeeee"
_LINE = "#555555"
# Graphviz bends curved arrows around cycles, which it looks for along every path: ten blocks with
# a way around each have 12,000 paths and take it 0.4 s, sixteen 80 s.
_MOST_PATHS = 10_000


def dot(
    graph: Graph,
    labels: dict[Box | Block, Label],
    *,
    style: str,
    rankdir: str,
    dpi: float,
    splines: str,
) -> str:
    """The text of a `.dot` file."""
    if splines == "ortho" and any(labels[box].arguments for box in graph.boxes):
        # Graphviz leads right angles to a box, not to one of its cells.
        splines = "spline"
    if splines == "curved" and _number_of_paths(graph) > _MOST_PATHS:
        splines = "spline"
    numbers = {box: f"b{number}" for number, box in enumerate(graph.boxes)}
    table = _keras_table if style == "keras" else _plain_table
    lines = [
        f"graph [rankdir={rankdir}, dpi={dpi}, splines={splines}, ranksep=0.35];",
        'graph [fontname="Helvetica"];',
        'node [shape=plain, fontname="Helvetica"];',
        f'edge [color="{"black" if style == "keras" else _LINE}"];',
        *_inside(None, graph, labels, numbers, table, itertools.count()),
    ]
    side = {"TB": ":n"}.get(rankdir, "")
    for arrow in graph.arrows:
        port = f":a{arrow.argument}{side}" if labels[arrow.target].arguments else ""
        looks = " [style=dotted]" if arrow.is_mask else ""
        lines.append(f"{numbers[arrow.source]} -> {numbers[arrow.target]}{port}{looks};")
    return "\n".join(["digraph model {", *lines, "}", ""])


def _number_of_paths(graph: Graph) -> float:
    """How many ways there are from one box to another; infinity where a way leads back."""
    ending: dict[Box, float] = {}
    for box in graph.boxes:
        ending[box] = 1 + sum(
            ending.get(arrow.source, math.inf) for arrow in graph.arrows if arrow.target is box
        )
    return sum(ending.values())


def tint(label: Label, otherwise: str) -> str:
    """The colour of a layer that is called more than once."""
    return otherwise if label.colour is None else TINTS[label.colour % len(TINTS)]


def _inside(
    block: Block | None,
    graph: Graph,
    labels: dict[Box | Block, Label],
    numbers: dict[Box, str],
    table: Callable[[Label], str],
    clusters: Iterator[int],
) -> list[str]:
    """The boxes of a block, and the blocks in it with theirs."""
    lines = [f"{numbers[box]} [label=<{table(labels[box])}>];" for box in graph.boxes_in(block)]
    for inner in graph.blocks_in(block):
        label = labels[inner]
        words = [f"<b>{_text(label.name)}</b> ({_text(label.kind)})", *map(_text, label.notes)]
        lines += [
            # Numbers, not names: two models can have one name.
            f"subgraph cluster_{next(clusters)} {{",
            f'graph [label=<{", ".join(words)}>, labeljust=l, style="dashed,filled", '
            f'color="{_LINE}", fillcolor="{tint(label, "#fafafa")}"];',
            *_inside(inner, graph, labels, numbers, table, clusters),
            "}",
        ]
    return lines


def _plain_table(label: Label) -> str:
    """A light box: arguments above, what it is, and what comes out below."""
    span = f'colspan="{max(1, len(label.arguments))}"'
    title = f"<b>{_text(label.name)}</b> {_text(label.kind)}" if label.name else _text(label.kind)
    rows = [f"<td {span}>{title}</td>"]
    rows += [
        f'<td {span}><font point-size="11">{_text(each)}</font></td>' for each in label.facts()
    ]
    if label.arguments:
        rows.insert(0, _argument_cells(label, 'border="1" sides="B"'))
    colour = tint(label, INPUT if label.is_input else "white")
    return (
        '<table border="1" cellborder="0" cellspacing="0" cellpadding="4" style="rounded" '
        f'color="{_LINE}" bgcolor="{colour}">{_rows(rows)}</table>'
    )


def _keras_table(label: Label) -> str:
    """The black and white box of `keras.utils.plot_model`."""
    header = f"<b>{_text(label.name or label.kind)}</b>"
    if label.name:
        header += f" ({_text(label.kind)})"
    facts = [
        ("Input shape: ", label.input_shape),
        ("Output shape: ", label.output_shape),
        ("Output dtype: ", label.dtype),
        ("Activation: ", label.activation),
        ("", {True: "Trainable", False: "Non-trainable", None: ""}[label.trainable]),
        *(("", note) for note in label.notes),
    ]
    span = f'colspan="{max(1, len(label.arguments))}"'
    white = f'bgcolor="{tint(label, "white")}"'
    rows = [
        f'<td {span} bgcolor="black"><font point-size="16" color="white">{header}</font></td>',
        *(
            f"<td {span} {white}>{_text(before)}<b>{_text(fact)}</b></td>"
            for before, fact in facts
            if fact
        ),
    ]
    if label.arguments:
        rows.insert(0, _argument_cells(label, white))
    return (
        '<table border="0" cellborder="1" cellspacing="0" cellpadding="8" '
        f'bgcolor="black">{_rows(rows)}</table>'
    )


def _argument_cells(label: Label, looks: str) -> str:
    """A cell for each argument, for arrows to end at."""
    return "".join(
        f'<td port="a{number}" {looks}><font point-size="11">{_text(each)}</font></td>'
        for number, each in enumerate(label.arguments)
    )


def _rows(rows: list[str]) -> str:
    return "".join(f"<tr>{row}</tr>" for row in rows)


def _text(words: str) -> str:
    """Words inside a label, whose syntax is that of HTML; a backslash would begin an escape."""
    printable = "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in words
    )
    return html.escape(printable).replace("\\", "&#92;")
