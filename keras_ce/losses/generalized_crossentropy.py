"""Between cross-entropy and absolute error: a bounded loss for noisy labels."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, labels, softmax
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


def generalized(information: Tensor, complement: Tensor, q: float) -> tuple[Tensor, Tensor]:
    """(1 - p^q) / q, and its derivative by -log p."""
    exponent = -q * information
    return -ops.expm1(exponent) / q, ops.exp(exponent)


@checks.arguments(q=checks.number(above=0, maximum=1), **labels.EXCLUSIVE_CHECKS)
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
    given = labels.exclusive(y_true, y_pred, from_logits, ignore_class, axis)
    term = softmax.Term(generalized, (q,))
    return given.settle(softmax.sum_of_terms(given, term))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class GeneralizedCrossentropy(PositionLoss, function=generalized_crossentropy):
    """A bounded softmax loss between cross-entropy (q near 0) and absolute error (q = 1).

    For noisy labels: a wrong label costs at most 1 / q, so training makes little effort to fit it.
    `SymmetricCrossentropy` is for noisy labels too, and has the cross-entropy as one of its parts.
    Equals half the absolute error sum |y - p| when q is 1 and the label is one class; tends to
    `LabelSmoothedCrossentropy(0)` as q tends to 0.

    The loss of a position is

        sum_c y_c (1 - p_c^q) / q

    without unit, in nats as q tends to 0. With r_c = y_c p_c^q its gradient with respect to the
    logits is p sum(r) - r.

    Args:
        q: a number above 0 and up to 1.
        {from_logits}
        {softmax arguments}

    Shapes:
        {softmax shapes}

    Raises:
        {raises}

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
        arguments = {"q": q, "from_logits": from_logits}
        super().__init__(options, **arguments, ignore_class=ignore_class, axis=axis)
