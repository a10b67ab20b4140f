"""Cross-entropy of exclusive classes that gives little weight to what is already right."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, labels, softmax
from keras_ce._core.limits import finite_product, ratio
from keras_ce._core.per_class import Numbers, per_class, tensor_of
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


def focal(information: Tensor, complement: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """(1 - p)^gamma (-log p), and its derivative by -log p."""
    factor = ops.power(complement, gamma)
    focus = finite_product(ops.exp(-information), ratio(information, complement))
    return factor * information, factor * (1 + gamma * focus)


@checks.arguments(
    gamma=checks.number(minimum=0),
    class_weight=checks.optional(per_class(missing=1.0)),
    **labels.EXCLUSIVE_CHECKS,
)
def focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    gamma: float = 2.0,
    *,
    from_logits: bool = False,
    class_weight: Numbers | None = None,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """`FocalCrossentropy` of each position, in nats; one single row gives shape ()."""
    given = labels.exclusive(y_true, y_pred, from_logits, ignore_class, axis)
    weights = tensor_of(class_weight, given.y_pred)
    term = softmax.Term(focal, (gamma,))
    return given.settle(softmax.sum_of_terms(given, term, weights))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class FocalCrossentropy(PositionLoss, function=focal_crossentropy):
    """Softmax cross-entropy scaled down where the right class is already probable, in nats.

    For many easy examples that outweigh a few hard ones. Equals
    `LabelSmoothedCrossentropy(0)` when `gamma` is 0; with several labels at once take
    `AsymmetricSigmoidCrossentropy`.

    The loss of a position is

        sum_c w_c y_c (1 - p_c)^gamma (-log p_c)

    with w = `class_weight` or 1. With r_c = w_c y_c (1 - p_c)^gamma (1 + gamma p_c (-log p_c) /
    (1 - p_c)) its gradient with respect to the logits is p sum(r) - r. It is computed from
    log p and 1 - p, so a saturated prediction keeps its gradient, also for `gamma` below 1.

    Args:
        gamma: a number >= 0; the larger it is, the less an easy example counts.
        {from_logits}
        class_weight: C numbers >= 0, or a dict id -> weight in which missing ids count 1 (the
            paper's alpha).
        {softmax arguments}

    Shapes:
        {softmax shapes}

    Raises:
        {raises}

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
        class_weight: Numbers | None = None,
        ignore_class: int | None = None,
        axis: int = -1,
        **options: Unpack[LossOptions],
    ) -> None:
        arguments = {"gamma": gamma, "from_logits": from_logits, "class_weight": class_weight}
        super().__init__(options, **arguments, ignore_class=ignore_class, axis=axis)
