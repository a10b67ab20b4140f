"""All mistakes and all healthy set-ups: each module adds its own where it is imported."""

from set_ups import (
    healthy_examples,  # noqa: F401
    healthy_losses,  # noqa: F401
    mistakes_in_activations,  # noqa: F401
    mistakes_in_compile,  # noqa: F401
    mistakes_in_labels,  # noqa: F401
    mistakes_in_numbers,  # noqa: F401
    near_misses,  # noqa: F401
)
from set_ups.healthy import HEALTHY
from set_ups.mistakes import MISTAKES

__all__ = ["HEALTHY", "MISTAKES"]
