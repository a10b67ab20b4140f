"""Cross-entropy against the softened prediction of a teacher, less the teacher's own entropy."""

import math
from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, softmax
from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Passes, kept
from keras_ce._core.labels import as_rows
from keras_ce._core.limits import infinity_where
from keras_ce._core.reduction import LossOptions, PositionLoss
from keras_ce._core.teacher import taught

Tensor = Any

LARGE = 10.0
"""From here on the divergence is a logarithm whose terms need no further care."""


def differences(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """`first - second` as it is rounded, and what the rounding took away (Knuth's TwoSum)."""
    rounded = first - second
    of_second = rounded - first
    return rounded, (first - (rounded - of_second)) - (second + of_second)


def beyond_linear(values: Tensor) -> Tensor:
    """e^x - 1 - x for x from -1 to 1, to all digits."""
    is_double = keras.backend.standardize_dtype(values.dtype) == "float64"
    series = 0.0
    for order in range(18 if is_double else 11, 1, -1):
        series = series * values + 1 / math.factorial(order)
    return values * values * series


@kept
def _passes(temperature: float, are_finite: bool) -> Passes:
    """KL(softmax(teacher / t) || softmax(student / t)) of each row, times t^2.

    With p the teacher's probabilities and d = (student - teacher) / t less its mean under p, the
    probabilities q of the student are in proportion to p e^d, and the divergence is
    log(sum p e^d) = log(1 + A), with A = sum p (e^d - 1 - d): no difference of numbers that are
    almost equal. Where |d| > 1, p e^d is taken from the student's own softmax, e^s for s =
    (student - its largest) / t, to which it is in a proportion that all classes share:
    e^`level` / `total`, with the divisor of p. It is the difference of the two largest less the
    same mean as d, and between -log C and `LARGE` where it is used, so its digits are known.
    """

    def by_differences(student: Tensor, teacher: Tensor) -> Any:
        most = softmax.largest_number(student)
        peak, top = backend.largest(student), backend.largest(teacher)
        odds = backend.exp((student - peak) / temperature)
        parts = backend.exp((teacher - top) / temperature)
        q_total, total = backend.row_sum(odds), backend.row_sum(parts)

        # d and `level` less any number: a difference of their peaks takes a shift away, and what
        # a mean is off by, the next one finds.
        shift, level = differences(peak, top)
        advantage, lost_digits = differences(student, teacher)
        d = (advantage - shift) + lost_digits
        if not are_finite:
            is_out, is_lost = teacher < -most, student < -most
            d = backend.where(ops.logical_or(is_out, is_lost), 0.0, d)
        for _ in range(2):
            mean = backend.row_sum(parts * d) / total
            d, level = d - mean, level - mean
        d, level = d / temperature, level / temperature
        if not are_finite:
            d = backend.where(is_out, 2.0, d)  # The teacher has no p that p e^d could come from.

        # `total` times each term of A: the divisor of p goes last.
        is_far, is_large = ops.abs(d) > 1, level > LARGE
        near = backend.where(is_far, 0.0, d)
        bend = beyond_linear(near)
        far = odds * backend.exp(backend.where(is_large, LARGE, level))
        terms = backend.where(is_far, far - parts * (1 + d), parts * bend)
        if not are_finite:
            terms = backend.where(ops.logical_and(is_lost, ops.logical_not(is_out)), most, terms)
        excess, is_plain = backend.row_sum(terms), is_large
        if not are_finite:
            is_hopeless = excess >= most
            is_plain = ops.logical_or(is_large, is_hopeless)
        excess = backend.where(is_plain, 0.0, excess / total)
        losses = backend.where(
            is_large, level + backend.log(q_total / total), backend.log1p(excess)
        )
        losses = temperature**2 * losses
        if not are_finite:
            losses = losses + infinity_where(is_hopeless, losses.dtype)
        # q - p; near the teacher as p (e^d / (1 + A) - 1).
        p = parts / total
        slopes = backend.where(
            ops.logical_or(is_far, is_plain),
            odds / q_total - p,
            p * ((bend + near) - excess) / (1 + excess),
        )
        return backend.flat(losses), (slopes,)

    def forward(student: Tensor, teacher: Tensor) -> Any:
        if not are_finite:
            return by_differences(student, teacher)
        return backend.divergence(student, teacher, temperature, by_differences)

    def backward(upstream: Tensor, residuals: Any, *_: Tensor) -> Tensor:
        return residuals[0] * backend.column(temperature * upstream)

    return Passes(forward, backward)


@checks.arguments(temperature=checks.number(above=0))
def distillation_crossentropy(y_true: Any, y_pred: Any, temperature: float = 2.0) -> Tensor:
    """`DistillationCrossentropy` of each position, in nats; one single row gives shape ()."""
    given = taught(y_true, y_pred)
    shape = ops.shape(given.y_pred)
    rows = (as_rows(item, shape[-1]) for item in (given.y_pred, given.teacher))
    passes = _passes(temperature, given.are_finite)
    losses = backend.closed_form_of_rows(passes, *rows, varies=given.varies)
    return given.settle(losses if len(shape) == 2 else ops.reshape(losses, shape[:-1]))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class DistillationCrossentropy(PositionLoss, function=distillation_crossentropy):
    """Divergence of a student's prediction from its teacher's, both softened, in nats.

    For training a small model, the student, on what a large one or an ensemble, the teacher, has
    predicted for the same rows: the labels are the teacher's logits. For right classes beside
    them, give the model a second output of the same logits and that output a
    `LabelSmoothedCrossentropy`; docs/distillation.md shows it.

    With temperature t the loss of a position is

        t^2 KL(p || q) = t^2 sum_c p_c log(p_c / q_c),
        p = softmax(teacher / t),    q = softmax(student / t)

    It is 0 where both predict the same. The cross-entropy of q against p is larger by p's entropy,
    which no student can change, so the gradient is the same: t (q - p) with respect to the
    student's logits, and none for the teacher's. The factor t^2 keeps the gradient at about the
    same size for every t. Small losses keep their digits, even where q and p nearly agree.

    Args:
        temperature: a number > 0; larger softens more, so that the student also learns which wrong
            classes its teacher finds less wrong.
        {options}

    Shapes:
        `y_pred`: the student's logits (batch, ..., C), C >= 2. `y_true`: the teacher's logits, of
        the same shape; -inf is a class that the teacher rules out. Result: a scalar; with
        reduction "none" (batch, ...).

    Raises:
        {raises}

    Example:
        >>> loss = DistillationCrossentropy(2.0)
        >>> float(loss([[2.0, 0.5, 6.0]], [[1.0, 0.0, 3.0]]))
        0.41272...

    Reference:
        Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network", section 2;
        https://arxiv.org/abs/1503.02531.
    """

    def __init__(self, temperature: float = 2.0, **options: Unpack[LossOptions]) -> None:
        super().__init__(options, temperature=temperature)
