"""Trains a text classifier on texts of different lengths, and asks it for its logits."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy

from recipes.runs import before_training
from recipes.runs.checkpoints import NOT_KEPT, Stage
from recipes.text_classifier import ngrams
from recipes.text_classifier.model import TextClassifierModel
from recipes.tokens.length_groups import group_by_length, predict_by_length
from recipes.tokens.vocabulary import TokenIds, pad

_MOST_WEIGHTS = 2**24
"""Of n-grams, looked up together: 64 MiB."""


class TextBatches(keras.utils.PyDataset):
    """Batches of texts of similar length, each padded to its own longest text only.

    Every epoch groups the texts anew and in a new order, which `seed` alone decides.

    Args:
        sequences: Token ids of each text.
        labels: Class id of each text, (texts,); or indicators (texts, classes).
        batch_size: Texts in a batch.
        seed: Seed of the order, or `None` to keep the texts sorted by length.
    """

    def __init__(
        self,
        sequences: Sequence[Sequence[int]],
        labels: Any,
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

    def skip_epochs(self, number: int) -> None:
        """Groups the texts as if so many epochs were over."""
        for _ in range(number):
            self.on_epoch_end()

    @property
    def are_several(self) -> bool:
        """Whether a text may have several labels."""
        return self._labels.ndim == 2

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[numpy.ndarray, Any]:
        """Token ids (batch, time) and what stands for the labels, of one batch."""
        batch = self._batches[index]
        return pad([self._sequences[row] for row in batch]), self._labels[batch]


def train(
    model: TextClassifierModel,
    training: TextBatches,
    validation: TextBatches | None = None,
    *,
    loss: keras.losses.Loss | Mapping[str, keras.losses.Loss],
    measure: keras.metrics.Metric | None = None,
    epochs: int,
    learning_rate: float,
    patience: int,
    stage: Stage = NOT_KEPT,
    diagnosis: bool = False,
    verbose: int = 0,
) -> dict[str, list[float]]:
    """Trains a model; with validation texts until their loss stops falling.

    Validated and kept are moving averages of the weights.

    Args:
        model: To be trained.
        training: The texts to learn from.
        validation: The texts that decide when to stop; the weights with the lowest loss are kept.
            Without them, training goes on for all `epochs`.
        loss: Of labels and logits; or one for each of the outputs `label` and `teacher`, as
            `recipes.text_classifier.members` has them.
        measure: What the history has beside the loss; `None` for the accuracy of class ids.
        epochs: The largest number of passes over the training texts.
        learning_rate: Of Adam.
        patience: Epochs without a lower validation loss before the training stops.
        stage: Where the training is kept, and goes on from.
        diagnosis: Whether to stop before the first step where `keras_ce.diagnose` finds errors.
        verbose: As Keras has it.

    Returns:
        Loss and measure of each epoch, those on validation texts under `val_...`; of several
        outputs those of `label`.
    """
    measure = measure or keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    label = "label_" if isinstance(loss, Mapping) else ""
    # Averaged weights: half a point more accuracy than the last step's, and less chance. Over no
    # more than about an epoch, or what few texts teach would never arrive.
    momentum = 1 - 1 / min(len(training), 100)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, use_ema=True, ema_momentum=momentum),
        loss=loss,
        metrics={"label": [measure]} if label else [measure],
    )
    callbacks = []
    if validation is not None:
        callbacks = [
            # In this order: the weights that are validated are those that are kept.
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.EarlyStopping(
                monitor=f"val_{label}loss",
                mode="min",
                patience=patience,
                restore_best_weights=True,
            ),
        ]
    if diagnosis and not stage.epochs:
        before_training.stop_on_errors(model, training, verbose=verbose)
    # Texts come shuffled from TextBatches itself.
    history = stage.fit(
        model,
        training,
        validation_data=validation,
        epochs=epochs,
        shuffle=False,
        callbacks=callbacks,
        skip_epochs=training.skip_epochs,
        verbose=verbose,
    )
    return {name.replace(label, ""): values for name, values in history.items() if label in name}


def token_ids(model: TextClassifierModel, texts: Sequence[str]) -> list[list[int]]:
    """A model's token ids of each text."""
    return list(map(TokenIds(model.vocabulary, model.token_kind), texts))


def predict_logits(model: TextClassifierModel, texts: Sequence[str]) -> numpy.ndarray:
    """The logits of texts, (texts, classes), in the order given."""
    sequences = token_ids(model, texts)
    layer = model.ngram_layer()
    if layer is None:
        return predict_by_length(model, sequences)
    hashes = keras.ops.convert_to_numpy(layer.hashes)

    def inputs(batch: Sequence[int]) -> list[numpy.ndarray]:
        chosen = [texts[index] for index in batch]
        ids = ngrams.ngram_ids(hashes, chosen, model.token_kind)
        return [pad([sequences[index] for index in batch]), ids]

    weights = ngrams.most_ids(texts) * (layer.num_classes + 1)
    batch_size = min(256, max(1, _MOST_WEIGHTS // weights))
    return predict_by_length(model, sequences, batch_size, inputs)
