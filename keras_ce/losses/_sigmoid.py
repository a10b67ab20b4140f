"""Independent yes-or-no classes: labels, validity, and an exact cross-entropy of each entry."""

import abc
import math
from typing import Any

import numpy as np
from keras import ops

from keras_ce.losses import _checks
from keras_ce.losses._gradient import closed_form
from keras_ce.losses._loss import PositionLoss
from keras_ce.losses._values import (
    PROBABILITY_TOLERANCE,
    SMALLEST_PROBABILITY,
    clamped,
    either,
    exempt_to_zero,
    last_axis_mean,
    settle,
    tensor,
    unless_exempt,
    weighted,
)

Tensor = Any


class SigmoidLoss(PositionLoss):
    """A loss of rows of labels from 0 to 1. A subclass stores its arguments, as given."""

    from_logits: bool = True
    ignore_label: float | None = None

    @abc.abstractmethod
    def row_losses(self, y_true: Tensor, y_pred: Tensor, is_kept: Tensor | None) -> Tensor:
        """Losses (...) of logits or clamped probabilities (..., C).

        Args:
            y_true: labels (..., C).
            y_pred: logits or clamped probabilities (..., C).
            is_kept: None, or which entries (..., C) count.
        """

    def position_losses(
        self, y_true: Any, y_pred: Tensor, is_exempt: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """See the base class."""
        labels = ops.cast(_same_shape(tensor("y_true", y_true), y_pred), y_pred.dtype)
        is_kept, is_ignored = None, None
        if self.ignore_label is not None:
            is_kept = ops.not_equal(labels, self.ignore_label)
            is_ignored = ops.logical_not(ops.any(is_kept, -1))
            is_exempt = either(is_exempt, is_ignored)
            # 0 is a valid label and a valid prediction, whatever stood there before.
            labels = ops.where(is_kept, labels, ops.zeros_like(labels))
            y_pred = ops.where(is_kept, y_pred, ops.zeros_like(y_pred))
        y_pred = exempt_to_zero(y_pred, is_exempt)
        is_valid = ops.all((labels >= 0) & (labels <= 1), -1)
        _raise_unless_labels(labels, unless_exempt(ops.logical_not(is_valid), is_exempt))
        if not self.from_logits:
            y_pred, are_probabilities = _probabilities(y_pred)
            is_valid = is_valid & are_probabilities
        counts = ops.expand_dims(unless_exempt(is_valid, is_exempt), -1)
        labels = ops.where(counts, labels, ops.zeros_like(labels))

        losses = self.row_losses(labels, y_pred, is_kept)
        return settle(losses, is_valid, is_exempt), is_ignored


class EntryLoss(SigmoidLoss):
    """The mean over the last axis of a loss of each entry."""

    @abc.abstractmethod
    def entry_losses(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each entry (..., C)."""

    def row_losses(self, y_true: Tensor, y_pred: Tensor, is_kept: Tensor | None) -> Tensor:
        """See the base class."""
        losses = self.entry_losses(y_true, y_pred)
        if is_kept is None:
            return ops.squeeze(last_axis_mean(losses), -1)
        number = ops.sum(ops.cast(is_kept, losses.dtype), -1)
        return ops.sum(ops.where(is_kept, losses, 0.0), -1) / ops.maximum(number, 1)


def crossentropy_of_entries(
    y_pred: Tensor, yes: Tensor, no: Tensor, *, from_logits: bool
) -> Tensor:
    """-yes log p - no log(1 - p) of each entry, in nats.

    Args:
        y_pred: logits, or clamped probabilities p, of any shape.
        yes: the mass >= 0 of "yes" at each entry.
        no: the mass >= 0 of "no" at each entry.
        from_logits: whether `y_pred` holds logits.

    Returns:
        Losses of `y_pred`'s shape.
    """

    def from_logits_forward(logits: Tensor, yes: Tensor, no: Tensor) -> Any:
        # -log p is softplus(-z), so with |z| and s = exp(-|z|): log1p(s), and |z| on the wrong
        # side of 0. Nothing cancels, and nothing overflows.
        distance = ops.absolute(logits)
        small = ops.exp(-distance)
        wrong = ops.where(logits < 0, yes, no)
        losses = (yes + no) * ops.log1p(small) + weighted(wrong, distance)
        return losses, (small,)

    def from_logits_backward(
        upstream: Tensor, residuals: Any, logits: Tensor, yes: Tensor, no: Tensor
    ) -> Tensor:
        (small,) = residuals
        slope = ops.where(logits < 0, no * small - yes, no - yes * small)
        return upstream * slope / (1 + small)

    def forward(p: Tensor, yes: Tensor, no: Tensor) -> Any:
        is_certain = ops.equal(p, 1)
        complement = ops.where(is_certain, SMALLEST_PROBABILITY, 1 - p)
        log_complement = ops.where(
            is_certain, math.log(SMALLEST_PROBABILITY), ops.log1p(-ops.where(is_certain, 0.0, p))
        )
        return -yes * ops.log(p) - no * log_complement, (complement, is_certain)

    def backward(upstream: Tensor, residuals: Any, p: Tensor, yes: Tensor, no: Tensor) -> Tensor:
        complement, is_certain = residuals
        return upstream * (ops.where(is_certain, 0.0, no / complement) - yes / p)

    if from_logits:
        return closed_form(from_logits_forward, from_logits_backward, y_pred, yes, no)
    return closed_form(forward, backward, y_pred, yes, no)


def _same_shape(y_true: Tensor, y_pred: Tensor) -> Tensor:
    shape, expected = list(y_true.shape), list(y_pred.shape)
    if len(shape) == 1 and len(expected) == 2 and expected[1] == 1:
        y_true, shape = ops.expand_dims(y_true, -1), [*shape, 1]
    if len(shape) != len(expected) or not all(
        size is None or other is None or size == other
        for size, other in zip(shape, expected, strict=True)
    ):
        raise ValueError(
            "`y_true` must have the shape of `y_pred`, or (batch,) where `y_pred` is (batch, 1). "
            f"Received: y_true.shape={tuple(y_true.shape)}, y_pred.shape={tuple(expected)}."
        )
    return y_true


def _raise_unless_labels(labels: Tensor, is_invalid: Tensor) -> None:
    def message(position: tuple[int, ...]) -> str:
        row = _checks.to_numpy(labels)[position]
        index = int(np.argmin((row >= 0) & (row <= 1)))
        return (
            "`y_true` must hold labels from 0 to 1, one per class. Received: "
            f"{row[index]:g} at position {(*position, index)}. For class ids use a softmax loss; "
            "for labels to leave out use `ignore_label` or `sample_weight` 0."
        )

    _checks.raise_where(is_invalid, message)


def _probabilities(y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Entries clamped to [1e-30, 1], and which rows are probabilities at all."""
    is_valid = (y_pred >= -PROBABILITY_TOLERANCE) & (y_pred <= 1 + PROBABILITY_TOLERANCE)
    _checks.raise_where(
        ops.logical_not(is_valid),
        lambda position: _checks.not_a_probability(_checks.entry(y_pred, position), position),
    )
    return clamped(y_pred), ops.all(is_valid, -1)
