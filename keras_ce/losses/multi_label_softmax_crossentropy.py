"""Several labels at once by comparing scores: every present label above every absent one."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, sigmoid
from keras_ce._core.backends import backend
from keras_ce._core.reduction import LossOptions, PositionLoss
from keras_ce._core.softmax import largest_number

Tensor = Any


def zlpr(y_pred: Tensor, yes: Tensor, no: Tensor) -> tuple[Tensor, tuple[Tensor]]:
    """log(1 + sum no e^s) + log(1 + sum yes e^-s) of each row, and its gradient."""
    absent, absent_share = log_one_plus_sum(no, y_pred)
    present, present_share = log_one_plus_sum(yes, -y_pred)
    return ops.squeeze(absent + present, -1), (absent_share - present_share,)


def times_gradient(upstream: Tensor, residuals: Any, *tensors: Tensor) -> Tensor:
    """The gradient of `zlpr`."""
    return ops.expand_dims(upstream, -1) * residuals[0]


def log_one_plus_sum(weights: Tensor, exponents: Tensor) -> tuple[Tensor, Tensor]:
    """log(1 + sum w e^a) over the last axis, and the share of each w e^a in that sum."""
    # What has no weight has no say in the largest exponent either.
    lowest = -largest_number(exponents) / 2
    exponents = ops.where(ops.equal(weights, 0), lowest, exponents)
    peak = ops.relu(backend.largest(exponents))
    # An infinite exponent makes the sum infinite, and takes all of it.
    is_infinite = exponents > largest_number(exponents)
    shifted = ops.where(is_infinite, ops.zeros_like(exponents), exponents - peak)
    parts = weights * ops.exp(shifted)
    total = ops.sum(parts, -1, keepdims=True)
    one = ops.exp(-peak)
    value = ops.where(ops.equal(peak, 0), ops.log1p(total), peak + ops.log(one + total))
    return value, parts / (one + total)


@checks.arguments(ignore_label=sigmoid.ENTRY_CHECKS["ignore_label"])
def multi_label_softmax_crossentropy(
    y_true: Any, y_pred: Any, *, ignore_label: float | str | None = None
) -> Tensor:
    """`MultiLabelSoftmaxCrossentropy` of each position, in nats; one row gives shape ()."""
    given = sigmoid.independent(y_true, y_pred, True, ignore_label)
    labels = given.judged()
    yes, no = labels, 1 - labels
    if given.is_kept is not None:
        no = ops.where(given.is_kept, no, ops.zeros_like(no))
    return given.settle(
        backend.closed_form(zlpr, times_gradient, given.y_pred, yes, no, by_rows=True)
    )


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class MultiLabelSoftmaxCrossentropy(PositionLoss, function=multi_label_softmax_crossentropy):
    """Softmax cross-entropy generalised to any number of right classes (ZLPR), from logits.

    For many classes of which few are present: no threshold and no class weight to tune, because the
    loss compares present with absent labels and both with 0. Predict the classes whose logit is
    above 0. Equals `WeightedSigmoidCrossentropy(from_logits=True)` when there is one class and its
    label is 0 or 1; take that loss where you need probabilities.

    The loss of a position, in nats, is

        log(1 + sum_c (1 - y_c) e^s_c) + log(1 + sum_c y_c e^-s_c)

    Its gradient with respect to s_c is (1 - y_c) e^s_c / (1 + sum (1 - y) e^s)
    - y_c e^-s_c / (1 + sum y e^-s).

    Args:
        ignore_label: entries with this label are left out of both sums, "nan" for NaN; a row
            without any other entry is ignored.
        {options}

    Shapes:
        `y_pred`: logits (batch, ..., C). `y_true`: the same, from 0 to 1; (batch,) for
        (batch, 1). Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        {raises}

    Example:
        >>> loss = MultiLabelSoftmaxCrossentropy()
        >>> float(loss([[1, 1, 0], [0, 1, 0]], [[1.5, -2.7, 2.9], [-3.8, 1.2, -4.5]]))
        3.01438...

    Reference:
        Su et al. 2022, "ZLPR: A Novel Loss for Multi-label Classification", the loss ZLPR and
        its soft version; https://arxiv.org/abs/2208.02955.
    """

    def __init__(
        self, *, ignore_label: float | str | None = None, **options: Unpack[LossOptions]
    ) -> None:
        super().__init__(options, ignore_label=ignore_label)
