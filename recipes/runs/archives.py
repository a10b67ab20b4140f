"""Zip archives that anybody may have written or damaged."""

import os
import zipfile
import zlib

import numpy

from recipes._arguments import memory_bytes

DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,  # the flag "encrypted" came to be set
    ValueError,
)
"""What reading a damaged archive raises beside `OSError`."""


def require_memory(archive: zipfile.ZipFile) -> None:
    """Raises `ValueError` where what an archive unpacks to is larger than the memory."""
    size = sum(member.file_size for member in archive.infolist())
    if size > memory_bytes():
        raise ValueError(
            f"it unpacks to {size / 2**30:,.0f} GiB, and this machine has "
            f"{memory_bytes() / 2**30:,.0f} GiB"
        )


def read_arrays(path: str | os.PathLike[str]) -> dict[str, numpy.ndarray]:
    """The arrays of an .npz file by their names; nothing in it is executed.

    Args:
        path: What `numpy.savez` has written.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is damaged or another kind of file, or larger than the memory.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                require_memory(archive)
            with numpy.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except OSError:
            raise
        except Exception as error:  # NumPy says nowhere what headers that it cannot read raise.
            raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
