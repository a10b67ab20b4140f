"""What a question and an answer share by their spelling, and a linear model of how much it says."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence

import numpy
from sklearn.linear_model import LogisticRegression

from recipes.answer_ranker.baseline import Scores, WordCounts
from recipes.answer_ranker.data import (
    CANDIDATES,
    RankingQuestion,
    answerable,
    fill_candidates,
)
from recipes.tokens.vocabulary import split_tokens

_KINDS = ("tokens", "pairs", "trigrams")
_SATURATIONS = ((0.2, 0.25), (1.5, 0.75))
"""BM25's k1 and b as they suit sentences, and documents."""
FEATURES = (
    "bm25_of_sentences",
    "bm25_of_documents",
    "length",
    *(f"{measure}_of_{kind}" for kind in _KINDS for measure in ("share", "cosine")),
)
"""What is known of a question and an answer; see `Overlap.features`."""
_FEWEST = 2
"""Parts that fewer answers hold are not counted one by one: most pairs of words come once."""
_MOST_QUESTIONS = 2_000
"""To learn the weights from, which are few."""
_LARGEST_FACTOR = 100.0
"""How much the overlap, whose scores are logits, may count beside the cosine; 0.05 to 0.1 where
the encoders have learned something."""


@dataclasses.dataclass(frozen=True)
class Overlap:
    """How much an answer's spelling says for it; added to the cosine of the encoders.

    Everything is counted over the answers of `fit`. So the score of an answer is the same among
    whatever other answers it stands.
    """

    token_kind: str
    """`words`, `stems` or `characters`."""
    counts: Mapping[str, WordCounts]
    """Of the tokens, of the pairs of neighbouring tokens, and of the trigrams of letters in words
    (for `characters`, where there are no words, of three tokens)."""
    weights: Sequence[float] = (0.0,) * len(FEATURES)
    """What each of `FEATURES` is multiplied by."""

    @classmethod
    def counted(cls, answers: Iterable[str], token_kind: str) -> Overlap:
        """An overlap whose weights are not known yet.

        Args:
            answers: What is counted over.
            token_kind: `words`, `stems` or `characters`.
        """
        holding: dict[str, collections.Counter[str]] = {
            kind: collections.Counter() for kind in _KINDS
        }
        lengths = collections.Counter[str]()
        number = 0
        for answer in answers:
            number += 1
            for kind, parts in parts_of(answer, token_kind).items():
                holding[kind].update(parts.keys())
                lengths[kind] += parts.total()
        counts = {
            kind: WordCounts(
                number,
                lengths[kind] / max(number, 1),
                {part: count for part, count in found.items() if count >= _FEWEST},
            )
            for kind, found in holding.items()
        }
        return cls(token_kind, counts)

    @functools.cached_property
    def _rarities(self) -> dict[str, tuple[dict[str, float], float]]:
        """For each kind the rarity of each part that is counted, and that of all others."""
        return {
            kind: ({part: counts.rarity(part) for part in counts.answers_with}, counts.rarity(""))
            for kind, counts in self.counts.items()
        }

    def features(self, question: str, answers: Sequence[str]) -> numpy.ndarray:
        """What is known of a question and each answer, (answers, features).

        The BM25 scores; the logarithm of the answer's length; and for tokens, pairs and trigrams
        the share of the question's that the answer holds, each counting as much as it is rare, and
        the cosine of both texts' vectors of rarities.

        Args:
            question: Any text.
            answers: Any texts.
        """
        asked = {
            kind: self._weighed(kind, parts)
            for kind, parts in parts_of(question, self.token_kind).items()
        }
        totals = {kind: sum(each.values()) or 1.0 for kind, each in asked.items()}
        squares = {kind: _square(each) for kind, each in asked.items()}
        mean_length = max(self.counts["tokens"].mean_length, 1e-9)
        rows = numpy.zeros((len(answers), len(FEATURES)))
        for row, answer in zip(rows, answers, strict=True):
            held = parts_of(answer, self.token_kind)
            length = held["tokens"].total()
            # In the order of the question: sums of the same numbers are the same.
            shared = {kind: [part for part in asked[kind] if part in held[kind]] for kind in _KINDS}
            for place, (saturation, penalty) in enumerate(_SATURATIONS):
                slowed = saturation * (1 - penalty + penalty * length / mean_length)
                row[place] = sum(
                    asked["tokens"][part] * held["tokens"][part] / (held["tokens"][part] + slowed)
                    for part in shared["tokens"]
                )
            row[2] = math.log(1 + length)
            for place, kind in enumerate(_KINDS):
                rarities = [asked[kind][part] for part in shared[kind]]
                of_answer = _square(self._weighed(kind, held[kind]))
                norm = math.sqrt(squares[kind] * of_answer) or 1.0
                row[3 + 2 * place] = sum(rarities) / totals[kind]
                row[4 + 2 * place] = sum(rarity**2 for rarity in rarities) / norm
        return rows

    def of(self, question: str, answers: Sequence[str]) -> numpy.ndarray:
        """The weighted sum of the features of each answer, (answers,)."""
        return self.features(question, answers) @ numpy.asarray(self.weights)

    def scores(self, questions: Sequence[RankingQuestion]) -> Scores:
        """For each question what `of` gives for its candidates."""
        return [self.of(question.text, question.candidates) for question in questions]

    def _weighed(self, kind: str, parts: Iterable[str]) -> dict[str, float]:
        rarities, of_others = self._rarities[kind]
        return {part: rarities.get(part, of_others) for part in parts}


def _square(rarities: Mapping[str, float]) -> float:
    return sum(rarity**2 for rarity in rarities.values())


def parts_of(text: str, token_kind: str) -> dict[str, collections.Counter[str]]:
    """The tokens of a text, the pairs of neighbours and the trigrams, and how often each comes."""
    tokens = split_tokens(text, token_kind)
    if token_kind == "characters":
        trigrams = ["".join(three) for three in zip(tokens, tokens[1:], tokens[2:], strict=False)]
    else:
        trigrams = [
            f"^{word}$"[start : start + 3]
            for word in split_tokens(text, "words")
            if word[0].isalnum()
            for start in range(len(word))
        ]
    pairs = [" ".join(pair) for pair in itertools.pairwise(tokens)]
    return dict(zip(_KINDS, map(collections.Counter, (tokens, pairs, trigrams)), strict=True))


def learn_overlap(
    training: Sequence[RankingQuestion],
    validation: Sequence[RankingQuestion],
    cosines: Scores,
    token_kind: str,
    seed: int,
) -> Overlap:
    """Counts the answers, and learns what the features say beside the cosines.

    The weights of the features are learned from the questions that the encoders have learned from;
    how much all of them count beside the cosine, from the validation questions, whose cosines no
    encoder has been trained to.

    Args:
        training: Questions to learn from. Those without wrong answers are given some by chance.
        validation: Questions with right and wrong answers.
        cosines: For each of these what the encoders say of each candidate.
        token_kind: `words`, `stems` or `characters`.
        seed: What decides the wrong answers, and which of very many questions count.
    """
    answers = list(
        dict.fromkeys(text for each in (*training, *validation) for text in each.candidates)
    )
    overlap = Overlap.counted(answers, token_kind)
    asked = answerable(training) or answerable(
        fill_candidates([each for each in training if each.right], CANDIDATES, answers, seed)
    )
    if len(asked) > _MOST_QUESTIONS:
        asked = random.Random(seed).sample(asked, _MOST_QUESTIONS)
    # Every answer may be right for all.
    asked = asked or list(validation)
    weights = pairwise_weights(
        [overlap.features(each.text, each.candidates) for each in asked],
        [each.labels for each in asked],
    )
    overlap = dataclasses.replace(overlap, weights=weights.tolist())
    both = zip(cosines, overlap.scores(validation), strict=True)
    of_cosine, of_overlap = pairwise_weights(
        [numpy.column_stack(each) for each in both], [each.labels for each in validation]
    )
    # Cosines that are of no use count a little: the overlap of other questions may say nothing.
    factor = max(of_overlap, 0.0) / max(of_cosine, abs(of_overlap) / _LARGEST_FACTOR, 1e-9)
    return dataclasses.replace(overlap, weights=(factor * weights).tolist())


def pairwise_weights(
    features: Sequence[numpy.ndarray], labels: Sequence[Sequence[int]]
) -> numpy.ndarray:
    """The weights with which right answers come before the wrong ones of the same question.

    Those of a logistic regression of the differences between right and wrong answers, in which
    each question counts alike.

    Args:
        features: For each question (candidates, features).
        labels: For each question 1 for a right candidate and 0 for a wrong one, of both at least
            one.

    Returns:
        (features,)
    """
    differences = []
    for rows, right in zip(features, labels, strict=True):
        is_right = numpy.asarray(right) == 1
        pairs = rows[is_right][:, None] - rows[~is_right][None]
        differences.append(pairs.reshape(-1, rows.shape[1]))
    everything = numpy.concatenate(differences)
    counts = numpy.array([len(each) for each in differences])
    scale = numpy.sqrt(numpy.square(everything).mean(axis=0)) + 1e-9
    # Each difference in both directions: there must be two classes.
    both = numpy.concatenate([everything, -everything]) / scale
    is_first = numpy.repeat([1, 0], len(everything))
    shares = numpy.tile(numpy.repeat(1 / counts, counts), 2)
    model = LogisticRegression(fit_intercept=False, max_iter=1000)
    return model.fit(both, is_first, shares).coef_[0] / scale
