"""Cross-entropy and margin losses for Keras 3."""

import importlib
from typing import TYPE_CHECKING, Any

from keras_ce import information, layers, losses, metrics
from keras_ce.diagrams import plot_model
from keras_ce.losses._checks import set_value_checks

if TYPE_CHECKING:
    from keras_ce import plots
    from keras_ce.diagnosis import diagnose

__all__ = [
    "diagnose",
    "information",
    "layers",
    "losses",
    "metrics",
    "plot_model",
    "plots",
    "set_value_checks",
]


def __getattr__(name: str) -> Any:
    """Imports what few programs need when it is asked for."""
    if name == "diagnose":
        from keras_ce.diagnosis import diagnose

        return diagnose
    if name == "plots":
        return importlib.import_module("keras_ce.plots")
    raise AttributeError(f"module 'keras_ce' has no attribute {name!r}")
