"""Layers that compute a loss themselves."""

from keras_ce.layers.angular_margin_crossentropy import AngularMarginCrossentropy
from keras_ce.layers.contrastive_pairs import ContrastivePairs
from keras_ce.layers.linear_crossentropy import LinearCrossentropy

__all__ = ["AngularMarginCrossentropy", "ContrastivePairs", "LinearCrossentropy"]
