"""Layers that compute a loss themselves."""

from keras_ce.layers.contrastive_pairs import ContrastivePairs
from keras_ce.layers.linear_crossentropy import LinearCrossentropy

__all__ = ["ContrastivePairs", "LinearCrossentropy"]
