"""A loss over two of the numbers that it is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ce.plots._axes import ORANGE, panels, tidy
from keras_ce.plots._curves import (
    Activation,
    is_in_nats,
    labels_and_scores,
    of_logits,
    values_along,
    values_and_gradients,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ARROWS = 9
"""In each direction."""


def loss_surface(
    loss: Any,
    y_true: Any,
    y_pred: Any = None,
    *,
    entries: Sequence[int | Sequence[int]] = (0, 1),
    limits: tuple[float, float] = (-2.0, 2.0),
    points: int = 33,
    activation: Activation | None = None,
    names: Sequence[str] = ("first score", "second score"),
    unit: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws a loss as a surface over two scores, with arrows down the gradient.

    That is what a margin looks like: `MarginRanking(0.5)` over the scores of the right and of a
    wrong candidate is flat where the right one leads by 0.5, and a slope elsewhere. For a loss that
    compares the rows of a batch, the two numbers of one embedding can run through the plane while
    the others stay.

    Args:
        loss: Any loss of `keras_ce.losses`, or another `keras.losses.Loss`.
        y_true: The label of one position, without a batch axis: `[1, 0]`, relevance for
            `MarginRanking`; for losses that compare rows the ids of a batch. A class id, such as
            `0`, needs `y_pred`.
        y_pred: The scores of that position, by default zeros of the shape of `y_true`; for losses
            that compare rows a matrix.
        entries: Indexes of the two scores that change, each two numbers for a matrix:
            `((0, 0), (0, 1))` is the first row's embedding.
        limits: The smallest and the largest value of both.
        points: How many values of each to compute.
        activation: As `loss_and_gradient` takes it.
        names: What the two scores are, for the axes.
        unit: Of the loss; "" for one without. By default as `loss_and_gradient` has it.
        ax: The axes to draw on; by default those of a new figure.

    Returns:
        The figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an argument does not fit.

    Example:
        >>> figure = keras_ce.plots.loss_surface(
        ...     keras_ce.losses.MarginRanking(0.5), [1, 0], names=("right answer", "wrong answer")
        ... )
        >>> [panel.get_ylabel() for panel in figure.axes]
        ['wrong answer', 'loss']
    """
    along = values_along("limits", limits, points)
    labels, scores = labels_and_scores(y_true, y_pred)
    places: list[Any] = [(each,) if isinstance(each, int) else tuple(each) for each in entries]
    if len(set(places)) != 2 or len(places) != 2 or {*map(len, places)} != {scores.ndim}:
        raise ValueError(
            f"`entries` must be the indexes of two scores, {scores.ndim} numbers each. Received: "
            f"entries={entries!r}."
        )
    first, second = np.meshgrid(along, along)
    rows = np.repeat(scores[None], points * points, axis=0)
    for place, grid in zip(places, (first, second), strict=True):
        rows[(slice(None), *place)] = grid.ravel()
    function = of_logits(loss, labels, scores.ndim, activation)
    values, gradients = values_and_gradients(function, rows)
    downhill = [-gradients[(slice(None), *place)].reshape(first.shape) for place in places]

    figure, (panel,) = panels(ax, 1)
    surface = panel.contourf(first, second, values.reshape(first.shape), levels=12, cmap="Blues")
    some = np.linspace(0, points - 1, min(points, _ARROWS)).round().astype(int)
    arrows = (each[np.ix_(some, some)] for each in (first, second, *downhill))
    panel.quiver(*arrows, color=ORANGE, pivot="mid")
    panel.set(xlabel=names[0], ylabel=names[1], aspect="equal")
    if unit is None:
        unit = "nats" if is_in_nats(loss) else ""
    figure.colorbar(surface, ax=panel, label=f"loss ({unit})" if unit else "loss")
    tidy(panel)
    return figure
