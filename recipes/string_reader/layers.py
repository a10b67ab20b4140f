"""What a string reader does with a picture before and after its convolutions."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_ce")
class PictureContrast(keras.layers.Layer):
    """How far each pixel is from the mean of its picture, in units of the picture's contrast.

    From (batch, height, width, channels) to the same shape; where there are several channels, one
    more says how far the colour is from the mean in whatever direction. The same string in other
    colours, or in a pale print, then looks much the same.
    """

    def call(self, inputs: Any) -> Any:
        """The pictures without their brightness."""
        pixels = ops.cast(inputs, self.compute_dtype) / 255
        away = pixels - ops.mean(pixels, axis=(1, 2), keepdims=True)
        spread = ops.mean(ops.square(away), axis=(1, 2, 3), keepdims=True)
        # An empty picture has no contrast: its noise is not to fill the range.
        away = away / ops.sqrt(spread + 1e-4)
        if inputs.shape[-1] == 1:
            return away
        distance = ops.sqrt(ops.sum(ops.square(away), axis=-1, keepdims=True) + 1e-4)
        return ops.concatenate([away, distance], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The same, with one channel more where there are several."""
        *rest, channels = input_shape
        return (*rest, channels + (channels > 1))


@keras.saving.register_keras_serializable(package="keras_ce")
class CharacterByCharacter(keras.layers.Layer):
    """What stands at each position of a string, from the columns of a picture.

    Each column has a share of a character; added up from the left, the shares say how many
    characters have gone by. A position looks at the columns where the sum says that it is its turn.
    So strings may begin anywhere and be of any length, and what one position learns about a
    character all of them know: nothing but the count tells them apart.

    Takes the features of the columns (batch, columns, features) and the logits of their shares
    (batch, columns, 1). Gives (batch, length, features + 1); the last feature says how far the
    number of characters is above or below this position's.

    Args:
        length: Number of positions.
    """

    def __init__(self, length: int, **options: Any) -> None:
        super().__init__(**options)
        self.length = length

    def build(self, features_shape: Any, shares_shape: Any) -> None:
        """Makes the weight that says how sharply a position looks."""
        self.sharpness = self.add_weight(shape=(), initializer=_SHARPNESS, name="sharpness")

    def call(self, features: Any, shares: Any) -> Any:
        """The features of each position."""
        # With logits of 0, three quarters of the positions share the columns among themselves.
        even = min(0.75 * self.length / features.shape[1], 0.5)
        share = ops.sigmoid(shares[..., 0] + math.log(even / (1 - even)))
        middle = ops.cumsum(share, axis=1) - share / 2
        positions = ops.arange(self.length, dtype=share.dtype) + 0.5
        away = ops.square(middle[:, None, :] - positions[:, None])
        weights = ops.softmax(ops.log(share + 1e-6)[:, None, :] - self.sharpness * away, axis=-1)
        number = ops.sum(share, axis=1, keepdims=True)
        left = ops.tanh(2 * (number - positions))[..., None]
        return ops.concatenate([ops.matmul(weights, features), left], axis=-1)

    def compute_output_shape(self, features_shape: Any, shares_shape: Any) -> tuple[Any, ...]:
        """(batch, length, features + 1)."""
        return (features_shape[0], self.length, features_shape[-1] + 1)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {**super().get_config(), "length": self.length}


_SHARPNESS = keras.initializers.Constant(4.0)
