"""Cross-entropy of exclusive classes with smoothed labels and class weights."""

from typing import Any, Unpack, final

import keras

from keras_ce._core import checks, labels, softmax
from keras_ce._core.per_class import Numbers, distribution, per_class
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


@checks.arguments(
    label_smoothing=checks.number(minimum=0, maximum=1),
    prior=checks.optional(distribution),
    class_weight=checks.optional(per_class(missing=1.0)),
    **labels.EXCLUSIVE_CHECKS,
)
def label_smoothed_crossentropy(
    y_true: Any,
    y_pred: Any,
    label_smoothing: float = 0.1,
    *,
    from_logits: bool = False,
    prior: Numbers | None = None,
    class_weight: Numbers | None = None,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """`LabelSmoothedCrossentropy` of each position, in nats; one single row gives shape ()."""
    given = labels.exclusive(y_true, y_pred, from_logits, ignore_class, axis)
    blend = softmax.smoothing(label_smoothing, given.y_pred, prior, class_weight)
    return given.settle(softmax.crossentropy(given, blend))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class LabelSmoothedCrossentropy(PositionLoss, function=label_smoothed_crossentropy):
    """Softmax cross-entropy against smoothed labels, in nats.

    For exactly one right class out of C. Smoothing keeps the logits from growing without limit; 0
    is plain softmax cross-entropy. Where several classes can be right at once, take
    `WeightedSigmoidCrossentropy`; with two classes and no smoothing, this loss equals that one of
    the difference of the two logits.

    The loss of a position is

        -sum_c w_c q_c log p_c,    q = (1 - label_smoothing) y + label_smoothing u

    with u uniform (1 / C) or `prior`, and w = `class_weight` or 1. Its gradient with respect to the
    logits is p sum(w q) - w q. Dense label rows are used as they are, even where they do not sum to
    one. Class weights are never part of a denominator (PyTorch divides a mean by their sum).

    Args:
        label_smoothing: the share e that is taken from the label and given to u, from 0 to 1.
        {from_logits}
        prior: C numbers >= 0, divided by their sum: the distribution u. Default: uniform.
        class_weight: C numbers >= 0, or a dict id -> weight in which missing ids count 1.
        {softmax arguments}

    Shapes:
        {softmax shapes}

    Raises:
        {raises}

    Example:
        >>> loss = LabelSmoothedCrossentropy(0.1, from_logits=True)
        >>> float(loss([2, 1], [[2.0, 0.5, 6.0], [0.1, 0.0, 3.0]]))
        1.66758...

    Reference:
        Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision",
        section 7; https://arxiv.org/abs/1512.00567.
    """

    def __init__(
        self,
        label_smoothing: float = 0.1,
        *,
        from_logits: bool = False,
        prior: Numbers | None = None,
        class_weight: Numbers | None = None,
        ignore_class: int | None = None,
        axis: int = -1,
        **options: Unpack[LossOptions],
    ) -> None:
        arguments: dict[str, Any] = {
            "prior": prior,
            "class_weight": class_weight,
            "from_logits": from_logits,
        }
        arguments |= {"ignore_class": ignore_class, "axis": axis}
        super().__init__(options, label_smoothing=label_smoothing, **arguments)
