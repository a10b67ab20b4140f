"""F1 score."""

from typing import Any, Literal, final

import keras
from keras import ops

from keras_ce._core import checks
from keras_ce.metrics._confusion import Confusion, Pair, quotient

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class F1Score(Confusion):
    """The harmonic mean of precision and recall, of each class or on average.

    For class k, with the number of its positions (labels), of those predicted to be of it
    (predictions), and of those that are both (hits):

        F1_k = 2 hits_k / (labels_k + predictions_k), 0 where nothing is labelled or predicted k

    The averages are those of scikit-learn with `labels=range(C), zero_division=0`:

        "macro":    mean over all C classes of F1_k
        "weighted": sum over k of labels_k F1_k / sum over k of labels_k
        "micro":    2 sum over k of hits_k / sum over k of (labels_k + predictions_k)
        None:       the vector of all F1_k

    Micro F1 of exclusive classes is their accuracy.

    {counts}

    {exclusive classes}
    With `threshold` a row has several labels or none: class k is predicted where its probability
    is above the threshold. (Without it, a label row of several ones counts as its first class.)
    For the F1 of "yes" alone, scikit-learn's `average="binary"`, give a model with one output
    `threshold=0.5`.

    What differs from `keras.metrics.F1Score`: this one takes class ids, logits, masks, weights of
    positions, any rank, and `ignore_class`. The default is "macro", not None. `threshold` is a
    probability even where predictions are logits. Counts are exact up to 2**48, not 2**24, and no
    epsilon is added to the divisors. Where several classes share the highest score, Keras predicts
    all of them, and none for a row of zeros; here it is the first. Labels outside the classes are
    an error and never counted.

    {invalid values}

    Args:
        average: "macro", "micro", "weighted", or None for one number per class.
        {threshold argument}
        {arguments}
        ignore_label: Entries with this label do not count, "nan" for NaN. With `threshold` only.
        {last arguments}

    Shapes:
        {shapes with threshold}
        Result: a scalar between 0 and 1; with `average=None` (C,). 0 before the first batch; with
            `average=None` and no `num_classes` that is a vector without entries.

    Raises:
        {raises}

    Example:
        >>> metric = keras_ce.metrics.F1Score()
        >>> metric.update_state([0, 1, 1], [[2.0, 1.0], [0.0, 3.0], [0.5, 0.0]])
        >>> round(float(metric.result()), 4)
        0.6667
        >>> metric = keras_ce.metrics.F1Score(average=None, threshold=0.5)
        >>> metric.update_state([[1, 0], [1, 1]], [[0.9, 0.6], [0.2, 0.7]])
        >>> [round(float(score), 4) for score in metric.result()]
        [0.6667, 0.6667]

    Reference:
        - van Rijsbergen (1979), "Information Retrieval", 2nd edition, chapter 7.
        - Opitz and Burst (2019), "Macro F1 and Macro F1", arXiv:1911.03347: this macro F1 is the
          mean of F1_k, not the F1 of mean precision and mean recall.
    """

    counted = ("labels", "predictions", "hits")

    def __init__(
        self,
        average: Literal["macro", "micro", "weighted"] | None = "macro",
        threshold: float | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        ignore_label: float | str | None = None,
        num_classes: int | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        choice = checks.choice("macro", "micro", "weighted")
        super().__init__(
            from_logits, ignore_class, num_classes, name, dtype, threshold, ignore_label
        )
        self.average = checks.optional(choice)("average", average)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        config = super().get_config()
        own = {"average": self.average, "threshold": self.threshold}
        return {**config, **own, "ignore_label": self.ignore_label}

    def _score(self, total: Pair, *counts: Pair) -> Tensor:
        labels, predictions, hits = (each.value() for each in counts)
        if self.average == "micro":
            labels, predictions, hits = map(ops.sum, (labels, predictions, hits))
        scores = quotient(2.0 * hits, labels + predictions)
        if self.average == "macro":
            return ops.mean(scores)
        if self.average == "weighted":
            return quotient(ops.sum(labels * scores), ops.sum(labels))
        return scores

    def _shape_of_score(self, size: int) -> tuple[int, ...]:
        return (size,) if self.average is None else ()
