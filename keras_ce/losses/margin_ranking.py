"""Hinge loss on the differences of scores: what is more relevant has to score higher."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce.losses import _checks, _labels
from keras_ce.losses._loss import LossOptions, PositionLoss
from keras_ce.losses._row_operations import label_entry
from keras_ce.losses._values import exempt_to_zero, settle, tensor, unless_exempt

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class MarginRanking(PositionLoss):
    """Hinge loss that wants each more relevant candidate `margin` above each less relevant one.

    For rankers that score the candidates of a question in one row. Where one candidate is right
    and many are wrong, a softmax over the row, `LabelSmoothedCrossentropy(0, from_logits=True)`,
    keeps learning from pairs that this loss is content with.

    The loss of a position is the mean over its pairs (i, j) with i more relevant than j of

        max(0, margin - (s_i - s_j))

    in units of the scores; 0 where no such pair exists. An active pair's gradient is -1 / pairs
    for s_i and 1 / pairs for s_j; a pair exactly at the margin is not active. With two
    candidates it is `torch.nn.functional.margin_ranking_loss`.

    **Labels that are ids say which candidate is right, counted from 0: a vector of ones means
    "the second is right". For rows (right answer, wrong answer) give zeros.**

    Args:
        margin: a number >= 0.
        **options: `reduction`, `name` and `dtype`, as in every Keras loss.

    Shapes:
        `y_pred`: scores (batch, ..., n), n >= 2. `y_true`: the index of the right candidate
        (batch, ...) or (batch, ..., 1), or relevance (batch, ..., n), any finite numbers.
        Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        ValueError: an argument out of its range; labels of another shape; fewer than two
            candidates; in eager execution an index outside [0, n), or a relevance that is not
            finite. Compiled, such a position's loss is NaN and its gradient 0.

    Example:
        >>> loss = MarginRanking(0.1)
        >>> scores = [[0.9, 0.3], [0.2, 0.4], [0.55, 0.5]]  # right answer, wrong answer
        >>> float(loss([0, 0, 0], scores))
        0.11666...

    Reference:
        Herbrich, Graepel & Obermayer 2000, "Large Margin Rank Boundaries for Ordinal
        Regression"; the same hinge on pairs, there with a margin of 1.
    """

    def __init__(self, margin: float = 0.1, **options: Unpack[LossOptions]) -> None:
        super().__init__(**options)
        self.margin = _checks.number("margin", margin, minimum=0)

    def position_losses(
        self, y_true: Any, y_pred: Tensor, is_exempt: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """See the base class."""
        num_candidates = y_pred.shape[-1] if len(y_pred.shape) else 0
        if num_candidates is not None and num_candidates < 2:
            raise ValueError(
                "`y_pred` must hold the scores of at least two candidates along its last axis. "
                f"Received: y_pred.shape={_checks.shape_text(y_pred)}."
            )
        scores = exempt_to_zero(y_pred, is_exempt)
        if _labels.are_dense(y_true, y_pred, -1):
            relevance = ops.cast(tensor("y_true", y_true), y_pred.dtype)
            is_valid = ops.all(ops.isfinite(relevance), -1)
            _raise_unless_finite(relevance, unless_exempt(ops.logical_not(is_valid), is_exempt))
            advantage = scores[..., :, None] - scores[..., None, :]
            is_pair = relevance[..., :, None] > relevance[..., None, :]
            axes: tuple[int, ...] = (-2, -1)
        else:
            ids = _labels.class_ids(y_true, len(y_pred.shape) - 1)
            size = ops.shape(y_pred)[-1]
            is_valid = (ids >= 0) & (ids < size)
            is_invalid = unless_exempt(ops.logical_not(is_valid), is_exempt)
            _labels.raise_unless_ids(y_true, is_invalid, size, None)
            ids = ops.where(is_valid, ids, ops.zeros_like(ids))
            advantage = label_entry(scores, ids) - scores
            is_pair = ops.not_equal(ops.arange(size, dtype=ids.dtype), ids[..., None])
            axes = (-1,)
        pairs = ops.sum(ops.cast(is_pair, scores.dtype), axes)
        # What is no pair is content. Between the two differences the selection also keeps
        # TensorFlow from adding the margin to a large score first.
        advantage = ops.where(is_pair, advantage, ops.full_like(advantage, self.margin))
        losses = ops.sum(ops.relu(self.margin - advantage), axes) / ops.maximum(pairs, 1)
        return settle(losses, is_valid, is_exempt), None


def margin_ranking(y_true: Any, y_pred: Any, margin: float = 0.1) -> Tensor:
    """`MarginRanking` of each position, in units of the scores; one row gives shape ()."""
    return MarginRanking(margin, name="margin_ranking").call(y_true, y_pred)


def _raise_unless_finite(relevance: Tensor, is_invalid: Tensor) -> None:
    _checks.raise_where(
        is_invalid,
        lambda position: (
            "`y_true` must hold finite relevances. Received: "
            f"{_checks.to_numpy(relevance)[position].tolist()} at position {position}. Correct "
            "them, or give the row `sample_weight` 0."
        ),
    )
