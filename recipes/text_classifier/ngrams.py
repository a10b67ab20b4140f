"""A linear model of n-grams, fitted in seconds, which is added to the network's logits.

It knows single words and runs of characters by heart, the network what they have in common; they
err on different texts, and their sum errs less than either, or about as little as the better one.
Both stand in one Keras model, so that a classifier remains one file:
`recipes.text_classifier.model.NgramLogits` is the fitted table.

An n-gram is known by its hash alone. No list of millions of strings has to be kept, compared or
written, and a text's n-grams are found by a few operations on whole arrays.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy
import scipy.sparse
from keras import layers
from sklearn.svm import LinearSVC

from recipes.text_classifier.model import NGRAM_LOGITS, NgramLogits, TextClassifierModel
from recipes.tokens.vocabulary import split_tokens

_LONGEST_TEXT = (200, 2_000)
"""Tokens and characters of a text that count."""
# Chosen by cross-validation on training texts alone, in percent right of this linear model. TREC-6,
# five folds: words 1-3 and characters 2-5 87.3, words 1-2 and characters 1-5 87.5, ends of the text
# as tokens 87.6, stems too 87.8. The standard library, three folds: without stems 84.5, with them
# 85.2. Chinese titles, five folds: characters 1-3 85.6, 1-2 86.0. One norm for all blocks together
# is worse (TREC-6: 86.7 for 87.3); how often an n-gram stands in a text makes no difference.
_MOST_TOKENS = 2
_MOST_CHARACTERS = 5
_MOST_WEIGHTS = 2**24
"""Of the table: 64 MiB in the file."""
_FACTOR = numpy.uint64(0x9E3779B97F4A7C15)


def text_ngrams(text: str, token_kind: str) -> list[numpy.ndarray]:
    """The hashes of a text's n-grams, from 0 to 2**31 - 1, each once, one array for each block.

    A block has a norm of its own: there are many more characters in a row than words. With
    `characters` there is one block, one and two of them in a row; else there are three: one and
    two words, one and two stems, and one to five characters in a row. Beginning and end of the text
    count as tokens.

    Args:
        text: Any text.
        token_kind: As in `recipes.tokens.vocabulary.split_tokens`.
    """
    if token_kind == "characters":
        return [_hashes_of_tokens(text, token_kind)]
    words = split_tokens(text, "words")[: _LONGEST_TEXT[0]]
    characters = f" {' '.join(words)} "[: _LONGEST_TEXT[1]]
    return [
        _hashes_of_tokens(text, "words"),
        _hashes_of_tokens(text, "stems"),
        _hashes_of_runs([ord(each) for each in characters], _MOST_CHARACTERS, salt=3),
    ]


def _hashes_of_tokens(text: str, kind: str) -> numpy.ndarray:
    numbers = _numbers_of_tokens(text, kind)
    return _hashes_of_runs(numbers, _MOST_TOKENS, salt=2 if kind == "stems" else 1)


def _numbers_of_tokens(text: str, kind: str) -> list[int]:
    """A number for each token, those of the text's beginning and end included."""
    tokens = ["", *split_tokens(text, kind)[: _LONGEST_TEXT[0]], ""]
    return [zlib.crc32(token.encode()) for token in tokens]


def _hashes_of_runs(items: Sequence[int], longest: int, salt: int) -> numpy.ndarray:
    """A hash for every run of one to `longest` items; another one with another salt."""
    return numpy.unique(numpy.concatenate(_runs(items, longest, salt)))


def _runs(items: Sequence[int], longest: int, salt: int) -> list[numpy.ndarray]:
    """The hash of each run: for each length, from 1, those of all places, one after the other."""
    numbers = numpy.array(items, dtype="uint64")
    runs = numpy.full_like(numbers, salt)
    found = []
    for length in range(1, min(longest, len(numbers)) + 1):
        # The next item joins each run. Whole arrays wrap around without a word.
        runs = (runs[: len(numbers) - length + 1] ^ numbers[length - 1 :]) * _FACTOR
        runs ^= runs >> numpy.uint64(32)
        found.append((runs >> numpy.uint64(33)).astype("int32"))
    return found


def blocks_of_words(text: str, token_kind: str) -> tuple[list[dict[int, list[int]]], int]:
    """The blocks of `text_ngrams` with the places of the words that each n-gram covers.

    Returns:
        For each block a dict from hash to places, one for each word that an occurrence covers, and
        empty where it covers none; and the number of words that count.
    """
    kinds = ("characters",) if token_kind == "characters" else ("words", "stems")
    blocks = []
    owners: list[int | None]
    for kind in kinds:
        items = _numbers_of_tokens(text, kind)
        owners = [None, *range(len(items) - 2), None]
        blocks.append(_places(items, owners, _MOST_TOKENS, salt=2 if kind == "stems" else 1))
    if token_kind != "characters":
        words = split_tokens(text, "words")[: _LONGEST_TEXT[0]]
        characters = f" {' '.join(words)} "[: _LONGEST_TEXT[1]]
        owners = [None]
        for place, word in enumerate(words):
            owners += [place] * len(word) + [None]
        points = [ord(each) for each in characters]
        blocks.append(_places(points, owners, _MOST_CHARACTERS, salt=3))
    return blocks, len(split_tokens(text, kinds[0])[: _LONGEST_TEXT[0]])


def _places(
    items: Sequence[int], owners: Sequence[int | None], longest: int, salt: int
) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for length, runs in enumerate(_runs(items, longest, salt), 1):
        for start, run in enumerate(runs.tolist()):
            covered = {each for each in owners[start : start + length] if each is not None}
            found.setdefault(run, []).extend(sorted(covered))
    return found


@dataclasses.dataclass(frozen=True)
class LinearModel:
    """Class logits as a sum over the n-grams of a text, divided by their norm in each block."""

    token_kind: str
    hashes: numpy.ndarray
    """Of the n-grams that it knows, ascending, (n-grams,)."""
    rarity: numpy.ndarray
    """The inverse document frequency of each, (n-grams,)."""
    kernel: numpy.ndarray
    """(n-grams, classes)."""
    bias: numpy.ndarray
    """(classes,)."""

    def logits(self, texts: Sequence[str]) -> numpy.ndarray:
        """The logits of texts, (texts, classes)."""
        ngrams = [text_ngrams(text, self.token_kind) for text in texts]
        logits: numpy.ndarray = tfidf(ngrams, self.hashes, self.rarity) @ self.kernel
        return logits + self.bias


def tfidf(
    ngrams: Sequence[Sequence[numpy.ndarray]], hashes: numpy.ndarray, rarity: numpy.ndarray
) -> scipy.sparse.csr_array:
    """The TF-IDF of texts, (texts, n-grams): of an n-gram it counts whether, not how often."""
    places, values, counts = [], [], [0]
    for blocks in ngrams:
        of_blocks = [known_rows(hashes, block) for block in blocks]
        counts.append(sum(map(len, of_blocks)))
        for found in of_blocks:
            rare = rarity[found]
            places.append(found)
            values.append(rare / max(1.0, float(numpy.linalg.norm(rare))))
    # scikit-learn takes 32-bit indices only.
    ends = numpy.cumsum(counts).astype("int32")
    parts = (numpy.concatenate(values), numpy.concatenate(places).astype("int32"), ends)
    return scipy.sparse.csr_array(parts, shape=(len(ngrams), len(hashes)))


def known_rows(hashes: numpy.ndarray, found: numpy.ndarray) -> numpy.ndarray:
    """Where each hash that is known stands among the known ones; the others are left out."""
    places = numpy.minimum(numpy.searchsorted(hashes, found), len(hashes) - 1)
    rows: numpy.ndarray = places[hashes[places] == found]
    return rows


def fit_linear_model(
    texts: Sequence[str],
    labels: Any,
    *,
    token_kind: str,
    size: int,
    class_weight: Sequence[float] | None,
    seed: int,
) -> LinearModel:
    """Fits linear SVMs to the n-grams of texts, two for each class, one against the rest.

    Args:
        texts: To learn from.
        labels: The class of each, from 0 on, (texts,); where the classes are independent, 1 for
            each that is right and 0 for the others, (texts, classes). Exclusive classes all occur.
        token_kind: How texts are split into tokens.
        size: The largest number of n-grams, those of the most texts. With many classes fewer: the
            table has no more than 2**24 numbers.
        class_weight: A weight for each class, or `None`; of independent ones what a 1 weighs.
        seed: Decides in which order the texts are gone through.
    """
    ngrams = [text_ngrams(text, token_kind) for text in texts]
    hashes, counts = numpy.unique(
        numpy.concatenate([block for blocks in ngrams for block in blocks]), return_counts=True
    )
    labels = numpy.asarray(labels)
    classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    size = min(size, max(1, _MOST_WEIGHTS // classes))
    most_frequent = numpy.sort(numpy.argsort(-counts, kind="stable")[:size])
    hashes, counts = hashes[most_frequent], counts[most_frequent]
    rarity = 1 + numpy.log((1 + len(texts)) / (1 + counts))
    features = tfidf(ngrams, hashes, rarity)
    features.sort_indices()  # once, not in each fit

    # One against the rest for each class; of two the second against the first.
    columns = labels.T == 1 if labels.ndim == 2 else labels == numpy.arange(classes)[:, None]
    weights = [{1: weight} for weight in class_weight or [1.0] * classes]
    if labels.ndim == 1 and classes == 2:
        columns, weights = columns[1:], [{0: weights[0][1], 1: weights[1][1]}]
    kernel, bias = numpy.zeros((len(columns), len(hashes))), numpy.zeros(len(columns))
    for number, column in enumerate(columns):
        if column.min() == column.max():
            # Of one class only: the smallest weights without a loss.
            bias[number] = 2 * int(column[0]) - 1
            continue
        kernel[number], bias[number] = _fit_class(features, column, weights[number], seed)
    if len(columns) < classes:
        kernel = numpy.concatenate([-kernel, kernel]) / 2
        bias = numpy.concatenate([-bias, bias]) / 2
    return LinearModel(token_kind, hashes, rarity, kernel.T, bias)


def _fit_class(
    features: scipy.sparse.csr_array,
    is_of_class: numpy.ndarray,
    weights: Mapping[int, float],
    seed: int,
) -> tuple[numpy.ndarray, float]:
    """The mean of two linear SVMs that tell a class from the rest: kernel (n-grams,) and bias.

    One sees the features as they are; the other, NBSVM, each times its log-count ratio, how much
    more often texts of the class have it than the rest, so that what tells much is held back less.
    Wang and Manning (2012), "Baselines and Bigrams", section 2.3.
    """
    of_all = numpy.bincount(features.indices, minlength=features.shape[1])
    of_class = numpy.bincount(features[is_of_class].indices, minlength=features.shape[1])
    log_counts = [
        numpy.log((1 + counts) / (1 + counts).sum()) for counts in (of_class, of_all - of_class)
    ]
    kernels, biases = [], []
    for scale in (numpy.ones(features.shape[1]), log_counts[0] - log_counts[1]):
        scaled = features.copy()
        scaled.data *= scale[features.indices]
        # Looser than scikit-learn's tolerance, and not worse on texts that were not learned from.
        machine = LinearSVC(tol=1e-2, class_weight=weights, random_state=seed)
        machine.fit(scaled, is_of_class)
        kernels.append(scale * machine.coef_[0])
        biases.append(float(machine.intercept_[0]))
    return numpy.mean(kernels, axis=0), float(numpy.mean(biases))


def most_ids(texts: Sequence[str]) -> int:
    """The largest number of n-gram ids, padding included, that any of these texts can have."""
    characters = min(max(map(len, texts)), _LONGEST_TEXT[1]) + 2
    return 3 * max(64, 2 * _MOST_CHARACTERS * characters)


def ngram_ids(hashes: numpy.ndarray, texts: Sequence[str], token_kind: str) -> numpy.ndarray:
    """What `NgramLogits` takes, (texts, blocks, n-grams): ids of known n-grams, 0 for padding.

    Args:
        hashes: Of the n-grams that are known, ascending.
        texts: Any texts.
        token_kind: As in `text_ngrams`.
    """
    ids = [
        [1 + known_rows(hashes, block) for block in text_ngrams(text, token_kind)] for text in texts
    ]
    longest = max(len(block) for blocks in ids for block in blocks)
    # Each width is compiled anew: there are few powers of two.
    padded = numpy.zeros((len(ids), len(ids[0]), max(64, 2 ** (longest - 1).bit_length())), "int32")
    for row, blocks in zip(padded, ids, strict=True):
        for line, block in zip(row, blocks, strict=True):
            line[: len(block)] = block
    return padded


def with_linear_model(
    network: TextClassifierModel, linear: LinearModel, factor: float
) -> TextClassifierModel:
    """A model whose logits are the network's and, times a factor, the linear model's.

    Args:
        network: From token ids to logits; its layers are shared.
        linear: Of the same classes and the same kind of tokens.
        factor: What the linear model's logits are multiplied by.
    """
    blocks = len(text_ngrams("", linear.token_kind))
    ngrams = keras.Input((blocks, None), dtype="int32", name="ngrams")
    layer = NgramLogits(len(linear.hashes), len(linear.bias), name=NGRAM_LOGITS)
    logits = layers.Add(name="sum_of_logits")([network.output, layer(ngrams)])
    table = numpy.zeros((1 + len(linear.hashes), 1 + len(linear.bias)))
    table[1:, :-1] = factor * linear.rarity[:, None] * linear.kernel
    table[1:, -1] = linear.rarity**2
    layer.set_weights([linear.hashes, table, factor * linear.bias])
    return TextClassifierModel([*network.inputs, ngrams], logits, name=network.name)
