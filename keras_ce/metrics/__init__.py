"""The catalogue of metrics."""

from keras_ce.metrics.balanced_accuracy import BalancedAccuracy
from keras_ce.metrics.cohen_kappa import CohenKappa
from keras_ce.metrics.expected_calibration_error import ExpectedCalibrationError
from keras_ce.metrics.f1_score import F1Score
from keras_ce.metrics.grouped_accuracy import GroupedAccuracy
from keras_ce.metrics.hamming_loss import HammingLoss
from keras_ce.metrics.matthews_correlation import MatthewsCorrelation

__all__ = [
    "BalancedAccuracy",
    "CohenKappa",
    "ExpectedCalibrationError",
    "F1Score",
    "GroupedAccuracy",
    "HammingLoss",
    "MatthewsCorrelation",
]
