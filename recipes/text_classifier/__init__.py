"""The text classifier: texts in, a class for each out."""

from typing import TYPE_CHECKING, Any

from recipes.text_classifier.model import (
    POOLINGS,
    AffixEmbedding,
    NgramLogits,
    TextClassifierModel,
    build_text_classifier,
)

if TYPE_CHECKING:
    from recipes.text_classifier.task import TextClassifier

__all__ = [
    "POOLINGS",
    "AffixEmbedding",
    "NgramLogits",
    "TextClassifier",
    "TextClassifierModel",
    "build_text_classifier",
]


def __getattr__(name: str) -> Any:
    """Imports the task when it is asked for: the builder needs Keras alone."""
    if name == "TextClassifier":
        import recipes.estimators  # noqa: F401 - first: it says what to install
        from recipes.text_classifier.task import TextClassifier

        return TextClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
