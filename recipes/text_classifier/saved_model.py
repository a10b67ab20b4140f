"""Files of text classifiers: which of them say how probable each class is."""

from __future__ import annotations

import os
from typing import Any

from recipes.runs import model_files
from recipes.runs.failures import UserError
from recipes.text_classifier.model import TextClassifierModel

EXCLUSIVE, INDEPENDENT = "softmax", "sigmoid"
"""How the logits are to be read: exclusive classes, or several at once."""
_SOFTMAX_LOSSES = {
    "categoricalcrossentropy",
    "categoricalfocalcrossentropy",
    "categoricalgeneralizedcrossentropy",
    "focalcrossentropy",
    "generalizedcrossentropy",
    "labelsmoothedcrossentropy",
    "logitadjustedcrossentropy",
    "poly1crossentropy",
    "sparsecategoricalcrossentropy",
    "symmetriccrossentropy",
}
_SIGMOID_LOSSES = {
    "asymmetricsigmoidcrossentropy",
    "binarycrossentropy",
    "binaryfocalcrossentropy",
    "multilabelsoftmaxcrossentropy",
    "weightedsigmoidcrossentropy",
}


def read_classifier(path: str | os.PathLike[str]) -> TextClassifierModel:
    """The model in a file, read in Keras's safe mode; arguments and errors as those of `load`."""
    advice = "name a file that TextClassifier.save has written"
    model = model_files.read_model(path, advice)
    legend = model.legend if isinstance(model, TextClassifierModel) else {}
    if not all(legend.get(name) for name in ("vocabulary", "class_names", "token_kind")):
        raise UserError(
            f"{os.fspath(path)} holds a Keras model without vocabulary, class names and token "
            f"kind; {advice}"
        )
    loss = model_files.compiled_loss(path) or legend.get("loss", "none that the file names")
    thresholds = legend.get("thresholds")
    kind, of_classes, known = (
        (EXCLUSIVE, "exclusive classes", _SOFTMAX_LOSSES)
        if thresholds is None
        else (INDEPENDENT, "independent classes, which have thresholds", _SIGMOID_LOSSES)
    )
    if loss != kind and loss.lower().replace("_", "") not in known:
        raise UserError(
            f"{os.fspath(path)} was trained with {loss}, and TextClassifier reads logits of "
            f"{of_classes}; {advice}"
        )
    classes = model.output_shape[-1]
    if thresholds is not None and not _are_probabilities(thresholds, classes):
        raise UserError(
            f"{os.fspath(path)} must hold a threshold from 0 to 1 for each of {classes} "
            f"classes. Received: {thresholds!r}; {advice}"
        )
    threshold = legend.get("threshold")
    if threshold is not None and not _are_probabilities([threshold], 1):
        raise UserError(
            f"{os.fspath(path)} must hold a threshold from 0 to 1. Received: {threshold!r}; "
            f"{advice}"
        )
    return model


def _are_probabilities(values: Any, count: int) -> bool:
    """Whether these are so many numbers from 0 to 1."""
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) and 0 <= value <= 1 for value in values)
    )
