"""What a next-word model learns from: Python's own source files, or files with a text per line."""

import pathlib
from collections.abc import Sequence

from recipes.corpora import standard_library
from recipes.runs.failures import UserError
from recipes.tables import table_files
from recipes.tables.labelled_texts import LabelledTexts
from recipes.tokens.vocabulary import split_tokens

TEST_SHARE = 0.05
VALIDATION_SHARE = 0.05


def read_texts(
    train: str | None = None,
    validation: str | None = None,
    test: str | None = None,
    encoding: str | None = None,
) -> tuple[list[str], list[str], list[str]]:
    """The texts to learn from, to stop by and to test with.

    Args:
        train: A file with a text per line; without it, Python's own source files.
        validation: Likewise; without it, a twentieth of the others.
        test: Likewise.
        encoding: What the files are written in; `None` finds it out.

    Raises:
        UserError: If a file cannot be read, or has too few texts.
    """
    if train is None:
        if test or validation:
            raise UserError("--test and --validation need --train: give all the texts, or none")
        if encoding:
            raise UserError("--encoding needs --train: it says how to read a file")
        training = list(standard_library.source_texts().values())
    else:
        training = _read(train, encoding)
    source = train or "the standard library"
    if test is None:
        training, of_test = _split(training, TEST_SHARE, "test", source)
    else:
        of_test = _read(test, encoding)
    if validation is None:
        training, of_validation = split_validation(training, source)
    else:
        of_validation = _read(validation, encoding)
    return training, of_validation, of_test


def split_validation(texts: Sequence[str], source: str) -> tuple[list[str], list[str]]:
    """The texts to learn from, and a twentieth to stop by, by a hash of each text.

    Raises:
        UserError: If there are too few; `source` begins the message.
    """
    return _split(texts, VALIDATION_SHARE, "validation", source)


def count_words(kind: str, **texts: Sequence[str]) -> dict[str, int]:
    """How many words there are in sets of texts.

    Args:
        kind: As in `recipes.tokens.vocabulary.split_tokens`.
        texts: The sets, by name.

    Raises:
        UserError: If a set has none.
    """
    counts = {
        name: sum(len(split_tokens(text, kind)) for text in of_name)
        for name, of_name in texts.items()
    }
    for name, count in counts.items():
        require_words(count, name)
    return counts


def require_words(count: int, name: str) -> None:
    """Raises `UserError` where a set of texts has no words."""
    if not count:
        raise UserError(
            f"the {name} texts have no words; give others, or choose how texts are split: tokens"
        )


def _read(file: str, encoding: str | None) -> list[str]:
    path = pathlib.Path(file)
    texts = table_files.text_lines(table_files.read_text(path, encoding))
    if not texts:
        raise UserError(f"{path} is empty; expected one text per line")
    return texts


def _split(
    texts: Sequence[str], share: float, salt: str, source: str
) -> tuple[list[str], list[str]]:
    # All of one label: none is kept for its label's sake.
    kept, split_off = LabelledTexts(list(texts), [""] * len(texts)).split(share, salt)
    if not len(kept) or not len(split_off):
        raise UserError(
            f"{source} has too few texts to set some aside; give more, or name files with "
            "--validation and --test"
        )
    return kept.texts, split_off.texts
