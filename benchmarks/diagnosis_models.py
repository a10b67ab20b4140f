"""Tiny models and data for the tables of mistakes and of healthy set-ups."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

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


@keras.saving.register_keras_serializable(package="benchmarks")
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


@keras.saving.register_keras_serializable(package="benchmarks")
class TwoHeads(keras.Model):
    """A subclassed model with a dict of two outputs."""

    def __init__(self, first: Any, second: Any, **options: Any) -> None:
        super().__init__(**options)
        self.first, self.second = first, second

    def call(self, inputs: Any) -> Any:
        """Both heads on the same inputs."""
        return {"first": self.first(inputs), "second": self.second(inputs)}


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


def scaled(model: keras.Model, factor: float) -> keras.Model:
    """The model with its last kernel multiplied by a number, as after a training that ran away."""
    kernel = model.trainable_variables[-2]
    kernel.assign(kernel * factor)
    return model
