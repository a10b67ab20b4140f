"""Cross-entropy of exclusive classes whose logits are shifted by how frequent each class is."""

from typing import Any, Unpack, final

import keras
import numpy as np
from keras import ops

from keras_ce._core import checks, labels, softmax
from keras_ce._core.backends import backend
from keras_ce._core.per_class import Numbers, per_class, tensor_of
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


def relative_log(prior: Any, strength: float) -> Any:
    """The shift strength log prior of each class, less the largest."""
    return strength * np.log(prior / np.max(prior))


def shifted(logits: Tensor, shifts: Tensor) -> tuple[Tensor, tuple[()]]:
    """The logits (N, C) less the largest of their row, plus the shifts (C,)."""
    # Large logits first lose what they have in common, so that the shift keeps its digits. The
    # selection changes nothing but keeps TensorFlow from adding the shift to the large number.
    differences = logits - backend.largest(logits)
    return ops.where(differences > 0, ops.zeros_like(differences), differences) + shifts, ()


def unchanged(upstream: Tensor, residuals: Any, logits: Tensor, shifts: Tensor) -> Tensor:
    """The gradient of `shifted` for losses to which it does not matter what a row has in common."""
    return upstream


@checks.arguments(
    class_prior=per_class(above=0),
    strength=checks.number(minimum=0),
    ignore_class=labels.EXCLUSIVE_CHECKS["ignore_class"],
    axis=labels.EXCLUSIVE_CHECKS["axis"],
)
def logit_adjusted_crossentropy(
    y_true: Any,
    y_pred: Any,
    class_prior: Numbers,
    strength: float = 1.0,
    *,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """`LogitAdjustedCrossentropy` of each position, in nats; one single row gives shape ()."""
    given = labels.exclusive(y_true, y_pred, True, ignore_class, axis)
    shifts = tensor_of(class_prior, given.y_pred, relative_log, strength)
    given.y_pred = backend.closed_form(shifted, unchanged, given.y_pred, shifts, by_rows=True)
    return given.settle(softmax.crossentropy(given))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class LogitAdjustedCrossentropy(PositionLoss, function=logit_adjusted_crossentropy):
    """Softmax cross-entropy of z + strength log prior, from logits, in nats.

    For a long tail of rare classes where every class should count the same at test time: trained
    with the frequencies in the loss, the logits themselves come out without them. Class weights
    (`LabelSmoothedCrossentropy`) scale what an example costs; this moves the decision instead.
    Equals `LabelSmoothedCrossentropy(0, from_logits=True)` when `strength` is 0. Predict from the
    plain logits.

    The loss of a position is

        -sum_c y_c log p_c,    p = softmax(z + strength log prior)

    and its gradient with respect to the logits z is p sum(y) - y.

    Args:
        class_prior: C numbers > 0, divided by their sum: how frequent each class is in training.
            Counts will do.
        strength: a number >= 0; 1 aims at the balanced error.
        {softmax arguments}

    Shapes:
        `y_pred`: logits (batch, ..., C). `y_true`: class ids (batch, ...) or (batch, ..., 1), or
        dense rows of `y_pred`'s shape. Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        {raises}

    Example:
        >>> loss = LogitAdjustedCrossentropy([900, 90, 10])
        >>> float(loss([2, 1], [[2.0, 0.5, 6.0], [0.1, 0.0, 3.0]]))
        1.82342...

    Reference:
        Menon et al. 2021, "Long-tail learning via logit adjustment", equation 10;
        https://arxiv.org/abs/2007.07314.
    """

    def __init__(
        self,
        class_prior: Numbers,
        strength: float = 1.0,
        *,
        ignore_class: int | None = None,
        axis: int = -1,
        **options: Unpack[LossOptions],
    ) -> None:
        arguments = {"class_prior": class_prior, "strength": strength}
        super().__init__(options, **arguments, ignore_class=ignore_class, axis=axis)
