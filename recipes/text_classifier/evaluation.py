"""What a classifier is worth: its measures, a picture, and the cheap rival on the same texts."""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

import keras_ce
from recipes.runs import confusion
from recipes.runs.abstention import find_threshold
from recipes.runs.failures import UserError
from recipes.runs.intervals import Outcomes, mean
from recipes.runs.report_page import LONGEST_NAME, LONGEST_TEXT, Picture, Section, Table, cut
from recipes.runs.whole_files import whole_file
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier.explanation_section import section_of_explanations
from recipes.text_classifier.suspicious import Suspicion, find_suspicious, section_of_suspicious
from recipes.tokens.vocabulary import split_tokens

if TYPE_CHECKING:
    from recipes.runs.training_run import TrainingRun

MEASURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "nll": "negative log-likelihood",
    "ece": "calibration error",
    "seconds": "seconds",
}
"""What `recipes.runs.training_run.print_comparison` shows, and what it calls it."""
PROMISES = (0.9, 0.95, 0.99)
"""The accuracies that the report looks for a threshold for."""
_CONFIDENCE = 0.95
MISTAKES = 20


def score_logits(logits: numpy.ndarray, labels: Sequence[int] | numpy.ndarray) -> dict[str, float]:
    """Scores class logits against the right classes.

    Args:
        logits: (texts, classes).
        labels: The right class of each text.

    Returns:
        `accuracy`, `macro_f1` (over the classes that occur), `nll` (nats) and `ece`.
    """
    predicted = logits.argmax(axis=1)
    calibration = keras_ce.metrics.ExpectedCalibrationError(from_logits=True)
    calibration.update_state(numpy.asarray(labels), logits)
    probabilities = softmax(logits.astype("float64"), axis=1)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "macro_f1": float(f1_score(labels, predicted, average="macro")),
        "nll": float(log_loss(labels, probabilities, labels=range(logits.shape[1]))),
        "ece": float(calibration.result()),
    }


def score_linear_svm(
    train: LabelledTexts, test: LabelledTexts, *, tokens: str, class_weight: str | None
) -> tuple[dict[str, Any], numpy.ndarray]:
    """Trains the cheap rival of every text classifier, a linear SVM on TF-IDF, and scores it.

    Args:
        train: The texts to train on.
        test: The texts to score.
        tokens: How texts are split; one to three in a row count, and two to five characters.
        class_weight: `balanced` or `None`.

    Returns:
        `accuracy`, `macro_f1`, the `seconds` both steps took, and what the `model` is; and the
        label that it gives to each test text.
    """
    start = time.perf_counter()
    svm = LinearSVC(class_weight=class_weight, random_state=0)
    machine = make_pipeline(features_of_linear_svm(tokens), svm)
    predicted = machine.fit(train.texts, train.labels).predict(test.texts)
    scores = {
        "model": "linear SVM on TF-IDF of words and characters",
        "accuracy": float(accuracy_score(test.labels, predicted)),
        "macro_f1": float(f1_score(test.labels, predicted, average="macro")),
        "seconds": round(time.perf_counter() - start, 2),
    }
    return scores, predicted


def features_of_linear_svm(tokens: str) -> Any:
    """TF-IDF of words and of characters, unfitted; `tokens` as in `score_linear_svm`."""
    return make_union(
        TfidfVectorizer(
            tokenizer=lambda text: split_tokens(text, tokens),
            token_pattern=None,
            ngram_range=(1, 3),
            sublinear_tf=True,
        ),
        TfidfVectorizer(analyzer="char", ngram_range=(2, 5), sublinear_tf=True),
    )


def outcomes(
    probabilities: numpy.ndarray, labels: numpy.ndarray, of_baseline: numpy.ndarray
) -> dict[str, Outcomes]:
    """What each test text has to say on the measures of `score_logits` but the calibration error.

    Args:
        probabilities: (texts, classes).
        labels: The right class of each text, its id.
        of_baseline: The ids of the classes that the baseline predicts.
    """
    predicted = probabilities.argmax(axis=1)
    is_right = predicted == labels
    right = probabilities[numpy.arange(len(labels)), labels]
    return {
        "accuracy": Outcomes(mean, is_right, of_baseline == labels),
        "macro_f1": Outcomes(
            _macro_f1,
            numpy.stack([labels, predicted], axis=1),
            numpy.stack([labels, of_baseline], axis=1),
        ),
        "nll": Outcomes(mean, -numpy.log(numpy.maximum(right, numpy.finfo("float64").tiny))),
    }


def _macro_f1(pairs: numpy.ndarray) -> float:
    """As scikit-learn's, for pairs of right and predicted class, a hundred times as fast."""
    size = pairs.max() + 1
    hits = numpy.bincount(pairs[pairs[:, 0] == pairs[:, 1], 0], minlength=size)
    both = numpy.bincount(pairs.ravel(), minlength=size)
    return float((2 * hits[both > 0] / both[both > 0]).mean())


def scores_of_classes(counts: numpy.ndarray, classes: Sequence[Any]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, from the confusion matrix.

    Args:
        counts: (classes, classes): rows are right, columns predicted.
        classes: Their labels.

    Returns:
        For each class `label`, `texts` (how many are of it), `precision` (`None` where it is never
        predicted), `recall` (`None` without texts) and `f1` (`None` where both are).
    """
    return scores_of_counts(numpy.diag(counts), counts.sum(axis=1), counts.sum(axis=0), classes)


def scores_of_counts(
    hits: numpy.ndarray, right: numpy.ndarray, predicted: numpy.ndarray, classes: Sequence[Any]
) -> list[dict[str, Any]]:
    """The same, from the numbers of each class: of both, of its texts and of its predictions."""

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return [
        {
            "label": label,
            "texts": int(of_class),
            "precision": share(int(hit), int(as_class)),
            "recall": share(int(hit), int(of_class)),
            "f1": share(2 * int(hit), int(of_class + as_class)),
        }
        for label, hit, of_class, as_class in zip(classes, hits, right, predicted, strict=True)
    ]


def promises(probabilities: numpy.ndarray, labels: numpy.ndarray) -> list[dict[str, Any]]:
    """What it takes to promise an accuracy, at a confidence of 0.95.

    Args:
        probabilities: (texts, classes).
        labels: The right class of each text, its id.

    Returns:
        For each of `PROMISES` the promised `accuracy`, the `confidence`, the `threshold` on the
        largest probability, the `coverage` (share of the texts that reach it) and `right` (share of
        those that are right); the last three `None` where no threshold keeps the promise.
    """
    sureness, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    found: list[dict[str, Any]] = []
    for accuracy in PROMISES:
        threshold = coverage = right = None
        with contextlib.suppress(UserError):
            threshold = find_threshold(sureness, is_right, accuracy, _CONFIDENCE)
            is_answered = sureness >= threshold
            coverage, right = float(is_answered.mean()), float(is_right[is_answered].mean())
        found.append(
            {
                "accuracy": accuracy,
                "confidence": _CONFIDENCE,
                "threshold": threshold,
                "coverage": coverage,
                "right": right,
            }
        )
    return found


def write_report(
    run: TrainingRun, training: LabelledTexts, test: LabelledTexts
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Tests a classifier and its rival, and writes the numbers and the report.

    Args:
        run: With the fitted task.
        training: All texts that it has learned from.
        test: Other texts.

    Returns:
        What stands in `metrics.json`, and the measures of both for `print_comparison`.
    """
    classifier = run.task
    classes = classifier.classes_.tolist()
    probabilities = classifier.predict_proba(test.texts)
    baseline, of_baseline = score_linear_svm(
        training, test, tokens=classifier.tokens, class_weight=classifier.class_weight
    )
    id_of = {label: number for number, label in enumerate(classes)}
    labels = numpy.array([id_of[label] for label in test.labels])
    rival = numpy.array([id_of[label] for label in of_baseline.tolist()])
    predicted = probabilities.argmax(axis=1)
    counts = confusion_matrix(labels, predicted, labels=range(len(classes)))
    of_classes = scores_of_classes(counts, classes)
    is_known = are_known(training, test)
    metrics = run.report(
        classifier.evaluate(test.texts, test.labels),
        baseline,
        outcomes(probabilities, labels, rival),
        per_class=of_classes,
        parts=classifier.evaluate_parts(test.texts, test.labels),
        promises=promises(probabilities, labels),
        test_texts_in_training=int(is_known.sum()),
    )
    is_right = predicted == labels
    remarks = remarks_on_known(is_known, "accuracy", lambda rows: is_right[rows].mean())
    of_epochs = remarks_on_epochs(classifier.best_epochs_, classifier.epochs)
    run.draw_history(["loss", "accuracy"], unit="" if classifier.loss == "generalized" else "nats")
    figure = keras_ce.plots.risk_coverage(labels, probabilities)
    with whole_file(run.folder / "coverage.png") as file:
        figure.savefig(file, dpi=150)
    with whole_file(run.folder / "confusion.png") as file:
        unnamed = draw_confusion(file, counts, classes)
    by_font = confusion.note_on_fonts(unnamed, classes)
    for remark in (*remarks, *of_epochs, *by_font):
        print(remark)
    columns = columns_of(metrics)
    suspicious = find_suspicious(
        training, features_of_linear_svm(classifier.tokens), classifier.class_weight
    )
    run.write_table("suspicious.csv", Suspicion._fields, suspicious)
    run.write_page(
        metrics,
        MEASURES,
        columns,
        [
            _section_of_classes(of_classes, counts, training),
            section_of_training(run, of_epochs, "loss and accuracy"),
            Section(
                "What was taken for what",
                [
                    "Rows are the right classes, columns the predicted ones. The colour is the "
                    "share of the row, the number counts test texts.",
                    *by_font,
                    Picture(run.folder / "confusion.png", "confusion matrix"),
                ],
            ),
            _section_of_promises(metrics["promises"], run.folder / "coverage.png"),
            _section_of_mistakes(test, labels, probabilities, classes),
            section_of_explanations(classifier, test, labels, probabilities),
            section_of_suspicious(suspicious, len(training)),
        ],
        remarks,
    )
    return metrics, columns


def are_known(training: LabelledTexts, test: LabelledTexts) -> numpy.ndarray:
    """Whether each test text is a training text."""
    known = set(training.texts)
    return numpy.array([text in known for text in test.texts])


def remarks_on_known(
    is_known: numpy.ndarray, name: str, measure: Callable[[numpy.ndarray], float]
) -> list[str]:
    """What to say where a test text has been learned by heart: a measure of chosen others."""
    count = int(is_known.sum())
    if not count:
        return []
    remark = f"{count} of the {len(is_known)} test texts are training texts, word for word"
    if is_known.all():
        return [remark]
    return [f"{remark}; on the others the {name} is {measure(~is_known):.4f}"]


def columns_of(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is to be compared: the classifier, its rival, and its parts, each by itself."""
    whole = "both" if metrics["parts"] else "network"
    return {whole: metrics, "linear SVM": metrics["baseline"], **metrics["parts"]}


def section_of_training(run: TrainingRun, of_epochs: Sequence[str], curves: str) -> Section:
    """The curves, and what `remarks_on_epochs` says of them."""
    return Section("The training", [*of_epochs, Picture(run.folder / "history.png", curves)])


def remarks_on_epochs(best_epochs: Sequence[int], epochs: int) -> list[str]:
    """What to say where the training of a network might have gone on, had it been allowed to.

    Args:
        best_epochs: Of each network the epoch with the lowest validation loss, from 1.
        epochs: The largest that was allowed.
    """
    at_the_end = sum(best >= epochs for best in best_epochs)
    if not at_the_end:
        return []
    of_networks = f", for {at_the_end} of {len(best_epochs)} networks" if best_epochs[1:] else ""
    return [
        f"The lowest validation loss is that of the last epoch, number {epochs}{of_networks}: "
        "more epochs (--epochs) may do better."
    ]


def _section_of_classes(
    of_classes: Sequence[dict[str, Any]], counts: numpy.ndarray, training: LabelledTexts
) -> Section:
    """The table of the classes, with what each is most often taken for."""
    learned = dict(
        zip(*numpy.unique(numpy.array(training.labels), return_counts=True), strict=True)
    )
    mistaken = counts - numpy.diag(numpy.diag(counts))
    rows = []
    for number, scores in enumerate(of_classes):
        worst = int(mistaken[number].argmax())
        taken = f"{cut(of_classes[worst]['label'], LONGEST_NAME)} ({mistaken[number, worst]})"
        rows.append(
            [
                number + 1,
                cut(scores["label"], LONGEST_NAME),
                f"{learned.get(scores['label'], 0):,}",
                f"{scores['texts']:,}",
                *(
                    "-" if scores[name] is None else f"{scores[name]:.3f}"
                    for name in ("precision", "recall", "f1")
                ),
                taken if mistaken[number, worst] else "",
            ]
        )
    header = ["#", "class", "texts learned from", "test texts"]
    return Section(
        "Each class",
        [
            "Precision: of the texts that are given the class, the share that is of it. Recall: of "
            "the texts of the class, the share that is given it. F1 is their harmonic mean.",
            Table([*header, "precision", "recall", "F1", "most often taken for"], rows),
        ],
    )


def _section_of_promises(found: Sequence[dict[str, Any]], picture: pathlib.Path) -> Section:
    """What is left to answer where an accuracy is promised."""
    rows = [
        [
            f"{promise['accuracy']:.2f}",
            *(
                "-" if promise[name] is None else f"{promise[name]:.3f}"
                for name in ("threshold", "coverage", "right")
            ),
        ]
        for promise in found
    ]
    return Section(
        'When to say "I don\'t know"',
        [
            "Who answers only the texts that the classifier is surest of is wrong less often. For "
            "each accuracy, the lowest probability from which on answers keep it, on new texts of "
            f"this kind, at a confidence of {_CONFIDENCE:g} (an exact binomial bound); the share "
            'of the test texts that reach it; and the share of those that are right. A "-" says '
            "that so many test texts prove no such promise.",
            Table(["promised accuracy", "probability", "answered", "right"], rows),
            Picture(picture, "share of wrong answers by share of texts answered"),
        ],
    )


def _section_of_mistakes(
    test: LabelledTexts,
    labels: numpy.ndarray,
    probabilities: numpy.ndarray,
    classes: Sequence[Any],
) -> Section:
    """The mistakes that the network is surest of: some are mistakes of the labels."""
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = numpy.flatnonzero(predicted != labels)
    first = wrong[numpy.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    if not len(first):
        return Section("Mistakes", ["There is none among the test texts."])
    rows = [
        [
            f"{sure[row]:.3f}",
            cut(classes[predicted[row]], LONGEST_NAME),
            cut(classes[labels[row]], LONGEST_NAME),
            f"{probabilities[row, labels[row]]:.3f}",
            cut(test.texts[row], LONGEST_TEXT),
            *([test.rows[row]] if test.rows else []),
        ]
        for row in first
    ]
    return Section(
        "The most confident mistakes",
        [
            f"{len(first)} of {len(wrong)} mistakes among {len(labels)} test texts, the surest "
            "first. Where the predicted class is right after all, correct the label.",
            Table(
                [
                    "probability",
                    "predicted",
                    "label",
                    "its probability",
                    "text",
                    *(["row"] if test.rows else []),
                ],
                rows,
            ),
        ],
    )


def draw_confusion(file: pathlib.Path, counts: numpy.ndarray, classes: Sequence[Any]) -> list[int]:
    """Draws how often each class was taken for each other one.

    Returns:
        As `recipes.runs.confusion.draw_matrix`.
    """
    # Here, not above: the task needs no pictures.
    from matplotlib.figure import Figure

    side = confusion.side_of_matrix(len(classes)) + 2.2
    figure = Figure(figsize=(side, side), layout="constrained")
    unnamed = confusion.draw_matrix(figure.subplots(), counts, classes)
    figure.savefig(file, dpi=150)
    return unnamed
