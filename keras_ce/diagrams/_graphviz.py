"""Pictures of DOT text, by a Graphviz that is installed or the one inside of pygraphviz."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

_SCALED = re.compile(r"too large for .*Scaling by ([0-9.e-]+)")
# Below, words of a diagram cannot be read; Graphviz itself draws the picture as coarse as it must.
_LEAST_DPI = 72


def draw(text: str, file_format: str, dpi: float) -> bytes:
    """Returns the picture, from the first Graphviz that can draw it.

    Raises:
        ImportError: If there is none.
        ValueError: If none knows the format, or the picture has too many pixels.
    """
    reasons = []
    for attempt in (_draw_with_dot, _draw_with_pygraphviz):
        try:
            drawn = attempt(text, file_format)
        except _DrawingError as error:
            # A `dot` without the plug-in for this format need not be the end of it.
            reasons.append(str(error))
            continue
        if drawn is None:
            continue
        picture, said = drawn
        scaled = _SCALED.search(said)
        if scaled and dpi * float(scaled[1]) < _LEAST_DPI:
            raise ValueError(
                "The picture must have few enough pixels for Graphviz, and enough to be read: "
                f"dpi={_LEAST_DPI} or more. Received: a model that fits into a {file_format!r} "
                f"file at dpi={dpi * float(scaled[1]):.3g}. Write '.svg', '.pdf' or '.html', or "
                "draw less of the model, with `max_depth` or without `show_shapes`."
            )
        return picture
    if reasons:
        raise ValueError(
            f"Graphviz could not write the format {file_format!r}, which is the extension of "
            f"`to_file`. Use '.png', '.svg', '.pdf' or '.dot'. Graphviz said: {' '.join(reasons)}"
        )
    raise ImportError(
        f"Drawing a {file_format!r} file needs Graphviz, and this machine has neither the program "
        "`dot` nor the Python package `pygraphviz`. Run `pip install pygraphviz`, which brings "
        "Graphviz with it, or install Graphviz itself (https://graphviz.org/download/), or write "
        "a '.dot' file, which needs neither."
    )


class _DrawingError(Exception):
    """Graphviz is there and did not draw."""


def _draw_with_dot(text: str, file_format: str) -> tuple[bytes, str] | None:
    """Returns the picture and what Graphviz said, or None where there is no `dot` program."""
    program = shutil.which("dot")
    if program is None:
        return None
    try:
        completed = subprocess.run(
            [program, f"-T{file_format}"], input=text.encode(), capture_output=True, check=False
        )
    except OSError as error:
        raise _DrawingError(f"{program} does not run: {error}.") from error
    if completed.returncode != 0 or not completed.stdout:
        message = " ".join(completed.stderr.decode(errors="replace").split())
        raise _DrawingError(
            message or f"{program} ended with exit status {completed.returncode} and no message."
        )
    return completed.stdout, completed.stderr.decode(errors="replace")


def _draw_with_pygraphviz(text: str, file_format: str) -> tuple[bytes, str] | None:
    """Returns the picture and what Graphviz said, or None where pygraphviz is not installed."""
    try:
        import pygraphviz
    except ImportError:
        return None
    graph = pygraphviz.AGraph(string=text)
    said: list[str] = []
    try:
        with _written_to_standard_error(said):
            picture = bytes(graph.draw(format=file_format, prog="dot"))
    except (TypeError, ValueError) as error:
        # TypeError: pygraphviz tries to index the error code that it received.
        raise _DrawingError(
            f"pygraphviz {pygraphviz.__version__} does not know the format. {' '.join(said)}"
        ) from error
    for line in said:
        if not _SCALED.search(line):
            print(line, file=sys.stderr)
    return picture, "\n".join(said)


@contextlib.contextmanager
def _written_to_standard_error(said: list[str]) -> Iterator[None]:
    """Holds back what Graphviz says, and appends it to `said`.

    Compiled code writes it, past `sys.stderr`. What the fontconfig inside the wheel says of the
    settings of the one outside is left out.
    """
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (AttributeError, OSError, ValueError):  # a process without standard error
        yield
        return
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            for line in written:
                if not line.startswith(b"Fontconfig "):
                    said.append(line.decode(errors="replace").strip())
