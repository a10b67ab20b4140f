"""Cross-entropy and margin losses for Keras 3."""

import importlib
from typing import TYPE_CHECKING, Any

from keras_ce import information, layers, losses, metrics
from keras_ce._core.backends.passes import set_compilation
from keras_ce._core.checks import InvalidValuesError, set_value_checks, value_checks
from keras_ce.diagrams import plot_model

if TYPE_CHECKING:
    from keras_ce import plots
    from keras_ce.diagnosis import diagnose

__all__ = [
    "InvalidValuesError",
    "diagnose",
    "information",
    "layers",
    "losses",
    "metrics",
    "plot_model",
    "plots",
    "set_compilation",
    "set_value_checks",
    "value_checks",
]


__version__ = "0.1.0"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Imports what few programs need when it is asked for."""
    if name == "diagnose":
        from keras_ce.diagnosis import diagnose

        return diagnose
    if name == "plots":
        return importlib.import_module("keras_ce.plots")
    raise AttributeError(f"module 'keras_ce' has no attribute {name!r}")
