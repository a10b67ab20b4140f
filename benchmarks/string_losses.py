"""Reads strings of composed digits with each loss of a flat vector, on the same data and budget.

    python -m benchmarks.string_losses
    python -m benchmarks.string_losses --plain --strings 1000 --epochs 8

Prints the share of whole test strings that are read right, for each loss and seed, and the mean
loss that is left on the training strings per position. `--plain` trains without distortions and
without dropout, where strings are learned by heart; then the losses differ most.

`grouped` and `sigmoid` saturate at different speeds: with the right logit m above the others, the
gradient of a softmax goes as exp(-m), that of ten sigmoids as exp(-m / 2), the right one at m / 2
and the others at -m / 2. `halved` is `grouped` of half the logits, and saturates like the sigmoids:
where it does as well as they, nothing but that speed has separated the two.
"""

import argparse
import statistics
import time
from typing import Any

import keras
import numpy as np

from keras_ce.losses import GroupedSoftmaxCrossentropy
from recipes.images import digit_strings
from recipes.string_reader import StringReader, build_string_reader
from recipes.string_reader.evaluation import predict_logits, readings, score_texts
from recipes.string_reader.training import flat_labels, make_loss, train

LENGTH, ALPHABET = digit_strings.LENGTH, "0123456789"


class HalvedLogits(keras.losses.Loss):
    """Grouped cross-entropy of half the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = GroupedSoftmaxCrossentropy([len(ALPHABET)] * LENGTH, from_logits=True)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per string."""
        return self.whole.call(y_true, y_pred / 2)


def loss_of_row(name: str) -> keras.losses.Loss:
    """The loss of a row of the table."""
    if name == "halved":
        return HalvedLogits()
    if name == "keras softmax":
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    kind, _, smoothing = name.partition("+")
    return make_loss(kind, LENGTH, len(ALPHABET), float(smoothing or 0))


def main() -> None:
    """Prints a line for each run and a mean for each loss."""
    parser = argparse.ArgumentParser(description="Compare losses on strings of composed digits.")
    parser.add_argument(
        "--losses", nargs="+", default=["grouped", "grouped+0.1", "halved", "sigmoid", "softmax"]
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--strings", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--plain", action="store_true", help="no distortions, no dropout")
    options = parser.parse_args()
    training, validation, test = digit_strings.digit_strings(training=options.strings)
    defaults = StringReader()
    for name in options.losses:
        reached = []
        for seed in options.seeds:
            keras.utils.set_random_seed(seed)
            model = build_string_reader(
                training.pixels.shape[1:],
                LENGTH,
                len(ALPHABET),
                filters=defaults.filters,
                units=defaults.units,
                dropout=0.0 if options.plain else defaults.dropout,
                alphabet=ALPHABET,
            )
            start = time.perf_counter()
            train(
                model,
                training,
                validation,
                loss=loss_of_row(name),
                epochs=options.epochs,
                batch_size=64,
                seed=seed,
                distort=not options.plain,
            )
            seconds = time.perf_counter() - start
            found = readings(predict_logits(model, test.pixels), ALPHABET)
            scores = score_texts([text for text, _ in found], test.texts)
            known = predict_logits(model, training.pixels).reshape(-1, 10)
            truth = flat_labels(training.texts, ALPHABET, LENGTH).reshape(-1, 10)
            lead = known[truth == 1] - np.where(truth == 1, -np.inf, known).max(axis=1)
            reached.append(100 * scores["string_accuracy"])
            print(
                f"\nRESULT {name:14} seed {seed}  strings {reached[-1]:5.1f} %  characters "
                f"{100 * scores['character_accuracy']:5.2f} %  lead on training strings "
                f"{np.median(lead):5.2f}  {seconds:4.0f} s",
                flush=True,
            )
        if len(reached) > 1:
            print(
                f"RESULT {name:14} mean {statistics.mean(reached):5.1f} +- "
                f"{statistics.stdev(reached):.1f} % of {len(test)} strings",
                flush=True,
            )


if __name__ == "__main__":
    main()
