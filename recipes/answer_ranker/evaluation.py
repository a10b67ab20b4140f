"""How good a ranking is, and what a finished ranker leaves in its run folder."""

from __future__ import annotations

import itertools
import json
import pathlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import keras_rs
import numpy

from recipes.answer_ranker.baseline import Bm25, Candidates, Scores, WordCounts
from recipes.answer_ranker.data import RankingQuestion
from recipes.runs import model_files
from recipes.runs.failures import UserError
from recipes.runs.intervals import Outcomes, mean
from recipes.runs.report_page import Picture, Section, Table
from recipes.runs.training_run import TrainingRun, print_comparison
from recipes.runs.whole_files import whole_file

if TYPE_CHECKING:
    from recipes.answer_ranker.index import AnswerIndex, Found
    from recipes.answer_ranker.task import AnswerRanker

# Usual values, 1.5 and 0.75, are for documents; single sentences want less.
_SATURATIONS = (0.2, 0.5, 1.0, 1.5)
_LENGTH_PENALTIES = (0.0, 0.25, 0.5, 0.75)

_HIT_CUTOFF = 10
_RECALL_CUTOFFS = (1, 5)
_MISTAKES = 20
SEARCHED = max(_RECALL_CUTOFFS)
"""How many answers to a question `score_search` wants."""
MEASURES = {
    "map": "mean average precision",
    "mrr": "mean reciprocal rank",
    "precision_at_1": "precision at 1",
    "hit_at_10": "hit at 10",
}


def mean_average_precision(scores: Scores, labels: Sequence[Sequence[int]]) -> float:
    """The `map` of `score_ranking` alone."""
    return _result(keras_rs.metrics.MeanAveragePrecision, _ranked_labels(scores, labels))


def score_ranking(scores: Scores, labels: Sequence[Sequence[int]]) -> dict[str, float]:
    """Scores the candidates of some questions against what is right.

    Equal scores are put in a random order, always the same: the order of the candidates in a file
    often says which is right.

    Args:
        scores: For each question the score of each candidate.
        labels: For each question 1 for a right candidate and 0 for a wrong one.

    Returns:
        `map`, `mrr`, `precision_at_1` and `hit_at_10`, means over the questions.
    """
    ranked = _ranked_labels(scores, labels)
    return {
        "map": _result(keras_rs.metrics.MeanAveragePrecision, ranked),
        "mrr": _result(keras_rs.metrics.MeanReciprocalRank, ranked),
        "precision_at_1": _result(keras_rs.metrics.PrecisionAtK, ranked, k=1),
        "hit_at_10": float((ranked[:, :_HIT_CUTOFF] == 1).any(axis=1).mean()),
    }


def score_search(found: Sequence[Found], questions: Sequence[RankingQuestion]) -> dict[str, float]:
    """How much of what is right a search among all answers has found.

    Args:
        found: The first five answers to each question.
        questions: With right answers.

    Returns:
        `recall_at_1` and `recall_at_5`: the share of a question's right answers that is among the
        first, a mean over the questions.
    """
    return {
        f"recall_at_{k}": float(
            numpy.mean(
                [
                    len({answer for _, _, answer in best[:k]}.intersection(question.right))
                    / len(set(question.right))
                    for best, question in zip(found, questions, strict=True)
                ]
            )
        )
        for k in _RECALL_CUTOFFS
    }


def compare_searches(
    index: AnswerIndex, questions: Sequence[RankingQuestion]
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """What `score_search` gives for the ranker, for BM25 and for the encoders alone."""
    asked = [question for question in questions if question.right]
    texts = [question.text for question in asked]
    several = (
        index.best(texts, SEARCHED),
        index.best_by_words(texts, SEARCHED),
        index.best(texts, SEARCHED, add_overlap=False),
    )
    of_ranker, of_words, of_encoders = (score_search(found, asked) for found in several)
    return of_ranker, of_words, of_encoders


def choose_bm25(questions: Sequence[RankingQuestion], token_kind: str, counts: WordCounts) -> Bm25:
    """BM25 with the parameters of the highest mean average precision.

    Args:
        questions: Those that decide.
        token_kind: `words`, `stems` or `characters`.
        counts: What it counts by afterwards; here it counts over the candidates.
    """
    candidates = Candidates(questions, token_kind)
    labels = [question.labels for question in questions]

    def precision(parameters: tuple[float, float]) -> float:
        return mean_average_precision(candidates.scores(*parameters), labels)

    parameters = max(itertools.product(_SATURATIONS, _LENGTH_PENALTIES), key=precision)
    return Bm25(*parameters, counts)


def _ranked_labels(scores: Scores, labels: Sequence[Sequence[int]]) -> numpy.ndarray:
    """The labels of each question (questions, candidates), the best first; -1 for no candidate."""
    random = numpy.random.default_rng(0)
    ranked = numpy.full((len(scores), max(map(len, scores))), -1, dtype="float32")
    for row, of_question, right in zip(ranked, scores, labels, strict=True):
        of_question = numpy.asarray(of_question, dtype="float64")
        if not numpy.isfinite(of_question).all():
            raise UserError(
                "`scores` must be finite; a model that gives NaN ranks nothing: train it with a "
                "lower `learning_rate`"
            )
        order = numpy.lexsort((random.random(len(of_question)), -of_question))
        row[: len(of_question)] = numpy.asarray(right)[order]
    return ranked


def _result(metric_class: type, ranked: numpy.ndarray, k: int | None = None) -> float:
    metric = metric_class(k=k, shuffle_ties=False)
    places = numpy.arange(ranked.shape[1], 0, -1, dtype="float32")
    metric.update_state(ranked, numpy.tile(places, (len(ranked), 1)))
    return float(metric.result())


def outcomes(scores: Scores, bm25: Scores, labels: Sequence[Sequence[int]]) -> dict[str, Outcomes]:
    """What each question has to say on each measure of `score_ranking`.

    Args:
        scores: For each question the ranker's score of each candidate.
        bm25: Likewise BM25's.
        labels: For each question 1 for a right candidate and 0 for a wrong one.
    """
    ranker, rival = (_of_questions(_ranked_labels(each, labels)) for each in (scores, bm25))
    return {name: Outcomes(mean, ranker[name], rival[name]) for name in ranker}


def _of_questions(ranked: numpy.ndarray) -> dict[str, numpy.ndarray]:
    """The measures of `score_ranking` for each question (questions,)."""
    is_right = ranked == 1
    places = numpy.arange(1, ranked.shape[1] + 1)
    right = numpy.maximum(is_right.sum(axis=1), 1)
    return {
        "map": (is_right.cumsum(axis=1) / places * is_right).sum(axis=1) / right,
        "mrr": (is_right / places).max(axis=1),
        "precision_at_1": is_right[:, 0].astype("float64"),
        "hit_at_10": is_right[:, :_HIT_CUTOFF].any(axis=1).astype("float64"),
    }


def write_report(
    run: TrainingRun,
    ranker: AnswerRanker,
    test: Sequence[RankingQuestion],
    known: Iterable[RankingQuestion],
) -> None:
    """Tests a ranker, and writes and prints what a training leaves.

    Args:
        run: The training, with its folder.
        ranker: The ranker, fitted.
        test: The questions to test with.
        known: Questions whose answers are those that `examples.search_answers` searches.
    """
    answers = list(dict.fromkeys(answer for each in known for answer in each.candidates))
    labels = [question.labels for question in test]
    scores, cosines = ranker.scores(test), ranker.cosines(test)
    parameters = {"k1": ranker.bm25_.saturation, "b": ranker.bm25_.length_penalty}
    # It counts over the candidates of all test questions, as a search engine over them would.
    of_bm25 = Candidates(test, ranker.tokens).scores(*parameters.values())
    measures, bm25, encoder = (
        {**score_ranking(of_candidates, labels), **of_search}
        for of_candidates, of_search in zip(
            (scores, of_bm25, cosines), compare_searches(ranker.index(answers), test), strict=True
        )
    )
    metrics = run.report(
        measures,
        {"model": "BM25", **parameters, **bm25},
        outcomes(scores, of_bm25, labels),
        encoder=encoder,
        validation_map=max(ranker.history_["val_map"]),
        answers=len(answers),
    )
    ranker.save(run.folder / "trainer.keras")
    models = ranker.models_
    for model in (models.question_encoder, models.answer_encoder):
        model_files.write_model(model, run.folder / f"{model.name}.keras")
    _write_predictions(run, test, scores)
    lines = [json.dumps({"answer": answer}, ensure_ascii=False) + "\n" for answer in answers]
    with whole_file(run.folder / "answers.jsonl") as file:
        file.write_text("".join(lines), encoding="utf-8")
    _draw_history(run.folder, ranker.history_)
    columns = {"ranker": measures, "BM25": bm25, "cosine alone": encoder}
    shown = {**MEASURES, **{f"recall_at_{k}": f"recall at {k} of all" for k in _RECALL_CUTOFFS}}
    if max(len(question.candidates) for question in test) <= _HIT_CUTOFF:
        del shown["hit_at_10"]  # always 1
    scope = f"recall: among all {len(answers)} answers; the rest: among each question's candidates"
    run.write_page(
        metrics,
        shown,
        columns,
        [
            Section("The training", [Picture(run.folder / "history.png", "loss and ranking")]),
            _section_of_mistakes(test, scores),
        ],
        [f"The intervals are over test questions; {scope}"],
    )
    print_comparison("on the test questions", shown, columns)
    print(f"({scope})")
    print(f"models, numbers and pictures: {run.folder}")
    print(f'try it: python -m examples.search_answers {shlex.quote(str(run.folder))} "a question"')
    run.draw_diagrams(
        {
            "model.png": models.trainer,
            "question_encoder.png": models.question_encoder,
            "answer_encoder.png": models.answer_encoder,
        }
    )


def _section_of_mistakes(questions: Sequence[RankingQuestion], scores: Scores) -> Section:
    """The questions whose first answer is wrong, those first where it is furthest ahead."""
    wrong = []
    for question, of_question in zip(questions, scores, strict=True):
        first = int(numpy.argmax(of_question))
        right = [row for row, label in enumerate(question.labels) if label]
        if right and first not in right:
            best = max(right, key=lambda row: of_question[row])
            wrong.append(
                (
                    f"{of_question[first] - of_question[best]:.3f}",
                    question.text,
                    question.candidates[first],
                    question.candidates[best],
                )
            )
    if not wrong:
        return Section("Mistakes", ["Every test question has a right answer first."])
    shown = sorted(wrong, key=lambda row: float(row[0]), reverse=True)[:_MISTAKES]
    return Section(
        "The most confident mistakes",
        [
            f"{len(shown)} of {len(wrong)} test questions whose first answer is wrong, those first "
            "where its score is the furthest above that of the best right answer.",
            Table(["ahead by", "question", "first answer", "best right answer"], shown),
        ],
    )


def _write_predictions(
    run: TrainingRun, questions: Sequence[RankingQuestion], scores: Scores
) -> None:
    run.write_table(
        "predictions.csv",
        ["question", "rank", "score", "label", "answer"],
        (
            [
                question.text,
                rank,
                f"{of_question[row]:.4f}",
                question.labels[row],
                question.candidates[row],
            ]
            for question, of_question in zip(questions, scores, strict=True)
            for rank, row in enumerate(numpy.argsort(-of_question, kind="stable"), 1)
        ),
    )


def _draw_history(folder: pathlib.Path, history: Mapping[str, Sequence[float]]) -> None:
    """Draws `history.png`: loss and validation measures of every epoch."""
    # Not at the top: ranking takes no matplotlib.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history["loss"]) + 1)
    left.plot(epochs, history["loss"], marker=".")
    left.set_title("training loss")
    for name, meaning in MEASURES.items():
        right.plot(epochs, history[f"val_{name}"], marker=".", label=meaning)
    right.set_title("validation questions")
    # Beside the panel, where it covers no curve.
    right.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    for panel in (left, right):
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
    with whole_file(folder / "history.png") as file:
        figure.savefig(file, dpi=150)
