"""Cross-entropy and margin losses for Keras 3."""

import importlib
from typing import TYPE_CHECKING, Any

try:
    importlib.import_module("keras")
except ModuleNotFoundError as error:
    # Read from what is missing: Keras cannot be asked before it is imported.
    _backend = str(error.name).partition(".")[0]
    if _backend not in ("jax", "tensorflow", "torch"):
        raise
    raise ImportError(
        f'the backend of Keras, {_backend}, is not installed: pip install "keras-ce[{_backend}]", '
        "or install another (jax, tensorflow, torch) and set KERAS_BACKEND to its name"
    ) from None

from keras_ce import information, layers, losses, metrics
from keras_ce._core.backends.passes import set_compilation
from keras_ce._core.checks import InvalidValuesError, set_value_checks, value_checks
from keras_ce.diagrams import plot_model

if TYPE_CHECKING:
    from keras_ce import plots
    from keras_ce.diagnosis import Watch, diagnose, find_label_issues, row_losses

__all__ = [
    "InvalidValuesError",
    "Watch",
    "diagnose",
    "find_label_issues",
    "information",
    "layers",
    "losses",
    "metrics",
    "plot_model",
    "plots",
    "row_losses",
    "set_compilation",
    "set_value_checks",
    "value_checks",
]


__version__ = "0.1.0"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Imports what few programs need when it is asked for."""
    if name in ("Watch", "diagnose", "find_label_issues", "row_losses"):
        return getattr(importlib.import_module("keras_ce.diagnosis"), name)
    if name == "plots":
        return importlib.import_module("keras_ce.plots")
    raise AttributeError(f"module 'keras_ce' has no attribute {name!r}")
