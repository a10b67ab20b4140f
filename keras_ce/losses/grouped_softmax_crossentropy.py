"""Cross-entropy of several exclusive choices laid side by side in one flat vector."""

import itertools
from collections.abc import Sequence
from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses import _checks, _labels
from keras_ce.losses._exclusive import checked_losses
from keras_ce.losses._loss import LossOptions, PositionLoss
from keras_ce.losses._softmax import AS_THEY_ARE, Blend, crossentropy_of_rows, losses_of_ids
from keras_ce.losses._values import settle, tensor

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class GroupedSoftmaxCrossentropy(PositionLoss):
    """The sum over groups of the softmax cross-entropy inside each group, in nats.

    For several questions with exactly one answer each, side by side in one flat vector: the four
    digits of a captcha are `[10] * 4`. One softmax over all of it is wrong, because the groups
    compete; a sigmoid (`WeightedSigmoidCrossentropy`) ignores that each group has one answer.
    Equals `LabelSmoothedCrossentropy` when there is one group.

    The loss of a position is

        sum_g -sum_{c in g} q_c log p_c,    p = softmax inside group g

    with q = (1 - label_smoothing) y + label_smoothing / size of the group. Its gradient with
    respect to the logits is, inside each group, p sum(q) - q.

    Args:
        group_sizes: the number of classes of each group, integers >= 1 whose sum is the last
            dimension of `y_pred`.
        from_logits: whether `y_pred` holds logits. Give logits where you can: probabilities
            below 1e-30 count as 1e-30 and get no gradient, and groups are divided by their sum.
        label_smoothing: the share that is taken from each label and given to its whole group,
            from 0 to 1.
        **options: `reduction`, `name` and `dtype`, as in every Keras loss.

    Shapes:
        `y_pred` (batch, ..., sum of sizes). `y_true`: rows of the same flat shape, or the class
        id inside each group, (batch, ..., groups). Result: a scalar; with reduction "none"
        (batch, ...).

    Raises:
        ValueError: an argument out of its range; sizes that do not sum to the last dimension;
            labels of another shape; in eager execution an invalid label or probability.
            Compiled, such a position's loss is NaN and its gradient 0.

    Example:
        >>> loss = GroupedSoftmaxCrossentropy([3, 3], from_logits=True)
        >>> float(loss([[2, 1]], [[2.0, 0.5, 6.0, 0.1, 0.0, 3.0]]))
        3.12182...

    Reference:
        The sum of the negative log-likelihoods of independent categorical variables; see Bishop
        2006, "Pattern Recognition and Machine Learning", equation 4.108, for one of them.
    """

    def __init__(
        self,
        group_sizes: Sequence[int],
        *,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(**options)
        self.group_sizes = _checks.integer_list("group_sizes", group_sizes, minimum=1)
        self.from_logits = _checks.flag("from_logits", from_logits)
        self.label_smoothing = _checks.number(
            "label_smoothing", label_smoothing, minimum=0, maximum=1
        )

    def position_losses(
        self, y_true: Any, y_pred: Tensor, is_exempt: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """See the base class."""
        width, number = sum(self.group_sizes), len(self.group_sizes)
        if not len(y_pred.shape) or y_pred.shape[-1] not in (None, width):
            raise ValueError(
                f"`group_sizes` must sum to the last dimension of `y_pred`. Received: sum {width} "
                f"of {number} groups for y_pred.shape={_checks.shape_text(y_pred)}."
            )
        is_dense = _labels.are_grouped_rows(y_true, y_pred, width, number)
        labels = tensor("y_true", y_true) if is_dense else _labels.class_ids(y_true, None)

        total, is_valid, column, group = 0.0, True, 0, 0
        # Neighbours of one size go together: [10] * 4 is one computation, not four.
        for size, run in itertools.groupby(self.group_sizes):
            count = len(list(run))
            columns = slice(column, column + count * size)
            block = _blocks(y_pred[..., columns], count, size)
            if is_dense:
                block_labels = _blocks(labels[..., columns], count, size)
            else:
                block_labels = labels[..., group : group + count]
            block_exempt = None
            if is_exempt is not None:
                block_exempt = ops.broadcast_to(
                    ops.expand_dims(is_exempt, -1), ops.shape(block)[:-1]
                )
            losses, is_block_valid, _ = checked_losses(
                block_labels,
                block,
                block_exempt,
                is_dense=is_dense,
                from_logits=self.from_logits,
                row_losses=self._row_losses,
                id_losses=self._id_losses,
            )
            total = total + ops.sum(losses, -1)
            is_valid = ops.logical_and(is_valid, ops.all(is_block_valid, -1))
            column, group = column + count * size, group + count
        return settle(total, is_valid, is_exempt), None

    def _id_losses(self, y_pred: Tensor, ids: Tensor) -> Tensor:
        mass = ops.full_like(y_pred[:, 0], 1 - self.label_smoothing)
        return losses_of_ids(
            y_pred, ids, mass, uniform_share=self.label_smoothing, from_logits=self.from_logits
        )

    def _row_losses(self, y_pred: Tensor, rows: Tensor, are_valid: bool) -> Tensor:
        share = self.label_smoothing
        blend = Blend(1 - share, shift_mass=share) if share else AS_THEY_ARE
        return crossentropy_of_rows(
            y_pred, rows, are_valid, blend=blend, from_logits=self.from_logits
        )


def grouped_softmax_crossentropy(
    y_true: Any,
    y_pred: Any,
    group_sizes: Sequence[int],
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> Tensor:
    """`GroupedSoftmaxCrossentropy` of each position, in nats; one single row gives shape ()."""
    return GroupedSoftmaxCrossentropy(
        group_sizes,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        name="grouped_softmax_crossentropy",
    ).call(y_true, y_pred)


def _blocks(values: Tensor, count: int, size: int) -> Tensor:
    """(..., count * size) to (..., count, size)."""
    return ops.reshape(values, (*ops.shape(values)[:-1], count, size))
