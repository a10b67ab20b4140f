"""Trains an answer ranker, and compares it with BM25 on the same questions.

    python -m examples.train_answer_ranker
    python -m examples.train_answer_ranker --train WikiQA-train.tsv.gz \
        --validation WikiQA-dev.tsv.gz --test WikiQA-test.tsv.gz

Without arguments it learns to find what a function or class of Python's own standard library does
from its name and the names of its parameters. Writes three models, their numbers and pictures into
a new folder, for `examples.search_answers`. The numbers that it reaches: `docs/answer_ranker.md`.
"""

import argparse
from collections.abc import Sequence

import examples

COLUMNS = ("question", "answer", "label", "right", "wrong")
SETTINGS = {
    "epochs": (20, "at most, %(default)s; stops when validation does not improve"),
    "batch_size": (64, "%(default)s"),
    "seed": (0, "%(default)s"),
    "tokens": ("stems", "%(default)s; words (other languages), characters (without spaces)"),
    "random_share": (0.0, "share of the wrong answers drawn from all answers (%(default)s)"),
    "hardest_among": (1, "above 1: of so many wrong answers the hardest by the model so far"),
    "members": (1, "rankers, averaged; %(default)s"),
}


def main(options: argparse.Namespace) -> None:
    """Trains and evaluates what the command line asks for."""
    from recipes.answer_ranker import AnswerRanker, evaluation, question_files
    from recipes.runs.training_run import TrainingRun

    settings = (*SETTINGS, "candidates", "in_batch", "vectors", "diagnosis")
    ranker = AnswerRanker(**{name: getattr(options, name) for name in settings})
    source = options.train or "functions and classes of Python's own standard library"
    with TrainingRun("answer_ranker", options.output, ranker, source, vars(options)) as run:
        training, validation, test = question_files.read_sources(
            options.train,
            options.validation,
            options.test,
            question_files.Columns(*(getattr(options, f"{name}_column") for name in COLUMNS)),
            options.candidates,
            encoding=options.encoding,
            delimiter=options.delimiter,
        )
        run.create_folder(
            questions={
                "training": len(training),
                "validation": len(validation),
                "test": len(test),
            }
        )
        ranker.fit_questions(training, validation, checkpoint=run.checkpoint)
        evaluation.write_report(run, ranker, test, [*training, *validation, *test])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    description = __doc__.partition("\n")[0]
    parser = argparse.ArgumentParser("python -m examples.train_answer_ranker", None, description)
    files = "a .csv, .tsv, .jsonl or .parquet file: labelled pairs, triples, or WikiQA's own"
    parser.add_argument("--train", metavar="FILE", help=f"questions with answers: {files}")
    parser.add_argument("--test", metavar="FILE", help="questions to test with; else a fifth")
    parser.add_argument("--validation", metavar="FILE", help="questions to stop by; else a tenth")
    for name in COLUMNS:
        parser.add_argument(f"--{name}-column", default=name, metavar="NAME", help="%(default)s")
    text = "of the files, such as gb18030 (default: found)"
    parser.add_argument("--encoding", metavar="NAME", help=text)
    text = "between the fields of a .csv or .tsv, such as ';' (default: found)"
    parser.add_argument("--delimiter", metavar="MARK", help=text)
    for name, (default, text) in SETTINGS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default, help=text)
    text = "fill up validation and test questions to N candidates (10 if no wrong answer is given)"
    parser.add_argument("--candidates", type=int, metavar="N", help=text)
    text = "learn from the other answers of a batch (default: if no wrong answer is given)"
    parser.add_argument("--in-batch", action=argparse.BooleanOptionalAction, help=text)
    text = "word vectors to start from (.vec, .txt); or wordllama"
    parser.add_argument("--vectors", metavar="FILE", help=text)
    text = "train without keras_ce.diagnose's look at model, loss and data"
    parser.add_argument("--no-diagnosis", dest="diagnosis", action="store_false", help=text)
    parser.add_argument("--output", metavar="DIR", help="new folder; else runs/answer_ranker-1")
    return examples.options_of(parser, arguments)


if __name__ == "__main__":
    examples.run(main, parse(None))
