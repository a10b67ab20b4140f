"""Cohen's kappa."""

from typing import Any, Literal, final

import keras
from keras import ops

from keras_ce._core import checks
from keras_ce.metrics._confusion import Confusion, Pair, quotient

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class CohenKappa(Confusion):
    """How much labels and predictions agree beyond what chance would give.

    1 means that they always agree, 0 that they agree as often as random predictions with the same
    class shares would, less than 0 that they agree less often than that. With the shares labels_i
    of the positions of class i and predictions_j of those predicted to be of class j, the share
    observed_ij of those that are both, and the cost w_ij of a prediction j where i is right,

        kappa = 1 - sum_ij w_ij observed_ij / sum_ij w_ij labels_i predictions_j

        weights=None:        w_ij = 0 if i = j, else 1
        weights="linear":    w_ij = |i - j|
        weights="quadratic": w_ij = (i - j)^2

    and 0 where the divisor is 0: all labels and all predictions are of one class. The weights are
    for classes that have an order, such as grades: a near miss then costs less. The reference is
    `sklearn.metrics.cohen_kappa_score`, which gives NaN for 0 / 0.

    {counts}

    {exclusive classes}

    {invalid values}

    Args:
        weights: None, "linear" or "quadratic": how the cost of a wrong prediction grows with its
            distance from the label. (Weights of positions are `sample_weight`.)
        {arguments}
        {last arguments}

    Shapes:
        {shapes}
        Result: a scalar up to 1; 0 before the first batch.

    Raises:
        {raises}

    Example:
        >>> metric = keras_ce.metrics.CohenKappa("quadratic", num_classes=4)
        >>> metric.update_state([0, 1, 2, 3], np.array([0, 1, 3, 3]))
        >>> round(float(metric.result()), 4)
        0.9167

    Reference:
        - Cohen (1960), "A Coefficient of Agreement for Nominal Scales", Educational and
          Psychological Measurement 20.
        - Cohen (1968), "Weighted Kappa", Psychological Bulletin 70.
    """

    counted = ("labels", "predictions", "distances")

    def __init__(
        self,
        weights: Literal["linear", "quadratic"] | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        num_classes: int | None = None,
        name: str = "cohen_kappa",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, ignore_class, num_classes, name, dtype)
        self.weights = checks.optional(checks.choice("linear", "quadratic"))("weights", weights)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        return {**super().get_config(), "weights": self.weights}

    def _score(self, total: Pair, *counts: Pair) -> Tensor:
        labels, predictions, distances = counts

        def share(count: Tensor) -> Tensor:
            return quotient(count, total.value())

        far, true, predicted = (share(each.value()) for each in (distances, labels, predictions))
        # No part of the sums below is negative: none of them takes digits from another.
        if self.weights is None:
            observed = ops.sum(far[1:])
            expected = ops.sum(true * share(total.less(predictions)))
        elif self.weights == "linear":
            # |i - j| is the number of borders between the classes i and j.
            observed = ops.sum(far * _numbers(far))
            expected = ops.sum(_below(true) * _above(predicted) + _above(true) * _below(predicted))
        else:
            # The mean square of a difference: both variances, and the square of that of the means.
            observed = ops.sum(far * _numbers(far) ** 2)
            means = [ops.sum(each * _numbers(each)) for each in (true, predicted)]
            variances = [
                ops.sum(each * (_numbers(each) - mean) ** 2)
                for each, mean in zip((true, predicted), means, strict=True)
            ]
            expected = variances[0] + variances[1] + (means[0] - means[1]) ** 2
        is_defined = ops.not_equal(expected, 0)
        kappa = 1.0 - quotient(observed, expected)
        return ops.where(is_defined, kappa, ops.zeros_like(kappa))


def _numbers(shares: Tensor) -> Tensor:
    """0, 1, 2, ... for each class."""
    return ops.arange(shares.shape[0], dtype=shares.dtype)


def _below(shares: Tensor) -> Tensor:
    """The share of the classes below each border."""
    return ops.cumsum(shares)[:-1]


def _above(shares: Tensor) -> Tensor:
    """The share of the classes above each border."""
    return ops.flip(ops.cumsum(ops.flip(shares)))[1:]
