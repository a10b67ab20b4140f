"""Arguments with a number for each class: checked once, and made a tensor once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_ce._core.backends import backend
from keras_ce._core.checks import (
    Array,
    Check,
    InvalidValuesError,
    as_float,
    each,
    number,
    to_numpy,
)

Numbers = Sequence[float] | Mapping[Any, float]
"""One for each class: in turn, or by class id."""


class PerClass:
    """A number for each class: positional, or by class id where some may be missing.

    What grows with the number of classes happens once, here and at the first use.

    Attributes:
        argument: the name of the argument.
        values: an array (C,) of float64, or a dict from class id to float.
    """

    def __init__(self, argument: str, values: Any, missing: float) -> None:
        self.argument = argument
        self.values = values
        self.missing = missing
        self._constants: dict[Any, Any] = {}

    def array(self, num_classes: int | None) -> Array:
        """The numbers (C,), float64.

        Raises:
            ValueError: there are more or fewer classes, or it is not known how many.
        """
        if num_classes is None:
            raise ValueError(
                f"`{self.argument}` needs a known number of classes. Received: `y_pred` whose "
                "class axis has an unknown size. Set its shape, for example by a Dense layer."
            )
        if not isinstance(self.values, dict):
            if len(self.values) != num_classes:
                raise ValueError(
                    f"`{self.argument}` must have one number per class. Received: "
                    f"{len(self.values)} numbers for {num_classes} classes in `y_pred`."
                )
            return self.values
        largest = max(self.values, default=0)
        if largest >= num_classes:
            raise ValueError(
                f"`{self.argument}` has a number for class {largest}, but `y_pred` has "
                f"{num_classes} classes, numbered from 0 to {num_classes - 1}."
            )
        numbers_of = np.full(num_classes, self.missing)
        numbers_of[list(self.values)] = list(self.values.values())
        return numbers_of

    def tensor(
        self, like: Any, formula: Callable[..., Array] | None = None, *parameters: Any
    ) -> Any:
        """The numbers (C,), in the dtype and on the device of `like` (..., C).

        With `formula`, a function of a module, `formula(numbers, *parameters)` in their place.
        """
        key = like.shape[-1], str(like.dtype), formula, parameters
        if key not in self._constants:
            values = self.array(like.shape[-1])
            values = values if formula is None else formula(values, *parameters)
            dtype = keras.backend.standardize_dtype(like.dtype)
            self._constants[key] = backend.Constant(values.astype(dtype))
        return self._constants[key].tensor(like)


def per_class(
    *,
    minimum: float = 0.0,
    above: float | None = None,
    missing: float | None = None,
    least: int = 2,
) -> Check:
    """A number for each class, as `PerClass`.

    A sequence has one for each class in turn. What has labels of its own, such as a dict, a
    Counter or a pandas Series, is taken by them: they are class ids, and `missing` stands for ids
    that it does not have; None forbids that. `least` is the smallest number of classes.
    """
    entry = number(above=above) if above is not None else number(minimum=minimum)

    def check(name: str, value: Any) -> PerClass:
        if isinstance(value, PerClass):
            return value
        if callable(getattr(value, "items", None)):
            values = _by_class_id(name, value, entry, missing)
            if missing is None and len(values) < least:
                raise InvalidValuesError(name, value, f"one number for each of {least} classes")
            return PerClass(name, values, missing or 0)
        is_sequence = hasattr(value, "__getitem__") and not isinstance(value, (str, bytes))
        if not is_sequence or len(getattr(value, "shape", (1,))) != 1:
            raise InvalidValuesError(name, value, "a sequence with one number per class")
        if len(value) < least:
            number_of = "two classes" if least == 2 else "one class"
            raise InvalidValuesError(name, value, f"one number per class, of at least {number_of}")
        if hasattr(value, "dtype"):
            values = to_numpy(value)
        else:
            values = np.array(value, None if set(map(type, value)) <= {int, float} else "O")
        is_right = values.dtype.kind in "iuf" and np.isfinite(values).all()
        if not is_right or (values.min() <= above if above is not None else values.min() < minimum):
            given = values.tolist() if hasattr(value, "dtype") else value
            values = np.array(each(entry)(name, given))
        return PerClass(name, values.astype("float64"), missing or 0)

    return check


def distribution(name: str, value: Any) -> PerClass:
    """Numbers >= 0 of a positive sum, one for each class; missing ids have 0."""
    given: PerClass = per_class(missing=0.0)(name, value)
    values = given.values
    if not sum(values.values() if isinstance(values, dict) else values) > 0:
        raise InvalidValuesError(name, value, "numbers whose sum is positive")
    return given


def number_or_per_class(*, above: float, missing: float) -> Check:
    """A number, or one for each class."""
    one, many = number(above=above), per_class(above=above, missing=missing, least=1)

    def check(name: str, value: Any) -> float | PerClass:
        if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
            value = value.item()
        is_many = isinstance(value, PerClass) or hasattr(value, "__len__")
        result: float | PerClass = (many if is_many else one)(name, value)
        return result

    return check


def tensor_of(argument: Any, like: Any, *formula: Any) -> Any:
    """`PerClass.tensor` of an argument that has been checked; a number or None stays as it is."""
    return argument.tensor(like, *formula) if isinstance(argument, PerClass) else argument


def plain(value: Any) -> Any:
    """A checked argument as a user would write it, for attributes and configurations."""
    if not isinstance(value, PerClass):
        return value
    return value.values if isinstance(value.values, dict) else value.values.tolist()


def _by_class_id(
    name: str, given: Any, entry: Check, missing: float | None
) -> dict[int, float] | Array:
    numbers_of: dict[int, float] = {}
    for key, value in given.items():
        class_id = _class_id_of(key)
        if class_id is None:
            raise InvalidValuesError(
                name, given, "given by class ids, integers >= 0", fix=f"The key {key!r} is none."
            )
        if class_id in numbers_of:
            raise InvalidValuesError(
                name, given, "given once for each class", fix=f"Class {class_id} has two numbers."
            )
        (numbers_of[class_id],) = each(entry, [class_id])(name, [value])
    if missing is not None:
        return numbers_of
    absent = sorted(set(range(max(numbers_of, default=1) + 1)) - set(numbers_of))
    if absent:
        raise InvalidValuesError(
            name,
            given,
            "given for every class",
            fix=f"Class {absent[0]} has no number: count its examples, or leave the class out.",
        )
    return np.array([numbers_of[class_id] for class_id in range(len(numbers_of))])


def _class_id_of(key: Any) -> int | None:
    """The class id that a key means, if any: JSON makes texts of integers, pandas floats."""
    if isinstance(key, str):
        text = key.strip()
        return int(text) if text.isdecimal() and len(text) < 10 else None
    number_of = as_float(key)
    is_id = 0 <= number_of < 2**31 and number_of == int(number_of)
    return int(number_of) if is_id else None
