"""How sure a network shall be: one number to divide its logits by, found on validation data."""

from collections.abc import Sequence

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
