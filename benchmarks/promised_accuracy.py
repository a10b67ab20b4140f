"""Is a promised accuracy kept as often as the confidence says, and how much is left to answer?

    python -m benchmarks.promised_accuracy
    python -m benchmarks.promised_accuracy --train train_5500.label
    python -m benchmarks.promised_accuracy --train titles.tsv --tokens characters

Trains `TextClassifier` for a few epochs on half of the texts. The others are the population, whose
true accuracy above every threshold is known: from it, texts are drawn with replacement, a threshold
is found from them, and the promise is kept if the accuracy above that threshold, over the whole
population, is at least the promised one. Beside that, the population is cut into halves: one finds
the threshold, and the other one's answers are counted; there, chance in the counting half makes
mistakes too, and the halves pull in opposite directions, for what one has too much of the other
lacks. Prints a Markdown table. "none": draws in which no threshold keeps the promise; they count as
kept, for nothing is answered.
"""

import argparse

import numpy as np

from recipes.corpora import standard_library
from recipes.runs.abstention import find_threshold
from recipes.runs.failures import UserError
from recipes.tables import labelled_texts
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import TextClassifier


def held_out(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """The probability of the predicted class, and whether it is right, of texts not learned from.

    Returns:
        Both (texts,).
    """
    texts = LabelledTexts(*standard_library.family_texts())
    if options.train:
        texts = labelled_texts.read_labelled_texts(options.train)
    training, others = texts.split(0.5, "promise")
    settings = {"tokens": options.tokens, "epochs": options.epochs}
    classifier = TextClassifier(**settings, diagnosis=False, verbose=0)
    classifier.fit(training.texts, training.labels)
    probabilities = classifier.predict_proba(others.texts)
    predicted = classifier.classes_[probabilities.argmax(axis=1)]
    return probabilities.max(axis=1), predicted == np.array(others.labels)


def main() -> None:
    """Trains, draws and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.promised_accuracy")
    parser.add_argument("--train", metavar="FILE", help="labelled texts; else Python's docstrings")
    parser.add_argument("--tokens", default="words")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    sureness, is_right = held_out(options)
    count = len(sureness)
    print(f"{count} texts, accuracy {is_right.mean():.4f}, {options.draws} draws of each kind\n")
    print("| promise | confidence | drawn: kept | answered | none | halves: kept | answered |")
    print("|---|---|---|---|---|---|---|")
    for accuracy in (0.9, 0.95, 0.97):
        for confidence in (0.8, 0.95):
            random = np.random.default_rng(0)
            kept = {"drawn": 0, "halves": 0}
            answered = {"drawn": 0.0, "halves": 0.0}
            none = 0
            for _ in range(options.draws):
                mixed = random.permutation(count)
                parts = {
                    "drawn": (random.integers(0, count, count // 2), np.arange(count)),
                    "halves": (mixed[: count // 2], mixed[count // 2 :]),
                }
                for kind, (chosen, counted) in parts.items():
                    try:
                        promise = (accuracy, confidence)
                        threshold = find_threshold(sureness[chosen], is_right[chosen], *promise)
                    except UserError:
                        kept[kind] += 1  # nothing is answered, and nothing is wrong
                        none += kind == "drawn"
                        continue
                    answers = is_right[counted][sureness[counted] >= threshold]
                    kept[kind] += answers.mean() >= accuracy
                    answered[kind] += len(answers) / len(counted)
            shown = [
                f"{kept[kind] / options.draws:.3f} | {answered[kind] / options.draws:.2f}"
                for kind in kept
            ]
            columns = f"{accuracy} | {confidence} | {shown[0]} | {none} | {shown[1]}"
            print(f"| {columns} |", flush=True)


if __name__ == "__main__":
    main()
