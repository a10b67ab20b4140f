"""`Watch`: names the rows that make the loss of a training NaN or let it jump."""

import dataclasses
import json
import os
import pathlib
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ce.diagnosis._all_rows import RowByRow
from keras_ce.diagnosis._checked_model import checked_loss
from keras_ce.diagnosis._culprits import MOST_ROWS, RowFinding, find_culprits
from keras_ce.diagnosis._random_state import kept_random_state
from keras_ce.diagnosis._sample import Batch

Array = Any
_JUMP = 10.0  # times the mean loss so far
_FEWEST_STEPS = 10


class Watch(keras.callbacks.Callback):
    """Names the rows that make the loss of a training NaN or infinite, or let it jump.

    `keras.callbacks.TerminateOnNaN` stops and names nothing. A callback never sees a batch, so this
    one is given the data. It keeps the weights that each epoch starts from, and looks at the loss
    of each step, and at the end of an epoch at the weights. Where one is not finite, or the loss
    more than ten times the mean before it, all rows are gone over with those weights: which hold a
    number that is not finite, and which give a loss that is none, or a large one. What is not
    finite stops the training, a jump does not; each is looked into once in a `fit`.

    Args:
        x: inputs, as they are given to `fit`: arrays, tensors, lists or dicts of them; or a
            `tf.data.Dataset` or `keras.utils.PyDataset` that can be gone through again.
        y: labels; left out where `x` gives batches.
        sample_weight: weights, if there are any.
        folder: where `rows.npz`, the rows found with their numbers, and `rows.json`, what was
            found, are written; made if need be. None writes nothing.

    Attributes:
        findings: what was found, in the order of the rows, a hundred rows at most; each with
            `row`, `argument`, `layer`, `loss` and `message`.
        message: what was found in a few lines, as it is printed; empty until then.

    Raises:
        ValueError: `x` gives batches that can be read only once.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> x[7, 2] = np.nan
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="score")])
        >>> model.compile("sgd", "mse")
        >>> watch = keras_ce.Watch(x, x[:, :1])
        >>> history = model.fit(x, x[:, :1], verbose=0, callbacks=[watch])
        In epoch 1 the loss became nan; the training stops. 1 row is to blame:
          row 7, input: not finite at place 2 of the row; first in the layer 'score'
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        if hasattr(x, "__next__"):
            raise ValueError(
                "`x` must give its batches again after `fit` has read them. Received: "
                f"{type(x).__name__}. Give arrays, a keras.utils.PyDataset or a tf.data.Dataset."
            )
        self._data = (x, y, sample_weight)
        self._folder = None if folder is None else pathlib.Path(folder)
        self._start: list[Any] = []
        self._looked_into: set[str] = set()
        self.findings: list[RowFinding] = []
        self.message = ""

    def on_train_begin(self, logs: Any = None) -> None:
        """Forgets an earlier `fit`."""
        self._looked_into = set()
        self._before = np.nan  # the mean loss of the epoch before
        self.findings, self.message = [], ""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keeps the weights."""
        self._epoch = epoch
        self._sum, self._steps, self._so_far = 0.0, 0, np.nan
        if not {"nan", "jump"} <= self._looked_into:
            self._start = [
                ops.copy(ops.stop_gradient(variable.value)) for variable in self.model.variables
            ]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the loss."""
        mean = (logs or {}).get("loss")
        if mean is None:
            return
        if not np.isfinite(mean):
            if "nan" not in self._looked_into:
                self._look("nan", float(mean), np.inf)
                self.model.stop_training = True
            return
        # Keras gives the mean of the epoch so far.
        steps = batch + 1
        loss = (mean * steps - self._sum) / max(1, steps - self._steps)
        self._sum, self._steps = mean * steps, steps
        limit = _JUMP * abs(self._before if steps <= _FEWEST_STEPS else self._so_far)
        if "jump" not in self._looked_into and loss > limit:
            self._look("jump", loss, limit)
        self._so_far = mean

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keeps the mean loss for the first steps of the next epoch, and looks at the weights."""
        self._before = (logs or {}).get("loss", np.nan)
        # A ReLU of NaN may be 0: the weights are lost then, and the loss shows nothing.
        if "nan" not in self._looked_into and _have_holes(self.model):
            self._look("nan", self._before, np.inf)
            self.model.stop_training = True

    def _look(self, why: str, loss: float, limit: float) -> None:
        """Goes over the rows, and tells; `limit`: the loss from which on a row is named."""
        self._looked_into.add(why)
        model = self.model
        variables = list(zip(model.variables, self._start, strict=True))
        rows = RowByRow(model, *self._data, checked_loss(model, None), variables)
        with kept_random_state():
            findings, parts = find_culprits(model, rows, lambda losses: losses > limit)
        self.findings += findings
        self.message = self._told(why, loss, findings, len(parts))
        print(self.message)
        if self._folder is not None:
            self._save(findings, parts)

    def _told(self, why: str, loss: float, findings: list[RowFinding], number: int) -> str:
        epoch = f"In epoch {self._epoch + 1}"
        lost = "weights became nan" if np.isfinite(loss) else f"loss became {loss:g}"
        what = f"{epoch} the {lost}; the training stops."
        if why == "jump":
            what = f"{epoch} the loss of a step jumped to {loss:.4g}."
        if not findings:
            return (
                f"{what} With the weights of the epoch's start no row is to blame: the steps "
                "themselves lead there. Lower the learning rate, or clip gradients "
                "(clipnorm=1.0 of the optimizer)."
            )
        rows = "1 row is" if number == 1 else f"{number} rows are"
        if number == MOST_ROWS:
            rows = f"These are the first {number} rows that are"
        return "\n".join([f"{what} {rows} to blame:", *(f"  {each}" for each in findings)])

    def _save(self, findings: list[RowFinding], parts: list[Batch]) -> None:
        folder = self._folder
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, list[Array]] = {}
        for part in parts:
            for name, structure in (
                ("x", part.x),
                ("y", part.y),
                ("sample_weight", part.sample_weight),
            ):
                for path, leaf in keras.tree.flatten_with_path(structure):
                    if leaf is not None:
                        key = "_".join([name, *map(str, path)])
                        arrays.setdefault(key, []).append(np.asarray(leaf))
        numbers = list(dict.fromkeys(each.row for each in findings))
        joined: dict[str, Any] = {name: np.concatenate(each) for name, each in arrays.items()}
        np.savez(folder / "rows.npz", rows=np.array(numbers, int), **joined)
        told = [{**dataclasses.asdict(each), "loss": f"{each.loss:g}"} for each in findings]
        (folder / "rows.json").write_text(json.dumps(told, indent=2), encoding="utf-8")


def _have_holes(model: Any) -> bool:
    """Whether a weight of a model is not finite."""
    return not all(
        bool(ops.all(ops.isfinite(variable.value)))
        for variable in model.variables
        if "float" in variable.dtype
    )
