"""What a classifier of several labels for each text is worth, beside its cheap rival."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy
from scipy.special import logit
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from recipes.runs.intervals import Outcomes, mean
from recipes.runs.report_page import LONGEST_NAME, LONGEST_TEXT, Section, Table, cut
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import evaluation, several_labels
from recipes.text_classifier.data import VALIDATION_SHARE

if TYPE_CHECKING:
    from recipes.runs.training_run import TrainingRun

MEASURES = {
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "hamming": "wrong labels (Hamming)",
    "nll": "negative log-likelihood",
    "ece": "calibration error",
    "seconds": "seconds",
}
"""As `recipes.text_classifier.evaluation.MEASURES`."""


def score_one_against_the_rest(
    training: LabelledTexts,
    test: LabelledTexts,
    targets: tuple[numpy.ndarray, numpy.ndarray],
    *,
    tokens: str,
    class_weight: str | None,
) -> tuple[dict[str, Any], numpy.ndarray]:
    """Trains the cheap rival, a linear SVM for each label on TF-IDF, and scores it.

    Its thresholds are found as the classifier's are: from a tenth of the training texts, by what it
    says of them when it has learned from the others.

    Args:
        training: The texts to train on.
        test: The texts to score.
        targets: For both 1 where a text has a label and 0 elsewhere, (texts, classes).
        tokens: As in `evaluation.score_linear_svm`.
        class_weight: `balanced` or `None`.

    Returns:
        `micro_f1`, `macro_f1`, `hamming`, the `seconds` both steps took, and what the `model` is;
        and what it predicts of the test texts, (texts, classes).
    """
    start = time.perf_counter()
    features = evaluation.features_of_linear_svm(tokens)
    learned, asked = features.fit_transform(training.texts), features.transform(test.texts)
    machine = OneVsRestClassifier(LinearSVC(class_weight=class_weight, random_state=0))
    set_aside = {*training.split(VALIDATION_SHARE, "validation")[1].texts}
    is_aside = numpy.array([text in set_aside for text in training.texts])
    with warnings.catch_warnings():
        # The classifier has warned of them.
        warnings.filterwarnings("ignore", "Label (not )?.* is present in all training examples")
        thresholds = numpy.zeros(targets[0].shape[1])
        if set_aside:
            machine.fit(learned[~is_aside], targets[0][~is_aside])
            unseen = machine.decision_function(learned[is_aside])
            thresholds = logit(several_labels.best_thresholds(unseen, targets[0][is_aside]))
        predicted = machine.fit(learned, targets[0]).decision_function(asked) >= thresholds
    scores = {
        "model": "linear SVM on TF-IDF of words and characters, each label against the rest, from "
        "a threshold of its own on",
        **several_labels.scores_of_predictions(predicted, targets[1]),
        "seconds": round(time.perf_counter() - start, 2),
    }
    return scores, predicted


def outcomes(
    probabilities: numpy.ndarray,
    predicted: numpy.ndarray,
    targets: numpy.ndarray,
    of_baseline: numpy.ndarray,
) -> dict[str, Outcomes]:
    """What each test text has to say on the measures but the calibration error.

    Args:
        probabilities: (texts, classes).
        predicted: Whether each label is predicted, likewise.
        targets: 1 where a text has a label and 0 elsewhere, likewise.
        of_baseline: What the baseline predicts, likewise.
    """
    both = predicted, of_baseline
    counts = [several_labels.hits_and_both(each, targets) for each in both]
    # One number or two for each text where that is enough: each of a thousand draws takes them all.
    of_texts = [each.sum(axis=2) for each in counts]
    wrong = [(each != targets).mean(axis=1) for each in both]
    tiny = numpy.finfo("float64").tiny
    right = numpy.where(targets, probabilities, 1 - probabilities)
    return {
        "micro_f1": Outcomes(several_labels.micro_f1, *of_texts),
        "macro_f1": Outcomes(several_labels.macro_f1, *counts),
        "hamming": Outcomes(mean, *wrong),
        "nll": Outcomes(mean, -numpy.log(numpy.maximum(right, tiny)).mean(axis=1)),
    }


def write_report(
    run: TrainingRun, training: LabelledTexts, test: LabelledTexts
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """As `recipes.text_classifier.evaluation.write_report`, with several labels for each text."""
    classifier = run.task
    classes = classifier.classes_.tolist()
    of_training, targets = (
        several_labels.indicators(
            several_labels.ids_of(texts.labels, len(texts), classifier.classes_), len(classes)
        )
        for texts in (training, test)
    )
    probabilities = classifier.predict_proba(test.texts)
    predicted = probabilities >= classifier.thresholds_
    baseline, of_baseline = score_one_against_the_rest(
        training,
        test,
        (of_training, targets),
        tokens=classifier.tokens,
        class_weight=classifier.class_weight,
    )
    of_classes = [
        {**scores, "threshold": threshold}
        for scores, threshold in zip(
            evaluation.scores_of_counts(
                (predicted & targets).sum(axis=0),
                targets.sum(axis=0),
                predicted.sum(axis=0),
                classes,
            ),
            classifier.thresholds_.tolist(),
            strict=True,
        )
    ]
    is_known = evaluation.are_known(training, test)
    metrics = run.report(
        classifier.evaluate(test.texts, test.labels),
        baseline,
        outcomes(probabilities, predicted, targets, of_baseline),
        per_class=of_classes,
        parts=classifier.evaluate_parts(test.texts, test.labels),
        test_texts_in_training=int(is_known.sum()),
    )

    def micro_f1(rows: numpy.ndarray) -> float:
        return several_labels.scores_of_predictions(predicted[rows], targets[rows])["micro_f1"]

    remarks = evaluation.remarks_on_known(is_known, "micro F1", micro_f1)
    of_epochs = evaluation.remarks_on_epochs(classifier.best_epochs_, classifier.epochs)
    for remark in (*remarks, *of_epochs):
        print(remark)
    run.draw_history(["loss", "micro_f1"])
    columns = evaluation.columns_of(metrics)
    run.write_page(
        metrics,
        MEASURES,
        columns,
        [
            _section_of_classes(of_classes, of_training.sum(axis=0)),
            evaluation.section_of_training(run, of_epochs, "loss and micro F1"),
            _section_of_mistakes(test, probabilities, predicted, targets, classes),
        ],
        remarks,
    )
    return metrics, columns


def _section_of_classes(of_classes: Sequence[dict[str, Any]], learned: numpy.ndarray) -> Section:
    """The table of the labels."""
    rows = [
        [
            number,
            cut(scores["label"], LONGEST_NAME),
            f"{count:,}",
            f"{scores['texts']:,}",
            f"{scores['threshold']:.3f}",
            *(
                "-" if scores[name] is None else f"{scores[name]:.3f}"
                for name in ("precision", "recall", "f1")
            ),
        ]
        for number, (scores, count) in enumerate(zip(of_classes, learned.tolist(), strict=True), 1)
    ]
    header = ["#", "label", "texts learned from", "test texts", "predicted from"]
    return Section(
        "Each label",
        [
            "Precision: of the texts that are given the label, the share that has it. Recall: of "
            "the texts that have the label, the share that is given it. F1 is their harmonic mean. "
            'A label is predicted from the probability under "predicted from" on, for the highest '
            "F1 of the validation texts; of a label that few of them have it is near the one that "
            "is best for all labels together. The linear SVM has thresholds found likewise. The "
            "network and the n-grams, each by itself, are cut at 0.5: thresholds, like "
            "probabilities, are those of their sum.",
            Table([*header, "precision", "recall", "F1"], rows),
        ],
    )


def _section_of_mistakes(
    test: LabelledTexts,
    probabilities: numpy.ndarray,
    predicted: numpy.ndarray,
    targets: numpy.ndarray,
    classes: Sequence[Any],
) -> Section:
    """The mistakes that it is surest of: some are mistakes of the labels."""
    texts, labels = numpy.nonzero(predicted != targets)
    if not len(texts):
        return Section("Mistakes", ["There is none among the test texts."])
    chances = probabilities[texts, labels]
    is_given = predicted[texts, labels]
    surest = numpy.argsort(-numpy.where(is_given, chances, 1 - chances), kind="stable")
    first = surest[: evaluation.MISTAKES]
    rows = [
        [
            f"{chances[place]:.3f}",
            cut(classes[labels[place]], LONGEST_NAME),
            "given in vain" if is_given[place] else "missed",
            cut(test.texts[texts[place]], LONGEST_TEXT),
            *([test.rows[texts[place]]] if test.rows else []),
        ]
        for place in first
    ]
    return Section(
        "The most confident mistakes",
        [
            f"{len(first)} of {len(texts)} labels given in vain or missed, the surest first. Where "
            "the classifier is right after all, correct the labels.",
            Table(["probability", "label", "", "text", *(["row"] if test.rows else [])], rows),
        ],
    )
