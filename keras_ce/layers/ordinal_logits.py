"""An output layer for ordered classes: one score, and thresholds that stay in order."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ce._core import checks

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_ce")
class OrdinalLogits(keras.layers.Layer):
    """The last layer of a model for ordered classes: logits of "the class is above k".

    Every class is an interval of one line. The layer computes one score, features @ kernel, and
    compares it with C - 1 thresholds b:

        logit_k = features @ kernel - b_k,    b_0 <= b_1 <= ... <= b_(C-2)

    The first threshold is a weight; each of the others is the one before it plus the softplus of a
    weight, so that the thresholds stay in order in training and no class gets a negative
    probability. Their initial values give each class the same probability at a score of 0. Train it
    with `keras_ce.losses.OrdinalCrossentropy`, and take `keras_ce.losses.ordinal_probabilities` for
    the probabilities of the classes.

    Args:
        num_classes: the number of classes C, at least 2.
        **options: those of every Keras layer.

    Call arguments:
        features: numbers (batch, ..., D).

    Returns:
        Logits (batch, ..., C - 1), descending along the last axis. A Keras mask is passed on.

    Raises:
        ValueError: `num_classes` is not an integer >= 2; the last dimension of the features is
            unknown.

    Example:
        >>> layer = OrdinalLogits(3)
        >>> layer.build((1, 1))
        >>> layer.set_weights([np.array([[1.0]]), np.array([-1.0, 0.5413])])
        >>> keras.ops.convert_to_numpy(layer(np.array([[0.25]]))).round(2).tolist()
        [[1.25, 0.25]]

    Reference:
        Cao, Mirjalili & Raschka 2020, "Rank consistent ordinal regression for neural networks with
        application to age estimation", section 3; https://arxiv.org/abs/1901.07884. There the
        thresholds are not constrained, and are in order after training.
    """

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(**options)
        self.num_classes = checks.num_classes("num_classes", num_classes)
        self.supports_masking = True

    def build(self, features_shape: Any) -> None:
        """Make `kernel` (D, 1) and `steps` (C - 1,), from which the thresholds come."""
        width = features_shape[-1] if len(features_shape) else None
        if width is None:
            raise ValueError(
                "`features` must have a known last dimension. Received: "
                f"features.shape={tuple(features_shape)}."
            )
        self.kernel = self.add_weight(name="kernel", shape=(width, 1))
        # In their own dtype: added up in half precision, small steps would be lost.
        self.steps = self.add_weight(
            name="steps", shape=(self.num_classes - 1,), initializer=_even_steps, autocast=False
        )

    @property
    def thresholds(self) -> Tensor:
        """The thresholds (C - 1,), in ascending order."""
        steps = ops.convert_to_tensor(self.steps)
        steps = ops.concatenate([steps[:1], ops.softplus(steps[1:])])
        if self.variable_dtype == "float64":  # On torch, ops.cumsum rounds it to float32.
            number = self.num_classes - 1
            return (steps[None] @ ops.triu(ops.ones((number, number), dtype="float64")))[0]
        return ops.cumsum(steps)

    def call(self, features: Tensor) -> Tensor:
        """See the class."""
        # Not ops.matmul, which rounds to float32 on torch.
        score = features @ ops.cast(self.kernel, features.dtype)
        return score - ops.cast(self.thresholds, score.dtype)

    def compute_output_shape(self, features_shape: Any) -> tuple[Any, ...]:
        """The shape of the logits."""
        return (*features_shape[:-1], self.num_classes - 1)

    def get_config(self) -> dict[str, Any]:
        """Every argument of the constructor, by name."""
        return {**super().get_config(), "num_classes": self.num_classes}


def _even_steps(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    """Steps to thresholds at which a score of 0 gives each class the same probability."""
    below = np.arange(1, shape[0] + 1) / (shape[0] + 1)
    thresholds = np.log(below) - np.log1p(-below)
    steps = [*thresholds[:1], *np.log(np.expm1(np.diff(thresholds)))]
    return ops.convert_to_tensor(np.array(steps), dtype=dtype)
