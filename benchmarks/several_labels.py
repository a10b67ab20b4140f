"""What several labels for each text cost and bring, on texts that nothing was learned from.

    python -m benchmarks.several_labels
    python -m benchmarks.several_labels --train train_5500.label

There is no data set of several labels here, so the labels are properties of texts that have one
kind each: of TREC's questions the coarse and the fine class (`HUM` and `HUM:ind`); of the standard
library's docstrings the module family, and whether they stand at a class, at something private, and
at something with parameters, from none of these on. A fifth of the texts is held out. On the others
learn `TextClassifier`, with each loss, and the cheap rival, a linear SVM for each label; this one
with its own threshold of 0, and with thresholds found as the classifier's are, from decisions of
five folds. Prints a Markdown table.
"""

import argparse
import time
from typing import Any

import numpy as np
from scipy.special import logit
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from recipes.corpora import standard_library
from recipes.tables import labelled_texts
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import TextClassifier, evaluation, several_labels

NAMES = ("micro_f1", "macro_f1", "hamming")


def trec(file: str) -> LabelledTexts:
    """Questions, each with its coarse and its fine class."""
    found = labelled_texts.read_labelled_texts(file, fine_labels=True)
    return LabelledTexts(found.texts, [(each.split(":")[0], each) for each in found.labels])


def docstrings() -> LabelledTexts:
    """First paragraphs of docstrings, each with what is known of where it stands."""
    labels_of_text: dict[str, tuple[str, ...]] = {}
    for each in standard_library.walk_docstrings():
        properties = {
            each.family: bool(each.family),
            "class": each.kind == "class",
            "parameters": bool(each.parameters),
            "private": each.name.split(".")[-1].startswith("_"),
        }
        labels = tuple(str(name) for name, is_so in properties.items() if is_so)
        if len(each.first_paragraph.split()) >= 4:
            labels_of_text.setdefault(each.first_paragraph, labels)
    return LabelledTexts(list(labels_of_text), list(labels_of_text.values()))


def rivals(
    training: LabelledTexts, test: LabelledTexts, targets: np.ndarray
) -> dict[str, tuple[np.ndarray, float]]:
    """What the cheap rival predicts of the test texts, at 0 and with thresholds, and seconds."""
    start = time.perf_counter()
    features = evaluation.features_of_linear_svm("words")
    learned, asked = features.fit_transform(training.texts), features.transform(test.texts)
    machine = OneVsRestClassifier(LinearSVC(random_state=0))
    decisions = machine.fit(learned, targets).decision_function(asked)
    seconds = time.perf_counter() - start
    folds = KFold(5, shuffle=True, random_state=0)
    unseen = cross_val_predict(machine, learned, targets, cv=folds, method="decision_function")
    thresholds = logit(np.array(several_labels.best_thresholds(unseen, targets)))
    return {
        "SVM at 0": (decisions > 0, seconds),
        "SVM with thresholds": (decisions >= thresholds, time.perf_counter() - start),
    }


def main() -> None:
    """Trains and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.several_labels")
    parser.add_argument("--train", metavar="FILE", help="TREC's questions; else docstrings")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    texts = trec(options.train) if options.train else docstrings()
    training, test = texts.split(0.2, "several labels")
    classes, ids = several_labels.classes_and_ids(training.labels, len(training), None)
    targets = several_labels.indicators(ids, len(classes))
    right = several_labels.indicators(
        several_labels.ids_of(test.labels, len(test), classes), len(classes)
    )
    print(f"{len(classes)} labels, {len(training)} texts to learn from, {len(test)} held out\n")
    print("| | micro F1 | macro F1 | Hamming | nll | ece | seconds |")
    print("|---|---|---|---|---|---|---|")

    def show(name: str, scores: dict[str, Any], seconds: float) -> None:
        cells = [
            f"{scores[each]:.4f}" if each in scores else "-" for each in (*NAMES, "nll", "ece")
        ]
        print(f"| {name} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)

    for name, (predicted, seconds) in rivals(training, test, targets).items():
        show(name, several_labels.scores_of_predictions(predicted, right), seconds)
    for loss in ("sigmoid", "multi-label-softmax"):
        start = time.perf_counter()
        classifier = TextClassifier(loss=loss, seed=options.seed, verbose=0)
        classifier.fit(training.texts, training.labels)
        seconds = time.perf_counter() - start
        show(loss, classifier.evaluate(test.texts, test.labels), seconds)
        at_half = classifier.predict_proba(test.texts) >= 0.5
        show(f"{loss}, from 0.5 on", several_labels.scores_of_predictions(at_half, right), seconds)
        for part, scores in classifier.evaluate_parts(test.texts, test.labels).items():
            show(f"{loss}, {part} alone, from 0.5 on", scores, seconds)


if __name__ == "__main__":
    main()
