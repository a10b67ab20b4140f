"""Classifies texts with a model that `examples.train_text_classifier` has left.

    python -m examples.classify_text runs/text_classifier-1 "Who was Galileo ?"
    python -m examples.classify_text runs/text_classifier-1 < texts.txt
    python -m examples.classify_text runs/text_classifier-1 --input new.csv --output labelled.csv

Prints, for each text, its class, the probability of that class, and the text; with `--json` a line
of JSON for each. From file to file, all rows and columns stay as they are, and the row's number,
its class and the probability are added.
"""

import argparse
import pathlib
from collections.abc import Sequence

import examples


def main(options: argparse.Namespace) -> None:
    """Classifies the texts of the command line, of a file, or of standard input."""
    from recipes.tables import row_by_row
    from recipes.text_classifier import TextClassifier, labelling

    output = row_by_row.require_output(options.output)
    how = {"encoding": options.encoding, "delimiter": options.delimiter}
    table = row_by_row.gather(options.texts, options.input, options.text_column, **how)
    is_run = options.model.is_dir()
    classifier = TextClassifier.load(options.model / "model.keras" if is_run else options.model)
    top = min(options.top, len(classifier.classes_))
    found = labelling.best_classes(classifier, table.texts, top)
    if output:
        print(table.write(output, labelling.COLUMNS, found, top))
    elif options.json:
        for line in table.json_lines(labelling.COLUMNS, found):
            print(line)
    else:
        width = max(len(str(name)) for name in classifier.classes_)
        for text, best in zip(table.texts, found, strict=True):
            shown = [f"{name:{width}}  {probability:.3f}" for name, probability in best]
            # One line each, whatever stands in a cell.
            print("  ".join([*shown, " ".join(text.split()) or f"{'-':{width}}  (no text)"]))


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
    parser.add_argument("--top", type=int, default=1, metavar="K", help="classes; %(default)s")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--output", metavar="FILE.csv", help="a new file for all rows and columns")
    form.add_argument("--json", action="store_true", help="print a line of JSON for each text")
    return parser.parse_intermixed_args(arguments)


if __name__ == "__main__":
    examples.run(main, parse())
