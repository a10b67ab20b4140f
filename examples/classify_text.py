"""Classifies texts with a model that `examples.train_text_classifier` has left.

    python -m examples.classify_text runs/text_classifier-1 "Who was Galileo ?"
    python -m examples.classify_text runs/text_classifier-1 < texts.txt
    python -m examples.classify_text runs/text_classifier-1 --input new.csv --output labelled.csv

Prints, for each text, its class, the probability of that class, and the text; with `--json` a line
of JSON for each. From file to file, all rows and columns stay as they are, and the row's number,
its class and the probability are added.

    python -m examples.classify_text runs/text_classifier-1 --at-least 0.95 < texts.txt

answers only where it is sure enough: of its answers at least 95 % are right, at a confidence of
95 %, as the test texts of that training prove. Elsewhere "-" stands for the class, an empty cell
in a file, and null in JSON.

    python -m examples.classify_text runs/text_classifier-1 --explain "Who was Galileo ?"

shows below each answer what each word adds to the logit of its class: blue speaks for the class,
orange against it.

A classifier of several labels for each text gives those that it predicts, the most probable first,
and "-" where there is none; in a file they stand in one cell, with `--label-separator` between. In
JSON `best` is then empty, as it is for every row without text.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

import examples


def main(options: argparse.Namespace) -> None:
    """Classifies the texts of the command line, of a file, or of standard input."""
    import rich

    from recipes.runs.abstention import threshold_of_run
    from recipes.runs.failures import UserError
    from recipes.tables import row_by_row
    from recipes.text_classifier import TextClassifier, labelling

    if options.confidence is not None and options.at_least is None:
        raise UserError("--confidence needs --at-least: it says how sure that promise is")
    output = row_by_row.require_output(options.output)
    how = {"encoding": options.encoding, "delimiter": options.delimiter}
    table = row_by_row.gather(options.texts, options.input, options.text_column, **how)
    is_run = options.model.is_dir()
    classifier = TextClassifier.load(options.model / "model.keras" if is_run else options.model)
    if options.at_least is not None and classifier.thresholds_ is not None:
        raise UserError(
            "--at-least is for one label for each text; this classifier gives several, each from a "
            "probability of its own on: leave --at-least out"
        )
    if options.at_least is not None:
        folder = options.model if is_run else options.model.parent
        accuracy = options.at_least
        confidence = 0.95 if options.confidence is None else options.confidence
        classifier.threshold_ = threshold_of_run(folder, "label", accuracy, confidence)
        print(
            f"answers from a probability of {classifier.threshold_:.4f} on: at least "
            f"{accuracy:.4g} of them are right, at a confidence of {confidence:.4g}",
            file=sys.stderr,
        )
    has_several = classifier.thresholds_ is not None
    if has_several and options.top is not None:
        raise UserError(
            "--top is for one label for each text; this classifier gives several, those that it "
            "predicts: leave --top out"
        )
    if options.label_separator is not None and not (output and has_several):
        raise UserError(
            "--label-separator needs --output, and a classifier of several labels for each text: "
            "it says what stands between them in a cell"
        )
    top = min(1 if options.top is None else options.top, len(classifier.classes_))
    found = labelling.best_classes(classifier, table.texts, top)
    if output and has_several:
        separator = "|" if options.label_separator is None else options.label_separator
        labelling.require_separator(separator, classifier.classes_.tolist())
        cells = (labelling.in_one_cell(best, separator) for best in found)
        print(table.write(output, labelling.COLUMNS, cells, top))
    elif output:
        print(table.write(output, labelling.COLUMNS, found, top))
    elif options.json:
        for line in table.json_lines(labelling.COLUMNS, found):
            print(line)
    else:
        width = max(len(str(name)) for name in classifier.classes_)
        for text, best in zip(table.texts, found, strict=True):
            shown = [
                f"{'-' if name is None else name:{width}}  {probability:.3f}"
                for name, probability in best
            ]
            # One line each, whatever stands in a cell.
            if not shown:
                shown = [f"{'-':{width}}"]
            print("  ".join([*shown, " ".join(text.split()) or "(no text)"]))
            for name in [name for name, _ in best if options.explain and name is not None]:
                rich.get_console().print(classifier.explain(text, name), soft_wrap=True)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Print class and probability of each text.")
    text = "a folder of train_text_classifier, or a model.keras in one"
    parser.add_argument("model", metavar="RUN", type=pathlib.Path, help=text)
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="else standard input, a line each")
    text = "texts in a .csv, .tsv, .jsonl or .parquet file, or lines of a .txt file"
    parser.add_argument("--input", metavar="FILE", help=text)
    parser.add_argument("--text-column", default="text", metavar="NAME", help="%(default)s")
    text = "of --input, such as gb18030; else found"
    parser.add_argument("--encoding", metavar="NAME", help=text)
    text = "between the fields of --input, such as ';'; else found"
    parser.add_argument("--delimiter", metavar="MARK", help=text)
    parser.add_argument("--top", type=int, metavar="K", help="classes; 1")
    text = "between several labels in a cell of --output; |"
    parser.add_argument("--label-separator", metavar="MARK", help=text)
    text = "answer only where this share of the answers is sure to be right, such as 0.95"
    parser.add_argument("--at-least", type=float, metavar="ACCURACY", help=text)
    text = "how sure that promise is; 0.95"
    parser.add_argument("--confidence", type=float, metavar="SHARE", help=text)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--output", metavar="FILE.csv", help="a new file for all rows and columns")
    form.add_argument("--json", action="store_true", help="print a line of JSON for each text")
    form.add_argument("--explain", action="store_true", help="show what each word adds")
    return parser.parse_intermixed_args(arguments)


if __name__ == "__main__":
    examples.run(main, parse())
