"""Reads tables (.csv, .tsv, .json, .jsonl, .parquet, also gzipped), and says what is wrong."""

import dataclasses
import gzip
import io
import json
import math
import pathlib
import zlib
from collections.abc import Sequence
from typing import Any

from recipes.runs.failures import UserError
from recipes.tables.delimited import read_delimited, read_header
from recipes.tables.encodings import decode
from recipes.tokens.texts import whole_characters

ENDINGS = ".csv, .tsv, .json, .jsonl (each also with .gz after it) or .parquet"


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of a file."""

    path: pathlib.Path
    columns: list[str]
    """Names of the columns; none where the file is empty."""
    rows: list[tuple[str, dict[str, Any]]]
    """The place of each, such as "row 3" or "line 7", and its values: strings; from JSON or Parquet
    whatever stands there, `None` where nothing does."""

    def select(self, columns: Sequence[str], advice: str = "") -> list[tuple[str, list[str]]]:
        """For each row its place, and the values of some columns as texts.

        Args:
            columns: Their names.
            advice: How to name other columns; the end of a message.

        Raises:
            UserError: If there is no such column.
        """
        self.require(columns, advice)
        return [
            (place, [as_text(values.get(column)) for column in columns])
            for place, values in self.rows
        ]

    def require(self, columns: Sequence[str], advice: str = "") -> None:
        """Raises `UserError` where there is no such column; arguments as in `select`."""
        for column in columns:
            if column not in self.columns:
                raise UserError(
                    f"{self.path} has no column {column!r}; it has "
                    f"{', '.join(map(repr, self.columns))}: {advice}"
                )


MOST_BYTES = 2**30
"""Of a text file, unpacked. Its rows take several times as much memory."""


def read_text(path: pathlib.Path, encoding: str | None = None) -> str:
    """The content of a text file, unpacked if it is gzipped, with plain line ends.

    Args:
        path: The file.
        encoding: What it is written in; `None` finds it out, and says it where it is not UTF-8.

    Raises:
        UserError: If the file cannot be read, or holds more than a gibibyte.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        if content.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(content)) as unpacked:
                content = unpacked.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UserError(f"{path} is a damaged gzip file; fetch it again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a readable file") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"{path} holds more than {MOST_BYTES:,} bytes of text; give a part of it")
    text = decode(path, content, encoding).replace("\r\n", "\n")
    # Macintosh programs end lines with a return alone.
    return text if "\n" in text else text.replace("\r", "\n")


def text_lines(content: str) -> list[str]:
    """The lines with text in them, without the spaces around.

    Not `str.splitlines`, which also cuts at form feeds and at separators inside a text.
    """
    return [line.strip() for line in content.split("\n") if line.strip()]


def table_format(path: pathlib.Path) -> str | None:
    """`csv`, `tsv`, `jsonl` or `parquet`, by the ending of a file; `None` for any other."""
    endings = [ending.lower() for ending in path.suffixes if ending.lower() != ".gz"]
    ending = endings[-1] if endings else ""
    if ending in {".csv", ".tsv", ".parquet"}:
        return ending[1:]
    return "jsonl" if ending in {".jsonl", ".ndjson", ".json"} else None


def read_table(
    path: pathlib.Path,
    wanted: Sequence[str] = (),
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    advice: str = "",
) -> Table:
    """Reads a table, all of its columns.

    Args:
        path: The file, whose ending says how to read it.
        wanted: Names of columns that it must have.
        encoding: As in `read_text`.
        delimiter: What stands between the fields of a .csv or .tsv file; `None` finds it out.
        advice: How to name other columns; the end of a message.

    Raises:
        UserError: If the file or a row cannot be read, or a column is missing.
    """
    if table_format(path) is None:
        raise UserError(f"{path} is in no known format; expected a file ending in {ENDINGS}")
    if table_format(path) == "parquet":
        if encoding is not None:
            raise UserError(f"--encoding says nothing about {path}, a Parquet file; leave it out")
        content, table = "", _read_parquet(path)
    else:
        content = read_text(path, encoding)
        table = parse_table(path, content, wanted, delimiter=delimiter)
    if delimiter is not None and table_format(path) not in {"csv", "tsv"}:
        raise UserError(f"--delimiter says nothing about {path}, which has none; leave it out")
    if table.columns:
        table.require(wanted, advice)
    return table


def parse_table(
    path: pathlib.Path,
    content: str,
    wanted: Sequence[str] = (),
    *,
    delimiter: str | None = None,
) -> Table:
    """The table that a text holds; arguments as in `read_table`."""
    if table_format(path) == "jsonl":
        return _parse_json(path, content)
    # Not pandas: it takes "NA" for a missing value, and the first field of a row that is too long
    # for the name of the row.
    header, rows = read_delimited(path, content, wanted, delimiter=delimiter)
    return Table(
        path, header, [(place, dict(zip(header, row, strict=True))) for place, row in rows]
    )


def column_names(path: pathlib.Path, content: str) -> list[str]:
    """The names of the columns: the header's, or the keys of JSON."""
    if table_format(path) == "jsonl":
        return _parse_json(path, content).columns
    return read_header(path, content)


def read_columns(
    path: pathlib.Path,
    content: str,
    columns: Sequence[str],
    *,
    advice: str,
) -> list[tuple[str, list[str]]]:
    """The values of some columns.

    Args:
        path: The file, whose ending says how to read it.
        content: Its text, not empty.
        columns: Names of the columns.
        advice: How to name other columns; the end of a message.

    Returns:
        For each row its place, such as "row 3", and its values without spaces around them.

    Raises:
        UserError: If a column is missing, or a row cannot be read.
    """
    return parse_table(path, content, columns).select(columns, advice)


def is_missing(value: Any) -> bool:
    """Whether a value is nothing: `None`, NaN or an empty text."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def as_text(value: Any) -> str:
    """A value as it is written: 1.0 is 1, what is missing is empty, a list is JSON."""
    if is_missing(value):
        return ""
    if isinstance(value, str):
        return whole_characters(value).strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _parse_json(path: pathlib.Path, content: str) -> Table:
    """A record in each line, or a list of records."""
    rows = []
    if content.lstrip().startswith("["):
        found = _json_value(f"{path}", content)
        rows = [(f"record {number}", record) for number, record in enumerate(found, 1)]
    else:
        for number, line in enumerate(content.split("\n"), 1):
            if line.strip():
                rows.append((f"line {number}", _json_value(f"{path}, line {number}", line)))
    for place, record in rows:
        if not isinstance(record, dict):
            raise UserError(f"{path}, {place}: expected an object like {{...}}")
    return Table(path, list(dict.fromkeys(name for _, record in rows for name in record)), rows)


def _json_value(place: str, text: str) -> Any:
    def record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(f"{place} has two values {twice!r}; rename or remove one of them")
        return found

    try:
        return json.loads(text, object_pairs_hook=record)
    except ValueError as error:  # JSONDecodeError, or an integer of thousands of digits
        problem = getattr(error, "msg", error)
        raise UserError(
            f"{place}: not valid JSON ({problem}); expected an object like {{...}} in each line, "
            "or a list of them"
        ) from None
    except RecursionError:
        raise UserError(f"{place}: JSON nested too deep; give the texts as plain strings") from None


def _read_parquet(path: pathlib.Path) -> Table:
    try:
        import pandas
    except ImportError:
        raise UserError(
            f"{path}: Parquet needs pandas and pyarrow; install them (pip install pandas pyarrow) "
            "or give a .csv or .jsonl file"
        ) from None
    try:
        frame = pandas.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except (ImportError, OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{path} cannot be read as Parquet ({reason}); write it anew, or give a .csv or .jsonl "
            "file"
        ) from None
    frame = frame.astype(object).where(frame.notna(), None)
    columns = [str(name) for name in frame.columns]
    rows = [
        (f"row {number}", dict(zip(columns, map(_plain, values), strict=True)))
        for number, values in enumerate(frame.itertuples(index=False, name=None), 1)
    ]
    return Table(path, columns, rows)


def _plain(value: Any) -> Any:
    """Python's own list or number, where NumPy has one."""
    return value.tolist() if hasattr(value, "tolist") else value
