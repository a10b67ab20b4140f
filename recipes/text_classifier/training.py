"""Trains a text classifier on texts of different lengths, and asks it for its logits."""

from collections.abc import Mapping, Sequence

import keras
import numpy

import keras_ce
from recipes.runs import before_training
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier.model import TextClassifier
from recipes.tokens.length_groups import group_by_length
from recipes.tokens.vocabulary import TokenIds, pad


class TextBatches(keras.utils.PyDataset):
    """Batches of texts of similar length, each padded to its own longest text only.

    Every epoch groups the texts anew and in a new order, which `seed` alone decides.

    Args:
        sequences: Token ids of each text.
        labels: Class id of each text.
        batch_size: Texts in a batch.
        seed: Seed of the order, or `None` to keep the texts sorted by length.
    """

    def __init__(
        self,
        sequences: Sequence[Sequence[int]],
        labels: Sequence[int],
        batch_size: int,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self._sequences = sequences
        self._labels = numpy.asarray(labels, dtype="int32")
        self._lengths = numpy.array([len(sequence) for sequence in sequences])
        self._batch_size = batch_size
        self._random = None if seed is None else numpy.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Groups the texts for the next epoch."""
        self._batches = group_by_length(self._lengths, self._batch_size, self._random)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Token ids (batch, time) and class ids (batch,) of one batch."""
        batch = self._batches[index]
        return pad([self._sequences[row] for row in batch]), self._labels[batch]


def train(
    model: TextClassifier,
    training: LabelledTexts,
    validation: LabelledTexts | None = None,
    *,
    epochs: int,
    batch_size: int,
    label_smoothing: float,
    class_weight: Sequence[float] | None,
    seed: int,
    diagnosis: bool = False,
    learning_rate: float = 2e-3,
    patience: int = 3,
) -> Mapping[str, Sequence[float]]:
    """Trains a model; with validation texts until their loss stops falling.

    Validated and kept are moving averages of the weights.

    Args:
        model: With vocabulary and class names.
        training: The texts to learn from.
        validation: The texts that decide when to stop; the weights with the lowest loss are kept.
            Without them, training goes on for all `epochs`.
        epochs: The largest number of passes over the training texts.
        batch_size: Texts in a batch.
        label_smoothing: As in `LabelSmoothedCrossentropy`.
        class_weight: A weight for each class, or `None`.
        seed: Seed of the order of the texts.
        diagnosis: Whether to stop before the first step where `keras_ce.diagnose` finds errors.
        learning_rate: Of Adam.
        patience: Epochs without a lower validation loss before the training stops.

    Returns:
        Loss and accuracy of each epoch, those on validation texts under `val_...`.
    """
    model.compile(
        # Averaged weights: half a point more accuracy than the last step's, and less of chance.
        optimizer=keras.optimizers.Adam(learning_rate, use_ema=True, ema_momentum=0.99),
        loss=keras_ce.losses.LabelSmoothedCrossentropy(
            label_smoothing, from_logits=True, class_weight=class_weight
        ),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    callbacks = []
    if validation is not None:
        callbacks = [
            # In this order: the weights that are validated are those that are kept.
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.EarlyStopping(
                monitor="val_loss", patience=patience, restore_best_weights=True
            ),
        ]
    training_batches = batches(model, training, batch_size, seed)
    if diagnosis:
        before_training.stop_on_errors(model, training_batches)
    # Texts come shuffled from TextBatches itself.
    return model.fit(
        training_batches,
        validation_data=validation and batches(model, validation, batch_size),
        epochs=epochs,
        shuffle=False,
        callbacks=callbacks,
    ).history


def batches(
    model: TextClassifier, data: LabelledTexts, batch_size: int, seed: int | None = None
) -> TextBatches:
    """Labelled texts as batches of a model's own token ids and class ids."""
    return TextBatches(token_ids(model, data.texts), class_ids(model, data), batch_size, seed)


def token_ids(model: TextClassifier, texts: Sequence[str]) -> list[list[int]]:
    """A model's token ids of each text."""
    return list(map(TokenIds(model.vocabulary, model.token_kind), texts))


def class_ids(model: TextClassifier, data: LabelledTexts) -> list[int]:
    """A model's class id of each label."""
    id_of_class = {name: index for index, name in enumerate(model.class_names)}
    return [id_of_class[label] for label in data.labels]
