"""Speed of training in batches of texts grouped by length, beside batches padded to the longest."""

import time
from collections.abc import Callable, Mapping

import keras


class _EpochTimes(keras.callbacks.Callback):
    """The seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Notes the time."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Notes how long it took."""
        self.seconds.append(time.perf_counter() - self._start)


def epochs_per_second(model: keras.Model, batches: keras.utils.PyDataset, epochs: int) -> float:
    """Trains for `epochs` and one before them, which compiles and is not counted."""
    times = _EpochTimes()
    model.fit(batches, epochs=1 + epochs, shuffle=False, verbose=0, callbacks=[times])
    return epochs / sum(times.seconds[1:])


def print_comparison(
    models: Mapping[str, dict], rate: Callable[[dict, bool], float], unit: str
) -> None:
    """Prints a Markdown table with a row for each model.

    Args:
        models: The options of each model, by name.
        rate: Trains a model, given its options and whether to pad every batch to the longest text
            of all, and gives its speed in `unit`.
        unit: What is counted, such as "texts/s".
    """
    print("| model | grouped by length | padded to the longest | times as fast |")
    print("|---|---|---|---|")
    for name, options in models.items():
        grouped, padded = rate(options, False), rate(options, True)
        print(f"| {name} | {grouped:.4g} {unit} | {padded:.4g} {unit} | {grouped / padded:.2f} |")
