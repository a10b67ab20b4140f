"""Losses and metrics as a user writes them: the lines that a fix offers to paste.

What is offered keeps every argument of the loss at hand, so that it runs as it stands.
"""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

import keras_ce.losses
import keras_ce.metrics
from keras_ce.diagnosis._losses import FunctionLoss
from keras_ce.diagnosis._outputs import Output


def written(output: Output, **changes: Any) -> str:
    """The loss of an output as a call, where it is no function of the user.

    Args:
        output: the output.
        **changes: arguments that are to have other values.
    """
    return rewritten(output, type(output.loss), **changes)


def rewritten(output: Output, kind: type, **changes: Any) -> str:
    """Another loss as a call, with those arguments of the one at hand that it takes as well."""
    return call(kind, {**arguments_of(output), **changes})


def arguments_of(output: Output) -> dict[str, Any]:
    """The arguments of the loss of an output that differ from the defaults of its class."""
    loss = output.loss
    if isinstance(loss, FunctionLoss):  # What the function holds is not known.
        return {"from_logits": output.kind.from_logits}
    return chosen(type(loss), {"dtype": loss.dtype, **loss.get_config()})


def softmax_loss(output: Output, labels: str) -> str:
    """A loss of exclusive classes in place of the one at hand, as a call.

    Args:
        output: the output.
        labels: `"ids"` or `"rows"`, what the loss shall take.
    """
    given = arguments_of(output)
    name = "SparseCategoricalCrossentropy" if labels == "ids" else "CategoricalCrossentropy"
    kind = getattr(keras.losses, name)
    asked = {"label_smoothing", "ignore_class", "axis", "class_weight"} & set(given)
    if asked <= set(_defaults(kind)):
        return call(kind, given)
    return own_softmax_loss(output)


def own_softmax_loss(output: Output, **changes: Any) -> str:
    """`LabelSmoothedCrossentropy` in place of a cross-entropy, as a call: the same numbers."""
    config = {} if isinstance(output.loss, FunctionLoss) else output.loss.get_config()
    smoothing = {"label_smoothing": config.get("label_smoothing", 0.0)}
    kind = keras_ce.losses.LabelSmoothedCrossentropy
    return call(kind, {**arguments_of(output), **smoothing, **changes})


def chosen(kind: type, config: Mapping[str, Any]) -> dict[str, Any]:
    """Of the configuration of a loss or metric what differs from the defaults of its class."""
    values = {name: _plain(value) for name, value in config.items()}
    return {
        name: values[name]
        for name, default in _defaults(kind).items()
        if name in values and not _is_default(kind, name, values[name], default)
    }


def call(kind: type, arguments: Mapping[str, Any]) -> str:
    """A call that makes an object of a class; arguments that are its defaults are left out."""
    given = chosen(kind, arguments)
    shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return f"{name_of(kind)}({shown})"


def name_of(kind: type) -> str:
    """The name of a class, with the module that a user imports it from."""
    for module in (keras_ce.losses, keras_ce.metrics, keras.losses, keras.metrics):
        if getattr(module, kind.__name__, None) is kind:
            package, *_, part = module.__name__.split(".")
            return f"{package}.{part}.{kind.__name__}"
    return kind.__name__


def _defaults(kind: type) -> dict[str, Any]:
    """The arguments of a class with their defaults, in its own order, then those of all losses."""
    found: dict[str, Any] = {}
    for each in (kind, keras.losses.Loss):
        parameters = inspect.signature(each.__init__).parameters  # type: ignore[misc]
        for name, parameter in parameters.items():
            if name != "self" and parameter.kind not in (
                inspect.Parameter.VAR_KEYWORD,
                inspect.Parameter.VAR_POSITIONAL,
            ):
                found.setdefault(name, parameter.default)
    return found


def _is_default(kind: type, name: str, value: Any, default: Any) -> bool:
    if name == "name" and default is None:  # Keras makes one of the class, and numbers it
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
        return value is None or re.fullmatch(rf"{words}(_\d+)?", value) is not None
    if name == "dtype" and default is None:
        return value in (None, keras.config.floatx())
    return value is default or (type(value) is type(default) and bool(value == default))


def _plain(value: Any) -> Any:
    """A value of a configuration as its repr can be pasted."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping) and "config" in value:  # a dtype policy
        return value["config"].get("name", value)
    return value
