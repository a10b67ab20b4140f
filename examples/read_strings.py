"""Reads the strings in pictures with a model that `examples.train_string_reader` has left.

    python -m examples.read_strings runs/string_reader-1 captcha.png
    python -m examples.read_strings runs/string_reader-1 pictures/ --output strings.csv

Prints, for each picture, its string, the probability of the whole string, and the file; with
`--json` a line of JSON for each. A picture that cannot be read is named at the end, and stops
nothing; in the file its row has no string. A string that is less probable than not is marked
"(not sure)".

    python -m examples.read_strings runs/string_reader-1 pictures/ --at-least 0.99

gives only the strings that it is sure enough of: at least 99 % of them are right, at a confidence
of 95 %, as the test pictures of that training prove. Elsewhere "-" stands for the string, an empty
cell in a file, and null in JSON.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence

import examples

_CONFIDENCE = 0.95


def main(options: argparse.Namespace) -> None:
    """Reads the pictures that the command line names."""
    from recipes.runs.abstention import threshold_of_run
    from recipes.runs.failures import UserError
    from recipes.string_reader import StringReader, reading
    from recipes.tables import row_by_row
    from recipes.tables.table_writing import write_table

    output = row_by_row.require_output(options.output)
    is_run = options.model.is_dir()
    reader = StringReader.load(options.model / "model.keras" if is_run else options.model)
    threshold = 0.0
    if options.at_least is not None:
        folder = options.model if is_run else options.model.parent
        threshold = threshold_of_run(folder, "text", options.at_least, _CONFIDENCE)
        print(
            f"strings from a probability of {threshold:.4f} on: at least {options.at_least:.4g} of "
            f"them are right, at a confidence of {_CONFIDENCE:.4g}",
            file=sys.stderr,
        )
    found = reading.read_files(reader, options.images, threshold)
    if output:
        found = list(found)
        write_table(output, reading.COLUMNS, [each.cells() for each in found])
        print(f"{len(found)} pictures: {output}")
    problems = []
    for each in found:
        if each.problem:
            problems.append(each.problem)
        if options.json:
            print(json.dumps(each._asdict()))
        elif not output and not each.problem:
            mark = "  (not sure)" if each.string and each.probability < 0.5 else ""
            print(f"{each.string or '-'}  {each.probability:.3f}  {each.picture}{mark}")
    if len(problems) > 1:
        print(*problems, sep="\n", file=sys.stderr)
        raise UserError(f"{len(problems)} pictures cannot be read; they are named above")
    if problems:
        raise UserError(problems[0])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.read_strings",
        description="Print string and probability of each picture.",
    )
    text = "a folder of train_string_reader, or a model.keras in one"
    parser.add_argument("model", metavar="RUN", type=pathlib.Path, help=text)
    text = "PNG or JPEG files, and folders and tar archives of them"
    parser.add_argument("images", metavar="IMAGE", nargs="+", help=text)
    text = "give only strings of which this share is sure to be right, such as 0.99"
    parser.add_argument("--at-least", type=float, metavar="ACCURACY", help=text)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--output", metavar="FILE.csv", help="a new file with a row for each picture")
    form.add_argument("--json", action="store_true", help="print a line of JSON for each picture")
    return parser.parse_intermixed_args(arguments)


if __name__ == "__main__":
    examples.run(main, parse())
