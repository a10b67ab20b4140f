"""Layers that end a model for a loss of the package, or compute a loss themselves."""

from keras_ce.layers.angular_margin_crossentropy import AngularMarginCrossentropy
from keras_ce.layers.contrastive_pairs import ContrastivePairs
from keras_ce.layers.linear_crossentropy import LinearCrossentropy
from keras_ce.layers.ordinal_logits import OrdinalLogits

__all__ = [
    "AngularMarginCrossentropy",
    "ContrastivePairs",
    "LinearCrossentropy",
    "OrdinalLogits",
]
