"""A loss and its gradient at many logits, as the backend computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

Tensor = Any
Activation = Callable[[Any], Any]


def values_along(name: str, limits: tuple[float, float], points: int) -> Any:
    """So many values from the smallest to the largest.

    Raises:
        ValueError: If there are none; `name` is that of the argument `limits`.
    """
    low, high = limits
    if not low < high:
        raise ValueError(f"`{name}` must be (smallest, largest). Received: {name}={limits!r}.")
    if points < 2:
        raise ValueError(f"`points` must be an integer of at least 2. Received: points={points!r}.")
    return np.linspace(low, high, points)


def labels_and_scores(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """The label of one position, and its scores; by default zeros.

    Raises:
        ValueError: If the label is a class id and nothing says of how many classes.
    """
    labels = np.asarray(y_true)
    if y_pred is None and labels.ndim == 0:
        raise ValueError(
            "`y_true` must be the label of one position: [1, 0], or [1] for a sigmoid loss. "
            f"Received: y_true={y_true!r}. If it is a class id, give the logits too: `y_pred`."
        )
    return labels, np.zeros(labels.shape) if y_pred is None else np.asarray(y_pred, "float64")


def values_and_slopes(
    function: Callable[[Tensor], Tensor],
    scores: Any,
    entry: int | Sequence[int],
    logits: Any,
) -> tuple[Any, Any]:
    """Values and slopes while one entry of the scores runs through many values.

    Args:
        function: From scores with a batch axis (1, ...) to losses.
        scores: The scores of one position, or of the positions that belong together.
        entry: Index of the entry that changes.
        logits: (points,), its values.

    Returns:
        The sum of the losses, and its derivative by the entry, both (points,), float64.
    """
    index = (entry,) if isinstance(entry, int) else tuple(entry)
    everywhere: Any = (slice(None), *index)
    rows = np.repeat(np.asarray(scores, "float32")[None], len(logits), axis=0)
    rows[everywhere] = logits
    values, gradients = values_and_gradients(function, rows)
    return values, gradients[everywhere]


def values_and_gradients(function: Callable[[Tensor], Tensor], rows: Any) -> tuple[Any, Any]:
    """Values and gradients at many scores.

    Args:
        function: From scores with a batch axis to losses.
        rows: The scores of one position at a time (points, C), which are the rows of a batch; or
            (points, B, C), each a batch by itself, as losses that compare rows take it.

    Returns:
        The sum of the losses of each point (points,), and its gradient, of the shape of `rows`;
        float64.
    """
    # Only here: it brings much with it that nobody needs who draws no gradient.
    from keras_ce.diagnosis._gradient import with_gradient

    with_slopes = with_gradient(function)
    rows = rows.astype("float32")
    if rows.ndim == 2:
        return _computed(with_slopes, rows)
    pairs = [_computed(with_slopes, matrix) for matrix in rows]
    return np.array([value.sum() for value, _ in pairs]), np.array([each for _, each in pairs])


def _computed(with_slopes: Any, scores: Any) -> tuple[Any, Any]:
    values, slopes = with_slopes(ops.convert_to_tensor(scores))
    if slopes is None:
        slopes = np.zeros_like(scores)
    values, slopes = (
        np.asarray(ops.convert_to_numpy(ops.cast(item, "float32")), "float64")
        for item in (values, slopes)
    )
    return values, slopes


def is_in_nats(loss: Any) -> bool:
    """Whether the loss is made of logarithms of probabilities."""
    return type(loss).__name__.endswith(("Crossentropy", "Contrastive", "KLDivergence"))


def of_logits(
    loss: Any, labels: Any, rank: int, activation: Activation | None
) -> Callable[[Any], Any]:
    """One loss per position, of logits, whatever the loss takes."""

    def function(scores: Any) -> Any:
        # Each row of a batch has the same label; a matrix brings its own.
        rows = np.repeat(labels[None], scores.shape[0], axis=0) if rank == 1 else labels
        predictions = scores
        if getattr(loss, "from_logits", True) is False:
            chosen = activation or (ops.sigmoid if scores.shape[-1] == 1 else ops.softmax)
            # Times 1: on TensorFlow, Keras would find the logits behind a bare softmax or sigmoid.
            predictions = 1 * chosen(scores)
        return loss.call(ops.convert_to_tensor(rows), predictions)

    return function
