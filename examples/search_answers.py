"""Finds answers to questions, with a ranker that `examples.train_answer_ranker` has left.

    python -m examples.search_answers runs/answer_ranker-1 "how do I split a path"
    python -m examples.search_answers runs/answer_ranker-1 --answers notes.txt < questions.txt
    python -m examples.search_answers runs/answer_ranker-1 --input asked.csv --output answered.csv

Searches the answers that the training saw, or those of any file: lines of a .txt file, or a column
of a .csv, .tsv or .jsonl file, also gzipped. The index over them is written beside the run the
first time, and used again; answers that are new in the file are added to it. Without questions it
takes them from the terminal, or from standard input, a line each.
"""

import argparse
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import examples


def main(options: argparse.Namespace) -> None:
    """Answers the questions of the command line, of a file, or of standard input."""
    from recipes.answer_ranker import search
    from recipes.runs.failures import UserError
    from recipes.tables import row_by_row
    from recipes.tokens.texts import checked_texts

    options.questions = checked_texts(options.questions, "questions", may_be_none=True)
    output = row_by_row.require_output(options.output)
    how = {"encoding": options.encoding, "delimiter": options.delimiter}
    if any(how.values()) and not (options.input or options.answers):
        raise UserError(
            "--encoding and --delimiter need --input or --answers: they say how to read"
        )
    table = None
    if options.input or output or options.json:
        asked = (options.questions, options.input, options.question_column, "--question-column")
        table = row_by_row.gather(*asked, **(how if options.input else {}))
    where = (options.answers, options.answer_column, options.id_column)
    index, state, file = search.open_index(options.run, *where, **how)
    # Where a program reads, standard output is for answers alone.
    note = sys.stderr if options.json else sys.stdout
    print(f"{len(index)} answers; index {state}: {file}", file=note)
    if table:
        top = min(options.top, len(index))
        columns = ("answer", "score", "id") if options.id_column else ("answer", "score")
        found = search.answers_to(index, table.texts, top, options.overlap, columns)
        if output:
            print(table.write(output, columns, found, top))
        else:
            for line in table.json_lines(columns, found):
                print(line)
        return
    for question in options.questions or row_by_row.asked_for("question: "):
        try:
            show(index, question, options)
        except UserError as error:
            if options.questions:
                raise
            print(f"\n{error}")  # The next question may be a better one.


def show(index: Any, question: str, options: argparse.Namespace) -> None:
    """Prints the best answers to a question."""
    start = time.perf_counter()
    found = index.search(question, options.top, add_overlap=options.overlap)
    milliseconds = 1000 * (time.perf_counter() - start)
    print(f"\n{question.strip()}  ({milliseconds:.1f} ms)")
    for score, identity, answer in found:
        print(f"  {score:6.3f}  {f'{identity}  ' if options.id_column else ''}{answer}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    description = __doc__.partition("\n")[0]
    parser = argparse.ArgumentParser("python -m examples.search_answers", None, description)
    option = parser.add_argument
    text = "a folder of train_answer_ranker"
    option("run", type=pathlib.Path, metavar="RUN", help=text)
    option("questions", metavar="QUESTION", nargs="*", help="else standard input")
    option("--answers", metavar="FILE", help="what to search; else the answers of the training")
    option("--answer-column", default="answer", metavar="NAME", help="%(default)s")
    option("--id-column", metavar="NAME", help="the answers' ids or links, to show them")
    option("--input", metavar="FILE", help="questions in a table, or lines of a .txt file")
    option("--question-column", default="question", metavar="NAME", help="%(default)s")
    option("--encoding", metavar="NAME", help="of the files, such as gb18030; else found")
    option("--delimiter", metavar="MARK", help="between the fields, such as ';'; else found")
    option("--top", type=int, default=5, metavar="N", help="%(default)s answers")
    text = "add to the cosines what answers share with the question (the default)"
    option("--overlap", action=argparse.BooleanOptionalAction, default=True, help=text)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--output", metavar="FILE.csv", help="a new file for all rows and columns")
    form.add_argument("--json", action="store_true", help="print a line of JSON for each question")
    return parser.parse_intermixed_args(arguments)


if __name__ == "__main__":
    examples.run(main, parse(None))
