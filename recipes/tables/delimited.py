"""Rows of text with delimiters: which delimiter it is, and what is meant by quotation marks."""

import contextlib
import csv
import pathlib
import sys
from collections.abc import Iterator, Sequence

from recipes.runs.failures import UserError

_DELIMITERS = (",", ";", "\t", "|")


def read_delimited(
    path: pathlib.Path,
    content: str,
    wanted: Sequence[str] = (),
    *,
    delimiter: str | None = None,
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The names of the columns, and the fields of each row after its place, such as "row 3".

    Nothing is dropped but empty lines. A quotation mark that is never closed, or whose
    closing would swallow lines that are rows of their own, is text. With tabs, as research data is
    written, quotation marks around a field are text too, unless the header has them, or a field
    could not be written without.

    Args:
        path: The file; `.tsv` has tabs, if its header agrees.
        content: Its text.
        wanted: Columns to look for in the header where the delimiter is to be found.
        delimiter: What stands between fields; `None` finds it in the header.

    Raises:
        UserError: If a row has more fields than the header, or two columns have one name.
    """
    lines = content.split("\n")
    with _long_fields():
        delimiter, header, place = _read_header(path, lines, wanted, delimiter)
        has_quotes = '"' in "".join(lines[:place])
        is_proper = delimiter != "\t" and _is_proper(
            lines[place:], delimiter, len(header), has_quotes
        )
        reader = _Reader(path, lines, delimiter, len(header), has_quotes, is_proper)
        rows: list[tuple[str, list[str]]] = []
        while place < len(lines):
            # In a table of one column an empty line is an empty cell, but for the end of the file.
            if lines[place] or (len(header) == 1 and any(lines[place:])):
                name = f"row {len(rows) + 1}"
                fields, used = reader.record(place, name)
                if any(fields[len(header) :]):
                    raise UserError(
                        f"{path}, {name}: more fields than the {len(header)} of the header; put "
                        "texts with separators in quotes"
                    )
                fields += [""] * (len(header) - len(fields))
                rows.append((name, fields[: len(header)]))
                place += used
            else:
                place += 1
    for places, what in (
        (reader.as_text, "quotation marks that nothing closes are text"),
        (reader.joined, "one row of several lines, each of which could be a row"),
    ):
        if places and delimiter != "\t":  # With tabs it is the rule.
            print(f"{path}, {listed(places)}: {what}", file=sys.stderr)
    return header, rows


def read_header(path: pathlib.Path, content: str) -> list[str]:
    """The names of the columns, as `read_delimited` has them."""
    with _long_fields():
        return _read_header(path, content.split("\n"), (), None)[1]


def _read_header(
    path: pathlib.Path,
    lines: Sequence[str],
    wanted: Sequence[str],
    delimiter: str | None,
) -> tuple[str, list[str], int]:
    """The delimiter, the names of the columns, and the line where the rows begin."""
    start = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    if start == len(lines):
        return ",", [], start
    first = lines[start].strip(" ")
    if len(first) == 5 and first.lower().startswith("sep="):
        delimiter, start = delimiter or first[4], start + 1  # Excel says so itself
    if start == len(lines):
        return ",", [], start
    delimiter = _named(delimiter) or _found(path, lines, start, wanted)
    header, used = _header(lines, start, delimiter)
    _require_different(path, header)
    return delimiter, header, start + used


def listed(places: Sequence[str]) -> str:
    """Places such as "row 2" in few words: "rows 2, 5, 9 and 14 more"."""
    if len(places) == 1:
        return places[0]
    kind = places[0].split()[0]
    more = f" and {len(places) - 5} more" if len(places) > 5 else ""
    return f"{kind}s {', '.join(place.partition(' ')[2] for place in places[:5])}{more}"


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """Fields may have any length: Python's reader refuses those above 131,072 characters."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _is_proper(lines: Sequence[str], delimiter: str, width: int, header_quoted: bool) -> bool:
    """Whether what follows the header was written with quotation marks that enclose fields.

    Every record has as many fields as the header then, and something says that the marks are not
    part of the texts: the header has them, or a field needs them and can be read in no other way.
    """
    records = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    is_sure, start = header_quoted, 0
    try:
        for fields in records:
            if len(fields) not in (0, width):
                return False
            taken, start = lines[start : records.line_num], records.line_num
            if any(mark in field for field in fields for mark in (delimiter, '"', "\n")):
                is_sure |= any(len(line.split(delimiter)) != width for line in taken)
    except csv.Error:
        return False
    return is_sure


def _named(delimiter: str | None) -> str | None:
    if delimiter is None:
        return None
    delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
    if len(delimiter) != 1 or delimiter in '"\n\r':
        raise UserError(
            f"`delimiter` must be one character, or tab. Received: delimiter={delimiter!r}"
        )
    return delimiter


def _found(path: pathlib.Path, lines: Sequence[str], start: int, wanted: Sequence[str]) -> str:
    """The delimiter by which the header has most of the columns wanted, or most columns."""
    is_tsv = ".tsv" in (ending.lower() for ending in path.suffixes)
    order = sorted(_DELIMITERS, key=lambda each: each != "\t") if is_tsv else _DELIMITERS

    def merit(delimiter: str) -> tuple[int, int]:
        names, _ = _header(lines, start, delimiter)
        return len(set(wanted).intersection(names)), len(names)

    return max(order, key=merit)  # the first among equals


def _header(lines: Sequence[str], start: int, delimiter: str) -> tuple[list[str], int]:
    names, used = lines[start].split(delimiter), 1
    if '"' in lines[start]:
        with contextlib.suppress(csv.Error):
            names, used = _enclosed(lines, start, delimiter, strict=True)
    names = [name.strip() for name in names]
    if names.count("") > 1:  # Spreadsheets write columns that look empty.
        names = [name or f"column {number}" for number, name in enumerate(names, 1)]
    return names, used


def _require_different(path: pathlib.Path, header: Sequence[str]) -> None:
    for name in header:
        if name and header.count(name) > 1:
            raise UserError(f"{path} has two columns {name!r}; rename or remove one of them")


def _enclosed(
    lines: Sequence[str], start: int, delimiter: str, *, strict: bool
) -> tuple[list[str], int]:
    """The fields of the record that begins in a line, and how many lines it takes."""
    following = (lines[place] + "\n" for place in range(start, len(lines)))
    reader = csv.reader(following, delimiter=delimiter, strict=strict)
    return next(reader), reader.line_num


class _Reader:
    """Reads records, and keeps the places of those that could be read otherwise."""

    def __init__(
        self,
        path: pathlib.Path,
        lines: Sequence[str],
        delimiter: str,
        width: int,
        header_quoted: bool,
        is_proper: bool,
    ) -> None:
        self._path, self._lines, self._delimiter, self._width = path, lines, delimiter, width
        self._header_quoted, self._is_proper = header_quoted, is_proper
        self.as_text: list[str] = []
        self.joined: list[str] = []

    def record(self, start: int, name: str) -> tuple[list[str], int]:
        """The fields of the record that begins in a line, and how many lines it takes."""
        line = self._lines[start]
        plain = line.split(self._delimiter)
        if '"' not in line:
            return plain, 1
        is_whole = len(plain) == self._width
        try:
            fields, used = _enclosed(self._lines, start, self._delimiter, strict=True)
        except csv.Error:
            if not is_whole:
                try:
                    fields, used = _enclosed(self._lines, start, self._delimiter, strict=False)
                except csv.Error as error:
                    raise UserError(
                        f"{self._path}, {name}: {error}; put the field in quotes"
                    ) from None
                if used == 1 and len(fields) == self._width:  # a space after a closing mark
                    return fields, 1
            self.as_text.append(name)
            return plain, 1
        if used > 1 and self._width > 1:
            alone = [each.split(self._delimiter) for each in self._lines[start : start + used]]
            if all(len(each) == self._width for each in alone):
                # After a delimiter that stands in a sentence comes a space.
                if not self._is_proper and (
                    self._delimiter == "\t"
                    or not any(field.startswith(" ") for each in alone for field in each[1:])
                ):
                    self.as_text.append(name)
                    return plain, 1
                self.joined.append(name)
        is_needed = used > 1 or not is_whole or '""' in line
        if self._delimiter == "\t" and not is_needed and not self._header_quoted:
            return plain, 1
        return fields, used
