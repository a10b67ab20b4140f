"""Sigmoid cross-entropy that gives easy negatives even less weight than easy positives."""

import math
from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, sigmoid
from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Passes, kept
from keras_ce._core.limits import SMALLEST_PROBABILITY, finite_product, ratio, weighted
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


def asymmetric(
    y_pred: Tensor,
    y_true: Tensor,
    gamma_positive: float,
    gamma_negative: float,
    clip: float,
    from_logits: bool,
) -> tuple[Tensor, Tensor]:
    """The loss of each entry, and its derivative by `y_pred`."""
    if from_logits:
        # Not the absolute value, whose derivative at 0 is 0 on two backends.
        small = ops.exp(ops.where(y_pred < 0, y_pred, -y_pred))
        likely, unlikely = 1 / (1 + small), small / (1 + small)
        p = ops.where(y_pred < 0, unlikely, likely)
        complement = ops.where(y_pred < 0, likely, unlikely)
        positive = ops.log1p(small) + ops.relu(-y_pred)  # -log p
        negative = ops.log1p(small) + ops.relu(y_pred)  # -log(1 - p)
        rate = p * complement  # dp / dlogit
        positive_rate, negative_rate = -complement, p
    else:
        p, complement, rate = y_pred, 1 - y_pred, ops.ones_like(y_pred)
        is_certain = ops.equal(p, 1)
        positive = -ops.log(p)
        negative = -ops.log1p(-ops.where(is_certain, 0.0, p))
        negative = ops.where(is_certain, -math.log(SMALLEST_PROBABILITY), negative)
        positive_rate = -1 / p
        negative_rate = 1 / ops.where(is_certain, 1.0, complement)
        negative_rate = ops.where(is_certain, 0.0, negative_rate)
    factor = ops.power(complement, gamma_positive)
    # The ratio's limit is 1; for logits, rate / complement is p.
    focus = finite_product(p, positive) if from_logits else ratio(positive, complement)
    positive_slope = factor * (positive_rate - gamma_positive * focus)
    positive = factor * positive

    shifted = p
    if clip:
        shifted = ops.relu(p - clip)
        remainder = complement + clip
        is_small = shifted < 0.5
        negative = ops.where(
            is_small,
            -ops.log1p(-ops.where(is_small, shifted, 0.0)),
            -ops.log(remainder),
        )
        negative_rate = ops.where(shifted > 0, rate / remainder, 0.0)
        rate = ops.where(shifted > 0, rate, 0.0)
    factor = ops.power(shifted, gamma_negative)
    if from_logits and not clip:
        focus = finite_product(complement, negative)  # p (1 - p) negative / p
    else:
        focus = rate * ratio(negative, shifted)
    negative_slope = factor * (negative_rate + gamma_negative * focus)
    negative = factor * negative

    losses = weighted(y_true, positive) + weighted(1 - y_true, negative)
    slopes = weighted(y_true, positive_slope) + weighted(1 - y_true, negative_slope)
    return losses, slopes


@kept
def _passes(gamma_positive: float, gamma_negative: float, clip: float, from_logits: bool) -> Passes:
    def forward(y_pred: Tensor, y_true: Tensor, *is_kept: Tensor) -> Any:
        losses, slopes = asymmetric(
            y_pred, y_true, gamma_positive, gamma_negative, clip, from_logits
        )
        if is_kept:
            losses, slopes = (ops.where(is_kept[0], item, 0.0) for item in (losses, slopes))
        return backend.flat(backend.row_sum(losses)), (slopes,)

    def backward(upstream: Tensor, residuals: Any, *_: Tensor) -> Tensor:
        return residuals[0] * backend.column(upstream)

    return Passes(forward, backward)


@checks.arguments(
    gamma_positive=checks.number(minimum=0),
    gamma_negative=checks.number(minimum=0),
    clip=checks.number(minimum=0, below=1),
    **sigmoid.ENTRY_CHECKS,
)
def asymmetric_sigmoid_crossentropy(
    y_true: Any,
    y_pred: Any,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    clip: float = 0.05,
    *,
    from_logits: bool = False,
    ignore_label: float | str | None = None,
) -> Tensor:
    """`AsymmetricSigmoidCrossentropy` of each position, in nats; one row gives shape ()."""
    given = sigmoid.independent(y_true, y_pred, from_logits, ignore_label)
    passes = _passes(gamma_positive, gamma_negative, clip, from_logits)
    return given.settle(sigmoid.mean_of_entries(given, passes, given.judged()))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class AsymmetricSigmoidCrossentropy(PositionLoss, function=asymmetric_sigmoid_crossentropy):
    """Focal sigmoid cross-entropy, one gamma for present and one for absent labels, in nats.

    For several labels at once of which most are absent: `gamma_negative` gives easy negatives
    little weight, and `clip` drops the very easy ones. Equals the sigmoid focal loss when both
    gammas are equal and `clip` is 0, and `WeightedSigmoidCrossentropy()` when all are 0.

    The loss of a position is the mean over the last axis of

        y (1 - p)^gamma_positive (-log p) + (1 - y) m^gamma_negative (-log(1 - m))

    with p = sigmoid(logit) and m = max(p - clip, 0). Soft labels weigh both parts (timm's version
    rounds them into the exponent). The gradient with respect to a logit, divided by the number
    of classes, is -y (1 - p)^gamma_positive ((1 - p) + gamma_positive p (-log p)) plus, where
    p > clip, (1 - y) p (1 - p) (m^gamma_negative / (1 - m) + gamma_negative
    m^(gamma_negative - 1) (-log(1 - m))); where p <= clip that part is 0.

    Args:
        gamma_positive: a number >= 0.
        gamma_negative: a number >= 0.
        clip: a number from 0 up to, but not including, 1.
        from_logits: whether `y_pred` holds logits. Give logits: near p = 1 a float32 probability no
            longer holds 1 - p. At p = 1 a label 0 costs 69.08 with `clip` 0; otherwise -log(`clip`)
            times (1 - `clip`)^`gamma_negative`, which is 2.44 at the defaults.
        {ignore_label}
        {options}

    Shapes:
        {sigmoid shapes}

    Raises:
        {raises}

    Example:
        >>> loss = AsymmetricSigmoidCrossentropy(1.0, 4.0, 0.05, from_logits=True)
        >>> float(loss([[1, 1, 0]], [[1.5, -2.7, 2.9]]))
        1.37004...

    Reference:
        Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification", section 2
        (asymmetric focusing, probability shifting); https://arxiv.org/abs/2009.14119.
    """

    def __init__(
        self,
        gamma_positive: float = 0.0,
        gamma_negative: float = 4.0,
        clip: float = 0.05,
        *,
        from_logits: bool = False,
        ignore_label: float | str | None = None,
        **options: Unpack[LossOptions],
    ) -> None:
        arguments: dict[str, Any] = {
            "gamma_positive": gamma_positive,
            "gamma_negative": gamma_negative,
        }
        arguments |= {"clip": clip, "from_logits": from_logits, "ignore_label": ignore_label}
        super().__init__(options, **arguments)
