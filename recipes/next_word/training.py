"""Trains a next-word model on long texts."""

import math
from collections.abc import Mapping, Sequence

import keras
import numpy

from recipes.next_word.model import NextWordModels
from recipes.tokens.vocabulary import UNKNOWN_ID, pad


class NextWordBatches(keras.utils.PyDataset):
    """Batches of windows of the texts: words, and the word after each.

    A window begins with the word before it; before a text, that is the unknown word.

    Args:
        texts: The word ids of each text.
        batch_size: Windows in a batch; where all texts are shorter, as many more as have room.
        sequence_length: Words in a window, at most.
        words_per_epoch: Each epoch takes the next windows with about this many words, in an order
            that `seed` decides; all of them come before one comes again. `None` for all.
        seed: Seed of the order, or `None` to keep that of the texts.
    """

    def __init__(
        self,
        texts: Sequence[numpy.ndarray],
        batch_size: int,
        sequence_length: int,
        *,
        words_per_epoch: int | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self._windows = windows(texts, sequence_length)
        # One width for all batches: each other one is compiled anew, which takes seconds.
        self._width = max(len(window) - 1 for window in self._windows)
        batch_size = self._batch_size = max(batch_size, batch_size * sequence_length // self._width)
        self._random = None if seed is None else numpy.random.default_rng(seed)
        self._windows_per_epoch = len(self._windows)
        if words_per_epoch is not None:
            words = sum(map(len, texts))
            share = min(words_per_epoch, words) / words
            # Whole batches: one of another size is compiled anew.
            whole = math.ceil(share * len(self._windows) / batch_size) * batch_size
            self._windows_per_epoch = min(whole, len(self._windows))
        self._waiting: list[int] = []
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Chooses the windows of the next epoch."""
        if self._random is None:
            self._chosen = list(range(len(self._windows)))
            return
        while len(self._waiting) < self._windows_per_epoch:
            self._waiting += self._random.permutation(len(self._windows)).tolist()
        self._chosen = self._waiting[: self._windows_per_epoch]
        del self._waiting[: self._windows_per_epoch]

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self._chosen) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[tuple[numpy.ndarray, numpy.ndarray]]:
        """Token ids and next-token ids of one batch, (batch, time) each: inputs, no targets."""
        start = index * self._batch_size
        chosen = self._chosen[start : start + self._batch_size]
        # A tuple of one: Keras would take the second of two for targets.
        return (tokens_and_next([self._windows[index] for index in chosen], self._width),)


def windows(texts: Sequence[numpy.ndarray], sequence_length: int) -> list[numpy.ndarray]:
    """Each text in pieces of `sequence_length` words, and before each piece the word before it."""
    return [
        text[start : start + sequence_length + 1]
        for text in (numpy.concatenate([[UNKNOWN_ID], text]) for text in texts)
        for start in range(0, len(text) - 1, sequence_length)
    ]


def tokens_and_next(
    chosen: Sequence[numpy.ndarray], width: int
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Windows as token ids and next-token ids, padded to a width, which is rounded up."""
    empty = [0] * width
    # What is longest gives `pad` the width.
    return (
        pad([*(window[:-1].tolist() for window in chosen), empty])[:-1],
        pad([*(window[1:].tolist() for window in chosen), empty])[:-1],
    )


class ValidationLoss(keras.callbacks.Callback):
    """Adds the loss and the perplexity of the validation texts to what each epoch logs.

    Every word counts the same. Keras's own validation averages over batches, and words of short
    windows would count more than those of long ones.

    Args:
        batches: The windows.
        verbose: Whether to print the perplexity too.
    """

    def __init__(self, batches: NextWordBatches, verbose: bool) -> None:
        super().__init__()
        self._batches = batches
        self._verbose = verbose

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Scores the texts."""
        total, words = 0.0, 0
        for index in range(len(self._batches)):
            (inputs,) = self._batches[index]
            # Padding has a loss of 0.
            total += float(self.model.predict_on_batch(inputs).sum(dtype="float64"))
            words += int((inputs[1] != 0).sum())
        logs["val_loss"] = total / words
        logs["val_perplexity"] = math.exp(logs["val_loss"])
        if self._verbose:
            print(f" - perplexity of the validation texts: {logs['val_perplexity']:.1f}")


def train(
    model: NextWordModels,
    training: Sequence[numpy.ndarray],
    validation: Sequence[numpy.ndarray],
    *,
    epochs: int,
    words_per_epoch: int,
    batch_size: int,
    sequence_length: int,
    learning_rate: float,
    patience: int,
    seed: int,
    verbose: int,
) -> Mapping[str, Sequence[float]]:
    """Trains until the loss of the validation texts stops falling.

    Args:
        model: From `build_next_word`.
        training: The word ids of each text to learn from.
        validation: Those that decide when to stop; the weights with the lowest loss are kept.
        epochs: The largest number of epochs.
        words_per_epoch: See `NextWordBatches`.
        batch_size: Likewise.
        sequence_length: Likewise.
        learning_rate: Of Adam at its highest; it rises over the first steps, then falls to 0 along
            a cosine until the last of `epochs`.
        patience: Epochs without a lower validation loss before the training stops.
        seed: Seed of the order of the windows.
        verbose: As `keras.Model.fit` takes it.

    Returns:
        The loss of each epoch, and `val_loss` and `val_perplexity` on the validation texts.
    """
    batches = NextWordBatches(
        training, batch_size, sequence_length, words_per_epoch=words_per_epoch, seed=seed
    )
    steps = epochs * len(batches)
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate / 10, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )
    model.trainer.compile(keras.optimizers.Adam(schedule, clipnorm=1.0))
    return model.trainer.fit(
        batches,
        epochs=epochs,
        shuffle=False,
        verbose=verbose,
        callbacks=[
            ValidationLoss(
                NextWordBatches(validation, batch_size, sequence_length), verbose=bool(verbose)
            ),
            keras.callbacks.EarlyStopping(
                monitor="val_loss", patience=patience, restore_best_weights=True
            ),
        ],
    ).history
