"""The text classifier: texts in, a class for each out."""

from recipes.text_classifier.model import (
    POOLINGS,
    AffixEmbedding,
    TextClassifier,
    build_text_classifier,
)

__all__ = [
    "POOLINGS",
    "AffixEmbedding",
    "TextClassifier",
    "build_text_classifier",
]
