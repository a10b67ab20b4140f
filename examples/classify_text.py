"""Classifies texts with a model that `examples.train_text_classifier` has left.

    python -m examples.classify_text runs/text_classifier-1/model.keras "Who was Galileo ?"
    python -m examples.classify_text runs/text_classifier-1/model.keras < texts.txt

Prints, for each text, its class, the probability of that class, and the text.
"""

import argparse
import sys
from collections.abc import Sequence

import examples


def main(options: argparse.Namespace) -> None:
    """Classifies the texts of the command line, or of standard input, a line each."""
    from recipes.runs.failures import UserError
    from recipes.text_classifier import TextClassifier

    classifier = TextClassifier.load(options.model)
    try:
        texts = options.texts or sys.stdin.read().splitlines()
    except UnicodeDecodeError:
        raise UserError("standard input is not UTF-8; convert it first") from None
    if not texts:
        raise UserError("no text to classify; give texts as arguments, or lines on standard input")
    probabilities = classifier.predict_proba(texts)
    width = max(len(str(name)) for name in classifier.classes_)
    for text, row in zip(texts, probabilities, strict=True):
        print(f"{classifier.classes_[row.argmax()]:{width}}  {row.max():.3f}  {text.strip()}")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Print class and probability of each text.")
    parser.add_argument("model", metavar="MODEL", help="a model.keras of train_text_classifier")
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="else standard input, a line each")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    examples.run(main, parse())
