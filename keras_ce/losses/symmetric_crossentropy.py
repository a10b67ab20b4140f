"""Cross-entropy and reverse cross-entropy together, for noisy labels."""

import math
from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses import _checks
from keras_ce.losses._exclusive import SoftmaxLoss
from keras_ce.losses._loss import LossOptions
from keras_ce.losses._softmax import (
    Blend,
    crossentropy_of_rows,
    losses_of_ids,
    mean_under_prediction,
)

Tensor = Any

LOG_OF_ZERO = -4.0
"""The paper's A: what the logarithm of a label of 0 counts, and the least that any counts."""


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class SymmetricCrossentropy(SoftmaxLoss):
    """Cross-entropy plus reverse cross-entropy, which trusts the prediction too, in nats.

    For noisy labels: the reverse part is bounded and does not chase wrong labels, the other part
    keeps learning going. Equals `LabelSmoothedCrossentropy(0)` when `alpha` is 1 and `beta` 0;
    `GeneralizedCrossentropy` is its neighbour with one number instead of two.

    The loss of a position is

        alpha sum_c y_c (-log p_c) + beta sum_c p_c a_c,    a_c = -max(log y_c, -4)

    With class ids the reverse part is 4 (1 - p) of the label's class. Its gradient with respect
    to the logits is alpha (p sum(y) - y) + beta p (a - sum(p a)).

    Args:
        alpha: a number >= 0, the weight of the cross-entropy.
        beta: a number >= 0, the weight of the reverse cross-entropy.
        from_logits: whether `y_pred` holds logits. Give logits where you can: probabilities
            below 1e-30 count as 1e-30 and get no gradient, and rows are divided by their sum.
        ignore_class: positions with this class id do not count. Class ids only.
        axis: the axis of the classes.
        **options: `reduction`, `name` and `dtype`, as in every Keras loss.

    Shapes:
        `y_pred` (batch, ..., C). `y_true`: class ids (batch, ...) or (batch, ..., 1), or dense
        rows of `y_pred`'s shape. Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        ValueError: an argument out of its range; labels of another shape; in eager execution an
            invalid label or probability. Compiled, such a position's loss is NaN and its
            gradient 0.

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
        super().__init__(from_logits=from_logits, ignore_class=ignore_class, axis=axis, **options)
        self.alpha = _checks.number("alpha", alpha, minimum=0)
        self.beta = _checks.number("beta", beta, minimum=0)

    def id_losses(self, y_pred: Tensor, ids: Tensor) -> Tensor:
        """See the base class."""
        most = -self.beta * LOG_OF_ZERO

        def term(information: Tensor, complement: Tensor) -> tuple[Tensor, Tensor]:
            # At p = 0 the information may be infinite; without alpha it does not count.
            forward = self.alpha * information if self.alpha else 0.0
            return forward + most * complement, self.alpha + most * ops.exp(-information)

        mass = ops.ones_like(y_pred[:, 0])
        return losses_of_ids(y_pred, ids, mass, term, from_logits=self.from_logits)

    def row_losses(self, y_pred: Tensor, rows: Tensor, are_valid: bool) -> Tensor:
        """See the base class."""
        forward = crossentropy_of_rows(
            y_pred, rows, are_valid, blend=Blend(self.alpha), from_logits=self.from_logits
        )
        # What is no number is cut too, so that no gradient comes of it.
        is_kept = (rows >= math.exp(LOG_OF_ZERO)) & ops.isfinite(rows)
        costs = ops.where(is_kept, -ops.log(ops.where(is_kept, rows, 1.0)), -LOG_OF_ZERO)
        reverse = mean_under_prediction(y_pred, self.beta * costs, from_logits=self.from_logits)
        return forward + reverse


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
    return SymmetricCrossentropy(
        alpha,
        beta,
        from_logits=from_logits,
        ignore_class=ignore_class,
        axis=axis,
        name="symmetric_crossentropy",
    ).call(y_true, y_pred)
