"""Classifies texts with a model that `examples.train_text_classifier` has left.

    python -m examples.classify_text runs/text_classifier-1/model.keras "Who was Galileo ?"
    python -m examples.classify_text runs/text_classifier-1/model.keras < texts.txt

Prints, for each text, its class, the probability of that class, and the text.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from recipes.runs import failures, model_files
from recipes.runs.failures import UserError

TRAINING = "examples.train_text_classifier"


def main(arguments: Sequence[str] | None = None) -> None:
    """Classifies the texts of the command line, or of standard input, a line each."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.classify_text",
        description="Print class and probability of each text.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model.keras of train_text_classifier")
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="else standard input, a line each")
    options = parser.parse_args(arguments)
    path = pathlib.Path(options.model)
    model_files.check(path, TRAINING)
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

    from recipes.text_classifier import TextClassifier, training as text_training
    from recipes.tokens import length_groups

    model = model_files.load(path, TextClassifier, "vocabulary", TRAINING)
    logits = length_groups.predict_by_length(model, text_training.token_ids(model, texts))
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    width = max(map(len, model.class_names))
    for text, row in zip(texts, probabilities, strict=True):
        best = int(row.argmax())
        print(f"{model.class_names[best]:{width}}  {row[best]:.3f}  {text.strip()}")


if __name__ == "__main__":
    failures.run(main)
