"""The checks that the builders and the tasks make of their arguments."""

import numbers
import os
from collections.abc import Sequence
from typing import Any

from recipes.runs.failures import UserError


def require_integer(name: str, value: Any, minimum: int) -> None:
    """Raises `UserError` unless `value` is an integer of at least `minimum`."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or value < minimum:
        expected = {0: "a non-negative integer", 1: "a positive integer"}.get(
            minimum, f"an integer of at least {minimum}"
        )
        raise UserError(f"`{name}` must be {expected}. Received: {name}={value!r}.")


def require_flag(name: str, value: Any) -> None:
    """Raises `UserError` unless `value` is True or False."""
    if not isinstance(value, bool):
        raise UserError(f"`{name}` must be True or False. Received: {name}={value!r}.")


def require_share(name: str, value: Any) -> None:
    """Raises `UserError` unless `value` is a number from 0 to below 1."""
    if not _is_number(value) or not 0 <= value < 1:
        raise UserError(
            f"`{name}` must be a number from 0 up to, but not including, 1. "
            f"Received: {name}={value!r}."
        )


def require_fraction(name: str, value: Any) -> None:
    """Raises `UserError` unless `value` is a number from 0 to 1."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise UserError(f"`{name}` must be a number from 0 to 1. Received: {name}={value!r}.")


def require_proper_fraction(name: str, value: Any) -> None:
    """Raises `UserError` unless `value` is a number between 0 and 1, neither of them."""
    if not _is_number(value) or not 0 < value < 1:
        raise UserError(
            f"`{name}` must be a number between 0 and 1, both excluded. Received: {name}={value!r}."
        )


def require_non_negative(name: str, value: Any) -> None:
    """Raises `UserError` unless `value` is a finite number of at least 0."""
    if not _is_number(value) or not 0 <= value < float("inf"):
        raise UserError(f"`{name}` must be a number >= 0. Received: {name}={value!r}.")


def require_positive_fraction(name: str, value: Any) -> None:
    """Raises `UserError` unless `value` is a number above 0 and up to 1."""
    if not _is_number(value) or not 0 < value <= 1:
        raise UserError(
            f"`{name}` must be a number above 0 and up to 1. Received: {name}={value!r}."
        )


def require_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raises `UserError` unless `value` is one of the choices."""
    if value not in choices:
        raise UserError(
            f"`{name}` must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}."
        )


def require_positive(name: str, value: Any) -> None:
    """Raises `UserError` unless `value` is a finite number above 0."""
    if not _is_number(value) or not 0 < value < float("inf"):
        raise UserError(f"`{name}` must be a number > 0. Received: {name}={value!r}.")


def require_seed(name: str, value: Any) -> None:
    """Raises `UserError` unless `value` is a seed that every backend and NumPy take."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or not 0 <= value < 2**32:
        raise UserError(
            f"`{name}` must be an integer from 0 to {2**32 - 1}. Received: {name}={value!r}."
        )


def require_texts(name: str, value: Any, size: int | None = None) -> None:
    """Raises `UserError` unless `value` is a sequence of strings.

    Args:
        name: Of the argument.
        value: What was given for it.
        size: How many strings there must be, if there are any; `None` for any number but 0.
    """
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str)
    fits = is_sequence and (len(value) in (0, size) if size is not None else len(value) > 0)
    if not fits or not all(isinstance(each, str) for each in value):
        strings = "strings" if size is None else f"{size} strings, one for each id, or empty"
        raise UserError(
            f"`{name}` must be a sequence of {strings}. "
            f"Received: {name}={shortened(value) if is_sequence else repr(value)}."
        )


_BYTES_PER_WEIGHT = 20
"""In training: the weight, its gradient, two moments and the moving average, in float32."""


def require_room(weights: int, sizes: str) -> None:
    """Raises `UserError` where a model is too large to be trained on this machine.

    Otherwise the backend would say so, after a while and in many lines, or be killed.

    Args:
        weights: How many there would be, about.
        sizes: The arguments that decide it, for the message.
    """
    memory = memory_bytes()
    if weights * _BYTES_PER_WEIGHT > memory:
        raise UserError(
            f"the model would have {weights:,} weights, which take "
            f"{weights * _BYTES_PER_WEIGHT / 2**30:,.0f} GiB in training, and this machine has "
            f"{memory / 2**30:,.0f} GiB: give smaller {sizes}"
        )


def memory_bytes() -> int:
    """The memory of this machine; very much where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**40


def shortened(value: Sequence[Any]) -> str:
    """How a long sequence looks in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}... ({len(value)} entries)"


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
