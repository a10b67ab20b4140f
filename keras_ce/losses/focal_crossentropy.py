"""Cross-entropy of exclusive classes that looks away from what is already right."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses import _checks
from keras_ce.losses._exclusive import TermLoss
from keras_ce.losses._loss import LossOptions
from keras_ce.losses._values import finite_product, ratio

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class FocalCrossentropy(TermLoss):
    """Softmax cross-entropy scaled down where the right class is already probable, in nats.

    For many easy examples that drown a few hard ones. Equals
    `LabelSmoothedCrossentropy(0)` when `gamma` is 0; with several labels at once take
    `AsymmetricSigmoidCrossentropy`.

    The loss of a position is

        sum_c w_c y_c (1 - p_c)^gamma (-log p_c)

    with w = `class_weight` or 1. With r_c = w_c y_c (1 - p_c)^gamma (1 + gamma p_c (-log p_c) /
    (1 - p_c)) its gradient with respect to the logits is p sum(r) - r. It is computed from
    log p and 1 - p, so a saturated prediction keeps its gradient, also for `gamma` below 1.

    Args:
        gamma: a number >= 0; larger looks away sooner.
        from_logits: whether `y_pred` holds logits. Give logits where you can: probabilities
            below 1e-30 count as 1e-30 and get no gradient, and rows are divided by their sum.
        class_weight: C numbers >= 0, or a dict id -> weight in which missing ids count 1 (the
            paper's alpha).
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
        >>> loss = FocalCrossentropy(2.0, from_logits=True)
        >>> float(loss([2, 1], [[2.0, 0.5, 6.0], [0.1, 0.0, 3.0]]))
        1.41330...

    Reference:
        Lin et al. 2017, "Focal Loss for Dense Object Detection", equations 4 and 5;
        https://arxiv.org/abs/1708.02002.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        from_logits: bool = False,
        class_weight: Sequence[float] | Mapping[Any, float] | None = None,
        ignore_class: int | None = None,
        axis: int = -1,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(from_logits=from_logits, ignore_class=ignore_class, axis=axis, **options)
        self.gamma = _checks.number("gamma", gamma, minimum=0)
        self.class_weight = _checks.class_weights(class_weight)

    def weights(self, num_classes: int | None) -> list[float] | None:
        """See the base class."""
        return _checks.class_weight_list(self.class_weight, num_classes)

    def term(self, information: Tensor, complement: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class."""
        factor = ops.power(complement, self.gamma)
        focus = finite_product(ops.exp(-information), ratio(information, complement))
        return factor * information, factor * (1 + self.gamma * focus)


def focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    gamma: float = 2.0,
    *,
    from_logits: bool = False,
    class_weight: Sequence[float] | Mapping[Any, float] | None = None,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """`FocalCrossentropy` of each position, in nats; one single row gives shape ()."""
    return FocalCrossentropy(
        gamma,
        from_logits=from_logits,
        class_weight=class_weight,
        ignore_class=ignore_class,
        axis=axis,
        name="focal_crossentropy",
    ).call(y_true, y_pred)
