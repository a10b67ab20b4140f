"""Word triples, counted and smoothed in seconds: the cheap rival of every language model."""

from collections.abc import Sequence

import numpy

from recipes.tokens.vocabulary import UNKNOWN_ID


class _ContextCounts:
    """How often each word follows each context, as sorted keys `context * size + word`."""

    def __init__(self, keys: numpy.ndarray, counts: numpy.ndarray, size: int) -> None:
        self.keys, self.counts, self._size = keys, counts, size
        self._contexts, self._starts = numpy.unique(keys // size, return_index=True)
        self._totals = numpy.add.reduceat(counts, self._starts)
        self._starts = numpy.append(self._starts, len(keys))

    def smoothed(
        self,
        contexts: numpy.ndarray,
        words: numpy.ndarray,
        lower: numpy.ndarray,
        discount: float,
    ) -> numpy.ndarray:
        """Probability of each word after its context; the discounts go to `lower`."""
        place = _found(self._contexts, contexts)
        is_known = place >= 0
        total = numpy.where(is_known, self._totals[place], 1)
        kinds = numpy.where(is_known, numpy.diff(self._starts)[place], 1)
        place = _found(self.keys, contexts * self._size + words)
        kept = numpy.where(place >= 0, self.counts[place] - discount, 0.0)
        return numpy.where(is_known, (kept + discount * kinds * lower) / total, lower)

    def followers(self, contexts: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The words that have followed each context: the index of the context, and the word."""
        place = _found(self._contexts, contexts)
        counts = numpy.where(place >= 0, numpy.diff(self._starts)[place], 0)
        index = numpy.repeat(numpy.arange(len(contexts)), counts)
        nth = numpy.arange(len(index)) - (numpy.cumsum(counts) - counts)[index]
        return index, self.keys[self._starts[place][index] + nth] % self._size


def _found(ranked: numpy.ndarray, values: numpy.ndarray) -> numpy.ndarray:
    """Where each value stands among the ranked ones; -1 where it does not."""
    place = numpy.minimum(numpy.searchsorted(ranked, values), len(ranked) - 1)
    return numpy.where(ranked[place] == values, place, -1)


class TrigramModel:
    """An interpolated Kneser-Ney model of word triples (Chen & Goodman 1999, section 2.7).

    A triple's count, less a discount, over its context's; what the discounts leave is shared out
    by the last two words in the same manner, then by the word alone, then to all words alike.
    Below the triples, what counts is how many *different* words have stood before.

    Args:
        texts: The word ids of each training text.
        vocabulary_size: Number of ids; 0 is padding, which follows nothing.
        discount: What each count loses, between 0 and 1.
    """

    def __init__(
        self, texts: Sequence[numpy.ndarray], vocabulary_size: int, discount: float
    ) -> None:
        size = self._size = vocabulary_size
        self._discount = discount
        older, last, word = contexts_and_words(texts)
        keys, counts = numpy.unique((older * size + last) * size + word, return_counts=True)
        self._triples = _ContextCounts(keys, counts, size)
        keys, counts = numpy.unique(keys % size**2, return_counts=True)
        self._pairs = _ContextCounts(keys, counts, size)
        words, counts = numpy.unique(keys % size, return_counts=True)
        self._words = numpy.full(size, discount * len(words) / (size - 1))
        self._words[words] += counts - discount
        self._words[0] = 0
        self._words /= counts.sum()
        self._ranked_words = numpy.argsort(-self._words, kind="stable")

    def probabilities(
        self, older: numpy.ndarray, last: numpy.ndarray, word: numpy.ndarray
    ) -> numpy.ndarray:
        """The probability of each word after the two before it."""
        of_pair = self._pairs.smoothed(last, word, self._words[word], self._discount)
        contexts = older * self._size + last
        return self._triples.smoothed(contexts, word, of_pair, self._discount)

    def best_words(self, older: numpy.ndarray, last: numpy.ndarray, number: int) -> numpy.ndarray:
        """The most probable words after each two words (pairs, number), the best first.

        Where there are fewer words, 0 stands for what is missing.
        """
        # What has not followed both words is ranked as after the last one alone, and what has not
        # followed that, as by itself.
        lasts, place = numpy.unique(last, return_inverse=True)
        anywhere = numpy.tile(self._ranked_words[:number], (len(lasts), 1))
        index, words = _candidates(self._pairs.followers(lasts), anywhere, self._size)
        scores = self._pairs.smoothed(lasts[index], words, self._words[words], self._discount)
        after_last = _best(index, words, scores, (len(lasts), number))

        seen = self._triples.followers(older * self._size + last)
        index, words = _candidates(seen, after_last[place.ravel()], self._size)
        scores = self.probabilities(older[index], last[index], words)
        return _best(index, words, scores, (len(last), number))


def _candidates(
    seen: tuple[numpy.ndarray, numpy.ndarray], others: numpy.ndarray, size: int
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The words seen and the others (rows, number) of each row, once each, as row and word."""
    rows = numpy.repeat(numpy.arange(len(others)), others.shape[1])
    keys = [row * size + word for row, word in (seen, (rows, others.ravel()))]
    index, words = numpy.divmod(numpy.unique(numpy.concatenate(keys)), size)
    return index, words


def _best(
    index: numpy.ndarray, words: numpy.ndarray, scores: numpy.ndarray, shape: tuple[int, int]
) -> numpy.ndarray:
    """The words of each row with the highest scores, the smaller id first among equals."""
    order = numpy.lexsort((words, -scores, index))
    index, words = index[order], words[order]
    rank = numpy.arange(len(index)) - numpy.searchsorted(index, index)
    best = numpy.zeros(shape, dtype="int64")
    is_best = rank < shape[1]
    best[index[is_best], rank[is_best]] = words[is_best]
    return best


def contexts_and_words(
    texts: Sequence[numpy.ndarray],
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """For every word of the texts the last word but one before it, the last one, and itself.

    What stands before a text is unknown.
    """
    before = numpy.full(2, UNKNOWN_ID, dtype="int64")
    padded = [numpy.concatenate([before, text]) for text in texts]
    columns = zip(*((text[:-2], text[1:-1], text[2:]) for text in padded), strict=True)
    older, last, word = map(numpy.concatenate, columns)
    return older, last, word
