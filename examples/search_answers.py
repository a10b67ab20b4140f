"""Finds answers to questions, with a ranker that `examples.train_answer_ranker` has left.

    python -m examples.search_answers runs/answer_ranker-1 "how do I split a path"
    python -m examples.search_answers runs/answer_ranker-1 --answers notes.txt < questions.txt

Searches the answers that the training saw, or those of any file: lines of a .txt file, or a column
of a .csv, .tsv or .jsonl file, also gzipped. The index over them is written beside the run the
first time, and used again as long as the answers stay the same. Without questions it takes them
from the terminal, or from standard input, a line each.
"""

import argparse
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import examples


def main(options: argparse.Namespace) -> None:
    """Answers the questions of the command line, or of standard input."""
    from recipes.answer_ranker.search import open_index
    from recipes.runs.failures import UserError

    for number, question in enumerate(options.questions, 1):
        if not question.strip():
            raise UserError(f"question {number} is empty; leave it out")
    index, state, file = open_index(
        pathlib.Path(options.run), options.answers, options.answer_column
    )
    print(f"{len(index)} answers; index {state}: {file}")
    for question in options.questions or questions_from_input():
        try:
            show(index, question, options)
        except UserError as error:
            if options.questions:
                raise
            print(f"\n{error}")  # The next question may be a better one.


def show(index: Any, question: str, options: argparse.Namespace) -> None:
    """Prints the best answers to a question."""
    start = time.perf_counter()
    found = index.search(question, options.top, add_bm25=options.bm25)
    milliseconds = 1000 * (time.perf_counter() - start)
    print(f"\n{question.strip()}  ({milliseconds:.1f} ms)")
    for score, _, answer in found:
        print(f"  {score:6.3f}  {answer}")


def questions_from_input() -> Iterator[str]:
    """The lines of the terminal, asked for one after the other, or of standard input."""
    ask = sys.stdin.isatty()
    try:
        while line := input("question: ") + "\n" if ask else sys.stdin.readline():
            if line.strip():
                yield line.strip()
    except EOFError:
        print()
    except UnicodeDecodeError:
        from recipes.runs.failures import UserError

        raise UserError("standard input is not UTF-8; convert it first") from None


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    description = __doc__.partition("\n")[0]
    parser = argparse.ArgumentParser("python -m examples.search_answers", None, description)
    text = "a folder of train_answer_ranker"
    parser.add_argument("run", type=pathlib.Path, metavar="RUN", help=text)
    parser.add_argument("questions", metavar="QUESTION", nargs="*", help="else standard input")
    text = "what to search; else the answers of the training"
    parser.add_argument("--answers", metavar="FILE", help=text)
    parser.add_argument("--answer-column", default="answer", metavar="NAME", help="%(default)s")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="%(default)s answers")
    text = "add BM25 to the cosines, as the training weighed it"
    parser.add_argument("--bm25", action="store_true", help=text)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    examples.run(main, parse(None))
