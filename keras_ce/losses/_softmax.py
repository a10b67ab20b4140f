"""The formulas of exclusive classes: values that keep small losses, closed-form gradients.

With m = max z, a = z - m and a class k, let T be the sum of exp(a) over the classes other than k
and S = T + exp(a_k). Then -log p_k = log S - a_k and 1 - p_k = T / S. Neither subtracts numbers
close to each other: where k is the most probable class, a_k = 0 and log S = log1p(T).
Probabilities divided by the largest one are exp(a) too, and go the same way from there.

The gradients keep a few numbers per row and compute exp(a) anew: that is cheaper than to write it
to memory and read it back, and takes none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from keras_ce.losses._gradient import closed_form_of_rows
from keras_ce.losses._row_operations import (
    exponentials,
    inner_product,
    label_entry,
    largest,
    minus_one_at,
    minus_product,
    scaled,
    top,
    with_label_entry,
    without_label_entry,
)
from keras_ce.losses._values import last_axis_mean, last_axis_size, weighted

Tensor = Any
Term = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Blend(NamedTuple):
    """What becomes of label rows: `scale * rows + shift`."""

    scale: float | list[float] | None = None
    """A number, or one for each class."""
    shift: list[float] | None = None
    """A number for each class; None: all equal."""
    shift_mass: float = 0.0
    """The sum of `shift` over the classes: known better than float32 can add it up."""

    def rows(self, rows: Tensor) -> Tensor:
        """The blended rows (N, C)."""
        scaled_rows = self._scaled(rows)
        if self.shift is not None:
            return scaled_rows + ops.convert_to_tensor(self.shift, rows.dtype)
        if self.shift_mass:
            return scaled_rows + self.shift_mass / last_axis_size(rows)
        return scaled_rows

    def mass(self, rows: Tensor, are_valid: bool) -> Tensor:
        """The sum of each blended row, (N, 1); NaN where a row may be invalid and is."""
        if not are_valid:
            rows = ops.where(rows >= 0, rows, float("nan"))
        mass = ops.sum(self._scaled(rows), -1, keepdims=True) + self.shift_mass
        return mass if are_valid else ops.where(ops.isfinite(mass), mass, float("nan"))

    def _scaled(self, rows: Tensor) -> Tensor:
        if isinstance(self.scale, list):
            return rows * ops.convert_to_tensor(self.scale, rows.dtype)
        return rows if self.scale is None else rows * self.scale


AS_THEY_ARE = Blend()


def are_label_rows(rows: Tensor) -> Tensor:
    """Which rows (..., C) hold finite numbers >= 0 only, (..., 1)."""
    # One sum that NaN and infinity survive: cheaper than a look at each entry.
    return ops.isfinite(ops.sum(ops.where(rows >= 0, rows, float("nan")), -1, keepdims=True))


def nats(information: Tensor, complement: Tensor) -> tuple[Tensor, Tensor]:
    """The term of the cross-entropy itself: -log p, whose derivative by -log p is 1."""
    return information, ops.ones_like(information)


def losses_of_ids(
    y_pred: Tensor,
    ids: Tensor,
    weights: Tensor,
    term: Term = nats,
    *,
    from_logits: bool,
    uniform_share: float = 0.0,
) -> Tensor:
    """A function of -log p of the label's class.

    Args:
        y_pred: logits or clamped probabilities (N, C).
        ids: class ids (N,).
        weights: the mass (N,) of the label's class.
        term: from -log p and 1 - p, the loss and its derivative by -log p.
        from_logits: whether `y_pred` holds logits.
        uniform_share: mass that all classes share equally, besides, of -log p.

    Returns:
        Losses (N,).
    """

    def forward(y_pred: Tensor, ids: Tensor, weights: Tensor) -> Any:
        peak = largest(y_pred)
        at_label = label_entry(y_pred, ids)
        label = _in_proportion(at_label, peak, from_logits)
        at_label = _log_ratio(at_label, peak, from_logits)
        rest = _sum_without(y_pred, peak, ids, from_logits)
        total = rest + label
        log_total = ops.where(ops.equal(at_label, 0), ops.log1p(rest), ops.log(total))
        share, weights = rest / total, weights[:, None]
        losses, slope = term(log_total - at_label, share)
        losses = weighted(weights, losses)
        if uniform_share:
            average = last_axis_mean(_log_ratio(y_pred, peak, from_logits))
            losses = losses + uniform_share * (log_total - average)
        return ops.squeeze(losses, -1), (peak, share, label / total, total, weights * slope)

    def backward(
        upstream: Tensor, residuals: Any, y_pred: Tensor, ids: Tensor, weights: Tensor
    ) -> Tensor:
        peak, share, label, total, slope = residuals
        upstream = upstream[:, None]
        each = uniform_share / last_axis_size(y_pred)
        gradient = scaled(
            _in_proportion(y_pred, peak, from_logits),
            upstream * (slope + uniform_share) / total,
        )
        if uniform_share:
            gradient = minus_product(gradient, upstream, each)
        at_label = upstream * (uniform_share * label - slope * share - each)
        gradient = with_label_entry(gradient, ids, at_label)
        return gradient if from_logits else gradient / y_pred

    return closed_form_of_rows(forward, backward, y_pred, ids, weights)


def losses_of_rows(
    y_pred: Tensor,
    rows: Tensor,
    are_valid: bool,
    term: Term,
    *,
    blend: Blend = AS_THEY_ARE,
    from_logits: bool,
) -> Tensor:
    """The sum over the classes of a function of their -log p, weighted by label rows.

    Args:
        y_pred: logits or clamped probabilities (N, C).
        rows: label rows (N, C).
        are_valid: whether all rows are known to hold finite numbers >= 0. Else those that do not
            have the loss NaN and no gradient.
        term: from -log p and 1 - p, the loss and its derivative by -log p.
        blend: what becomes of the label rows first.
        from_logits: whether `y_pred` holds logits.

    Returns:
        Losses (N,).
    """

    def forward(y_pred: Tensor, rows: Tensor) -> Any:
        peak, ids, rest = _top_and_rest(y_pred, from_logits)
        log_ratio = _log_ratio(y_pred, peak, from_logits)
        p = with_label_entry(ops.exp(log_ratio) / (1 + rest), ids, 1 / (1 + rest))
        complement = with_label_entry(1 - p, ids, rest / (1 + rest))
        losses, slopes = term(ops.log1p(rest) - log_ratio, complement)
        blended = blend.rows(rows)
        losses, slopes = ops.sum(weighted(blended, losses), -1), weighted(blended, slopes)
        if not are_valid:
            is_valid = are_label_rows(rows)
            losses = ops.where(is_valid[:, 0], losses, float("nan"))
            slopes = ops.where(is_valid, slopes, 0.0)
        return losses, (p, complement, slopes)

    def backward(upstream: Tensor, residuals: Any, y_pred: Tensor, rows: Tensor) -> Tensor:
        p, complement, slopes = residuals
        # p_j sum(slopes) - slopes_j, without the difference where one class has all the mass.
        others = ops.sum(slopes, -1, keepdims=True) - slopes
        gradient = upstream[:, None] * (p * others - slopes * complement)
        return gradient if from_logits else gradient / y_pred

    return closed_form_of_rows(forward, backward, y_pred, rows)


def crossentropy_of_rows(
    y_pred: Tensor,
    rows: Tensor,
    are_valid: bool = True,
    *,
    blend: Blend = AS_THEY_ARE,
    from_logits: bool,
) -> Tensor:
    """Cross-entropy against label rows, in nats: the sum of -q log p for any q >= 0.

    Args:
        y_pred: logits or clamped probabilities (N, C).
        rows: label rows (N, C).
        are_valid: whether all rows are known to hold finite numbers >= 0. Else those that do not
            have the loss NaN and no gradient.
        blend: what becomes of the label rows first, such as smoothing.
        from_logits: whether `y_pred` holds logits.

    Returns:
        Losses (N,).
    """

    def forward(y_pred: Tensor, rows: Tensor) -> Any:
        peak, ids = top(y_pred)
        # All but the top class, whose part is 1. Without a selection: the derivative of a maximum
        # is shared by all that are as large, and that of their parts has to make up for it.
        rest = _sum(minus_one_at(_in_proportion(y_pred, peak, from_logits), ids))
        mass = blend.mass(rows, are_valid)
        log_ratio = _log_ratio(y_pred, peak, from_logits)
        losses = mass * ops.log1p(rest) - inner_product(blend.rows(rows), log_ratio)
        return ops.squeeze(losses, -1), (peak, ids, rest, mass)

    def backward(upstream: Tensor, residuals: Any, y_pred: Tensor, rows: Tensor) -> Tensor:
        peak, ids, rest, mass = residuals
        rows, upstream = blend.rows(rows), upstream[:, None]
        if not are_valid:
            is_valid = ops.isfinite(mass)
            rows, mass = ops.where(is_valid, rows, 0.0), ops.where(is_valid, mass, 0.0)
        slope = upstream / (1 + rest)
        parts = _in_proportion(y_pred, peak, from_logits)
        gradient = minus_product(scaled(parts, slope * mass), upstream, rows)
        # `p mass - q` at the largest p, without the difference of numbers close together.
        label, one = label_entry(rows, ids), label_entry(y_pred, ids)
        one = _in_proportion(one, peak, from_logits)
        at_top = slope * ((one * mass - label) - label * rest)
        gradient = with_label_entry(gradient, ids, at_top)
        return gradient if from_logits else gradient / y_pred

    return closed_form_of_rows(forward, backward, y_pred, rows)


def mean_under_prediction(y_pred: Tensor, costs: Tensor, *, from_logits: bool) -> Tensor:
    """The mean of `costs` under the predicted distribution: sum p c.

    Args:
        y_pred: logits or clamped probabilities (N, C).
        costs: finite numbers (N, C).
        from_logits: whether `y_pred` holds logits.

    Returns:
        Means (N,).
    """

    def forward(y_pred: Tensor, costs: Tensor) -> Any:
        peak = largest(y_pred)
        exponentials = ops.exp(y_pred - peak) if from_logits else y_pred / peak
        p = exponentials / ops.sum(exponentials, -1, keepdims=True)
        mean = ops.sum(p * costs, -1, keepdims=True)
        return ops.squeeze(mean, -1), (p, mean)

    def backward(upstream: Tensor, residuals: Any, y_pred: Tensor, costs: Tensor) -> Tensor:
        p, mean = residuals
        gradient = upstream[:, None] * p * (costs - mean)
        return gradient if from_logits else gradient / y_pred

    return closed_form_of_rows(forward, backward, y_pred, costs)


def _log_ratio(y_pred: Tensor, peak: Tensor, from_logits: bool) -> Tensor:
    """Each log p minus the largest one of its row."""
    return y_pred - peak if from_logits else ops.log(y_pred / peak)


def _in_proportion(y_pred: Tensor, peak: Tensor, from_logits: bool) -> Tensor:
    """Numbers in the proportions of the p of each row, in a tensor of their own."""
    return exponentials(y_pred, peak) if from_logits else y_pred / peak


def _top_and_rest(y_pred: Tensor, from_logits: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The largest entry of each row, where it stands, and the sum of p over it of all others."""
    peak, ids = top(y_pred)
    return peak, ids, _sum_without(y_pred, peak, ids, from_logits)


def _sum_without(y_pred: Tensor, peak: Tensor, ids: Tensor, from_logits: bool) -> Tensor:
    """The sum of p over the largest one, of all classes but `ids`, (N, 1)."""
    return _sum(without_label_entry(_in_proportion(y_pred, peak, from_logits), ids))


def _sum(rows: Tensor) -> Tensor:
    return ops.sum(rows, -1, keepdims=True)
