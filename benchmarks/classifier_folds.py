"""Is the text classifier ahead of linear models, and of its own parts?

    python -m benchmarks.classifier_folds
    python -m benchmarks.classifier_folds --train train_5500.label
    python -m benchmarks.classifier_folds --train titles.tsv --tokens characters

Trains `TextClassifier` at its defaults on folds of training texts, and beside it the linear SVM
that `train_text_classifier` shows (TF-IDF of one to three words and two to five characters; with
`--tokens characters` of one to three characters). Prints a Markdown table: percent right of the
texts of all folds together, what the classifier has more, with the 95 % interval (bootstrap over
texts) and McNemar's exact test; then the mean of the folds' calibration errors and the seconds of
one training.
"""

import argparse
import time

import numpy as np
from scipy.stats import binomtest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from recipes.corpora import standard_library
from recipes.runs.intervals import Outcomes, mean, with_intervals
from recipes.tables import labelled_texts
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import TextClassifier
from recipes.text_classifier.evaluation import features_of_linear_svm
from recipes.text_classifier.training import predict_logits


def main() -> None:
    """Trains on the folds and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classifier_folds")
    parser.add_argument("--train", metavar="FILE", help="labelled texts; else Python's docstrings")
    parser.add_argument("--tokens", default="words")
    parser.add_argument("--folds", type=int, default=5, help="of 5, %(default)s")
    options = parser.parse_args()
    if options.train:
        texts = labelled_texts.read_labelled_texts(options.train)
    else:
        # The fifth that the example tests on decides nothing.
        texts, _ = LabelledTexts(*standard_library.family_texts()).split(0.2, "test")
    features = features_of_linear_svm("words")
    if options.tokens == "characters":
        features = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(texts.texts, texts.labels)
    right = {name: [] for name in ("linear SVM", "network", "n-grams", "classifier")}
    errors, seconds = [], []
    for number, (learned, held_out) in zip(range(options.folds), folds, strict=False):
        given, labels = ([each[row] for row in learned] for each in (texts.texts, texts.labels))
        asked, answers = ([each[row] for row in held_out] for each in (texts.texts, texts.labels))
        start = time.perf_counter()
        classifier = TextClassifier(tokens=options.tokens, verbose=0).fit(given, labels)
        seconds.append(time.perf_counter() - start)
        errors.append(classifier.evaluate(asked, answers)["ece"])
        logits = predict_logits(classifier.model_, asked)
        of_network = predict_logits(classifier.model_.network(), asked)
        svm = make_pipeline(features, LinearSVC(random_state=0)).fit(given, labels)
        said = {"linear SVM": svm.predict(asked)}
        for name, each in (
            ("network", of_network),
            ("n-grams", logits - of_network),
            ("classifier", logits),
        ):
            said[name] = classifier.classes_[each.argmax(axis=1)]
        for name, each in said.items():
            right[name] += (np.asarray(each) == np.asarray(answers)).tolist()
        shares = {name: f"{np.mean(each[-len(asked) :]):.4f}" for name, each in right.items()}
        print(f"fold {number + 1}, {seconds[-1]:.0f} s: {shares}", flush=True)
    whole = np.array(right["classifier"])
    print(f"\n{len(whole)} texts\n\n| | right | the classifier has more | McNemar's p |")
    print("|---|---|---|---|")
    for name, each in right.items():
        other = np.array(each)
        shown = p_value = ""
        if name != "classifier":
            compared = with_intervals({"right": Outcomes(mean, whole, other)})["right"]
            low, high = (100 * each for each in compared["difference_interval"])
            shown = f"{100 * compared['difference']:+.2f} ({low:.2f} to {high:.2f})"
            only, others = int((whole & ~other).sum()), int((other & ~whole).sum())
            p_value = f"{binomtest(only, only + others).pvalue:.2g}" if only + others else "1"
        print(f"| {name} | {100 * other.mean():.2f} | {shown} | {p_value} |")
    print(f"\ncalibration error {np.mean(errors):.4f}; seconds {np.median(seconds):.0f}")


if __name__ == "__main__":
    main()
