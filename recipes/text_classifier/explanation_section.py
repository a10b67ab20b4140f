"""Why some texts of a test got their class: a part of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy

from recipes.runs.report_page import LONGEST_NAME, LONGEST_TEXT, Markup, Section, cut
from recipes.tables.labelled_texts import LabelledTexts

if TYPE_CHECKING:
    from recipes.text_classifier.task import TextClassifier

WRONG = 3


def section_of_explanations(
    classifier: TextClassifier,
    test: LabelledTexts,
    labels: numpy.ndarray,
    probabilities: numpy.ndarray,
) -> Section:
    """The surest right answer and the surest wrong ones, word by word.

    Args:
        classifier: Fitted.
        test: The texts.
        labels: The id of the right class of each.
        probabilities: (texts, classes).
    """
    predicted = probabilities.argmax(axis=1)
    surest = numpy.argsort(-probabilities.max(axis=1), kind="stable")
    is_right = predicted[surest] == labels[surest]
    parts: list[str | Markup] = [
        "What each word adds to the logit of the predicted class: blue speaks for the class, "
        "orange against it, and the stronger the colour, the more. The network's part comes from "
        "integrated gradients, that of the n-grams is exact. Of a long text the first "
        f"{LONGEST_TEXT} characters stand for all.",
    ]
    classes = classifier.classes_.tolist()
    for place in [*surest[is_right][:1], *surest[~is_right][:WRONG]]:
        guess, label = (cut(classes[each[place]], LONGEST_NAME) for each in (predicted, labels))
        sure = f"at {probabilities[place].max():.3f}"
        row = f", row {test.rows[place]}" if test.rows else ""
        right = predicted[place] == labels[place]
        parts.append(
            f"The surest right answer{row}: {guess}, {sure}."
            if right
            else f"Among the surest wrong answers{row}: {guess}, {sure}; the label is {label}."
        )
        found = classifier.explain(test.texts[place][:LONGEST_TEXT], classes[predicted[place]])
        parts.append(Markup(found.html()))
    return Section("Why these classes", parts)
