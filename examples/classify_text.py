"""Classifies texts with a model that `examples.train_text_classifier` has left.

    python -m examples.classify_text runs/text_classifier-1/model.keras "Who was Galileo ?"
    python -m examples.classify_text runs/text_classifier-1/model.keras < texts.txt

Prints, for each text, its class, the probability of that class, and the text.
"""

import argparse
import pathlib
import sys
import zipfile
from collections.abc import Sequence

from examples import failures
from examples.failures import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Classifies the texts of the command line, or of standard input, a line each."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.classify_text",
        description="Print class and probability of each text.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model.keras of train_text_classifier")
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="else standard input, a line each")
    options = parser.parse_args(arguments)
    check_model_file(pathlib.Path(options.model))
    try:
        texts = options.texts or sys.stdin.read().splitlines()
    except UnicodeDecodeError:
        raise UserError("standard input is not UTF-8; convert it first") from None
    if not texts:
        raise UserError("no text to classify; give texts as arguments, or lines on standard input")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise UserError(f"text {number} is empty; leave it out")

    # Not at the top: see train_text_classifier.
    import keras

    from examples import text_training
    from recipes.text_classifier import TextClassifier

    try:
        model = keras.saving.load_model(options.model, compile=False)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{options.model} cannot be loaded as a Keras model: {reason}") from None
    if not isinstance(model, TextClassifier) or not model.vocabulary:
        raise UserError(
            f"{options.model} is a Keras model without a vocabulary; "
            "name a model.keras that examples.train_text_classifier has left"
        )
    logits = text_training.predict_logits(model, text_training.token_ids(model, texts))
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    width = max(map(len, model.class_names))
    for text, row in zip(texts, probabilities, strict=True):
        best = int(row.argmax())
        print(f"{model.class_names[best]:{width}}  {row[best]:.3f}  {text.strip()}")


def check_model_file(path: pathlib.Path) -> None:
    """Raises `UserError` where a path is not that of a `.keras` file."""
    advice = "name a model.keras that examples.train_text_classifier has left"
    if not path.exists():
        raise UserError(f"{path} does not exist; {advice}")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise UserError(f"{path} is not a .keras model file; {advice}")


if __name__ == "__main__":
    failures.run(main)
