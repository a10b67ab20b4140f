"""What a finished classifier leaves in its run folder, and the numbers in it."""

import csv
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from matplotlib.figure import Figure
from scipy.special import log_softmax
from sklearn.metrics import ConfusionMatrixDisplay, f1_score

import keras_ce


def score_logits(logits: numpy.ndarray, labels: Sequence[int]) -> dict[str, float]:
    """Scores class logits against the right classes.

    Args:
        logits: (texts, classes).
        labels: The right class of each text.

    Returns:
        `accuracy`, `macro_f1` (over the classes that occur), `nll` (nats) and `ece`.
    """
    labels = numpy.asarray(labels)
    predicted = logits.argmax(axis=1)
    calibration = keras_ce.metrics.ExpectedCalibrationError(from_logits=True)
    calibration.update_state(labels, logits)
    log_probability = log_softmax(logits.astype("float64"), axis=1)
    return {
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": float(f1_score(labels, predicted, average="macro")),
        "nll": float(-log_probability[numpy.arange(len(labels)), labels].mean()),
        "ece": float(calibration.result()),
    }


def write_metrics(folder: pathlib.Path, metrics: Mapping[str, Any]) -> None:
    """Writes `metrics.json`."""
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Prints the numbers of the network beside those of the baseline."""
    baseline = metrics["baseline"]
    print(f"\n{'on the test texts':28}{'network':>10}{'linear SVM':>12}")
    for name, meaning in (
        ("accuracy", "accuracy"),
        ("macro_f1", "macro F1"),
        ("nll", "negative log-likelihood"),
        ("ece", "calibration error"),
        ("seconds", "seconds"),
    ):
        digits = 1 if name == "seconds" else 4
        of_baseline = f"{baseline[name]:.{digits}f}" if name in baseline else "-"
        print(f"{meaning:28}{metrics[name]:10.{digits}f}{of_baseline:>12}")
    print()


def write_predictions(
    folder: pathlib.Path,
    texts: Sequence[str],
    labels: Sequence[int],
    logits: numpy.ndarray,
    class_names: Sequence[str],
) -> None:
    """Writes `predictions.csv`: each test text, its class, the predicted one and how sure."""
    probabilities = numpy.exp(log_softmax(logits.astype("float64"), axis=1))
    # The mark at the beginning makes spreadsheet programs read UTF-8.
    with open(folder / "predictions.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "predicted", "probability"])
        for text, label, row in zip(texts, labels, probabilities, strict=True):
            best = int(row.argmax())
            writer.writerow([text, class_names[label], class_names[best], f"{row[best]:.4f}"])


def draw_history(folder: pathlib.Path, history: Mapping[str, Sequence[float]]) -> None:
    """Draws `history.png`: loss and accuracy of every epoch, on training and validation texts."""
    figure = keras_ce.plots.training_history(history, ["loss", "accuracy"])
    figure.savefig(folder / "history.png", dpi=150)


def draw_confusion(
    folder: pathlib.Path,
    labels: Sequence[int],
    logits: numpy.ndarray,
    class_names: Sequence[str],
) -> None:
    """Draws `confusion.png`: how often each class was taken for each other one."""
    side = max(4.5, 0.55 * len(class_names) + 2)
    figure = Figure(figsize=(side, side), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        labels,
        logits.argmax(axis=1),
        labels=range(len(class_names)),
        display_labels=class_names,
        xticks_rotation="vertical",
        cmap="Blues",
        colorbar=False,
        ax=figure.subplots(),
    )
    figure.savefig(folder / "confusion.png", dpi=150)
