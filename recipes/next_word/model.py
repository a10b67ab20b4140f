"""The next-word model: what stands so far to the words that may come next.

Three things are added up at each place: what usually comes after the last word and after the one
before it, in the vectors of two Embeddings; what came after places before that are like this one,
such as the names that a program keeps repeating, found by attention; and what a convolution over
the last words makes of both. The output layer computes its cross-entropy without the matrix of all
positions and all words, so a vocabulary of tens of thousands of words trains in the memory of a
small one. Its kernel is the table of vectors that the attention takes means of: what is copied is
what is predicted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy
from keras import layers, ops

from keras_ce.layers import LinearCrossentropy
from recipes._arguments import (
    require_integer,
    require_room,
    require_share,
    shortened,
)
from recipes.legend import ModelWithLegend, with_legend

WINDOW = 3
"""Words that the convolution reads."""
COPIES = 2
"""Kinds of likeness by which places are found."""
COPIED = 1.5
"""How much a copied vector counts at first, beside those of the last two words."""


@keras.saving.register_keras_serializable(package="keras_ce")
class NextWordModel(ModelWithLegend):
    """A functional model that carries, in its own file, what its token ids stand for."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of each id, or empty."""
        return tuple(self.legend.get("vocabulary", ()))

    @property
    def token_kind(self) -> str:
        """How texts are split into tokens, or empty."""
        return self.legend.get("token_kind", "")


class NextWordModels(NamedTuple):
    """Two models over the same layers: what trains one trains both.

    `trainer` takes token ids and next-token ids (batch, time) and gives the loss of each position
    in nats, 0 where the next token is padding. Compile it without a loss and fit it without
    targets: it adds the mean loss itself.

    `predictor` takes token ids (batch, time) and gives the logits of the next word at each
    position, (batch, time, vocabulary_size).
    """

    trainer: NextWordModel
    predictor: NextWordModel


def build_next_word(
    vocabulary_size: int = 30_000,
    *,
    embedding_dim: int = 64,
    units: int = 256,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    label_smoothing: float = 0.0,
    word_vectors: Any = None,
    word_counts: Sequence[float] = (),
    vocabulary: Sequence[str] = (),
    token_kind: str = "",
) -> NextWordModels:
    """Builds a model of the next word.

    Padding, which stands at the end, never changes a loss or the logits of a word: nothing looks
    ahead, and padding among the next words does not count.

    Args:
        vocabulary_size: Number of token ids, 0 (padding) and 1 (unknown) included. Both are
            classes too: unknown words are predicted as one.
        embedding_dim: Length of a token's vectors, and of the features that those of the next words
            are multiplied by; the cost of the output layer is proportional to it.
        units: Units of the convolution.
        embedding_dropout: Share of the entries of the embeddings dropped in training.
        dropout: Share of the features before the output layer dropped in training.
        label_smoothing: Of the trainer's loss; see `keras_ce.layers.LinearCrossentropy`.
        word_vectors: The vectors of the tokens before training, (3, vocabulary_size,
            embedding_dim): as the last word, as the one before it, and as the next one; see
            `recipes.tokens.word_vectors`. By default random ones.
        word_counts: How often each id is the next word in the training texts, or empty. Before
            any training the model then predicts each word as often as it occurs.
        vocabulary: The token of each id, kept in the models' files.
        token_kind: How texts are split into tokens, likewise.

    Returns:
        The trainer and the predictor.

    Raises:
        ValueError: If an argument is out of its range.
    """
    require_integer("vocabulary_size", vocabulary_size, 2)
    require_integer("embedding_dim", embedding_dim, 1)
    require_integer("units", units, 1)
    require_share("embedding_dropout", embedding_dropout)
    require_share("dropout", dropout)
    if isinstance(vocabulary, str) or len(vocabulary) not in (0, vocabulary_size):
        raise ValueError(
            f"`vocabulary` must be a sequence of {vocabulary_size} strings, one for each id, or "
            f"empty. Received: vocabulary={shortened(vocabulary)}."
        )
    if len(word_counts) not in (0, vocabulary_size) or any(count < 0 for count in word_counts):
        raise ValueError(
            f"`word_counts` must be a sequence of {vocabulary_size} numbers >= 0, one for each "
            f"id, or empty. Received: word_counts={shortened(word_counts)}."
        )

    require_room(
        3 * vocabulary_size * embedding_dim + (WINDOW + 1 + COPIES) * embedding_dim * units,
        "vocabulary_size, embedding_dim and units",
    )

    if word_vectors is not None:
        word_vectors = ops.convert_to_tensor(word_vectors, "float32")
        if tuple(word_vectors.shape) != (3, vocabulary_size, embedding_dim):
            raise ValueError(
                "`word_vectors` must have the shape (3, vocabulary_size, embedding_dim) = "
                f"(3, {vocabulary_size}, {embedding_dim}). Received: word_vectors.shape="
                f"{tuple(word_vectors.shape)}."
            )

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    next_tokens = keras.Input((None,), dtype="int32", name="next_tokens")
    marked = with_legend(tokens, vocabulary=tuple(vocabulary), token_kind=token_kind)
    # Padding stands at the end, and nothing looks ahead: it needs no mask.
    tables = [
        layers.Embedding(vocabulary_size, embedding_dim, name=name)
        for name in ("last_word_vectors", "older_word_vectors", "next_word_vectors")
    ]
    last, older, following = (table(marked) for table in tables)
    if word_vectors is not None:
        for table, vectors in zip(tables, word_vectors, strict=True):
            table.embeddings.assign(vectors)
    if embedding_dropout:
        last = layers.Dropout(embedding_dropout, name="embedding_dropout")(last)
    read = layers.Conv1D(units, WINDOW, padding="causal", activation="relu", name="read")(last)
    state = layers.Concatenate(name="state")([read, last])
    copies = [_what_followed(state, following, f"copy_{number + 1}") for number in range(COPIES)]
    # At first nothing is changed: what has been counted and what is copied is a start of its own.
    change = layers.Concatenate(name="state_and_copies")([state, *copies])
    change = layers.Dense(embedding_dim, kernel_initializer="zeros", name="change")(change)
    weighed = [layers.Rescaling(COPIED / COPIES)(copied) for copied in copies]
    features = layers.Add(name="features")([last, _one_later(older, "older"), *weighed, change])
    if dropout:
        features = layers.Dropout(dropout, name="dropout")(features)
    head = LinearCrossentropy(
        vocabulary_size,
        label_smoothing=label_smoothing,
        ignore_class=0,
        tied_to=tables[-1],
        name="next_word",
    )
    trainer = NextWordModel([tokens, next_tokens], head(features, next_tokens), name="trainer")
    predictor = NextWordModel(tokens, head(features), name="predictor")
    if len(word_counts):
        # One more of each: the logarithm of 0 is no start for a word that is yet to come.
        total = sum(word_counts) + vocabulary_size
        frequencies = [math.log((count + 1) / total) for count in word_counts]
        bias: Any = head.bias
        bias.assign(numpy.array(frequencies, "float32"))
    return NextWordModels(trainer, predictor)


def _what_followed(state: Any, vectors: Any, name: str) -> Any:
    """Attention to like places: the vectors of the words that came after them.

    Args:
        state: What is known at each position, (batch, time, any).
        vectors: Of the word of each position, (batch, time, length).
        name: Begins the names of the layers.

    Returns:
        A mean of the vectors up to each position, (batch, time, length).
    """
    place = layers.Dense(
        vectors.shape[-1],
        # Three times as long as usual: an attention that is almost even learns slowly.
        kernel_initializer=keras.initializers.VarianceScaling(9.0, "fan_avg", "uniform"),
        name=f"{name}_place",
    )(state)
    # The word of a position came after the place before it.
    before = _one_later(place, f"{name}_place_before")
    attention = layers.Attention(use_scale=True, name=name)
    return attention([place, vectors, before], use_causal_mask=True)


def _one_later(values: Any, name: str) -> Any:
    """Each position gets what stood at the one before it, the first one zeros."""
    values = layers.ZeroPadding1D((1, 0), name=f"{name}_padded")(values)
    return layers.Cropping1D((0, 1), name=name)(values)
