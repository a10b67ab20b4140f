"""The text classifier: token ids in, class logits out.

As its defaults stand it is the model of the study notes: Embedding, LSTM, Dense. The options
raise accuracy; `examples.train_text_classifier` uses the best found.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy
from keras import layers, ops

from recipes._arguments import (
    require_choice,
    require_flag,
    require_integer,
    require_room,
    require_share,
    require_texts,
)
from recipes.legend import ModelWithLegend, with_legend
from recipes.runs.failures import UserError
from recipes.tokens.model import MaskedPooling1D

POOLINGS = ("last", "mean", "max")
NGRAM_LOGITS = "ngram_logits"
"""The name of the layer of n-grams, in a model that has one."""


@keras.saving.register_keras_serializable(package="keras_ce")
class AffixEmbedding(layers.Layer):
    """A vector for each token id, from the vectors of the token's beginnings and endings.

    Tokens share them, so a word that training showed once is still known to end like "-ology".
    The result is their sum, divided by the square root of their number. Which affixes a token has
    is a table, made from the vocabulary.

    Args:
        vocabulary: The token of each id; 0 stands for padding and 1 for unknown tokens.
        buckets: Number of affix vectors, at least 2: affixes are hashed to ids from 1 on, and 0
            stands for none.
        output_dim: Length of a vector.
        longest: Characters of the longest beginning and ending; the shortest has one.

    Shapes:
        inputs: token ids (batch, time).
        Result: (batch, time, output_dim); zeros for a token without affixes.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        buckets: int,
        output_dim: int,
        longest: int = 4,
        **options: Any,
    ) -> None:
        """See the class."""
        super().__init__(**options)
        require_texts("vocabulary", vocabulary)
        require_integer("buckets", buckets, 2)
        require_integer("output_dim", output_dim, 1)
        require_integer("longest", longest, 1)
        self.vocabulary = tuple(vocabulary)
        self.buckets = buckets
        self.output_dim = output_dim
        self.longest = longest

    def build(self, input_shape: Any) -> None:
        """Creates the table and the vectors."""
        table = self._affixes()
        self.table = self.add_weight(
            name="table",
            shape=table.shape,
            initializer="zeros",
            dtype="int32",
            trainable=False,
        )
        self.table.assign(table)
        self.vectors = self.add_weight(
            name="vectors",
            shape=(self.buckets, self.output_dim),
            initializer=keras.initializers.RandomUniform(-0.02, 0.02),
        )

    def call(self, inputs: Any) -> Any:
        """Looks the affixes of `inputs` up and adds their vectors."""
        affixes = ops.take(self.table, inputs, axis=0)
        vectors = ops.take(self.vectors, affixes, axis=0)
        is_present = ops.expand_dims(ops.cast(ops.not_equal(affixes, 0), vectors.dtype), -1)
        count = ops.maximum(ops.sum(is_present, axis=-2), 1.0)
        return ops.sum(vectors * is_present, axis=-2) / ops.sqrt(count)

    def _affixes(self) -> numpy.ndarray:
        """The ids of the affixes of every token, (tokens, 2 * longest)."""
        rows = numpy.zeros((len(self.vocabulary), 2 * self.longest), dtype="int32")
        for row, token in zip(rows[2:], self.vocabulary[2:], strict=True):
            marked = f"<{token}>"
            lengths = range(2, min(self.longest + 1, len(marked)) + 1)
            affixes = {marked[:length] for length in lengths}
            affixes |= {marked[-length:] for length in lengths}
            for column, affix in enumerate(sorted(affixes)):
                row[column] = 1 + zlib.crc32(affix.encode()) % (self.buckets - 1)
        return rows

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {
            **super().get_config(),
            "vocabulary": list(self.vocabulary),
            "buckets": self.buckets,
            "output_dim": self.output_dim,
            "longest": self.longest,
        }


@keras.saving.register_keras_serializable(package="keras_ce")
class NgramLogits(layers.Layer):
    """The logits of a linear model that was fitted elsewhere: a frozen table.

    In each block the rows of the n-grams of a text are added up and divided by their norm; blocks
    and bias make the logits. `recipes.text_classifier.ngrams` fits it and finds the ids.

    Args:
        size: Number of n-grams.
        num_classes: Number of classes.

    Shapes:
        inputs: ids (batch, blocks, n-grams), from 1 on, each once; 0 is padding.
        Result: (batch, num_classes).
    """

    def __init__(self, size: int, num_classes: int, **options: Any) -> None:
        """See the class."""
        super().__init__(**{"trainable": False, **options})
        require_integer("size", size, 1)
        require_integer("num_classes", num_classes, 2)
        self.size = size
        self.num_classes = num_classes

    def build(self, input_shape: Any) -> None:
        """Creates the hashes of the n-grams, the table and the bias."""

        def zeros(name: str, shape: tuple[int, ...], dtype: str) -> Any:
            return self.add_weight(
                name=name, shape=shape, initializer="zeros", dtype=dtype, trainable=False
            )

        # What the ids stand for: ascending, that of id 1 first. The call does not need them.
        self.hashes = zeros("hashes", (self.size,), "int32")
        # The last column is the square that an n-gram adds to the norm.
        self.table = zeros("table", (1 + self.size, self.num_classes + 1), "float32")
        self.bias = zeros("bias", (self.num_classes,), "float32")

    def call(self, inputs: Any) -> Any:
        """Looks the rows of `inputs` up and adds them."""
        sums = ops.sum(ops.take(self.table, inputs, axis=0), axis=2)
        # A block without a known n-gram gives zeros; a square is at least 1.
        norms = ops.sqrt(ops.maximum(sums[..., -1:], 1.0))
        return ops.sum(sums[..., :-1] / norms, axis=1) + self.bias

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {**super().get_config(), "size": self.size, "num_classes": self.num_classes}


@keras.saving.register_keras_serializable(package="keras_ce")
class TextClassifierModel(ModelWithLegend):
    """A functional model that carries, in its own file, what its ids stand for."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of each id, or empty."""
        return tuple(self.legend.get("vocabulary", ()))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, or empty."""
        return tuple(self.legend.get("class_names", ()))

    @property
    def token_kind(self) -> str:
        """How texts are split, for example `words`, or empty."""
        return str(self.legend.get("token_kind", ""))

    # Methods: Keras goes over all that a model holds, and would find layers there once more.
    def ngram_layer(self) -> NgramLogits | None:
        """The layer of n-grams, or `None` where the network is alone."""
        return next((layer for layer in self.layers if isinstance(layer, NgramLogits)), None)

    def network(self) -> TextClassifierModel:
        """The network alone, from token ids to logits; its layers are shared."""
        if self.ngram_layer() is None:
            return self
        return type(self)(self.inputs[0], self.get_layer("logits").output, name=self.name)


def build_text_classifier(
    vocabulary_size: int = 10_000,
    num_classes: int = 10,
    *,
    embedding_dim: int = 128,
    units: int = 64,
    bidirectional: bool = False,
    pooling: str = "last",
    convolution_widths: Sequence[int] = (),
    convolution_filters: int = 100,
    affix_buckets: int = 0,
    longest_affix: int = 4,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    vocabulary: Sequence[str] = (),
    class_names: Sequence[str] = (),
    token_kind: str = "",
) -> TextClassifierModel:
    """Builds an LSTM classifier of token ids.

    Padding never changes the logits: the mask is built in the graph itself and handed to every
    layer that looks along time. A row of padding alone gives finite logits.

    Args:
        vocabulary_size: Number of token ids, 0 (padding) and 1 (unknown) included.
        num_classes: Number of classes.
        embedding_dim: Length of a token's vector.
        units: Units of the LSTM, in each direction. 0 for none, where there are convolutions.
        bidirectional: Whether a second LSTM reads backwards.
        pooling: What becomes of the LSTM's outputs: `"last"` keeps the last one, `"mean"` and
            `"max"` take the mean or the maximum over time.
        convolution_widths: Widths of convolutions between embedding and LSTM. Their maxima over
            time also go to the last layer directly, as in Kim (2014). None by default.
        convolution_filters: Number of filters of each width.
        affix_buckets: If above 0, the vectors of a token's beginnings and endings, hashed into
            this many, are added to its own. Needs `vocabulary`.
        longest_affix: Characters of the longest beginning and ending; the shortest has one.
        embedding_dropout: Share of the entries dropped in training, of the embeddings and of the
            convolutions before the LSTM.
        dropout: Share of the features before the last layer dropped in training.
        vocabulary: The token of each id, kept in the model, its copies and its file.
        class_names: The name of each class, likewise.
        token_kind: How texts are split into tokens, likewise.

    Returns:
        A model from token ids (batch, time) to logits (batch, num_classes). Compile it with
        `from_logits=True`.

    Raises:
        ValueError: If an argument is out of its range, or the machine too small for the model.
    """
    if isinstance(convolution_widths, str) or not isinstance(convolution_widths, Sequence):
        raise UserError(
            "`convolution_widths` must be a sequence of positive integers, for example (2, 3). "
            f"Received: convolution_widths={convolution_widths!r}."
        )
    for index, width in enumerate(convolution_widths):
        require_integer(f"convolution_widths[{index}]", width, 1)
    require_integer("vocabulary_size", vocabulary_size, 2)
    require_integer("num_classes", num_classes, 2)
    require_integer("embedding_dim", embedding_dim, 1)
    require_integer("units", units, 0 if convolution_widths else 1)
    require_integer("convolution_filters", convolution_filters, 1)
    require_integer("affix_buckets", affix_buckets, 0)
    require_integer("longest_affix", longest_affix, 1)
    require_flag("bidirectional", bidirectional)
    require_share("embedding_dropout", embedding_dropout)
    require_share("dropout", dropout)
    if affix_buckets == 1:
        raise UserError(
            "`affix_buckets` must be 0 (no affixes) or at least 2, because id 0 stands for none. "
            "Received: affix_buckets=1."
        )
    if affix_buckets and not vocabulary:
        raise UserError("`affix_buckets` needs `vocabulary`: affixes are read from the tokens.")
    for name, given, size in (
        ("vocabulary", vocabulary, vocabulary_size),
        ("class_names", class_names, num_classes),
    ):
        require_texts(name, given, size)
    require_choice("pooling", pooling, POOLINGS)
    directions = 1 + bidirectional
    read = len(convolution_widths) * convolution_filters or embedding_dim
    require_room(
        (vocabulary_size + affix_buckets) * embedding_dim
        + sum(convolution_widths) * embedding_dim * convolution_filters
        + directions * 4 * units * (units + read + 1)
        + num_classes * (directions * units + read),
        "units, embedding_dim, convolution_filters, affix_buckets and vocabulary_size",
    )

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    # The next Keras release stops recurrent layers from passing masks on: each layer gets it.
    ids = with_legend(tokens, vocabulary=vocabulary, class_names=class_names, token_kind=token_kind)
    mask = ops.not_equal(ids, 0)
    embedded = layers.Embedding(vocabulary_size, embedding_dim, name="embedding")(ids)
    if affix_buckets:
        affixes = AffixEmbedding(
            vocabulary, affix_buckets, embedding_dim, longest_affix, name="affixes"
        )
        embedded = layers.Add(name="token_vectors")([embedded, affixes(ids)])
    if embedding_dropout:
        embedded = layers.Dropout(embedding_dropout, name="embedding_dropout")(embedded)

    features = []
    if convolution_widths:
        # Zeros where the text has ended: what a convolution sees beyond an unpadded text too.
        visible = embedded * ops.cast(ops.expand_dims(mask, -1), embedded.dtype)
        found = [
            layers.Conv1D(
                convolution_filters,
                width,
                padding="same",
                activation="relu",
                name=f"convolution_{index}_width_{width}",
            )(visible)
            for index, width in enumerate(convolution_widths)
        ]
        embedded = layers.Concatenate(name="convolutions")(found) if len(found) > 1 else found[0]
        features.append(MaskedPooling1D("max", name="max_of_convolutions")(embedded, mask=mask))
        if embedding_dropout and units:
            embedded = layers.Dropout(embedding_dropout, name="convolution_dropout")(embedded)
    if units:
        lstm = layers.LSTM(units, return_sequences=pooling != "last", name="lstm")
        reader = layers.Bidirectional(lstm, name="both_directions") if bidirectional else lstm
        read = reader(embedded, mask=mask)
        if pooling != "last":
            read = MaskedPooling1D(pooling, name=f"{pooling}_over_time")(read, mask=mask)
        features.append(read)
    joined = layers.Concatenate(name="features")(features) if len(features) > 1 else features[0]
    if dropout:
        joined = layers.Dropout(dropout, name="dropout")(joined)
    logits = layers.Dense(num_classes, name="logits")(joined)
    return TextClassifierModel(tokens, logits, name="text_classifier")
