"""The base of the losses of exclusive classes: labels, validity, and what a subclass fills in."""

import abc
from collections.abc import Callable
from typing import Any, Unpack

from keras import ops

from keras_ce.losses import _checks, _labels
from keras_ce.losses._loss import LossOptions, PositionLoss
from keras_ce.losses._row_operations import largest, smallest
from keras_ce.losses._softmax import Blend, losses_of_ids, losses_of_rows
from keras_ce.losses._values import (
    PROBABILITY_TOLERANCE,
    clamped,
    either,
    exempt_to_zero,
    settle,
    tensor,
    unless_exempt,
)

Tensor = Any


class SoftmaxLoss(PositionLoss):
    """A loss of exclusive classes, from class ids or dense label rows."""

    def __init__(
        self,
        *,
        from_logits: bool,
        ignore_class: int | None,
        axis: int,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(**options)
        self.from_logits = _checks.flag("from_logits", from_logits)
        self.ignore_class = _checks.optional_class_id("ignore_class", ignore_class)
        self.axis = _checks.integer("axis", axis)

    @property
    def class_axis(self) -> int:
        """The axis of the classes."""
        return self.axis

    @abc.abstractmethod
    def id_losses(self, y_pred: Tensor, ids: Tensor) -> Tensor:
        """Losses (N,) of logits or probabilities (N, C) against class ids (N,)."""

    @abc.abstractmethod
    def row_losses(self, y_pred: Tensor, rows: Tensor, are_valid: bool) -> Tensor:
        """Losses (N,) of logits or probabilities (N, C) against label rows (N, C).

        Unless all rows `are_valid`, the loss of those that are not is NaN, without gradient.
        """

    def position_losses(
        self, y_true: Any, y_pred: Tensor, is_exempt: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """See the base class."""
        rank = len(y_pred.shape)
        _checks.require_axis(self.axis, y_pred)
        is_dense = _labels.are_dense(y_true, y_pred, self.axis)
        if is_dense and self.ignore_class is not None:
            raise ValueError(
                "`ignore_class` needs class ids as labels. Received: dense rows "
                f"for y_pred.shape={_checks.shape_text(y_pred)}, ignore_class={self.ignore_class}. "
                "Give the rows to ignore `sample_weight` 0."
            )
        if self.axis not in (-1, rank - 1):
            y_pred = ops.moveaxis(y_pred, self.axis, -1)
            if is_dense:
                y_true = ops.moveaxis(tensor("y_true", y_true), self.axis, -1)
        losses, is_valid, is_ignored = checked_losses(
            y_true,
            y_pred,
            is_exempt,
            is_dense=is_dense,
            from_logits=self.from_logits,
            ignore_class=self.ignore_class,
            row_losses=self.row_losses,
            id_losses=self.id_losses,
        )
        return settle(losses, is_valid, either(is_exempt, is_ignored)), is_ignored


class TermLoss(SoftmaxLoss):
    """A loss that sums a function of -log p over the classes, weighted by the label."""

    @abc.abstractmethod
    def term(self, information: Tensor, complement: Tensor) -> tuple[Tensor, Tensor]:
        """The function and its derivative by -log p.

        Args:
            information: -log p, from 0 to infinity.
            complement: 1 - p, exact also where p is all but 1.
        """

    def weights(self, num_classes: int | None) -> list[float] | None:
        """A weight for each class, or None."""
        return None

    def id_losses(self, y_pred: Tensor, ids: Tensor) -> Tensor:
        """See the base class."""
        mass = weights_of_ids(self.weights(y_pred.shape[-1]), ids, y_pred)
        return losses_of_ids(y_pred, ids, mass, self.term, from_logits=self.from_logits)

    def row_losses(self, y_pred: Tensor, rows: Tensor, are_valid: bool) -> Tensor:
        """See the base class."""
        return losses_of_rows(
            y_pred,
            rows,
            are_valid,
            self.term,
            blend=Blend(self.weights(y_pred.shape[-1])),
            from_logits=self.from_logits,
        )


def weights_of_ids(weights: list[float] | None, ids: Tensor, y_pred: Tensor) -> Tensor:
    """The weight (N,) of each label's class, 1 where there are no weights."""
    if weights is None:
        return ops.ones_like(y_pred[:, 0])
    return ops.take(ops.convert_to_tensor(weights, y_pred.dtype), ids)


def checked_losses(
    y_true: Any,
    y_pred: Tensor,
    is_exempt: Tensor | None,
    *,
    is_dense: bool,
    from_logits: bool,
    ignore_class: int | None = None,
    row_losses: Callable[[Tensor, Tensor, bool], Tensor],
    id_losses: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Judge labels and predictions, in eager execution by raising, and compute the losses.

    Args:
        y_true: class ids (...) or (..., 1), or label rows (..., C).
        y_pred: logits or probabilities (..., C).
        is_exempt: None, or which positions (...) may hold anything.
        is_dense: whether `y_true` holds label rows.
        from_logits: whether `y_pred` holds logits.
        ignore_class: the class id of positions to ignore.
        row_losses: losses (N,) of predictions (N, C), label rows (N, C) and whether all are valid.
        id_losses: losses (N,) of predictions (N, C) and class ids (N,).

    Returns:
        The losses (...), which of them are valid, and None or which are ignored.
    """
    num_classes = y_pred.shape[-1]
    if num_classes is None:
        num_classes = ops.shape(y_pred)[-1]
    is_ignored = None
    if is_dense:
        labels = ops.cast(tensor("y_true", y_true), y_pred.dtype)
        is_valid = (smallest(labels) >= 0) & ops.isfinite(ops.sum(labels, -1))
    else:
        labels = _labels.class_ids(y_true, len(y_pred.shape) - 1)
        is_valid = (labels >= 0) & (labels < num_classes)
        if ignore_class is not None:
            is_ignored = ops.equal(labels, ignore_class)
            is_exempt = either(is_exempt, is_ignored)
    y_pred = exempt_to_zero(y_pred, is_exempt)
    is_invalid = unless_exempt(ops.logical_not(is_valid), is_exempt)
    is_distribution = None
    if is_dense:
        # Compiled, nothing is looked at here: the losses judge the rows on their way.
        are_valid = _labels.raise_unless_rows(labels, is_invalid) and is_exempt is None
    else:
        _labels.raise_unless_ids(y_true, is_invalid, num_classes, ignore_class)
    if not from_logits:
        y_pred, is_distribution = probabilities(y_pred, is_exempt)

    flat = ops.reshape(y_pred, (-1, num_classes))
    if is_dense:
        losses = row_losses(flat, ops.reshape(labels, (-1, num_classes)), are_valid)
    else:
        is_counted = unless_exempt(is_valid, is_exempt)
        labels = ops.where(is_counted, labels, ops.zeros_like(labels))
        losses = id_losses(flat, ops.reshape(labels, (-1,)))
    losses = ops.reshape(losses, ops.shape(y_pred)[:-1])
    if is_dense:
        is_valid = ops.logical_not(ops.isnan(losses))
    if is_distribution is not None:
        is_valid = is_valid & is_distribution
    return losses, is_valid, is_ignored


def probabilities(y_pred: Tensor, is_exempt: Tensor | None) -> tuple[Tensor, Tensor]:
    """Rows of probabilities clamped to [1e-30, 1], and which rows are probabilities at all."""
    high = ops.squeeze(largest(y_pred), -1)
    is_valid = (smallest(y_pred) >= -PROBABILITY_TOLERANCE) & (high > 0)
    is_valid = is_valid & (high <= 1 + PROBABILITY_TOLERANCE)
    # Under XLA, the smallest and the largest entry may not be the NaN; the sum is.
    is_valid = is_valid & ops.isfinite(ops.sum(y_pred, -1))

    def message(position: tuple[int, ...]) -> str:
        row = _checks.to_numpy(y_pred)[position]
        for index, value in enumerate(row.tolist()):
            if not -PROBABILITY_TOLERANCE <= value <= 1 + PROBABILITY_TOLERANCE:
                return _checks.not_a_probability(value, (*position, index))
        return (
            "`y_pred` must hold probabilities whose row sums are positive. Received: a row of "
            f"zeros at position {position}. Let the model end in a softmax, or better: return "
            "logits and give the loss `from_logits=True`."
        )

    _checks.raise_where(unless_exempt(ops.logical_not(is_valid), is_exempt), message)
    return clamped(y_pred), is_valid
