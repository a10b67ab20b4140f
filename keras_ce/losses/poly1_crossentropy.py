"""Cross-entropy of exclusive classes with a coefficient for its first polynomial term."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, labels, softmax
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


def poly1(information: Tensor, complement: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """-log p + epsilon (1 - p), and its derivative by -log p."""
    # 1 + epsilon p, written so that epsilon = -1 leaves 1 - p without a difference.
    slope = complement + (1 + epsilon) * ops.exp(-information)
    return information + epsilon * complement, slope


@checks.arguments(epsilon=checks.number(minimum=-1), **labels.EXCLUSIVE_CHECKS)
def poly1_crossentropy(
    y_true: Any,
    y_pred: Any,
    epsilon: float = 1.0,
    *,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """`Poly1Crossentropy` of each position, in nats; one single row gives shape ()."""
    given = labels.exclusive(y_true, y_pred, from_logits, ignore_class, axis)
    term = softmax.Term(poly1, (epsilon,))
    return given.settle(softmax.sum_of_terms(given, term))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class Poly1Crossentropy(PositionLoss, function=poly1_crossentropy):
    """Softmax cross-entropy plus `epsilon` times (1 - p), in nats.

    Cross-entropy with one parameter: with `epsilon` above 0, labels that are already probable count
    more, below 0 less. Equals `LabelSmoothedCrossentropy(0)` when `epsilon` is 0.

    The loss of a position is

        sum_c y_c (-log p_c + epsilon (1 - p_c))

    With r_c = y_c (1 + epsilon p_c) its gradient with respect to the logits is p sum(r) - r. It
    equals optax's `poly_loss_cross_entropy`, also for rows that do not sum to one.

    Args:
        epsilon: a number >= -1.
        {from_logits}
        {softmax arguments}

    Shapes:
        {softmax shapes}

    Raises:
        {raises}

    Example:
        >>> loss = Poly1Crossentropy(1.0, from_logits=True)
        >>> float(loss([2, 1], [[2.0, 0.5, 6.0], [0.1, 0.0, 3.0]]))
        2.04933...

    Reference:
        Leng et al. 2022, "PolyLoss: A Polynomial Expansion Perspective of Classification Loss
        Functions", the loss Poly-1; https://arxiv.org/abs/2204.12511.
    """

    def __init__(
        self,
        epsilon: float = 1.0,
        *,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        **options: Unpack[LossOptions],
    ) -> None:
        arguments = {"epsilon": epsilon, "from_logits": from_logits}
        super().__init__(options, **arguments, ignore_class=ignore_class, axis=axis)
