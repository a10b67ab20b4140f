"""Independent yes-or-no entries: their record, and an exact cross-entropy of each entry."""

import dataclasses
import math
from typing import Any

from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Passes, kept
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.labels import (
    PROBABILITY_TOLERANCE,
    Given,
    as_dtype,
    as_rows,
    either,
    first_entry,
    fits,
    float_tensor,
    last_axis_size,
    may_be_probabilities,
    not_a_probability,
    own_position,
    shape_of,
    tensor,
    unmarked,
    zero_where,
)
from keras_ce._core.limits import SMALLEST_PROBABILITY, clamped, nan_where

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
        are_right: whether all labels are known to lie from 0 to 1.
    """

    labels: Tensor = None
    from_logits: bool = True
    is_kept: Tensor | None = None
    are_right: bool = True

    def judged(self) -> Tensor:
        """The labels, 0 where they are wrong; the rows that have such are invalid from now on."""
        if self.are_right:
            return self.labels
        is_right = _is_label(self.labels)
        self.is_invalid = either(self.is_invalid, ops.logical_not(ops.all(is_right, -1)))
        return backend.where(is_right, self.labels, 0.0)

    def counts(self) -> Tensor | float:
        """How many entries of each position count: at least 1."""
        if self.is_kept is None:
            return last_axis_size(self.y_pred)
        return ops.maximum(ops.sum(ops.cast(self.is_kept, self.y_pred.dtype), -1), 1)


def independent(
    y_true: Any, y_pred: Any, from_logits: bool, ignore_label: float | str | None = None
) -> Independent:
    """The record of a loss of independent entries."""
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    labels = _as_predictions("y_true", tensor("y_true", y_true), y_pred)
    labels = as_dtype(labels, y_pred)
    given = Independent(y_pred, marked, marked.is_exempt, from_logits=from_logits)
    given.varies = None in tuple(y_pred.shape)[1:]
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
    labels = zero_where(given.is_exempt, labels)
    are_right = checks.all_within(labels, 0, 1)
    if are_right is False:
        position, value = first_entry(labels, lambda at: (at >= 0) & (at <= 1), given.is_exempt)
        raise InvalidValuesError(
            "y_true",
            value,
            "labels from 0 to 1, one per class",
            own_position(position, y_true),
            "For class ids use a softmax loss; for labels to leave out use `ignore_label` or "
            "`sample_weight` 0.",
        )
    given.are_right = bool(are_right)
    given.labels = labels
    if not from_logits:
        low, high = -PROBABILITY_TOLERANCE, 1 + PROBABILITY_TOLERANCE
        are_right = checks.all_within(y_pred, low, high)
        if are_right is False:
            raise not_a_probability(*first_entry(y_pred, may_be_probabilities, None))
        if are_right is None:
            is_right = ops.logical_and(y_pred >= low, y_pred <= high)
            is_invalid = ops.logical_not(ops.all(is_right, -1))
            given.is_invalid = either(given.is_invalid, is_invalid)
        y_pred = clamped(y_pred)
    given.y_pred = y_pred
    return given


def mean_crossentropy(
    given: Independent, pos_weight: Tensor | float = 1.0, label_smoothing: float = 0.0
) -> Tensor:
    """The mean over the entries of -(w y log p + (1 - y) log(1 - p)), in nats: (..., C) to (...).

    Args:
        given: logits or probabilities, and labels y, (..., C).
        pos_weight: the weight w, or one (C,) for each class.
        label_smoothing: e takes labels to y (1 - e) + e / 2.
    """
    # What holds a tensor is no key to find passes by.
    make = _kept_passes if isinstance(pos_weight, (int, float)) else _passes
    passes = make(pos_weight, label_smoothing, given.from_logits, given.are_right)
    return mean_of_entries(given, passes, given.labels)


def mean_of_entries(given: Independent, passes: Passes, labels: Tensor) -> Tensor:
    """The mean over the entries that count, from the passes of their sum: (..., C) to (...).

    The passes take predictions and labels (N, C), and which entries are kept where some are not.
    """
    num_classes = ops.shape(given.y_pred)[-1]
    constants = [labels] if given.is_kept is None else [labels, given.is_kept]
    sums = backend.closed_form_of_rows(
        passes,
        as_rows(given.y_pred, num_classes),
        *(as_rows(item, num_classes) for item in constants),
        varies=given.varies,
    )
    if len(given.y_pred.shape) != 2:
        sums = ops.reshape(sums, ops.shape(given.y_pred)[:-1])
    return sums / given.counts()


def _passes(
    pos_weight: Tensor | float, label_smoothing: float, from_logits: bool, are_right: bool
) -> Passes:
    """The sum over the entries of each row, from labels and perhaps which entries are kept."""
    sums_to_one = isinstance(pos_weight, (int, float)) and pos_weight == 1

    def masses(labels: Tensor, *is_kept: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """What -log p and -log(1 - p) are multiplied by, and the sum of both."""
        yes, no = labels, 1 - labels
        if label_smoothing:
            yes = yes * (1 - label_smoothing) + label_smoothing / 2
            no = no * (1 - label_smoothing) + label_smoothing / 2
        if not sums_to_one:
            yes = pos_weight * yes
        if is_kept:
            yes, no = (backend.where(is_kept[0], item, 0.0) for item in (yes, no))
        return yes, no, 1.0 if sums_to_one and not is_kept else yes + no

    def losses_of(y_pred: Tensor, *labels: Tensor) -> Tensor:
        yes, no, both = masses(*labels)
        if from_logits:
            return backend.sigmoid_losses(y_pred, yes, no, both)
        is_certain = y_pred == 1
        log_complement = backend.where(
            is_certain,
            math.log(SMALLEST_PROBABILITY),
            backend.log1p(-backend.where(is_certain, 0.0, y_pred)),
        )
        return -yes * backend.log(y_pred) - no * log_complement

    def slopes_of(y_pred: Tensor, *labels: Tensor) -> Tensor:
        yes, no, _ = masses(*labels)
        if from_logits:
            return backend.sigmoid_slopes(y_pred, yes, no)
        is_certain = y_pred == 1
        rate = no / backend.where(is_certain, 1.0, 1 - y_pred)
        return backend.where(is_certain, 0.0, rate) - yes / y_pred

    def forward(y_pred: Tensor, labels: Tensor, *is_kept: Tensor) -> Any:
        if are_right:
            return backend.flat(backend.row_sum(losses_of(y_pred, labels, *is_kept))), ()
        is_right = _is_label(labels)
        losses = losses_of(y_pred, backend.where(is_right, labels, 0.0), *is_kept)
        is_invalid = ops.logical_not(ops.all(is_right, -1, keepdims=True))
        return backend.flat(nan_where(is_invalid, backend.row_sum(losses))), (is_invalid,)

    def backward(
        upstream: Tensor, residuals: Any, y_pred: Tensor, labels: Tensor, *is_kept: Tensor
    ) -> Tensor:
        upstream = backend.column(upstream)
        if not are_right:
            labels = backend.where(_is_label(labels), labels, 0.0)
            upstream = backend.where(residuals[0], 0.0, upstream)
        return backend.scaled(slopes_of(y_pred, labels, *is_kept), upstream)

    return Passes(forward, backward)


_kept_passes = kept(_passes)


def _is_label(labels: Tensor) -> Tensor:
    return ops.logical_and(labels >= 0, labels <= 1)


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
