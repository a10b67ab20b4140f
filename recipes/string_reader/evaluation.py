"""What a string reader reads, how well, and what a training leaves in its run folder."""

import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy
import scipy.special
from PIL import Image
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import KNeighborsClassifier

from recipes.images.labelled_images import LabelledImages
from recipes.runs import confusion
from recipes.runs.intervals import Outcomes, mean
from recipes.runs.report_page import Picture, Section, Table
from recipes.runs.training_run import TrainingRun, print_comparison
from recipes.runs.whole_files import whole_file
from recipes.string_reader.model import BLANK, StringReaderModel

_COLUMNS = 4
_SAMPLES = 12
_MISTAKES = 20
_RIGHT, _WRONG = "#1a7f37", "#c0392b"
_SIDE = 16
MEASURES = {
    "character_accuracy": "characters read right",
    "string_accuracy": "whole strings read right",
}


def predict_logits(model: StringReaderModel, pixels: numpy.ndarray) -> numpy.ndarray:
    """The flat logits of pictures with values from 0 to 255."""
    return model.predict(pixels, batch_size=256, verbose=0)


def characters(model: StringReaderModel, images: LabelledImages) -> tuple[numpy.ndarray, list[int]]:
    """The logits of every single position of the pictures, and which class stands there."""
    logits = predict_logits(model, images.pixels).reshape(-1, len(model.alphabet))
    length = len(logits) // len(images)
    padded = "".join(text.ljust(length, BLANK) for text in images.texts)
    return logits, [model.alphabet.index(c) for c in padded]


def readings(logits: numpy.ndarray, alphabet: str) -> list[tuple[str, float]]:
    """The most probable text of each picture, and its probability.

    Args:
        logits: (pictures, length * len(alphabet)), of a model trained with any loss of `make_loss`.
        alphabet: The characters, in the order of their logits, and `BLANK` last if there are
            shorter texts.
    """
    # The right probabilities for the sigmoid's logits too: given that exactly one of several
    # independent characters stands at a position, which one it is follows a softmax.
    of_position = logits.astype("float64").reshape(len(logits), -1, len(alphabet))
    probabilities = scipy.special.softmax(of_position, axis=-1)
    count = len(alphabet.removesuffix(BLANK))
    of_characters = probabilities[..., :count]
    best = of_characters.argmax(axis=-1)
    # A text of k characters is those, and a blank after them where there is one more position.
    of_characters_so_far = of_characters.max(axis=-1).cumprod(axis=-1)
    of_end = numpy.ones_like(of_characters_so_far)
    of_end[:, :-1] = probabilities[:, 1:, count:].sum(axis=-1)
    of_length = of_characters_so_far * of_end
    lengths = of_length.argmax(axis=-1) + 1
    return [
        ("".join(alphabet[index] for index in row[:length]), float(of_each[length - 1]))
        for row, length, of_each in zip(best, lengths, of_length, strict=True)
    ]


def score_texts(predicted: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """Shares of characters and of whole strings that are read right.

    Args:
        predicted: What was read.
        texts: What stands there. A character is read right if it is read at its position.
    """
    return {
        "character_accuracy": _share_of_characters(_right_characters(predicted, texts)),
        "string_accuracy": mean(_right_strings(predicted, texts)),
    }


def _right_strings(predicted: Sequence[str], texts: Sequence[str]) -> numpy.ndarray:
    return numpy.array([read == text for read, text in zip(predicted, texts, strict=True)])


def _right_characters(predicted: Sequence[str], texts: Sequence[str]) -> numpy.ndarray:
    """Whether each character is read right, (texts, positions); NaN after the end of a text."""
    is_right = numpy.full((len(texts), max(map(len, texts))), numpy.nan)
    for row, read, text in zip(is_right, predicted, texts, strict=True):
        row[: len(text)] = [c == read[k : k + 1] for k, c in enumerate(text)]
    return is_right


def _share_of_characters(is_right: numpy.ndarray) -> float:
    return float(numpy.nanmean(is_right))


def score_parts(
    training: LabelledImages, test: LabelledImages
) -> tuple[dict[str, float | str], list[str]]:
    """The cheap rival of every string reader: cuts pictures into equal parts, classifies each.

    For each part it finds the parts that look most like it, and takes their characters.

    Args:
        training: The pictures to learn from.
        test: The pictures to score.

    Returns:
        `character_accuracy`, `string_accuracy`, the `seconds` both steps took, and what the
        `model` is; and what it read.
    """
    start = time.perf_counter()
    length = max(map(len, training.texts))
    characters_of_parts = [*"".join(text.ljust(length, BLANK) for text in training.texts)]
    # On validation pictures as good as a support vector machine, which takes minutes.
    neighbours = KNeighborsClassifier(min(5, len(characters_of_parts)))
    neighbours.fit(_parts(training, length), characters_of_parts)
    predicted = neighbours.predict(_parts(test, length)).reshape(len(test), -1)
    texts = ["".join(row).split(BLANK)[0] for row in predicted]
    scores: dict[str, float | str] = {
        "model": "5 nearest neighbours of equal parts",
        **score_texts(texts, test.texts),
        "seconds": round(time.perf_counter() - start, 2),
    }
    return scores, texts


def _parts(images: LabelledImages, length: int) -> numpy.ndarray:
    """The parts of every picture, each as a row: how far a pixel is from the paper's colour."""
    gray = images.pixels.mean(axis=-1)
    ink = numpy.abs(gray - numpy.median(gray, axis=(1, 2), keepdims=True))
    size = (_SIDE * length, _SIDE)
    wide = [
        numpy.asarray(
            Image.fromarray(picture.astype("uint8")).resize(size, Image.Resampling.BILINEAR)
        )
        for picture in ink
    ]
    split = numpy.stack(wide).reshape(len(images), _SIDE, length, _SIDE)
    return split.transpose(0, 2, 1, 3).reshape(-1, _SIDE * _SIDE).astype("float32")


def write_report(
    run: TrainingRun, training: LabelledImages, validation: LabelledImages, test: LabelledImages
) -> None:
    """Writes and prints what a reader reads in pictures that it has not seen, and how well.

    Args:
        run: With the fitted task.
        training: The pictures that it has learned from, for the baseline.
        validation: Those that have calibrated it.
        test: The other pictures.
    """
    reader = run.task
    found = reader.read(test.pixels)
    texts = [text for text, _ in found]
    baseline, of_baseline = score_parts(training, test)
    metrics = run.report(
        score_texts(texts, test.texts),
        baseline,
        {
            "character_accuracy": Outcomes(
                _share_of_characters,
                *(_right_characters(found, test.texts) for found in (texts, of_baseline)),
            ),
            "string_accuracy": Outcomes(
                mean, *(_right_strings(found, test.texts) for found in (texts, of_baseline))
            ),
        },
        validation=reader.evaluate(validation.pixels, validation.texts),
        alphabet=reader.model_.alphabet,
    )
    run.write_table(
        "predictions.csv",
        ["file", "text", "predicted", "probability"],
        (
            [name, text, read, f"{probability:.4f}"]
            for name, text, (read, probability) in zip(test.names, test.texts, found, strict=True)
        ),
    )
    unnamed = draw_confusion(run.folder, test.texts, texts, reader.model_.alphabet)
    draw_samples(run.folder, test, found)
    run.draw_history(["loss", *MEASURES])
    rows = MEASURES | {"seconds": "seconds"}
    columns = {"network": metrics, "neighbours": metrics["baseline"]}
    by_font = confusion.note_on_fonts(unnamed, reader.model_.alphabet)
    for remark in by_font:
        print(remark)
    run.write_page(
        metrics,
        rows,
        columns,
        [
            Section("The training", [Picture(run.folder / "history.png", "loss and accuracy")]),
            Section(
                "Test pictures", [Picture(run.folder / "samples.png", "pictures and readings")]
            ),
            Section(
                "Which character was taken for which",
                [
                    *by_font,
                    Picture(run.folder / "confusion.png", "confusion matrix by position"),
                ],
            ),
            _section_of_mistakes(test, found),
        ],
    )
    print_comparison("on the test pictures", rows, columns)


def _section_of_mistakes(test: LabelledImages, found: Sequence[tuple[str, float]]) -> Section:
    """The strings that are read wrong with the highest probability."""
    wrong = [
        (f"{probability:.3f}", read, text, name)
        for name, text, (read, probability) in zip(test.names, test.texts, found, strict=True)
        if read != text
    ]
    if not wrong:
        return Section("Mistakes", ["There is none among the test pictures."])
    first = sorted(wrong, key=lambda row: row[0], reverse=True)[:_MISTAKES]
    return Section(
        "The most confident mistakes",
        [
            f"{len(first)} of {len(wrong)} mistakes among {len(found)} test pictures, the surest "
            "first.",
            Table(["probability", "read", "text", "picture"], first),
        ],
    )


def draw_samples(
    folder: pathlib.Path, images: LabelledImages, found: Sequence[tuple[str, float]]
) -> None:
    """Draws `samples.png`: a dozen test pictures, each with its text and the one read.

    The first that are read wrong, six at most where as many are right; they say the most.
    """
    is_right = numpy.array(
        [text == read for text, (read, _) in zip(images.texts, found, strict=True)]
    )
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
        text, (read, probability) = images.texts[index], found[index]
        panel.set_title(
            f"{read if read == text else f'{read}, not {text}'} ({probability:.2f})",
            color=_RIGHT if read == text else _WRONG,
            fontsize=10,
            parse_math=False,
        )
    with whole_file(folder / "samples.png") as file:
        figure.savefig(file, dpi=150)


def draw_confusion(
    folder: pathlib.Path, texts: Sequence[str], predicted: Sequence[str], alphabet: str
) -> list[int]:
    """Draws `confusion.png`: for each position, how often each character was taken for another.

    Returns:
        As `recipes.runs.confusion.draw_matrix`.
    """
    length = max(map(len, [*texts, *predicted]))
    texts, predicted = ([text.ljust(length, BLANK) for text in each] for each in (texts, predicted))
    side = confusion.side_of_matrix(len(alphabet)) + 0.8
    figure, panels = _grid(length, side, side)
    unnamed: list[int] = []
    for position, panel in enumerate(panels):
        counts = confusion_matrix(
            [text[position] for text in texts],
            [text[position] for text in predicted],
            labels=list(alphabet),
        )
        unnamed = confusion.draw_matrix(panel, counts, alphabet)
        panel.set(title=f"position {position + 1}", xlabel="read", ylabel="")
        if position % _COLUMNS == 0:
            panel.set_ylabel("written")
    with whole_file(folder / "confusion.png") as file:
        figure.savefig(file, dpi=150)
    return unnamed


def _grid(count: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure of panels, four in a row."""
    # Not at the top: reading pictures takes no matplotlib.
    from matplotlib.figure import Figure

    columns, rows = min(_COLUMNS, count), -(-count // _COLUMNS)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for panel in panels[count:]:
        panel.remove()
    return figure, panels[:count]
