"""The cheap rival of every answer ranker: BM25."""

from __future__ import annotations

import array
import collections
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy

from recipes.answer_ranker.data import RankingQuestion
from recipes.tokens.vocabulary import split_tokens

Scores = Sequence[numpy.ndarray]
"""For each question the score of each candidate."""


@dataclasses.dataclass(frozen=True)
class WordCounts:
    """What BM25 counts over a collection of answers."""

    answers: int
    mean_length: float
    answers_with: Mapping[str, int]
    """How many answers hold each token."""

    def rarity(self, token: str) -> float:
        """Inverse document frequency, as Lucene has it; tokens that no answer holds are rarest."""
        holding = self.answers_with.get(token, 0)
        return math.log(1 + (self.answers - holding + 0.5) / (holding + 0.5))


@dataclasses.dataclass(frozen=True)
class Bm25:
    """BM25 as a ranker is compared with it, and as it finds candidates in a large collection.

    The words are counted over the answers that `fit` was given. So the score of an answer is the
    same among whatever other answers it stands.
    """

    saturation: float
    """BM25's k1: how much a word counts that comes again."""
    length_penalty: float
    """BM25's b: how much a long answer is held against it."""
    counts: WordCounts


class WordIndex:
    """The words of a collection of answers, for BM25. Answers can be added at any time.

    Packages for BM25 weigh the words of a collection when they are given it: such an index cannot
    grow, nor score its answers by the counts of another collection.

    Args:
        answers: The collection.
        token_kind: `words`, `stems` or `characters`.
    """

    def __init__(self, answers: Iterable[str], token_kind: str) -> None:
        self._token_kind = token_kind
        self._lengths = array.array("l")
        # For each token the answers that hold it, and how often each does.
        self._rows: dict[str, array.array[int]] = {}
        self._occurrences: dict[str, array.array[int]] = {}
        self.add(answers)

    def __len__(self) -> int:
        """Number of answers."""
        return len(self._lengths)

    def __contains__(self, token: str) -> bool:
        """Whether an answer holds a token."""
        return token in self._rows

    def add(self, answers: Iterable[str]) -> None:
        """Adds answers to the collection."""
        for answer in answers:
            tokens = split_tokens(answer, self._token_kind)
            for token, count in collections.Counter(tokens).items():
                self._rows.setdefault(token, array.array("l")).append(len(self._lengths))
                self._occurrences.setdefault(token, array.array("l")).append(count)
            self._lengths.append(len(tokens))

    def counts(self) -> WordCounts:
        """The counts over this collection."""
        having = {token: len(rows) for token, rows in self._rows.items()}
        return WordCounts(len(self), sum(self._lengths) / max(len(self), 1), having)

    def scores(
        self, question: str, saturation: float, length_penalty: float, counts: WordCounts
    ) -> numpy.ndarray:
        """The BM25 score of every answer.

        Robertson and Zaragoza (2009), "The Probabilistic Relevance Framework: BM25 and Beyond".

        Args:
            question: Any text.
            saturation: See `Bm25`.
            length_penalty: Likewise.
            counts: Of this or of another collection.
        """
        scores = numpy.zeros(len(self))
        if not scores.size:
            return scores
        relative_lengths = numpy.frombuffer(self._lengths, "l") / max(counts.mean_length, 1e-9)
        # In one order, so that answers with the same words have the same score.
        for token in sorted(set(split_tokens(question, self._token_kind)).intersection(self._rows)):
            rows = numpy.frombuffer(self._rows[token], "l")
            occurrences = numpy.frombuffer(self._occurrences[token], "l")
            penalty = 1 - length_penalty + length_penalty * relative_lengths[rows]
            saturated = occurrences / (occurrences + saturation * penalty)
            scores[rows] += counts.rarity(token) * saturated
        return scores


class Candidates:
    """The candidates of some questions, for BM25.

    Args:
        questions: The questions.
        token_kind: `words`, `stems` or `characters`.
        counts: Counts of words; by default those over all candidates.
    """

    def __init__(
        self,
        questions: Sequence[RankingQuestion],
        token_kind: str,
        counts: WordCounts | None = None,
    ) -> None:
        self._questions = questions
        texts = list(dict.fromkeys(text for each in questions for text in each.candidates))
        self._words = WordIndex(texts, token_kind)
        self._counts = counts or self._words.counts()
        row_of = {text: row for row, text in enumerate(texts)}
        self._rows = [[row_of[text] for text in question.candidates] for question in questions]

    def scores(self, saturation: float, length_penalty: float) -> Scores:
        """For each question the BM25 score of each candidate."""
        return [
            self._words.scores(question.text, saturation, length_penalty, self._counts)[rows]
            for question, rows in zip(self._questions, self._rows, strict=True)
        ]
