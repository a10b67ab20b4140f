"""Trains an answer ranker, and asks its encoders for vectors and scores."""

from collections.abc import Mapping, Sequence

import keras
import numpy

import keras_ce
from recipes.answer_ranker.model import AnswerRanker
from recipes.answer_ranker.questions import RankingQuestion
from recipes.answer_ranker.scores import score_ranking
from recipes.answer_ranker.triples import AnswerTriples
from recipes.runs import before_training
from recipes.tokens.length_groups import predict_by_length
from recipes.tokens.vocabulary import TokenIds


class RankingCallback(keras.callbacks.Callback):
    """Ranks the validation questions after each epoch, and has the next wrong answers chosen.

    Args:
        ranker: What is trained.
        triples: What it learns from.
        validation: The questions to rank.
        among: As in `AnswerTriples.choose`; above 1, the hardest wrong answers are taken.
    """

    def __init__(
        self,
        ranker: AnswerRanker,
        triples: AnswerTriples,
        validation: Sequence[RankingQuestion],
        among: int,
    ) -> None:
        super().__init__()
        self._ranker = ranker
        self._triples = triples
        self._validation = validation
        self._among = among

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the measures to what the epoch logs."""
        labels = [question.labels for question in self._validation]
        scores = score_ranking(score_questions(self._ranker, self._validation), labels)
        logs.update({f"val_{name}": value for name, value in scores.items()})
        vectors = None
        if self._among > 1:
            vectors = (
                predict_by_length(self._ranker.question_encoder, self._triples.question_ids),
                predict_by_length(self._ranker.answer_encoder, self._triples.answer_ids),
            )
        self._triples.choose(self._among, vectors)


def train(
    ranker: AnswerRanker,
    training: Sequence[RankingQuestion],
    validation: Sequence[RankingQuestion],
    *,
    epochs: int,
    batch_size: int,
    margin: float,
    temperature: float,
    repeats: int,
    random_share: float,
    hardest_among: int,
    learning_rate: float,
    patience: int,
    seed: int,
    diagnosis: bool = False,
) -> Mapping[str, Sequence[float]]:
    """Trains until the mean average precision of the validation questions stops rising.

    Validated and kept are moving averages of the weights.

    Args:
        ranker: With a vocabulary.
        training: The questions to learn from.
        validation: The questions that decide when to stop.
        epochs: The largest number of passes over the right answers.
        batch_size: Right answers in a batch.
        margin: Of `MarginRanking`, for a trainer of triples.
        temperature: Of `InBatchCrossentropy`, for one that compares within a batch.
        repeats: As in `AnswerTriples`.
        random_share: Likewise.
        hardest_among: From the second epoch on, each wrong answer is the one that the model
            scores highest among this many.
        learning_rate: Of Adam.
        patience: Epochs without a higher mean average precision before the training stops.
        seed: Seed of the choice and order of the triples.
        diagnosis: Whether to stop before the first step where `keras_ce.diagnose` finds errors.

    Returns:
        Loss of each epoch, and the measures on the validation questions under `val_...`.
    """
    in_batch = len(ranker.trainer.inputs) == 2
    triples = AnswerTriples(
        training,
        lambda texts: token_ids(ranker, texts),
        batch_size,
        seed,
        repeats=repeats,
        random_share=random_share,
        in_batch=in_batch,
    )
    ranker.trainer.compile(
        optimizer=keras.optimizers.Adam(learning_rate, use_ema=True, ema_momentum=0.99),
        loss=(
            keras_ce.losses.InBatchCrossentropy(temperature)
            if in_batch
            else keras_ce.losses.MarginRanking(margin)
        ),
    )
    # In this order: the weights that are validated are those that are kept.
    callbacks = [
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        RankingCallback(ranker, triples, validation, hardest_among),
        keras.callbacks.EarlyStopping(
            monitor="val_map", mode="max", patience=patience, restore_best_weights=True
        ),
    ]
    if diagnosis:
        before_training.stop_on_errors(ranker.trainer, triples)
    return ranker.trainer.fit(triples, epochs=epochs, shuffle=False, callbacks=callbacks).history


def token_ids(ranker: AnswerRanker, texts: Sequence[str]) -> list[list[int]]:
    """A ranker's token ids of each text."""
    return list(map(tokenizer(ranker.answer_encoder), texts))


def tokenizer(encoder: keras.Model) -> TokenIds:
    """What turns texts into the token ids of an encoder."""
    size = encoder.get_layer("embedding").input_dim
    return TokenIds(encoder.vocabulary, encoder.token_kind, buckets=size - len(encoder.vocabulary))


def score_questions(
    ranker: AnswerRanker, questions: Sequence[RankingQuestion]
) -> list[numpy.ndarray]:
    """For each question the cosine of each candidate."""
    asked = predict_by_length(
        ranker.question_encoder, token_ids(ranker, [question.text for question in questions])
    )
    texts = list(dict.fromkeys(text for each in questions for text in each.candidates))
    vectors = predict_by_length(ranker.answer_encoder, token_ids(ranker, texts))
    row_of = {text: row for row, text in enumerate(texts)}
    return [
        vectors[[row_of[text] for text in question.candidates]] @ vector
        for question, vector in zip(questions, asked, strict=True)
    ]
