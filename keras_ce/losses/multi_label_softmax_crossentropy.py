"""Several labels at once by comparing scores: every present label above every absent one."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses._gradient import closed_form
from keras_ce.losses._loss import LossOptions
from keras_ce.losses._row_operations import largest
from keras_ce.losses._sigmoid import SigmoidLoss

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class MultiLabelSoftmaxCrossentropy(SigmoidLoss):
    """Softmax cross-entropy generalised to any number of right classes (ZLPR), from logits.

    For many classes of which few are present: no threshold and no class weight to tune, because
    the loss compares present with absent labels and both with 0. Predict the classes whose logit
    is above 0. Equals `WeightedSigmoidCrossentropy(from_logits=True)` when there is one class and
    its label is 0 or 1; that neighbour is the one that gives probabilities.

    The loss of a position, in nats, is

        log(1 + sum_c (1 - y_c) e^s_c) + log(1 + sum_c y_c e^-s_c)

    Its gradient with respect to s_c is (1 - y_c) e^s_c / (1 + sum (1 - y) e^s)
    - y_c e^-s_c / (1 + sum y e^-s).

    Args:
        **options: `reduction`, `name` and `dtype`, as in every Keras loss.

    Shapes:
        `y_pred`: logits (batch, ..., C). `y_true`: the same, from 0 to 1; (batch,) for
        (batch, 1). Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        ValueError: labels of another shape; in eager execution a label outside [0, 1].
            Compiled, such a position's loss is NaN and its gradient 0.

    Example:
        >>> loss = MultiLabelSoftmaxCrossentropy()
        >>> float(loss([[1, 1, 0], [0, 1, 0]], [[1.5, -2.7, 2.9], [-3.8, 1.2, -4.5]]))
        3.01438...

    Reference:
        Su et al. 2022, "ZLPR: A Novel Loss for Multi-label Classification", the loss ZLPR and
        its soft version; https://arxiv.org/abs/2208.02955.
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(**options)

    def row_losses(self, y_true: Tensor, y_pred: Tensor, is_kept: Tensor | None) -> Tensor:
        """See the base class."""
        return closed_form(_forward, _backward, y_pred, y_true)


def multi_label_softmax_crossentropy(y_true: Any, y_pred: Any) -> Tensor:
    """`MultiLabelSoftmaxCrossentropy` of each position, in nats; one row gives shape ()."""
    return MultiLabelSoftmaxCrossentropy(name="multi_label_softmax_crossentropy").call(
        y_true, y_pred
    )


def _forward(y_pred: Tensor, y_true: Tensor) -> Any:
    absent, absent_share = _log_one_plus_sum(1 - y_true, y_pred)
    present, present_share = _log_one_plus_sum(y_true, -y_pred)
    return ops.squeeze(absent + present, -1), (absent_share - present_share,)


def _backward(upstream: Tensor, residuals: Any, y_pred: Tensor, y_true: Tensor) -> Tensor:
    return ops.expand_dims(upstream, -1) * residuals[0]


def _log_one_plus_sum(weights: Tensor, exponents: Tensor) -> tuple[Tensor, Tensor]:
    """log(1 + sum w e^a) over the last axis, and the share of each w e^a in that sum."""
    # What has no weight has no say in the largest exponent either.
    exponents = ops.where(ops.equal(weights, 0), float("-inf"), exponents)
    peak = ops.relu(largest(exponents))
    # An infinite exponent makes the sum infinite, and takes all of it.
    is_infinite = ops.equal(exponents, float("inf"))
    shifted = ops.where(is_infinite, 0.0, exponents - peak)
    parts = weights * ops.exp(shifted)
    total = ops.sum(parts, -1, keepdims=True)
    one = ops.exp(-peak)
    value = ops.where(ops.equal(peak, 0), ops.log1p(total), peak + ops.log(one + total))
    return value, parts / (one + total)
