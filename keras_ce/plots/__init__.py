"""Figures of losses, training and calibration; matplotlib is imported when one is drawn."""

from keras_ce.plots.loss_and_gradient import loss_and_gradient
from keras_ce.plots.loss_surface import loss_surface
from keras_ce.plots.reliability_diagram import reliability_diagram
from keras_ce.plots.risk_coverage import risk_coverage
from keras_ce.plots.smoothed_label import smoothed_label
from keras_ce.plots.squared_error_and_crossentropy import squared_error_and_crossentropy
from keras_ce.plots.training_history import training_history

__all__ = [
    "loss_and_gradient",
    "loss_surface",
    "reliability_diagram",
    "risk_coverage",
    "smoothed_label",
    "squared_error_and_crossentropy",
    "training_history",
]
