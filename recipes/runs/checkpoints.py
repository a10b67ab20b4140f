"""Trainings that go on where they were interrupted, bit for bit as if they had not been.

Keras's own `BackupAndRestore` forgets the patience and the best weights of `EarlyStopping`, the
history and the random state, and writes over its only copy.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy

from recipes.runs.archives import read_arrays
from recipes.runs.failures import UserError
from recipes.runs.whole_files import remove_unfinished, whole_file

SHARE_OF_TIME = 0.02
"""Of a training that may go to checkpoints at the ends of epochs. After an epoch that is too short
for one there is none, and the last one stays. What ends a stage is always written."""


class Checkpoints:
    """A folder with the state of one training, a file for each of its stages.

    A stage is one call of Keras's `fit`; a training of several models has several. Nothing else
    may use the folder at the same time.

    Args:
        folder: Created where it is missing; `None` for a training that keeps nothing.
        settings: All that decides the training beside its data, as JSON can hold it.
        data: What it learns from: arrays, sequences, dataclasses and texts, nested as they are.

    Raises:
        UserError: If the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        data: Any = None,
    ) -> None:
        self.folder = None if folder is None else pathlib.Path(folder)
        self.made_for: dict[str, Any] = {}
        self._started = time.perf_counter()
        self._spent = self._last = 0.0
        if self.folder is None:
            return
        given = {**(settings or {}), "backend": keras.backend.backend(), "data": fingerprint(data)}
        self.made_for = json.loads(json.dumps(given, default=repr))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise UserError(
                f"the checkpoint folder {self.folder} cannot be written ({error.strerror}); "
                "name another"
            ) from None

    def stage(self, name: str) -> Stage:
        """A stage of the training, and what an earlier training has left of it.

        Raises:
            UserError: If that is damaged, or was left by a training with other settings or data.
        """
        return Stage(self, name)

    def is_due(self) -> bool:
        """Whether one more checkpoint, as long as the last one, keeps to `SHARE_OF_TIME`."""
        elapsed = time.perf_counter() - self._started
        return self._spent + self._last <= SHARE_OF_TIME * elapsed

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Counts the time inside as spent on checkpoints."""
        started = time.perf_counter()
        yield
        self._last = time.perf_counter() - started
        self._spent += self._last


class Stage:
    """One call of Keras's `fit`, kept in one file.

    Attributes:
        epochs: How many epochs an earlier training has left.
        is_done: Whether nothing of the stage is left to do.
    """

    def __init__(self, checkpoints: Checkpoints, name: str) -> None:
        folder = checkpoints.folder
        self.checkpoints = checkpoints
        self._path = None if folder is None else folder / f"{name}.npz"
        self._arrays: dict[str, numpy.ndarray] = {}
        self._state: dict[str, Any] = {"epochs": 0, "is_done": False, "history": {}}
        if self._path is not None:
            remove_unfinished(self._path)
            if self._path.exists():
                self._read(self._path)
        self.epochs: int = self._state["epochs"]
        self.is_done: bool = self._state["is_done"]

    def fit(
        self,
        model: keras.Model,
        x: Any,
        *,
        epochs: int,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        skip_epochs: Callable[[int], None] | None = None,
        verbose: int = 0,
        **options: Any,
    ) -> dict[str, list[float]]:
        """Trains a compiled model, for the epochs that are not done yet.

        Ctrl-C and SIGTERM let the epoch end and be written, then they act; the second one acts at
        once.

        Args:
            model: The same as when the stage began.
            x: As `keras.Model.fit` takes it.
            epochs: Likewise; those that are done are counted.
            callbacks: Likewise. The state of `EarlyStopping` and `SwapEMAWeights` is kept, others
                must have none.
            skip_epochs: Is called before the first epoch with the number of epochs that are done,
                when the model is as it was after them, to bring `x` to where it then was.
            verbose: As `keras.Model.fit` takes it.
            options: Likewise.

        Returns:
            The history of all epochs.

        Raises:
            UserError: If the state cannot be written, or is of another model.
        """
        if self._path is None:
            fitted = model.fit(x, epochs=epochs, callbacks=[*callbacks], verbose=verbose, **options)
            return _as_floats(fitted.history)
        if self.is_done:
            self._assign("model", model.variables)
            return dict(self._state["history"])
        if self.epochs and verbose:
            print(f"goes on after epoch {self.epochs} of {epochs}: {self._path}", flush=True)
        with _held_signals() as received:
            callback = _Checkpoint(self, callbacks, skip_epochs, received)
            model.fit(
                x,
                epochs=epochs,
                initial_epoch=self.epochs,
                callbacks=[*callbacks, callback],
                verbose=verbose,
                **options,
            )
            if not callback.has_stopped:
                self._write({"epochs": callback.epochs, "is_done": True}, callback.history, model)
        return callback.history

    def restore(
        self, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]
    ) -> dict[str, list[float]]:
        """Brings model and callbacks to where they were, and gives the history."""
        model.optimizer.build(model.trainable_variables)
        for callback in callbacks:
            if isinstance(callback, keras.callbacks.SwapEMAWeights):
                # Lets it know that the moving averages stand in the model, as they do at the end of
                # an epoch. What it swaps is not what it should be: that comes next.
                callback.on_epoch_end(-1)
        self._assign("model", model.variables)
        self._assign("optimizer", model.optimizer.variables)
        stopping = [each for each in callbacks if isinstance(each, keras.callbacks.EarlyStopping)]
        for callback, state in zip(stopping, self._state["early_stopping"], strict=True):
            best_weights = state.pop("best_weights")
            vars(callback).update(state)
            callback.best_weights = best_weights and [
                self._arrays[f"best_{number}"] for number in range(best_weights)
            ]
        _set_random_state(self._state["random"], self._arrays)
        self._arrays = {}
        return dict(self._state["history"])

    def write(
        self,
        epochs: int,
        history: Mapping[str, Sequence[float]],
        model: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        """Writes all that `restore` needs, at the end of an epoch."""
        arrays = _named("optimizer", map(keras.ops.convert_to_numpy, model.optimizer.variables))
        of_stopping = []
        for callback in callbacks:
            if isinstance(callback, keras.callbacks.EarlyStopping):
                best: Sequence[numpy.ndarray] | None = callback.best_weights
                arrays |= _named("best", best or ())
                of_stopping.append(
                    {
                        "wait": callback.wait,
                        "best": None if callback.best is None else float(callback.best),
                        "best_epoch": callback.best_epoch,
                        "best_weights": best and len(best),
                    }
                )
        state = {
            "epochs": epochs,
            "is_done": False,
            "early_stopping": of_stopping,
            "random": _random_state(arrays),
        }
        self._write(state, history, model, arrays)

    def _write(
        self,
        state: Mapping[str, Any],
        history: Mapping[str, Sequence[float]],
        model: keras.Model,
        arrays: Mapping[str, numpy.ndarray] | None = None,
    ) -> None:
        assert self._path is not None
        made_for = self.checkpoints.made_for
        text = json.dumps({**state, "history": history, "made_for": made_for})
        content = {
            "state": numpy.frombuffer(text.encode(), dtype="uint8"),
            **_named("model", map(keras.ops.convert_to_numpy, model.variables)),
            **(arrays or {}),
        }
        fix = "make room there, then do the same again: it goes on from the last checkpoint"
        with self.checkpoints.timed(), whole_file(self._path, fix) as file:
            numpy.savez(file, **content)  # type: ignore[arg-type]

    def _read(self, path: pathlib.Path) -> None:
        try:
            self._arrays = read_arrays(path)
            self._state = json.loads(self._arrays.pop("state").tobytes())
            made_for = self._state["made_for"]
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{path} is a damaged checkpoint; delete it, and this part starts again"
            ) from None
        if made_for == self.checkpoints.made_for:
            return
        now = self.checkpoints.made_for
        name = next(name for name in {**made_for, **now} if made_for.get(name) != now.get(name))
        if name == "data":
            changed = "the data have changed since"
        else:
            changed = f"{name} was {made_for.get(name)!r} and is now {now.get(name)!r}"
        raise UserError(
            f"the checkpoints in {path.parent} are of another training: {changed}; give the same "
            "again, or another folder"
        )

    def _assign(self, kind: str, variables: Sequence[Any]) -> None:
        arrays = [self._arrays.get(f"{kind}_{number}") for number in range(len(variables))]
        for variable, array in zip(variables, arrays, strict=True):
            if array is None or tuple(variable.shape) != array.shape:
                raise UserError(
                    f"{self._path} is of another model, perhaps by another version of the recipes; "
                    "delete it, and this part starts again"
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)


NOT_KEPT = Checkpoints().stage("")
"""A stage of which nothing is kept."""


class _Checkpoint(keras.callbacks.Callback):
    """Restores a stage before its first epoch, and writes it after each; stands after the others.

    Attributes:
        history: What all epochs have logged.
        epochs: How many are done.
        has_stopped: Whether a signal has ended the training early.
    """

    def __init__(
        self,
        stage: Stage,
        others: Sequence[keras.callbacks.Callback],
        skip_epochs: Callable[[int], None] | None,
        received: Sequence[int],
    ) -> None:
        super().__init__()
        self._stage = stage
        self._others = others
        self._skip_epochs = skip_epochs
        self._received = received
        self.history: dict[str, list[float]] = {}
        self.epochs = stage.epochs
        self.has_stopped = False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Restores the state; the other callbacks have by now forgotten theirs."""
        if self.epochs:
            self.history = self._stage.restore(self.model, self._others)
            if self._skip_epochs is not None:
                self._skip_epochs(self.epochs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the state, if it is time; after the last epoch `Stage.fit` does."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        self.epochs = epoch + 1
        if self.model.stop_training or self.epochs == self.params["epochs"]:
            return
        self.has_stopped = bool(self._received)
        if self.has_stopped or self._stage.checkpoints.is_due():
            self._stage.write(self.epochs, self.history, self.model, self._others)
        if self.has_stopped:
            self.model.stop_training = True


@contextlib.contextmanager
def _held_signals() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM act when all inside is done, or when they come a second time.

    Gives a list, which holds the signal once it has come.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread may, and gets signals
        return

    def hold(number: int, _: Any) -> None:
        received.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)
        # Not by print: the signal may have come in the middle of one.
        os.write(2, b"\nstops after this epoch; a second signal stops at once\n")

    before = {
        each: signal.getsignal(each) or signal.SIG_DFL for each in (signal.SIGINT, signal.SIGTERM)
    }
    # A shell lets programs in the background ignore Ctrl-C, and so it stays.
    before = {each: handler for each, handler in before.items() if handler != signal.SIG_IGN}
    for each in before:
        signal.signal(each, hold)
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    for number in received:
        signal.raise_signal(number)


def _random_state(arrays: dict[str, numpy.ndarray]) -> dict[str, Any]:
    """The state of the random numbers that belong to no model; what is long goes to `arrays`."""
    kind, arrays["numpy_random"], *of_numpy = numpy.random.get_state(legacy=True)  # type: ignore
    if keras.backend.backend() == "torch":
        # Keras's dropout without a seed of its own draws from torch's numbers.
        import torch

        arrays["torch_random"] = torch.get_rng_state().numpy()
        arrays |= _named("cuda_random", [each.numpy() for each in torch.cuda.get_rng_state_all()])
    return {"python": random.getstate(), "numpy": [kind, *of_numpy]}


def _set_random_state(state: Mapping[str, Any], arrays: Mapping[str, numpy.ndarray]) -> None:
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, *of_numpy = state["numpy"]
    numpy.random.set_state((kind, arrays["numpy_random"], *of_numpy))
    if keras.backend.backend() == "torch":
        import torch

        torch.set_rng_state(torch.from_numpy(arrays["torch_random"]))
        of_cuda = [name for name in arrays if name.startswith("cuda_random")]
        torch.cuda.set_rng_state_all([torch.from_numpy(arrays[name]) for name in of_cuda])


def fingerprint(data: Any) -> str:
    """A hash of all that data hold: equal if, and only if, they are equal.

    Args:
        data: Arrays, sequences, dataclasses, texts and whatever `repr` tells apart, nested.
    """
    digest = hashlib.sha256()
    _add(digest, data)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, numpy.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(numpy.ascontiguousarray(value).tobytes())
    elif isinstance(value, Sequence | numpy.ndarray) and not isinstance(value, str | bytes):
        digest.update(f"[{len(value)}:".encode())
        for each in value:
            _add(digest, each)
    else:
        # Half a character, as some texts have it, is no UTF-8.
        text = repr(value).encode("utf-8", "backslashreplace")
        digest.update(b"%d:" % len(text) + text)


def _named(kind: str, arrays: Any) -> dict[str, numpy.ndarray]:
    return {f"{kind}_{number}": array for number, array in enumerate(arrays)}


def _as_floats(history: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
    return {name: [float(value) for value in values] for name, values in history.items()}
