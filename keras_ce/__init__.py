"""Cross-entropy and margin losses for Keras 3."""

from keras_ce import losses, metrics
from keras_ce.diagrams import plot_model
from keras_ce.losses._checks import set_value_checks

__all__ = ["losses", "metrics", "plot_model", "set_value_checks"]
