"""Labels many texts, one after the other, with the classes that come next as well."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from recipes._arguments import require_integer
from recipes.runs.failures import UserError
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier.task import TextClassifier

_CHUNK = 10_000
"""Texts whose probabilities are in memory at a time."""

COLUMNS = ("predicted", "probability")


def best_classes(
    classifier: TextClassifier, texts: Sequence[str], top: int
) -> Iterator[list[tuple[Any, float]]]:
    """For each text its most probable classes and their probabilities (4 digits), the best first.

    Of a text whose best class is less probable than `threshold_` there is that probability alone,
    with `None` for the class. Of a classifier of several labels for each text there are those that
    it predicts, however many.

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
            if classifier.threshold_ is not None and row.max() < classifier.threshold_:
                yield [(None, round(float(row.max()), 4))]
                continue
            order = numpy.argsort(-row, kind="stable")
            if classifier.thresholds_ is None:
                order = order[:top]
            else:
                order = order[row[order] >= classifier.thresholds_[order]]
            yield [(classes[number], round(float(row[number]), 4)) for number in order]


def require_separator(separator: str, classes: Sequence[Any]) -> None:
    """Raises `UserError` where nothing is to stand between the labels in a cell, or what is in one.

    Args:
        separator: What is to stand there.
        classes: The labels.
    """
    if not separator:
        raise UserError("--label-separator is empty; give what stands between labels, such as '|'")
    holding = [label for label in map(str, classes) if separator in label]
    if holding:
        raise UserError(
            f"the label {holding[0]!r} has {separator!r} in it, which is to stand between the "
            "labels in a cell; name another separator with --label-separator"
        )


def predictions(
    classifier: TextClassifier, test: LabelledTexts, separator: str
) -> Iterator[tuple[Any, ...]]:
    """The rows of `predictions.csv`: row, text, label, and what `COLUMNS` says.

    Args:
        classifier: Fitted.
        test: Texts, with the rows of the file that they come from, if any.
        separator: What stands between several labels, and between their probabilities.
    """
    places = test.rows or [""] * len(test)
    found = best_classes(classifier, test.texts, 1)
    for place, text, label, best in zip(places, test.texts, test.labels, found, strict=True):
        if classifier.thresholds_ is None:
            ((predicted, probability),) = best
            yield place, text, label, predicted, f"{probability:.4f}"
        else:
            cell = separator.join(map(str, label))
            yield place, text, cell, *in_one_cell(best, separator)[0]


def in_one_cell(best: Sequence[tuple[Any, float]], separator: str) -> list[tuple[str, str]]:
    """Several labels as one, and their probabilities likewise, for a table."""
    names = separator.join(str(name) for name, _ in best)
    return [(names, separator.join(f"{probability:.4f}" for _, probability in best))]
