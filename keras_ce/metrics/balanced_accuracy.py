"""Balanced accuracy."""

from typing import Any, final

import keras
from keras import ops

from keras_ce.metrics._confusion import Confusion, Pair, quotient

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class BalancedAccuracy(Confusion):
    """The mean over the classes of the share of their positions that are predicted right.

    With the positions of class k (labels), and those of them that are predicted right (hits):

        recall_k = hits_k / labels_k
        balanced accuracy = mean of recall_k over the classes that have labels

    Each class counts the same, however rare it is: always predicting one class gives 1 / the number
    of classes. A class without a label is left out of the mean, as in
    `sklearn.metrics.balanced_accuracy_score`; keep that in mind where a rare class is missing from
    a small test set.

    {counts}

    {exclusive classes}

    {invalid values}

    Args:
        {arguments}
        {last arguments}

    Shapes:
        {shapes}
        Result: a scalar between 0 and 1; 0 before the first batch.

    Raises:
        {raises}

    Example:
        >>> metric = keras_ce.metrics.BalancedAccuracy()
        >>> metric.update_state([0, 0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.7, 0.3]])
        >>> float(metric.result())
        0.5

    Reference:
        - Brodersen, Ong, Stephan and Buhmann (2010), "The Balanced Accuracy and Its Posterior
          Distribution", ICPR.
    """

    counted = ("labels", "hits")

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        num_classes: int | None = None,
        name: str = "balanced_accuracy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, ignore_class, num_classes, name, dtype)

    def _score(self, total: Pair, *counts: Pair) -> Tensor:
        labels, hits = (each.value() for each in counts)
        has_labels = ops.cast(ops.not_equal(labels, 0), labels.dtype)  # NaN included
        return quotient(ops.sum(quotient(hits, labels)), ops.sum(has_labels))
