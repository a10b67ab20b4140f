"""The string reader: pictures in, the strings that they show out."""

from recipes.string_reader.model import (
    StringReader,
    build_string_reader,
)

__all__ = [
    "StringReader",
    "build_string_reader",
]
