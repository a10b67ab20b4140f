"""The next-word model: texts in, the words that may follow out."""

from typing import TYPE_CHECKING, Any

from recipes.next_word.model import NextWordModel, NextWordModels, build_next_word

if TYPE_CHECKING:
    from recipes.next_word.task import NextWord

__all__ = ["NextWord", "NextWordModel", "NextWordModels", "build_next_word"]


def __getattr__(name: str) -> Any:
    """Imports the task when it is asked for: the builder needs Keras alone."""
    if name == "NextWord":
        import recipes.estimators  # noqa: F401 - first: it says what to install
        from recipes.next_word.task import NextWord

        return NextWord
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
