"""Contrastive cross-entropy: each question against the answers of the whole batch."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses import _checks, _labels
from keras_ce.losses._loss import LossOptions, PositionLoss
from keras_ce.losses._row_operations import largest
from keras_ce.losses._softmax import losses_of_ids
from keras_ce.losses._values import exempt_to_zero, settle, unless_exempt

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class InBatchCrossentropy(PositionLoss):
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
        **options: `reduction`, `name` and `dtype`, as in every Keras loss.

    Shapes:
        `y_pred`: similarities (batch, batch), rows are questions, columns answers. `y_true`: ids
        (batch,) or (batch, 1), any integers within int32: the question's id where a question has
        several right answers in the batch, else 0, 1, 2, ... Result: a scalar; with reduction
        "none" (batch,). A row of weight 0 leaves the loss; its answer stays a candidate.

    Raises:
        ValueError: an argument out of its range; similarities that are not square; labels of
            another shape; in eager execution a label that is no integer. Compiled, such a row's
            loss is NaN and its gradient 0.

    Example:
        >>> loss = InBatchCrossentropy(0.05)
        >>> float(loss([0, 1], [[0.7071, 0.0], [0.7071, 1.0]]))
        0.00142...

    Reference:
        van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding",
        equation 4; https://arxiv.org/abs/1807.03748.
    """

    def __init__(self, temperature: float = 0.05, **options: Unpack[LossOptions]) -> None:
        super().__init__(**options)
        self.temperature = _checks.number("temperature", temperature, above=0)

    def position_losses(
        self, y_true: Any, y_pred: Tensor, is_exempt: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """See the base class."""
        shape = list(y_pred.shape)
        if len(shape) != 2 or (None not in shape and shape[0] != shape[1]):
            raise ValueError(
                "`y_pred` must hold similarities of shape (batch, batch). Received: "
                f"y_pred.shape={tuple(shape)}."
            )
        ids = _labels.row_ids(y_true, y_pred)
        is_valid = ops.not_equal(ids, _labels.NO_ID)
        is_invalid = unless_exempt(ops.logical_not(is_valid), is_exempt)
        _labels.raise_unless_integers(y_true, is_invalid)
        similarities = exempt_to_zero(y_pred, is_exempt)

        rows = ops.arange(ops.shape(y_pred)[0], dtype="int32")
        is_other = ops.not_equal(rows[:, None], rows[None, :])
        is_same_question = ops.equal(ids[:, None], ids[None, :])
        similarities = ops.where(is_other & is_same_question, float("-inf"), similarities)
        # What a row has in common goes first, so that the division keeps its digits.
        common = ops.stop_gradient(largest(similarities))
        logits = (similarities - common) / self.temperature
        mass = ops.ones_like(logits[:, 0])
        losses = losses_of_ids(logits, rows, mass, from_logits=True)
        return settle(losses, is_valid, is_exempt), None


def in_batch_crossentropy(y_true: Any, y_pred: Any, temperature: float = 0.05) -> Tensor:
    """`InBatchCrossentropy` of each row, in nats."""
    return InBatchCrossentropy(temperature, name="in_batch_crossentropy").call(y_true, y_pred)
