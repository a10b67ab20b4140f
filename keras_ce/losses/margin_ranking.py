"""Hinge loss on the differences of scores: the more relevant candidate has to score higher."""

from typing import Any, Unpack, final

import keras

from keras_ce._core import checks, ranking
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


@checks.arguments(
    margin=checks.number(minimum=0),
    weighting=checks.optional(checks.choice("ndcg")),
    ignore_label=checks.optional(checks.number()),
)
def margin_ranking(
    y_true: Any,
    y_pred: Any,
    margin: float = 0.1,
    weighting: str | None = None,
    ignore_label: float | None = None,
) -> Tensor:
    """`MarginRanking` of each position, in units of the scores; one row gives shape ()."""
    most = None if weighting is None else ranking.LARGEST_RELEVANCE
    given = ranking.candidates(y_true, y_pred, ignore_label, most)
    at = None if weighting is None else ranking.places(given.y_pred, given.is_kept)
    if given.ids is not None:
        return given.settle(ranking.hinge_of_right(given.y_pred, given.ids, margin, at))
    return given.settle(
        ranking.hinge_of_pairs(given.y_pred, given.relevance, given.is_kept, margin, at)
    )


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class MarginRanking(PositionLoss, function=margin_ranking):
    """Hinge loss that wants each more relevant candidate `margin` above each less relevant one.

    For rankers that score the candidates of a question in one row. Where one candidate is right
    and many are wrong, a softmax over the row, `LabelSmoothedCrossentropy(0, from_logits=True)`,
    keeps learning from pairs whose loss is 0 here.

    The loss of a position is the mean over its pairs (i, j) with i more relevant than j of

        max(0, margin - (s_i - s_j))

    in units of the scores; 0 where no such pair exists. An active pair's gradient is -1 / pairs
    for s_i and 1 / pairs for s_j; a pair exactly at the margin is not active. With two
    candidates it is `torch.nn.functional.margin_ranking_loss`.

    With `weighting="ndcg"` the mean is weighted: a pair counts |2^r_i - 2^r_j| |1 / log2(1 + k_i) -
    1 / log2(1 + k_j)| for relevances r and ranks k, in proportion to how much swapping its
    candidates in the current order would change NDCG (gains 2^r - 1). So mistakes at the top of a
    list count most, and all lists count the same. Ranks are those of the scores; candidates with
    equal scores rank in their given order. The gradient treats the weights as constants.

    **Labels that are ids say which candidate is right, counted from 0: a vector of ones means
    "the second is right". For rows (right answer, wrong answer) give zeros.**

    Args:
        margin: a number >= 0.
        weighting: None, or "ndcg"; relevances are then numbers from 0 to 30, and an index stands
            for relevance 1 against 0.
        ignore_label: candidates with this relevance do not count, such as padding; a list without
            any other candidate is ignored. Relevances only.
        {options}

    Shapes:
        `y_pred`: scores (batch, ..., n), n >= 2. `y_true`: the index of the right candidate
        (batch, ...) or (batch, ..., 1), or relevance (batch, ..., n), any finite numbers
        unless weighted. Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        {raises}

    Example:
        >>> loss = MarginRanking(0.1)
        >>> scores = [[0.9, 0.3], [0.2, 0.4], [0.55, 0.5]]  # right answer, wrong answer
        >>> float(loss([0, 0, 0], scores))
        0.11666...

    Reference:
        Herbrich, Graepel & Obermayer 2000, "Large Margin Rank Boundaries for Ordinal
        Regression"; the same hinge on pairs, there with a margin of 1. The weights are those of
        Burges, Ragno & Le 2006, "Learning to Rank with Nonsmooth Cost Functions" (LambdaRank).
    """

    def __init__(
        self,
        margin: float = 0.1,
        weighting: str | None = None,
        ignore_label: float | None = None,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(options, margin=margin, weighting=weighting, ignore_label=ignore_label)
