"""The folder that a training leaves its results in; it never overwrites an earlier run."""

import itertools
import pathlib
import tempfile

from recipes.runs.failures import UserError


def create_run_folder(output: str | None, name: str) -> pathlib.Path:
    """Creates the folder for one run.

    Args:
        output: The folder asked for: it must be new or empty. `None` for a new numbered one,
            `runs/NAME-1`, `runs/NAME-2`, ...
        name: Name of the example, for the numbered folder.

    Raises:
        UserError: If the folder already holds something, or cannot be written.
    """
    folder = pathlib.Path(output) if output is not None else pathlib.Path("runs")
    try:
        if output is None:
            return _create_numbered(folder, name)
        folder.mkdir(parents=True, exist_ok=True)
        present = sorted(path.name for path in folder.iterdir())
        # Written before the training, not after it: a full night must not end here.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"the output folder {folder} cannot be written ({error.strerror}); "
            "name another with --output"
        ) from None
    if present:
        shown = ", ".join(present[:3]) + (", ..." if len(present) > 3 else "")
        or_go_on = f", or go on with it: --resume {folder}" if "run.json" in present else ""
        raise UserError(
            f"the output folder {folder} already holds a run ({shown}); "
            f"name a new one with --output{or_go_on}"
        )
    return folder


def _create_numbered(parent: pathlib.Path, name: str) -> pathlib.Path:
    parent.mkdir(exist_ok=True)
    for number in itertools.count(1):
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue  # also when another run took the number a moment ago
        return folder
    raise RuntimeError("numbers do not end")
