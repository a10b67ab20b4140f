"""The networks of a text classifier: built, trained while others validate, and trained further."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy

from recipes.runs.checkpoints import Checkpoints
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import losses, several_labels
from recipes.text_classifier.members import TaughtBatches, losses_of_a_student, with_two_outputs
from recipes.text_classifier.model import TextClassifierModel, build_text_classifier
from recipes.text_classifier.saved_model import EXCLUSIVE, INDEPENDENT
from recipes.text_classifier.training import TextBatches, predict_logits, token_ids, train

_EPOCHS_ON_ALL = 2
"""Passes over all texts, those of validation included, once these have told when to stop. A new
training on all of them takes as long as the first one, and was hardly better: two folds of five,
two seeds, the networks alone: TREC-6's training questions 87.7 percent right anew and 87.4 this
way, the standard library 81.7 and 81.1; with the linear model 89.2 and 89.1, 86.0 and 85.7."""


class Settings(losses.Settings, Protocol):
    """Those of a `TextClassifier` that say how its networks are made and trained."""

    tokens: str
    epochs: int
    batch_size: int
    seed: int
    embedding_dim: int
    affix_buckets: int
    convolution_widths: Sequence[int]
    convolution_filters: int
    units: int
    bidirectional: bool
    pooling: str
    embedding_dropout: float
    dropout: float
    members: int
    learning_rate: float
    patience: int
    diagnosis: bool

    def keras_verbose(self) -> int:
        """As Keras has it."""

    def seeded(self, seed: int | None = None) -> contextlib.AbstractContextManager[None]:
        """Chance follows a seed inside."""

    def legend_entries(self) -> dict[str, Any]:
        """What a model must carry."""


class Networks:
    """Trains the networks of a text classifier, which differ by their seeds.

    Args:
        settings: The task.
        classes: The labels.
        vocabulary: The token of each id.
        vectors: What each token starts from, (tokens, embedding_dim), zeros for by chance; or
            `None`.
        class_weight: A weight for each class, or `None`.
        checkpoints: Where the trainings are kept, and go on from; each network has two stages.
    """

    def __init__(
        self,
        settings: Settings,
        classes: numpy.ndarray,
        vocabulary: Sequence[str],
        vectors: numpy.ndarray | None = None,
        class_weight: list[float] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._settings = settings
        self._classes = classes
        self._vocabulary = vocabulary
        self._vectors = vectors
        self._class_weight = class_weight
        self._checkpoints = checkpoints or Checkpoints()

    def train(
        self,
        training: LabelledTexts,
        validation: LabelledTexts,
        teacher: TextClassifierModel | None = None,
    ) -> tuple[list[TextClassifierModel], list[dict[str, list[float]]]]:
        """New networks, each trained until validation texts say stop, and their histories.

        With a teacher it is one, which learns from the teacher's logits as well.
        """
        settings = self._settings
        networks, histories = [], []
        for number in range(settings.members) if teacher is None else [settings.members]:
            self._say(number, teacher)
            with settings.seeded(self._seed(number)):
                network = self._new(training.are_several)
                history = self._fit(
                    network,
                    self._batches(network, training, self._seed(number), teacher),
                    self._batches(network, validation, None, teacher),
                    self._loss(training, teacher),
                    settings.epochs,
                    f"network-{number + 1}",
                    # Nothing is left to find where it has looked before.
                    diagnosis=settings.diagnosis and number == 0,
                )
            networks.append(network)
            histories.append(history)
        return networks, histories

    def train_further(
        self,
        networks: Sequence[TextClassifierModel],
        texts: LabelledTexts,
        teacher: TextClassifierModel | None = None,
    ) -> None:
        """Trains networks on all texts, those that have told when to stop among them."""
        first = 0 if teacher is None else self._settings.members
        if self._settings.keras_verbose():
            print(f"{_EPOCHS_ON_ALL} more epochs, on all {len(texts)} training texts")
        for number, network in enumerate(networks, first):
            self._say(number, teacher)
            seed = (self._seed(number) + 1) % 2**32
            with self._settings.seeded(seed):
                batches = self._batches(network, texts, seed, teacher)
                loss = self._loss(texts, teacher)
                name = f"network-{number + 1}-on-all"
                self._fit(network, batches, None, loss, _EPOCHS_ON_ALL, name)

    def _seed(self, number: int) -> int:
        """A network that learns from others has a number, and so a seed, after theirs."""
        return (self._settings.seed + number) % 2**32

    def _say(self, number: int, teacher: TextClassifierModel | None) -> None:
        members = self._settings.members
        if members > 1 and self._settings.keras_verbose():
            of_members = f"network {number + 1} of {members}"
            print(of_members if teacher is None else f"one network from {members}")

    def _loss(
        self, texts: LabelledTexts, teacher: TextClassifierModel | None
    ) -> keras.losses.Loss | Mapping[str, keras.losses.Loss]:
        loss = losses.loss_of(self._settings, self.targets(texts), self._class_weight)
        return loss if teacher is None else losses_of_a_student(loss)

    def _fit(
        self,
        network: TextClassifierModel,
        training: TextBatches,
        validation: TextBatches | None,
        loss: keras.losses.Loss | Mapping[str, keras.losses.Loss],
        epochs: int,
        stage: str,
        diagnosis: bool = False,
    ) -> dict[str, list[float]]:
        settings = self._settings
        return train(
            with_two_outputs(network) if isinstance(loss, Mapping) else network,
            training,
            validation,
            loss=loss,
            measure=several_labels.measure() if training.are_several else None,
            epochs=epochs,
            learning_rate=settings.learning_rate,
            patience=settings.patience,
            stage=self._checkpoints.stage(stage),
            diagnosis=diagnosis,
            verbose=settings.keras_verbose(),
        )

    def _new(self, has_several: bool) -> TextClassifierModel:
        """A network; where there are vectors, its embedding starts from those that are known."""
        settings, vectors = self._settings, self._vectors
        network = build_text_classifier(
            len(self._vocabulary),
            len(self._classes),
            embedding_dim=settings.embedding_dim if vectors is None else vectors.shape[1],
            units=settings.units,
            bidirectional=settings.bidirectional,
            pooling=settings.pooling,
            convolution_widths=settings.convolution_widths,
            convolution_filters=settings.convolution_filters,
            affix_buckets=0 if settings.tokens == "characters" else settings.affix_buckets,
            embedding_dropout=settings.embedding_dropout,
            dropout=settings.dropout,
            vocabulary=self._vocabulary,
            class_names=[str(label) for label in self._classes.tolist()],
            token_kind=settings.tokens,
        )
        network.update_legend(
            classes=self._classes.tolist(),
            loss=INDEPENDENT if has_several else EXCLUSIVE,
            **settings.legend_entries(),
        )
        if vectors is not None:
            embedding = network.get_layer("embedding")
            by_chance = keras.ops.convert_to_numpy(embedding.embeddings)
            is_known = vectors.any(axis=1, keepdims=True)
            embedding.set_weights([numpy.where(is_known, vectors, by_chance)])
        return network

    def _batches(
        self,
        network: TextClassifierModel,
        texts: LabelledTexts,
        seed: int | None,
        teacher: TextClassifierModel | None,
    ) -> TextBatches:
        ids, targets = token_ids(network, texts.texts), self.targets(texts)
        if teacher is None:
            return TextBatches(ids, targets, self._settings.batch_size, seed)
        logits = predict_logits(teacher, texts.texts)
        return TaughtBatches(ids, targets, logits, self._settings.batch_size, seed)

    def targets(self, labelled: LabelledTexts) -> numpy.ndarray:
        """Class ids, (texts,); where texts have several, indicators (texts, classes)."""
        return targets_of(labelled, len(self._classes))


def targets_of(labelled: LabelledTexts, num_classes: int) -> numpy.ndarray:
    """The class id of each text, (texts,); where there are several, indicators (texts, classes)."""
    if labelled.are_several:
        return several_labels.indicators(labelled.labels, num_classes)
    return numpy.asarray(labelled.labels)
