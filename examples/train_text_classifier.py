"""Trains a text classifier, and compares it with a linear SVM on the same texts.

    python -m examples.train_text_classifier
    python -m examples.train_text_classifier --train train_5500.label --test TREC.test

Several labels for a text stand in one cell, with `--label-separator "|"`, or in a list in JSON.

Without arguments it learns to tell the docstrings of Python's own standard library apart by
module family. Writes a model, its numbers and its pictures into a new folder.
"""

import argparse
import shlex
from collections.abc import Sequence

import examples


def main(options: argparse.Namespace) -> None:
    """Trains and evaluates what the command line asks for."""
    from recipes.runs.training_run import TrainingRun, print_comparison
    from recipes.text_classifier import (
        TextClassifier,
        data,
        evaluation,
        labelling,
        several_labels_report,
    )

    names = ("tokens", "units", "epochs", "batch_size", "label_smoothing", "class_weight", "seed")
    names += ("diagnosis", "loss", "gamma", "strength", "q", "learning_rate", "dropout")
    names += ("members", "distill", "vectors")
    settings = {name: getattr(options, name) for name in names}
    classifier = TextClassifier(**settings)
    files = ("train", "validation", "test", "text_column", "label_column", "fine_labels")
    files += ("encoding", "delimiter", "label_separator", "skip_unlabelled")
    separator = options.label_separator or "|"
    source = options.train or data.STANDARD_SOURCE
    with TrainingRun("text_classifier", options.output, classifier, source, vars(options)) as run:
        texts = data.read_texts(**{name: getattr(options, name) for name in files})
        training, validation, test = texts
        has_several = training.are_several
        if has_several:
            known = {label for labels in training.labels for label in labels}
            labelling.require_separator(separator, sorted(known))
        sizes = map(len, texts)
        run.create_folder(texts=dict(zip(("training", "validation", "test"), sizes, strict=True)))
        if options.validation is None:
            training += validation  # the classifier sets the same texts aside
        given = None if options.validation is None else (validation.texts, validation.labels)
        classifier.fit(
            training.texts, training.labels, validation_data=given, checkpoint=run.checkpoint
        )
        classifier.save(run.folder / "model.keras")
        header = ("row", "text", "label", *labelling.COLUMNS)
        run.write_table(
            "predictions.csv", header, labelling.predictions(classifier, test, separator)
        )
        report = several_labels_report if has_several else evaluation
        _, columns = report.write_report(run, training, test)
        print_comparison("on the test texts", report.MEASURES, columns)
        print(f"model, numbers and pictures: {run.folder}; to send on: report.html")
        folder = shlex.quote(str(run.folder))
        print(f'try it: python -m examples.classify_text {folder} "a text"')
        run.draw_diagrams({"model.png": classifier.model_})


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; `main` checks the values."""
    parser = argparse.ArgumentParser(description="Train a text classifier.")
    option = parser.add_argument
    files = (
        "a .csv, .tsv, .jsonl or .parquet file, a folder, lines like 'HUM:ind Who was Galileo ?'"
    )
    option("--train", metavar="FILE", help=f"labelled texts: {files}")
    option("--test", metavar="FILE", help="texts to test with; else a fifth")
    option("--validation", metavar="FILE", help="texts to stop by; else a tenth")
    option("--text-column", default="text", metavar="NAME", help="%(default)s")
    option("--label-column", default="label", metavar="NAME", help="%(default)s")
    option("--fine-labels", action="store_true", help="HUM:ind instead of HUM")
    option("--encoding", metavar="NAME", help="of the files, such as gb18030; else found")
    option("--delimiter", metavar="MARK", help="between the fields, such as ';'; else found")
    option("--label-separator", metavar="MARK", help="between several labels, such as '|'")
    option("--skip-unlabelled", action="store_true", help="leave out rows without a label")
    option("--tokens", default="words", help="words, stems or characters (such as Chinese)")
    option("--lstm-units", dest="units", type=int, default=0, help="of an LSTM; %(default)s")
    option("--epochs", type=int, default=20, help="at most, %(default)s")
    option("--batch-size", type=int, default=64, help="%(default)s")
    option("--label-smoothing", type=float, default=0.1, help="of the smoothed loss, %(default)s")
    losses = "smoothed, focal, logit-adjusted, generalized; for several labels sigmoid or"
    option("--loss", default="auto", help=f"{losses} multi-label-softmax; else the first")
    option("--gamma", type=float, default=2.0, help="of the focal loss, %(default)s")
    option("--strength", type=float, default=1.0, help="of the logit-adjusted one, %(default)s")
    option("--q", type=float, default=0.7, help="of the generalized one, %(default)s")
    option("--learning-rate", type=float, default=2e-3, help="of Adam, %(default)s")
    option("--dropout", type=float, default=0.5, help="before the last layer, %(default)s")
    option("--class-weight", metavar="balanced", help="rare classes count more")
    option("--members", type=int, default=1, metavar="N", help="networks, averaged; %(default)s")
    option("--distill", action="store_true", help="one network, which learns from the members")
    option(
        "--vectors", metavar="FILE", help="word vectors to start from (.vec, .txt); or wordllama"
    )
    option("--seed", type=int, default=0, help="%(default)s")
    option("--no-diagnosis", dest="diagnosis", action="store_false", help="train all the same")
    option("--output", metavar="DIR", help="new folder; else runs/text_classifier-1")
    return examples.options_of(parser, arguments)


if __name__ == "__main__":
    examples.run(main, parse())
