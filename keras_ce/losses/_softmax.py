"""The formulas of exclusive classes: values that keep small losses, closed-form gradients.

With m = max z, a = z - m and a class k, let T be the sum of exp(a) over the classes other than k
and S = T + exp(a_k). Then -log p_k = log S - a_k and 1 - p_k = T / S. Neither subtracts numbers
close to each other: where k is the most probable class, a_k = 0 and log S = log1p(T).
Probabilities divided by the largest one are exp(a) too, and go the same way from there.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_ce.losses._gradient import (
    closed_form,
    exponential,
    label_entry,
    largest,
    minus_product,
    top_ids,
    with_label_entry,
)
from keras_ce.losses._values import last_axis_mean, last_axis_size, weighted

Tensor = Any
Term = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


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
        average = None
        if from_logits:
            shifted = y_pred - peak
            at_label = label_entry(shifted, ids)
            if uniform_share:
                average = last_axis_mean(shifted)
            exponentials = exponential(shifted)
        else:
            exponentials = y_pred / peak
            at_label = ops.log(label_entry(exponentials, ids))
            if uniform_share:
                average = last_axis_mean(ops.log(exponentials))
        label = ops.exp(at_label)
        others = with_label_entry(exponentials, ids, ops.zeros_like(label))
        rest = ops.sum(others, -1, keepdims=True)
        total = rest + label
        log_total = ops.where(ops.equal(at_label, 0), ops.log1p(rest), ops.log(total))
        rest, label, weights = rest / total, label / total, weights[:, None]
        losses, slope = term(log_total - at_label, rest)
        losses = weighted(weights, losses)
        if uniform_share:
            losses = losses + uniform_share * (log_total - average)
        return ops.squeeze(losses, -1), (others, rest, label, total, weights * slope)

    def backward(
        upstream: Tensor, residuals: Any, y_pred: Tensor, ids: Tensor, weights: Tensor
    ) -> Tensor:
        others, rest, label, total, slope = residuals
        upstream = upstream[:, None]
        gradient = others * (upstream * (slope + uniform_share) / total)
        at_label = -slope * rest
        if uniform_share:
            each = uniform_share / last_axis_size(y_pred)
            gradient = gradient - upstream * each
            at_label = at_label + uniform_share * label - each
        gradient = with_label_entry(gradient, ids, upstream * at_label)
        return gradient if from_logits else gradient / y_pred

    return closed_form(forward, backward, y_pred, ids, weights)


def losses_of_rows(y_pred: Tensor, rows: Tensor, term: Term, *, from_logits: bool) -> Tensor:
    """The sum over the classes of a function of their -log p, weighted by label rows.

    Args:
        y_pred: logits or clamped probabilities (N, C).
        rows: label rows (N, C).
        term: from -log p and 1 - p, the loss and its derivative by -log p.
        from_logits: whether `y_pred` holds logits.

    Returns:
        Losses (N,).
    """

    def forward(y_pred: Tensor, rows: Tensor) -> Any:
        top = top_ids(y_pred)
        peak = label_entry(y_pred, top)
        shifted = y_pred - peak if from_logits else ops.log(y_pred / peak)
        exponentials = ops.exp(shifted) if from_logits else y_pred / peak
        others = with_label_entry(exponentials, top, ops.zeros_like(peak))
        rest = ops.sum(others, -1, keepdims=True)
        p = with_label_entry(others / (1 + rest), top, 1 / (1 + rest))
        complement = with_label_entry(1 - p, top, rest / (1 + rest))
        losses, slopes = term(ops.log1p(rest) - shifted, complement)
        losses = ops.sum(weighted(rows, losses), -1)
        return losses, (p, complement, weighted(rows, slopes))

    def backward(upstream: Tensor, residuals: Any, y_pred: Tensor, rows: Tensor) -> Tensor:
        p, complement, slopes = residuals
        # p_j sum(slopes) - slopes_j, without the difference where one class has all the mass.
        others = ops.sum(slopes, -1, keepdims=True) - slopes
        gradient = upstream[:, None] * (p * others - slopes * complement)
        return gradient if from_logits else gradient / y_pred

    return closed_form(forward, backward, y_pred, rows)


def crossentropy_of_rows(y_pred: Tensor, rows: Tensor, *, from_logits: bool) -> Tensor:
    """Cross-entropy against label rows, in nats: the sum of -q log p for any q >= 0.

    Args:
        y_pred: logits or clamped probabilities (N, C).
        rows: label rows (N, C).
        from_logits: whether `y_pred` holds logits.

    Returns:
        Losses (N,).
    """

    def forward(y_pred: Tensor, rows: Tensor) -> Any:
        top = top_ids(y_pred)
        peak = label_entry(y_pred, top)
        shifted = y_pred - peak if from_logits else ops.log(y_pred / peak)
        mass = ops.sum(rows, -1, keepdims=True)
        # 0 times -inf is 0 here; a NaN in `y_pred` comes back by `rest`.
        inner = ops.nansum(rows * shifted, -1, keepdims=True)
        exponentials = exponential(shifted) if from_logits else y_pred / peak
        others = with_label_entry(exponentials, top, ops.zeros_like(peak))
        rest = ops.sum(others, -1, keepdims=True)
        losses = mass * ops.log1p(rest) - inner
        return ops.squeeze(losses, -1), (others, rest, mass, top)

    def backward(upstream: Tensor, residuals: Any, y_pred: Tensor, rows: Tensor) -> Tensor:
        others, rest, mass, top = residuals
        upstream = upstream[:, None]
        at_top = label_entry(rows, top)
        gradient = minus_product(others * (upstream * mass / (1 + rest)), rows, upstream)
        # p_top mass - at_top, without the difference of numbers close to each other.
        at_top = upstream * (((mass - at_top) - at_top * rest) / (1 + rest))
        gradient = with_label_entry(gradient, top, at_top)
        return gradient if from_logits else gradient / y_pred

    return closed_form(forward, backward, y_pred, rows)


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

    return closed_form(forward, backward, y_pred, costs)
