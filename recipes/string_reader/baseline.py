"""The cheap rival of every string reader: cut the picture into equal parts, classify each."""

import time

import numpy
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from recipes.string_reader.labelled_images import LabelledImages

SIDE = 16


def score_parts(training: LabelledImages, test: LabelledImages) -> dict[str, float | str]:
    """Finds, for each part, the parts that look most like it, and scores their characters.

    Args:
        training: The pictures to learn from.
        test: The pictures to score.

    Returns:
        `character_accuracy`, `string_accuracy`, the `seconds` both steps took, and what the
        `model` is.
    """
    start = time.perf_counter()
    # On validation pictures as good as a support vector machine, which takes minutes.
    neighbours = KNeighborsClassifier(min(5, len("".join(training.texts))))
    neighbours.fit(_parts(training), list("".join(training.texts)))
    predicted = neighbours.predict(_parts(test)).reshape(len(test), -1)
    is_right = predicted == numpy.array(list(map(list, test.texts)))
    return {
        "model": "5 nearest neighbours of equal parts",
        "character_accuracy": float(is_right.mean()),
        "string_accuracy": float(is_right.all(axis=1).mean()),
        "seconds": round(time.perf_counter() - start, 2),
    }


def _parts(images: LabelledImages) -> numpy.ndarray:
    """The parts of every picture, each as a row: how far a pixel is from the paper's colour."""
    length = len(images.texts[0])
    gray = images.pixels.mean(axis=-1)
    ink = numpy.abs(gray - numpy.median(gray, axis=(1, 2), keepdims=True))
    wide = [
        Image.fromarray(picture.astype("uint8")).resize(
            (SIDE * length, SIDE), Image.Resampling.BILINEAR
        )
        for picture in ink
    ]
    split = numpy.stack(wide).reshape(len(images), SIDE, length, SIDE)
    return split.transpose(0, 2, 1, 3).reshape(-1, SIDE * SIDE).astype("float32")
