"""The answer ranker: questions and answers to vectors whose cosine says what answers what.

As its defaults stand it is the model of the study notes: one shared Embedding and LSTM for all
texts, and a Dense transform that the question alone passes. The options raise the mean average
precision; `examples.train_answer_ranker` uses the best found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from recipes._arguments import (
    require_choice,
    require_flag,
    require_integer,
    require_non_negative,
    require_positive,
    require_room,
    require_share,
    shortened,
)
from recipes.legend import ModelWithLegend, with_legend
from recipes.tokens.model import MaskedPooling1D

POOLINGS = ("last", "mean", "max")


@keras.saving.register_keras_serializable(package="keras_ce")
class UnitLength(layers.Layer):
    """Divides each vector by its Euclidean length; zeros stay zeros.

    `keras.layers.UnitNormalization` does so too, with a NaN for the gradient of a zero vector.

    Shapes:
        inputs: (batch, features).
        Result: the same.
    """

    def call(self, inputs: Any) -> Any:
        """Scales `inputs`."""
        square = ops.sum(ops.square(inputs), axis=-1, keepdims=True)
        return inputs / ops.sqrt(ops.maximum(square, 1e-16))


@keras.saving.register_keras_serializable(package="keras_ce")
class LengthPivot(layers.Layer):
    """Appends one learned coordinate, the same for every vector.

    A cosine divides by the length of the vector, so a long answer has to share more words with a
    question than a short one. With a large coordinate that says nothing, the lengths of all
    vectors come closer to each other. Without it, sums of words rank as if every answer had to be
    about the question alone.

    Args:
        initial: The coordinate before training, > 0; compare it with the length of the vectors.

    Shapes:
        inputs: (batch, features).
        Result: (batch, features + 1).
    """

    def __init__(self, initial: float, **options: Any) -> None:
        """See the class."""
        super().__init__(**options)
        require_positive("initial", initial)
        self.initial = initial

    def build(self, input_shape: Any) -> None:
        """Creates the coordinate."""
        self.pivot = self.add_weight(
            name="pivot", shape=(1,), initializer=keras.initializers.Constant(self.initial)
        )

    def call(self, inputs: Any) -> Any:
        """Appends the coordinate to `inputs`."""
        column = ops.ones_like(inputs[:, :1]) * self.pivot
        return ops.concatenate([inputs, column], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {**super().get_config(), "initial": self.initial}


@keras.saving.register_keras_serializable(package="keras_ce")
class RankerModel(ModelWithLegend):
    """A functional model that carries, in its own file, what its token ids stand for."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of each id, or empty."""
        return tuple(self.legend.get("vocabulary", ()))

    @property
    def token_kind(self) -> str:
        """How texts are split, for example `words`, or empty."""
        return str(self.legend.get("token_kind", ""))

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids, those of hashed unknown tokens included."""
        for layer in self.layers:
            if isinstance(layer, RankerModel):  # one of several: see `average_rankers`
                return layer.vocabulary_size
        return int(self.get_layer("embedding").input_dim)


class RankerModels(NamedTuple):
    """Three models over the same layers: what trains one trains all.

    `trainer` takes question, right answer and wrong answer, token ids (batch, time) each, and
    gives scores (batch, 2): the cosine of question and right answer, and that of question and
    wrong answer. Compile it with `MarginRanking` and fit it with zeros for labels: "the first is
    right". Built with `in_batch=True` it takes question and right answer, and gives the cosine of
    every question (row) with every answer (column) of the batch, for `InBatchCrossentropy`.

    The encoders turn token ids (batch, time) into vectors of length 1: the inner product of a
    question's and an answer's is their cosine. A row of padding alone gives finite vectors.
    """

    trainer: RankerModel
    question_encoder: RankerModel
    answer_encoder: RankerModel


def build_answer_ranker(
    vocabulary_size: int = 10_000,
    *,
    embedding_dim: int = 128,
    units: int = 64,
    bidirectional: bool = False,
    pooling: str = "last",
    word_sum: bool = False,
    word_weights: Sequence[float] = (),
    length_pivot: float = 0.0,
    word_dropout: float = 0.0,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    in_batch: bool = False,
    vocabulary: Sequence[str] = (),
    token_kind: str = "",
) -> RankerModels:
    """Builds the three models of an answer ranker.

    Padding never changes a score: the mask is built in the graph itself and handed to every layer
    that looks along time.

    The question's Dense transform starts as the identity: before any training, texts that share
    words are already close.

    Args:
        vocabulary_size: Number of token ids, 0 (padding) and 1 (unknown) included.
        embedding_dim: Length of a token's vector.
        units: Units of the LSTM, in each direction. 0 for none, where there is `word_sum`.
        bidirectional: Whether a second LSTM reads backwards.
        pooling: What becomes of the LSTM's outputs: `"last"` keeps the last one, `"mean"` and
            `"max"` take the mean or the maximum over time.
        word_sum: Whether the sum of the tokens' vectors, each times a learned weight of its
            token, stands beside what the LSTM gives. It is what finds shared words.
        word_weights: Those weights before training, one for each token id; the square root of
            the inverse document frequency does well. All ones by default.
        length_pivot: If above 0, a coordinate with this value before training is appended to
            each answer, so that long answers are not at a disadvantage. See `LengthPivot`.
        word_dropout: Share of the tokens that training leaves out of the sum.
        embedding_dropout: Share of the entries of the embeddings dropped in training.
        dropout: Share of the question's features dropped in training, before its transform.
        in_batch: Whether the trainer compares the questions and right answers of a batch with
            each other instead of taking a wrong answer for each.
        vocabulary: The token of each id, kept in the models' files. It may be shorter than
            `vocabulary_size`: ids beyond it stand for hashed unknown tokens.
        token_kind: How texts are split into tokens, likewise.

    Returns:
        The trainer and the two encoders.

    Raises:
        ValueError: If an argument is out of its range, or the machine too small for the models.
    """
    require_integer("vocabulary_size", vocabulary_size, 2)
    require_integer("embedding_dim", embedding_dim, 1)
    require_flag("word_sum", word_sum)
    require_integer("units", units, 0 if word_sum else 1)
    require_flag("bidirectional", bidirectional)
    require_choice("pooling", pooling, POOLINGS)
    require_non_negative("length_pivot", length_pivot)
    require_share("word_dropout", word_dropout)
    require_share("embedding_dropout", embedding_dropout)
    require_share("dropout", dropout)
    require_flag("in_batch", in_batch)
    for name, given in (("word_weights", len(word_weights) > 0), ("word_dropout", word_dropout)):
        if given and not word_sum:
            raise ValueError(f"`{name}` needs `word_sum=True`: nothing else weighs words.")
    if len(word_weights) not in (0, vocabulary_size):
        raise ValueError(
            f"`word_weights` must be a sequence of {vocabulary_size} numbers, one for each id, or "
            f"empty. Received: word_weights={shortened(word_weights)}."
        )
    if isinstance(vocabulary, str) or len(vocabulary) > vocabulary_size:
        raise ValueError(
            f"`vocabulary` must be a sequence of at most {vocabulary_size} strings, one for each "
            f"id. Received: vocabulary={shortened(vocabulary)}."
        )

    directions = 1 + bidirectional
    features = directions * units + embedding_dim * word_sum + bool(length_pivot)
    require_room(
        vocabulary_size * (embedding_dim + word_sum)
        + directions * 4 * units * (units + embedding_dim + 1)
        + features**2,
        "units, embedding_dim and vocabulary_size",
    )

    encode = _shared_layers(
        vocabulary_size,
        embedding_dim,
        units=units,
        bidirectional=bidirectional,
        pooling=pooling,
        word_sum=word_sum,
        word_weights=word_weights,
        word_dropout=word_dropout,
        embedding_dropout=embedding_dropout,
    )
    # Cosines of half precision would rank many answers alike.
    unit_length = UnitLength(dtype="float32", name="unit_length")
    pivot = LengthPivot(length_pivot, name="length_pivot") if length_pivot else None

    def answer_vector(tokens: Any) -> Any:
        features = encode(tokens)
        return unit_length(pivot(features) if pivot else features)

    inputs = [
        keras.Input((None,), dtype="int32", name=name)
        for name in ("question", "right_answer", "wrong_answer")[: 2 if in_batch else 3]
    ]
    question, right, *wrong = with_legend(inputs, vocabulary=vocabulary, token_kind=token_kind)
    right_vector = answer_vector(right)
    features = encode(question)
    if dropout:
        features = layers.Dropout(dropout, name="dropout")(features)
    transform = layers.Dense(
        right_vector.shape[-1], kernel_initializer="identity", name="question_transform"
    )
    question_vector = unit_length(transform(features))
    if in_batch:
        scores = ops.matmul(question_vector, ops.transpose(right_vector))
    else:
        cosine = layers.Dot(-1, dtype="float32", name="cosine")
        scores = layers.Concatenate(dtype="float32", name="scores")(
            [
                cosine([question_vector, right_vector]),
                cosine([question_vector, answer_vector(wrong[0])]),
            ]
        )
    return RankerModels(
        RankerModel(inputs, scores, name="trainer"),
        RankerModel(inputs[0], question_vector, name="question_encoder"),
        RankerModel(inputs[1], right_vector, name="answer_encoder"),
    )


def _shared_layers(
    vocabulary_size: int,
    embedding_dim: int,
    *,
    units: int,
    bidirectional: bool,
    pooling: str,
    word_sum: bool,
    word_weights: Sequence[float],
    word_dropout: float,
    embedding_dropout: float,
) -> Callable[[Any], Any]:
    """The layers that all texts pass, as a function from token ids to features."""
    embedding = layers.Embedding(
        vocabulary_size,
        embedding_dim,
        # Vectors of length 1 on average, and nearly at right angles to each other.
        embeddings_initializer=keras.initializers.RandomNormal(stddev=embedding_dim**-0.5),
        name="embedding",
    )
    drop_entries = layers.Dropout(embedding_dropout, name="embedding_dropout")
    if units:
        lstm = layers.LSTM(units, return_sequences=pooling != "last", name="lstm")
        reader = layers.Bidirectional(lstm, name="both_directions") if bidirectional else lstm
        if pooling != "last":
            over_time = MaskedPooling1D(pooling, name=f"{pooling}_over_time")
    if word_sum:
        weights = layers.Embedding(
            vocabulary_size, 1, embeddings_initializer="ones", name="word_weights"
        )
        if len(word_weights):
            weights.build()
            values = ops.convert_to_tensor([float(weight) for weight in word_weights], "float32")
            weights.embeddings.assign(ops.expand_dims(values, -1))
        drop_words = layers.Dropout(word_dropout, name="word_dropout")
        weigh = layers.Multiply(name="weighted_words")
        add_up = MaskedPooling1D("sum", name="sum_of_words")
    join = layers.Concatenate(name="features")

    def encode(tokens: Any) -> Any:
        # The next Keras release stops recurrent layers from passing masks on: each layer gets it.
        mask = ops.not_equal(tokens, 0)
        embedded = embedding(tokens)
        if embedding_dropout:
            embedded = drop_entries(embedded)
        features = []
        if units:
            read = reader(embedded, mask=mask)
            features.append(read if pooling == "last" else over_time(read, mask=mask))
        if word_sum:
            weight = weights(tokens)
            weight = drop_words(weight) if word_dropout else weight
            features.append(add_up(weigh([embedded, weight]), mask=mask))
        return join(features) if len(features) > 1 else features[0]

    return encode


def average_rankers(members: Sequence[RankerModels]) -> RankerModels:
    """One ranker whose cosines are the mean of several rankers' cosines.

    Its vectors are those of all members side by side, so they are as many times as long.

    Args:
        members: Built with the same arguments; their layers are shared, and vocabulary and
            kind of tokens are those of the first. One alone is returned as it is.
    """
    first = members[0]
    if len(members) == 1:
        return first
    inputs = [keras.Input((None,), dtype="int32", name=each.name) for each in first.trainer.inputs]
    trainer = first.trainer
    texts = with_legend(inputs, vocabulary=trainer.vocabulary, token_kind=trainer.token_kind)
    unit_length = UnitLength(dtype="float32", name="unit_length")

    def outputs(kind: str, given: Any) -> list[Any]:
        models = [getattr(member, kind) for member in members]
        return [
            RankerModel(model.inputs, model.outputs[0], name=f"{kind}_{number}")(given)
            for number, model in enumerate(models, 1)
        ]

    def joined(kind: str, given: Any) -> Any:
        return unit_length(
            layers.Concatenate(dtype="float32", name=f"all_{kind}s")(outputs(kind, given))
        )

    scores = layers.Average(dtype="float32", name="scores")(outputs("trainer", texts))
    return RankerModels(
        RankerModel(inputs, scores, name="trainer"),
        RankerModel(inputs[0], joined("question_encoder", texts[0]), name="question_encoder"),
        RankerModel(inputs[1], joined("answer_encoder", texts[1]), name="answer_encoder"),
    )
