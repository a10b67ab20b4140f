"""Cross-entropy and margin losses for Keras 3."""

from keras_ce import metrics
from keras_ce.diagrams import plot_model

__all__ = ["metrics", "plot_model"]
