"""How sure models shall be: numbers that scale their logits, found on validation data."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy
import scipy.optimize
import scipy.special


def best_temperature(logits: numpy.ndarray, labels: Sequence[int]) -> float:
    """The number to divide logits by for the lowest negative log-likelihood.

    Label smoothing and dropout leave a network less sure than it is right. Guo, Pleiss, Sun and
    Weinberger (2017), "On Calibration of Modern Neural Networks", section 4.2.

    Args:
        logits: (examples, classes), of examples that the network did not learn from.
        labels: The right class of each.
    """

    def loss(logarithm: float) -> float:
        log_probability = scipy.special.log_softmax(logits / numpy.exp(logarithm), axis=1)
        return -log_probability[numpy.arange(len(labels)), labels].mean()

    return float(numpy.exp(scipy.optimize.minimize_scalar(loss, bounds=(-3, 3)).x))


def best_factors(several: Sequence[numpy.ndarray], labels: Any) -> list[float]:
    """What to multiply the logits of several models by, so that their sum tells the most.

    The lowest negative log-likelihood of the labels, which is convex in the factors: who is right
    more often, or sure where the others are not, gets the larger share, and the sum is calibrated.
    To the labels one example is added, in equal parts of every class, so that no few examples, all
    of them told right, make models surer than so many can tell. Platt (1999), "Probabilistic
    outputs for support vector machines", section 2.1.

    Args:
        several: For each model its logits (examples, classes), of examples that none of them
            learned from.
        labels: The right class of each, (examples,); where the classes are independent, 1 for each
            that is right and 0 for the others, (examples, classes).

    Returns:
        A factor for each model, from 1/20 to 20.
    """
    logits = numpy.stack(several).astype("float64")
    labels = numpy.asarray(labels)
    if labels.ndim == 1:
        labels = numpy.eye(logits.shape[2])[labels]
        crossentropy, equal = _of_exclusive_classes, 1 / logits.shape[2]
    else:
        crossentropy, equal = _of_independent_classes, 1 / 2
    labels = (len(labels) * labels + equal) / (len(labels) + 1)

    def loss_and_slope(factors: numpy.ndarray) -> tuple[float, numpy.ndarray]:
        loss, surplus = crossentropy(numpy.tensordot(factors, logits, 1), labels)
        return loss / len(labels), (logits * surplus).sum(axis=(1, 2)) / len(labels)

    start = numpy.ones(len(several))
    bounds = [(1 / 20, 20)] * len(several)
    found = scipy.optimize.minimize(loss_and_slope, start, jac=True, bounds=bounds)
    return [float(factor) for factor in found.x]


def _of_exclusive_classes(
    logits: numpy.ndarray, labels: numpy.ndarray
) -> tuple[float, numpy.ndarray]:
    """The softmax cross-entropy of all examples together, and its gradient."""
    log_probability = scipy.special.log_softmax(logits, axis=1)
    return -(labels * log_probability).sum(), numpy.exp(log_probability) - labels


def _of_independent_classes(
    logits: numpy.ndarray, labels: numpy.ndarray
) -> tuple[float, numpy.ndarray]:
    """The sigmoid cross-entropy of all examples and classes together, and its gradient."""
    loss = (numpy.logaddexp(0, logits) - labels * logits).sum()
    return loss, scipy.special.expit(logits) - labels


def divide_logits(model: keras.Model, temperature: float, layers: Sequence[str]) -> None:
    """Divides every logit of a model by a number, for good.

    Args:
        model: The model.
        temperature: The number.
        layers: Names of the layers without activation that give the logits.
    """
    for name in layers:
        layer = model.get_layer(name)
        layer.set_weights([weights / temperature for weights in layer.get_weights()])
