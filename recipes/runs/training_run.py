"""One training from its settings to its report: the sequence that every training script follows."""

import contextlib
import dataclasses
import errno
import json
import os
import pathlib
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import keras

import keras_ce
from recipes.estimators import Task
from recipes.runs.after_training import require_finite
from recipes.runs.failures import UserError
from recipes.runs.intervals import Outcomes, with_intervals
from recipes.runs.report_page import Code, Section, Table, page
from recipes.runs.run_folder import create_run_folder
from recipes.runs.whole_files import remove_unfinished, whole_file
from recipes.tables.table_writing import write_table

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

RECORD = "run.json"
"""The command line of a run, and whether it is finished; `examples.options_of` reads it."""


_DISK_ERRORS = {errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.EROFS}


@dataclasses.dataclass
class TrainingRun:
    """The folder and the numbers of one training.

    A script reads its data inside `with TrainingRun(...) as run:`, calls `create_folder`, fits and
    evaluates the task, scores the baseline, and then has `report` write and print all of it. Where
    nothing was written before an error, no folder stays.

    Args:
        name: Of the recipe, for a numbered folder: `runs/NAME-1`, `runs/NAME-2`, ...
        output: The folder that was asked for; it must be new or empty. `None` for a numbered one.
        task: Its settings are checked here, and stand in `metrics.json`.
        source: What it learns from, in a few words: names of files.
        options: The command line, which `run.json` keeps from the beginning on, and `resume` in it,
            the folder of a run to go on with. `None` for a run that nobody can go on with.
    """

    name: str
    output: str | None
    task: Task
    source: str = ""
    options: Mapping[str, Any] | None = None
    sizes: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    """What the data holds, for example `{"texts": {"training": 100, "test": 20}}`."""
    folder: pathlib.Path = pathlib.Path()
    _new_folders: list[pathlib.Path] = dataclasses.field(default_factory=list)
    """Those that this run has created, the innermost first."""
    _claim: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)

    def __post_init__(self) -> None:
        """Checks the settings, and starts the clock."""
        self.task.check_settings()
        self._started = time.perf_counter()
        self._command = command()

    def __enter__(self) -> Self:
        """Gives the run."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Says how to go on with a run that was interrupted, and forgets a finished one's state.

        After another error it removes the folder, and those that it lies in: what is new and empty.
        """
        if self.folder == pathlib.Path():
            return  # there is none yet
        with self._claim:
            self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        if error is None:
            if self.options is not None:
                self._record(self.options, is_finished=True)
                shutil.rmtree(self.checkpoint, ignore_errors=True)
            return
        # A disk that is full or gone is no mistake of the settings: the same may go well later.
        of_system = error if isinstance(error, OSError) else error.__context__
        is_interrupted = isinstance(error, KeyboardInterrupt) or (
            isinstance(of_system, OSError) and of_system.errno in _DISK_ERRORS
        )
        if is_interrupted and (self.folder / RECORD).exists():
            script = f"python -m examples.train_{self.name}"
            print(f"to go on: {script} --resume {shlex.quote(str(self.folder))}", file=sys.stderr)
            return
        if self._new_folders:
            self._forget_start()
        for folder in self._new_folders:
            if any(folder.iterdir()):
                break
            folder.rmdir()

    @property
    def checkpoint(self) -> pathlib.Path:
        """The folder for the state of the training: the argument `checkpoint` of `fit`."""
        return self.folder / "checkpoint"

    def _forget_start(self) -> None:
        """Removes what says how to go on, where there is nothing to go on from."""
        if self.checkpoint.is_dir() and not any(self.checkpoint.iterdir()):
            self.checkpoint.rmdir()
        if [path.name for path in self.folder.iterdir()] == [RECORD]:
            (self.folder / RECORD).unlink()

    def _record(self, options: Mapping[str, Any], is_finished: bool) -> None:
        """Writes `run.json`, from which `--resume` knows the run."""
        options = {**options, "output": str(self.folder)}
        options.pop("resume")
        record = {
            "name": self.name,
            "options": options,
            "directory": os.getcwd(),
            "backend": keras.backend.backend(),
            "command": self._command,
            "is_finished": is_finished,
        }
        with whole_file(self.folder / RECORD) as file:
            file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def create_folder(self, **sizes: Mapping[str, int]) -> None:
        """Creates the run's folder, once the data is known to be good, and says what the data is.

        A run to go on with has one.

        Args:
            sizes: For example `texts={"training": 100, "validation": 10, "test": 20}`.

        Raises:
            UserError: If the folder already holds something, or cannot be written.
        """
        resumed = None if self.options is None else self.options["resume"]
        if resumed is not None:
            self._claim_folder(pathlib.Path(resumed))
            record = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
            self._command = record["command"]
            remove_unfinished(self.folder / "*")
            for saving in self.folder.glob(".saving-*"):  # of `model_files.write_model`
                shutil.rmtree(saving, ignore_errors=True)
        else:
            asked = pathlib.Path("runs" if self.output is None else self.output)
            new = [folder for folder in (asked, *asked.parents) if not folder.exists()]
            self._claim_folder(create_run_folder(self.output, self.name))
            self._new_folders = new if self.output is not None else [self.folder, *new]
            if self.options is not None:
                self._record(self.options, is_finished=False)
        self.sizes = {name: dict(counts) for name, counts in sizes.items()}
        for name, counts in self.sizes.items():
            print(f"{name}: {counts}")

    def _claim_folder(self, folder: pathlib.Path) -> None:
        """Keeps other processes out until the end of the run, or of the process.

        Raises:
            UserError: If another one is in the folder.
        """
        if fcntl is not None:
            claim = os.open(folder, os.O_RDONLY)
            self._claim.callback(os.close, claim)
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._claim.close()
                raise UserError(
                    f"another process writes into {folder} at this moment; let it end, or name "
                    "another folder"
                ) from None
            except OSError:
                pass  # a file system that knows no locks
        self.folder = folder

    def report(
        self,
        measures: Mapping[str, Any],
        baseline: Mapping[str, Any],
        outcomes: Mapping[str, Outcomes],
        **more: Any,
    ) -> dict[str, Any]:
        """Writes `metrics.json`.

        Args:
            measures: What `evaluate` gave on the test data.
            baseline: The same measures of the cheap rival, its `model` and its `seconds`.
            outcomes: What each test row has to say on some of the measures, for `intervals`.
            more: Further entries.

        Returns:
            What stands in the file.

        Raises:
            UserError: If a measure is no finite number, as after a training that has diverged.
        """
        require_finite([each for each in measures.values() if isinstance(each, int | float)])
        metrics = {
            **measures,
            "baseline": dict(baseline),
            "intervals": with_intervals(outcomes),
            **more,
            **self.sizes,
            "epochs": len(self.task.history_["loss"]),
            "settings": self.task.get_params(),
            "seed": self.task.seed,
            "backend": keras.backend.backend(),
            "seconds": round(time.perf_counter() - self._started, 1),
            "command": self._command,
        }
        text = json.dumps(metrics, indent=2, allow_nan=False) + "\n"
        with whole_file(self.folder / "metrics.json") as file:
            file.write_text(text, encoding="utf-8")
        return metrics

    def write_table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Writes a .csv file, such as `predictions.csv`."""
        write_table(self.folder / name, header, rows)

    def draw_history(self, measures: Sequence[str], unit: str = "nats") -> None:
        """Draws `history.png`: these measures of every epoch, on training and validation data."""
        figure = keras_ce.plots.training_history(self.task.history_, measures, unit=unit)
        with whole_file(self.folder / "history.png") as file:
            figure.savefig(file, dpi=150)

    def write_page(
        self,
        metrics: Mapping[str, Any],
        rows: Mapping[str, str],
        columns: Mapping[str, Mapping[str, Any]],
        sections: Sequence[Section],
        remarks: Sequence[str] = (),
    ) -> None:
        """Writes `report.html`: one file to send on, with its pictures inside.

        Args:
            metrics: What `report` gave.
            rows: As `print_comparison` takes them.
            columns: Likewise: first the network, then the baseline.
            sections: What else there is to show, after the numbers.
            remarks: On the data, a sentence each, without its period.
        """
        kinds = list(dict.fromkeys(kind for counts in self.sizes.values() for kind in counts))
        sizes = Table(
            ["", *kinds],
            [
                [name, *(f"{counts[kind]:,}" if kind in counts else "" for kind in kinds)]
                for name, counts in self.sizes.items()
            ],
        )
        settings = Table(
            ["setting", "value"],
            [[name, repr(value)] for name, value in metrics["settings"].items()],
        )
        typed = metrics["command"]
        again: list[str | Code] = (
            ["It was trained from Python, with the settings above."]
            if typed is None
            else [Code(typed), "The seed and the settings above are part of it."]
        )
        versions = f"keras_ce {keras_ce.__version__}, Keras {keras.__version__}"
        text = page(
            f"{self.name.replace('_', ' ')}: {self.folder.name}",
            [
                Section(
                    "What it was trained on",
                    [
                        *([f"Source: {self.source}."] if self.source else []),
                        sizes,
                        *(f"{remark[0].upper()}{remark[1:]}." for remark in remarks),
                    ],
                ),
                Section("The numbers", _numbers(rows, columns, metrics["intervals"])),
                *sections,
                Section("Settings", [settings]),
                Section(
                    "How to make it again",
                    [
                        *again,
                        f"{time.strftime('%Y-%m-%d')}: {versions} on {metrics['backend']}, Python "
                        f"{platform.python_version()}; {metrics['epochs']} epochs, "
                        f"{metrics['seconds']:.0f} seconds in all.",
                    ],
                ),
            ],
        )
        with whole_file(self.folder / "report.html") as file:
            file.write_text(text, encoding="utf-8")

    def draw_diagrams(self, models: Mapping[str, Any]) -> None:
        """Draws the diagram of each model, last of all that a run writes.

        Args:
            models: A Keras model for each file name.

        Raises:
            UserError: If one cannot be drawn, for want of Graphviz or of room; all else is written.
        """
        try:
            for name, model in models.items():
                keras_ce.plot_model(
                    model, self.folder / name, show_shapes=True, hide_masks=True, dpi=96
                )
        except (ImportError, OSError) as error:
            raise UserError(f"only {name} could not be drawn: {error}") from None


def command() -> str | None:
    """The command line of this process, into a new folder; `None` where it is no example."""
    typed = sys.orig_argv
    start = typed.index("-m") if "-m" in typed else len(typed)
    if not "".join(typed[start + 1 : start + 2]).startswith("examples."):
        return None
    kept: list[str] = []
    rest = iter(typed[start:])
    for argument in rest:
        option, _, value = argument.partition("=")
        if len(option) > 3 and "--output".startswith(option):  # argparse takes beginnings, too
            if not value:
                next(rest, None)
        else:
            kept.append(argument)
    # Another backend gives other numbers.
    return f"KERAS_BACKEND={keras.backend.backend()} {shlex.join(['python', *kept])}"


def _numbers(
    rows: Mapping[str, str],
    columns: Mapping[str, Mapping[str, Any]],
    intervals: Mapping[str, Mapping[str, Any]],
) -> list[str | Table]:
    """The comparison of several models, with what chance does to it."""
    network, baseline = list(columns)[:2]
    least = max([found.get("least_p_value", 0.0) for found in intervals.values()], default=0.0)
    lines = []
    for name, meaning in rows.items():
        found = intervals.get(name, {})
        ranges = {network: found.get("interval"), baseline: found.get("baseline_interval")}
        line = [meaning]
        for model, measures in columns.items():
            line.append(_shown(name, measures.get(name), ranges.get(model)))
        line.append(_shown(name, found.get("difference"), found.get("difference_interval"), "+"))
        p_value = found.get("p_value")
        line.append("-" if p_value is None else f"{p_value:.3f}")
        lines.append(line)
    return [
        Table(["on the test data", *columns, f"{network} less {baseline}", "p"], lines),
        f"The cheap rival, on the same data: {columns[baseline].get('model', baseline)}.",
        "In brackets stand 95 % intervals, by the bootstrap over test rows: where the truth about "
        "more rows of this kind lies. Of a new training with another seed they say nothing. An "
        "interval without width means that the test rows are too few to see anything else.",
        "p is the probability of a difference at least as large if both were equally good, by a "
        "paired test that exchanges the two on rows drawn at random; "
        f"{least:.3f} is the smallest that so many draws can give. Below 0.05 a difference is "
        "usually called significant.",
    ]


def _shown(name: str, value: float | None, interval: Sequence[float] | None, sign: str = "") -> str:
    if value is None:
        return "-"
    digits = _digits(name)
    text = f"{value:{sign}.{digits}f}"
    if interval is None:
        return text
    low, high = (f"{end:{sign}.{digits}f}" for end in interval)
    return f"{text} ({low} to {high})"


def _digits(name: str) -> int:
    return 1 if name in ("seconds", "perplexity") else 4


def print_comparison(
    title: str, rows: Mapping[str, str], columns: Mapping[str, Mapping[str, Any]]
) -> None:
    """Prints the numbers of several models side by side.

    Args:
        title: What they were measured on, for example "on the test texts".
        rows: For each measure what it means, for example `{"nll": "negative log-likelihood"}`.
        columns: For each model its measures; one that it lacks is a "-".
    """
    print(f"\n{title:28}" + "".join(f"{name:>12}" for name in columns))
    for name, meaning in rows.items():
        digits = _digits(name)
        shown = (
            f"{measures[name]:.{digits}f}" if name in measures else "-"
            for measures in columns.values()
        )
        print(f"{meaning:28}" + "".join(f"{value:>12}" for value in shown))
    print()
