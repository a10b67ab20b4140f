"""Every check of an argument or a value, and every error message, of the losses."""

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any

_value_checks = True


def set_value_checks(enabled: bool) -> None:
    """Switch the checks of label and probability *values* in eager execution on or off.

    On (the default), an invalid value is a `ValueError` that names it. Off, it makes the loss of
    its position NaN with a zero gradient, as in compiled code: nothing waits for the device, and
    `torch.compile(fullgraph=True)` can trace the loss.

    Args:
        enabled: whether eager execution raises on invalid values.

    Raises:
        TypeError: if `enabled` is not a bool.
    """
    if not isinstance(enabled, bool):
        raise TypeError(f"`enabled` must be True or False. Received: enabled={enabled!r}.")
    global _value_checks
    _value_checks = enabled


# --- arguments of a loss ---


def flag(name: str, value: bool) -> bool:
    """Return a validated bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}.")
    return bool(value)


def number(
    name: str,
    value: float,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """Return a validated finite number as a float."""
    expected = "a finite number"
    if above is not None:
        expected = "a positive number" if above == 0 else f"a number above {above:g}"
        if maximum is not None:
            expected = f"a number above {above:g} and up to {maximum:g}"
    elif minimum is not None and below is not None:
        expected = f"a number from {minimum:g} up to, but not including, {below:g}"
    elif minimum is not None and maximum is not None:
        expected = f"a number from {minimum:g} to {maximum:g}"
    elif minimum is not None:
        expected = "a non-negative number" if minimum == 0 else f"a number >= {minimum:g}"
    is_number = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    if (
        not is_number
        or not abs(value) < math.inf  # NaN neither
        or (minimum is not None and value < minimum)
        or (maximum is not None and value > maximum)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
    ):
        raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}.")
    return float(value)


def integer(name: str, value: int, *, minimum: int | None = None) -> int:
    """Return a validated integer."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))
    if not is_integer or (minimum is not None and value < minimum):
        expected = "an integer" if minimum is None else f"an integer >= {minimum}"
        raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}.")
    return int(value)


def float_list(
    name: str, value: Sequence[float], *, minimum: float | None = 0.0, above: float | None = None
) -> list[float]:
    """Return a validated, non-empty list of floats."""
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__len__"):
        raise ValueError(
            f"`{name}` must be a sequence with one number per class. Received: {name}={value!r}."
        )
    values = value.tolist() if hasattr(value, "tolist") else list(value)
    if not values:
        raise ValueError(f"`{name}` must have one number per class. Received: {name}={value!r}.")
    return [
        number(
            f"{name}[{index}]", item, minimum=None if above is not None else minimum, above=above
        )
        for index, item in enumerate(values)
    ]


def integer_list(name: str, value: Sequence[int], *, minimum: int) -> list[int]:
    """Return a validated, non-empty list of integers."""
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__len__") or not len(value):
        raise ValueError(
            f"`{name}` must be a non-empty sequence of integers. Received: {name}={value!r}."
        )
    return [integer(f"{name}[{index}]", item, minimum=minimum) for index, item in enumerate(value)]


def optional_class_id(name: str, value: int | None) -> int | None:
    """Return a validated class id, possibly negative, or None. -2**31 stands for no id at all."""
    if value is not None and abs(integer(name, value)) >= 2**31:
        raise ValueError(
            f"`{name}` must lie between -2**31 and 2**31, both excluded. Received: "
            f"{name}={value!r}. Mark the labels to ignore by another number, such as -1."
        )
    return None if value is None else int(value)


def number_or_list(name: str, value: Any, *, above: float) -> float | list[float]:
    """Return a validated number, or a list with one per class."""
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, numbers.Real):
        return number(name, float(value) if not isinstance(value, bool) else value, above=above)
    return float_list(name, value, above=above)


def distribution(name: str, value: Sequence[float]) -> list[float]:
    """Return a validated list of numbers >= 0 whose sum is positive."""
    values = float_list(name, value)
    if not sum(values) > 0:
        raise ValueError(f"`{name}` must have a positive sum. Received: {name}={value!r}.")
    return values


def class_weights(
    value: Sequence[float] | Mapping[Any, float] | None,
) -> list[float] | dict[int, float] | None:
    """Return validated class weights: a list with one per class, or a dict id -> weight."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return float_list("class_weight", value)
    weights = {}
    for key, weight in value.items():
        try:
            if isinstance(key, (bool, np.bool_, float)):
                raise ValueError
            class_id = integer("class_weight", int(key), minimum=0)  # JSON makes keys strings.
        except (TypeError, ValueError):
            raise ValueError(
                "`class_weight` must have class ids (integers >= 0) as keys. "
                f"Received: the key {key!r}."
            ) from None
        weights[class_id] = number(f"class_weight[{key!r}]", weight, minimum=0)
    return weights


def class_weight_list(
    class_weight: list[float] | dict[int, float] | None, num_classes: int | None
) -> list[float] | None:
    """One weight per class: missing ids of a dict count 1. None where there are no weights."""
    if class_weight is None:
        return None
    if isinstance(class_weight, dict):
        num_classes = known_classes("class_weight", num_classes)
        too_large = [class_id for class_id in class_weight if class_id >= num_classes]
        if too_large:
            raise ValueError(
                f"`class_weight` has a weight for class {too_large[0]}, but `y_pred` has "
                f"{num_classes} classes, numbered from 0 to {num_classes - 1}."
            )
        return [class_weight.get(class_id, 1.0) for class_id in range(num_classes)]
    return per_class("class_weight", class_weight, num_classes)


def known_classes(name: str, num_classes: int | None) -> int:
    """Check that the number of classes is known where an argument has numbers per class."""
    if num_classes is None:
        raise ValueError(
            f"`{name}` needs a known number of classes. Received: `y_pred` whose class axis has "
            "an unknown size. Set its shape, for example by a Dense layer."
        )
    return num_classes


def per_class(name: str, values: list[float], num_classes: int | None) -> list[float]:
    """Check that a list has one entry per class."""
    if len(values) != known_classes(name, num_classes):
        raise ValueError(
            f"`{name}` must have one number per class. Received: {len(values)} numbers for "
            f"{num_classes} classes in `y_pred`."
        )
    return values


def require_axis(axis: int, y_pred: Tensor) -> None:
    """Check that predictions have a class axis of this number."""
    rank = len(y_pred.shape)
    if not -rank <= axis < rank:
        raise ValueError(
            f"`axis` must be an axis of `y_pred`. Received: axis={axis} for "
            f"y_pred.shape={shape_text(y_pred)}."
        )


# --- values of labels and predictions ---


def raise_where(is_invalid: Tensor, message: Callable[[tuple[int, ...]], str]) -> bool:
    """Raise `ValueError(message(position))` at the first true entry, in eager execution only.

    Returns:
        Whether it looked, and so whether nothing is invalid.
    """
    if not _value_checks:
        return False
    try:
        # The dunder, not bool(): AutoGraph rewrites bool(). Tracers and symbolic tensors raise.
        found = ops.any(is_invalid).__bool__()
    except Exception:  # each backend has an exception of its own for "no value while tracing"
        return False
    if found:
        try:
            first = np.argwhere(to_numpy(is_invalid))[0]
        except RuntimeError:  # torch.func knows that there is one, and not which
            return False
        raise ValueError(message(tuple(int(index) for index in first)))
    return True


def not_a_probability(value: float, position: tuple[int, ...]) -> str:
    """The message for a prediction that is no probability."""
    return (
        "`y_pred` must hold probabilities, from 0 to 1, because from_logits=False. Received: "
        f"{value:g} at position {position}. If the model returns logits, give the loss "
        "`from_logits=True`."
    )


def entry(values: Any, position: tuple[int, ...]) -> Any:
    """The Python number at a position of an array or tensor, for a message."""
    array = to_numpy(values)
    if array.ndim == len(position) + 1 and array.shape[-1] == 1:
        position = (*position, 0)
    return array[position].item()


def to_numpy(values: Any) -> np.ndarray[Any, Any]:
    """An array or tensor of any dtype as NumPy array."""
    if ops.is_tensor(values):
        values = ops.stop_gradient(values)  # JAX hands out no numbers while it differentiates.
        if keras.backend.standardize_dtype(values.dtype) == "bfloat16":
            values = ops.cast(values, "float32")  # NumPy has no bfloat16 of its own.
        return np.asarray(ops.convert_to_numpy(values))
    return np.asarray(values)


def shape_text(tensor: Tensor) -> str:
    """A shape as NumPy writes it, None for unknown."""
    return str(tuple(tensor.shape))
