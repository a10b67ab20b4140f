"""From file to file: a table of texts in, the same table out with what a model says of each."""

import dataclasses
import io
import json
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from recipes.runs.failures import UserError
from recipes.tables import table_files
from recipes.tables.table_writing import write_table
from recipes.tokens.texts import checked_texts

_NOT_UTF8 = "standard input is not UTF-8; convert it first"

Found = Sequence[tuple[Any, ...]]
"""What a model says of one text, the best first: for example (class, probability) pairs. Nothing
where there is no text."""


@dataclasses.dataclass(frozen=True)
class TextRows:
    """A table, and the texts in one of its columns."""

    header: list[str]
    rows: list[list[str]]
    numbers: list[int]
    """The number of each row in its file, from 1."""
    texts: list[str]

    def json_lines(self, columns: Sequence[str], found: Iterable[Found]) -> Iterator[str]:
        """A line of JSON for each row: its number, its text and what was found.

        Args:
            columns: What the entries of `found` are.
            found: For each row what a model says.
        """
        for number, text, best in zip(self.numbers, self.texts, found, strict=True):
            entries = [dict(zip(columns, each, strict=True)) for each in best]
            # Not ensure_ascii=False: half a character would not get through a pipe.
            yield json.dumps({"row": number, "text": text, "best": entries})

    def write(
        self, output: pathlib.Path, columns: Sequence[str], found: Iterable[Found], top: int
    ) -> str:
        """Writes the table as .csv with its row numbers and what was found in further columns.

        Args:
            output: The file.
            columns: The names of the further columns; the second best has `NAME_2`, and so on.
            found: For each row what a model says, as the columns have it.
            top: How many there are at most.

        Returns:
            A sentence that says what was written.

        Raises:
            UserError: If it cannot be written.
        """
        ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
        added = ["row", *(f"{name}{rank}" for rank in ranks for name in columns)]
        while not set(added).isdisjoint(self.header):
            added = [f"new_{name}" for name in added]
        empty = [number for number, text in zip(self.numbers, self.texts, strict=True) if not text]

        def rows() -> Iterator[list[Any]]:
            for row, number, best in zip(self.rows, self.numbers, found, strict=True):
                cells = [value for each in best for value in each]
                missing = len(columns) * top - len(cells)
                yield [*row, number, *cells, *[""] * missing]

        marked = write_table(output, [*self.header, *added], rows())
        said = [f"{len(self.rows)} rows, with {', '.join(added)}: {output}"]
        if empty:
            said.append(f"without text: {len(empty)} ({_listed(empty)})")
        if marked:
            said.append(f"cells that look like formulas, now with an apostrophe: {marked}")
        return "; ".join(said)


def gather(
    texts: Sequence[str],
    input_file: str | None,
    column: str,
    option: str = "--text-column",
    **reading: str | None,
) -> TextRows:
    """The texts of a command line: its arguments, a file, or the lines of standard input.

    Args:
        texts: The arguments.
        input_file: A table, or a .txt file with a text on each line.
        column: The column of the table that holds the texts.
        option: The option that names the column, for the message.
        reading: `encoding` and `delimiter` of the file, as `table_files.read_table` takes them.

    Raises:
        UserError: If there is no text, or the file cannot be read.
    """
    if texts and input_file:
        raise UserError("there are texts and --input; give one of them")
    if input_file:
        return read_rows(pathlib.Path(input_file), column, option, **reading)
    for name, value in reading.items():
        if value is not None:
            raise UserError(f"--{name} needs --input: it says how to read a file")
    found = checked_texts(texts, may_be_none=True) or lines_of_standard_input()
    if not found:
        raise UserError("there is no text; give texts as arguments, --input, or standard input")
    return _of_lines(found, column)


def read_rows(
    path: pathlib.Path,
    column: str,
    option: str,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> TextRows:
    """Reads a table with all its columns, or the lines of a .txt file."""
    if table_files.table_format(path) is None:
        if path.suffix.lower() != ".txt":
            raise UserError(
                f"{path} is in no known format; expected a file ending in .txt, or in "
                f"{table_files.ENDINGS}"
            )
        if delimiter is not None:
            raise UserError(f"--delimiter says nothing about {path}; leave it out")
        content = table_files.read_text(path, encoding)
        if not content.strip():
            raise UserError(f"{path} is empty; expected a text on each line")
        return _of_lines(content.removesuffix("\n").split("\n"), column)
    table = table_files.read_table(
        path, [column], encoding=encoding, delimiter=delimiter, advice=f"choose with {option}"
    )
    if not table.columns:
        raise UserError(f"{path} is empty; expected a text on each line")
    if not table.rows:
        raise UserError(f"{path} has a header but no rows; expected a text in each")

    def cells(values: dict[str, Any]) -> list[str]:
        found = [values.get(name) for name in table.columns]
        # As they stand, spaces included.
        return [each if isinstance(each, str) else table_files.as_text(each) for each in found]

    return TextRows(
        table.columns,
        [cells(values) for _, values in table.rows],
        [int(place.split()[-1]) for place, _ in table.rows],
        [text for _, (text,) in table.select([column])],
    )


def lines_of_standard_input() -> list[str]:
    """The lines of standard input; an empty one is an empty text."""
    try:
        return [line.rstrip("\n") for line in _strict_standard_input()]
    except UnicodeDecodeError:
        raise UserError(_NOT_UTF8) from None


def asked_for(prompt: str) -> Iterator[str]:
    """The lines of the terminal, asked for one after the other, or of standard input."""
    ask = sys.stdin.isatty()
    try:
        lines = _strict_standard_input()
        while line := input(prompt) + "\n" if ask else lines.readline():
            if line.strip():
                yield line.strip()
    except EOFError:
        print()
    except UnicodeDecodeError:
        raise UserError(_NOT_UTF8) from None


def _strict_standard_input() -> TextIO:
    """Standard input; without a locale, Python lets bytes through that are no characters."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="strict")
    return sys.stdin


def require_output(output: str | None) -> pathlib.Path | None:
    """The file to write, checked before anything takes time.

    Raises:
        UserError: If it is there already, has no folder, or does not end in .csv.
    """
    if output is None:
        return None
    path = pathlib.Path(output)
    if path.suffix.lower() != ".csv":
        raise UserError(f"--output writes a .csv file; name one instead of {path}")
    if path.exists():
        raise UserError(f"{path} exists already; remove it, or name another file with --output")
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} does not exist; make it, or name another file")
    return path


def _of_lines(lines: Sequence[str], column: str) -> TextRows:
    texts = [line.strip() for line in lines]
    return TextRows([column], [[text] for text in texts], list(range(1, len(texts) + 1)), texts)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return f"row {shown}" if len(numbers) == 1 else f"rows {shown}{', ...' * (len(numbers) > 10)}"
