"""What a finished answer ranker leaves in its run folder, and the numbers in it."""

import csv
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy
from matplotlib.figure import Figure

from recipes.answer_ranker.questions import RankingQuestion

MEASURES = {
    "map": "mean average precision",
    "mrr": "mean reciprocal rank",
    "precision_at_1": "precision at 1",
    "hit_at_10": "hit at 10",
}


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Prints the numbers of the ranker beside those of BM25 and of the two combined."""
    print(f"\n{'on the test questions':28}{'ranker':>10}{'BM25':>10}{'combined':>10}")
    for name, meaning in MEASURES.items():
        columns = (metrics[name], metrics["baseline"][name], metrics["combined"][name])
        print(f"{meaning:28}" + "".join(f"{value:10.4f}" for value in columns))
    print()


def write_predictions(
    folder: pathlib.Path,
    questions: Sequence[RankingQuestion],
    scores: Sequence[numpy.ndarray],
) -> None:
    """Writes `predictions.csv`: the candidates of each test question, the best first."""
    # The mark at the beginning makes spreadsheet programs read UTF-8.
    with open(folder / "predictions.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "rank", "score", "label", "answer"])
        for question, of_question in zip(questions, scores, strict=True):
            order = numpy.argsort(-of_question, kind="stable")
            for rank, index in enumerate(order, 1):
                writer.writerow(
                    [
                        question.text,
                        rank,
                        f"{of_question[index]:.4f}",
                        question.labels[index],
                        question.candidates[index],
                    ]
                )


def write_answers(folder: pathlib.Path, questions: Iterable[RankingQuestion]) -> None:
    """Writes `answers.jsonl`: every answer once, what `examples.search_answers` searches."""
    answers = dict.fromkeys(answer for question in questions for answer in question.candidates)
    with open(folder / "answers.jsonl", "w", encoding="utf-8") as file:
        for answer in answers:
            file.write(json.dumps({"answer": answer}, ensure_ascii=False) + "\n")


def draw_history(folder: pathlib.Path, history: Mapping[str, Sequence[float]]) -> None:
    """Draws `history.png`: loss and validation measures of every epoch."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history["loss"]) + 1)
    left.plot(epochs, history["loss"], marker=".")
    left.set_title("training loss")
    for name, meaning in MEASURES.items():
        right.plot(epochs, history[f"val_{name}"], marker=".", label=meaning)
    right.set_title("validation questions")
    right.legend()
    for panel in (left, right):
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
    figure.savefig(folder / "history.png", dpi=150)
