"""Which training texts are probably labelled wrong: `suspicious.csv` and its part of the report."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
from scipy.special import softmax
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.svm import LinearSVC

import keras_ce
from recipes.runs.report_page import LONGEST_NAME, LONGEST_TEXT, Section, Table, cut
from recipes.tables.labelled_texts import LabelledTexts

FOLDS = 5
SHOWN = 20
"""Of the texts in the report; the file has all of them."""


class Suspicion(NamedTuple):
    """A line of `suspicious.csv`."""

    row: str
    """Where the text stands in its file; empty where it comes from none."""
    text: str
    label: Any
    probability: str
    """Of the label."""
    suggested: Any
    suggested_probability: str


def find_suspicious(
    training: LabelledTexts, features: Any, class_weight: str | None
) -> list[Suspicion]:
    """The texts whose labels `keras_ce.find_label_issues` doubts, the most suspicious first.

    The probabilities are out of fold: each text is judged by a linear SVM that has learned from the
    other four fifths. Five trainings of the network would cost five times the training. The softmax
    of the SVM's scores stands for probabilities: it ranks the texts, and is not calibrated. Texts
    of a label that occurs fewer than five times are left out: some fold would lack it.

    Args:
        training: Texts with one label each.
        features: What turns texts into rows of numbers, unfitted; it never sees labels.
        class_weight: `balanced` or `None`.

    Returns:
        None of them where fewer than two labels occur five times.
    """
    counts = collections.Counter(training.labels)
    judged = [place for place, label in enumerate(training.labels) if counts[label] >= FOLDS]
    names = sorted({training.labels[place] for place in judged})
    if len(names) < 2:
        return []
    id_of = {name: number for number, name in enumerate(names)}
    labels = numpy.array([id_of[training.labels[place]] for place in judged])
    scores = cross_val_predict(
        LinearSVC(class_weight=class_weight, random_state=0),
        features.fit_transform([training.texts[place] for place in judged]),
        labels,
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=0),
        method="decision_function",
    )
    if scores.ndim == 1:  # of two classes, the score of the second
        scores = numpy.stack([-scores, scores], axis=1)
    probabilities = softmax(scores, axis=1)
    found = []
    for issue in keras_ce.find_label_issues(labels, probabilities):
        place, guess = judged[issue], int(probabilities[issue].argmax())
        found.append(
            Suspicion(
                training.rows[place] if training.rows else "",
                training.texts[place],
                training.labels[place],
                f"{probabilities[issue, labels[issue]]:.4f}",
                names[guess],
                f"{probabilities[issue, guess]:.4f}",
            )
        )
    return found


def section_of_suspicious(found: Sequence[Suspicion], number: int) -> Section:
    """The first of these texts.

    Args:
        found: All of them.
        number: Of training texts.
    """
    how = (
        f"Each text was judged by a linear SVM that had learned from other texts only ({FOLDS} "
        "folds): not by the network, of which that many trainings cost too much. Its probabilities "
        f"rank the texts and are not calibrated. Labels of fewer than {FOLDS} texts are not judged."
    )
    if not found:
        return Section(
            "Labels that may be wrong", ["None was found among the training texts.", how]
        )
    rows = [
        [
            each.probability,
            cut(each.label, LONGEST_NAME),
            each.suggested_probability,
            cut(each.suggested, LONGEST_NAME),
            cut(each.text, LONGEST_TEXT),
            each.row,
        ]
        for each in found[:SHOWN]
    ]
    header = ["probability of the label", "label", "of the other", "perhaps", "text", "row"]
    return Section(
        "Labels that may be wrong",
        [
            f"{len(found):,} of {number:,} training texts, found by confident learning, are in "
            f"suspicious.csv; here the first {len(rows)}. Look at them, and correct those that are "
            "wrong: many are merely difficult.",
            how,
            Table(header, rows),
        ],
    )
