"""Cross-entropy of exclusive classes with smoothed labels and class weights."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses import _checks
from keras_ce.losses._exclusive import SoftmaxLoss, weights_of_ids
from keras_ce.losses._loss import LossOptions
from keras_ce.losses._softmax import Blend, crossentropy_of_rows, losses_of_ids

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class LabelSmoothedCrossentropy(SoftmaxLoss):
    """Softmax cross-entropy against smoothed labels, in nats.

    For exactly one right class out of C. Smoothing keeps a model from growing its logits without
    end; 0 is plain softmax cross-entropy. Where several classes can be right at once, take
    `WeightedSigmoidCrossentropy`; with two classes and no smoothing this loss equals that of the
    difference of the two logits.

    The loss of a position is

        -sum_c w_c q_c log p_c,    q = (1 - label_smoothing) y + label_smoothing u

    with u uniform (1 / C) or `prior`, and w = `class_weight` or 1. Its gradient with respect to
    the logits is p sum(w q) - w q. Dense label rows are taken as they are, also where they do not
    sum to one. Class weights never enter a denominator (PyTorch divides a mean by their sum).

    Args:
        label_smoothing: the share e that is taken from the label and given to u, from 0 to 1.
        from_logits: whether `y_pred` holds logits. Give logits where you can: probabilities
            below 1e-30 count as 1e-30 and get no gradient, and rows are divided by their sum.
        prior: C numbers >= 0, divided by their sum: the distribution u. Default: uniform.
        class_weight: C numbers >= 0, or a dict id -> weight in which missing ids count 1.
        ignore_class: positions with this class id do not count. Class ids only.
        axis: the axis of the classes.
        **options: `reduction`, `name` and `dtype`, as in every Keras loss.

    Shapes:
        `y_pred` (batch, ..., C). `y_true`: class ids (batch, ...) or (batch, ..., 1), or dense
        rows of `y_pred`'s shape. Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        ValueError: an argument out of its range; labels of another shape; in eager execution an
            id outside [0, C), a negative or non-finite label, a value outside [0, 1] taken as a
            probability. Compiled, such a position's loss is NaN and its gradient 0.

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
        prior: Sequence[float] | None = None,
        class_weight: Sequence[float] | Mapping[Any, float] | None = None,
        ignore_class: int | None = None,
        axis: int = -1,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(from_logits=from_logits, ignore_class=ignore_class, axis=axis, **options)
        self.label_smoothing = _checks.number(
            "label_smoothing", label_smoothing, minimum=0, maximum=1
        )
        self.prior = None if prior is None else _checks.distribution("prior", prior)
        self.class_weight = _checks.class_weights(class_weight)

    def id_losses(self, y_pred: Tensor, ids: Tensor) -> Tensor:
        """See the base class."""
        smoothing = self.label_smoothing
        if smoothing and (self.prior is not None or self.class_weight is not None):
            rows = ops.one_hot(ids, y_pred.shape[-1], dtype=y_pred.dtype)
            return self.row_losses(y_pred, rows, are_valid=True)
        weights = _checks.class_weight_list(self.class_weight, y_pred.shape[-1])
        mass = (1 - smoothing) * weights_of_ids(weights, ids, y_pred)
        return losses_of_ids(
            y_pred, ids, mass, uniform_share=smoothing, from_logits=self.from_logits
        )

    def row_losses(self, y_pred: Tensor, rows: Tensor, are_valid: bool) -> Tensor:
        """See the base class."""
        return crossentropy_of_rows(
            y_pred,
            rows,
            are_valid,
            blend=self._blend(y_pred.shape[-1]),
            from_logits=self.from_logits,
        )

    def _blend(self, num_classes: int | None) -> Blend:
        """(1 - e) y + e u, times the class weights."""
        share = self.label_smoothing
        weights = _checks.class_weight_list(self.class_weight, num_classes)
        if not share:
            return Blend(weights)
        if self.prior is not None:
            prior = _checks.per_class("prior", self.prior, num_classes)
        elif weights is not None:
            prior = [1.0] * len(weights)
        else:
            return Blend(1 - share, shift_mass=share)
        weights = weights or [1.0] * len(prior)
        total = sum(prior)
        shift = [share * weight * item / total for weight, item in zip(weights, prior, strict=True)]
        return Blend([(1 - share) * weight for weight in weights], shift, sum(shift))


def label_smoothed_crossentropy(
    y_true: Any,
    y_pred: Any,
    label_smoothing: float = 0.1,
    *,
    from_logits: bool = False,
    prior: Sequence[float] | None = None,
    class_weight: Sequence[float] | Mapping[Any, float] | None = None,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """`LabelSmoothedCrossentropy` of each position, in nats; one single row gives shape ()."""
    return LabelSmoothedCrossentropy(
        label_smoothing,
        from_logits=from_logits,
        prior=prior,
        class_weight=class_weight,
        ignore_class=ignore_class,
        axis=axis,
        name="label_smoothed_crossentropy",
    ).call(y_true, y_pred)
