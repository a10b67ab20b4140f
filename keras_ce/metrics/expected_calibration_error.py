"""Expected calibration error."""

from __future__ import annotations

import numbers
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_ce._core.labels import PROBABILITY_TOLERANCE, tensor
from keras_ce._core.reduction import position_weights
from keras_ce.metrics import _classes


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class ExpectedCalibrationError(keras.metrics.Metric):
    """How far the confidence of a classifier is from its accuracy.

    0 means that of the predictions made with a confidence of 0.8, four in five are right; 0.1
    means that confidence and accuracy differ by ten percentage points on average. Accuracy says
    how often a model is right, this says whether its probabilities can be believed.

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

    Labels and predictions that mean nothing give NaN, never a plausible number: an integer label
    outside [0, C), or a "probability" outside [0, 1] by more than 1e-6. **NaN most often means
    that the model returns logits and `from_logits=True` is missing.** Positions that are masked
    or have weight 0 are left out, whatever they hold.

    Args:
        num_bins: Number of bins, at least 1.
        from_logits: Whether predictions are logits (softmax is applied, or sigmoid to a last
            dimension of 1) or probabilities.
        name: Name of the metric.
        dtype: Dtype of the result. Sums are kept in float32, or in `dtype` if that is wider.

    Shapes:
        y_true: Integer ids (...) or (..., 1), or one-hot rows (..., C); for binary predictions
            0 or 1, (...) or (..., 1). One-hot rows count as the class of their largest entry.
        y_pred: (..., C), at least two dimensions.
        sample_weight: A scalar, (batch,), the shape of the positions (...), or that with a
            trailing 1.
        Result: a scalar between 0 and 1; 0 before the first batch.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not fit.

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
        super().__init__(name=name, dtype=dtype)
        _check_arguments(num_bins, from_logits)
        self.num_bins = int(num_bins)
        self.from_logits = bool(from_logits)
        self._sum_dtype = "float64" if self.dtype == "float64" else "float32"
        # Sums over the positions of a bin of weight * (right - confidence). Its absolute value is
        # all that the definition needs of a bin: n_k cancels.
        self.gaps = self.add_variable(
            shape=(self.num_bins,), initializer="zeros", dtype=self._sum_dtype, name="gaps"
        )
        self.total_weight = self.add_variable(
            shape=(), initializer="zeros", dtype=self._sum_dtype, name="total_weight"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: The right classes.
            y_pred: The predicted probabilities or logits.
            sample_weight: Optional weights of rows or positions.
        """
        y_pred = tensor("y_pred", y_pred)
        _require_fitting_shapes(_classes.shape_of(y_true), tuple(y_pred.shape))
        scores = ops.cast(y_pred, self._sum_dtype)
        probabilities = self._probabilities(scores)
        confidence = ops.max(probabilities, axis=-1)
        true_class, is_class = _true_classes(y_true, tuple(probabilities.shape))
        is_right = ops.equal(ops.cast(ops.argmax(probabilities, axis=-1), "int32"), true_class)
        is_valid = ops.logical_and(is_class, _are_probabilities(probabilities))

        weight = position_weights(y_pred, sample_weight, self._sum_dtype)
        gap = ops.cast(is_right, self._sum_dtype) - confidence
        gap = ops.where(is_valid, gap, ops.full_like(gap, float("nan")))
        # Selected, not multiplied alone: 0 * NaN is NaN.
        gap = ops.where(ops.equal(weight, 0), ops.zeros_like(gap), gap * weight)

        bins = self._bins(ops.reshape(confidence, (-1,)))
        batch_gaps = ops.segment_sum(ops.reshape(gap, (-1,)), bins, num_segments=self.num_bins)
        self.gaps.assign(self.gaps + batch_gaps)
        self.total_weight.assign(self.total_weight + ops.sum(weight))

    def result(self) -> Any:
        """Returns the calibration error of all batches since the last reset."""
        error = ops.divide_no_nan(ops.sum(ops.abs(self.gaps)), self.total_weight)
        return ops.cast(error, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config: dict[str, Any] = super().get_config()
        return {**config, "num_bins": self.num_bins, "from_logits": self.from_logits}

    def _probabilities(self, scores: Any) -> Any:
        """Returns probabilities (..., C) with C >= 2."""
        if scores.shape[-1] != 1:
            return ops.softmax(scores, axis=-1) if self.from_logits else scores
        # The sigmoid of the negative logit keeps the digits that 1 - sigmoid loses.
        if self.from_logits:
            pair = [ops.sigmoid(-scores), ops.sigmoid(scores)]
        else:
            pair = [1.0 - scores, scores]
        return ops.concatenate(pair, axis=-1)

    def _bins(self, confidence: Any) -> Any:
        """Returns the number of each confidence's bin, counted from 0."""
        # The upper edges, rounded to the dtype of the confidence: one that was given as 0.2 then
        # lies on the edge 3 / 15, not beside it.
        edges = np.arange(1, self.num_bins + 1) / self.num_bins
        edges = ops.convert_to_tensor(edges, dtype=self._sum_dtype)
        bins = ops.searchsorted(edges, confidence, side="left")
        return ops.minimum(bins, self.num_bins - 1)


def _check_arguments(num_bins: Any, from_logits: Any) -> None:
    is_integer = isinstance(num_bins, numbers.Integral) and not isinstance(num_bins, bool)
    if not is_integer or num_bins < 1:
        raise ValueError(f"`num_bins` must be a positive integer. Received: num_bins={num_bins!r}.")
    if not isinstance(from_logits, (bool, np.bool_)):
        raise ValueError(
            f"`from_logits` must be True or False. Received: from_logits={from_logits!r}."
        )


def _require_fitting_shapes(labels: tuple[int | None, ...], scores: tuple[int | None, ...]) -> None:
    if len(scores) < 2 or scores[-1] is None:
        raise ValueError(
            "`y_pred` must have a batch dimension and a last dimension of known size, the classes "
            f"(1 if binary). Received: y_pred.shape={scores}."
        )
    has_ids = len(labels) == len(scores) - 1 or (len(labels) == len(scores) and labels[-1] == 1)
    is_one_hot = len(labels) == len(scores) and labels[-1] == scores[-1]
    agree = all(
        label is None or score is None or label == score
        for label, score in zip(labels, scores[:-1], strict=False)
    )
    if not (agree and (has_ids or is_one_hot)):
        raise ValueError(
            "`y_true` must have the shape of `y_pred` without its last dimension, or with 1 in "
            "place of it (class ids), or the same shape (one-hot rows). "
            f"Received: y_true.shape={labels}, y_pred.shape={scores}."
        )


def _true_classes(labels: Any, shape: tuple[int | None, ...]) -> tuple[Any, Any]:
    """Returns the class of each position, and whether there is such a class."""
    given = _classes.shape_of(labels)
    if len(given) == len(shape) and given[-1] != 1:
        return _classes.of_rows(tensor("y_true", labels))
    return _classes.of_ids(labels, len(shape) - 1, shape[-1])


def _are_probabilities(values: Any) -> Any:
    is_inside = ops.logical_and(
        ops.greater_equal(values, -PROBABILITY_TOLERANCE),
        ops.less_equal(values, 1.0 + PROBABILITY_TOLERANCE),
    )
    return ops.all(is_inside, axis=-1)
