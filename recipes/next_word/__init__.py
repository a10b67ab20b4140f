"""The next-word model: texts in, the words that may follow out."""

from recipes.next_word.model import (
    NextWord,
    build_next_word,
)

__all__ = [
    "NextWord",
    "build_next_word",
]
