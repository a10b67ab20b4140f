"""The catalogue: one line per loss, its class and its function."""

from keras_ce.losses.asymmetric_sigmoid_crossentropy import (
    AsymmetricSigmoidCrossentropy,
    asymmetric_sigmoid_crossentropy,
)
from keras_ce.losses.distillation_crossentropy import (
    DistillationCrossentropy,
    distillation_crossentropy,
)
from keras_ce.losses.focal_crossentropy import FocalCrossentropy, focal_crossentropy
from keras_ce.losses.generalized_crossentropy import (
    GeneralizedCrossentropy,
    generalized_crossentropy,
)
from keras_ce.losses.grouped_softmax_crossentropy import (
    GroupedSoftmaxCrossentropy,
    grouped_softmax_crossentropy,
)
from keras_ce.losses.in_batch_crossentropy import InBatchCrossentropy, in_batch_crossentropy
from keras_ce.losses.label_smoothed_crossentropy import (
    LabelSmoothedCrossentropy,
    label_smoothed_crossentropy,
)
from keras_ce.losses.linear_crossentropy import linear_crossentropy
from keras_ce.losses.listwise_crossentropy import ListwiseCrossentropy, listwise_crossentropy
from keras_ce.losses.logit_adjusted_crossentropy import (
    LogitAdjustedCrossentropy,
    logit_adjusted_crossentropy,
)
from keras_ce.losses.margin_ranking import MarginRanking, margin_ranking
from keras_ce.losses.multi_label_softmax_crossentropy import (
    MultiLabelSoftmaxCrossentropy,
    multi_label_softmax_crossentropy,
)
from keras_ce.losses.ordinal_crossentropy import (
    OrdinalCrossentropy,
    ordinal_crossentropy,
    ordinal_probabilities,
)
from keras_ce.losses.poly1_crossentropy import Poly1Crossentropy, poly1_crossentropy
from keras_ce.losses.supervised_contrastive import SupervisedContrastive, supervised_contrastive
from keras_ce.losses.symmetric_crossentropy import SymmetricCrossentropy, symmetric_crossentropy
from keras_ce.losses.triplet_margin import TripletMargin, triplet_margin
from keras_ce.losses.weighted_sigmoid_crossentropy import (
    WeightedSigmoidCrossentropy,
    weighted_sigmoid_crossentropy,
)

__all__ = [
    "AsymmetricSigmoidCrossentropy",
    "DistillationCrossentropy",
    "FocalCrossentropy",
    "GeneralizedCrossentropy",
    "GroupedSoftmaxCrossentropy",
    "InBatchCrossentropy",
    "LabelSmoothedCrossentropy",
    "ListwiseCrossentropy",
    "LogitAdjustedCrossentropy",
    "MarginRanking",
    "MultiLabelSoftmaxCrossentropy",
    "OrdinalCrossentropy",
    "Poly1Crossentropy",
    "SupervisedContrastive",
    "SymmetricCrossentropy",
    "TripletMargin",
    "WeightedSigmoidCrossentropy",
    "asymmetric_sigmoid_crossentropy",
    "distillation_crossentropy",
    "focal_crossentropy",
    "generalized_crossentropy",
    "grouped_softmax_crossentropy",
    "in_batch_crossentropy",
    "label_smoothed_crossentropy",
    "linear_crossentropy",
    "listwise_crossentropy",
    "logit_adjusted_crossentropy",
    "margin_ranking",
    "multi_label_softmax_crossentropy",
    "ordinal_crossentropy",
    "ordinal_probabilities",
    "poly1_crossentropy",
    "supervised_contrastive",
    "symmetric_crossentropy",
    "triplet_margin",
    "weighted_sigmoid_crossentropy",
]
