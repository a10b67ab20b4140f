"""What the tasks do after they have trained: one look at what the model says."""

from typing import Any

import numpy

from recipes.runs.failures import UserError


def require_finite(numbers: Any) -> None:
    """Raises `UserError` where what a trained model says is not a finite number each time."""
    if not numpy.isfinite(numbers).all():
        raise UserError(
            "the training has diverged: what the model says is no finite number; give a smaller "
            "learning_rate (--learning-rate)"
        )
