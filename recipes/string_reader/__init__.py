"""The string reader: pictures in, the strings that they show out."""

from typing import TYPE_CHECKING, Any

from recipes.string_reader.model import StringReaderModel, build_string_reader

if TYPE_CHECKING:
    from recipes.string_reader.task import StringReader

__all__ = ["StringReader", "StringReaderModel", "build_string_reader"]


def __getattr__(name: str) -> Any:
    """Imports the task when it is asked for: the builder needs Keras alone."""
    if name == "StringReader":
        import recipes.estimators  # noqa: F401 - first: it says what to install
        from recipes.string_reader.task import StringReader

        return StringReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
