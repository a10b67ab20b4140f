"""The questions of a training: from files or from Python, split and given candidates."""

import dataclasses
import hashlib
import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy

from recipes.runs.failures import UserError
from recipes.tokens.texts import checked_texts

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
CANDIDATES = 10

_LABEL_WORDS = {
    **dict.fromkeys(("1", "1.0", "yes", "true", "right"), 1),
    **dict.fromkeys(("0", "0.0", "no", "false", "wrong"), 0),
}


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


def grouped(rows: Iterable[tuple[str, str, str, int]]) -> list[RankingQuestion]:
    """Each question once, from rows of key, question, answer and label; a key is one question."""
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


def label_of(value: Any) -> int | None:
    """1 for what says "right", 0 for "wrong", `None` for all else.

    Args:
        value: A number, a truth value, or a text such as "1", "1.0", "yes" or "true".
    """
    if isinstance(value, str):
        return _LABEL_WORDS.get(value.strip().lower())
    is_number = isinstance(value, bool | int | float | numpy.generic)
    return int(value) if is_number and value in (0, 1) else None


def from_labelled(
    questions: Sequence[str], answers: Sequence[str], labels: Sequence[Any] | None = None
) -> list[RankingQuestion]:
    """Questions from parallel sequences.

    Args:
        questions: A question for each row; equal texts are one question.
        answers: An answer to each.
        labels: 1 where the answer is right, 0 where it is wrong; `None` if all are right.

    Raises:
        ValueError: If the sequences differ in length, a text is empty, or a label is another.
    """
    columns = {
        "questions": checked_texts(questions, "questions", may_be_none=True),
        "answers": checked_texts(answers, "answers", may_be_none=True),
    }
    given = [1] * len(columns["questions"]) if labels is None else list(labels)
    _require_equal_lengths({**columns, "labels": given})
    right = list(map(label_of, given))
    if None in right:
        number = right.index(None)
        raise UserError(
            f"`labels` must hold 1 (right) or 0 (wrong). Received: {given[number]!r} at position "
            f"{number}."
        )
    rows = zip(columns["questions"], columns["answers"], right, strict=True)
    return grouped((question, question, answer, label or 0) for question, answer, label in rows)


def from_triples(
    questions: Sequence[str], right: Sequence[str], wrong: Sequence[str]
) -> list[RankingQuestion]:
    """Questions from parallel sequences, with a right and a wrong answer in each row.

    Raises:
        ValueError: If the sequences differ in length, or a text is empty.
    """
    columns = {
        name: checked_texts(texts, name, may_be_none=True)
        for name, texts in (("questions", questions), ("right", right), ("wrong", wrong))
    }
    _require_equal_lengths(columns)
    rows = rows_of_triples(("", *texts) for texts in zip(*columns.values(), strict=True))
    return grouped(row[1:] for row in rows)


def rows_of_triples(triples: Iterable[tuple[str, ...]]) -> list[tuple[str, str, str, str, int]]:
    """Two rows of place, key, question, answer and label for each place and triple."""
    rows = []
    for place, question, right, wrong in triples:
        rows.append((place, question, question, right, 1))
        rows.append((place, question, question, wrong, 0))
    # A question may stand in several triples with the same right answer.
    return list({row[1:]: row for row in reversed(rows)}.values())[::-1]


def _require_equal_lengths(columns: dict[str, list[Any]]) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise UserError(f"there must be as many of each. Received: {listed}.")


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
    pairs = list(zip(questions, digests, strict=True))
    kept = [question for question, digest in pairs if digest not in chosen]
    return kept, [question for question, digest in pairs if digest in chosen]


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


def rankable(
    questions: Sequence[RankingQuestion], size: int | None, source: str, purpose: str
) -> list[RankingQuestion]:
    """The questions that can be ranked, each with as many candidates as were asked for.

    Args:
        questions: The questions.
        size: Candidates that each is to have, filled up by chance; `None` for `CANDIDATES` where
            no wrong answer is given, and no filling up elsewhere.
        source: Where the questions come from, for the message.
        purpose: What they are for, likewise.

    Raises:
        ValueError: If there is none.
    """
    if size is None:
        # Nothing but pairs that belong together: each answer among others, drawn by chance.
        size = 0 if any(question.wrong for question in questions) else CANDIDATES
    answers = [answer for question in questions for answer in question.candidates]
    found = answerable(fill_candidates(questions, size, answers, seed=0))
    if not found:
        raise UserError(
            f"{source} has no question {purpose} with both a right and a wrong answer; give more "
            "questions, or have wrong answers drawn by chance: candidates=10 (--candidates 10)"
        )
    return found


def require_right_answers(questions: Sequence[RankingQuestion], source: str) -> None:
    """Raises `ValueError` unless a question has a right answer to learn from."""
    if not any(question.right for question in questions):
        raise UserError(
            f"{source} has no question with a right answer to learn from; give more questions, "
            "with the label 1 for right answers"
        )
