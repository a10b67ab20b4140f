"""Pictures of strings of handwritten digits, composed from the digits that scikit-learn brings.

Nothing is downloaded. Strings to train, to validate and to test with are composed of different
handwritten digits: what is tested has never been seen.
"""

import math

import numpy
import sklearn.datasets
from PIL import Image, ImageChops
from sklearn.model_selection import train_test_split

from recipes.images.labelled_images import LabelledImages

LENGTH = 4
HEIGHT, WIDTH = 24, 72
_STEP = WIDTH / LENGTH


def digit_strings(
    training: int = 4000, validation: int = 500, test: int = 1000
) -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """Composes the strings to learn from, to validate with and to test with.

    Args:
        training: Number of strings to learn from.
        validation: Number of strings to validate with.
        test: Number of strings to test with.

    Returns:
        The three sets, the same on every machine and in every run.
    """
    digits = sklearn.datasets.load_digits()
    known, unknown = train_test_split(
        numpy.arange(len(digits.target)), test_size=0.4, stratify=digits.target, random_state=0
    )
    for_validation, for_test = train_test_split(
        unknown, test_size=0.7, stratify=digits.target[unknown], random_state=0
    )

    def composed(rows: numpy.ndarray, count: int, seed: int) -> LabelledImages:
        return compose(digits.images[rows], digits.target[rows], count, seed)

    return (
        composed(known, training, 0),
        composed(for_validation, validation, 1),
        composed(for_test, test, 2),
    )


def compose(digits: numpy.ndarray, classes: numpy.ndarray, count: int, seed: int) -> LabelledImages:
    """Composes strings of digits, each turned, moved and scaled a little, under noise.

    Args:
        digits: (digits, 8, 8), values from 0 to 16.
        classes: The digit that each picture shows.
        count: Number of strings.
        seed: Decides everything that is left to chance.
    """
    random = numpy.random.default_rng(seed)
    pixels = numpy.empty((count, HEIGHT, WIDTH, 1), dtype="uint8")
    texts = []
    for image in pixels:
        chosen = random.integers(len(digits), size=LENGTH)
        ink = Image.new("L", (WIDTH, HEIGHT))
        for position, digit in enumerate(chosen):
            stamp = Image.fromarray((digits[digit] * 255 / 16).astype("uint8"))
            ink = ImageChops.lighter(ink, _placed(stamp, position, random))
        # The ink is darker than the paper, by more or by less.
        paper, contrast = random.uniform(170, 230), random.uniform(0.4, 0.8)
        noisy = paper - contrast * numpy.asarray(ink, "float32")
        noisy += random.normal(0, 20, noisy.shape)
        image[..., 0] = noisy.clip(0, 255)
        texts.append("".join(str(classes[digit]) for digit in chosen))
    return LabelledImages(pixels, texts, [f"string_{number:05}" for number in range(count)])


def _placed(stamp: Image.Image, position: int, random: numpy.random.Generator) -> Image.Image:
    """One digit on an empty canvas, near the place of its position."""
    scale = random.uniform(1.9, 2.5)
    angle = math.radians(random.uniform(-15, 15))
    x = (position + 0.5) * _STEP + random.uniform(-3, 3)
    y = HEIGHT / 2 + random.uniform(-3, 3)
    # Pillow asks where in the stamp each pixel of the canvas comes from.
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    middle = stamp.width / 2
    return stamp.transform(
        (WIDTH, HEIGHT),
        Image.Transform.AFFINE,
        (
            cosine,
            sine,
            middle - cosine * x - sine * y,
            -sine,
            cosine,
            middle + sine * x - cosine * y,
        ),
        Image.Resampling.BILINEAR,
    )
