"""Reads pictures from a folder or a tar archive, all of one size."""

import io
import os
import pathlib
import tarfile
from collections.abc import Iterator

import numpy
from PIL import Image, UnidentifiedImageError

from recipes.runs.failures import UserError

ENDINGS = (".png", ".jpg", ".jpeg")
_GRAY_MODES = {"1", "L"}
_COLOUR_MODES = {"RGB", "RGBA", "P", "PA", "LA", "CMYK", "YCbCr"}


def read_images(source: str | pathlib.Path) -> tuple[dict[str, Image.Image], dict[str, str]]:
    """Reads every picture of a folder, with the folders inside it, or of a tar archive.

    Args:
        source: Path of the folder or archive.

    Returns:
        The pictures by name, the path inside `source`, in alphabetical order; and, by name, why
        the others cannot be read.

    Raises:
        UserError: If there is no picture, or if two differ in size.
    """
    path = pathlib.Path(source)
    images, unreadable = {}, {}
    for name, content in sorted(_contents(path)):
        try:
            images[name] = decode(content)
        except UserError as error:
            unreadable[name] = str(error)
    if not images:
        first = next((f": {name} {reason}" for name, reason in unreadable.items()), "")
        raise UserError(f"{path} holds no readable picture; expected {_listed()} files{first}")
    (first, image), *others = images.items()
    for name, other in others:
        if other.size != image.size:
            raise UserError(
                f"{path}: {name} is {_size(other)} pixels and {first} is {_size(image)}; "
                "bring all pictures to one size"
            )
    return images, unreadable


def decode(content: bytes) -> Image.Image:
    """Decodes one picture: gray where the file is gray, colours otherwise.

    Raises:
        UserError: If it cannot be decoded; the message goes on after the picture's name.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "not a PNG or JPEG" if isinstance(error, UnidentifiedImageError) else error
        raise UserError(f"cannot be read ({reason})") from None
    return gray_or_colours(image)


def read_image(path: str | os.PathLike[str]) -> Image.Image:
    """One picture, gray where the file is gray, in colours otherwise.

    Raises:
        UserError: If it cannot be read.
    """
    path = pathlib.Path(path)
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a picture") from None
    except UserError as error:
        raise UserError(f"{path} {error}") from None


def gray_or_colours(image: Image.Image) -> Image.Image:
    """A picture of any usual kind of pixels as one of 8 bits, mode `L` or `RGB`.

    Raises:
        UserError: If it is of another kind; the message goes on after the picture's name.
    """
    if image.mode in _GRAY_MODES:
        return image.convert("L")
    if image.mode not in _COLOUR_MODES:
        raise UserError(f"has pixels of kind {image.mode}; convert it to 8 bits per colour")
    if image.mode in {"RGBA", "PA", "LA"} or "transparency" in image.info:
        # On white, as a reader of the page sees it.
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def to_array(images: list[Image.Image], channels: int | None = None) -> numpy.ndarray:
    """Pictures of one size as (pictures, height, width, channels), values from 0 to 255.

    Args:
        images: The pictures.
        channels: 1 or 3; by default 1 where all the pictures are gray.
    """
    if channels is None:
        channels = 1 if all(image.mode == "L" for image in images) else 3
    mode = "L" if channels == 1 else "RGB"
    arrays = [numpy.asarray(image.convert(mode)) for image in images]
    return numpy.stack(arrays).reshape(len(images), *arrays[0].shape[:2], channels)


def _contents(path: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.is_dir():
            for file in path.rglob("*"):
                if file.suffix.lower() in ENDINGS and file.is_file():
                    yield file.relative_to(path).as_posix(), file.read_bytes()
            return
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                # Programs of one kind of computer put "._NAME" beside each file of an archive.
                is_picture = name.lower().endswith(ENDINGS) and "._" not in name
                content = archive.extractfile(member) if is_picture and member.isfile() else None
                if content is not None:
                    yield name, content.read()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except tarfile.TarError:
        raise UserError(f"{path} is neither a folder nor a whole tar archive; name one") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None


def _listed() -> str:
    return f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"


def _size(image: Image.Image) -> str:
    return f"{image.width} x {image.height}"
