"""Pictures as people have them, as one array of pixels."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy
from PIL import Image

from recipes.images import image_files
from recipes.images.one_size import note_on_sizes
from recipes.runs.failures import UserError


def to_pixels(
    images: Any,
    shape: Sequence[int] | None = None,
    name: str = "images",
    *,
    verbose: int = 0,
) -> numpy.ndarray:
    """Pictures as one array (pictures, height, width, channels) of whole numbers from 0 to 255.

    Args:
        images: Paths, PIL images or arrays (height, width) or (height, width, channels) with
            values from 0 to 255, or one array of all the pictures.
        shape: (height, width, channels) of the result, to which the pictures are scaled, padded
            and converted. By default that of `recipes.images.one_size.common_size`, with one
            channel where all are gray.
        name: What the pictures are called in messages: the third is `images[2]`.
        verbose: Whether to say which size pictures of other sizes are brought to.

    Raises:
        UserError: If a picture cannot be read or has invalid values.
    """
    given = _listed(images)
    _require_bytes([image for image in given if not isinstance(image, str | os.PathLike)])
    names = [
        str(image) if isinstance(image, str | os.PathLike) else f"{name}[{number}]"
        for number, image in enumerate(given)
    ]
    decoded = [_decoded(*pair) for pair in zip(given, names, strict=True)]
    if not decoded:
        return numpy.zeros((0, *(shape or (0, 0, 1))), dtype="uint8")
    if verbose and (note := note_on_sizes(decoded, shape)):
        print(note)
    return image_files.to_array(decoded, shape)


def _listed(images: Any) -> list[Any]:
    is_single = isinstance(images, str | bytes | os.PathLike | Image.Image)
    is_single = is_single or (isinstance(images, numpy.ndarray) and images.ndim < 1)
    if is_single or not isinstance(images, Iterable):
        raise UserError(
            "expected a sequence of pictures: paths, PIL images or arrays, or one array of all. "
            f"Received: {type(images).__name__}. Put a single picture into a list."
        )
    return list(images)


def _require_bytes(images: Sequence[Any]) -> None:
    """Refuses fractions of 1: a model would take them for pictures that are nearly black."""
    arrays = [numpy.asarray(image) for image in images if not isinstance(image, Image.Image)]
    is_fractions = arrays and all(array.dtype.kind == "f" for array in arrays)
    if is_fractions and 0 < max(array.max(initial=0) for array in arrays) <= 1:
        raise UserError(
            "pictures have values from 0 to 255; received fractions, of which none is above 1. "
            "Multiply them by 255."
        )


def _decoded(image: Any, name: str) -> Image.Image:
    """One picture, mode `L` or `RGB`."""
    if isinstance(image, str | os.PathLike):
        return image_files.read_image(image)
    try:
        if isinstance(image, Image.Image):
            return image_files.gray_or_colours(image)
        return image_files.gray_or_colours(_from_array(numpy.asarray(image)))
    except UserError as error:
        raise UserError(f"{name} {error}") from None
    except (OSError, SyntaxError) as error:  # Pillow reads a file when its pixels are asked for.
        raise UserError(f"{name} cannot be read ({error})") from None


def _from_array(array: numpy.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)) or not array.size:
        raise UserError(
            "must be a path, a PIL image or an array (height, width) or (height, width, channels) "
            f"with 1, 3 or 4 channels; received the shape {array.shape}"
        )
    if array.dtype.kind not in "uif" or not ((array >= 0) & (array <= 255)).all():
        raise UserError(f"must hold values from 0 to 255; received {_received(array)}")
    return Image.fromarray(numpy.rint(array).astype("uint8"))


def _received(array: numpy.ndarray) -> str:
    if array.dtype.kind not in "uif":
        return f"values of type {array.dtype}"
    return f"values from {array.min()} to {array.max()}"
