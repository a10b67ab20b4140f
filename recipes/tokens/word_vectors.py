"""Vectors of words from what follows them, and of the words that follow."""

from collections.abc import Sequence

import numpy
from scipy.sparse import coo_matrix, csr_matrix, vstack
from sklearn.decomposition import TruncatedSVD

from recipes.tokens.trigrams import contexts_and_words

OLDER = 0.7
"""How much the word before the last one counts: in part it says what the last one has said."""


def vectors_of_words(
    texts: Sequence[numpy.ndarray], vocabulary_size: int, length: int, seed: int
) -> numpy.ndarray:
    """Vectors that say in advance which words follow: a language model that begins with them.

    `last[a] @ following[c]` is about the logarithm of 1 + how many times as often c comes after a
    as it does anywhere; `older[a] @ following[c]` is the same for the word after that one, less a
    share. They are the largest singular vectors of both tables together, each word counting as much
    as the square root of how often it occurs (compare Levy & Goldberg 2014). It takes seconds.

    Args:
        texts: The word ids of each text.
        vocabulary_size: Number of ids.
        length: Of a vector; less than `vocabulary_size`.
        seed: Of the random projection that finds them.

    Returns:
        (3, vocabulary_size, length): `last`, `older` and `following`; zeros for words that do not
        occur there.
    """
    older, last, word = contexts_and_words(texts)
    of_last, of_older = (_table(each, word, vocabulary_size) for each in (last, older))
    machine = TruncatedSVD(length, n_iter=2, random_state=seed)
    both = machine.fit_transform(vstack([of_last, of_older]).tocsr())
    root = numpy.sqrt(machine.singular_values_.clip(1e-12))
    return numpy.stack(
        [
            both[:vocabulary_size] / root / _root_counts(last, vocabulary_size),
            OLDER * both[vocabulary_size:] / root / _root_counts(older, vocabulary_size),
            machine.components_.T * root / _root_counts(word, vocabulary_size),
        ]
    )


def _table(context: numpy.ndarray, word: numpy.ndarray, size: int) -> csr_matrix:
    """How much more often than by chance a word follows a context, weighed by both counts."""
    pairs, counts = numpy.unique(context * size + word, return_counts=True)
    root = _root_counts(context, size), _root_counts(word, size)
    context, word = numpy.divmod(pairs, size)
    weights = root[0][context, 0] * root[1][word, 0]
    ratio = counts * counts.sum() / weights**2
    # A pair seen once is chance more often than not: half its weight.
    values = numpy.log1p(ratio) * counts / (counts + 1) * weights
    return coo_matrix((values, (context, word)), (size, size)).tocsr()


def _root_counts(ids: numpy.ndarray, size: int) -> numpy.ndarray:
    return numpy.sqrt(numpy.bincount(ids, minlength=size).clip(1))[:, None]
