"""What a finished string reader leaves in its run folder, and the numbers in it."""

import csv
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

import keras_ce.plots
from keras_ce.metrics import GroupedAccuracy
from recipes.string_reader.labelled_images import LabelledImages
from recipes.string_reader.training import Readings

_COLUMNS = 4
_SAMPLES = 12
_RIGHT, _WRONG = "#1a7f37", "#c0392b"


def score_logits(logits: numpy.ndarray, labels: numpy.ndarray, length: int) -> dict[str, float]:
    """Shares of characters and of whole strings that are read right.

    Args:
        logits: (pictures, length * characters).
        labels: One-hot rows of the same layout.
        length: Characters in a string.
    """
    groups = [logits.shape[1] // length] * length
    scores = {}
    for name, mode in (("character_accuracy", "each"), ("string_accuracy", "all")):
        accuracy = GroupedAccuracy(groups, mode=mode)
        accuracy.update_state(labels, logits)
        scores[name] = float(accuracy.result())
    return scores


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Prints the numbers of the network beside those of the baseline."""
    baseline = metrics["baseline"]
    print(f"\n{'on the test pictures':28}{'network':>10}{'neighbours':>12}")
    for name, meaning, digits in (
        ("character_accuracy", "characters read right", 4),
        ("string_accuracy", "whole strings read right", 4),
        ("seconds", "seconds", 1),
    ):
        print(f"{meaning:28}{metrics[name]:10.{digits}f}{baseline[name]:12.{digits}f}")
    print()


def write_predictions(folder: pathlib.Path, images: LabelledImages, found: Readings) -> None:
    """Writes `predictions.csv`: each test picture, its text, the one read and how sure."""
    # The mark at the beginning makes spreadsheet programs read UTF-8.
    with open(folder / "predictions.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "text", "predicted", "probability"])
        for *words, probability in zip(images.names, images.texts, *found, strict=True):
            writer.writerow([*words, f"{probability:.4f}"])


def draw_samples(folder: pathlib.Path, images: LabelledImages, found: Readings) -> None:
    """Draws `samples.png`: a dozen test pictures, each with its text and the one read.

    The first that are read wrong, six at most where as many are right; they say the most.
    """
    is_right = numpy.array(images.texts) == numpy.array(found.texts)
    wrong, right = numpy.flatnonzero(~is_right), numpy.flatnonzero(is_right)
    half = _SAMPLES // 2
    wrong = wrong[: max(half, _SAMPLES - len(right))]
    shown = numpy.concatenate([wrong, right[: _SAMPLES - len(wrong)]])
    height, width, channels = images.pixels.shape[1:]
    figure, panels = _grid(len(shown), 2.4, 2.4 * height / width + 0.4)
    for panel, index in zip(panels, shown, strict=True):
        picture = images.pixels[index]
        panel.imshow(picture[..., 0] if channels == 1 else picture, cmap="gray", vmin=0, vmax=255)
        panel.axis("off")
        text, read = images.texts[index], found.texts[index]
        panel.set_title(
            f"{read if read == text else f'{read}, not {text}'} ({found.probabilities[index]:.2f})",
            color=_RIGHT if read == text else _WRONG,
            fontsize=10,
        )
    figure.savefig(folder / "samples.png", dpi=150)


def draw_confusion(
    folder: pathlib.Path, texts: Sequence[str], predicted: Sequence[str], alphabet: str
) -> None:
    """Draws `confusion.png`: for each position, how often each character was taken for another."""
    side = max(2.8, 0.24 * len(alphabet) + 0.8)
    figure, panels = _grid(len(texts[0]), side, side)
    for position, panel in enumerate(panels):
        display = ConfusionMatrixDisplay.from_predictions(
            [text[position] for text in texts],
            [text[position] for text in predicted],
            labels=list(alphabet),
            cmap="Blues",
            colorbar=False,
            text_kw={"fontsize": 7},
            ax=panel,
        )
        for text in display.text_.ravel():
            if text.get_text() == "0":
                text.set_visible(False)  # what did happen stands out
        panel.set(title=f"position {position + 1}", xlabel="read", ylabel="")
        if position % _COLUMNS == 0:
            panel.set_ylabel("written")
    figure.savefig(folder / "confusion.png", dpi=150)


def draw_history(folder: pathlib.Path, history: Mapping[str, Sequence[float]]) -> None:
    """Draws `history.png`: loss and accuracies of every epoch."""
    names = ["loss", "character_accuracy", "string_accuracy"]
    keras_ce.plots.training_history(history, names).savefig(folder / "history.png", dpi=150)


def _grid(count: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    """A figure of panels, four in a row."""
    columns, rows = min(_COLUMNS, count), -(-count // _COLUMNS)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for panel in panels[count:]:
        panel.remove()
    return figure, panels[:count]
