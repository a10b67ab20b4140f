"""A report as one HTML file, which opens without a network, on a narrow screen, and prints."""

import base64
import html
import pathlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple


class Table(NamedTuple):
    """Rows under a header; numbers stand to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Picture(NamedTuple):
    """A PNG file, which goes into the page itself."""

    path: pathlib.Path
    description: str


class Code(NamedTuple):
    """A command, as it is typed."""

    text: str


class Markup(NamedTuple):
    """HTML that somebody else has written, with all its names escaped."""

    html: str


class Section(NamedTuple):
    """A headline and what stands under it: strings are paragraphs."""

    title: str
    parts: Sequence[str | Table | Picture | Code | Markup]


LONGEST_TEXT = 400
LONGEST_NAME = 60
_NUMBER = re.compile(r"|-|[+-]?[\d.,]+( \(\S+ to \S+\))?")
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif;
  color: #1b1b1b; background: #fff; max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; border-bottom: 2px solid #0072b2; }
p { margin: .4rem 0; max-width: 46rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
th { border-bottom: 2px solid #999; vertical-align: bottom; overflow-wrap: normal; }
td { min-width: 8rem; max-width: 26rem; }
td.number { min-width: 2rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
tbody tr:nth-child(even) { background: #f5f7f9; }
img { max-width: 100%; height: auto; display: block; margin: .5rem 0; }
pre { background: #f2f2f2; padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print {
  @page { margin: 14mm; }
  body { font-size: 9.5pt; max-width: none; padding: 0; }
  .wide { overflow: visible; }
  td { min-width: 4rem; }
  td.number, th.number { white-space: normal; overflow-wrap: normal; }
  h2 { break-after: avoid; }
  tr, img, pre { break-inside: avoid; }
  img { max-height: 245mm; }
  thead { display: table-header-group; }
  tbody tr:nth-child(even) { background: none; }
}
"""


def page(title: str, sections: Sequence[Section]) -> str:
    """The HTML of a report: a headline, then the sections."""
    body = "".join(
        f"<section>\n<h2>{_text(section.title)}</h2>\n"
        + "".join(_part(part) for part in section.parts)
        + "</section>\n"
        for section in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_text(title)}</h1>\n{body}</body>\n</html>\n"
    )


def cut(text: Any, longest: int) -> str:
    """The beginning of a text that may be long."""
    return str(text) if len(str(text)) <= longest else f"{str(text)[:longest]}…"


def _part(part: str | Table | Picture | Code | Markup) -> str:
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Picture):
        content = base64.b64encode(part.path.read_bytes()).decode("ascii")
        return f'<img alt="{_text(part.description)}" src="data:image/png;base64,{content}">\n'
    if isinstance(part, Code):
        return f"<pre>{_text(part.text)}</pre>\n"
    if isinstance(part, Markup):
        return f'<div class="wide">{_whole(part.html)}</div>\n'
    return f"<p>{_text(part)}</p>\n"


def _table(table: Table) -> str:
    is_number = [
        all(_is_number(row[column]) for row in table.rows) for column in range(len(table.header))
    ]

    def line(cells: Sequence[str], tag: str) -> str:
        return (
            "<tr>"
            + "".join(
                f'<{tag} class="number">{cell}</{tag}>' if right else f"<{tag}>{cell}</{tag}>"
                for cell, right in zip(cells, is_number, strict=True)
            )
            + "</tr>\n"
        )

    head = line([_text(name) for name in table.header], "th")
    body = "".join(line([_text(cell) for cell in row], "td") for row in table.rows)
    return (
        f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody>\n'
        "</table></div>\n"
    )


def _is_number(cell: Any) -> bool:
    """Whether a cell is a number, or one written out, such as "0.91 (0.88 to 0.93)"."""
    return not isinstance(cell, str) or _NUMBER.fullmatch(cell) is not None


def _text(value: Any) -> str:
    """Text as HTML shows it."""
    return html.escape(_whole(str(value)))


def _whole(text: str) -> str:
    """The text with "�" for half of a surrogate pair, which UTF-8 cannot hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
