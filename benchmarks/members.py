"""Are several networks, or the one that has learned from them, better than one?

    python -m benchmarks.members
    python -m benchmarks.members --train train_5500.label

Trains `TextClassifier` as it is, with `members=3`, and with `distill=True` as well, all with the
same seeds, on folds of the texts: of each fold a tenth of the other texts decides how long to train
and how much each part counts. Prints a Markdown table: percent right of the texts of all folds
together, the difference to the first row with its 95 % interval (bootstrap over texts), McNemar's
exact test, and the negative log-likelihood.
"""

import argparse
import time

import numpy as np
from scipy.stats import binomtest
from sklearn.model_selection import StratifiedKFold

from recipes.corpora import standard_library
from recipes.runs.intervals import Outcomes, mean, with_intervals
from recipes.tables import labelled_texts
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import TextClassifier

SETTINGS = {
    "one network": {},
    "members=3": {"members": 3},
    "members=3, distill=True": {"members": 3, "distill": True},
}


def main() -> None:
    """Trains on the folds and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.members")
    parser.add_argument("--train", metavar="FILE", help="labelled texts; else Python's docstrings")
    parser.add_argument("--tokens", default="words")
    parser.add_argument("--folds", type=int, default=2, help="of 5, %(default)s")
    options = parser.parse_args()
    texts = LabelledTexts(*standard_library.family_texts())
    if options.train:
        texts = labelled_texts.read_labelled_texts(options.train)
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(texts.texts, texts.labels)
    found = {name: ([], [], 0.0) for name in SETTINGS}
    for number, (learned, held_out) in zip(range(options.folds), folds, strict=False):
        given = LabelledTexts(*([each[row] for row in learned] for each in columns(texts)))
        training, validation = given.split(0.1, "validation")
        asked, labels = ([each[row] for row in held_out] for each in columns(texts))
        for name, settings in SETTINGS.items():
            start = time.perf_counter()
            classifier = TextClassifier(
                tokens=options.tokens, diagnosis=False, verbose=0, **settings
            ).fit(*columns(training), validation_data=columns(validation))
            right, surprise, seconds = found[name]
            probabilities = classifier.predict_proba(asked)
            ids = np.searchsorted(classifier.classes_, labels)
            right += (probabilities.argmax(axis=1) == ids).tolist()
            surprise += (-np.log(probabilities[np.arange(len(ids)), ids])).tolist()
            seconds += time.perf_counter() - start
            found[name] = (right, surprise, seconds)
            print(f"fold {number + 1}, {name}: {np.mean(right[-len(ids) :]):.4f}", flush=True)
    print(f"\n{len(found['one network'][0])} texts\n")
    print("| | right | less one network | McNemar's p | negative log-likelihood | seconds |")
    print("|---|---|---|---|---|---|")
    one = np.array(found["one network"][0])
    for name, (right, surprise, seconds) in found.items():
        right = np.array(right)
        compared = with_intervals({"right": Outcomes(mean, right, one)})["right"]
        low, high = compared["difference_interval"]
        only, other = int((right & ~one).sum()), int((one & ~right).sum())
        p_value = "1"
        if only + other:
            p_value = f"{binomtest(only, only + other).pvalue:.2g}"
        shown = f"{100 * compared['difference']:+.1f} ({100 * low:.1f} to {100 * high:.1f})"
        if name == "one network":
            shown, p_value = "", ""
        print(
            f"| {name} | {100 * right.mean():.1f} | {shown} | {p_value} | "
            f"{np.mean(surprise):.4f} | {seconds:.0f} |"
        )


def columns(texts: LabelledTexts) -> tuple[list, list]:
    """The texts and their labels."""
    return texts.texts, texts.labels


if __name__ == "__main__":
    main()
