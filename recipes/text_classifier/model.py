"""The text classifier: token ids in, class logits out.

As its defaults stand it is the model of the study notes: Embedding, LSTM, Dense. The options
raise accuracy; `examples.train_text_classifier` uses the best found.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from recipes._arguments import (
    require_choice,
    require_flag,
    require_integer,
    require_share,
    shortened,
)
from recipes.tokens.model import MaskedPooling1D, TokenModel

POOLINGS = ("last", "mean", "max")


@keras.saving.register_keras_serializable(package="keras_ce")
class AffixEmbedding(layers.Layer):
    """A vector for each token id, from the vectors of the token's beginnings and endings.

    Tokens share them, so a word that training showed once is still known to end like "-ology".
    The result is their sum, divided by the square root of their number. Which affixes a token has
    is a table inside the layer, saved with its weights.

    Args:
        vocabulary_size: Number of token ids.
        affixes_per_token: Number of columns of the table.
        buckets: Number of affix vectors; affix ids lie in [1, buckets), and 0 stands for none.
        output_dim: Length of a vector.

    Shapes:
        inputs: token ids (batch, time).
        Result: (batch, time, output_dim); zeros for a token without affixes.
    """

    def __init__(
        self,
        vocabulary_size: int,
        affixes_per_token: int,
        buckets: int,
        output_dim: int,
        **options: Any,
    ) -> None:
        """See the class."""
        super().__init__(**options)
        self.vocabulary_size = vocabulary_size
        self.affixes_per_token = affixes_per_token
        self.buckets = buckets
        self.output_dim = output_dim

    def build(self, input_shape: Any) -> None:
        """Creates the table, empty at first, and the vectors."""
        self.table = self.add_weight(
            name="table",
            shape=(self.vocabulary_size, self.affixes_per_token),
            initializer="zeros",
            dtype="int32",
            trainable=False,
        )
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

    def fill_table(self, vocabulary: Sequence[str]) -> None:
        """Writes the affixes of every token into the table, hashed into the buckets."""
        longest = self.affixes_per_token // 2
        rows = [[0] * self.affixes_per_token for _ in vocabulary]
        for row, token in zip(rows[2:], vocabulary[2:], strict=True):  # 0: padding, 1: unknown
            marked = f"<{token}>"
            lengths = range(2, min(longest + 1, len(marked)) + 1)
            affixes = {marked[:length] for length in lengths}
            affixes |= {marked[-length:] for length in lengths}
            for column, affix in enumerate(sorted(affixes)):
                row[column] = 1 + zlib.crc32(affix.encode()) % (self.buckets - 1)
        self.table.assign(ops.convert_to_tensor(rows, dtype="int32"))

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "affixes_per_token": self.affixes_per_token,
            "buckets": self.buckets,
            "output_dim": self.output_dim,
        }


@keras.saving.register_keras_serializable(package="keras_ce")
class TextClassifier(TokenModel):
    """A functional model that carries, in its own file, what its ids stand for.

    Attributes:
        vocabulary: The token of each id, or empty.
        class_names: The name of each class, or empty.
        token_kind: How texts are split, for example `words`, or empty.
    """

    class_names: tuple[str, ...] = ()
    carried = (*TokenModel.carried, "class_names")


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
) -> TextClassifier:
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
        vocabulary: The token of each id, kept in the model's file.
        class_names: The name of each class, likewise.
        token_kind: How texts are split into tokens, likewise.

    Returns:
        A model from token ids (batch, time) to logits (batch, num_classes). Compile it with
        `from_logits=True`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if isinstance(convolution_widths, str) or not isinstance(convolution_widths, Sequence):
        raise ValueError(
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
        raise ValueError(
            "`affix_buckets` must be 0 (no affixes) or at least 2, because id 0 stands for none. "
            "Received: affix_buckets=1."
        )
    if affix_buckets and not vocabulary:
        raise ValueError("`affix_buckets` needs `vocabulary`: affixes are read from the tokens.")
    for name, given, size in (
        ("vocabulary", vocabulary, vocabulary_size),
        ("class_names", class_names, num_classes),
    ):
        if isinstance(given, str) or (len(given) > 0 and len(given) != size):
            raise ValueError(
                f"`{name}` must be a sequence of {size} strings, one for each id, or empty. "
                f"Received: {name}={shortened(given)}."
            )
    require_choice("pooling", pooling, POOLINGS)

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    # The next Keras release stops recurrent layers from passing masks on: each layer gets it.
    mask = ops.not_equal(tokens, 0)
    embedded = layers.Embedding(vocabulary_size, embedding_dim, name="embedding")(tokens)
    if affix_buckets:
        affixes = AffixEmbedding(
            vocabulary_size, 2 * longest_affix, affix_buckets, embedding_dim, name="affixes"
        )
        embedded = layers.Add(name="token_vectors")([embedded, affixes(tokens)])
        affixes.fill_table(vocabulary)
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
    model = TextClassifier(tokens, logits, name="text_classifier")
    model.vocabulary = tuple(vocabulary)
    model.class_names = tuple(class_names)
    model.token_kind = token_kind
    return model
