"""Batches of texts of similar length: what is padded is not computed in vain."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy

from recipes.tokens.vocabulary import pad


def group_by_length(
    lengths: numpy.ndarray, batch_size: int, random: numpy.random.Generator | None
) -> list[numpy.ndarray]:
    """Groups texts into batches of similar length.

    Args:
        lengths: Length of each text.
        batch_size: Texts in a batch.
        random: What decides the order of the batches and, among texts of nearly equal length, who
            meets whom; or `None` to keep the texts sorted by length.

    Returns:
        The numbers of the texts of each batch.
    """
    order = lengths.astype(float)
    if random is not None:
        # A little noise: texts of equal or nearly equal length meet in ever new batches.
        order = order + random.uniform(0, 4, len(order))
    ranked = numpy.argsort(order, kind="stable")
    batches = [ranked[start : start + batch_size] for start in range(0, len(ranked), batch_size)]
    if random is not None:
        random.shuffle(batches)

    def move_first(choose: Callable[[list[int]], int]) -> None:
        longest = [lengths[batch].max() for batch in batches]
        batches.insert(0, batches.pop(choose(longest)))

    # Keras on TensorFlow takes the width of the first two batches for that of all batches,
    # unless they differ: so the shortest and the longest come first.
    move_first(numpy.argmax)
    move_first(numpy.argmin)
    return batches


def predict_by_length(
    model: keras.Model,
    sequences: Sequence[Sequence[int]],
    batch_size: int = 256,
    inputs: Callable[[Sequence[int]], Any] | None = None,
) -> numpy.ndarray:
    """What a model gives for each text, (texts, features), in the order given.

    Args:
        model: From token ids to features.
        sequences: Token ids of each text.
        batch_size: Texts of similar length that go through the model together.
        inputs: From the numbers of some texts to what the model takes; `None` where that is their
            token ids, padded.
    """

    def padded(batch: Sequence[int]) -> numpy.ndarray:
        return pad([sequences[index] for index in batch])

    inputs = inputs or padded
    ranked = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    features = numpy.empty((len(sequences), model.output_shape[-1]), dtype="float32")
    for start in range(0, len(ranked), batch_size):
        batch = ranked[start : start + batch_size]
        features[batch] = model.predict_on_batch(inputs(batch))
    return features
