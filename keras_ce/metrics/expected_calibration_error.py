"""Expected calibration error."""

from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.labels import (
    Marked,
    are_dense,
    either,
    exclusive,
)
from keras_ce.metrics._weighted_sums import (
    Values,
    WeightedSums,
    largest_class,
    look_at_binary,
    true_classes,
)

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class ExpectedCalibrationError(WeightedSums):
    """How far the confidence of a classifier is from its accuracy.

    0 means that of the predictions made with a confidence of 0.8, four in five are right; 0.1 means
    that confidence and accuracy differ by ten percentage points on average. Accuracy tells how
    often a model is right; this metric tells whether its probabilities can be trusted.

    The confidence of a prediction is the probability of the predicted class, the most probable
    one. Predictions fall into `num_bins` bins of equal width by their confidence; bin number k,
    counted from 1, holds the confidences in ((k - 1) / num_bins, k / num_bins]. Then

        ECE = sum over bins of (n_k / n) * |accuracy_k - confidence_k|

    with the number of predictions, the share of right ones and the mean confidence of the bin.
    With `sample_weight` these are sums of weights and weighted means. The sums are kept per bin
    from batch to batch: the result does not depend on how the data is split into batches, as a
    mean of batch values would.

    Predictions with a last dimension of 1 are binary: the entry p is the probability of class 1,
    class 1 is predicted where p > 0.5 and class 0 elsewhere, and the confidence is
    max(p, 1 - p), the probability of the *predicted* class, so it lies in [0.5, 1]. It is what
    the same prediction written as two columns (1 - p, p) gives. (The "calibration of class 1",
    which bins p itself, is another quantity.)

    Invalid labels and predictions are an error in eager execution, the same as in the losses: a
    label outside [0, C), or a "probability" outside [0, 1] by more than 1e-6. In compiled code, and
    with `keras_ce.set_value_checks(False)`, they give NaN, never a plausible number. **NaN most
    often means that the model returns logits and `from_logits=True` is missing.** Positions that
    are masked or have weight 0 do not count, whatever values they hold.

    Args:
        num_bins: Number of bins, at least 1.
        from_logits: Whether predictions are logits (softmax is applied, or sigmoid to a last
            dimension of 1) or probabilities.
        name: Name of the metric.
        dtype: Dtype of the result. Sums are kept in pairs of float32, or of float64 if that is it.

    Shapes:
        y_true: Integer ids (...) or (..., 1), or one-hot rows (..., C); for binary predictions
            0 or 1, (...) or (..., 1). One-hot rows count as the class of their largest entry.
        y_pred: (..., C), at least two dimensions.
        sample_weight: A scalar, (batch,), the shape of the positions (...), or that with a
            trailing 1.
        Result: a scalar between 0 and 1; 0 before the first batch.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not fit.
        InvalidValuesError: A `ValueError` in eager execution, for a label or a prediction that is
            invalid.

    Example:
        >>> metric = keras_ce.metrics.ExpectedCalibrationError(num_bins=10)
        >>> metric.update_state([0, 1, 1], [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> round(float(metric.result()), 4)
        0.3333

    Reference:
        - Naeini, Cooper and Hauskrecht (2015), "Obtaining Well Calibrated Probabilities Using
          Bayesian Binning", AAAI.
        - Guo, Pleiss, Sun and Weinberger (2017), "On Calibration of Modern Neural Networks",
          ICML, equation 3.
    """

    def __init__(
        self,
        num_bins: int = 15,
        from_logits: bool = False,
        name: str = "expected_calibration_error",
        dtype: Any = None,
    ) -> None:
        self.num_bins = checks.integer(minimum=1)("num_bins", num_bins)
        self.from_logits = checks.flag("from_logits", from_logits)
        super().__init__(self.num_bins, name, dtype)

    @property
    def gaps(self) -> Tensor:
        """For each bin, the sum of weight * (right - confidence).

        Its absolute value is all that the definition needs of a bin: n_k cancels.
        """
        return self._result()[0]

    @backend.as_written
    def result(self) -> Tensor:
        """The calibration error of all batches since the last reset."""
        gaps, weight = self._result()
        return ops.cast(ops.divide_no_nan(ops.sum(ops.abs(gaps)), weight), self.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        config: dict[str, Any] = super().get_config()
        return {**config, "num_bins": self.num_bins, "from_logits": self.from_logits}

    def _values(self, y_true: Marked, y_pred: Tensor) -> Values:
        if y_pred.shape[-1] is None:
            raise ValueError(
                "`y_pred` must have a last dimension of known size, the classes (1 if binary). "
                f"Received: y_pred.shape={tuple(y_pred.shape)}."
            )
        are_dense(y_true.labels, y_pred, -1)  # Raises where shapes do not fit.
        if y_pred.shape[-1] == 1 and not self.from_logits:
            look_at_binary(y_pred, y_true.is_exempt)
        given = exclusive(y_true, self._probabilities(y_pred), self.from_logits)
        classes, is_none = true_classes(given, y_true.is_exempt, lambda position: (*position, 0))
        confidence = ops.reshape(backend.largest(given.y_pred), given.positions)
        is_right = ops.equal(largest_class(given, given.y_pred), classes)
        gap = ops.cast(is_right, confidence.dtype) - confidence
        return gap, either(given.is_invalid, is_none), self._bins(ops.reshape(confidence, (-1,)))

    def _probabilities(self, scores: Tensor) -> Tensor:
        """Probabilities (..., C) with C >= 2."""
        if scores.shape[-1] != 1:
            return ops.softmax(scores, axis=-1) if self.from_logits else scores
        # The sigmoid of the negative logit keeps the digits that 1 - sigmoid loses.
        if self.from_logits:
            pair = [ops.sigmoid(-scores), ops.sigmoid(scores)]
        else:
            pair = [1.0 - scores, scores]
        return ops.concatenate(pair, axis=-1)

    def _bins(self, confidence: Tensor) -> Tensor:
        """The number of each confidence's bin, counted from 0."""
        # The upper edges, rounded to the dtype of the confidence: one that was given as 0.2 then
        # lies on the edge 3 / 15, not beside it.
        edges = np.arange(1, self.num_bins + 1) / self.num_bins
        edges = ops.convert_to_tensor(edges, dtype=self._sum_dtype)
        bins = ops.searchsorted(edges, confidence, side="left")
        return ops.minimum(bins, self.num_bins - 1)
