"""Several networks that differ by chance alone: one model of all, or one that learns from them."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy
from keras import layers

import keras_ce
from recipes.legend import NAME
from recipes.text_classifier.model import TextClassifierModel
from recipes.text_classifier.training import TextBatches

# Chosen on validation texts of one fold of TREC-6's training questions, by the negative
# log-likelihood: 2, with losses that count alike, 0.423; with labels that count a tenth 0.427; 1,
# with labels that count half, 0.428. There the mean of logits, 0.427, is as good as the logarithm
# of mean probabilities, 0.426.
_TEMPERATURE = 2.0


def average_networks(networks: Sequence[TextClassifierModel]) -> TextClassifierModel:
    """One model whose logits are the mean of several networks' logits.

    Args:
        networks: From token ids to logits, with the same vocabulary and the same classes; their
            layers are shared, and the legend is the first one's. One network is returned as it is.
    """
    first = networks[0]
    if len(networks) == 1:
        return first
    ids = first.get_layer(NAME).output
    logits = [
        keras.Model(network.get_layer(NAME).output, network.output, name=f"member_{number}")(ids)
        for number, network in enumerate(networks, 1)
    ]
    return type(first)(first.inputs[0], layers.Average(name="logits")(logits), name=first.name)


class TaughtBatches(TextBatches):
    """Batches with two kinds of labels: `label`, the class ids, and `teacher`, a teacher's logits.

    Args:
        sequences: Token ids of each text.
        labels: Class id of each text.
        teacher: The teacher's logits of each text, (texts, classes).
        batch_size: Texts in a batch.
        seed: As in `TextBatches`.
    """

    def __init__(
        self,
        sequences: Sequence[Sequence[int]],
        labels: Sequence[int] | numpy.ndarray,
        teacher: numpy.ndarray,
        batch_size: int,
        seed: int | None = None,
    ) -> None:
        self._teacher = teacher
        super().__init__(sequences, labels, batch_size, seed)

    def __getitem__(self, index: int) -> tuple[numpy.ndarray, dict[str, numpy.ndarray]]:
        """Token ids (batch, time) of one batch, and both kinds of labels."""
        ids, labels = super().__getitem__(index)
        return ids, {"label": labels, "teacher": self._teacher[self._batches[index]]}


def with_two_outputs(student: TextClassifierModel) -> TextClassifierModel:
    """The student with its logits under two names, `label` and `teacher`: a loss for each."""
    outputs = {name: layers.Identity(name=name)(student.output) for name in ("label", "teacher")}
    return type(student)(student.inputs[0], outputs, name="student")


def losses_of_a_student(loss: keras.losses.Loss) -> dict[str, keras.losses.Loss]:
    """A loss for each output of `with_two_outputs`, which count alike; `loss` is that of labels."""
    return {
        "label": loss,
        "teacher": keras_ce.losses.DistillationCrossentropy(temperature=_TEMPERATURE),
    }
