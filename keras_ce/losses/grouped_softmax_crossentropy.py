"""Cross-entropy of several exclusive choices, side by side in one flat vector."""

from collections.abc import Sequence
from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, groups, softmax
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


@checks.arguments(
    group_sizes=checks.group_sizes,
    from_logits=checks.flag,
    label_smoothing=checks.number(minimum=0, maximum=1),
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
    given, blocks = groups.grouped(y_true, y_pred, group_sizes, from_logits)
    blend = softmax.smoothing(label_smoothing)
    losses = [
        ops.sum(ops.reshape(softmax.crossentropy(block, blend), block.positions), -1)
        for block in blocks
    ]
    return given.settle(sum(losses[1:], losses[0]))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class GroupedSoftmaxCrossentropy(PositionLoss, function=grouped_softmax_crossentropy):
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
        group_sizes: the number of classes of each group, integers >= 2 whose sum is the last
            dimension of `y_pred`.
        from_logits: whether `y_pred` holds logits. Give logits where you can: probabilities
            below 1e-30 count as 1e-30 and get no gradient, and groups are divided by their sum.
        label_smoothing: the share that is taken from each label and given to its whole group,
            from 0 to 1.
        {options}

    Shapes:
        `y_pred` (batch, ..., sum of sizes). `y_true`: rows of the same flat shape, or the class
        id inside each group, (batch, ..., groups). Result: a scalar; with reduction "none"
        (batch, ...).

    Raises:
        {raises}

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
        arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(options, group_sizes=group_sizes, **arguments)
