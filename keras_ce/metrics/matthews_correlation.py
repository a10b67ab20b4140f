"""Matthews correlation coefficient."""

from typing import Any, final

import keras
from keras import ops

from keras_ce.metrics._confusion import Confusion, Pair, quotient

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class MatthewsCorrelation(Confusion):
    """The correlation between the right classes and the predicted ones.

    1 means that all predictions are right, 0 that they tell nothing about the right class, whatever
    the shares of the classes are: a model that always predicts the most frequent class has 0, and
    may have an accuracy of 0.99. With two classes -1 means that all are wrong.

    With the positions of class k (labels), those predicted to be of it (predictions), those that
    are both (hits), and s positions in all,

        MCC = (s sum_k hits_k - sum_k labels_k predictions_k)
              / sqrt((s^2 - sum_k labels_k^2) (s^2 - sum_k predictions_k^2))

    and 0 where a factor under the root is 0: one class has all labels, or all predictions. With two
    classes this is (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)). It is computed
    as a sum over the classes of TP_k TN_k - FP_k FN_k, each class against all others, which loses
    no digits where one class has nearly all positions. The reference is
    `sklearn.metrics.matthews_corrcoef`.

    {counts}

    {exclusive classes}

    {invalid values}

    Args:
        {arguments}
        {last arguments}

    Shapes:
        {shapes}
        Result: a scalar between -1 and 1; 0 before the first batch.

    Raises:
        {raises}

    Example:
        >>> metric = keras_ce.metrics.MatthewsCorrelation()
        >>> metric.update_state([0, 0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
        >>> round(float(metric.result()), 4)
        0.5774

    Reference:
        - Matthews (1975), "Comparison of the Predicted and Observed Secondary Structure of T4
          Phage Lysozyme", Biochimica et Biophysica Acta 405.
        - Gorodkin (2004), "Comparing Two K-category Assignments by a K-category Correlation
          Coefficient", Computational Biology and Chemistry 28.
    """

    counted = ("labels", "predictions", "hits")

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        num_classes: int | None = None,
        name: str = "matthews_correlation",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, ignore_class, num_classes, name, dtype)

    def _score(self, total: Pair, *counts: Pair) -> Tensor:
        labels, predictions, hits = counts

        # Shares: a product of two of them is far from the limits of the dtype.
        def share(count: Tensor) -> Tensor:
            return quotient(count, total.value())

        missed, false = share(labels.less(hits)), share(predictions.less(hits))
        others = share(total.less(labels))
        covariance = ops.sum(share(hits.value()) * (others - false) - missed * false)
        variances = [
            ops.sum(share(each.value()) * share(total.less(each))) for each in (labels, predictions)
        ]
        return quotient(covariance, ops.sqrt(variances[0]) * ops.sqrt(variances[1]))
