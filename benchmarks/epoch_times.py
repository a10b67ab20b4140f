"""The seconds of each epoch of a training."""

import time

import keras


class EpochTimes(keras.callbacks.Callback):
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
