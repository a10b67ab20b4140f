"""Reads questions with their answers, and collections of answers, from files."""

import dataclasses
import pathlib
import sys

from recipes.answer_ranker.data import (
    TEST_SHARE,
    VALIDATION_SHARE,
    RankingQuestion,
    from_labelled,
    grouped,
    label_of,
    rankable,
    require_right_answers,
    rows_of_triples,
    split_questions,
)
from recipes.corpora import standard_library
from recipes.runs.failures import UserError
from recipes.tables import table_files

WIKIQA_COLUMNS = ["QuestionID", "Question", "Sentence", "Label"]


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names of the columns of a file: of labelled pairs, or of triples."""

    question: str = "question"
    answer: str = "answer"
    label: str = "label"
    right: str = "right"
    wrong: str = "wrong"


def read_questions(
    file: str | pathlib.Path,
    columns: Columns = Columns(),
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> list[RankingQuestion]:
    """Reads labelled pairs or triples.

    The ending says how the file is written: `.csv`, `.tsv` or `.jsonl`, also gzipped. WikiQA's own
    files are known by their header, triples by their columns `right` and `wrong`; all others hold
    pairs, with a label: 1 if the answer is right, 0 if it is wrong; without that column, all are
    right.

    Args:
        file: Path of the file.
        columns: Names of its columns.
        encoding: What it is written in; `None` finds it out.
        delimiter: What stands between the fields of a `.csv` or `.tsv`; `None` finds it out.

    Returns:
        Each question once, in the order of the file. A wrong answer with the text of a right one
        is left out.

    Raises:
        ValueError: If the file cannot be read, lacks a column, or has a row without question or
            answer, or with another label.
    """
    path = pathlib.Path(file)
    if table_files.table_format(path) is None:
        raise UserError(
            f"{path} is in no known format; expected a file ending in {table_files.ENDINGS}"
        )
    table = table_files.read_table(path, encoding=encoding, delimiter=delimiter)
    if not table.columns:
        raise UserError(f"{path} is empty; expected a question and an answer per line")
    names = table.columns
    if set(WIKIQA_COLUMNS) <= set(names):
        found = table.select(WIKIQA_COLUMNS)
        rows = [(place, key, *_pair(path, place, *pair)) for place, (key, *pair) in found]
    elif {columns.right, columns.wrong} <= set(names):
        triple = [columns.question, columns.right, columns.wrong]
        advice = "choose with --question-column, --right-column and --wrong-column"
        found = table.select(triple, advice)
        rows = rows_of_triples((place, *texts) for place, texts in found)
    else:
        pair = [columns.question, columns.answer]
        # Pairs alone are all right; a column that was named must be there.
        if columns.label in names or columns.label != Columns.label:
            pair.append(columns.label)
        else:
            print(f"{path} has no column {columns.label!r}: all answers are right", file=sys.stderr)
        advice = (
            "choose with --question-column, --answer-column and --label-column, or with "
            "--right-column and --wrong-column"
        )
        found = table.select(pair, advice)
        rows = [(place, values[0], *_pair(path, place, *values)) for place, values in found]
    if not rows:
        raise UserError(f"{path} has a header but no rows; expected a question and an answer each")
    for place, _, question, answer, _ in rows:
        for what, value in (("question", question), ("answer", answer)):
            if not value:
                raise UserError(
                    f"{path}, {place}: the {what} is empty; fill it in or remove the row"
                )
    return grouped((key, question, answer, label) for _, key, question, answer, label in rows)


def _pair(
    path: pathlib.Path, place: str, question: str, answer: str, label: str = "1"
) -> tuple[str, str, int]:
    right = label_of(label)
    if right is None:
        raise UserError(
            f"{path}, {place}: expected the label 1 (right) or 0 (wrong), received {label!r}"
        )
    return question, answer, right


def read_sources(
    train: str | None,
    validation: str | None,
    test: str | None,
    columns: Columns,
    candidates: int | None,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> tuple[list[RankingQuestion], list[RankingQuestion], list[RankingQuestion]]:
    """The questions to learn from, to stop by and to test with.

    Args:
        train: A file; `None` for what the docstrings of the standard library say.
        validation: A file; `None` for a tenth of the questions to learn from.
        test: A file; `None` for a fifth of them.
        columns: Names of the files' columns.
        candidates: As `size` of `rankable`, for the questions to stop by and to test with.
        encoding: As in `read_questions`.
        delimiter: Likewise.

    Raises:
        ValueError: If a file cannot be read, or `train` is missing beside another one, or there is
            nothing to learn from, to stop by or to test with.
    """
    if train is None:
        if test or validation:
            raise UserError("--test and --validation need --train: give all the files, or none")
        for name, value in (("--encoding", encoding), ("--delimiter", delimiter)):
            if value:
                raise UserError(f"{name} needs --train: it says how to read a file")
        names, docstrings = zip(*standard_library.name_and_docstring_pairs(), strict=True)
        training = from_labelled(names, docstrings)
    else:
        training = read_questions(train, columns, encoding=encoding, delimiter=delimiter)
    if test is None:
        training, tested = split_questions(training, TEST_SHARE, "test")
    else:
        tested = read_questions(test, columns, encoding=encoding, delimiter=delimiter)
    if validation is None:
        training, stopping = split_questions(training, VALIDATION_SHARE, "validation")
    else:
        stopping = read_questions(validation, columns, encoding=encoding, delimiter=delimiter)
    source = train or "the standard library"
    require_right_answers(training, source)
    return (
        training,
        rankable(stopping, candidates, validation or source, "to stop by"),
        rankable(tested, candidates, test or source, "to test with"),
    )


def read_answers(
    file: pathlib.Path,
    column: str,
    id_column: str | None = None,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> tuple[list[str], list[str] | None]:
    """Reads a collection: lines of a .txt file, or a column of a table; each answer once.

    Args:
        file: Path of the file.
        column: The column of the answers.
        id_column: The column of their ids or links, one for each answer.
        encoding: What it is written in; `None` finds it out.
        delimiter: What stands between the fields of a table; `None` finds it out.

    Returns:
        The answers, and their ids, or `None` where no column of ids is asked for.

    Raises:
        ValueError: If the file cannot be read, or an answer or an id is empty or an id comes twice.
    """
    ids: list[str] = []
    if table_files.table_format(file) is None:
        if file.suffix.lower() != ".txt":
            raise UserError(
                f"{file} is in no known format; expected a file ending in .txt, or in "
                f"{table_files.ENDINGS}"
            )
        for what, given in (("--id-column", id_column), ("--delimiter", delimiter)):
            if given:
                raise UserError(f"{what} says nothing about {file}, which has no columns")
        answers = table_files.text_lines(table_files.read_text(file, encoding))
    else:
        columns = [column, id_column] if id_column else [column]
        advice = "choose with --answer-column and --id-column"
        table = table_files.read_table(
            file, columns, encoding=encoding, delimiter=delimiter, advice=advice
        )
        rows = table.select(columns) if table.columns else []
        place_of_answer: dict[str, str] = {}
        place_of_id: dict[str, str] = {}
        for place, (answer, *identity) in rows:
            for what, value in zip(("answer", "id"), (answer, *identity), strict=False):
                if not value:
                    raise UserError(
                        f"{file}, {place}: the {what} is empty; fill it in or remove the row"
                    )
            if answer in place_of_answer:
                continue
            place_of_answer[answer] = place
            for each in identity:
                if each in place_of_id:
                    raise UserError(
                        f"{file}, {place}: the id {each!r} stands in {place_of_id[each]} too; "
                        "give each answer its own"
                    )
                place_of_id[each] = place
        answers, ids = list(place_of_answer), list(place_of_id)
    if not answers:
        raise UserError(f"{file} holds no answer; give at least one")
    return list(dict.fromkeys(answers)), ids if id_column else None
