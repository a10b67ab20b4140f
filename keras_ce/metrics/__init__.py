"""The catalogue of metrics."""

from keras_ce.metrics.expected_calibration_error import ExpectedCalibrationError
from keras_ce.metrics.grouped_accuracy import GroupedAccuracy

__all__ = ["ExpectedCalibrationError", "GroupedAccuracy"]
