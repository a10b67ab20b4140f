"""Scripts, run as `python -m examples.NAME` from the project root; what they use is `recipes`."""

import argparse
import contextlib
import io
import json
import logging
import os
import pathlib
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_BROKEN_PIPE = 141
"""What a shell gives for a program that its reader has left: 128 and the signal's number."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which stops a script as Ctrl-C does."""


def options_of(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """What the command line of a training asks for; with `--resume RUN`, what that of the run did.

    A run that is finished says so, and ends the program with status 0.
    """
    text = "go on with a run that was interrupted; takes no other option"
    parser.add_argument("--resume", metavar="RUN", help=text)
    options = parser.parse_args(arguments)
    if options.resume is None:
        return options
    if any(
        value != parser.get_default(name)
        for name, value in vars(options).items()
        if name != "resume"
    ):
        parser.error("--resume takes nothing but the folder, where the other options stand")
    folder = pathlib.Path(options.resume)
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        known = record["options"].keys() == vars(options).keys() - {"resume"}
        name, is_finished = record["name"], record["is_finished"]
        directory, backend = record["directory"], record["backend"]
    except OSError as error:
        reason = error.strerror
        parser.error(f"{folder} holds no run to go on with ({reason}: run.json); name its folder")
    except (ValueError, KeyError, AttributeError, TypeError):
        parser.error(f"{folder / 'run.json'} is damaged; start a new run")
    if not known:
        parser.error(f"{folder} is a run of examples.train_{name}; go on with that")
    if is_finished:
        parser.exit(0, f"{folder} is finished: nothing is left to do\n")
    resumed = folder.resolve()
    if pathlib.Path.cwd() != pathlib.Path(directory):
        folder = resumed
        try:
            os.chdir(directory)  # names of files may be relative to it
        except OSError as error:
            parser.error(f"{directory}, where the run was started, is gone ({error.strerror})")
    os.environ["KERAS_BACKEND"] = backend
    return argparse.Namespace(**{**record["options"], "output": str(folder), "resume": str(folder)})


def run(main: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> None:
    """Runs a script's `main` as a program: one clear line, and status 1, for a mistake of input.

    Args:
        main: The function; it imports `recipes` itself, which brings Keras and takes seconds.
        options: What the command line says. It is read before, so that `--help` and a mistyped
            option are answered at once.
    """
    if sys.stdout is None:  # closed by whoever started the program
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        with _terminated_like_interrupted():
            _run(main, options)
    except KeyboardInterrupt as stop:
        print("stopped", file=sys.stderr)
        number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
        sys.exit(128 + number)


def _run(main: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> None:
    try:
        _import_recipes_quietly()
        from recipes.runs.failures import UserError
    except ImportError as error:
        sys.exit(f"error: {error}")
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
        # Whoever reads the output, such as `head`, has seen enough.
        _leave_output()
        sys.exit(_BROKEN_PIPE)
    except OSError as error:
        _leave_output()
        place = error.filename or "standard output or a temporary file"
        sys.exit(f"error: {place} cannot be written or read ({error.strerror or error})")


def _leave_output() -> None:
    """Lets Python, which flushes once more at its end, write what is left to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
