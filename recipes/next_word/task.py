"""`NextWord`: from texts to the words that may follow other texts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy
import scipy.special

from recipes import _arguments as arguments
from recipes.estimators import Task
from recipes.next_word import data, evaluation, training
from recipes.next_word.model import NextWordModel, build_next_word
from recipes.runs.failures import UserError
from recipes.tokens import vocabulary, word_vectors
from recipes.tokens.texts import checked_texts

TOKEN_KINDS = ("cased", "words", "characters")


class NextWord(Task):
    """Predicts which words may come next in a text, and how probable they are.

    Args:
        tokens: `"cased"`: words as they are written, without punctuation marks. `"words"`: in lower
            case; a punctuation mark is a word. `"characters"`: for languages without spaces.
        vocabulary_size: The largest number of different words, padding and the unknown word
            included.
        minimum_count: Words that occur less often are treated as unknown, so that the model
            learns in which contexts unknown words stand.
        embedding_dim: See `recipes.next_word.build_next_word`.
        units: Likewise.
        label_smoothing: Likewise.
        epochs: The largest number of epochs.
        words_per_epoch: About how many words an epoch trains on; the next epoch goes on where the
            last one ended.
        patience: After how many epochs without a lower loss on the validation texts `fit` stops.
        batch_size: Windows in a batch; where all texts are shorter than a window, as many more as
            fit.
        sequence_length: Words in a window.
        learning_rate: The largest learning rate of Adam.
        seed: Seed of all random choices.
        verbose: 0: `fit` prints nothing; 1: a progress bar; 2: a line for each epoch. `"auto"`: a
            bar on a terminal and lines elsewhere.

    Attributes:
        model_: The Keras model: from token ids (batch, time) to the logits of the next word.
        vocabulary_: The word of each id; 0 is padding, 1 stands for every unknown word.
        history_: The losses and the perplexity of each epoch, by name.

    Example:
        >>> model = NextWord().fit(texts)  # doctest: +SKIP
        >>> model.next_words("for i in", k=2)  # word and probability, twice  # doctest: +SKIP
    """

    model_class: ClassVar = NextWordModel
    checks: ClassVar = {
        "tokens": partial(arguments.require_choice, choices=TOKEN_KINDS),
        "vocabulary_size": partial(arguments.require_integer, minimum=3),
        "minimum_count": partial(arguments.require_integer, minimum=1),
        "embedding_dim": partial(arguments.require_integer, minimum=1),
        "units": partial(arguments.require_integer, minimum=1),
        "label_smoothing": arguments.require_fraction,
        "epochs": partial(arguments.require_integer, minimum=1),
        "words_per_epoch": partial(arguments.require_integer, minimum=1),
        "patience": partial(arguments.require_integer, minimum=0),
        "batch_size": partial(arguments.require_integer, minimum=1),
        "sequence_length": partial(arguments.require_integer, minimum=1),
        "learning_rate": arguments.require_positive,
    }

    model_: NextWordModel
    vocabulary_: tuple[str, ...]
    history_: dict[str, list[float]]

    def __init__(
        self,
        *,
        tokens: str = "cased",
        vocabulary_size: int = 50_000,
        minimum_count: int = 2,
        embedding_dim: int = 64,
        units: int = 256,
        label_smoothing: float = 0.0,
        epochs: int = 3,
        words_per_epoch: int = 90_000,
        patience: int = 2,
        batch_size: int = 2,
        sequence_length: int = 512,
        learning_rate: float = 1e-2,
        seed: int = 0,
        verbose: int | str = "auto",
    ) -> None:
        self.tokens = tokens
        self.vocabulary_size = vocabulary_size
        self.minimum_count = minimum_count
        self.embedding_dim = embedding_dim
        self.units = units
        self.label_smoothing = label_smoothing
        self.epochs = epochs
        self.words_per_epoch = words_per_epoch
        self.patience = patience
        self.batch_size = batch_size
        self.sequence_length = sequence_length
        self.learning_rate = learning_rate
        self.seed = seed
        self.verbose = verbose

    def fit(
        self,
        texts: Sequence[str],
        validation_data: Sequence[str] | None = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learns from texts.

        Args:
            texts: The texts.
            validation_data: Other texts, whose loss decides when to stop; by default a twentieth of
                `texts`.
            checkpoint: A folder from which a later `fit` with the same settings and data goes on
                where this one was interrupted, and ends with the same model. It is created where it
                is missing, and may be deleted afterwards.

        Returns:
            The model itself.

        Raises:
            ValueError: If a setting is out of its range, or the texts are invalid.
        """
        self.check_settings()
        texts = checked_texts(texts, may_be_blank=True)
        if validation_data is None:
            texts, validation_data = data.split_validation(texts, "the training data")
        else:
            validation_data = checked_texts(validation_data, may_be_blank=True)
        words = vocabulary.build_vocabulary(
            texts, self.tokens, size=self.vocabulary_size, minimum_count=self.minimum_count
        )
        if len(words) == 2:
            raise UserError(
                f"no word comes {self.minimum_count} times in the training texts; give more texts"
            )
        ids = _ids(texts, words, self.tokens, "training")
        embedding_dim = min(self.embedding_dim, len(words) - 1)
        stage = self.checkpoints(checkpoint, texts, validation_data).stage("model")
        with self.seeded():
            models = build_next_word(
                len(words),
                embedding_dim=embedding_dim,
                units=self.units,
                label_smoothing=self.label_smoothing,
                word_vectors=word_vectors.vectors_of_words(
                    ids, len(words), embedding_dim, self.seed
                ),
                word_counts=numpy.bincount(numpy.concatenate(ids), minlength=len(words)).tolist(),
                vocabulary=words,
                token_kind=self.tokens,
            )
            history = training.train(
                models,
                ids,
                _ids(validation_data, words, self.tokens, "validation"),
                epochs=self.epochs,
                words_per_epoch=self.words_per_epoch,
                batch_size=self.batch_size,
                sequence_length=self.sequence_length,
                learning_rate=self.learning_rate,
                patience=self.patience,
                seed=self.seed,
                verbose=self.keras_verbose(),
                stage=stage,
            )
        self.model_ = models.predictor
        self.model_.update_legend(history=history)
        self.restore(self.model_.legend)
        return self

    def token_ids(self, texts: Sequence[str]) -> list[numpy.ndarray]:
        """The ids of the words of each text that has any.

        Raises:
            ValueError: If no text has a word, or one is not a string.
        """
        kind = self.model_.token_kind
        return _ids(checked_texts(texts, may_be_blank=True), self.vocabulary_, kind, "given")

    def scores(self, texts: Sequence[str], number: int = evaluation.BEST) -> evaluation.Scores:
        """What the model says of every word of the texts, and of the `number` most probable."""
        ids = self.token_ids(texts)
        return evaluation.score_texts(self.model_, ids, self.sequence_length, number)

    def perplexity(self, texts: Sequence[str]) -> float:
        """The perplexity of texts: of how many equally probable words the choice would be as hard.

        Every word counts the same. Unknown words count as one word.

        Raises:
            ValueError: If the texts have no words.
        """
        return self.evaluate(texts)["perplexity"]

    def evaluate(self, texts: Sequence[str]) -> dict[str, float]:
        """Measures how well the words of texts are predicted.

        Returns:
            `perplexity`; `nll`, nats per word; `accuracy`, the share of words that are the most
            probable one; `hit_at_5`, those among the five most probable; `unknown_share`, those
            that are not in the vocabulary.

        Raises:
            ValueError: If the texts have no words.
        """
        return evaluation.measures(self.scores(texts))

    def next_words(self, text: str, k: int = 5) -> list[tuple[str, float]]:
        """The most probable words after a text, the best first, with their probabilities.

        Args:
            text: The text so far; it may be empty.
            k: How many words. The probabilities of all words sum to less than 1: the rest is that
                of words outside the vocabulary.

        Raises:
            ValueError: If `text` is not a string, or the vocabulary has fewer words.
        """
        if not isinstance(text, str):
            raise UserError(f"expected a string; received {text!r} of type {type(text).__name__}")
        words = self.vocabulary_
        arguments.require_integer("k", k, 1)
        if k > len(words) - evaluation.FIRST_WORD_ID:
            raise UserError(
                f"`k` must be at most {len(words) - evaluation.FIRST_WORD_ID}, the number of known "
                f"words. Received: k={k}."
            )
        ids = vocabulary.TokenIds(words, self.model_.token_kind, longest=None)(text)
        logits = evaluation.next_logits(self.model_, ids, self.sequence_length)
        probabilities = scipy.special.softmax(logits.astype("float64"))
        best = evaluation.FIRST_WORD_ID + numpy.argsort(
            -probabilities[evaluation.FIRST_WORD_ID :], kind="stable"
        )
        return [(words[index], float(probabilities[index])) for index in best[:k]]

    def restore(self, legend: dict[str, Any]) -> None:
        """Sets `vocabulary_` and `history_`."""
        self.vocabulary_ = tuple(legend["vocabulary"])
        self.history_ = legend["history"]


def _ids(texts: Sequence[str], words: Sequence[str], kind: str, which: str) -> list[numpy.ndarray]:
    token_ids = vocabulary.TokenIds(words, kind, longest=None)
    ids = [numpy.array(each, dtype="int64") for each in map(token_ids, texts) if each]
    data.require_words(len(ids), which)
    return ids
