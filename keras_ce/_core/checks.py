"""The arguments of losses, layers and metrics, and the one error of the package.

Each check is a function of an argument's name and value: it returns the value as the package
keeps it, or raises. A loss declares its checks once, with `arguments`.
"""

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from keras_ce._core.backends import backend

Array = np.ndarray[Any, Any]
Check = Callable[[str, Any], Any]
Function = TypeVar("Function", bound=Callable[..., Any])


class InvalidValuesError(ValueError):
    """A value that an argument, a label or a prediction must not have.

    Args:
        argument: the name of the argument that holds the value.
        value: what was received.
        expected: what the argument must be or hold.
        position: where the value stands in what was given; None where the argument itself is
            the value.
        fix: what to do about it, as sentences.

    Example:
        >>> try:
        ...     label_smoothed_crossentropy([0, 3], np.ones((2, 3)), from_logits=True)
        ... except keras_ce.InvalidValuesError as error:
        ...     print(error.argument, error.position, error.value)
        y_true (1,) 3
    """

    # Keras makes a new error from the sentence of one that leaves a layer, unless it has this name.
    _keras_call_info_injected = True

    def __init__(
        self,
        argument: str,
        value: Any,
        expected: str,
        position: tuple[int, ...] | None = None,
        fix: str = "",
    ) -> None:
        self.argument = argument
        self.value = value
        self.expected = expected
        self.position = position
        self.fix = fix
        if position is None:
            received = f"must be {expected}. Received: {argument}={_shown(value)}."
        else:
            place = f" at position {position}" if position else ""
            received = f"must hold {expected}. Received: {_shown(value)}{place}."
        super().__init__(" ".join(filter(None, [f"`{argument}` {received}", fix])))

    def __reduce__(self) -> Any:
        """How to copy it: by its fields, not by its sentence."""
        fields = self.argument, self.value, self.expected, self.position, self.fix
        return type(self), fields


def _shown(value: Any) -> str:
    """A value as a message shows it: short, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 1024:
        return f"an integer of {value.bit_length()} bits"
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 200 else f"{text[:150]} ... {text[-40:]}"


# --- values of labels and predictions ---

_checks_values = True


def set_value_checks(enabled: bool) -> None:
    """Switch the checks of label and probability *values* in eager execution on or off.

    On (the default), an invalid value is an `InvalidValuesError` that names it. Off, it makes the
    loss of its position NaN with a zero gradient, as in compiled code: nothing waits for the
    device, and `torch.compile(fullgraph=True)` can trace the loss. `value_checks` does the same
    for a block of code.

    Args:
        enabled: whether eager execution raises on invalid values.

    Raises:
        TypeError: if `enabled` is not a bool.
    """
    if not isinstance(enabled, bool):
        raise TypeError(f"`enabled` must be True or False. Received: enabled={enabled!r}.")
    global _checks_values
    _checks_values = enabled


class value_checks:  # noqa: N801
    """`set_value_checks` for a block of code, after which the switch stands as before.

    Args:
        enabled: whether eager execution raises on invalid values inside the block.

    Raises:
        TypeError: if `enabled` is not a bool.

    Example:
        >>> with keras_ce.value_checks(False):
        ...     print(float(label_smoothed_crossentropy(3, [1.0, 0.0], from_logits=True)))
        nan
    """

    def __init__(self, enabled: bool) -> None:
        if not isinstance(enabled, bool):
            raise TypeError(f"`enabled` must be True or False. Received: enabled={enabled!r}.")
        self.enabled = enabled
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_checks_values)
        set_value_checks(self.enabled)

    def __exit__(self, *_: object) -> None:
        set_value_checks(self._before.pop())


def any_true(flags: Any) -> bool | None:
    """Whether an entry is true; None where nobody looks: in compiled code, or switched off."""
    found = backend.any_true(flags) if _checks_values else None
    return None if found and not backend.has_values(flags) else found


def all_within(values: Any, low: float, high: float) -> bool | None:
    """Whether all entries lie from `low` to `high`; None where nobody looks, as above.

    Switched off, it still says that they do where that costs no waiting: the formulas are shorter
    for values that are known to be right.
    """
    if not _checks_values:
        is_free = backend.are_at_hand(values)
        return (is_free and backend.all_within(values, low, high)) or None
    are_within = backend.all_within(values, low, high)
    return None if are_within is False and not backend.has_values(values) else are_within


def first(flags: Any) -> tuple[int, ...]:
    """The position of the first true entry."""
    return tuple(int(index) for index in np.argwhere(to_numpy(flags))[0])


def to_numpy(values: Any) -> Array:
    """An array or tensor of any dtype as NumPy array."""
    if ops.is_tensor(values):
        values = ops.stop_gradient(values)  # JAX hands out no numbers while it differentiates.
        if keras.backend.standardize_dtype(values.dtype) == "bfloat16":
            values = ops.cast(values, "float32")  # NumPy has no bfloat16 of its own.
        return np.asarray(ops.convert_to_numpy(values))
    return np.asarray(values)


# --- arguments ---


def arguments(**checks: Check) -> Callable[[Function], Function]:
    """Declares the checks of a public function's arguments, and registers it with Keras.

    A model that is compiled with the function can so be saved and loaded. `function.checks` are
    the checks, `function.unchecked` is the function for arguments that have passed them.
    """

    def declare(function: Function) -> Function:
        names = [
            name
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ][2:]

        @backend.as_written
        @functools.wraps(function)
        def checked(y_true: Any, y_pred: Any, *given: Any, **named: Any) -> Any:
            if len(given) > len(names):
                return function(y_true, y_pred, *given, **named)  # Python says what is wrong.
            for name in names:
                if not given or name in named:  # Given twice, Python says so below.
                    break
                named[name], given = given[0], given[1:]
            for name, check in checks.items():
                if name in named:
                    named[name] = check(name, named[name])
            return function(y_true, y_pred, *given, **named)

        checked.checks = checks
        checked.unchecked = function
        registered: Function = keras.saving.register_keras_serializable(package="keras_ce")(checked)
        return registered

    return declare


def flag(name: str, value: Any) -> bool:
    """A bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidValuesError(name, value, "True or False")
    return bool(value)


def number(
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Check:
    """A finite number, as a float."""
    expected = "a finite number"
    if above is not None:
        expected = "a positive number" if above == 0 else f"a number above {above:g}"
        if maximum is not None:
            expected = f"a number above {above:g} and up to {maximum:g}"
        elif below is not None:
            expected = f"a number between {above:g} and {below:g}, both excluded"
    elif minimum is not None and below is not None:
        expected = f"a number from {minimum:g} up to, but not including, {below:g}"
    elif minimum is not None and maximum is not None:
        expected = f"a number from {minimum:g} to {maximum:g}"
    elif minimum is not None:
        expected = "a non-negative number" if minimum == 0 else f"a number >= {minimum:g}"

    def check(name: str, value: Any) -> float:
        result = as_float(value)
        if (
            not abs(result) < math.inf  # NaN neither
            or (minimum is not None and result < minimum)
            or (maximum is not None and result > maximum)
            or (above is not None and result <= above)
            or (below is not None and result >= below)
        ):
            raise InvalidValuesError(name, value, expected)
        return result

    return check


def integer(*, minimum: int | None = None) -> Check:
    """An integer, as an int."""
    expected = "an integer" if minimum is None else f"an integer >= {minimum}"

    def check(name: str, value: Any) -> int:
        is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not is_integer or (minimum is not None and value < minimum):
            raise InvalidValuesError(name, value, expected)
        return int(value)

    return check


def choice(*values: str) -> Check:
    """One of a few texts."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in values:
            raise InvalidValuesError(name, value, " or ".join(f'"{each}"' for each in values))
        return value

    return check


def optional(check: Check) -> Check:
    """The same check for what may be None."""
    return lambda name, value: None if value is None else check(name, value)


def class_id(name: str, value: Any) -> int:
    """An integer that labels can hold. -2**31 stands for what is no id at all."""
    value = integer()(name, value)
    if abs(value) >= 2**31:
        raise InvalidValuesError(
            name,
            value,
            "between -2**31 and 2**31, both excluded",
            fix="Mark the labels to ignore by another number, such as -1.",
        )
    return int(value)


def num_classes(name: str, value: Any) -> int:
    """A number of exclusive classes, at least two."""
    value = integer(minimum=1)(name, value)
    if value == 1:
        raise InvalidValuesError(
            name,
            value,
            "an integer >= 2",
            fix="A softmax over one class can learn nothing: for yes-or-no outputs take "
            "`WeightedSigmoidCrossentropy`.",
        )
    return int(value)


def each(check: Check, places: Iterable[Any] | None = None) -> Check:
    """The same check for each entry of a sequence; the error says which."""

    def check_all(name: str, values: Any) -> list[Any]:
        checked = []
        for place, value in zip(count() if places is None else places, values, strict=False):
            try:
                checked.append(check(name, value))
            except InvalidValuesError as error:
                expected = f"{error.expected} in each place"
                raise InvalidValuesError(name, value, expected, (place,), error.fix) from None
        return checked

    return check_all


def group_sizes(name: str, value: Any) -> list[int]:
    """The numbers of classes of groups: integers >= 2."""
    is_sequence = hasattr(value, "__len__") and not isinstance(value, (str, bytes, Mapping))
    if not is_sequence or not len(value):
        raise InvalidValuesError(name, value, "a non-empty sequence of integers")
    return each(num_classes)(name, value)


def class_axis(axis: int, y_pred: Any) -> None:
    """Raises unless predictions have a class axis of this number."""
    rank = len(y_pred.shape)
    if not -rank <= axis < rank:
        raise InvalidValuesError(
            "axis", axis, f"an axis of `y_pred`, whose shape is {tuple(y_pred.shape)}"
        )


def one_replica(instead: str) -> None:
    """Raises where a loss that compares the rows of a batch would see a part of them."""
    number = backend.number_of_replicas()
    if number > 1:
        raise ValueError(
            "This loss compares the rows of a batch, of which a replica of `tf.distribute` sees "
            f"its own alone. Received: {number} replicas. {instead}"
        )


def as_float(value: Any) -> float:
    """A number that is no bool as a float; NaN for anything else, infinity beyond a float."""
    if not isinstance(value, numbers.Real) or isinstance(value, (bool, np.bool_)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
