"""Softmax cross-entropy of a list of scores against graded relevance."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks, ranking, softmax
from keras_ce._core.labels import Exclusive, as_rows
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


@checks.arguments(temperature=checks.number(above=0), ignore_label=checks.optional(checks.number()))
def listwise_crossentropy(
    y_true: Any, y_pred: Any, temperature: float = 1.0, ignore_label: float | None = None
) -> Tensor:
    """`ListwiseCrossentropy` of each position, in nats; one single row gives shape ()."""
    given = ranking.graded(y_true, y_pred, ignore_label)
    logits = ranking.softened(given.y_pred, given.is_kept, temperature)
    total = ops.sum(given.relevance, -1, keepdims=True)
    shares = given.relevance / ops.where(ops.equal(total, 0), ops.ones_like(total), total)
    shape = ops.shape(logits)
    logits, shares = (as_rows(item, shape[-1]) for item in (logits, shares))
    losses = softmax.crossentropy(Exclusive(logits, given.marked, rows=shares, varies=given.varies))
    return given.settle(losses if len(shape) == 2 else ops.reshape(losses, shape[:-1]))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class ListwiseCrossentropy(PositionLoss, function=listwise_crossentropy):
    """Softmax cross-entropy over a list of candidates against their relevance, in nats.

    For rankers whose candidates have grades or clicks: unlike `MarginRanking` it never stops
    pulling the most relevant candidates to the top. Where one candidate is right, and its index is
    known, `LabelSmoothedCrossentropy(0, from_logits=True)` is the same.

    With temperature t the loss of a position is

        -sum_i r_i log softmax(s / t)_i / sum_i r_i

    for scores s and relevances r. A list without a relevant candidate is ignored, and so is a list
    that is all padding. The gradient with respect to s_i is (p_i - r_i / sum r) / t with p =
    softmax(s / t). With graded relevance the lowest loss is not 0 but the entropy of r / sum r.

    Args:
        temperature: a number > 0; scores that are cosines need a small one, such as 0.05.
        ignore_label: candidates with this relevance do not count, such as padding.
        {options}

    Shapes:
        `y_pred`: scores (batch, ..., n), n >= 2. `y_true`: relevance (batch, ..., n), numbers
        >= 0. Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        {raises}

    Example:
        >>> loss = ListwiseCrossentropy(ignore_label=-1)
        >>> float(loss([[2, 0, 1], [0, 1, -1]], [[1.5, 0.2, 0.7], [0.1, 0.9, 5.0]]))
        0.59058...

    Reference:
        Bruch et al. 2019, "An Analysis of the Softmax Cross Entropy Loss for Learning-to-Rank
        with Binary Relevance", equation 2; with graded relevance it is ListNet's loss, Cao et al.
        2007, with r / sum r for the distribution of the labels.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        ignore_label: float | None = None,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(options, temperature=temperature, ignore_label=ignore_label)
