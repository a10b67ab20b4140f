"""Information measures of probabilities: in nats, or in the unit of any `base`.

They take arrays, lists and tensors, return a tensor of the backend in float32 or wider and are
differentiable. The contract of all of them:

- Distributions lie along `axis`: numbers >= 0 with sum 1. A sum may be off by 1e-3 (1e-2 in
  float16 and bfloat16, whose entries are rounded that coarsely), an entry by 1e-6, which is
  clamped to [0, 1]. Rows are not divided by their sum.
- Where two distributions are taken, they have one shape, or one of them is a single row (C,), which
  is then compared with every row of the other.
- 0 log 0 = 0, and probability on an outcome that the other distribution calls impossible is
  +inf. A number below the smallest normal number of its dtype (1.2e-38 in float32) counts as 0,
  on every backend.
- Anything else is a `ValueError` in eager execution, which names the row. In compiled code, and
  with `keras_ce.set_value_checks(False)`, the result of such a row is NaN with gradient 0.
- Where the exact gradient with respect to an entry is infinite or undefined, such as that of the
  entropy at p = 0, it is 0 here.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.labels import PROBABILITY_TOLERANCE, float_tensor, tensor
from keras_ce._core.limits import infinity_where, nan_where

__all__ = ["cross_entropy", "entropy", "kl_divergence", "perplexity", "self_information"]

Tensor = Any

_SUM_TOLERANCE = 1e-3
_SUM_TOLERANCE_OF_HALF = 1e-2
_SERIES_LIMIT = 0.25
_SERIES_TERMS = 13  # What is left out at the limit is below the resolution of float64.


@backend.as_written
def self_information(p: Any, base: float | None = None) -> Tensor:
    """How surprising an outcome of probability `p` is.

        -log p, for each entry

    in nats, or in units of `base`: 2 gives bits. A certain outcome has 0, an impossible one +inf.
    It is the cross-entropy of the one-hot row of the outcome; its mean under p is `entropy`.

    Args:
        p: probabilities of any shape; they need not sum to 1.
        base: base of the logarithm, a number > 0 other than 1 (below 1 flips the sign); None is e.

    Returns:
        A tensor of the shape of `p`.

    Raises:
        ValueError: if `base` is out of its range, or, in eager execution, if an entry of `p` lies
            outside [0, 1] by more than 1e-6 or is NaN.

    Example:
        >>> [round(float(each), 4) for each in keras_ce.information.self_information([0.7, 0.2])]
        [0.3567, 1.6094]
        >>> float(keras_ce.information.self_information(0.125, base=2))
        3.0
    """
    base = _validated_base(base)
    p = float_tensor("p", p)
    is_valid = (p >= -PROBABILITY_TOLERANCE) & (p <= 1 + PROBABILITY_TOLERANCE)
    is_invalid = ops.logical_not(is_valid)
    if checks.any_true(is_invalid):
        position = checks.first(is_invalid)
        raise InvalidValuesError(
            "p",
            float(checks.to_numpy(p)[position]),
            "probabilities, from 0 to 1",
            position,
            "If these are logits, apply `keras.ops.softmax` or `keras.ops.sigmoid` first; if they "
            "are counts, divide them by their sum.",
        )
    p = _clamped(ops.where(is_valid, p, ops.ones_like(p)))
    is_impossible = ops.logical_not(_is_positive(p))
    information = _minus_log(p) + infinity_where(is_impossible, p.dtype)
    return _in_base(nan_where(is_invalid, information), base)


@backend.as_written
def entropy(p: Any, base: float | None = None, axis: int = -1) -> Tensor:
    """How uncertain the outcome of a distribution is: its mean self-information.

        H(p) = -sum p log p

    in nats, or in units of `base`. It lies between 0 (one outcome is certain) and log C (all C
    are equally probable), and is the least that a cross-entropy with labels `p` can reach. The
    gradient is -log p - 1, and 0 where p = 0.

    Args:
        p: distributions along `axis`.
        base: base of the logarithm, a number > 0 other than 1 (below 1 flips the sign); None is e.
        axis: the axis of the outcomes.

    Returns:
        A tensor of the shape of `p` without `axis`; a scalar for a single row.

    Raises:
        ValueError: if `base` or `axis` is out of its range, or, in eager execution, if a row of
            `p` is no distribution: a negative entry, NaN, or a sum that is not 1.

    Example:
        >>> round(float(keras_ce.information.entropy([0.7, 0.2, 0.1])), 4)
        0.8018
        >>> float(keras_ce.information.entropy([0.5, 0.25, 0.25], base=2))
        1.5

    Reference:
        - Shannon (1948), "A Mathematical Theory of Communication", section 6.
    """
    base = _validated_base(base)
    (p,), is_valid = _distributions(axis, p=p)
    information = ops.sum(p * _minus_log(p), axis=-1)
    return _in_base(nan_where(ops.logical_not(is_valid), information), base)


@backend.as_written
def cross_entropy(p: Any, q: Any, base: float | None = None, axis: int = -1) -> Tensor:
    """The mean self-information under q of outcomes with the distribution p.

        H(p, q) = -sum p log q = H(p) + KL(p || q)

    in nats, or in units of `base`. It is not symmetric: `p` is the true distribution (labels), `q`
    the predicted one (predictions). To train a model use
    `keras_ce.losses.LabelSmoothedCrossentropy`, which takes logits, class ids, masks and weights,
    and bounds the loss of a probability of 0, which here is +inf. The gradient is -log q for p and
    -p / q for q.

    Args:
        p: the true distributions along `axis`.
        q: the predicted distributions; the shape of `p`, or one of both a single row (C,).
        base: base of the logarithm, a number > 0 other than 1 (below 1 flips the sign); None is e.
        axis: the axis of the outcomes.

    Returns:
        A tensor of the shape of `p` and `q` without `axis`; a scalar for single rows. +inf where
        p > 0 on an outcome with q = 0.

    Raises:
        ValueError: if `base` or `axis` is out of its range, if shapes do not fit, or, in eager
            execution, if a row of `p` or `q` is no distribution.

    Example:
        >>> round(float(keras_ce.information.cross_entropy([0, 1, 0], [0.2, 0.7, 0.1])), 4)
        0.3567
    """
    base = _validated_base(base)
    information, is_valid = _cross_entropy(p, q, axis)
    return _in_base(nan_where(ops.logical_not(is_valid), information), base)


@backend.as_written
def kl_divergence(p: Any, q: Any, base: float | None = None, axis: int = -1) -> Tensor:
    """The extra information that outcomes of p cost when they are predicted by q instead of p.

        KL(p || q) = sum (p log(p / q) - p + q)

    in nats, or in units of `base`; also called relative entropy. For distributions the sum of
    q - p is 0 and this is the usual sum p log(p / q). Term by term it is never negative, and it
    is evaluated without cancellation: it keeps its relative accuracy where p and q are almost
    the same and the usual sum is rounding noise of either sign. 0 only where p = q. For the same
    reason the gradient is log(p / q) for p and 1 - p / q for q: along changes that keep the sums,
    as those of a softmax do, it is that of the usual sum, whose log(p / q) + 1 and -p / q differ
    by a constant for the row. Not symmetric.

    Args:
        p: the true distributions along `axis`.
        q: the predicted distributions; the shape of `p`, or one of both a single row (C,).
        base: base of the logarithm, a number > 0 other than 1 (below 1 flips the sign); None is e.
        axis: the axis of the outcomes.

    Returns:
        A tensor of the shape of `p` and `q` without `axis`; a scalar for single rows. +inf where
        p > 0 on an outcome with q = 0.

    Raises:
        ValueError: if `base` or `axis` is out of its range, if shapes do not fit, or, in eager
            execution, if a row of `p` or `q` is no distribution.

    Example:
        >>> round(float(keras_ce.information.kl_divergence([0.5, 0.5], [0.9, 0.1])), 4)
        0.5108
        >>> float(keras_ce.information.kl_divergence([0, 1], [1, 0]))
        inf

    Reference:
        - Kullback and Leibler (1951), "On Information and Sufficiency", equation 2.4.
    """
    base = _validated_base(base)
    (p, q), is_valid = _distributions(axis, p=p, q=q)
    terms = backend.closed_form(_divergence_terms, _divergence_gradient, ops.stack([p, q]))
    return _in_base(nan_where(ops.logical_not(is_valid), ops.sum(terms, axis=-1)), base)


@backend.as_written
def perplexity(p: Any, q: Any, axis: int = -1) -> Tensor:
    """The number of equally probable outcomes that are as hard to predict as those of p by q.

        exp(H(p, q)), with the cross-entropy in nats

    It needs no `base`: 2 to the power of bits is the same number. The least is 1; a uniform q has
    C. The perplexity of a distribution itself is `perplexity(p, p)`. That of a text is the
    exponential of the *mean* cross-entropy of its tokens, not the mean of their perplexities.

    Args:
        p: the true distributions along `axis`.
        q: the predicted distributions; the shape of `p`, or one of both a single row (C,).
        axis: the axis of the outcomes.

    Returns:
        A tensor of the shape of `p` and `q` without `axis`; a scalar for single rows. +inf where
        p > 0 on an outcome with q = 0.

    Raises:
        ValueError: if `axis` is out of its range, if shapes do not fit, or, in eager execution,
            if a row of `p` or `q` is no distribution.

    Example:
        >>> round(float(keras_ce.information.perplexity([0.5, 0.5], [0.9, 0.1])), 4)
        3.3333
    """
    information, is_valid = _cross_entropy(p, q, axis)
    is_infinite = ops.logical_not(ops.isfinite(information))
    # The gradient of an infinite exponential would be infinity times 0.
    finite = ops.exp(ops.where(is_infinite, 0.0, information))
    perplexities = finite + infinity_where(is_infinite, finite.dtype)
    return nan_where(ops.logical_not(is_valid), perplexities)


def _cross_entropy(p: Any, q: Any, axis: int) -> tuple[Tensor, Tensor]:
    """The cross-entropy in nats, and which rows are valid."""
    (p, q), is_valid = _distributions(axis, p=p, q=q)
    is_impossible = ops.logical_and(_is_positive(p), ops.logical_not(_is_positive(q)))
    terms = p * _minus_log(q) + infinity_where(is_impossible, p.dtype)
    return ops.sum(terms, axis=-1), is_valid


def _divergence_terms(inputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The terms p log(p / q) - p + q without cancellation, for p and q stacked in one tensor.

    With s = (p - q) / (p + q), log(p / q) = 2 atanh s, whose series makes of it
    (p + q) s^2 (1 + (1 + s) s (1/3 + s^2/5 + s^4/7 + ...)).
    """
    p, q = inputs[0], inputs[1]
    safe_p, safe_q, s, series = _log_ratio_series(p, q)
    near = (safe_p + safe_q) * s * s * (1 + (1 + s) * s * series)
    far = safe_p * ops.log(safe_p / safe_q) - (safe_p - safe_q)
    terms = ops.where(ops.abs(s) <= _SERIES_LIMIT, near, far)
    terms = terms + infinity_where(ops.logical_not(_is_positive(q)), q.dtype)
    return ops.where(_is_positive(p), terms, q), ()


def _divergence_gradient(upstream: Tensor, residuals: tuple[Tensor, ...], inputs: Tensor) -> Tensor:
    """log(p / q) for p and 1 - p / q for q. Autodiff would square 1 / q, which overflows."""
    p, q = inputs[0], inputs[1]
    safe_p, safe_q, s, series = _log_ratio_series(p, q)
    near = 2 * s * (1 + s * s * series)
    log_ratio = ops.where(ops.abs(s) <= _SERIES_LIMIT, near, ops.log(safe_p / safe_q))
    are_positive = ops.logical_and(_is_positive(p), _is_positive(q))
    for_p = ops.where(are_positive, log_ratio, 0.0)
    for_q = ops.where(are_positive, (safe_q - safe_p) / safe_q, 0.0)
    for_q = ops.where(_is_positive(p), for_q, 1.0)
    return ops.stack([upstream * for_p, upstream * for_q])


def _log_ratio_series(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both p and q, 1 where one is 0; s; and 1/3 + s^2/5 + s^4/7 + ... near p = q."""
    are_positive = ops.logical_and(_is_positive(p), _is_positive(q))
    p = ops.where(are_positive, p, 1.0)
    q = ops.where(are_positive, q, 1.0)
    s = (p - q) / (p + q)
    series = ops.zeros_like(s)
    for term in reversed(range(_SERIES_TERMS)):
        series = series * (s * s) + 1 / (2 * term + 3)
    return p, q, s, series


def _is_positive(p: Tensor) -> Tensor:
    """Whether entries count as more than 0. TensorFlow and JAX take smaller numbers for 0."""
    return p >= float(np.finfo(keras.backend.standardize_dtype(p.dtype)).tiny)


def _minus_log(p: Tensor) -> Tensor:
    """The self-information, and 0 with gradient 0 where `p` counts as 0."""
    p = ops.where(_is_positive(p), p, 1.0)
    # 1 - p has the value and the gradient of -log p at p = 1, without the sign of a negative zero.
    return ops.where(p < 1, -ops.log(p), 1 - p)


def _clamped(p: Tensor) -> Tensor:
    """Entries within [0, 1]. The gradient is 1 inside, the ends included, else 0."""
    at_most_one = ops.where(p > 1, 1.0, p)
    return ops.where(p < 0, 0.0, at_most_one)


def _in_base(information: Tensor, base: float | None) -> Tensor:
    return information if base is None else information / math.log(base)


def _validated_base(base: float | None) -> float | None:
    if base is None:
        return None
    base = checks.number(above=0)("base", base)
    if base == 1:
        raise InvalidValuesError(
            "base",
            base,
            "a positive number other than 1, whose logarithm is 0",
            fix="Use 2 for bits, 10 for digits, None for nats.",
        )
    return base


def _distributions(axis: int, **given: Any) -> tuple[list[Tensor], Tensor]:
    """Distributions along the last axis, in one dtype and shape, and which rows are valid.

    Invalid rows raise in eager execution; elsewhere they are zeros, for gradients to survive.
    """
    axis = checks.integer()("axis", axis)
    given = {name: tensor(name, value) for name, value in given.items()}
    tolerances = {name: _sum_tolerance(values) for name, values in given.items()}
    # Not keras.backend.result_type, which knows no float64 on torch.
    dtypes = [keras.backend.standardize_dtype(values.dtype) for values in given.values()]
    dtype = "float64" if "float64" in dtypes else "float32"
    tensors = [ops.cast(values, dtype) for values in given.values()]
    rank = max(len(values.shape) for values in tensors)
    if not -rank <= axis < rank:
        shapes = ", ".join(f"{name}.shape={tuple(each.shape)}" for name, each in given.items())
        raise ValueError(
            f"`axis` must be an axis of {' and '.join(f'`{name}`' for name in given)}, the one "
            f"along which probabilities sum to 1. Received: axis={axis}, {shapes}."
        )
    if axis not in (-1, rank - 1):
        # Not ops.moveaxis, which torch.vmap does not know.
        order = [each for each in range(rank) if each != axis % rank] + [axis % rank]
        tensors = [
            ops.transpose(values, order) if len(values.shape) == rank else values
            for values in tensors
        ]
    _require_one_shape(list(given), tensors, axis)

    valid = [
        _valid_rows(name, values, tolerances[name], axis)
        for name, values in zip(given, tensors, strict=True)
    ]
    tensors = [
        _clamped(ops.where(ops.expand_dims(is_valid, -1), values, 0.0))
        for is_valid, values in zip(valid, tensors, strict=True)
    ]
    if len(tensors) == 1:
        return tensors, valid[0]
    larger = max(tensors, key=lambda values: len(values.shape))
    # Only a single row is stretched; of the others, ranks agree.
    tensors = [
        values if len(values.shape) == rank else ops.broadcast_to(values, ops.shape(larger))
        for values in tensors
    ]
    return tensors, ops.logical_and(*valid)


def _require_one_shape(names: list[str], tensors: list[Tensor], axis: int) -> None:
    shapes = [tuple(values.shape) for values in tensors]
    first, last = shapes[0], shapes[-1]
    if 1 in (len(first), len(last)):
        first, last = first[-1:], last[-1:]
    if len(first) != len(last) or any(
        one is not None and other is not None and one != other
        for one, other in zip(first, last, strict=True)
    ):
        raise ValueError(
            f"`{names[0]}` and `{names[-1]}` must have one shape, or one of them must be a single "
            "row. Received, with the axis of the outcomes last: "
            + ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=True))
            + f" (axis={axis})."
        )


def _sum_tolerance(values: Tensor) -> float:
    is_half = keras.backend.standardize_dtype(values.dtype) in ("float16", "bfloat16")
    return _SUM_TOLERANCE_OF_HALF if is_half else _SUM_TOLERANCE


def _valid_rows(name: str, rows: Tensor, tolerance: float, axis: int) -> Tensor:
    """Which rows are distributions; in eager execution raises at the first that is not."""
    is_valid = ops.logical_and(
        ops.all(rows >= -PROBABILITY_TOLERANCE, axis=-1),
        ops.abs(ops.sum(rows, axis=-1) - 1) <= tolerance,
    )
    is_invalid = ops.logical_not(is_valid)
    if checks.any_true(is_invalid):
        position = checks.first(is_invalid)
        row = checks.to_numpy(rows)[position]
        is_wrong = ~(row >= -PROBABILITY_TOLERANCE)
        value, received = float(row.sum()), "The sum"
        if is_wrong.any():
            index = int(np.argmax(is_wrong))
            value, received = float(row[index]), "An entry"
            # In the array as it was given, before its axis was moved to the end.
            place = axis % (len(position) + 1)
            position = (*position[:place], index, *position[place:])
        raise InvalidValuesError(
            name,
            value,
            f"distributions along axis {axis}: numbers >= 0 with sum 1 (within {tolerance:g})",
            position,
            f"{received} of this row is not. If these are logits, apply `keras.ops.softmax` first; "
            "if they are counts or scores >= 0, divide each row by its sum; if the outcomes lie "
            "along another axis, give `axis`.",
        )
    return is_valid
