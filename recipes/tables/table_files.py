"""Reads columns of text from .csv, .tsv and .jsonl files, also gzipped, and says what is wrong."""

import csv
import gzip
import io
import json
import pathlib
import zlib
from collections.abc import Sequence
from typing import Any

from recipes.runs.failures import UserError

ENDINGS = ".csv, .tsv or .jsonl, also with .gz after it"

_SURPLUS = "\0surplus"
"""No header has this name."""


def read_text(path: pathlib.Path) -> str:
    """The content of a text file, unpacked if it is gzipped, with plain line ends.

    Args:
        path: The file: UTF-8 or, where it cannot be, ISO-8859-1.

    Raises:
        UserError: If the file cannot be read.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UserError(f"{path} is a damaged gzip file; fetch it again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a readable file") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("iso-8859-1")
    return text.replace("\r\n", "\n")


def table_format(path: pathlib.Path) -> str | None:
    """`csv`, `tsv` or `jsonl`, by the ending of a file; `None` for any other."""
    endings = [ending.lower() for ending in path.suffixes if ending.lower() != ".gz"]
    ending = endings[-1] if endings else ""
    if ending in {".csv", ".tsv"}:
        return ending[1:]
    return "jsonl" if ending in {".jsonl", ".ndjson", ".json"} else None


def column_names(path: pathlib.Path, content: str) -> list[str]:
    """The names of the columns: the header's, or the keys of the first line of JSON."""
    if table_format(path) != "jsonl":
        return list(_dict_reader(path, content).fieldnames or [])
    number, line = _lines(content)[0]
    return list(_json_record(f"{path}, line {number}", line))


def read_columns(
    path: pathlib.Path,
    content: str,
    columns: Sequence[str],
    *,
    advice: str,
    quoted: bool = True,
) -> list[tuple[str, list[str]]]:
    """The values of some columns.

    Args:
        path: The file, whose ending says how to read it.
        content: Its text, not empty.
        columns: Names of the columns.
        advice: How to name other columns; the end of a message.
        quoted: Whether quotation marks in a .csv or .tsv file enclose fields; else they are text.

    Returns:
        For each row its place, such as "row 3", and its values without spaces around them.

    Raises:
        UserError: If a column is missing, or a row cannot be read.
    """
    if table_format(path) == "jsonl":
        return _json_rows(path, content, columns, advice)
    # Not pandas: it takes "NA" for a missing value, and the first field of a row that is too long
    # for the name of the row.
    table = _dict_reader(path, content, quoted)
    header = list(table.fieldnames or [])
    _require_columns(path, columns, header, advice)
    rows = []
    try:
        for number, record in enumerate(table, 1):
            if _SURPLUS in record:
                raise UserError(
                    f"{path}, row {number}: more fields than the {len(header)} of the "
                    "header; put texts with separators in quotes"
                )
            rows.append((f"row {number}", [record[column].strip() for column in columns]))
    except csv.Error as error:
        raise UserError(f"{path}, row {len(rows) + 1}: {error}; put texts in quotes") from None
    return rows


def _dict_reader(path: pathlib.Path, content: str, quoted: bool = True) -> "csv.DictReader[str]":
    return csv.DictReader(
        io.StringIO(content, newline=""),
        delimiter="\t" if table_format(path) == "tsv" else ",",
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        restkey=_SURPLUS,
        restval="",
    )


def _lines(content: str) -> list[tuple[int, str]]:
    return [(number, line) for number, line in enumerate(content.split("\n"), 1) if line.strip()]


def _json_record(place: str, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: not valid JSON ({error.msg})") from None
    if not isinstance(record, dict):
        raise UserError(f"{place}: expected an object like {{...}}")
    return record


def _json_rows(
    path: pathlib.Path, content: str, columns: Sequence[str], advice: str
) -> list[tuple[str, list[str]]]:
    rows = []
    for number, line in _lines(content):
        place = f"{path}, line {number}"
        record = _json_record(place, line)
        _require_columns(place, columns, list(record), advice)
        values = [record[column] for column in columns]
        texts = ["" if value is None else str(value).strip() for value in values]
        rows.append((f"line {number}", texts))
    return rows


def _require_columns(
    place: pathlib.Path | str, wanted: Sequence[str], present: Sequence[str], advice: str
) -> None:
    for column in wanted:
        if column not in present:
            raise UserError(
                f"{place} has no column {column!r}; it has "
                f"{', '.join(map(repr, present))}: {advice}"
            )
