"""The catalogue of metrics."""

from keras_ce.metrics.expected_calibration_error import ExpectedCalibrationError

__all__ = ["ExpectedCalibrationError"]
