"""Every number of the study notes, computed with the functions of keras_ce."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy
from keras import ops

from keras_ce.information import cross_entropy, entropy, self_information
from keras_ce.losses import (
    LabelSmoothedCrossentropy,
    WeightedSigmoidCrossentropy,
    grouped_softmax_crossentropy,
    label_smoothed_crossentropy,
    margin_ranking,
    weighted_sigmoid_crossentropy,
)
from recipes.study_notes import notes
from recipes.study_notes.gradient_step import gradient

Inputs = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Answer:
    """How a number of the notes is computed here, and what it teaches."""

    call: str
    """The function of keras_ce, as a reader would write it."""
    compute: Callable[[Inputs], Any]
    lesson: str = ""
    reason: str = ""
    """Why the notes print, or derive, something else; empty where they do not."""


def _floats(values: Any) -> numpy.ndarray:
    return numpy.array(values, "float32")


def _softmax(logits: Any) -> Any:
    return ops.softmax(ops.convert_to_tensor(logits, dtype="float32"), axis=-1)


def _of_logits(inputs: Inputs) -> Any:
    labels = inputs["labels"] if "labels" in inputs else inputs["label"]
    return label_smoothed_crossentropy(
        numpy.array(labels), _floats(inputs["logits"]), 0, from_logits=True
    )


def _sigmoid_entries(inputs: Inputs, **options: Any) -> Any:
    """One entry per row: the mean over the last axis then changes nothing."""
    return weighted_sigmoid_crossentropy(
        _floats(inputs["labels"])[:, None],
        _floats(inputs["logits"])[:, None],
        from_logits=True,
        **options,
    )


def _softmax_gradient(inputs: Inputs) -> Any:
    loss = LabelSmoothedCrossentropy(0, from_logits=True, reduction="sum")
    return gradient(loss, _floats(inputs["labels"]), _floats(inputs["logits"]))


def _sigmoid_gradient(inputs: Inputs) -> Any:
    loss = WeightedSigmoidCrossentropy(from_logits=True, reduction="sum")
    labels, logits = (_floats(inputs[name])[:, None] for name in ("labels", "logits"))
    return gradient(loss, labels, logits)[:, 0]


ANSWERS = {
    "categorical cross-entropy of one softmax prediction (cat, dog, horse)": Answer(
        "cross_entropy(label, p)",
        lambda i: cross_entropy(i["label"], i["probabilities"]),
        "Only the probability of the right class counts: 0.7 costs -log 0.7.",
    ),
    "label-smoothed cross-entropy: (1-e) CE(y,p) + e CE(1/n,p), e = 0.1": Answer(
        "label_smoothed_crossentropy(ids, z, 0.1, from_logits=True)",
        lambda i: label_smoothed_crossentropy(
            i["labels"], _floats(i["logits"]), i["smoothing"], from_logits=True
        ),
        "Smoothing makes the sure and right row dearer (0.022 becomes 0.339): being too sure has a "
        "price.",
    ),
    "margin ranking: max(0, margin + cos(q,wrong) - cos(q,right)), margin = 0.1": Answer(
        "margin_ranking(0, [right, wrong], 0.1)",
        lambda i: margin_ranking(
            [0] * len(i["right"]), numpy.stack([i["right"], i["wrong"]], axis=-1), i["margin"]
        ),
        "A pair costs nothing once the right answer leads by the margin.",
    ),
    "softmax of the logits": Answer(
        "keras.ops.softmax(z)",
        lambda i: _softmax(i["logits"]),
        "Logits become probabilities; the order stays.",
    ),
    "softmax applied twice (the mistake)": Answer(
        "keras.ops.softmax(keras.ops.softmax(z))",
        lambda i: _softmax(_softmax(i["logits"])),
        "A second softmax flattens: with three classes, nothing is surer than 0.576.",
    ),
    "softmax cross-entropy from logits, one-hot labels": Answer(
        "label_smoothed_crossentropy(y, z, 0, from_logits=True)",
        _of_logits,
        "The loss takes the logits as they are and needs no softmax before it.",
    ),
    "cross-entropy when softmaxed values are passed as logits (the mistake)": Answer(
        "label_smoothed_crossentropy(y, softmax(z), 0, from_logits=True)",
        lambda i: label_smoothed_crossentropy(
            _floats(i["labels"]), _softmax(i["logits"]), 0, from_logits=True
        ),
        "The mistake trains, badly: with three classes the loss never falls below 0.551. "
        "keras_ce.diagnose finds it.",
    ),
    "softmax cross-entropy, soft labels": Answer(
        "label_smoothed_crossentropy(q, z, 0, from_logits=True)",
        _of_logits,
        "For a soft label the floor is the label's own entropy, not 0.",
    ),
    "sparse softmax cross-entropy": Answer(
        "label_smoothed_crossentropy(ids, z, 0, from_logits=True)",
        _of_logits,
        "Class ids give what one-hot rows give.",
    ),
    "sum over samples": Answer(
        "LabelSmoothedCrossentropy(0, from_logits=True, reduction='sum')(ids, z)",
        lambda i: LabelSmoothedCrossentropy(0, from_logits=True, reduction="sum")(
            i["labels"], _floats(i["logits"])
        ),
    ),
    "self-information in nats": Answer(
        "self_information(p)",
        lambda i: self_information(_floats(i["probabilities"])),
        "The rarer, the more there is to learn from it.",
    ),
    "entropy in nats": Answer(
        "entropy(p)",
        lambda i: entropy(_floats(i["probabilities"])),
        "What a draw tells on average: the mean of the self-information.",
        "the notes add products of rounded terms, 0.7 x 0.36 + 0.2 x 1.61 + 0.1 x 2.3 = 0.804",
    ),
    "categorical cross-entropy of one softmax prediction (cat, dog, pig)": Answer(
        "cross_entropy(label, p)",
        lambda i: cross_entropy(i["label"], i["probabilities"]),
        "The notes stop at -log 0.6.",
    ),
    "multi-label (sigmoid) cross-entropy, summed over labels": Answer(
        "3 * weighted_sigmoid_crossentropy(y, p)",
        lambda i: (
            len(i["label"])
            * weighted_sigmoid_crossentropy(_floats(i["label"]), _floats(i["probabilities"]))
        ),
        "Every label is a question of its own, and their costs add up.",
        "a parenthesis is misplaced in the notes; meant is y log p + (1 - y) log(1 - p)",
    ),
    "weighted sigmoid cross-entropy from logits: (1-z)x + l(log(1+exp(-|x|)) + max(-x,0)), "
    "l = 1+(q-1)z": Answer(
        "weighted_sigmoid_crossentropy(y, z, pos_weight=3, from_logits=True)",
        lambda i: _sigmoid_entries(i, pos_weight=i["pos_weight"]),
        "A missed yes costs three times as much, a missed no what it did.",
    ),
    "binary cross-entropy of probability 1 for label 1 (Keras clips at 1e-7)": Answer(
        "weighted_sigmoid_crossentropy([1], [1.0])",
        lambda i: weighted_sigmoid_crossentropy(_floats(i["label"]), _floats(i["probability"])),
        "A certain and right prediction costs nothing.",
        "Keras clips at 1 - 1e-7, in float32 1 - 1.19e-7, and a perfect prediction costs that",
    ),
    "categorical cross-entropy after normalising predictions, labels [1,2]": Answer(
        "label_smoothed_crossentropy([1, 2], p / sum(p), 0)",
        lambda i: label_smoothed_crossentropy(
            _floats(i["label"]), _floats(i["predictions"]) / sum(i["predictions"]), 0
        ),
        "Keras divides [1, 2] by its sum in silence; here 2 is no probability and is refused.",
    ),
    "softmax cross-entropy from logits, labels [1,2]": Answer(
        "label_smoothed_crossentropy([1, 2], [1, 2], 0, from_logits=True)",
        _of_logits,
        "A row that sums to 3 counts as three labels.",
    ),
    "sparse softmax cross-entropy from logits": Answer(
        "label_smoothed_crossentropy(1, z, 0, from_logits=True)", _of_logits
    ),
    "sparse categorical cross-entropy from probabilities": Answer(
        "label_smoothed_crossentropy(1, p, 0)",
        lambda i: label_smoothed_crossentropy(i["label"], _floats(i["probabilities"]), 0),
    ),
    "gradient of softmax cross-entropy w.r.t. the logits is p - c for one-hot c": Answer(
        "one step of gradient descent on LabelSmoothedCrossentropy(0, from_logits=True)",
        _softmax_gradient,
        "The gradient is p - c: the wronger, the stronger.",
        "the notes derive it from the diagonal of the softmax's Jacobian alone; its whole is "
        "dp_i/dz_j = p_i (delta_ij - p_j), and for labels of any sum the gradient is p sum(c) - c",
    ),
    "gradient of sigmoid cross-entropy w.r.t. the logit is sigmoid(x) - c": Answer(
        "one step of gradient descent on WeightedSigmoidCrossentropy(from_logits=True)",
        _sigmoid_gradient,
        "p - c again: the slope of the sigmoid, which stops squared error, cancels.",
    ),
    "grouped softmax: a flat vector of two groups of three classes, labels one-hot in each group; "
    "the sum over the groups": Answer(
        "grouped_softmax_crossentropy(y, z, [3, 3], from_logits=True)",
        lambda i: grouped_softmax_crossentropy(
            _floats(i["labels"]), _floats(i["logits"]), i["group_sizes"], from_logits=True
        ),
        "One softmax inside each group: the loss that the notes looked for in vain.",
    ),
    "sigmoid cross-entropy of the same flat vector, mean over the 6 units": Answer(
        "weighted_sigmoid_crossentropy(y, z, from_logits=True)",
        lambda i: weighted_sigmoid_crossentropy(
            _floats(i["labels"]), _floats(i["logits"]), from_logits=True
        ),
        "What the notes settled for: it does not know that each position has exactly one digit.",
    ),
}


class Comparison(NamedTuple):
    """A computation of the notes, and ours."""

    what: str
    answer: Answer
    numbers: list[tuple[float | None, float, str]]
    """What the notes print, what is computed here, and whether they agree (`notes.agreement`)."""


def compare(computation: notes.Computation) -> Comparison:
    """Computes what the notes compute."""
    answer = ANSWERS[computation.what]
    computed = numpy.ravel(ops.convert_to_numpy(answer.compute(computation.inputs)))
    printed = computation.printed
    printed = numpy.ravel([None] * len(computed) if printed is None else printed)
    numbers = [
        (number, float(value), notes.agreement(number, float(value)))
        for number, value in zip(printed.tolist(), computed, strict=True)
    ]
    return Comparison(computation.what, answer, numbers)
