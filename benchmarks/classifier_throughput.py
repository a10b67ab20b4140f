"""Texts per second in training a text classifier, grouped by length and padded to the longest.

    python -m benchmarks.classifier_throughput
    python -m benchmarks.classifier_throughput --train train_5500.label

Trains the same models on the same texts, once with the batches of
`examples.train_text_classifier`, once with every batch padded to the longest text of the whole
set. The first epoch compiles and is not counted. Prints a Markdown table.
"""

import argparse

import keras
import numpy as np

import keras_ce
from benchmarks import throughput
from recipes.corpora import standard_library
from recipes.tables import labelled_texts
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import TextClassifier, build_text_classifier
from recipes.text_classifier.training import TextBatches, token_ids
from recipes.tokens import vocabulary

BATCH_SIZE = 64
ARCHITECTURE = ("embedding_dim", "convolution_widths", "bidirectional", "pooling", "units")
DROPOUTS = ("embedding_dropout", "dropout")
SETTINGS = TextClassifier().get_params()
MODELS = {
    "convolutions, the task's": {name: SETTINGS[name] for name in (*ARCHITECTURE, *DROPOUTS)},
    "LSTM (64), the builder's default": {},
}


class PaddedToTheLongest(keras.utils.PyDataset):
    """The same batches, every text as wide as the longest one."""

    def __init__(self, texts: TextBatches) -> None:
        super().__init__()
        self._texts = texts
        self._width = max(texts[index][0].shape[1] for index in range(len(texts)))

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._texts)

    def __getitem__(self, index: int) -> tuple:
        """One batch."""
        ids, labels = self._texts[index]
        return np.pad(ids, ((0, 0), (0, self._width - ids.shape[1]))), labels


def main() -> None:
    """Measures both ways of padding for each model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classifier_throughput")
    parser.add_argument("--train", metavar="FILE", help="labelled texts; else Python's docstrings")
    parser.add_argument("--epochs", type=int, default=2, help="counted ones")
    options = parser.parse_args()
    texts = LabelledTexts(*standard_library.family_texts())
    if options.train:
        texts = labelled_texts.read_labelled_texts(options.train)
    classes = sorted(set(texts.labels))
    tokens = vocabulary.build_vocabulary(texts.texts, "words", size=30_000)

    def texts_per_second(architecture: dict, padded: bool) -> float:
        keras.utils.set_random_seed(0)
        model = build_text_classifier(
            len(tokens),
            len(classes),
            vocabulary=tokens,
            class_names=classes,
            token_kind="words",
            **architecture,
        )
        ids = [classes.index(label) for label in texts.labels]
        grouped = TextBatches(token_ids(model, texts.texts), ids, BATCH_SIZE, 0)
        model.compile("adam", keras_ce.losses.LabelSmoothedCrossentropy(0.1, from_logits=True))
        given = PaddedToTheLongest(grouped) if padded else grouped
        return len(texts) * throughput.epochs_per_second(model, given, options.epochs)

    throughput.print_comparison(MODELS, texts_per_second, "texts/s")


if __name__ == "__main__":
    main()
