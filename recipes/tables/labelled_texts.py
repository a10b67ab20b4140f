"""Reads texts with one label each, or several, and splits them by a hash: it can be repeated."""

import dataclasses
import hashlib
import itertools
import pathlib
import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

from recipes.runs.failures import UserError
from recipes.tables import table_files
from recipes.tables.delimited import listed

_TREC_LINE = re.compile(r"([A-Z]{2,}):(\w+)\s+(\S.*)")
_WHOLE_NUMBER = re.compile(r"-?\d+(\.0+)?")
_NO_LABELS = {"", "nan", "n/a", "#n/a", "null", "<na>"}
"""What spreadsheets and programs write for a missing value; "None" and "NA" are words."""


@dataclasses.dataclass(frozen=True)
class LabelledTexts:
    """Texts and, in the same order, the label of each; or a tuple of labels, of any length."""

    texts: list[str]
    labels: list[Any]
    rows: list[str] = dataclasses.field(default_factory=list)
    """Where in its file each stands, such as "3"; none where they come from no file."""

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    @property
    def are_several(self) -> bool:
        """Whether a text has a tuple of labels."""
        return any(isinstance(label, tuple) for label in self.labels)

    def label_sets(self) -> list[tuple[Any, ...]]:
        """All labels of each text, also where it has one."""
        return [label if isinstance(label, tuple) else (label,) for label in self.labels]

    def __add__(self, other: "LabelledTexts") -> "LabelledTexts":
        """These texts and then the others."""
        return LabelledTexts(
            self.texts + other.texts, self.labels + other.labels, self.rows + other.rows
        )

    def split(self, share: float, salt: str) -> tuple["LabelledTexts", "LabelledTexts"]:
        """Splits off a share of the texts, chosen by a hash of each text.

        The same texts give the same split on every machine, in whatever order they come. Equal
        texts fall on the same side. A label keeps its texts where all of them would be split off.

        Args:
            share: How many of the texts to split off, as a fraction.
            salt: Splits with different salts are independent of each other.

        Returns:
            The texts that stay, and those split off.
        """
        hashes = [hashlib.sha256(f"{salt}\0{text}".encode()).digest() for text in self.texts]
        threshold = sorted(hashes)[max(0, round(share * len(hashes)) - 1)]
        label_sets = self.label_sets()
        kept_labels = {
            label
            for labels, digest in zip(label_sets, hashes, strict=True)
            if digest > threshold
            for label in labels
        }
        is_split_off = [
            digest <= threshold and kept_labels.issuperset(labels)
            for labels, digest in zip(label_sets, hashes, strict=True)
        ]

        def side(wanted: bool) -> LabelledTexts:
            chosen = [is_off is wanted for is_off in is_split_off]
            columns = (self.texts, self.labels, self.rows)
            return LabelledTexts(*(list(itertools.compress(each, chosen)) for each in columns))

        return side(False), side(True)


def read_labelled_texts(
    file: str | pathlib.Path,
    *,
    text_column: str = "text",
    label_column: str = "label",
    fine_labels: bool = False,
    encoding: str | None = None,
    delimiter: str | None = None,
    label_separator: str | None = None,
    skip_unlabelled: bool = False,
) -> LabelledTexts:
    """Reads labelled texts.

    The ending of a file says what it is: a table in `.csv`, `.tsv`, `.json` or `.jsonl`, also with
    `.gz` after it, or `.parquet`. A file with another ending has lines like `COARSE:fine text`,
    TREC's own format. A folder has a folder for each label, with a .txt file for each text, or a
    .txt file for each label, with a text in each line.

    In JSON and Parquet a label may be a list of labels, also an empty one; then all must be, and
    the labels of a text are a tuple. So they are with a separator, which cuts what is no list; an
    empty cell is no label.

    Args:
        file: Path of the file or folder.
        text_column: Name of the column that holds the text.
        label_column: Name of the column that holds the label. `NaN`, `n/a` and `null` are none.
        fine_labels: Whether to use the whole label `COARSE:fine` of TREC's format.
        encoding: What the file is written in; `None` finds it out.
        delimiter: What stands between the fields of a `.csv` or `.tsv`; `None` finds it out.
        label_separator: What stands between several labels in one cell, such as "|".
        skip_unlabelled: Whether rows without a label are left out, and counted in a message.

    Raises:
        UserError: If the file cannot be read, has no such column, or a row without text or label,
            or if an option says nothing about such a file.
    """
    path = pathlib.Path(file)
    columns = [text_column, label_column]
    is_table = table_files.table_format(path) is not None and not path.is_dir()
    for option, is_given, is_of_use in (
        ("--fine-labels", fine_labels, not is_table and not path.is_dir()),
        ("--text-column or --label-column", columns != ["text", "label"], is_table),
        ("--delimiter", delimiter is not None, is_table),
        ("--label-separator", label_separator is not None, is_table),
    ):
        if is_given and not is_of_use and path.exists():
            raise UserError(f"{option} says nothing about {path}; leave it out")
    rows: Sequence[tuple[str, Any, Any]]
    if path.is_dir():
        rows = _folder_rows(path, encoding)
    elif is_table:
        table = table_files.read_table(
            path,
            columns,
            encoding=encoding,
            delimiter=delimiter,
            advice=(
                "choose with --text-column and --label-column; the first row names the columns"
            ),
        )
        if not table.columns:
            raise UserError(f"{path} is empty; expected one labelled text per line")
        rows = [
            (place, values.get(text_column), values.get(label_column))
            for place, values in table.rows
        ]
    else:
        rows = _trec_rows(path, table_files.read_text(path, encoding), fine_labels)
    if not rows:
        raise UserError(f"{path} has a header but no rows; expected one labelled text per row")
    if label_separator is not None or any(isinstance(label, list) for _, _, label in rows):
        rows = _with_label_lists(path, rows, label_separator)
    return _checked(path, rows, skip_unlabelled)


def _checked(
    path: pathlib.Path, rows: Sequence[tuple[str, Any, Any]], skip_unlabelled: bool
) -> LabelledTexts:
    """The rows with texts and labels as strings, none of them missing."""
    for what, index in (("text", 1), ("label", 2)):
        several = [row for row in rows if isinstance(row[index], list | dict)]
        if several:
            raise UserError(
                f"{path}, {listed([row[0] for row in several])}: the {what} is "
                f"{several[0][index]!r}; expected one string or number"
            )
    # That a text has none of several labels is something to learn from, if nobody says otherwise.
    is_unlabelled = [
        _is_no_label(label) or (skip_unlabelled and label == ()) for _, _, label in rows
    ]
    unlabelled = [place for place, _, _ in itertools.compress(rows, is_unlabelled)]
    if skip_unlabelled and unlabelled:
        print(f"{path}: left out without a label: {listed(unlabelled)}", file=sys.stderr)
        rows = [row for row, is_none in zip(rows, is_unlabelled, strict=True) if not is_none]
        if not rows:
            raise UserError(f"{path} has no row with a label; label some")
    without_text = [place for place, text, _ in rows if table_files.is_missing(text)]
    if without_text:
        raise UserError(
            f"{path}, {listed(without_text)}: the text is empty; fill it in or remove the row"
        )
    if unlabelled and not skip_unlabelled:
        raise UserError(
            f"{path}, {listed(unlabelled)}: the label is missing; fill it in, or leave such rows "
            "out with --skip-unlabelled (skip_unlabelled=True)"
        )
    texts = [table_files.as_text(text) for _, text, _ in rows]
    # "row 3" is 3, "file pos/1.txt" is pos/1.txt.
    places = [place.partition(" ")[2] for place, _, _ in rows]
    found = LabelledTexts(texts, [label for _, _, label in rows], places)
    label_sets = found.label_sets()
    names = iter(_alike([label for labels in label_sets for label in labels]))
    label_sets = [tuple(sorted({next(names) for _ in labels})) for labels in label_sets]
    labels = label_sets if found.are_several else [label for (label,) in label_sets]
    return dataclasses.replace(found, labels=labels)


def _with_label_lists(
    path: pathlib.Path, rows: Sequence[tuple[str, Any, Any]], separator: str | None
) -> list[tuple[str, Any, Any]]:
    """The rows with a tuple of labels each: a cell cut at the separator, or a list as it stands."""
    if separator == "":
        raise UserError("--label-separator is empty; give what stands between labels, such as '|'")
    found: list[tuple[str, Any, Any]] = []
    for place, text, label in rows:
        if separator is not None and isinstance(label, str):
            # An empty cell is a text without any of the labels; "n/a" says that nobody knows.
            if not label.strip() or not _is_no_label(label):
                parts = [part.strip() for part in label.split(separator)]
                label = _as_labels(path, place, list(filter(None, parts)))
        elif isinstance(label, list):
            label = _as_labels(path, place, label)
        elif separator is not None and isinstance(label, int | float) and not _is_no_label(label):
            label = (label,)
        elif not _is_no_label(label):
            raise UserError(
                f"{path}, {place}: the label is {label!r}, and other rows have lists of labels; "
                "give a list in each row, also for one label"
            )
        found.append((place, text, label))
    return found


def _as_labels(path: pathlib.Path, place: str, several: list[Any]) -> tuple[Any, ...]:
    others = [each for each in several if isinstance(each, list | dict) or _is_no_label(each)]
    if others:
        raise UserError(
            f"{path}, {place}: the list of labels has {others[0]!r} in it; expected strings or "
            "numbers"
        )
    return tuple(several)


def _is_no_label(label: Any) -> bool:
    if isinstance(label, str):
        return label.strip().casefold() in _NO_LABELS
    return table_files.is_missing(label)


def _alike(labels: Sequence[Any]) -> list[str]:
    """Labels as strings; a number has one spelling, and letters with accents have one."""
    if any(isinstance(label, int | float) and not isinstance(label, bool) for label in labels):
        labels = [int(label) if isinstance(label, bool) else label for label in labels]
    names = [unicodedata.normalize("NFC", table_files.as_text(label)) for label in labels]
    if all(_WHOLE_NUMBER.fullmatch(name) for name in names):
        # Tables write 1.0 where a column has gaps.
        names = [name.partition(".")[0] for name in names]
    return names


def _folder_rows(folder: pathlib.Path, encoding: str | None) -> list[tuple[str, str, str]]:
    """The texts below a folder, each with its file or line and its label."""
    present = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
    ]
    texts = [path for path in present if path.suffix.lower() == ".txt"]
    # Where labels have folders, a .txt file beside these is a README or a list.
    files = [path for path in texts if path.parent.parent == folder] or [
        path for path in texts if path.parent == folder
    ]
    others = sorted({*present} - {*files})
    left_out = [f"file {path.relative_to(folder)}" for path in others]
    if files and left_out:
        print(f"{folder}: left out, not a text of a label: {listed(left_out)}", file=sys.stderr)
    rows = []
    for path in files:
        content = table_files.read_text(path, encoding)
        if path.parent != folder:
            rows.append((f"file {path.relative_to(folder)}", content, path.parent.name))
        else:
            rows += [
                (f"line {number} of {path.name}", line.strip(), path.stem)
                for number, line in enumerate(content.split("\n"), 1)
                if line.strip()
            ]
    if not rows:
        raise UserError(
            f"{folder} is a folder without texts; expected a folder for each label with .txt files "
            "in it, or a .txt file for each label with a text in each line"
        )
    return rows


def _trec_rows(path: pathlib.Path, content: str, fine_labels: bool) -> list[tuple[str, str, str]]:
    if not content.strip():
        raise UserError(f"{path} is empty; expected one labelled text per line")
    rows: list[tuple[str, str, str]] = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        match = _TREC_LINE.fullmatch(line.strip())
        if match is None and not rows:
            raise UserError(
                f"{path} is in no known format; expected a file ending in {table_files.ENDINGS}, "
                "or lines like 'HUM:ind Who was Galileo ?', or a folder"
            )
        if match is None:
            raise UserError(
                f"{path}, line {number}: expected 'COARSE:fine text' as in the lines before, "
                f"received {line.strip()[:40]!r}"
            )
        coarse, fine, text = match.groups()
        rows.append((f"line {number}", text, f"{coarse}:{fine}" if fine_labels else coarse))
    return rows
