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
    again,
    apart,
    exponentials,
    if_any,
    inner_product,
    label_entry,
    largest,
    minus_product,
    scaled,
    top,
    with_label_entry,
    with_top_entry,
    without_label_entry,
    without_top_entries,
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

    def mass(self, rows: Tensor) -> Tensor:
        """The sum of each blended row, (N, 1)."""
        return ops.sum(self._scaled(rows), -1, keepdims=True) + self.shift_mass

    def _scaled(self, rows: Tensor) -> Tensor:
        if isinstance(self.scale, list):
            return rows * ops.convert_to_tensor(self.scale, rows.dtype)
        return rows if self.scale is None else rows * self.scale


AS_THEY_ARE = Blend()


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
        # Not an entry of the parts: what is used twice, XLA writes to a matrix first.
        label = _in_proportion(at_label, peak, from_logits)
        at_label = _log_ratio(at_label, peak, from_logits)
        parts = _in_proportion(y_pred, peak, from_logits)
        rest = ops.sum(without_label_entry(parts, ids), -1, keepdims=True)
        total = rest + label
        log_total = ops.where(ops.equal(at_label, 0), ops.log1p(rest), ops.log(total))
        share, weights = rest / total, weights[:, None]
        losses, slope = term(log_total - at_label, share)
        losses = weighted(weights, losses)
        if uniform_share:
            average = last_axis_mean(_log_ratio(y_pred, apart(peak, 1), from_logits))
            losses = losses + uniform_share * (log_total - average)
        return ops.squeeze(losses, -1), (peak, share, label / total, total, weights * slope)

    def backward(
        upstream: Tensor, residuals: Any, y_pred: Tensor, ids: Tensor, weights: Tensor
    ) -> Tensor:
        peak, share, label, total, slope = residuals
        upstream = upstream[:, None]
        each = uniform_share / last_axis_size(y_pred)
        gradient = scaled(
            _in_proportion(y_pred, apart(peak, 2), from_logits),
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
    is_counted: Tensor | None,
    term: Term,
    *,
    blend: Blend = AS_THEY_ARE,
    from_logits: bool,
) -> Tensor:
    """The sum over the classes of a function of their -log p, weighted by label rows.

    Args:
        y_pred: logits or clamped probabilities (N, C).
        rows: label rows (N, C).
        is_counted: None, or which rows (N,) count: the others may hold anything.
        term: from -log p and 1 - p, the loss and its derivative by -log p.
        blend: what becomes of the label rows first.
        from_logits: whether `y_pred` holds logits.

    Returns:
        Losses (N,).
    """

    def forward(y_pred: Tensor, rows: Tensor, *is_counted: Tensor) -> Any:
        peak, ids, rest = _top_and_rest(y_pred, from_logits)
        log_ratio = _log_ratio(y_pred, peak, from_logits)
        p = with_label_entry(ops.exp(log_ratio) / (1 + rest), ids, 1 / (1 + rest))
        complement = with_label_entry(1 - p, ids, rest / (1 + rest))
        losses, slopes = term(ops.log1p(rest) - log_ratio, complement)
        rows = blend.rows(rows)
        return ops.sum(weighted(rows, losses), -1), (p, complement, weighted(rows, slopes))

    def backward(
        upstream: Tensor, residuals: Any, y_pred: Tensor, rows: Tensor, *is_counted: Tensor
    ) -> Tensor:
        p, complement, slopes = residuals
        slopes = counted(slopes, *is_counted)
        # p_j sum(slopes) - slopes_j, without the difference where one class has all the mass.
        others = ops.sum(slopes, -1, keepdims=True) - slopes
        gradient = upstream[:, None] * (p * others - slopes * complement)
        return gradient if from_logits else gradient / y_pred

    constants = (rows,) if is_counted is None else (rows, is_counted)
    return closed_form_of_rows(forward, backward, y_pred, *constants)


def crossentropy_of_rows(
    y_pred: Tensor,
    rows: Tensor,
    is_counted: Tensor | None = None,
    *,
    blend: Blend = AS_THEY_ARE,
    from_logits: bool,
) -> Tensor:
    """Cross-entropy against label rows, in nats: the sum of -q log p for any q >= 0.

    Args:
        y_pred: logits or clamped probabilities (N, C).
        rows: label rows (N, C).
        is_counted: None, or which rows (N,) count: the others may hold anything.
        blend: what becomes of the label rows first, such as smoothing.
        from_logits: whether `y_pred` holds logits.

    Returns:
        Losses (N,).
    """

    def forward(y_pred: Tensor, rows: Tensor, *is_counted: Tensor) -> Any:
        peak = largest(y_pred)
        rest = _rest(y_pred, peak, from_logits)
        mass = blend.mass(rows)
        log_ratio = _log_ratio(y_pred, apart(peak, 3), from_logits)
        losses = mass * ops.log1p(rest) - inner_product(blend.rows(rows), log_ratio)
        return ops.squeeze(losses, -1), (peak, rest, mass)

    def backward(
        upstream: Tensor, residuals: Any, y_pred: Tensor, rows: Tensor, *is_counted: Tensor
    ) -> Tensor:
        peak, rest, mass = residuals
        rows, mass = blend.rows(counted(rows, *is_counted)), counted(mass, *is_counted)
        upstream = upstream[:, None]
        slope = upstream / (1 + rest)
        parts = _in_proportion(y_pred, apart(peak, 4), from_logits)
        gradient = minus_product(scaled(parts, slope * mass), upstream, rows)

        def exactly(label: Tensor) -> Tensor:
            """`p mass - q` at the largest p, without the difference of numbers close together."""
            return slope * ((mass - label) - label * rest)

        gradient = with_top_entry(gradient, y_pred, peak, rows, exactly)
        return gradient if from_logits else gradient / y_pred

    constants = (rows,) if is_counted is None else (rows, is_counted)
    return closed_form_of_rows(forward, backward, y_pred, *constants)


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


def counted(rows: Tensor, is_counted: Tensor | None = None) -> Tensor:
    """Rows (N, C) with zeros in those that do not count."""
    return rows if is_counted is None else ops.where(is_counted[:, None], rows, 0.0)


def _log_ratio(y_pred: Tensor, peak: Tensor, from_logits: bool) -> Tensor:
    """Each log p minus the largest one of its row."""
    return y_pred - peak if from_logits else ops.log(y_pred / peak)


def _in_proportion(y_pred: Tensor, peak: Tensor, from_logits: bool) -> Tensor:
    """Numbers in the proportions of the p of each row, in a tensor of their own."""
    return exponentials(y_pred, peak) if from_logits else y_pred / peak


def _rest(y_pred: Tensor, peak: Tensor, from_logits: bool) -> Tensor:
    """The sum of all p over the largest of its row, minus 1: exact also where that is tiny."""
    parts = _in_proportion(y_pred, apart(peak, 1), from_logits)
    total = ops.sum(parts, -1, keepdims=True)
    is_alone = total < 1.5  # no other one is as large

    def exactly() -> Tensor:
        below = again(parts, lambda: _in_proportion(y_pred, apart(peak, 2), from_logits))
        below = without_top_entries(below, y_pred, peak)
        return ops.where(is_alone, ops.sum(below, -1, keepdims=True), total - 1)

    return if_any(y_pred, is_alone, exactly, otherwise=total - 1)


def _top_and_rest(y_pred: Tensor, from_logits: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The largest entry of each row, where it stands, and the sum of p over it of all others."""
    peak, ids = top(y_pred)
    parts = _in_proportion(y_pred, apart(peak, 1), from_logits)
    return peak, ids, ops.sum(without_label_entry(parts, ids), -1, keepdims=True)
