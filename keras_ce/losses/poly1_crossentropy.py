"""Cross-entropy of exclusive classes with a coefficient for its first polynomial term."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses import _checks
from keras_ce.losses._exclusive import TermLoss
from keras_ce.losses._loss import LossOptions

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class Poly1Crossentropy(TermLoss):
    """Softmax cross-entropy plus `epsilon` times the probability that is missing, in nats.

    A one-number adjustment of cross-entropy: `epsilon` above 0 presses harder on what is almost
    right, below 0 less. Equals `LabelSmoothedCrossentropy(0)` when `epsilon` is 0.

    The loss of a position is

        sum_c y_c (-log p_c + epsilon (1 - p_c))

    With r_c = y_c (1 + epsilon p_c) its gradient with respect to the logits is p sum(r) - r.
    The same as optax's `poly_loss_cross_entropy`, also for rows that do not sum to one.

    Args:
        epsilon: a number >= -1.
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
        super().__init__(from_logits=from_logits, ignore_class=ignore_class, axis=axis, **options)
        self.epsilon = _checks.number("epsilon", epsilon, minimum=-1)

    def term(self, information: Tensor, complement: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class."""
        # 1 + epsilon p, written so that epsilon = -1 leaves 1 - p without a difference.
        slope = complement + (1 + self.epsilon) * ops.exp(-information)
        return information + self.epsilon * complement, slope


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
    return Poly1Crossentropy(
        epsilon,
        from_logits=from_logits,
        ignore_class=ignore_class,
        axis=axis,
        name="poly1_crossentropy",
    ).call(y_true, y_pred)
