"""Hamming loss."""

from typing import Any, final

import keras
from keras import ops

from keras_ce.metrics._confusion import Confusion, Pair, quotient

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class HammingLoss(Confusion):
    """The share of labels that are wrong.

    With `threshold` a row has several labels or none, and each of its C entries is one answer,
    yes where its probability is above the threshold:

        Hamming = sum over rows n of w_n (number of wrong entries) / sum over rows n of w_n C

    Without `threshold` a position is one answer, its class, and the loss is 1 - accuracy. The
    reference is `sklearn.metrics.hamming_loss`, which has the same two meanings.

    {exclusive classes}

    {counts}

    {invalid values}

    Args:
        {threshold argument}
        {arguments}
        ignore_label: Entries with this label do not count, "nan" for NaN, and leave the divisor
            too. With `threshold` only.
        {last arguments}

    Shapes:
        {shapes with threshold}
        Result: a scalar between 0 and 1; 0 before the first batch.

    Raises:
        {raises}

    Example:
        >>> metric = keras_ce.metrics.HammingLoss(threshold=0.5)
        >>> metric.update_state([[1, 0], [1, 1]], [[0.9, 0.6], [0.8, 0.7]])
        >>> float(metric.result())
        0.25

    Reference:
        - Schapire and Singer (1999), "Improved Boosting Algorithms Using Confidence-rated
          Predictions", Machine Learning 37, section 7.
    """

    counted = ("entries", "errors")

    def __init__(
        self,
        threshold: float | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        ignore_label: float | str | None = None,
        num_classes: int | None = None,
        name: str = "hamming_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            from_logits, ignore_class, num_classes, name, dtype, threshold, ignore_label
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        config = super().get_config()
        return {**config, "threshold": self.threshold, "ignore_label": self.ignore_label}

    def _score(self, total: Pair, *counts: Pair) -> Tensor:
        entries, errors = (ops.sum(each.value()) for each in counts)
        return quotient(errors, entries)
