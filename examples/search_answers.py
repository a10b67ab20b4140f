"""Finds answers to questions, with the encoders that `examples.train_answer_ranker` has left.

    python -m examples.search_answers runs/answer_ranker-1 "how do I split a path"
    python -m examples.search_answers runs/answer_ranker-1 --answers notes.txt < questions.txt

Searches the answers that the training saw, or those of any file. The index over them is written
beside the run the first time, and used again as long as the answers stay the same. Without
questions it takes them from the terminal, or from standard input, a line each.
"""

import argparse
import hashlib
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence

from recipes.runs import failures
from recipes.runs.failures import UserError
from recipes.tables import table_files

ADVICE = "name a folder that examples.train_answer_ranker has left"


def main(arguments: Sequence[str] | None = None) -> None:
    """Answers the questions of the command line, or of standard input."""
    options = parse(arguments)
    run = pathlib.Path(options.run)
    for name in ("question_encoder.keras", "answer_encoder.keras", "answers.jsonl"):
        if not (run / name).is_file():
            raise UserError(f"{run} is not a run of an answer ranker: it has no {name}; {ADVICE}")
    for number, question in enumerate(options.questions, 1):
        if not question.strip():
            raise UserError(f"question {number} is empty; leave it out")
    if options.answers is None:
        file, index_file = run / "answers.jsonl", run / "answers.faiss"
    else:
        file = pathlib.Path(options.answers)
        place = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
        index_file = run / f"{file.stem}-{place}.faiss"
    answers = read_answers(file, options.answer_column)

    # Not at the top: see train_text_classifier.
    from recipes.answer_ranker.search import AnswerSearch

    search = AnswerSearch(run, answers, index_file, with_bm25=options.bm25)
    state = "built" if search.was_built else "loaded"
    print(f"{len(answers)} answers; index {state}: {index_file}")
    if options.questions:
        for question in options.questions:
            show(search, question, options.top)
        return
    for question in questions_from_input():
        try:
            show(search, question, options.top)
        except UserError as error:
            print(f"\n{error}")  # The next question may be a better one.


def show(search: object, question: str, count: int) -> None:
    """Prints the best answers to a question."""
    start = time.perf_counter()
    found = search.find(question, count)
    milliseconds = 1000 * (time.perf_counter() - start)
    print(f"\n{question.strip()}  ({milliseconds:.1f} ms)")
    for score, answer in found:
        print(f"  {score:6.3f}  {answer}")


def questions_from_input() -> Iterator[str]:
    """The lines of the terminal, asked for one after the other, or of standard input."""
    while True:
        try:
            line = input("question: ") if sys.stdin.isatty() else sys.stdin.readline()
        except EOFError:
            print()
            return
        except UnicodeDecodeError:
            raise UserError("standard input is not UTF-8; convert it first") from None
        if line == "" and not sys.stdin.isatty():
            return
        if line.strip():
            yield line.strip()


def read_answers(file: pathlib.Path, column: str) -> list[str]:
    """Reads a collection: lines of a .txt file, or a column of a table; each answer once."""
    content = table_files.read_text(file)
    if table_files.table_format(file) is None:
        if file.suffix.lower() != ".txt":
            raise UserError(
                f"{file} is in no known format; expected a file ending in .txt, or in "
                f"{table_files.ENDINGS}"
            )
        answers = [line.strip() for line in content.splitlines() if line.strip()]
    else:
        rows = []
        if content.strip():
            rows = table_files.read_columns(
                file, content, [column], advice="choose with --answer-column"
            )
        for place, (answer,) in rows:
            if not answer:
                raise UserError(
                    f"{file}, {place}: the answer is empty; fill it in or remove the row"
                )
        answers = [answer for _, (answer,) in rows]
    if not answers:
        raise UserError(f"{file} holds no answer; give at least one")
    return list(dict.fromkeys(answers))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.search_answers",
        description="Find answers to questions with a trained answer ranker.",
    )
    parser.add_argument("run", metavar="RUN", help="a folder of train_answer_ranker")
    parser.add_argument("questions", metavar="QUESTION", nargs="*", help="else standard input")
    parser.add_argument(
        "--answers",
        metavar="FILE",
        help=f"what to search: lines of a .txt file, or {table_files.ENDINGS}; "
        "else the answers of the training",
    )
    parser.add_argument("--answer-column", default="answer", metavar="NAME", help="%(default)s")
    parser.add_argument(
        "--top", type=failures.positive_integer, default=5, metavar="N", help="%(default)s answers"
    )
    parser.add_argument(
        "--bm25", action="store_true", help="add BM25 to the cosines, as the training weighed it"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    failures.run(main)
