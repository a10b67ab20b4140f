"""Pictures of DOT text, by a Graphviz that is installed or the one inside of pygraphviz."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator


def draw(text: str, file_format: str) -> bytes:
    """Returns the picture, from the first Graphviz that can draw it."""
    reasons = []
    for attempt in (_draw_with_dot, _draw_with_pygraphviz):
        try:
            picture = attempt(text, file_format)
        except _DrawingError as error:
            # A `dot` without the plug-in for this format need not be the end of it.
            reasons.append(str(error))
            continue
        if picture is not None:
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


def _draw_with_dot(text: str, file_format: str) -> bytes | None:
    """Returns the picture, or None where there is no `dot` program."""
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
    return completed.stdout


def _draw_with_pygraphviz(text: str, file_format: str) -> bytes | None:
    """Returns the picture, or None where pygraphviz is not installed."""
    try:
        import pygraphviz
    except ImportError:
        return None
    graph = pygraphviz.AGraph(string=text)
    try:
        with _without_font_warnings():
            return bytes(graph.draw(format=file_format, prog="dot"))
    except (TypeError, ValueError) as error:
        # TypeError: pygraphviz tries to index the error code that it received. Graphviz itself
        # has by then named the formats that it knows on standard error.
        raise _DrawingError(
            f"pygraphviz {pygraphviz.__version__} does not know the format."
        ) from error


@contextlib.contextmanager
def _without_font_warnings() -> Iterator[None]:
    """Holds back what the fontconfig inside the wheel says of the settings of the one outside.

    Compiled code writes it, past `sys.stderr`; all that it writes else comes through.
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
                    sys.stderr.write(line.decode(errors="replace"))
