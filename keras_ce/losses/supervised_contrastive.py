"""Contrastive cross-entropy of embeddings: rows of one label against all others of the batch."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, softmax
from keras_ce._core.backends import backend
from keras_ce._core.embeddings import cosines, embeddings
from keras_ce._core.labels import Exclusive
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


def contrastive_logits(similarities: Tensor, is_kept: Tensor, temperature: float) -> Tensor:
    """Cosines (B, B) / temperature, less the largest of each row; the lowest number elsewhere."""
    similarities = backend.where(is_kept, similarities, -2.0)  # below every cosine
    # What a row has in common goes first, so that the division keeps its digits.
    logits = (similarities - ops.stop_gradient(backend.largest(similarities))) / temperature
    return backend.where(is_kept, logits, -softmax.largest_number(logits) / 2)


@checks.arguments(temperature=checks.number(above=0))
def supervised_contrastive(y_true: Any, y_pred: Any, temperature: float = 0.1) -> Tensor:
    """`SupervisedContrastive` of each row of embeddings (batch, features), in nats."""
    given = embeddings(y_true, y_pred)
    logits = contrastive_logits(
        cosines(given.y_pred), given.is_positive | given.is_negative, temperature
    )
    positives = ops.cast(given.is_positive, logits.dtype)
    number = backend.row_sum(positives)
    given.ignore_unless(backend.flat(number) > 0)
    rows = positives / backend.where(number > 0, number, 1.0)
    return given.settle(softmax.crossentropy(Exclusive(logits, given.marked, rows=rows)))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class SupervisedContrastive(PositionLoss, function=supervised_contrastive):
    """Softmax cross-entropy of cosines, each row against the rows of its label, in nats.

    For training an encoder whose embeddings shall lie together where labels agree, whatever
    their length. Where questions have answers of an encoder of their own, take
    `InBatchCrossentropy`; where a margin is enough, `TripletMargin`.

    The loss of row i with the positives P, the other rows with row i's label, is the mean over p
    in P of

        -log(exp(s_ip / temperature) / sum over all a != i of exp(s_ia / temperature))

    with cosines s: the loss "L_out" of the paper. At its minimum it is log |P| or more: all
    positives share one softmax. The gradient with respect to s_ia is (softmax_a - [a in P] /
    |P|) / temperature. A row without a positive is ignored, and a batch without any is 0; a zero
    embedding has cosine 0 with every row, and no gradient.

    A masked row is no anchor, no positive and no negative. A row of weight 0 is no anchor and
    stays a positive or negative of others, unless its embedding is not finite. What is invalid
    is left out in the same way.

    `pytorch_metric_learning.losses.SupConLoss` gives the same values; its mean runs over all
    rows and counts those without a positive as 0 (with its default reducer; a mean over
    `AvgNonZeroReducer` leaves out rows of loss 0).

    Args:
        temperature: a number > 0.
        {options}

    Shapes:
        `y_pred`: embeddings (batch, features), of any length. `y_true`: labels (batch,) or
        (batch, 1), any integers within int32. Result: a scalar; with reduction "none" (batch,).

    Raises:
        {raises}

    Example:
        >>> loss = SupervisedContrastive(0.1)
        >>> float(loss([0, 0, 1, 1], [[1.0, 0.1], [1.0, 0.0], [0.0, 2.0], [0.1, 2.0]]))
        0.0

    Reference:
        Khosla et al. 2020, "Supervised Contrastive Learning", equation 2;
        https://arxiv.org/abs/2004.11362.
    """

    def __init__(self, temperature: float = 0.1, **options: Unpack[LossOptions]) -> None:
        super().__init__(options, temperature=temperature)
