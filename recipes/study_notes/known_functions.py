"""Which loss of keras_ce stands for which cross-entropy of TensorFlow and of Keras."""

from typing import NamedTuple


class Equivalent(NamedTuple):
    """A function that the notes use, and ours."""

    name: str
    ours: str
    difference: str


EQUIVALENTS = [
    Equivalent(
        "tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)",
        "weighted_sigmoid_crossentropy(labels, logits, from_logits=True)",
        "Ours is the mean over the last axis, TensorFlow's one value for each entry.",
    ),
    Equivalent(
        "tf.nn.weighted_cross_entropy_with_logits(labels, logits, pos_weight)",
        "weighted_sigmoid_crossentropy(labels, logits, pos_weight, from_logits=True)",
        "Likewise; ours also takes one weight for each class.",
    ),
    Equivalent(
        "tf.nn.softmax_cross_entropy_with_logits(labels, logits)",
        "label_smoothed_crossentropy(labels, logits, 0, from_logits=True)",
        "The same value; TensorFlow's gradient is wrong where a label row does not sum to 1.",
    ),
    Equivalent(
        "tf.nn.sparse_softmax_cross_entropy_with_logits(ids, logits)",
        "label_smoothed_crossentropy(ids, logits, 0, from_logits=True)",
        "The same function takes ids and rows.",
    ),
    Equivalent(
        "keras.losses.BinaryCrossentropy()",
        "WeightedSigmoidCrossentropy()",
        "Keras clips probabilities at 1e-7: no gradient beyond, and a perfect prediction costs.",
    ),
    Equivalent(
        "keras.losses.CategoricalCrossentropy()",
        "LabelSmoothedCrossentropy(0)",
        "Likewise; Keras divides each row by its sum in silence, ours refuses what is no "
        "probability.",
    ),
    Equivalent(
        "keras.losses.SparseCategoricalCrossentropy()",
        "LabelSmoothedCrossentropy(0)",
        "The same class takes ids and rows; ids out of range are an error or NaN, never another "
        "class.",
    ),
]
