"""Labels many texts, one after the other, with the classes that come next as well."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from recipes._arguments import require_integer
from recipes.text_classifier.task import TextClassifier

_CHUNK = 10_000
"""Texts whose probabilities are in memory at a time."""

COLUMNS = ("predicted", "probability")


def best_classes(
    classifier: TextClassifier, texts: Sequence[str], top: int
) -> Iterator[list[tuple[Any, float]]]:
    """For each text its most probable classes and their probabilities (4 digits), the best first.

    Args:
        classifier: Fitted.
        texts: An empty one has no class.
        top: How many classes at most.

    Raises:
        ValueError: If `top` is no positive integer.
    """
    require_integer("top", top, 1)
    classes = classifier.classes_.tolist()
    for start in range(0, len(texts), _CHUNK):
        chunk = texts[start : start + _CHUNK]
        asked = [text for text in chunk if text.strip()]
        rows = iter(classifier.predict_proba(asked) if asked else ())
        for text in chunk:
            if not text.strip():
                yield []
                continue
            row = next(rows)
            order = numpy.argsort(-row, kind="stable")[:top]
            yield [(classes[number], round(float(row[number]), 4)) for number in order]
