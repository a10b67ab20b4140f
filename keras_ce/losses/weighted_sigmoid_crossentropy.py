"""Cross-entropy of independent yes-or-no classes, with a weight for positive labels."""

from typing import Any, Unpack, final

import keras

from keras_ce._core import checks, sigmoid
from keras_ce._core.per_class import Numbers, number_or_per_class, tensor_of
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


@checks.arguments(
    pos_weight=number_or_per_class(above=0, missing=1.0),
    label_smoothing=checks.number(minimum=0, maximum=1),
    **sigmoid.ENTRY_CHECKS,
)
def weighted_sigmoid_crossentropy(
    y_true: Any,
    y_pred: Any,
    pos_weight: float | Numbers = 1.0,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    ignore_label: float | str | None = None,
) -> Tensor:
    """`WeightedSigmoidCrossentropy` of each position, in nats; one single row gives shape ()."""
    given = sigmoid.independent(y_true, y_pred, from_logits, ignore_label)
    weight = tensor_of(pos_weight, given.y_pred)
    return given.settle(sigmoid.mean_crossentropy(given, weight, label_smoothing))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class WeightedSigmoidCrossentropy(PositionLoss, function=weighted_sigmoid_crossentropy):
    """Sigmoid cross-entropy in which a positive label counts `pos_weight` times, in nats.

    For one yes-or-no question, or several that are answered independently. A `pos_weight` of
    (negatives / positives) balances a rare class. Where exactly one class is right, take
    `LabelSmoothedCrossentropy`. Equals `AsymmetricSigmoidCrossentropy(0, 0, 0)` when `pos_weight`
    is 1 and nothing is smoothed or ignored.

    The loss of a position is the mean over the last axis of

        -(w y log p + (1 - y) log(1 - p)),    p = sigmoid(logit)

    with w = `pos_weight`, as `tf.nn.weighted_cross_entropy_with_logits` and PyTorch have it. The
    gradient with respect to a logit is (1 - y) p - w y (1 - p), divided by the number of classes.

    Args:
        pos_weight: a number > 0, or one for each class.
        from_logits: whether `y_pred` holds logits. Give logits: near p = 1 a float32 probability
            no longer holds 1 - p, and at p = 1 a label 0 costs 69.08 and has no gradient.
        label_smoothing: e from 0 to 1; a label y becomes y (1 - e) + e / 2.
        {ignore_label}
        {options}

    Shapes:
        {sigmoid shapes}

    Raises:
        {raises}

    Example:
        >>> loss = WeightedSigmoidCrossentropy(3.0, from_logits=True)
        >>> float(loss([[1], [0], [1], [0]], [[2.0], [2.0], [-3.0], [-3.0]]))
        2.92551...

    Reference:
        King & Zeng 2001, "Logistic Regression in Rare Events Data", Political Analysis 9(2), the
        weighted log-likelihood.
    """

    def __init__(
        self,
        pos_weight: float | Numbers = 1.0,
        *,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_label: float | str | None = None,
        **options: Unpack[LossOptions],
    ) -> None:
        arguments: dict[str, Any] = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        arguments |= {"pos_weight": pos_weight, "ignore_label": ignore_label}
        super().__init__(options, **arguments)
