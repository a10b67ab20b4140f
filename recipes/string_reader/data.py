"""Which pictures a reader learns from, is validated and tested with."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from recipes.images import digit_strings, pixels
from recipes.images.labelled_images import (
    LabelledImages,
    composed,
    read_labelled_images,
    require_one_length,
)
from recipes.runs.failures import UserError

TEST_SHARE = 0.1
VALIDATION_SHARE = 0.05


def given_images(
    images: Any, strings: Any, shape: tuple[int, ...] | None = None, name: str = "images"
) -> LabelledImages:
    """Pictures as `recipes.images.pixels.to_pixels` takes them, and the string in each.

    Args:
        images: The pictures.
        strings: Their strings, in the same order.
        shape: (height, width, channels) that the pictures must have; by default any.
        name: What the pictures are called in messages.

    Raises:
        UserError: If there is no picture, if one has no string, or if one is no string.
    """
    array = pixels.to_pixels(images, shape, name)
    if not len(array):
        raise UserError(f"expected at least one picture; received no {name}")
    if isinstance(strings, str) or not isinstance(strings, Iterable):
        raise UserError(
            "expected a sequence of strings, one for each picture. "
            f"Received: {type(strings).__name__}."
        )
    texts = list(strings)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(
                f"strings[{number}] must be a string; received {text!r} of type "
                f"{type(text).__name__}. Read the column as text: 0012 is not 12."
            )
    if len(texts) != len(array):
        raise UserError(
            f"expected one string for each picture; received {len(array)} {name} and "
            f"{len(texts)} strings"
        )
    names = [f"{name}[{number}]" for number in range(len(texts))]
    return LabelledImages(array, list(map(composed, texts, names)), names)


def given_validation(validation_data: Any, shape: tuple[int, ...]) -> LabelledImages:
    """Pictures to validate with, given as (images, strings); see `given_images`.

    Raises:
        UserError: If there are not two of them, or one is no good.
    """
    is_pair = isinstance(validation_data, tuple | list) and len(validation_data) == 2
    if not is_pair:
        raise UserError(
            "`validation_data` must be (images, strings). "
            f"Received: {type(validation_data).__name__}."
        )
    images, strings = validation_data
    return given_images(images, strings, shape, "validation images")


def joint_alphabet(training: LabelledImages, validation: LabelledImages) -> str:
    """The characters of both sets, in order.

    Raises:
        UserError: If the strings differ in length, or if there is but one character.
    """
    both = [*zip(training.names, training.texts, strict=True)]
    both += zip(validation.names, validation.texts, strict=True)
    require_one_length(dict(both), "the strings")
    alphabet = "".join(sorted({*training.alphabet, *validation.alphabet}))
    if len(alphabet) < 2:
        raise UserError(f"the only character is {alphabet!r}; give strings of at least two")
    return alphabet


def require_length(images: LabelledImages, length: int) -> None:
    """Checks that all strings have as many characters as a reader reads.

    Raises:
        UserError: If one has not.
    """
    for name, text in zip(images.names, images.texts, strict=True):
        if len(text) != length:
            raise UserError(
                f"the string of {name} is {text!r}, {len(text)} characters; the reader reads "
                f"strings of {length}"
            )


def split_validation(images: LabelledImages, source: str) -> tuple[LabelledImages, LabelledImages]:
    """The pictures to learn from, and a twentieth to validate with, by a hash of the pixels.

    Raises:
        UserError: If there are too few; `source` begins the message.
    """
    training, validation = images.split(VALIDATION_SHARE, "validation")
    if not len(validation) or not len(training):
        raise UserError(
            f"{source} has too few pictures to set some aside; give at least "
            f"{round(2 / VALIDATION_SHARE)}"
        )
    return training, validation


def read_images(
    images: str | None = None,
    labels: str | None = None,
    *,
    test_images: str | None = None,
    test_labels: str | None = None,
    test_last: int | None = None,
    skip_unreadable: bool = False,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """The pictures to learn from, to validate and to test with, checked against each other.

    Args:
        images: Folder or archive of the pictures to learn from; without it, strings of digits
            that scikit-learn brings.
        labels: Their texts; see `recipes.images.labelled_images.read_labelled_images`.
        test_images: Likewise, pictures to test with.
        test_labels: Their texts.
        test_last: Test with the last of `images`, so many; without this and `test_images`, with a
            tenth of them.
        skip_unreadable: Whether to leave out pictures that cannot be read or are of another size
            than most, with a line for each.
        encoding: What the files of texts are written in; by default it is found.
        delimiter: What stands between their fields; by default it is found.

    Raises:
        UserError: If something cannot be read, or does not go together.
    """
    if images is None:
        needing = {
            "--labels": labels,
            "--test-images": test_images,
            "--test-labels": test_labels,
            "--test-last": test_last,
            "--skip-unreadable": skip_unreadable or None,
            "--encoding": encoding,
            "--delimiter": delimiter,
        }
        for option, value in needing.items():
            if value is not None:
                raise UserError(f"{option} needs --images: give both, or none")
        return digit_strings.digit_strings()
    for option, form in (("--encoding", encoding), ("--delimiter", delimiter)):
        if form is not None and not (labels or test_labels):
            raise UserError(f"{option} needs --labels: it says how to read them")
    if test_labels and not test_images:
        raise UserError("--test-labels needs --test-images: give both, or none")
    if test_last is not None and test_images:
        raise UserError("--test-last and --test-images exclude each other: give one of them")
    read = partial(
        read_labelled_images,
        skip_unreadable=skip_unreadable,
        encoding=encoding,
        delimiter=delimiter,
    )
    known = read(images, labels)
    if test_images:
        test = read(test_images, test_labels, channels=known.pixels.shape[-1])
    elif test_last is not None:
        known, test = _without_last(known, test_last)
    else:
        known, test = known.split(TEST_SHARE, "test")
    training, validation = split_validation(known, images)
    if not len(test):
        raise UserError(
            f"{images} has too few pictures to set some aside; give at least "
            f"{round(2 / VALIDATION_SHARE)}"
        )
    _require_alike(known, test, test_images or images)
    return training, validation, test


def _without_last(images: LabelledImages, count: int) -> tuple[LabelledImages, LabelledImages]:
    first = len(images) - count
    if count < 1 or first < 2:
        raise UserError(
            f"--test-last must leave pictures to learn from; expected 1 to {len(images) - 2}, "
            f"received {count}"
        )
    return images.take(range(first)), images.take(range(first, len(images)))


def _require_alike(known: LabelledImages, test: LabelledImages, source: str) -> None:
    """Checks that a model of the one can read the other."""
    sizes = [f"{images.pixels.shape[2]} x {images.pixels.shape[1]}" for images in (known, test)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"{source}: the test pictures are {sizes[1]} pixels, those to learn from {sizes[0]}; "
            "bring them to one size"
        )
    lengths = [len(images.texts[0]) for images in (known, test)]
    if lengths[0] != lengths[1]:
        raise UserError(
            f"{source}: the test texts have {lengths[1]} characters, those to learn from "
            f"{lengths[0]}; all must be of one length"
        )
    if len(known.alphabet) < 2:
        raise UserError(
            f"{source}: the only character is {known.alphabet!r}; give texts of at least two"
        )
    for name, text in zip(test.names, test.texts, strict=True):
        for character in text:
            if character not in known.alphabet:
                raise UserError(
                    f"{source}: the character {character!r} of the test picture {name} ({text}) is "
                    "in no picture to learn from; add such pictures there or take this one out"
                )
