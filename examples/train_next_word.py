"""Trains a model of the next word, and compares it with counted word triples.

    python -m examples.train_next_word
    python -m examples.train_next_word --train texts.txt

Without arguments it learns from the source files of Python's own standard library: code, comments
and docstrings, each word as it is written, without punctuation. Writes a model, its numbers and
its pictures into a new folder.

Reached on the test texts, seed 0, Python 3.11.7, a vocabulary of 32,996 words:

                 network   trigrams   both averaged
    perplexity   325.2     267.0      202.2
    accuracy      15.7 %    18.4 %

In three epochs, less than half of a pass over the texts, the network alone does not beat the
trigrams, which count all of them; `--words-per-epoch 200000` brings it to 282.2 and the average to
190.4. 8.5 % of the words are unknown, and count as one word.
"""

import argparse
import time
from collections.abc import Sequence

import numpy

from recipes.next_word import data as next_word_texts
from recipes.runs import failures, run_folder
from recipes.runs.failures import UserError
from recipes.tokens import vocabulary

ARCHITECTURE = {
    "embedding_dim": 128,
    "units": 128,
    "features_dim": 64,
    "embedding_shortcut": True,
}
# A word that the training texts hold once only is unknown: that is how the model learns what
# unknown words stand beside.
MINIMUM_COUNT = 2
PATIENCE = 2
CONTINUATIONS = 3
CONTINUATION_WORDS = 12


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains and evaluates what the command line asks for."""
    options = parse(arguments)
    start = time.perf_counter()
    texts = dict(
        zip(("training", "validation", "test"), next_word_texts.read_texts(options), strict=True)
    )
    words = vocabulary.build_vocabulary(
        texts["training"],
        options.tokens,
        size=options.vocabulary_size,
        minimum_count=MINIMUM_COUNT,
    )
    token_ids = vocabulary.TokenIds(words, options.tokens, longest=None)
    ids = {
        name: [numpy.array(each, dtype="int64") for each in map(token_ids, of_name) if each]
        for name, of_name in texts.items()
    }
    for name, of_name in ids.items():
        if not of_name:
            raise UserError(f"the {name} texts have no words; give others, or choose --tokens")
    if len(words) == 2:
        raise UserError("no word comes twice in the training texts; give more with --train")
    folder = run_folder.create_run_folder(options.output, "next_word")

    # Not at the top: TensorFlow writes lines of its own when it is imported, and a mistake in the
    # command is to be answered by one line.
    import keras

    from recipes.next_word import (
        baseline as next_word_baseline,
        build_next_word,
        evaluation as next_word_report,
        training as next_word_training,
    )
    from recipes.text_classifier import evaluation as classification_report
    from recipes.tokens import word_vectors

    sizes = {name: sum(map(len, of_name)) for name, of_name in ids.items()}
    print(f"words: {sizes}; vocabulary: {len(words)} of at most {options.vocabulary_size}")

    embedding_dim = min(ARCHITECTURE["embedding_dim"], len(words) - 1)
    keras.utils.set_random_seed(options.seed)
    model = build_next_word(
        len(words),
        label_smoothing=options.label_smoothing,
        word_vectors=word_vectors.vectors_of_words(
            ids["training"], len(words), embedding_dim, options.seed
        ),
        word_counts=numpy.bincount(numpy.concatenate(ids["training"]), minlength=len(words)),
        vocabulary=words,
        token_kind=options.tokens,
        **(ARCHITECTURE | {"embedding_dim": embedding_dim}),
    )
    history = next_word_training.train(
        model,
        ids["training"],
        ids["validation"],
        epochs=options.epochs,
        words_per_epoch=options.words_per_epoch,
        batch_size=options.batch_size,
        sequence_length=options.sequence_length,
        learning_rate=options.learning_rate,
        patience=PATIENCE,
        seed=options.seed,
    )
    model.predictor.save(folder / "model.keras")

    scores = {
        name: next_word_training.score_texts(model.predictor, ids[name], options.sequence_length)
        for name in ("validation", "test")
    }
    baseline = next_word_baseline.score_trigrams(
        ids["training"], ids["validation"], ids["test"], len(words)
    )
    metrics = next_word_report.measures(scores["test"])
    metrics |= {
        "baseline": baseline.metrics,
        "combined": next_word_report.combined(
            (scores["validation"].losses, baseline.validation),
            (scores["test"].losses, baseline.test),
        ),
        "words": sizes,
        "vocabulary_size": len(words),
        "epochs": len(history["loss"]),
        "seed": options.seed,
        "backend": keras.backend.backend(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    classification_report.write_metrics(folder, metrics)
    next_word_report.write_predictions(folder, ids["test"], scores["test"], words)
    next_word_report.draw_history(folder, history)
    next_word_report.print_metrics(metrics)
    for text in ids["test"][:CONTINUATIONS]:
        begun = text[: next_word_report.CONTEXT_WORDS]
        added = next_word_report.continuation(model.predictor, begun, CONTINUATION_WORDS)
        print(" ".join(words[token] for token in begun), "...", *(words[each] for each in added))
    print(f"model, numbers and pictures: {folder}")
    run_folder.draw_diagrams(folder, {"model.png": model.trainer})


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.train_next_word",
        description="Train a model of the next word and compare it with counted word triples.",
    )
    file = "one text per line, also gzipped"
    parser.add_argument("--train", metavar="FILE", help=f"texts: {file}")
    parser.add_argument("--test", metavar="FILE", help="texts to test with; else a twentieth")
    parser.add_argument("--validation", metavar="FILE", help="texts to stop by; else a twentieth")
    parser.add_argument(
        "--tokens",
        choices=("cased", "words", "characters"),
        default="cased",
        help="%(default)s: words as they are written, without punctuation; words: in lower case, "
        "with punctuation; characters for languages without spaces, such as Chinese",
    )
    positive = failures.positive_integer
    parser.add_argument(
        "--vocabulary-size",
        type=positive,
        default=50_000,
        help="at most, %(default)s; words that come once only are unknown",
    )
    at_most = "at most, %(default)s; stops when validation does not improve"
    parser.add_argument("--epochs", type=positive, default=3, help=at_most)
    parser.add_argument(
        "--words-per-epoch",
        type=positive,
        default=150_000,
        help="%(default)s; the next epoch goes on where the last one ended",
    )
    parser.add_argument("--batch-size", type=positive, default=32, help="windows, %(default)s")
    parser.add_argument(
        "--sequence-length", type=positive, default=64, help="words in a window, %(default)s"
    )
    parser.add_argument(
        "--learning-rate", type=failures.positive_number, default=1e-2, help="%(default)s"
    )
    parser.add_argument("--label-smoothing", type=failures.share, default=0.0, help="%(default)s")
    parser.add_argument("--seed", type=failures.non_negative_integer, default=0, help="%(default)s")
    parser.add_argument("--output", metavar="DIR", help="new folder; else runs/next_word-1")
    options = parser.parse_args(arguments)
    if options.vocabulary_size < 3:
        parser.error(
            "argument --vocabulary-size: expected at least 3, for padding, unknown words and one "
            f"word, received {options.vocabulary_size}"
        )
    return options


if __name__ == "__main__":
    failures.run(main)
