"""The search in what a training has left: its ranker, some answers, and the index over them."""

import hashlib
import pathlib

from recipes.answer_ranker.index import AnswerIndex
from recipes.answer_ranker.question_files import read_answers
from recipes.answer_ranker.task import AnswerRanker
from recipes.runs.failures import UserError


def open_index(
    run: pathlib.Path, answers_file: str | None, answer_column: str
) -> tuple[AnswerIndex, str, pathlib.Path]:
    """The index over some answers: the one that an earlier search has left, or a new one.

    Args:
        run: Folder that `examples.train_answer_ranker` has left.
        answers_file: The answers: lines of a .txt file, or a table; `None` for those of the run.
        answer_column: Name of the table's column.

    Returns:
        The index, whether it was "built" or "loaded", and its file, which lies in `run`.

    Raises:
        ValueError: If the run, the answers or the index cannot be used.
    """
    advice = "name a folder that examples.train_answer_ranker has left"
    for name in ("trainer.keras", "answers.jsonl"):
        if not (run / name).is_file():
            raise UserError(f"{run} is not a run of an answer ranker: it has no {name}; {advice}")
    if answers_file is None:
        source, file = run / "answers.jsonl", run / "answers.index"
    else:
        source = pathlib.Path(answers_file)
        place = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:8]
        file = run / f"{source.stem}-{place}.index"
    answers = read_answers(source, answer_column)
    ranker = AnswerRanker.load(run / "trainer.keras")
    if file.exists():
        index = ranker.load_index(file)
        if index.answers == answers:
            return index, "loaded", file
    index = ranker.index(answers)
    index.save(file)
    return index, "built", file
