"""Tiny models and data for the tests of the diagnosis."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, losses, ops

ROWS, WIDTH, TIME = 64, 8, 6
STYLES = ("sequential", "functional", "subclassed")


@dataclasses.dataclass(frozen=True)
class Case:
    """A set-up, and the code of what is wrong with it, or None.

    Attributes:
        name: what it is.
        code: the finding that must be there; None for none at all.
        make: returns the arguments of `keras_ce.diagnose`.
    """

    name: str
    code: str | None
    make: Callable[[], dict[str, Any]]


@keras.saving.register_keras_serializable(package="set_ups")
class Stack(keras.Model):
    """A subclassed model: a hidden layer and layers or operations after it."""

    def __init__(self, *tail: Any, **options: Any) -> None:
        super().__init__(**options)
        self.hidden = layers.Dense(6, "relu")
        self.tail = list(tail)

    def call(self, inputs: Any) -> Any:
        """One after the other."""
        found = self.hidden(inputs)
        for each in self.tail:
            found = each(found)
        return found


@keras.saving.register_keras_serializable(package="set_ups")
class TwoHeads(keras.Model):
    """A subclassed model with a dict of two outputs."""

    def __init__(self, first: Any, second: Any, **options: Any) -> None:
        super().__init__(**options)
        self.first, self.second = first, second

    def call(self, inputs: Any) -> Any:
        """Both heads on the same inputs."""
        return {"first": self.first(inputs), "second": self.second(inputs)}


class WithOwnLoss(layers.Layer):
    """Adds the mean square of its inputs."""

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        self.add_loss(ops.mean(ops.square(inputs)))
        return inputs


class RowWise(losses.Loss):
    """A loss as many tutorials write it: it never looks at ranks."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Squares."""
        return ops.square(y_true - y_pred)


def network(style: str, *tail: Any, shape: tuple[int, ...] = (WIDTH,)) -> keras.Model:
    """A model of the given style, ending in `tail`: layers, or operations where not sequential."""
    keras.utils.set_random_seed(1)
    if style == "sequential":
        return keras.Sequential([keras.Input(shape), layers.Dense(6, "relu"), *tail])
    if style == "functional":
        inputs = keras.Input(shape)
        found = layers.Dense(6, "relu")(inputs)
        for each in tail:
            found = each(found)
        return keras.Model(inputs, found)
    model = Stack(*tail)
    model(np.zeros((2, *shape), "float32"))
    return model


def two_outputs(first: Any, second: Any) -> Any:
    """Makes a functional model with a list of two outputs."""

    def make() -> keras.Model:
        keras.utils.set_random_seed(1)
        inputs = keras.Input((8,))
        hidden = layers.Dense(6, "relu")(inputs)
        outputs = [
            layers.Dense(3, first, name="colour")(hidden),
            layers.Dense(1, second, name="size")(hidden),
        ]
        return keras.Model(inputs, outputs)

    return make


def dict_outputs(first: Any, second: Any) -> Any:
    """Makes a subclassed model with a dict of two outputs."""

    def make() -> keras.Model:
        keras.utils.set_random_seed(1)
        made = TwoHeads(layers.Dense(3, first), layers.Dense(1, second))
        made(np.zeros((2, 8), "float32"))
        return made

    return make


def compiled(model: keras.Model, loss: Any, **options: Any) -> keras.Model:
    """The model, compiled."""
    model.compile(optimizer="sgd", loss=loss, **options)
    return model


def features(*shape: int) -> np.ndarray:
    """Inputs (ROWS, *shape)."""
    return np.random.default_rng(1).normal(size=(ROWS, *(shape or (WIDTH,)))).astype("float32")


def ids(classes: int, *shape: int) -> np.ndarray:
    """Class ids (ROWS, *shape), every class about equally often."""
    number = ROWS * int(np.prod(shape))
    return np.random.default_rng(2).permutation(np.arange(number) % classes).reshape(ROWS, *shape)


def one_hot(classes: int, *shape: int) -> np.ndarray:
    """One-hot rows (ROWS, *shape, classes)."""
    return np.eye(classes, dtype="float32")[ids(classes, *shape)]


def multi_hot(classes: int) -> np.ndarray:
    """Rows with any number of ones."""
    return np.random.default_rng(3).integers(0, 2, (ROWS, classes)).astype("float32")


def rare(number: int = 21) -> np.ndarray:
    """Class ids (ROWS,): one row in `number` has class 1, the others have class 0."""
    return (np.arange(ROWS) % number == 0).astype(int)


def two_digits() -> np.ndarray:
    """Rows (ROWS, 10) with a one among the first five and another among the last five."""
    second = np.eye(5)[np.random.default_rng(9).integers(0, 5, ROWS)]
    return np.concatenate([one_hot(5), second], 1)


def padded_lists() -> np.ndarray:
    """Relevances (ROWS, 4), 0 to 2, with -1 where a list has no further candidate."""
    return np.where(ids(4, 4) == 3, -1, ids(4, 4))


def scaled(model: keras.Model, factor: float) -> keras.Model:
    """The model with its last kernel multiplied by a number, as after a training that ran away."""
    kernel = model.trainable_variables[-2]
    kernel.assign(kernel * factor)
    return model
