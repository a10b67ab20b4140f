"""Cross-entropy of independent yes-or-no classes with a weight for the rare yes."""

from collections.abc import Sequence
from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses import _checks
from keras_ce.losses._loss import LossOptions
from keras_ce.losses._sigmoid import EntryLoss, crossentropy_of_entries

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class WeightedSigmoidCrossentropy(EntryLoss):
    """Sigmoid cross-entropy whose positive labels weigh `pos_weight`, in nats.

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
        label_smoothing: e from 0 to 1 takes labels to y (1 - e) + e / 2.
        ignore_label: entries with this label leave the mean; a row of nothing else is ignored.
        **options: `reduction`, `name` and `dtype`, as in every Keras loss.

    Shapes:
        `y_pred` (batch, ..., C). `y_true`: the same, from 0 to 1; (batch,) for (batch, 1).
        Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        ValueError: an argument out of its range; labels of another shape; in eager execution a
            label outside [0, 1], or such a value taken as a probability. Compiled, such a
            position's loss is NaN and its gradient 0.

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
        pos_weight: float | Sequence[float] = 1.0,
        *,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_label: float | None = None,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(**options)
        self.pos_weight = _checks.number_or_list("pos_weight", pos_weight, above=0)
        self.from_logits = _checks.flag("from_logits", from_logits)
        self.label_smoothing = _checks.number(
            "label_smoothing", label_smoothing, minimum=0, maximum=1
        )
        self.ignore_label = (
            None if ignore_label is None else _checks.number("ignore_label", ignore_label)
        )

    def entry_losses(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """See the base class."""
        no = 1 - y_true
        if self.label_smoothing:
            y_true = y_true * (1 - self.label_smoothing) + self.label_smoothing / 2
            no = no * (1 - self.label_smoothing) + self.label_smoothing / 2
        pos_weight = self.pos_weight
        if isinstance(pos_weight, list):
            _checks.per_class("pos_weight", pos_weight, y_pred.shape[-1])
            pos_weight = ops.convert_to_tensor(pos_weight, y_pred.dtype)
        return crossentropy_of_entries(
            y_pred, pos_weight * y_true, no, from_logits=self.from_logits
        )


def weighted_sigmoid_crossentropy(
    y_true: Any,
    y_pred: Any,
    pos_weight: float | Sequence[float] = 1.0,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    ignore_label: float | None = None,
) -> Tensor:
    """`WeightedSigmoidCrossentropy` of each position, in nats; one single row gives shape ()."""
    return WeightedSigmoidCrossentropy(
        pos_weight,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        ignore_label=ignore_label,
        name="weighted_sigmoid_crossentropy",
    ).call(y_true, y_pred)
