"""What is a list of texts, and one sentence for what is none."""

import re
from collections.abc import Mapping, Sequence, Set

from recipes.runs.failures import UserError

_HALF = re.compile("[\ud800-\udfff]")


def checked_texts(
    texts: Sequence[str],
    name: str = "texts",
    *,
    may_be_none: bool = False,
    may_be_blank: bool = False,
) -> list[str]:
    """Texts as a list of Python's own strings.

    Args:
        texts: A list, a tuple, an array or a column of pandas.
        name: What they are, in the plural, for the message.
        may_be_none: Whether there may be no text at all.
        may_be_blank: Whether a text may be empty.

    Raises:
        UserError: If it is something else, or has no text, or one that is no string or empty.
    """
    if isinstance(texts, str | bytes | Set | Mapping) or not hasattr(texts, "__len__"):
        raise UserError(
            f"`{name}` must be a sequence of strings, such as a list or a column of pandas. "
            f"Received: {type(texts).__name__}; put a single text in a list"
        )
    if getattr(texts, "ndim", 1) != 1 or hasattr(texts, "columns"):
        raise UserError(
            f"`{name}` must have one dimension. Received: "
            f"shape {tuple(texts.shape)}; give one column of it"  # type: ignore[attr-defined]
        )
    found, one = list(texts), name.removesuffix("s")
    if not found and not may_be_none:
        raise UserError(f"there is no {one}; give at least one")
    others = [number for number, text in enumerate(found, 1) if not isinstance(text, str)]
    if others:
        more = f" (so are {len(others) - 1} more)" if others[1:] else ""
        raise UserError(
            f"{one} {others[0]} is no string but {found[others[0] - 1]!r}{more}; leave it out or "
            "convert it"
        )
    blank = [number for number, text in enumerate(found, 1) if not text.strip()]
    if blank and not may_be_blank:
        more = f" (so are {len(blank) - 1} more)" if blank[1:] else ""
        raise UserError(f"{one} {blank[0]} is empty{more}; leave it out")
    return [whole_characters(str(text)) for text in found]


def whole_characters(text: str) -> str:
    """The text with U+FFFD for each half of a character, as a JSON text has it that was cut there.

    No file and no hash takes halves; two that belong together become their character.
    """
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
