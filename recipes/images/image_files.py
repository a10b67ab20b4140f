"""Reads pictures from a folder or a tar archive."""

import io
import lzma
import os
import pathlib
import stat
import tarfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import Self

import numpy
from PIL import Image, ImageOps, UnidentifiedImageError

from recipes.images.one_size import common_size, fitted
from recipes.runs.failures import UserError

ENDINGS = (".png", ".jpg", ".jpeg")
# Opened too, so that no picture is passed over in silence: it is read or named.
_OTHER_ENDINGS = (".bmp", ".gif", ".heic", ".jfif", ".tif", ".tiff", ".webp")
_ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_GRAY_MODES = {"1", "L"}
_GRAY_MODES_OF_16_BITS = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
_COLOUR_MODES = {"RGB", "RGBA", "P", "PA", "LA", "CMYK", "YCbCr"}
_MOST_BYTES = 2**28
_TOO_LARGE = "has more than 256 MiB; make it smaller"
# What begins a file "._x.png", which macOS puts beside a picture x.png and which is none.
_NOTES_OF_MACOS = b"\x00\x05\x16\x07"


def read_images(source: str | pathlib.Path) -> tuple[dict[str, Image.Image], dict[str, str]]:
    """Reads every picture of a folder, with the folders inside it, or of a tar archive.

    Args:
        source: Path of the folder or archive.

    Returns:
        The pictures by name, the path inside `source`, in alphabetical order; and, by name, why
        the others cannot be read.

    Raises:
        UserError: If there is no picture.
    """
    images, unreadable = {}, {}
    for name, image in sorted(each_image(source), key=lambda pair: pair[0]):
        if isinstance(image, UserError):
            unreadable[name] = str(image)
        else:
            images[name] = image
    if not images:
        first = next((f": {name} {reason}" for name, reason in unreadable.items()), "")
        raise UserError(f"{source} holds no readable picture; expected {_listed()} files{first}")
    return images, unreadable


def each_image(source: str | pathlib.Path) -> Iterator[tuple[str, Image.Image | UserError]]:
    """One picture after the other of a folder, with the folders inside it, or of a tar archive.

    Args:
        source: Path of the folder or archive.

    Yields:
        The path inside `source`, and the picture; or, where it cannot be read, an error whose
        message goes on after the name.

    Raises:
        UserError: If the folder or archive cannot be read.
    """
    path = pathlib.Path(source)
    for name, content in _files(path) if path.is_dir() else _members(path):
        shown = printable(name)
        try:
            if isinstance(content, UserError):
                raise content
            if content.startswith(_NOTES_OF_MACOS):
                continue
            if shown != name:
                raise UserError("has a name that is not UTF-8; rename it")
            image = decode(content)
        except UserError as error:
            yield shown, error
        else:
            yield name, image


def holds_images(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a folder, or its name that of a tar archive."""
    return os.path.isdir(path) or os.fspath(path).lower().endswith(_ARCHIVE_ENDINGS)


def printable(name: str) -> str:
    """A name with what no UTF-8 can hold written out, such as the bytes of other encodings."""
    return name.encode("utf-8", "backslashreplace").decode()


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
        return decode(_content(path))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a picture") from None
    except UserError as error:
        raise UserError(f"{path} {error}") from None


def gray_or_colours(image: Image.Image) -> Image.Image:
    """A picture of any usual kind of pixels as one of 8 bits, mode `L` or `RGB`, upright.

    Raises:
        UserError: If it is of another kind; the message goes on after the picture's name.
    """
    image = _upright(image)
    if image.mode in _GRAY_MODES:
        return image.convert("L")
    if image.mode in _GRAY_MODES_OF_16_BITS:
        values = numpy.asarray(image, "float64") / 257
        return Image.fromarray(values.round().clip(0, 255).astype("uint8"))
    if image.mode not in _COLOUR_MODES:
        raise UserError(f"has pixels of kind {image.mode}; convert it to 8 bits per colour")
    if image.mode in {"RGBA", "PA", "LA"} or "transparency" in image.info:
        # On white, as a reader of the page sees it.
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def to_array(images: list[Image.Image], shape: Sequence[int] | None = None) -> numpy.ndarray:
    """Pictures as (pictures, height, width, channels), values from 0 to 255.

    Args:
        images: The pictures, gray or in colours.
        shape: (height, width, channels), to which they are scaled, padded and converted; by default
            that of `common_size`, with one channel where all the pictures are gray.
    """
    if shape is None:
        width, height = common_size(images)
        channels = 1 if all(image.mode == "L" for image in images) else 3
    else:
        height, width, channels = shape
    mode = "L" if channels == 1 else "RGB"
    arrays = [numpy.asarray(fitted(image.convert(mode), (width, height))) for image in images]
    return numpy.stack(arrays).reshape(len(images), height, width, channels)


def _upright(image: Image.Image) -> Image.Image:
    """A picture turned as its EXIF entry says, which is all that a camera turns."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ImageOps.exif_transpose(image)
    except Exception:  # Pillow says nowhere what damaged entries raise; the pixels are whole.
        return image


def _files(folder: pathlib.Path) -> Iterator[tuple[str, bytes | UserError]]:
    """Name and content of each file that may be a picture, or why it cannot be read."""
    for file in sorted(folder.rglob("*")):
        if _may_be_picture(file.name) and not file.is_dir():
            name = file.relative_to(folder).as_posix()
            try:
                yield name, _content(file)
            except OSError as error:
                yield name, UserError(f"cannot be read ({error.strerror})")
            except UserError as error:
                yield name, error


class _Member(tarfile.TarInfo):
    """A member of an archive: tarfile takes a damaged header for the end, and says nothing."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf and not any(buf):
                raise  # Zeros are the end.
            raise tarfile.ReadError(str(error)) from None


def _members(path: pathlib.Path) -> Iterator[tuple[str, bytes | UserError]]:
    """Likewise, of a tar archive."""
    is_archive = False
    try:
        with tarfile.open(path, tarinfo=_Member) as archive:
            is_archive = True
            for member in archive:
                name = member.name.removeprefix("./")
                if not _may_be_picture(name) or member.isdir():
                    continue
                content = archive.extractfile(member) if member.isfile() else None
                if content is None:
                    what = "a link" if member.issym() or member.islnk() else "no file"
                    yield name, UserError(f"is {what}; put the picture in its place")
                elif member.size > _MOST_BYTES:
                    yield name, UserError(_TOO_LARGE)
                else:
                    yield name, content.read()
            # To the very end, where the checksum of what is compressed stands.
            while archive.fileobj.read(2**20):
                pass
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{path} cannot be read ({error.strerror})") from None
        if is_archive or not isinstance(error, tarfile.TarError):
            raise UserError(f"{path} is damaged or cut off; fetch or make it again") from None
        raise UserError(f"{path} is neither a folder nor a whole tar archive; name one") from None


def _content(path: pathlib.Path) -> bytes:
    """The content of a picture file. A device has no end, and a pipe may never begin.

    Raises:
        OSError: As reading raises it.
        UserError: If it cannot be a picture; the message goes on after its name.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise UserError("is no file; put the picture in its place")
    if status.st_size > _MOST_BYTES:
        raise UserError(_TOO_LARGE)
    return path.read_bytes()


def _may_be_picture(name: str) -> bool:
    return name.lower().endswith(ENDINGS + _OTHER_ENDINGS)


def _listed() -> str:
    return f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
