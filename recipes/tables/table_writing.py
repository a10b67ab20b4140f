"""Writes tables as .csv files that a spreadsheet opens without running anything in them."""

import csv
import itertools
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from recipes.runs.whole_files import whole_file

_FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")


def write_table(path: pathlib.Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Writes a table; the file appears when all is written.

    A spreadsheet runs a cell that begins with "=", "+", "-" or "@": such a text, unless it is a
    number, gets an apostrophe before it.

    Args:
        path: Where to; a file that is there is replaced.
        header: The names of the columns.
        rows: As many cells each.

    Returns:
        How many cells got an apostrophe.

    Raises:
        UserError: If the file cannot be written.
    """
    marked = 0
    # The mark at the beginning makes spreadsheet programs read UTF-8. Half a character, as of an
    # emoji cut in two, has no UTF-8.
    with (
        whole_file(path) as new,
        open(new, "w", newline="", encoding="utf-8-sig", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        for row in itertools.chain([header], rows):
            runs = [_is_formula(cell) for cell in row]
            marked += sum(runs)
            writer.writerow(
                [f"'{cell}" if run else cell for cell, run in zip(row, runs, strict=True)]
            )
    return marked


def _is_formula(cell: Any) -> bool:
    if not isinstance(cell, str) or not cell.startswith(_FORMULA_MARKS):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
