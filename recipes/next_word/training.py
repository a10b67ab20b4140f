"""Trains a next-word model on long texts."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy

from recipes.next_word.model import NextWordModels
from recipes.runs.after_training import require_finite
from recipes.runs.checkpoints import NOT_KEPT, Stage
from recipes.tokens.vocabulary import UNKNOWN_ID, pad

MOST_WORDS_LAID_OUT = 2**23
"""Of epochs to come, as long as all windows have come once: token ids and the next ones are 64 MB.
After so many, the same order begins anew."""


class Windows(NamedTuple):
    """The words of texts, and the word after each, piece by piece."""

    tokens: numpy.ndarray
    """Token ids (windows, time)."""
    next_tokens: numpy.ndarray
    """Likewise."""
    batch_size: int
    """Windows in a batch."""


def windows_of(
    texts: Sequence[numpy.ndarray],
    batch_size: int,
    sequence_length: int,
) -> Windows:
    """The windows of texts as arrays, all of one width: each other one is compiled anew.

    They are few numbers. Where batches come from a generator, TensorFlow has the system give back
    all memory after each step and take it anew, which was an eighth of the processor time.

    Args:
        texts: The word ids of each text.
        batch_size: Windows in a batch, at most as many as there are; where all texts are shorter,
            as many more as have room.
        sequence_length: Words in a window, at most.
    """
    pieces = windows(texts, sequence_length)
    width = max(len(piece) - 1 for piece in pieces)
    batch_size = max(batch_size, batch_size * sequence_length // width)
    return Windows(*tokens_and_next(pieces, width), min(batch_size, len(pieces)))


def order_of_windows(number: int, wanted: int, seed: int) -> numpy.ndarray:
    """Which windows come, one after the other: all of them before one comes again.

    Args:
        number: Of windows.
        wanted: How many shall come.
        seed: Of their order.
    """
    random_numbers = numpy.random.default_rng(seed)
    rounds = [random_numbers.permutation(number) for _ in range(math.ceil(wanted / number))]
    return numpy.concatenate(rounds)[:wanted]


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
        windows: Of the validation texts.
        verbose: Whether to print the perplexity too.
    """

    def __init__(self, windows: Windows, verbose: bool) -> None:
        super().__init__()
        self._windows = windows
        self._verbose = verbose

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Scores the texts."""
        tokens, next_tokens, batch_size = self._windows
        total = 0.0
        for start in range(0, len(tokens), batch_size):
            rows = slice(start, start + batch_size)
            # Padding has a loss of 0.
            losses = self.model.predict_on_batch((tokens[rows], next_tokens[rows]))
            total += float(losses.sum(dtype="float64"))
        words = int((next_tokens != 0).sum())
        logs["val_loss"] = total / words
        with numpy.errstate(over="ignore"):
            logs["val_perplexity"] = float(numpy.exp(logs["val_loss"]))
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
    stage: Stage = NOT_KEPT,
) -> dict[str, list[float]]:
    """Trains until the loss of the validation texts stops falling.

    Args:
        model: From `build_next_word`.
        training: The word ids of each text to learn from.
        validation: Those that decide when to stop; the weights with the lowest loss are kept.
        epochs: The largest number of epochs.
        words_per_epoch: Each epoch takes the next windows with about this many words; all of them
            come before one comes again.
        batch_size: See `windows_of`.
        sequence_length: Likewise.
        learning_rate: Of Adam at its highest; it rises over the first steps, then falls to 0 along
            a cosine until the last of `epochs`.
        patience: Epochs without a lower validation loss before the training stops.
        seed: Seed of the order of the windows.
        verbose: As `keras.Model.fit` takes it.
        stage: Where the training is kept, and goes on from.

    Returns:
        The loss of each epoch, and `val_loss` and `val_perplexity` on the validation texts.

    Raises:
        UserError: The training diverged: no epoch has a finite loss of the validation texts.
    """
    tokens, next_tokens, windows_in_a_batch = windows_of(training, batch_size, sequence_length)
    share = min(1, words_per_epoch / sum(map(len, training)))
    # Whole batches: one of another size is compiled anew.
    steps_per_epoch = math.ceil(share * len(tokens) / windows_in_a_batch)
    steps = epochs * steps_per_epoch
    of_epoch = steps_per_epoch * windows_in_a_batch
    most = max(
        math.ceil(len(tokens) / of_epoch), MOST_WORDS_LAID_OUT // (of_epoch * tokens.shape[1])
    )
    order = order_of_windows(len(tokens), min(epochs, most) * of_epoch, seed)
    order = numpy.roll(order, -stage.epochs * of_epoch)
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate / 10, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )
    model.trainer.compile(keras.optimizers.Adam(schedule, clipnorm=1.0))
    history = stage.fit(
        model.trainer,
        (tokens[order], next_tokens[order]),
        batch_size=windows_in_a_batch,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,  # The next epoch goes on where this one ends.
        shuffle=False,
        verbose=verbose,
        callbacks=[
            ValidationLoss(
                windows_of(validation, batch_size, sequence_length), verbose=bool(verbose)
            ),
            keras.callbacks.EarlyStopping(
                monitor="val_loss", patience=patience, restore_best_weights=True
            ),
        ],
    )
    # The weights are those of the best epoch.
    require_finite(numpy.fmin.reduce(history["val_loss"]))
    return history
