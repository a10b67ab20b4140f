"""Figures of losses, training and calibration; matplotlib is imported when one is drawn."""

from keras_ce.plots.training_history import training_history

__all__ = ["training_history"]
