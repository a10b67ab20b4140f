"""Files that appear under their name when all is written, whatever happens before."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from recipes.runs.failures import UserError


@contextlib.contextmanager
def whole_file(path: pathlib.Path, fix: str = "name another file") -> Iterator[pathlib.Path]:
    """Gives the name to write to; what the path names is replaced when all is written.

    Args:
        path: Where to; a file that is there stays as it is unless all goes well.
        fix: What to do where it cannot be written, for the message.

    Raises:
        UserError: If the file cannot be written, as on a full disk.
    """
    # Nobody else's; the ending stays, since it says to Matplotlib which format is asked for.
    new = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield new
        with open(new, "rb") as written:
            os.fsync(written.fileno())  # else a crash may leave the name without its content
        os.replace(new, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}); {fix}") from None
    finally:
        # A disk that is gone, or turned read-only, must not hide the first error.
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def remove_unfinished(path: pathlib.Path) -> None:
    """Removes what `whole_file` has left where the process was killed; nobody may be writing.

    Args:
        path: What it was to become; its name may be a pattern.
    """
    for left in path.parent.glob(f".[0-9]*-{path.name}"):
        with contextlib.suppress(OSError):
            left.unlink()
