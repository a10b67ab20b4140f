"""The pictures to the study notes on cross-entropy."""

import pathlib
from collections.abc import Callable, Iterator

import keras
import numpy
from keras import ops
from matplotlib.figure import Figure

from keras_ce import information, plots
from keras_ce.losses import LabelSmoothedCrossentropy, WeightedSigmoidCrossentropy
from recipes.runs.whole_files import whole_file


def draw(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    """Draws all pictures.

    Yields:
        The path of each, and what it says.
    """
    pictures: list[tuple[str, Callable[[], Figure], str]] = [
        ("information", draw_information, "the rarer, the more there is to learn from it"),
        ("second_softmax", draw_second_softmax, "a second softmax: nearly no gradient left"),
        (
            "squared_error",
            plots.squared_error_and_crossentropy,
            "the wronger, the faster cross-entropy learns; squared error stops",
        ),
        ("label_smoothing", draw_label_smoothing, "smoothing: the lowest loss is not 0"),
        ("clipping", draw_clipping, "Keras's clipped probabilities: no gradient where it is wrong"),
    ]
    for name, picture, says in pictures:
        path = folder / f"{name}.png"
        with whole_file(path) as file:
            picture().savefig(file, dpi=150)
        yield path, says


def draw_information() -> Figure:
    """Self-information of an outcome, and entropy of a yes-or-no question, against probability."""
    probability = numpy.linspace(0.0, 1.0, 201)[1:-1]
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(probability, _array(information.self_information(probability)))
    left.set(xlabel="probability of what happened", ylabel="self-information (nats)")
    questions = numpy.stack([probability, 1 - probability], axis=-1)
    right.plot(probability, _array(information.entropy(questions)))
    right.axhline(numpy.log(2), color="gray", linestyle=":", linewidth=1)
    right.annotate("log 2 = 0.693", (0.02, numpy.log(2)), va="bottom", fontsize="small")
    right.set(xlabel="probability of yes", ylabel="entropy (nats)", ylim=(0, 0.8))
    for panel in (left, right):
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def draw_second_softmax() -> Figure:
    """Cross-entropy after one softmax and after two, against the logit of the right class."""
    return plots.loss_and_gradient(
        LabelSmoothedCrossentropy(0, from_logits=True),
        [1.0, 0.0, 0.0],
        compare_with=LabelSmoothedCrossentropy(0),
        activation=lambda logits: ops.softmax(ops.softmax(logits)),
        names=["one softmax", "two softmaxes"],
        logits=(-10.0, 10.0),
    )


def draw_label_smoothing() -> Figure:
    """A target before and after smoothing, and the loss of each."""
    figure = Figure(figsize=(12.6, 3.4), layout="constrained")
    first, *others = figure.subplots(1, 3)
    label = [1.0, 0.0, 0.0]
    plots.smoothed_label(label, 0.1, class_names=["cat", "dog", "pig"], ax=first)
    return plots.loss_and_gradient(
        LabelSmoothedCrossentropy(0, from_logits=True),
        label,
        compare_with=LabelSmoothedCrossentropy(0.1, from_logits=True),
        names=["label", "smoothed by 0.1"],
        logits=(-4.0, 10.0),
        ax=others,
    )


def draw_clipping() -> Figure:
    """Where Keras's loss of probabilities has no gradient."""
    return plots.loss_and_gradient(
        WeightedSigmoidCrossentropy(from_logits=True),
        [1.0],
        compare_with=keras.losses.BinaryCrossentropy(),
    )


def _array(tensor: object) -> numpy.ndarray:
    return numpy.asarray(ops.convert_to_numpy(tensor))
