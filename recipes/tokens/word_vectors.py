"""Vectors of words from what follows them: words that the same words follow are close."""

from collections.abc import Sequence

import numpy
from scipy.sparse import coo_matrix
from sklearn.decomposition import TruncatedSVD

from recipes.tokens.trigrams import contexts_and_words


def vectors_of_words(
    texts: Sequence[numpy.ndarray], vocabulary_size: int, length: int, seed: int
) -> numpy.ndarray:
    """The largest singular vectors of the positive pointwise mutual information of neighbours.

    As in Levy & Goldberg (2014), with the next word alone for context. It takes seconds, and a
    language model that begins with such vectors starts well ahead.

    Args:
        texts: The word ids of each text.
        vocabulary_size: Number of ids.
        length: Of a vector; less than `vocabulary_size`.
        seed: Of the random projection that finds them.

    Returns:
        (vocabulary_size, length), of length 1 on average; zeros for words that nothing follows.
    """
    _, last, word = contexts_and_words(texts)
    pairs, counts = numpy.unique(last * vocabulary_size + word, return_counts=True)
    last, word = numpy.divmod(pairs, vocabulary_size)
    of_last = numpy.bincount(last, counts, vocabulary_size)[last]
    of_word = numpy.bincount(word, counts, vocabulary_size)[word]
    # A pair seen once is chance more often than not: half its weight.
    expected = of_last * of_word / counts.sum()
    information = numpy.log(counts / expected * counts / (counts + 1))
    table = coo_matrix(
        (numpy.maximum(information, 0), (last, word)), (vocabulary_size, vocabulary_size)
    )
    machine = TruncatedSVD(length, n_iter=2, random_state=seed)
    vectors = machine.fit_transform(table.tocsr()) / numpy.sqrt(machine.singular_values_)
    norms = numpy.linalg.norm(vectors, axis=1)
    return vectors / max(float(numpy.sqrt((norms**2).mean())), 1e-12)
