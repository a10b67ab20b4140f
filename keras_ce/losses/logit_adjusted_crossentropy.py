"""Cross-entropy of exclusive classes whose logits are shifted by how frequent each class is."""

import math
from collections.abc import Sequence
from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses import _checks
from keras_ce.losses._exclusive import SoftmaxLoss
from keras_ce.losses._gradient import closed_form
from keras_ce.losses._loss import LossOptions
from keras_ce.losses._row_operations import largest
from keras_ce.losses._softmax import crossentropy_of_rows, losses_of_ids

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class LogitAdjustedCrossentropy(SoftmaxLoss):
    """Softmax cross-entropy of z + strength log prior, from logits, in nats.

    For a long tail of rare classes where every class shall count the same at test time: trained
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
        ignore_class: positions with this class id do not count. Class ids only.
        axis: the axis of the classes.
        **options: `reduction`, `name` and `dtype`, as in every Keras loss.

    Shapes:
        `y_pred`: logits (batch, ..., C). `y_true`: class ids (batch, ...) or (batch, ..., 1), or
        dense rows of `y_pred`'s shape. Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        ValueError: an argument out of its range; labels of another shape; in eager execution an
            invalid label. Compiled, such a position's loss is NaN and its gradient 0.

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
        class_prior: Sequence[float],
        strength: float = 1.0,
        *,
        ignore_class: int | None = None,
        axis: int = -1,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(from_logits=True, ignore_class=ignore_class, axis=axis, **options)
        self.class_prior = _checks.float_list("class_prior", class_prior, above=0)
        self.strength = _checks.number("strength", strength, minimum=0)

    def id_losses(self, y_pred: Tensor, ids: Tensor) -> Tensor:
        """See the base class."""
        mass = ops.ones_like(y_pred[:, 0])
        return losses_of_ids(self._adjusted(y_pred), ids, mass, from_logits=True)

    def row_losses(self, y_pred: Tensor, rows: Tensor, are_valid: bool) -> Tensor:
        """See the base class."""
        return crossentropy_of_rows(self._adjusted(y_pred), rows, are_valid, from_logits=True)

    def _adjusted(self, logits: Tensor) -> Tensor:
        prior = _checks.per_class("class_prior", self.class_prior, logits.shape[-1])
        shifts = [self.strength * math.log(item / max(prior)) for item in prior]
        constants = ops.convert_to_tensor(shifts, logits.dtype)
        return closed_form(_shifted, _unchanged, logits, constants)


def logit_adjusted_crossentropy(
    y_true: Any,
    y_pred: Any,
    class_prior: Sequence[float],
    strength: float = 1.0,
    *,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """`LogitAdjustedCrossentropy` of each position, in nats; one single row gives shape ()."""
    return LogitAdjustedCrossentropy(
        class_prior,
        strength,
        ignore_class=ignore_class,
        axis=axis,
        name="logit_adjusted_crossentropy",
    ).call(y_true, y_pred)


def _shifted(logits: Tensor, shifts: Tensor) -> Any:
    # Large logits first lose what they have in common, so that the shift keeps its digits. The
    # selection changes nothing but keeps TensorFlow from adding the shift to the large number.
    differences = logits - largest(logits)
    return ops.where(differences > 0, 0.0, differences) + shifts, ()


def _unchanged(upstream: Tensor, residuals: Any, logits: Tensor, shifts: Tensor) -> Tensor:
    return upstream
