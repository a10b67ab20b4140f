"""The checks that the builders and the tasks make of their arguments."""

import numbers
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


def require_non_negative(name: str, value: Any) -> None:
    """Raises `UserError` unless `value` is a finite number of at least 0."""
    if not _is_number(value) or not 0 <= value < float("inf"):
        raise UserError(f"`{name}` must be a number >= 0. Received: {name}={value!r}.")


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


def shortened(value: Sequence[Any]) -> str:
    """How a long sequence looks in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}... ({len(value)} entries)"


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
