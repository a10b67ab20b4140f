"""Pictures of several sizes, brought to one: scaled, and padded in the colour of their margin."""

from collections.abc import Sequence

import numpy
from PIL import Image

_SHARE_THAT_FILLS_THE_WIDTH = 0.95


def common_size(images: Sequence[Image.Image]) -> tuple[int, int]:
    """The width and the height that a model reads pictures of these sizes in.

    The height is the median of theirs. At that height, 95 % of them are not wider than the width.
    """
    height = int(numpy.median([image.height for image in images]))
    widths = [image.width * height / image.height for image in images]
    width = numpy.quantile(widths, _SHARE_THAT_FILLS_THE_WIDTH, method="higher")
    return max(1, round(width)), height


def fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture scaled, as large as it fits, into the middle of one of this width and height."""
    if image.size == size:
        return image
    scale = min(size[0] / image.width, size[1] / image.height)
    width, height = (max(1, round(scale * side)) for side in image.size)
    padded = Image.new(image.mode, size, margin_colour(numpy.asarray(image)))
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    padded.paste(scaled, ((size[0] - width) // 2, (size[1] - height) // 2))
    return padded


def margin_colour(pixels: numpy.ndarray) -> int | tuple[int, ...]:
    """The median colour of the first and the last row, as Pillow takes it.

    Args:
        pixels: (height, width) or (height, width, channels), values from 0 to 255.
    """
    rows = numpy.concatenate([pixels[0], pixels[-1]])
    colour = tuple(int(value) for value in numpy.atleast_1d(numpy.median(rows, axis=0)))
    return colour[0] if len(colour) == 1 else colour


def note_on_sizes(images: Sequence[Image.Image], shape: Sequence[int] | None = None) -> str | None:
    """What is done to bring pictures to one size, in one sentence; `None` where all have it.

    Args:
        images: The pictures.
        shape: (height, width, channels) that they are brought to; by default of `common_size`.
    """
    found = sorted({image.size for image in images})
    size = common_size(images) if shape is None else (shape[1], shape[0])
    if found == [size]:
        return None
    first, last, target = (f"{width} x {height}" for width, height in (found[0], found[-1], size))
    which = f"of {first}" if len(found) == 1 else f"of {len(found)} sizes, from {first} to {last},"
    return f"pictures {which} are scaled and padded to {target}"
