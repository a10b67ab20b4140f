"""What is a list of texts, and one sentence for what is none."""

from collections.abc import Mapping, Sequence, Set

from recipes.runs.failures import UserError


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
    for number, text in enumerate(found, 1):
        if not isinstance(text, str):
            raise UserError(f"{one} {number} is no string but {text!r}; leave it out or convert it")
        if not text.strip() and not may_be_blank:
            raise UserError(f"{one} {number} is empty; leave it out")
    return [str(text) for text in found]
