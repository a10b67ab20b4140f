"""The next-word model: what stands so far to the words that may come next.

An Embedding, an LSTM, and attention to the places before that are like this one: the words that
came after them, such as the names that a program keeps repeating, may come again. The output layer
computes its cross-entropy without the matrix of all positions and all words, so a vocabulary of
tens of thousands of words trains in the memory of a small one. Its kernel is the table of vectors
that the attention takes means of: what is copied is what is predicted.
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
    embedding_dim: int = 128,
    units: int = 128,
    features_dim: int = 64,
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
        embedding_dim: Length of a token's vector.
        units: Units of the LSTM.
        features_dim: Length of the vectors of the next words, and of the features that they are
            multiplied by; the cost of the output layer is proportional to it.
        embedding_dropout: Share of the entries of the embeddings dropped in training.
        dropout: Share of the features before the output layer dropped in training.
        label_smoothing: Of the trainer's loss; see `keras_ce.layers.LinearCrossentropy`.
        word_vectors: The vectors of the tokens before training, (vocabulary_size, embedding_dim);
            by default random ones of length 1 on average.
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
    require_integer("features_dim", features_dim, 1)
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

    state_dim = units + embedding_dim
    require_room(
        vocabulary_size * (embedding_dim + features_dim)
        + 4 * units * state_dim
        + 3 * features_dim * state_dim,
        "vocabulary_size, embedding_dim, units and features_dim",
    )

    if word_vectors is not None:
        word_vectors = ops.convert_to_tensor(word_vectors, "float32")
        if tuple(word_vectors.shape) != (vocabulary_size, embedding_dim):
            raise ValueError(
                "`word_vectors` must have the shape (vocabulary_size, embedding_dim) = "
                f"({vocabulary_size}, {embedding_dim}). Received: word_vectors.shape="
                f"{tuple(word_vectors.shape)}."
            )

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    next_tokens = keras.Input((None,), dtype="int32", name="next_tokens")
    marked = with_legend(tokens, vocabulary=tuple(vocabulary), token_kind=token_kind)
    # Padding stands at the end, and nothing looks ahead: it needs no mask.
    embedding = layers.Embedding(
        vocabulary_size,
        embedding_dim,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=embedding_dim**-0.5),
        name="embedding",
    )
    embedded = embedding(marked)
    if word_vectors is not None:
        embedding.embeddings.assign(word_vectors)
    if embedding_dropout:
        embedded = layers.Dropout(embedding_dropout, name="embedding_dropout")(embedded)
    state = layers.LSTM(units, return_sequences=True, name="lstm")(embedded)
    state = layers.Concatenate(name="state")([state, embedded])
    table = layers.Embedding(vocabulary_size, features_dim, name="next_word_vectors")
    copied = _what_followed(state, table(marked), features_dim)
    features = layers.Concatenate(name="state_and_copied")([state, copied])
    features = layers.Dense(features_dim, name="features")(features)
    if dropout:
        features = layers.Dropout(dropout, name="dropout")(features)
    head = LinearCrossentropy(
        vocabulary_size,
        label_smoothing=label_smoothing,
        ignore_class=0,
        tied_to=table,
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


def _what_followed(state: Any, vectors: Any, length: int) -> Any:
    """Attention to like places: the vectors of the words that came after them.

    Args:
        state: What is known at each position, (batch, time, any).
        vectors: Of the word of each position, (batch, time, length).
        length: Of what like places are known by.

    Returns:
        A mean of the vectors up to each position, (batch, time, length).
    """
    place = layers.Dense(length, name="place")(state)
    # The word of a position came after the place before it.
    before = layers.ZeroPadding1D((1, 0), name="one_later")(place)
    before = layers.Cropping1D((0, 1), name="place_before")(before)
    attention = layers.Attention(use_scale=True, name="copied")
    return attention([place, vectors, before], use_causal_mask=True)
