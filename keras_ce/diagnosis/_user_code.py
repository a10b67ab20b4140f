"""Calls what the user wrote, which may raise anything."""

from collections.abc import Callable
from typing import Any


class UserCodeError(Exception):
    """The user's model, loss or metric raises; the text names the kind of error and what it says.

    The error itself is the `__cause__`.
    """


def call_user_code(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of the user returns.

    Raises:
        UserCodeError: it raises. What it may raise cannot be named, so each caller names this one
            and makes a finding of it; what else goes wrong there is no error of the user's.
    """
    try:
        return function(*arguments)
    except Exception as error:  # the user's: any error at all, and kept as it is
        raise UserCodeError(described(error)) from error


def described(error: BaseException) -> str:
    """The kind of an error and what it says, on one line and not too long."""
    text = " ".join(str(error).split())
    if isinstance(error, UserCodeError):
        return text  # that is its text already
    text = text if len(text) <= 200 else f"{text[:200]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
