"""Scripts, run as `python -m examples.NAME` from the project root; what they use is `recipes`."""

import argparse
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable

_BROKEN_PIPE = 141
"""What a shell gives for a program that its reader has left: 128 and the signal's number."""


def run(main: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> None:
    """Runs a script's `main` as a program: one clear line, and status 1, for a mistake of input.

    Args:
        main: The function; it imports `recipes` itself, which brings Keras and takes seconds.
        options: What the command line says. It is read before, so that `--help` and a mistyped
            option are answered at once.
    """
    try:
        _import_recipes_quietly()
        from recipes.runs.failures import UserError
    except ImportError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    # What a terminal cannot show, such as half an emoji, is printed as its number.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main(options)
        sys.stdout.flush()
    except (ImportError, UserError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except BrokenPipeError:
        # Whoever reads the output, such as `head`, has seen enough. Python would flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_BROKEN_PIPE)
    except KeyboardInterrupt:
        sys.exit("stopped")


def _import_recipes_quietly() -> None:
    """Imports `recipes`, and holds back what TensorFlow says of the machine, and of itself."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as greetings:
        # Compiled code writes them, past sys.stderr.
        os.dup2(greetings.fileno(), 2)
        try:
            import recipes  # noqa: F401
        except BaseException:
            os.dup2(kept, 2)
            greetings.seek(0)
            sys.stderr.write(greetings.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    # Texts of another length are another shape: it warns of each, and traces no more than needed.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
