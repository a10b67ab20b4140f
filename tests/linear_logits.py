"""The reference of output layers, and a fixture under which a few classes are many pieces."""

import math

import numpy as np
import pytest

from keras_ce._core import linear
from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Compilation


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of six columns, which overlap where that is not enough, and tiles of three rows."""
    monkeypatch.setattr(linear, "NARROWEST_PIECE", 6)
    monkeypatch.setattr(linear, "WIDTH_FOR_ANY_BATCH", 6)
    monkeypatch.setattr(linear, "ROWS_WORTH_LEAVING_OUT", 3)
    monkeypatch.setattr(linear, "ELEMENTS_OF_A_SEARCH", 1)
    monkeypatch.setattr(linear, "FEWEST_ROWS_OF_A_TILE", 1)
    monkeypatch.setattr(backend, "ELEMENTS_OF_LOGITS_AT_ONCE", 1)
    monkeypatch.setattr(Compilation, "ELEMENTS_OF_A_TILE", 3 * 23)
    monkeypatch.setattr(Compilation, "MOST_ELEMENTS_OF_A_TILE", 1)
    linear._passes.cache_clear()
    linear._best.cache_clear()
    yield
    linear._passes.cache_clear()
    linear._best.cache_clear()


def reference(
    features,
    kernel,
    bias,
    ids,
    *,
    label_smoothing=0.0,
    prior=None,
    class_weight=None,
    ignore_class=None,
    logit_soft_cap=None,
    z_loss=0.0,
):
    """Losses (N,) and the gradient (N, C) of each loss by the logits before the cap."""
    features, kernel, bias = (np.asarray(item, "float64") for item in (features, kernel, bias))
    number, classes = len(ids), kernel.shape[1]
    losses, slopes = np.zeros(number), np.zeros((number, classes))
    shared = np.full(classes, 1 / classes) if prior is None else np.array(prior) / np.sum(prior)
    weights = np.ones(classes)
    if isinstance(class_weight, dict):
        for class_id, weight in class_weight.items():
            weights[class_id] = weight
    elif class_weight is not None:
        weights = np.array(class_weight)
    for n, label in enumerate(ids):
        if label == ignore_class:
            continue
        t, of_cap = np.zeros(classes), np.ones(classes)
        for c in range(classes):
            t[c] = sum(features[n, d] * kernel[d, c] for d in range(kernel.shape[0])) + bias[c]
            if logit_soft_cap is not None:
                t[c] = logit_soft_cap * math.tanh(t[c] / logit_soft_cap)
                of_cap[c] = 1 - (t[c] / logit_soft_cap) ** 2
        log_total = t.max() + math.log(sum(math.exp(each - t.max()) for each in t))
        masses = [
            weights[c] * ((1 - label_smoothing) * (c == label) + label_smoothing * shared[c])
            for c in range(classes)
        ]
        losses[n] = sum(q * (log_total - t[c]) for c, q in enumerate(masses) if q)
        losses[n] += z_loss * log_total**2
        for c in range(classes):
            p = math.exp(t[c] - log_total)
            slopes[n, c] = p * (sum(masses) + 2 * z_loss * log_total) - masses[c]
        slopes[n] *= of_cap
    return losses, slopes
