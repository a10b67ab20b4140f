"""The catalogue: one line per loss, its class and its function."""

from keras_ce.losses.label_smoothed_crossentropy import (
    LabelSmoothedCrossentropy,
    label_smoothed_crossentropy,
)
from keras_ce.losses.margin_ranking import MarginRanking, margin_ranking
from keras_ce.losses.weighted_sigmoid_crossentropy import (
    WeightedSigmoidCrossentropy,
    weighted_sigmoid_crossentropy,
)

__all__ = [
    "LabelSmoothedCrossentropy",
    "MarginRanking",
    "WeightedSigmoidCrossentropy",
    "label_smoothed_crossentropy",
    "margin_ranking",
    "weighted_sigmoid_crossentropy",
]
