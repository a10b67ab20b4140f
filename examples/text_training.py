"""Trains a text classifier on texts of different lengths, and asks it for its logits."""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy

import keras_ce
from examples.vocabulary import pad


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
        order = self._lengths.astype(float)
        if self._random is not None:
            # A little noise: texts of equal or nearly equal length meet in ever new batches.
            order = order + self._random.uniform(0, 4, len(order))
        ranked = numpy.argsort(order, kind="stable")
        starts = range(0, len(ranked), self._batch_size)
        self._batches = [ranked[start : start + self._batch_size] for start in starts]
        if self._random is not None:
            self._random.shuffle(self._batches)
        # Keras on TensorFlow takes the width of the first two batches for that of all batches,
        # unless they differ: so the shortest and the longest come first.
        self._move_first(numpy.argmax)
        self._move_first(numpy.argmin)

    def _move_first(self, choose: Callable[[list[int]], int]) -> None:
        longest = [self._lengths[batch].max() for batch in self._batches]
        self._batches.insert(0, self._batches.pop(choose(longest)))

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Token ids (batch, time) and class ids (batch,) of one batch."""
        batch = self._batches[index]
        return pad([self._sequences[row] for row in batch]), self._labels[batch]


def train(
    model: keras.Model,
    training: TextBatches,
    validation: TextBatches,
    *,
    epochs: int,
    label_smoothing: float,
    class_weight: Sequence[float] | None,
    learning_rate: float = 2e-3,
    patience: int = 3,
) -> Mapping[str, Sequence[float]]:
    """Trains a model until the validation loss stops falling, and keeps its best weights.

    Validated and kept are moving averages of the weights.

    Args:
        model: From token ids to logits.
        training: The texts to learn from.
        validation: The texts that decide when to stop.
        epochs: The largest number of passes over the training texts.
        label_smoothing: As in `LabelSmoothedCrossentropy`.
        class_weight: A weight for each class, or `None`.
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
    callbacks = [
        # In this order: the weights that are validated are those that are kept.
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=patience, restore_best_weights=True
        ),
    ]
    # Texts come shuffled from TextBatches itself.
    return model.fit(
        training, validation_data=validation, epochs=epochs, shuffle=False, callbacks=callbacks
    ).history


def predict_logits(
    model: keras.Model, sequences: Sequence[Sequence[int]], batch_size: int = 256
) -> numpy.ndarray:
    """The logits of each text, (texts, classes), in the order given.

    Args:
        model: From token ids to logits.
        sequences: Token ids of each text.
        batch_size: Texts of similar length that go through the model together.
    """
    ranked = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    logits = numpy.empty((len(sequences), model.output_shape[-1]), dtype="float32")
    for start in range(0, len(ranked), batch_size):
        batch = ranked[start : start + batch_size]
        logits[batch] = model.predict_on_batch(pad([sequences[index] for index in batch]))
    return logits
