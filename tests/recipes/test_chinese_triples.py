"""Chinese triples of real people's sentences: the ranker against BM25 on characters."""

import json

import numpy as np
from backends import default_backend_only

from benchmarks.chinese_triples import shares
from recipes.answer_ranker import AnswerRanker
from recipes.answer_ranker.baseline import Candidates
from recipes.answer_ranker.data import RankingQuestion, answerable, from_triples


def test_equal_scores_count_half():
    question = RankingQuestion("a", ("b", "c"), ("d", "e"))
    found = shares([np.array([3.0, 1.0, 1.0, 2.0])], [question])
    assert found.tolist() == [(1 + 1 + 0.5 + 0) / 4]


@default_backend_only
def test_more_right_answers_come_before_wrong_ones_than_by_bm25(shared_data):
    with (shared_data / "simclue" / "train_rank_1w.json").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][:2400]
    names = ("query", "title", "neg_title")
    questions = answerable(from_triples(*([row[name] for row in rows] for name in names)))
    training, validation, test = questions[:600], questions[600:800], questions[800:]
    ranker = AnswerRanker(
        tokens="characters", epochs=1, batch_size=300, embedding_dim=32, verbose=0, diagnosis=False
    ).fit_questions(training, validation)
    bm25 = ranker.bm25_
    of_bm25 = Candidates(test, "characters").scores(bm25.saturation, bm25.length_penalty)
    share, rival = (shares(each, test).mean() for each in (ranker.scores(test), of_bm25))
    assert share > rival + 0.005
    assert rival > 0.9
