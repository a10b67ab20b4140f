"""Cross-entropy and margin losses for Keras 3."""

from keras_ce import information, losses, metrics
from keras_ce.diagrams import plot_model
from keras_ce.losses._checks import set_value_checks

__all__ = ["information", "losses", "metrics", "plot_model", "set_value_checks"]
