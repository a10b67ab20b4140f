"""Cross-entropy and reverse cross-entropy together, for noisy labels."""

import math
from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, labels, softmax
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any

LOG_OF_ZERO = -4.0
"""The paper's A: what the logarithm of a label of 0 counts, and the least that any counts."""


def symmetric(
    information: Tensor, complement: Tensor, alpha: float, beta: float
) -> tuple[Tensor, Tensor]:
    """For one right class: alpha (-log p) + 4 beta (1 - p) and its derivative by -log p."""
    most = -beta * LOG_OF_ZERO
    # At p = 0 the information may be infinite; without alpha it does not count.
    forward = alpha * information if alpha else 0.0
    return forward + most * complement, alpha + most * ops.exp(-information)


def reverse_costs(rows: Tensor, beta: float) -> Tensor:
    """-beta max(log y, -4) of label rows."""
    # What is no number is cut too, so that no gradient comes of it.
    is_kept = ops.logical_and(rows >= math.exp(LOG_OF_ZERO), ops.isfinite(rows))
    costs = -ops.log(ops.where(is_kept, rows, ops.ones_like(rows)))
    return beta * ops.where(is_kept, costs, -LOG_OF_ZERO)


@checks.arguments(
    alpha=checks.number(minimum=0), beta=checks.number(minimum=0), **labels.EXCLUSIVE_CHECKS
)
def symmetric_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.1,
    beta: float = 1.0,
    *,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """`SymmetricCrossentropy` of each position, in nats; one single row gives shape ()."""
    given = labels.exclusive(y_true, y_pred, from_logits, ignore_class, axis)
    if given.ids is not None:
        term = softmax.Term(symmetric, (alpha, beta))
        return given.settle(softmax.sum_of_terms(given, term))
    losses = softmax.crossentropy(given, softmax.Blend(alpha))
    costs = reverse_costs(given.rows, beta)
    return given.settle(losses + softmax.mean_under_prediction(given, costs))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class SymmetricCrossentropy(PositionLoss, function=symmetric_crossentropy):
    """Cross-entropy plus reverse cross-entropy, which trusts the prediction too, in nats.

    For noisy labels: the reverse part is bounded, so that it does not fit wrong labels, and the
    cross-entropy keeps the model learning. Equals `LabelSmoothedCrossentropy(0)` when `alpha` is 1
    and `beta` 0; `GeneralizedCrossentropy` is similar, with one parameter instead of two.

    The loss of a position is

        alpha sum_c y_c (-log p_c) + beta sum_c p_c a_c,    a_c = -max(log y_c, -4)

    With class ids the reverse part is 4 (1 - p) of the label's class. Its gradient with respect
    to the logits is alpha (p sum(y) - y) + beta p (a - sum(p a)).

    Args:
        alpha: a number >= 0, the weight of the cross-entropy.
        beta: a number >= 0, the weight of the reverse cross-entropy.
        {from_logits}
        {softmax arguments}

    Shapes:
        {softmax shapes}

    Raises:
        {raises}

    Example:
        >>> loss = SymmetricCrossentropy(0.1, 1.0, from_logits=True)
        >>> float(loss([2, 1], [[2.0, 0.5, 6.0], [0.1, 0.0, 3.0]]))
        2.10978...

    Reference:
        Wang et al. 2019, "Symmetric Cross Entropy for Robust Learning with Noisy Labels", the
        loss SL; https://arxiv.org/abs/1908.06112.
    """

    def __init__(
        self,
        alpha: float = 0.1,
        beta: float = 1.0,
        *,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        **options: Unpack[LossOptions],
    ) -> None:
        arguments = {"alpha": alpha, "beta": beta, "from_logits": from_logits}
        super().__init__(options, **arguments, ignore_class=ignore_class, axis=axis)
