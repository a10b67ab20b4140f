"""What a classifier is worth: its measures, a picture, and the cheap rival on the same texts."""

import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, f1_score, log_loss
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

import keras_ce
from recipes.tables.labelled_texts import LabelledTexts
from recipes.tokens.vocabulary import split_tokens

MEASURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "nll": "negative log-likelihood",
    "ece": "calibration error",
    "seconds": "seconds",
}
"""What `recipes.runs.training_run.print_comparison` shows, and what it calls it."""


def score_logits(logits: numpy.ndarray, labels: Sequence[int]) -> dict[str, float]:
    """Scores class logits against the right classes.

    Args:
        logits: (texts, classes).
        labels: The right class of each text.

    Returns:
        `accuracy`, `macro_f1` (over the classes that occur), `nll` (nats) and `ece`.
    """
    predicted = logits.argmax(axis=1)
    calibration = keras_ce.metrics.ExpectedCalibrationError(from_logits=True)
    calibration.update_state(numpy.asarray(labels), logits)
    probabilities = softmax(logits.astype("float64"), axis=1)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "macro_f1": float(f1_score(labels, predicted, average="macro")),
        "nll": float(log_loss(labels, probabilities, labels=range(logits.shape[1]))),
        "ece": float(calibration.result()),
    }


def score_linear_svm(
    train: LabelledTexts, test: LabelledTexts, *, tokens: str, class_weight: str | None
) -> dict[str, Any]:
    """Trains the cheap rival of every text classifier, a linear SVM on TF-IDF, and scores it.

    Args:
        train: The texts to train on.
        test: The texts to score.
        tokens: How texts are split; one to three in a row count, and two to five characters.
        class_weight: `balanced` or `None`.

    Returns:
        `accuracy`, `macro_f1`, the `seconds` both steps took, and what the `model` is.
    """
    start = time.perf_counter()
    features = make_union(
        TfidfVectorizer(
            tokenizer=lambda text: split_tokens(text, tokens),
            token_pattern=None,
            ngram_range=(1, 3),
            sublinear_tf=True,
        ),
        TfidfVectorizer(analyzer="char", ngram_range=(2, 5), sublinear_tf=True),
    )
    machine = make_pipeline(features, LinearSVC(class_weight=class_weight, random_state=0))
    predicted = machine.fit(train.texts, train.labels).predict(test.texts)
    return {
        "model": "linear SVM on TF-IDF of words and characters",
        "accuracy": float(accuracy_score(test.labels, predicted)),
        "macro_f1": float(f1_score(test.labels, predicted, average="macro")),
        "seconds": round(time.perf_counter() - start, 2),
    }


def draw_confusion(
    file: pathlib.Path, labels: Sequence[Any], predicted: Sequence[Any], classes: Sequence[Any]
) -> None:
    """Draws how often each class was taken for each other one."""
    # Here, not above: the task needs no pictures.
    from matplotlib.figure import Figure

    side = max(4.5, 0.55 * len(classes) + 2)
    figure = Figure(figsize=(side, side), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        labels,
        predicted,
        labels=classes,
        xticks_rotation="vertical",
        cmap="Blues",
        colorbar=False,
        ax=figure.subplots(),
    )
    figure.savefig(file, dpi=150)
