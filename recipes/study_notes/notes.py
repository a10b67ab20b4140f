"""The study notes on cross-entropy: what they compute, in order, and whether we get the same."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy

from recipes.runs.failures import UserError

FILE = pathlib.Path(__file__).parents[2] / "tests" / "vectors" / "documents.json"
TITLES = {
    "000": "A prediction and what it costs",
    "001": "Softmax, once and twice, and its cross-entropy",
    "002": "Information, entropy, cross-entropy, and the functions of TensorFlow and Keras",
    "003": "Why cross-entropy learns: its gradient",
    "004": "A captcha: several choices side by side",
}
ALL_DIGITS, LAST_DIGIT, OFF, NOT_PRINTED = "all digits", "but for the last", "no", ""


@dataclasses.dataclass(frozen=True)
class Computation:
    """Something that the notes compute: one number or several."""

    document: str
    """Number of the notes' part, a key of `TITLES`."""
    what: str
    inputs: dict[str, Any]
    printed: Any
    """The numbers as the notes print them; `None` where they print none."""
    exact: Any
    note: str


def read_notes(file: pathlib.Path = FILE) -> list[Computation]:
    """All that the notes compute, part by part.

    Raises:
        UserError: If the file is not there: it is part of a clone, not of the installed package.
    """
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{file} does not exist; run the examples in a whole clone of the project"
        ) from None
    computations = [Computation(**entry) for entry in entries]
    return sorted(computations, key=lambda computation: computation.document)


def agreement(printed: float | None, computed: float) -> str:
    """Whether a number is the printed one.

    Returns:
        `ALL_DIGITS`: rounded to the printed digits, it is. `LAST_DIGIT`: within two steps of
        float32, in which the notes were computed, and we compute. `OFF` and `NOT_PRINTED`
        otherwise.
    """
    if printed is None:
        return NOT_PRINTED
    # A little more than half a unit: the difference itself is rounded.
    half_a_unit = 0.501 * 10.0 ** -_decimals(printed)
    difference = abs(computed - printed)
    if difference <= half_a_unit:
        return ALL_DIGITS
    steps = 2 * numpy.spacing(numpy.float32(abs(printed)))
    return LAST_DIGIT if difference <= half_a_unit + steps else OFF


def _decimals(number: float) -> int:
    """How many digits stand behind the point."""
    mantissa, _, exponent = repr(float(number)).partition("e")
    digits = len(mantissa.partition(".")[2].rstrip("0"))
    return digits - int(exponent or 0)
