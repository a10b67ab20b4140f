"""A loss and its gradient along one logit, as the backend computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

Tensor = Any


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
    # Only here: it brings much with it that nobody needs who draws no gradient.
    from keras_ce.diagnosis._gradient import with_gradient

    with_slopes = with_gradient(function)
    index = (entry,) if isinstance(entry, int) else tuple(entry)
    everywhere: Any = (slice(None), *index)
    rows = np.repeat(np.asarray(scores, "float32")[None], len(logits), axis=0)
    rows[everywhere] = logits
    # Scores of one position are a row of a batch. A matrix, as in-batch losses take it, is a batch
    # by itself.
    if rows.ndim == 2:
        values, slopes = _computed(with_slopes, rows)
        return values, slopes[everywhere]
    pairs = [_computed(with_slopes, matrix) for matrix in rows]
    return np.array([value.sum() for value, _ in pairs]), np.array([g[index] for _, g in pairs])


def _computed(with_slopes: Any, scores: Any) -> tuple[Any, Any]:
    values, slopes = with_slopes(ops.convert_to_tensor(scores))
    if slopes is None:
        slopes = np.zeros_like(scores)
    values, slopes = (
        np.asarray(ops.convert_to_numpy(ops.cast(item, "float32")), "float64")
        for item in (values, slopes)
    )
    return values, slopes
