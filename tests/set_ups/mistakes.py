"""Deliberate mistakes, each with the code of the finding that must name it: how they are made."""

from typing import Any

from keras import layers, losses
from set_ups.models import Case, compiled, features, ids, network

MISTAKES: list[Case] = []


def mistake(name: str, code: str, model: Any, y: Any, loss: Any, **options: Any) -> None:
    """Add a case: `model` and `y` are functions; `options` are further arguments.

    Args:
        name: what the case is.
        code: the finding that must be there.
        model: makes the model.
        y: makes the labels.
        loss: makes the loss.
        **options: `x` and `sample_weight` as functions; `metrics` for `compile`.
    """

    def make() -> dict[str, Any]:
        metrics = {"metrics": options["metrics"]} if "metrics" in options else {}
        found = {
            "model": compiled(model(), loss(), **metrics),
            "x": options.get("x", features)(),
            "y": y(),
        }
        if "sample_weight" in options:
            found["sample_weight"] = options["sample_weight"]()
        return found

    MISTAKES.append(Case(name, code, make))


def model(style: str, *tail: Any, **options: Any) -> Any:
    """A function that makes a network whose layers are made anew by functions in `tail`."""
    return lambda: network(style, *(each() for each in tail), **options)


def dense(units: int, activation: str | None = None, **options: Any) -> Any:
    """A function that makes a Dense layer."""
    return lambda: layers.Dense(units, activation, **options)


def operation(function: Any) -> Any:
    """A function that returns a function of tensors."""
    return lambda: function


def sparse(**options: Any) -> Any:
    """Makes Keras's sparse cross-entropy."""
    return lambda: losses.SparseCategoricalCrossentropy(**options)


def dense_rows(**options: Any) -> Any:
    """Makes Keras's cross-entropy of rows."""
    return lambda: losses.CategoricalCrossentropy(**options)


def binary(**options: Any) -> Any:
    """Makes Keras's binary cross-entropy."""
    return lambda: losses.BinaryCrossentropy(**options)


def three() -> Any:
    """Ids of three classes."""
    return ids(3)


def yes_or_no() -> Any:
    """Labels (batch, 1), 0 or 1."""
    return ids(2, 1).astype("float32")
