"""Independent yes-or-no entries: their record, and an exact cross-entropy of each entry."""

import dataclasses
import math
from typing import Any

from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.labels import (
    PROBABILITY_TOLERANCE,
    Given,
    either,
    first_entry,
    fits,
    float_tensor,
    may_be_probabilities,
    not_a_probability,
    own_position,
    shape_of,
    tensor,
    unless,
    unmarked,
    zero_where,
)
from keras_ce._core.limits import SMALLEST_PROBABILITY, clamped, weighted

Tensor = Any


def missing_label(name: str, value: Any) -> float | str:
    """A label that marks entries to leave out: a finite number, or "nan"."""
    if isinstance(value, str) or value != value:  # A NaN is not equal to itself.
        return checks.choice("nan")(name, value if isinstance(value, str) else "nan")
    return checks.number()(name, value)


ENTRY_CHECKS: dict[str, checks.Check] = {
    "from_logits": checks.flag,
    "ignore_label": checks.optional(missing_label),
}
"""The checks of the arguments that losses of independent entries share."""


@dataclasses.dataclass
class Independent(Given):
    """Rows of independent yes-or-no entries.

    Attributes:
        y_pred: logits or probabilities (..., C).
        labels: from 0 to 1 (..., C).
        from_logits: which of them `y_pred` holds.
        is_kept: None, or which entries (..., C) count.
    """

    labels: Tensor = None
    from_logits: bool = True
    is_kept: Tensor | None = None

    def settle_mean(self, losses: Tensor) -> Tensor:
        """The losses of the positions, from those of the entries (..., C) that count."""
        if self.is_kept is None:
            size = losses.shape[-1] or ops.cast(ops.shape(losses)[-1], losses.dtype)
            return self.settle(ops.sum(losses, -1) / size)
        number = ops.sum(ops.cast(self.is_kept, losses.dtype), -1)
        total = ops.sum(ops.where(self.is_kept, losses, ops.zeros_like(losses)), -1)
        return self.settle(total / ops.maximum(number, 1))


def independent(
    y_true: Any, y_pred: Any, from_logits: bool, ignore_label: float | str | None = None
) -> Independent:
    """The record of a loss of independent entries."""
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    labels = ops.cast(_as_predictions("y_true", tensor("y_true", y_true), y_pred), y_pred.dtype)
    given = Independent(y_pred, marked, marked.is_exempt, from_logits=from_logits)
    if ignore_label is not None:
        is_kept = ops.logical_not(
            ops.isnan(labels) if ignore_label == "nan" else ops.equal(labels, ignore_label)
        )
        given.is_kept = is_kept
        given.is_ignored = ops.logical_not(ops.any(is_kept, -1))
        given.is_exempt = either(given.is_exempt, given.is_ignored)
        # 0 is a valid label and a valid prediction, whatever stood there before.
        labels = ops.where(is_kept, labels, ops.zeros_like(labels))
        y_pred = ops.where(is_kept, y_pred, ops.zeros_like(y_pred))
    y_pred = zero_where(given.is_exempt, y_pred)
    is_right = ops.logical_and(labels >= 0, labels <= 1)
    is_invalid = unless(given.is_exempt, ops.logical_not(ops.all(is_right, -1)))
    found = checks.any_true(is_invalid)
    if found:
        position, value = first_entry(labels, lambda at: (at >= 0) & (at <= 1), given.is_exempt)
        raise InvalidValuesError(
            "y_true",
            value,
            "labels from 0 to 1, one per class",
            own_position(position, y_true),
            "For class ids use a softmax loss; for labels to leave out use `ignore_label` or "
            "`sample_weight` 0.",
        )
    if found is None:
        given.is_invalid = is_invalid
        labels = ops.where(is_right, labels, ops.zeros_like(labels))
    given.labels = zero_where(given.is_exempt, labels)
    if not from_logits:
        is_right = ops.logical_and(
            y_pred >= -PROBABILITY_TOLERANCE, y_pred <= 1 + PROBABILITY_TOLERANCE
        )
        is_invalid = ops.logical_not(ops.all(is_right, -1))
        found = checks.any_true(is_invalid)
        if found:
            position, value = first_entry(y_pred, may_be_probabilities, None)
            raise not_a_probability(position, value)
        if found is None:
            given.is_invalid = either(given.is_invalid, is_invalid)
        y_pred = clamped(y_pred)
    given.y_pred = y_pred
    return given


def crossentropy(y_pred: Tensor, yes: Tensor, no: Tensor, *, from_logits: bool) -> Tensor:
    """-yes log p - no log(1 - p) of each entry, in nats.

    Args:
        y_pred: logits, or clamped probabilities p, of any shape.
        yes: the mass >= 0 of "yes" at each entry.
        no: the mass >= 0 of "no" at each entry.
        from_logits: whether `y_pred` holds logits.

    Returns:
        Losses of `y_pred`'s shape.
    """

    def forward_from_logits(logits: Tensor, yes: Tensor, no: Tensor) -> Any:
        # -log p is softplus(-z), so with |z| and s = exp(-|z|): log1p(s), and |z| on the wrong
        # side of 0. Nothing cancels, and nothing overflows.
        distance = ops.absolute(logits)
        small = ops.exp(-distance)
        wrong = ops.where(logits < 0, yes, no)
        losses = (yes + no) * ops.log1p(small) + weighted(wrong, distance)
        return losses, (small,)

    def backward_from_logits(
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
        return backend.closed_form(forward_from_logits, backward_from_logits, y_pred, yes, no)
    return backend.closed_form(forward, backward, y_pred, yes, no)


def _as_predictions(name: str, labels: Tensor, y_pred: Tensor) -> Tensor:
    """Labels (...) as (..., 1) where predictions have that shape; no other broadcast."""
    shape, expected = shape_of(name, labels), list(y_pred.shape)
    if len(shape) == len(expected) - 1 and expected[-1] == 1:
        labels, shape = ops.expand_dims(labels, -1), [*shape, 1]
    if not fits(shape, expected):
        raise ValueError(
            f"`{name}` must have the shape of `y_pred`, or (...) where `y_pred` is (..., 1). "
            f"Received: {name}.shape={tuple(labels.shape)}, y_pred.shape={tuple(expected)}."
        )
    return labels
