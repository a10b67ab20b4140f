"""The numbers of exclusive classes: values that keep small losses, closed-form gradients.

With m = max z, a = z - m and a class k, let T be the sum of exp(a) over the classes other than k
and S = T + exp(a_k). Then -log p_k = log S - a_k and 1 - p_k = T / S. Neither subtracts numbers
close to each other: where k is the most probable class, a_k = 0 and log S = log1p(T).
Probabilities divided by the largest one are exp(a) too, and go the same way from there.

The gradients keep a few numbers per row and compute exp(a) anew: that is cheaper than to write it
to memory and read it back, and takes none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Passes, kept
from keras_ce._core.checks import Array
from keras_ce._core.labels import Exclusive, last_axis_size
from keras_ce._core.limits import nan_where, weighted

Tensor = Any


class Term(NamedTuple):
    """A value and its derivative by -log p, from -log p and 1 - p.

    -log p goes from 0 to infinity; 1 - p is exact also where p is all but 1.
    """

    formula: Callable[..., tuple[Tensor, Tensor]]
    """Takes -log p, 1 - p and the parameters."""
    parameters: tuple[float, ...] = ()

    def __call__(self, information: Tensor, complement: Tensor) -> tuple[Tensor, Tensor]:
        """The value and its derivative."""
        return self.formula(information, complement, *self.parameters)


class Blend(NamedTuple):
    """What becomes of label rows y: q = scale * y + shift."""

    scale: Tensor | float = 1.0
    """A number, or one (C,) for each class."""
    shift: Tensor | None = None
    """One (C,) for each class; None: all equal."""
    shift_mass: Tensor | float = 0.0
    """The sum of `shift` over the classes: known better than float32 can add it up."""

    def rows(self, rows: Tensor) -> Tensor:
        """The blended rows (N, C)."""
        is_one = _is_number(self.scale) and self.scale == 1
        rows = rows if is_one else rows * self.scale
        if self.shift is not None:
            return rows + self.shift
        return rows + self.shift_mass / last_axis_size(rows) if self.shift_mass else rows


AS_THEY_ARE = Blend()


def nats(information: Tensor, complement: Tensor) -> tuple[Tensor, Tensor]:
    """The term of the cross-entropy itself: -log p, whose derivative by -log p is 1."""
    return information, ops.ones_like(information)


NATS = Term(nats)


def smoothing(
    share: float,
    y_pred: Tensor = None,
    prior: Any = None,
    class_weight: Any = None,
) -> Blend:
    """Smoothing: w ((1 - share) y + share u), with u = 1 / C or `prior`, divided by its sum."""
    if not share:
        return Blend(1.0 if class_weight is None else class_weight.tensor(y_pred))
    if prior is None and class_weight is None:
        return Blend(1 - share, shift_mass=share)
    holder: Any = class_weight if prior is None else prior
    shift = holder.tensor(y_pred, _shift, share, prior, class_weight)
    mass = holder.tensor(y_pred, _shift_mass, share, prior, class_weight)
    scale = 1 - share if class_weight is None else class_weight.tensor(y_pred, _times, 1 - share)
    return Blend(scale, shift, mass)


def _times(values: Array, share: float) -> Array:
    return share * values


def _shift(values: Array, share: float, prior: Any, weight: Any) -> Array:
    """The part `share w u` of each class."""
    number = len(values)
    uniform = np.full(number, 1 / number)
    shift = uniform if prior is None else prior.array(number) / prior.array(number).sum()
    return share * (shift if weight is None else shift * weight.array(number))


def _shift_mass(values: Array, *parts: Any) -> Array:
    """The sum of `_shift`, better than float32 can add it up."""
    return np.array(_shift(values, *parts).sum())


def crossentropy(given: Exclusive, blend: Blend = AS_THEY_ARE) -> Tensor:
    """Cross-entropy -sum q log p of each row, in nats, for any q = blend(y) >= 0.

    Args:
        given: logits or probabilities (N, C), class ids (N,) or label rows (N, C).
        blend: what becomes of the labels first, such as smoothing.

    Returns:
        Losses (N,).
    """
    if given.ids is None:
        return _crossentropy_of_rows(given, given.rows, blend)
    if blend.shift is None and _is_number(blend.scale):
        return _losses_of_ids(given, NATS, blend.scale, blend.shift_mass)
    if blend.shift is None:
        return _losses_of_ids(given, NATS, backend.of_classes(blend.scale, given.ids))
    rows = ops.one_hot(given.ids, given.y_pred.shape[-1], dtype=given.y_pred.dtype)
    return _crossentropy_of_rows(given, rows, blend)


def sum_of_terms(given: Exclusive, term: Term, weights: Tensor | None = None) -> Tensor:
    """The sum over the classes of w y term(-log p, 1 - p) of each row.

    Args:
        given: logits or probabilities (N, C), class ids (N,) or label rows (N, C).
        term: a function of -log p.
        weights: a number >= 0 for each class, (C,).

    Returns:
        Losses (N,).
    """
    if given.ids is not None:
        mass = 1.0 if weights is None else backend.of_classes(weights, given.ids)
        return _losses_of_ids(given, term, mass)
    # What holds a tensor is no key to find passes by.
    make = _kept_passes_of_terms if weights is None else _passes_of_terms
    blend = AS_THEY_ARE if weights is None else Blend(weights)
    passes = make(term, given.from_logits, given.are_valid, blend)
    return backend.closed_form_of_rows(passes, given.y_pred, given.rows, varies=given.varies)


def _losses_of_ids(
    given: Exclusive, term: Term, mass: Tensor | float, uniform_share: float = 0.0
) -> Tensor:
    """`mass` times a term of the label's class, and of -log p a share that all classes have."""
    number = mass if _is_number(mass) else None
    constants = (given.ids,) if _is_number(mass) else (given.ids, mass)
    passes = _passes_of_ids(term, given.from_logits, number, uniform_share)
    return backend.closed_form_of_rows(passes, given.y_pred, *constants, varies=given.varies)


@kept
def _passes_of_ids(
    term: Term, from_logits: bool, mass: float | None, uniform_share: float
) -> Passes:
    """With `mass` None, the passes take a mass (N,) of each row after the ids."""

    def forward(y_pred: Tensor, ids: Tensor, *given_mass: Tensor) -> Any:
        peak = backend.largest(y_pred)
        at_label = backend.label_entry(y_pred, ids)
        label = _in_proportion(at_label, peak, from_logits)
        at_label = _log_ratio(at_label, peak, from_logits)
        others = backend.with_label_entry(
            _in_proportion(y_pred, peak, from_logits), ids, backend.zero(peak)
        )
        if uniform_share:
            rest, ratios = backend.row_sums(others, _log_ratio(y_pred, peak, from_logits))
        else:
            rest = _sum(others)
        total = rest + label
        # Not log(total): where the label is the most probable class, `label` is exactly 1.
        log_total = backend.log1p(rest + (label - 1))
        share = rest / total
        losses, slope = term(log_total - at_label, share)
        if mass is None:
            column = backend.column(given_mass[0])
            losses, slope = weighted(column, losses), column * slope
        elif mass == 0:  # Also of a loss that is infinite.
            losses, slope = ops.zeros_like(losses), ops.zeros_like(slope)
        elif mass != 1:
            losses, slope = mass * losses, mass * slope
        if uniform_share:
            losses = losses + uniform_share * (log_total - ratios / last_axis_size(y_pred))
        return backend.flat(losses), (peak, share, label / total, total, slope)

    def backward(
        upstream: Tensor, residuals: Any, y_pred: Tensor, ids: Tensor, *given_mass: Tensor
    ) -> Tensor:
        peak, share, label, total, slope = residuals
        upstream = backend.column(upstream)
        others = backend.others_again(_in_proportion(y_pred, peak, from_logits), ids)
        gradient = backend.scaled(others, upstream * (slope + uniform_share) / total)
        at_label = -slope * share
        if uniform_share:
            each = uniform_share / last_axis_size(y_pred)
            gradient = backend.minus_product(gradient, upstream, each)
            at_label = at_label + (uniform_share * label - each)
        gradient = backend.with_label_entry(gradient, ids, upstream * at_label)
        return gradient if from_logits else gradient / y_pred

    return Passes(forward, backward)


def _passes_of_terms(term: Term, from_logits: bool, are_valid: bool, blend: Blend) -> Passes:
    """The sum of a term of each class, weighted by blended label rows."""

    def forward(y_pred: Tensor, rows: Tensor) -> Any:
        log_ratio = _log_ratio(y_pred, backend.largest(y_pred), from_logits)
        parts = backend.exp(log_ratio)
        rest, *total = backend.sums_beside_top(parts, () if are_valid else (_judged(rows),))
        # Exact at the top too, where the part is 1.
        p, complement = parts / (1 + rest), (rest - (parts - 1)) / (1 + rest)
        losses, slopes = term(backend.log1p(rest) - log_ratio, complement)
        blended = blend.rows(rows)
        losses, slopes = weighted(blended, losses), weighted(blended, slopes)
        losses, mass = backend.row_sums(losses, slopes)
        if are_valid:
            return backend.flat(losses), (p, complement, slopes, mass)
        is_invalid = ops.logical_not(_are_label_rows(*total))
        slopes, mass = (backend.where(is_invalid, 0.0, item) for item in (slopes, mass))
        return backend.flat(nan_where(is_invalid, losses)), (p, complement, slopes, mass)

    def backward(upstream: Tensor, residuals: Any, y_pred: Tensor, rows: Tensor) -> Tensor:
        p, complement, slopes, mass = residuals
        # p_j mass - slopes_j, without the difference where one class has all the mass.
        gradient = backend.column(upstream) * (p * (mass - slopes) - slopes * complement)
        return gradient if from_logits else gradient / y_pred

    return Passes(forward, backward)


_kept_passes_of_terms = kept(_passes_of_terms)


def _crossentropy_of_rows(given: Exclusive, rows: Tensor, blend: Blend) -> Tensor:
    # What holds a tensor is no key to find passes by.
    holds_numbers = _is_number(blend.scale) and blend.shift is None
    make = _kept_passes_of_rows if holds_numbers else _passes_of_rows
    passes = make(given.from_logits, given.are_valid, blend)
    return backend.closed_form_of_rows(passes, given.y_pred, rows, varies=given.varies)


def _passes_of_rows(from_logits: bool, are_valid: bool, blend: Blend) -> Passes:
    """The cross-entropy of blended label rows."""

    def forward(y_pred: Tensor, rows: Tensor) -> Any:
        peak = backend.largest(y_pred)
        log_ratio = _log_ratio(y_pred, peak, from_logits)
        parts = backend.exp(log_ratio) if from_logits else y_pred / peak
        judged = rows if are_valid else _judged(rows)
        rest, total, lacking = backend.label_sums(parts, judged, blend.rows(rows), log_ratio)
        mass = total * blend.scale if _is_number(blend.scale) else _sum(rows * blend.scale)
        mass = mass + blend.shift_mass
        losses = mass * backend.log1p(rest) - lacking
        if are_valid:
            return backend.flat(losses), (mass, rest, peak)
        is_valid = _are_label_rows(total)
        losses = nan_where(ops.logical_not(is_valid), losses)
        return backend.flat(losses), (is_valid, mass, rest, peak)

    def backward(upstream: Tensor, residuals: Any, y_pred: Tensor, rows: Tensor) -> Tensor:
        is_valid, mass, rest, peak = (None, *residuals) if are_valid else residuals
        rows, upstream = blend.rows(rows), backend.column(upstream)
        if not are_valid:
            rows = backend.where(is_valid, rows, 0.0)
            mass = backend.where(is_valid, mass, 0.0)
        # `mass p - rows` with p = parts / (1 + rest), exact where a part is 1.
        gradient = backend.scaled(_in_proportion(y_pred, peak, from_logits), mass)
        gradient = backend.minus_product(gradient, rows, 1.0)
        gradient = backend.minus_product(gradient, rows, rest)
        gradient = backend.scaled(gradient, upstream / (1 + rest))
        return gradient if from_logits else gradient / y_pred

    return Passes(forward, backward)


_kept_passes_of_rows = kept(_passes_of_rows)


def mean_under_prediction(given: Exclusive, costs: Tensor) -> Tensor:
    """The mean of finite `costs` (N, C) under the predicted distribution: sum p c, (N,)."""
    passes = _passes_of_mean(given.from_logits)
    return backend.closed_form_of_rows(passes, given.y_pred, costs, varies=given.varies)


@kept
def _passes_of_mean(from_logits: bool) -> Passes:
    def forward(y_pred: Tensor, costs: Tensor) -> Any:
        parts = _in_proportion(y_pred, backend.largest(y_pred), from_logits)
        p = parts / _sum(parts)
        mean = _sum(p * costs)
        return backend.flat(mean), (p, mean)

    def backward(upstream: Tensor, residuals: Any, y_pred: Tensor, costs: Tensor) -> Tensor:
        p, mean = residuals
        gradient = backend.column(upstream) * p * (costs - mean)
        return gradient if from_logits else gradient / y_pred

    return Passes(forward, backward)


def last_axis_mean(values: Tensor) -> Tensor:
    """The mean over the last axis, which stays. On torch, `ops.mean` rounds float64 to float32."""
    return backend.row_sum(values) / last_axis_size(values)


def largest_number(values: Tensor) -> float:
    """The largest finite number of a tensor's dtype."""
    return float(np.finfo(keras.backend.standardize_dtype(values.dtype)).max)


def _judged(rows: Tensor) -> Tensor:
    """Label rows whose sum is negative or not finite where an entry is.

    Without a NaN or an infinity as a constant.
    """
    return backend.where(rows >= 0, rows, -largest_number(rows))


def _are_label_rows(judged_sum: Tensor) -> Tensor:
    return ops.logical_and(judged_sum >= 0, ops.isfinite(judged_sum))


def _is_number(scale: Tensor | float) -> bool:
    return isinstance(scale, (int, float))


def _log_ratio(y_pred: Tensor, peak: Tensor, from_logits: bool) -> Tensor:
    """Each log p minus the largest one of its row."""
    return y_pred - peak if from_logits else backend.log(y_pred / peak)


def _in_proportion(y_pred: Tensor, peak: Tensor, from_logits: bool) -> Tensor:
    """Numbers in the proportions of the p of each row, in a tensor of their own."""
    return backend.exponentials(y_pred, peak) if from_logits else y_pred / peak


def _sum(rows: Tensor) -> Tensor:
    return backend.row_sum(rows)
