"""Reads the strings in pictures with a model that `examples.train_string_reader` has left.

    python -m examples.read_strings runs/string_reader-1/model.keras captcha.png
    python -m examples.read_strings runs/string_reader-1/model.keras pictures/*.jpg

Prints, for each picture, its text, the probability of the whole text, and the file.
"""

import argparse
from collections.abc import Sequence

import examples


def main(options: argparse.Namespace) -> None:
    """Reads the pictures that the command line names."""
    from recipes.string_reader import StringReader

    found = StringReader.load(options.model).read(options.images)
    for file, (text, probability) in zip(options.images, found, strict=True):
        print(f"{text}  {probability:.3f}  {file}")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.read_strings",
        description="Print text and probability of each picture.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model.keras of train_string_reader")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="PNG or JPEG files")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    examples.run(main, parse())
