"""The cheap rival of every answer ranker: BM25 on the same candidates, without any training."""

import itertools
from collections.abc import Sequence

import bm25s
import numpy

from recipes.answer_ranker.questions import RankingQuestion
from recipes.answer_ranker.scores import mean_average_precision
from recipes.tokens.vocabulary import split_tokens

# The package's defaults, 1.5 and 0.75, are for documents; single sentences want less.
_TERM_SATURATIONS = (0.2, 0.5, 1.0, 1.5)
_LENGTH_PENALTIES = (0.0, 0.25, 0.5, 0.75)
_WEIGHTS = (0.0, *(round(0.005 * 2**step, 3) for step in range(8)))

Scores = list[numpy.ndarray]


class WordSearch:
    """BM25 over a collection of answers.

    Args:
        answers: The collection.
        token_kind: `words`, `stems` or `characters`.
        saturation: BM25's k1: how much a word counts that comes again.
        length_penalty: BM25's b: how much a long answer is held against it.
    """

    def __init__(
        self, answers: Sequence[str], token_kind: str, saturation: float, length_penalty: float
    ) -> None:
        self._token_kind = token_kind
        self._index = bm25s.BM25(k1=saturation, b=length_penalty)
        # A token of its own for answers without any: the package wants one at least.
        tokens = [split_tokens(answer, token_kind) or [""] for answer in answers]
        self._index.index(tokens, show_progress=False)

    def scores(self, question: str) -> numpy.ndarray:
        """The score of every answer."""
        tokens = set(split_tokens(question, self._token_kind))
        known = sorted(tokens.intersection(self._index.vocab_dict))
        if not known:
            return numpy.zeros(self._index.scores["num_docs"], dtype="float32")
        return self._index.get_scores(known)


def bm25_scores(
    questions: Sequence[RankingQuestion], token_kind: str, saturation: float, length_penalty: float
) -> Scores:
    """For each question the BM25 score of each candidate; counted over all candidates."""
    texts = list(dict.fromkeys(text for each in questions for text in each.candidates))
    row_of = {text: row for row, text in enumerate(texts)}
    search = WordSearch(texts, token_kind, saturation, length_penalty)
    return [
        search.scores(question.text)[[row_of[text] for text in question.candidates]]
        for question in questions
    ]


def choose_bm25(questions: Sequence[RankingQuestion], token_kind: str) -> tuple[float, float]:
    """The two parameters of BM25 with the highest mean average precision on some questions."""
    labels = [question.labels for question in questions]

    def precision(parameters: tuple[float, float]) -> float:
        return mean_average_precision(bm25_scores(questions, token_kind, *parameters), labels)

    return max(itertools.product(_TERM_SATURATIONS, _LENGTH_PENALTIES), key=precision)


def choose_weight(cosines: Scores, bm25: Scores, labels: Sequence[Sequence[int]]) -> float:
    """What to multiply BM25 by before it is added to the cosines; 0 where it does not help."""

    def precision(weight: float) -> float:
        return mean_average_precision(combined(cosines, bm25, weight), labels)

    return max(_WEIGHTS, key=precision)


def combined(cosines: Scores, bm25: Scores, weight: float) -> Scores:
    """For each question the sum of the two scores of each candidate."""
    return [cosine + weight * score for cosine, score in zip(cosines, bm25, strict=True)]
