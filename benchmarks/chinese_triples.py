"""How often a ranker prefers the right one of two answers: SimCLUE's Chinese triples, and BM25.

    python -m benchmarks.chinese_triples --file ../shared/data/simclue/train_rank_1w.json

A fifth of the queries is for testing, chosen by a hash of the query; of the others the ranker
learns with its defaults and `tokens="characters"`. BM25 counts characters, with the parameters that
are the best for the validation queries. Equal scores count half. The intervals and p are those of a
report: the bootstrap over test queries and the paired test of `recipes.runs.intervals`.
"""

import argparse
import json
import pathlib
import time

import numpy

from recipes.answer_ranker import AnswerRanker
from recipes.answer_ranker.baseline import Candidates, Scores
from recipes.answer_ranker.data import (
    TEST_SHARE,
    VALIDATION_SHARE,
    RankingQuestion,
    answerable,
    from_triples,
    split_questions,
)
from recipes.runs.intervals import Outcomes, mean, with_intervals


def shares(scores: Scores, questions: list[RankingQuestion]) -> numpy.ndarray:
    """Of each question the share of its pairs of right and wrong answers that are in order."""
    found = []
    for of_question, question in zip(scores, questions, strict=True):
        is_right = numpy.array(question.labels) == 1
        ahead = of_question[is_right][:, None] - of_question[~is_right]
        found.append(numpy.mean((numpy.sign(ahead) + 1) / 2))
    return numpy.array(found)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chinese_triples")
    parser.add_argument("--file", type=pathlib.Path, required=True)
    parser.add_argument("--epochs", type=int, default=AnswerRanker().epochs)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with options.file.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    names = ("query", "title", "neg_title")
    questions = from_triples(*([row[name] for row in rows] for name in names))
    known, test = split_questions(answerable(questions), TEST_SHARE, "test")
    training, validation = split_questions(known, VALIDATION_SHARE, "validation")
    ranker = AnswerRanker(tokens="characters", epochs=options.epochs, seed=options.seed)
    start = time.perf_counter()
    ranker.fit_questions(training, validation)
    seconds = time.perf_counter() - start
    bm25 = ranker.bm25_
    of_bm25 = Candidates(test, "characters").scores(bm25.saturation, bm25.length_penalty)
    rival = shares(of_bm25, test)
    print(f"{len(training)} queries to learn from, {len(test)} to test with; {seconds:.0f} s")
    print("| | right before wrong, % | less BM25, points | p |\n|---|---|---|---|")
    for name, scores in (
        ("ranker", ranker.scores(test)),
        ("its cosine alone", ranker.cosines(test)),
        ("BM25", of_bm25),
    ):
        outcome = shares(scores, test)
        found = with_intervals({"share": Outcomes(mean, outcome, rival)})["share"]
        low, high = found["difference_interval"]
        print(
            f"| {name} | {100 * mean(outcome):.2f} | {100 * found['difference']:+.2f} "
            f"({100 * low:+.2f} to {100 * high:+.2f}) | {found['p_value']:.3f} |"
        )


if __name__ == "__main__":
    main()
