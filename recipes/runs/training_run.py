"""One training from its settings to its report: the sequence that every training script follows."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import keras

import keras_ce
from recipes.estimators import Task
from recipes.runs.failures import UserError
from recipes.runs.run_folder import create_run_folder
from recipes.tables.table_writing import write_table


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
    """

    name: str
    output: str | None
    task: Task
    sizes: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    """What the data holds, for example `{"texts": {"training": 100, "test": 20}}`."""
    folder: pathlib.Path = pathlib.Path()
    _is_new: bool = False

    def __post_init__(self) -> None:
        """Checks the settings, and starts the clock."""
        self.task.check_settings()
        self._started = time.perf_counter()

    def __enter__(self) -> Self:
        """Gives the run."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Removes the folder after an error, if it is new and still empty."""
        if error is not None and self._is_new and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def create_folder(self, **sizes: Mapping[str, int]) -> None:
        """Creates the run's folder, once the data is known to be good, and says what the data is.

        Args:
            sizes: For example `texts={"training": 100, "validation": 10, "test": 20}`.

        Raises:
            UserError: If the folder already holds something, or cannot be written.
        """
        self._is_new = self.output is None or not pathlib.Path(self.output).exists()
        self.folder = create_run_folder(self.output, self.name)
        self.sizes = {name: dict(counts) for name, counts in sizes.items()}
        for name, counts in self.sizes.items():
            print(f"{name}: {counts}")

    def report(
        self, measures: Mapping[str, Any], baseline: Mapping[str, Any], **more: Any
    ) -> dict[str, Any]:
        """Writes `metrics.json`.

        Args:
            measures: What `evaluate` gave on the test data.
            baseline: The same measures of the cheap rival, its `model` and its `seconds`.
            more: Further entries.

        Returns:
            What stands in the file.
        """
        metrics = {
            **measures,
            "baseline": dict(baseline),
            **more,
            **self.sizes,
            "epochs": len(self.task.history_["loss"]),
            "settings": self.task.get_params(),
            "seed": self.task.seed,
            "backend": keras.backend.backend(),
            "seconds": round(time.perf_counter() - self._started, 1),
        }
        text = json.dumps(metrics, indent=2) + "\n"
        (self.folder / "metrics.json").write_text(text, encoding="utf-8")
        return metrics

    def write_table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Writes a .csv file, such as `predictions.csv`."""
        write_table(self.folder / name, header, rows)

    def draw_history(self, measures: Sequence[str]) -> None:
        """Draws `history.png`: these measures of every epoch, on training and validation data."""
        figure = keras_ce.plots.training_history(self.task.history_, measures)
        figure.savefig(self.folder / "history.png", dpi=150)

    def draw_diagrams(self, models: Mapping[str, Any]) -> None:
        """Draws the diagram of each model, last of all that a run writes.

        Args:
            models: A Keras model for each file name.

        Raises:
            UserError: If one cannot be drawn, for want of Graphviz or of room; all else is written.
        """
        try:
            for name, model in models.items():
                keras_ce.plot_model(model, self.folder / name, show_shapes=True, dpi=96)
        except (ImportError, OSError) as error:
            raise UserError(f"only {name} could not be drawn: {error}") from None


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
        digits = 1 if name in ("seconds", "perplexity") else 4
        shown = (
            f"{measures[name]:.{digits}f}" if name in measures else "-"
            for measures in columns.values()
        )
        print(f"{meaning:28}" + "".join(f"{value:>12}" for value in shown))
    print()
