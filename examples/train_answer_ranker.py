"""Trains an answer ranker, and compares it with BM25 on the same questions.

    python -m examples.train_answer_ranker
    python -m examples.train_answer_ranker --train WikiQA-train.tsv.gz \
        --validation WikiQA-dev.tsv.gz --test WikiQA-test.tsv.gz

Without arguments it learns to find what a function or class of Python's own standard library does
from its name and the names of its parameters. Writes three models, their numbers and pictures into
a new folder, for `examples.search_answers`.

Reached on the test questions, mean and standard deviation over seeds, with 2 busy cores:

    questions                                     ranker           BM25   both added up    minutes
    WikiQA (seeds 0-4)         MAP                0.649 +- 0.013   0.631  0.665 +- 0.025   1.4
                               MRR                0.665 +- 0.014   0.642  0.683 +- 0.025
    standard library (0-2,     MRR, 1 right and   0.905 +- 0.005   0.853  0.918 +- 0.004   1.5
    Python 3.11.7)             9 other answers

BM25 here has stems, and its parameters are chosen on the validation questions, as is its weight in
the sum. With its package's defaults it reaches 0.592 (MAP, WikiQA).
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Sequence

from recipes.answer_ranker import data as ranking_sources
from recipes.runs import before_training, failures, run_folder
from recipes.tokens import vocabulary

LARGEST_VOCABULARY = 30_000
UNKNOWN_BUCKETS = 5_000
# The best found, on validation questions of WikiQA and of the standard library.
ARCHITECTURE = {
    "embedding_dim": 300,
    "units": 0,
    "word_sum": True,
    "length_pivot": 5.0,
    "word_dropout": 0.1,
    "dropout": 0.2,
}
TRAINING = {
    "margin": 0.3,
    "temperature": 0.05,
    "repeats": 4,
    "learning_rate": 2e-3,
    "patience": 5,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains and evaluates what the command line asks for."""
    options = parse(arguments)
    start = time.perf_counter()
    training, validation, test = ranking_sources.read_sources(options)
    in_batch = options.in_batch
    if in_batch is None:
        in_batch = not any(question.wrong for question in training)
    sizes = {"training": len(training), "validation": len(validation), "test": len(test)}
    folder = run_folder.create_run_folder(options.output, "answer_ranker")
    print(f"questions: {sizes}")

    # Not at the top: TensorFlow writes lines of its own when it is imported, and a mistake in the
    # command is to be answered by one line.
    import keras

    from recipes.answer_ranker import (
        baseline as ranking_baseline,
        build_answer_ranker,
        evaluation as ranking_report,
        training as ranker_training,
    )
    from recipes.answer_ranker.scores import score_ranking
    from recipes.text_classifier import evaluation as classification_report

    keras.utils.set_random_seed(options.seed)
    texts = [text for each in training for text in (each.text, *each.candidates)]
    tokens = vocabulary.build_vocabulary(
        texts, options.tokens, size=LARGEST_VOCABULARY, minimum_count=2
    )
    ranker = build_answer_ranker(
        len(tokens) + UNKNOWN_BUCKETS,
        vocabulary=tokens,
        token_kind=options.tokens,
        word_weights=word_weights(texts, tokens, options.tokens),
        in_batch=in_batch,
        **ARCHITECTURE,
    )
    history = ranker_training.train(
        ranker,
        training,
        validation,
        epochs=options.epochs,
        batch_size=options.batch_size,
        random_share=options.random_share,
        hardest_among=options.hardest_among,
        seed=options.seed,
        diagnosis=options.diagnosis,
        **TRAINING,
    )
    for name, model in ranker._asdict().items():
        # A copy without the optimizer's state: a third of the size, and loading it needs no loss.
        plain = type(model).from_config(model.get_config())
        plain.set_weights(model.get_weights())
        plain.save(folder / f"{name}.keras")

    scores = ranker_training.score_questions(ranker, test)
    labels = [question.labels for question in test]
    bm25 = ranking_baseline.choose_bm25(validation, options.tokens)
    weight = ranking_baseline.choose_weight(
        ranker_training.score_questions(ranker, validation),
        ranking_baseline.bm25_scores(validation, options.tokens, *bm25),
        [question.labels for question in validation],
    )
    bm25_scores = ranking_baseline.bm25_scores(test, options.tokens, *bm25)
    both = ranking_baseline.combined(scores, bm25_scores, weight)
    metrics = score_ranking(scores, labels)
    metrics |= {
        "baseline": {
            "model": "BM25",
            "k1": bm25[0],
            "b": bm25[1],
            **score_ranking(bm25_scores, labels),
        },
        "combined": {"bm25_weight": weight, **score_ranking(both, labels)},
        "questions": sizes,
        "epochs": len(history["loss"]),
        "validation_map": max(history["val_map"]),
        "seed": options.seed,
        "backend": keras.backend.backend(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    classification_report.write_metrics(folder, metrics)
    ranking_report.write_predictions(folder, test, scores)
    ranking_report.write_answers(folder, [*training, *validation, *test])
    ranking_report.draw_history(folder, history)
    ranking_report.print_metrics(metrics)
    print(f"models, numbers and pictures: {folder}")
    print(f'try it: python -m examples.search_answers {folder} "a question"')
    diagrams = {
        "model.png": ranker.trainer,
        "question_encoder.png": ranker.question_encoder,
        "answer_encoder.png": ranker.answer_encoder,
    }
    run_folder.draw_diagrams(folder, diagrams)


def word_weights(texts: Sequence[str], tokens: Sequence[str], kind: str) -> list[float]:
    """The square root of each id's inverse document frequency, at most 1.

    The square root because a shared word counts twice, in the question and in the answer.
    """
    counts = Counter(token for text in texts for token in set(vocabulary.split_tokens(text, kind)))
    most = math.log(len(texts) + 1)
    known = [math.log((len(texts) + 1) / (counts[token] + 1)) for token in tokens]
    return [math.sqrt(each / most) for each in [*known, *[most] * UNKNOWN_BUCKETS]]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.train_answer_ranker",
        description="Train an answer ranker and compare it with BM25.",
    )
    files = "a .csv, .tsv or .jsonl file, also gzipped: labelled pairs, triples, or WikiQA's own"
    parser.add_argument("--train", metavar="FILE", help=f"questions with answers: {files}")
    parser.add_argument("--test", metavar="FILE", help="questions to test with; else a fifth")
    parser.add_argument("--validation", metavar="FILE", help="questions to stop by; else a tenth")
    for name in ("question", "answer", "label", "right", "wrong"):
        parser.add_argument(f"--{name}-column", default=name, metavar="NAME", help="%(default)s")
    parser.add_argument(
        "--tokens",
        choices=vocabulary.TOKEN_KINDS,
        default="stems",
        help="%(default)s; words for other languages, characters for those without spaces",
    )
    parser.add_argument(
        "--candidates",
        type=failures.positive_integer,
        metavar="N",
        help="fill the candidates of validation and test questions up to this many by chance "
        f"(default: to {ranking_sources.CANDIDATES} where no wrong answer is given)",
    )
    parser.add_argument(
        "--random-share",
        type=failures.share,
        default=0.0,
        help="share of the wrong answers drawn from all answers (%(default)s)",
    )
    parser.add_argument(
        "--hardest-among",
        type=failures.positive_integer,
        default=1,
        metavar="N",
        help="above 1: of N wrong answers the hardest by the model so far, chosen every epoch",
    )
    parser.add_argument(
        "--in-batch",
        action=argparse.BooleanOptionalAction,
        help="learn from the other answers of a batch instead of chosen wrong ones "
        "(default: where no wrong answers are given)",
    )
    at_most = "at most, %(default)s; stops when validation does not improve"
    parser.add_argument("--epochs", type=failures.positive_integer, default=20, help=at_most)
    parser.add_argument(
        "--batch-size", type=failures.positive_integer, default=64, help="%(default)s"
    )
    parser.add_argument("--seed", type=failures.non_negative_integer, default=0, help="%(default)s")
    parser.add_argument("--output", metavar="DIR", help="new folder; else runs/answer_ranker-1")
    before_training.add_option(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    failures.run(main)
