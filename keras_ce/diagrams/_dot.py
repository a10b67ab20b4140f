"""The graph as DOT, the language of Graphviz."""

from __future__ import annotations

import functools
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
    table = functools.partial(_keras_table if style == "keras" else _plain_table, rankdir=rankdir)
    lines = [
        f"graph [rankdir={rankdir}, dpi={dpi}, splines={splines}, ranksep=0.35];",
        'graph [fontname="Helvetica"];',
        'node [shape=plain, fontname="Helvetica"];',
        f'edge [color="{"black" if style == "keras" else _LINE}"];',
        *_inside(None, graph, labels, numbers, table, itertools.count()),
    ]
    side = {"TB": "n", "BT": "s", "LR": "w", "RL": "e"}[rankdir]
    for arrow in graph.arrows:
        port = f":a{arrow.argument}:{side}" if labels[arrow.target].arguments else ""
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
        kind = f" ({_text(label.kind)})" if label.kind else ""
        words = [f"<b>{_text(label.name)}</b>{kind}", *map(_text, label.notes)]
        lines += [
            # Numbers, not names: two models can have one name.
            f"subgraph cluster_{next(clusters)} {{",
            f'graph [label=<{", ".join(words)}>, labeljust=l, style="dashed,filled", '
            f'color="{_LINE}", fillcolor="{tint(label, "#fafafa")}"];',
            *_inside(inner, graph, labels, numbers, table, clusters),
            "}",
        ]
    return lines


def _plain_table(label: Label, rankdir: str) -> str:
    """A light box: what it takes, what it is, and what comes out."""
    title = f"<b>{_text(label.name)}</b> {_text(label.kind)}" if label.name else _text(label.kind)
    rows = [_cell(title), *(_cell(_small(fact)) for fact in label.facts())]
    line = {"TB": "B", "BT": "T", "LR": "R", "RL": "L"}[rankdir]
    arguments = _argument_cells(label, f'border="1" sides="{line}"')
    return _table(
        _arranged(arguments, rows, rankdir, 'border="0" cellborder="0" cellpadding="4"'),
        'border="1" cellborder="0" cellpadding="4" style="rounded" '
        f'color="{_LINE}" bgcolor="{tint(label, INPUT if label.is_input else "white")}"',
    )


def _keras_table(label: Label, rankdir: str) -> str:
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
    colour = f'bgcolor="{tint(label, "white")}"'
    rows = [
        _cell(f'<font point-size="16" color="white">{header}</font>', 'bgcolor="black"'),
        *(_cell(f"{name}<b>{_text(fact)}</b>", colour) for name, fact in facts if fact),
    ]
    looks = 'border="0" cellborder="1" cellpadding="8" bgcolor="black"'
    return _table(_arranged(_argument_cells(label, colour), rows, rankdir, looks), looks)


def _argument_cells(label: Label, looks: str) -> list[str]:
    """A cell for each argument, for arrows to end at."""
    return [
        _cell(_small(each), f'port="a{number}" {looks}')
        for number, each in enumerate(label.arguments)
    ]


def _arranged(arguments: list[str], rows: list[str], rankdir: str, looks: str) -> list[str]:
    """The rows of a box, its arguments on the side that arrows come from."""
    if not arguments:
        return rows
    if rankdir in ("TB", "BT"):
        rows = [row.replace("<td", f'<td colspan="{len(arguments)}"', 1) for row in rows]
        beside = ["".join(arguments)]
        return [*beside, *rows] if rankdir == "TB" else [*rows, *beside]
    columns = [
        f'<td border="0" cellpadding="0">{_table(each, looks)}</td>' for each in (arguments, rows)
    ]
    return ["".join(columns if rankdir == "LR" else reversed(columns))]


def _table(rows: list[str], looks: str) -> str:
    return f'<table cellspacing="0" {looks}>{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'


def _cell(content: str, looks: str = "") -> str:
    return f"<td {looks}>{content}</td>"


def _small(words: str) -> str:
    return f'<font point-size="11">{_text(words)}</font>'


def _text(words: str) -> str:
    """Words inside a label, whose syntax is that of HTML; a backslash would begin an escape."""
    printable = "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in words
    )
    return html.escape(printable).replace("\\", "&#92;")
