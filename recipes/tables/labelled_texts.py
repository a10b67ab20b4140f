"""Reads texts with one label each, and splits them by a hash so that a run can be repeated."""

import dataclasses
import hashlib
import pathlib
import re
from typing import Any

from recipes.runs.failures import UserError
from recipes.tables import table_files

_TREC_LINE = re.compile(r"([A-Z]{2,}):(\w+)\s+(\S.*)")


@dataclasses.dataclass(frozen=True)
class LabelledTexts:
    """Texts and, in the same order, the label of each."""

    texts: list[str]
    labels: list[Any]

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    def __add__(self, other: "LabelledTexts") -> "LabelledTexts":
        """These texts and then the others."""
        return LabelledTexts(self.texts + other.texts, self.labels + other.labels)

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
        pairs = list(zip(self.texts, self.labels, strict=True))
        kept_labels = {
            label for label, digest in zip(self.labels, hashes, strict=True) if digest > threshold
        }
        is_split_off = [
            digest <= threshold and label in kept_labels
            for label, digest in zip(self.labels, hashes, strict=True)
        ]

        def side(wanted: bool) -> LabelledTexts:
            chosen = [
                pair for pair, is_off in zip(pairs, is_split_off, strict=True) if is_off is wanted
            ]
            return LabelledTexts([text for text, _ in chosen], [label for _, label in chosen])

        return side(False), side(True)


def read_labelled_texts(
    file: str | pathlib.Path,
    *,
    text_column: str = "text",
    label_column: str = "label",
    fine_labels: bool = False,
) -> LabelledTexts:
    """Reads a file of labelled texts.

    A file whose lines look like `COARSE:fine text` is TREC's own format, whatever it is called;
    otherwise the ending says what it is: `.csv`, `.tsv` or `.jsonl`, also with `.gz` after it. Text
    is UTF-8 or, where it cannot be, ISO-8859-1.

    Args:
        file: Path of the file.
        text_column: Name of the column that holds the text; not used by TREC's format.
        label_column: Name of the column that holds the label; likewise.
        fine_labels: Whether to use the whole label `COARSE:fine` of TREC's format.

    Raises:
        UserError: If the file cannot be read, has no such column, or an empty text or label.
    """
    path = pathlib.Path(file)
    content = table_files.read_text(path)
    if not content.strip():
        raise UserError(f"{path} is empty; expected one labelled text per line")
    if _TREC_LINE.fullmatch(content.strip().split("\n")[0].strip()):
        rows = _trec_rows(path, content, fine_labels)
    elif table_files.table_format(path):
        found = table_files.read_columns(
            path,
            content,
            [text_column, label_column],
            advice="choose with --text-column and --label-column",
        )
        rows = [(place, text, label) for place, (text, label) in found]
    else:
        raise UserError(
            f"{path} is in no known format; expected a file ending in {table_files.ENDINGS}, "
            "or lines like 'HUM:ind Who was Galileo ?'"
        )
    for place, text, label in rows:
        for what, value in (("text", text), ("label", label)):
            if not value:
                raise UserError(
                    f"{path}, {place}: the {what} is empty; fill it in or remove the row"
                )
    if not rows:
        raise UserError(f"{path} has a header but no rows; expected one labelled text per row")
    return LabelledTexts([text for _, text, _ in rows], [label for _, _, label in rows])


def _trec_rows(path: pathlib.Path, content: str, fine_labels: bool) -> list[tuple[str, str, str]]:
    rows = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        match = _TREC_LINE.fullmatch(line.strip())
        if match is None:
            raise UserError(
                f"{path}, line {number}: expected 'COARSE:fine text' as in the lines before, "
                f"received {line.strip()[:40]!r}"
            )
        coarse, fine, text = match.groups()
        rows.append((f"line {number}", text, f"{coarse}:{fine}" if fine_labels else coarse))
    return rows
