"""What a user can put right, said in one sentence."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any


class UserError(ValueError):
    """Something the user can put right: the message is one line that says how.

    From Python it is a `ValueError`; a script prints it after "error: " and ends with status 1.
    """


def run(main: Callable[[Sequence[str] | None], None]) -> None:
    """Runs an example's `main` as a program.

    Args:
        main: The function, called with `None`: it reads the command line itself.
    """
    try:
        main(None)
    except UserError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit("stopped")


def positive_integer(text: str) -> int:
    """Type of a command line option: 1, 2, 3, ..."""
    return _checked(text, int, lambda number: number >= 1, "a positive integer")


def non_negative_integer(text: str) -> int:
    """Type of a command line option: 0, 1, 2, ..."""
    return _checked(text, int, lambda number: number >= 0, "a non-negative integer")


def positive_number(text: str) -> float:
    """Type of a command line option: a number above 0."""
    return _checked(text, float, lambda number: 0 < number < math.inf, "a number above 0")


def share(text: str) -> float:
    """Type of a command line option: a number from 0 to 1."""
    return _checked(text, float, lambda number: 0 <= number <= 1, "a number from 0 to 1")


def _checked(text: str, convert: type, fits: Callable[[Any], bool], expected: str) -> Any:
    try:
        number = convert(text)
    except ValueError:
        number = None
    if number is None or not fits(number):
        raise argparse.ArgumentTypeError(f"expected {expected}, received {text!r}")
    return number
