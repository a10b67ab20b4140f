"""What a next-word model learns from: Python's own source files, or files with a text per line."""

import argparse
import pathlib

from recipes.corpora import standard_library
from recipes.runs.failures import UserError
from recipes.tables import table_files
from recipes.tables.labelled_texts import LabelledTexts

TEST_SHARE = 0.05
VALIDATION_SHARE = 0.05


def read_texts(options: argparse.Namespace) -> tuple[list[str], list[str], list[str]]:
    """The texts to learn from, to stop by and to test with.

    Raises:
        UserError: If a file cannot be read, or has too few texts.
    """
    if options.train is None:
        if options.test or options.validation:
            raise UserError("--test and --validation need --train: give all the texts, or none")
        training = list(standard_library.source_texts().values())
    else:
        training = _read(options.train)
    source = options.train or "the standard library"
    if options.test is None:
        training, test = _split(training, TEST_SHARE, "test", source)
    else:
        test = _read(options.test)
    if options.validation is None:
        training, validation = _split(training, VALIDATION_SHARE, "validation", source)
    else:
        validation = _read(options.validation)
    return training, validation, test


def _read(file: str) -> list[str]:
    path = pathlib.Path(file)
    texts = [line.strip() for line in table_files.read_text(path).split("\n") if line.strip()]
    if not texts:
        raise UserError(f"{path} is empty; expected one text per line")
    return texts


def _split(texts: list[str], share: float, salt: str, source: str) -> tuple[list[str], list[str]]:
    # By a hash of each text, and all of one label: none is kept for its label's sake.
    kept, split_off = LabelledTexts(texts, [""] * len(texts)).split(share, salt)
    if not len(kept) or not len(split_off):
        raise UserError(
            f"{source} has too few texts to set some aside; give more, or name files with "
            "--validation and --test"
        )
    return kept.texts, split_off.texts
