"""Reads the strings in files of pictures, one after the other, whatever is wrong with some."""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from recipes.images import image_files
from recipes.runs.failures import UserError
from recipes.string_reader.task import StringReader

COLUMNS = ("picture", "string", "probability")
_CHUNK = 256
"""Pictures that are in memory at a time."""


class Reading(NamedTuple):
    """What stands in a picture; or, in one sentence, why it cannot be read.

    A string that is not probable enough is left out, and its probability is there.
    """

    picture: str
    string: str | None = None
    probability: float | None = None
    problem: str | None = None

    def cells(self) -> list[str | None]:
        """The row of a table with these columns; empty cells where the picture cannot be read."""
        probability = None if self.probability is None else f"{self.probability:.4f}"
        return [self.picture, self.string, probability]


def read_files(
    reader: StringReader, files: Sequence[str], threshold: float = 0.0
) -> Iterator[Reading]:
    """The string in each picture.

    Args:
        reader: Fitted.
        files: Pictures, and folders and tar archives of pictures.
        threshold: How probable a string must be to be given.

    Yields:
        For each picture its reading, in the order of `files`. A picture that cannot be read stops
        nothing.
    """
    pictures = itertools.chain.from_iterable(map(_opened, files))
    while chunk := list(itertools.islice(pictures, _CHUNK)):
        good = [image for _, image in chunk if isinstance(image, Image.Image)]
        found = iter(reader.read(good))
        for name, image in chunk:
            if isinstance(image, UserError):
                yield Reading(name, problem=str(image))
            else:
                string, probability = next(found)
                yield Reading(name, string if probability >= threshold else None, probability)


def _opened(file: str) -> Iterator[tuple[str, Image.Image | UserError]]:
    """Each picture by its name, or the sentence that says what is wrong with it."""
    try:
        if not image_files.holds_images(file):
            yield file, image_files.read_image(file)
            return
        is_empty = True
        for inside, image in image_files.each_image(file):
            name = os.path.join(file, inside)
            is_empty = False
            yield name, UserError(f"{name} {image}") if isinstance(image, UserError) else image
        if is_empty:
            yield file, UserError(f"{file} holds no picture; expected PNG or JPEG files")
    except UserError as error:
        yield file, error
