"""Contrastive cross-entropy: each question against the answers of the whole batch."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, ranking, softmax
from keras_ce._core.backends import backend
from keras_ce._core.labels import Exclusive
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


def in_batch_logits(similarities: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """Similarities (B, B) / temperature, less what a row has in common.

    An answer to the same question in another column gets the lowest number.
    """
    rows = ops.arange(ops.shape(similarities)[0], dtype="int32")
    own = backend.label_entry(similarities, rows)
    is_left_out = ops.logical_and(
        ops.not_equal(rows[:, None], rows[None, :]), ops.equal(ids[:, None], ids[None, :])
    )
    similarities = ops.where(is_left_out, ops.stop_gradient(own), similarities)
    # What a row has in common goes first, so that the division keeps its digits.
    logits = (similarities - ops.stop_gradient(backend.largest(similarities))) / temperature
    return ops.where(is_left_out, -softmax.largest_number(logits) / 2, logits)


@checks.arguments(temperature=checks.number(above=0))
def in_batch_crossentropy(y_true: Any, y_pred: Any, temperature: float = 0.05) -> Tensor:
    """`InBatchCrossentropy` of each row, in nats."""
    given = ranking.in_batch(y_true, y_pred)
    logits = in_batch_logits(given.y_pred, given.ids, temperature)
    rows = ops.arange(ops.shape(logits)[0], dtype="int32")
    return given.settle(softmax.crossentropy(Exclusive(logits, given.marked, ids=rows)))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class InBatchCrossentropy(PositionLoss, function=in_batch_crossentropy):
    """Softmax cross-entropy of similarities, the right answers on the diagonal, in nats.

    For training an encoder of questions and answers: the answers of the other questions in the
    batch serve as wrong ones. Equals `LabelSmoothedCrossentropy(0, from_logits=True)` of
    similarities / temperature with labels 0, 1, ..., B - 1 when all ids differ. With one chosen
    wrong answer per question take `MarginRanking`.

    The loss of row i is

        -log softmax(s_i / temperature)_i

    over the columns that remain: another column with row i's id is an answer to the same
    question, and leaves row i's denominator. The gradient with respect to s_i is (p - onehot(i))
    / temperature, and 0 in the columns left out.

    Args:
        temperature: a number > 0.
        {options}

    Shapes:
        `y_pred`: similarities (batch, batch), rows are questions, columns answers. `y_true`: ids
        (batch,) or (batch, 1), any integers within int32: the question's id where a question has
        several right answers in the batch, else 0, 1, 2, ... Result: a scalar; with reduction
        "none" (batch,). A row of weight 0 does not count; its answer remains a candidate for the
        other rows.

    Raises:
        {raises}

    Example:
        >>> loss = InBatchCrossentropy(0.05)
        >>> float(loss([0, 1], [[0.7071, 0.0], [0.7071, 1.0]]))
        0.00142...

    Reference:
        van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding",
        equation 4; https://arxiv.org/abs/1807.03748.
    """

    def __init__(self, temperature: float = 0.05, **options: Unpack[LossOptions]) -> None:
        super().__init__(options, temperature=temperature)
