"""The search in what a training has left: its ranker, some answers, and the index over them."""

import hashlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from recipes._arguments import require_integer
from recipes.answer_ranker.index import AnswerIndex
from recipes.answer_ranker.question_files import read_answers
from recipes.answer_ranker.task import AnswerRanker
from recipes.runs.failures import UserError

_CHUNK = 1_000
"""Questions whose vectors are in memory at a time."""


def open_index(
    run: pathlib.Path,
    answers_file: str | None,
    answer_column: str,
    id_column: str | None = None,
    **reading: str | None,
) -> tuple[AnswerIndex, str, pathlib.Path]:
    """The index over some answers: the one that an earlier search has left, or a new one.

    Answers that are new in a file are added to the index that is there.

    Args:
        run: Folder that `examples.train_answer_ranker` has left.
        answers_file: The answers: lines of a .txt file, or a table; `None` for those of the run.
        answer_column: Name of the table's column.
        id_column: Name of the column of their ids, if there is one.
        reading: `encoding` and `delimiter` of the answers' file, as `read_answers` takes them.

    Returns:
        The index; whether it was "built" or "loaded", or how many answers were added; and its
        file, which lies in `run`.

    Raises:
        ValueError: If the run, the answers or the index cannot be used.
    """
    advice = "name a folder that examples.train_answer_ranker has left"
    for name in ("trainer.keras", "answers.jsonl"):
        if not (run / name).is_file():
            raise UserError(f"{run} is not a run of an answer ranker: it has no {name}; {advice}")
    if answers_file is None:
        source, file, reading = run / "answers.jsonl", run / "answers.index", {}
    else:
        source = pathlib.Path(answers_file)
        place = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:8]
        file = run / f"{source.stem}-{place}.index"
    answers, ids = read_answers(source, answer_column, id_column, **reading)
    ranker = AnswerRanker.load(run / "trainer.keras")
    if file.exists():
        index = ranker.load_index(file)
        new = _new_answers(index, answers, ids)
        if new is not None:
            if not new:
                return index, "loaded", file
            id_of_answer = dict(zip(answers, ids or (), strict=False))
            index.add(new, [id_of_answer[answer] for answer in new] if ids else None)
            index.save(file)
            return index, f"loaded, {len(new)} added", file
    index = ranker.index(answers, ids)
    index.save(file)
    return index, "built", file


def _new_answers(
    index: AnswerIndex, answers: Sequence[str], ids: Sequence[str] | None
) -> list[str] | None:
    """The answers that an index lacks; `None` if it holds others, or other ids."""
    present = dict(zip(index.answers, index.ids, strict=True))
    kept = [answer for answer in answers if answer in present]
    if ids is None:
        # The answers' own numbers, as the index gives them.
        same_ids = index.ids == list(range(len(index)))
    else:
        same_ids = all(
            present[answer] == identity
            for answer, identity in zip(answers, ids, strict=True)
            if answer in present
        )
    if not same_ids or len(kept) < len(present):
        return None
    return [answer for answer in answers if answer not in present]


def answers_to(
    index: AnswerIndex,
    questions: Sequence[str],
    top: int,
    add_overlap: bool,
    columns: Sequence[str],
) -> Iterator[list[tuple[Any, ...]]]:
    """For each question its best answers, the best first.

    Args:
        index: The answers.
        questions: One that is empty, or of which no word is known, has no answer.
        top: How many answers at most.
        add_overlap: As in `AnswerIndex.search`.
        columns: What to give of each: `answer`, `score` (4 digits), `id`.

    Raises:
        ValueError: If `top` is no positive integer.
    """
    require_integer("top", top, 1)
    for start in range(0, len(questions), _CHUNK):
        chunk = questions[start : start + _CHUNK]
        asked = [question for question in chunk if index.knows(question)]
        found = iter(index.best(asked, top, add_overlap=add_overlap))
        for question in chunk:
            best = next(found) if index.knows(question) else []
            entries = [
                {"answer": answer, "score": round(score, 4), "id": identity}
                for score, identity, answer in best
            ]
            yield [tuple(entry[name] for name in columns) for entry in entries]
