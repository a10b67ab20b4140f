"""Diagrams of models, drawn on machines with and without a Graphviz installation."""

from keras_ce.diagrams._plot_model import plot_model

__all__ = ["plot_model"]
