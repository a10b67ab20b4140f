"""What the networks for text share: pooling over time."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from recipes._arguments import require_choice

POOLING_MODES = ("sum", "mean", "max")


@keras.saving.register_keras_serializable(package="keras_ce")
class MaskedPooling1D(layers.Layer):
    """The sum, mean or maximum over time of the positions that the mask lets through.

    `keras.layers.GlobalMaxPooling1D` ignores masks, and `GlobalAveragePooling1D` divides by zero
    where a row has no valid position. Here such a row gives zeros, and padding changes nothing.

    Args:
        mode: `"sum"`, `"mean"` or `"max"`.

    Shapes:
        inputs: (batch, time, features).
        mask: (batch, time), true where a position counts.
        Result: (batch, features).
    """

    def __init__(self, mode: str, **options: Any) -> None:
        """See the class."""
        super().__init__(**options)
        require_choice("mode", mode, POOLING_MODES)
        self.mode = mode
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any) -> Any:
        """Pools `inputs` over time."""
        is_valid = ops.expand_dims(mask, -1)
        if self.mode == "max":
            # -30,000 is below every activation and still a float16.
            largest = ops.max(ops.where(is_valid, inputs, ops.full_like(inputs, -3e4)), axis=1)
            return ops.where(ops.any(is_valid, axis=1), largest, ops.zeros_like(largest))
        total = ops.sum(ops.where(is_valid, inputs, ops.zeros_like(inputs)), axis=1)
        if self.mode == "sum":
            return total
        return total / ops.maximum(ops.sum(ops.cast(is_valid, inputs.dtype), axis=1), 1.0)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """Time is gone, and so is the mask."""
        return None

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {**super().get_config(), "mode": self.mode}
