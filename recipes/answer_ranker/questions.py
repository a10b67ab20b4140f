"""Questions with their right and wrong answers: reading, splitting, filling up."""

import dataclasses
import hashlib
import pathlib
import random
from collections.abc import Iterable, Sequence

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


@dataclasses.dataclass(frozen=True)
class RankingQuestion:
    """A question, and the candidates that answer it or do not."""

    text: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    """No text that is also a right answer."""

    @property
    def candidates(self) -> tuple[str, ...]:
        """All answers, the right ones first."""
        return self.right + self.wrong

    @property
    def labels(self) -> list[int]:
        """1 for each right candidate and then 0 for each wrong one."""
        return [1] * len(self.right) + [0] * len(self.wrong)


def read_questions(file: str | pathlib.Path, columns: Columns = Columns()) -> list[RankingQuestion]:
    """Reads labelled pairs or triples.

    The ending says how the file is written: `.csv`, `.tsv` or `.jsonl`, also gzipped. WikiQA's own
    files are known by their header, triples by their columns `right` and `wrong`; all others hold
    pairs with a label: 1 if the answer is right, 0 if it is wrong.

    Args:
        file: Path of the file.
        columns: Names of its columns.

    Returns:
        Each question once, in the order of the file. A wrong answer with the text of a right one
        is left out.

    Raises:
        UserError: If the file cannot be read, lacks a column, or has a row without question or
            answer, or with another label.
    """
    path = pathlib.Path(file)
    if table_files.table_format(path) is None:
        raise UserError(
            f"{path} is in no known format; expected a file ending in {table_files.ENDINGS}"
        )
    content = table_files.read_text(path)
    if not content.strip():
        raise UserError(f"{path} is empty; expected a question and an answer per line")
    names = table_files.column_names(path, content)
    if set(WIKIQA_COLUMNS) <= set(names):
        # Its quotation marks are text.
        found = table_files.read_columns(path, content, WIKIQA_COLUMNS, advice="", quoted=False)
        rows = [(place, key, *_pair(path, place, *pair)) for place, (key, *pair) in found]
    elif {columns.right, columns.wrong} <= set(names):
        triple = [columns.question, columns.right, columns.wrong]
        advice = "choose with --question-column, --right-column and --wrong-column"
        rows = []
        for place, (question, right, wrong) in table_files.read_columns(
            path, content, triple, advice=advice
        ):
            rows.append((place, question, question, right, 1))
            rows.append((place, question, question, wrong, 0))
        # A question may stand in several triples with the same right answer.
        rows = list({row[1:]: row for row in reversed(rows)}.values())[::-1]
    else:
        pair = [columns.question, columns.answer, columns.label]
        advice = (
            "choose with --question-column, --answer-column and --label-column, or with "
            "--right-column and --wrong-column"
        )
        found = table_files.read_columns(path, content, pair, advice=advice)
        rows = [(place, values[0], *_pair(path, place, *values)) for place, values in found]
    if not rows:
        raise UserError(f"{path} has a header but no rows; expected a question and an answer each")
    for place, _, question, answer, _ in rows:
        for what, value in (("question", question), ("answer", answer)):
            if not value:
                raise UserError(
                    f"{path}, {place}: the {what} is empty; fill it in or remove the row"
                )
    return _grouped((key, question, answer, label) for _, key, question, answer, label in rows)


def _pair(
    path: pathlib.Path, place: str, question: str, answer: str, label: str
) -> tuple[str, str, int]:
    if label not in {"0", "1"}:
        raise UserError(
            f"{path}, {place}: expected the label 1 (right) or 0 (wrong), received {label!r}"
        )
    return question, answer, int(label)


def _grouped(rows: Iterable[tuple[str, str, str, int]]) -> list[RankingQuestion]:
    text_of_key: dict[str, str] = {}
    answers: dict[str, tuple[list[str], list[str]]] = {}
    for key, question, answer, label in rows:
        text_of_key.setdefault(key, question)
        answers.setdefault(key, ([], []))[1 - label].append(answer)
    return [
        RankingQuestion(
            text_of_key[key],
            tuple(right),
            tuple(answer for answer in wrong if answer not in right),
        )
        for key, (right, wrong) in answers.items()
    ]


def from_pairs(pairs: Iterable[tuple[str, str]]) -> list[RankingQuestion]:
    """Questions from pairs of a question and a right answer; none has a wrong answer."""
    return _grouped((question, question, answer, 1) for question, answer in pairs)


def answerable(questions: Iterable[RankingQuestion]) -> list[RankingQuestion]:
    """The questions with both a right and a wrong answer: all that can be ranked."""
    return [question for question in questions if question.right and question.wrong]


def split_questions(
    questions: Sequence[RankingQuestion], share: float, salt: str
) -> tuple[list[RankingQuestion], list[RankingQuestion]]:
    """Splits off a share of the questions, chosen by a hash of each question's text.

    The same questions give the same split on every machine, in whatever order they come.

    Args:
        questions: All questions.
        share: How many of them to split off, as a fraction.
        salt: Splits with different salts are independent of each other.

    Returns:
        The questions that stay, and those split off.
    """
    digests = [hashlib.sha256(f"{salt}\0{each.text}".encode()).digest() for each in questions]
    chosen = set(sorted(digests)[: round(share * len(digests))])
    kept, split_off = [], []
    for question, digest in zip(questions, digests, strict=True):
        (split_off if digest in chosen else kept).append(question)
    return kept, split_off


def fill_candidates(
    questions: Sequence[RankingQuestion], size: int, answers: Sequence[str], seed: int
) -> list[RankingQuestion]:
    """Adds random wrong answers where a question has too few candidates.

    Args:
        questions: The questions.
        size: Candidates that each is to have.
        answers: Where wrong answers are drawn from.
        seed: What decides the draw.
    """
    chosen = random.Random(seed)
    pool = list(dict.fromkeys(answers))
    filled = []
    for question in questions:
        present = set(question.candidates)
        missing = min(size - len(present), len(pool) - len(present.intersection(pool)))
        # Some more than are missing: those already present fall away.
        draw = chosen.sample(pool, min(len(pool), max(0, missing) + len(present)))
        new = [answer for answer in draw if answer not in present][: max(0, missing)]
        filled.append(dataclasses.replace(question, wrong=(*question.wrong, *new)))
    return filled
