"""Between cross-entropy and absolute error: a bounded loss for noisy labels."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses import _checks
from keras_ce.losses._exclusive import TermLoss
from keras_ce.losses._loss import LossOptions

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class GeneralizedCrossentropy(TermLoss):
    """A bounded softmax loss between cross-entropy (q near 0) and absolute error (q = 1).

    For noisy labels: a wrong label costs at most 1 / q, so training does not bend over backwards
    to fit it. `SymmetricCrossentropy` is its neighbour that keeps the cross-entropy as a part.
    Equals half the absolute error sum |y - p| when q is 1 and the label one class; tends to
    `LabelSmoothedCrossentropy(0)` as q tends to 0.

    The loss of a position is

        sum_c y_c (1 - p_c^q) / q

    without unit, in nats as q tends to 0. With r_c = y_c p_c^q its gradient with respect to the
    logits is p sum(r) - r.

    Args:
        q: a number above 0 and up to 1.
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
        >>> loss = GeneralizedCrossentropy(0.7, from_logits=True)
        >>> float(loss([2, 1], [[2.0, 0.5, 6.0], [0.1, 0.0, 3.0]]))
        0.64370...

    Reference:
        Zhang & Sabuncu 2018, "Generalized Cross Entropy Loss for Training Deep Neural Networks
        with Noisy Labels", equation 6; https://arxiv.org/abs/1805.07836.
    """

    def __init__(
        self,
        q: float = 0.7,
        *,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(from_logits=from_logits, ignore_class=ignore_class, axis=axis, **options)
        self.q = _checks.number("q", q, above=0, maximum=1)

    def term(self, information: Tensor, complement: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class."""
        exponent = -self.q * information
        return -ops.expm1(exponent) / self.q, ops.exp(exponent)


def generalized_crossentropy(
    y_true: Any,
    y_pred: Any,
    q: float = 0.7,
    *,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """`GeneralizedCrossentropy` of each position, without unit; one single row gives shape ()."""
    return GeneralizedCrossentropy(
        q,
        from_logits=from_logits,
        ignore_class=ignore_class,
        axis=axis,
        name="generalized_crossentropy",
    ).call(y_true, y_pred)
