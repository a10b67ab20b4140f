"""Why classes are learned with cross-entropy: its gradient beside that of the squared error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from keras_ce.losses import weighted_sigmoid_crossentropy
from keras_ce.plots._axes import BLUE, ORANGE, panels, tidy
from keras_ce.plots._curves import values_and_slopes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def squared_error_and_crossentropy(
    *,
    logits: tuple[float, float] = (-10.0, 10.0),
    points: int = 201,
    ax: Sequence[Axes] | None = None,
) -> Figure:
    """Draws squared error and cross-entropy after a sigmoid, and their gradients, for a true yes.

    At the left the network is sure of the wrong answer. There cross-entropy pulls hardest, and
    squared error has stopped: its gradient has the sigmoid's own slope as a factor.

    Args:
        logits: Smallest and largest logit.
        points: How many values to compute.
        ax: Two axes, for the loss and for the gradient; by default those of a new figure.

    Returns:
        The figure. Squared error has no unit; it is drawn on the axis of the nats.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:
        >>> figure = keras_ce.plots.squared_error_and_crossentropy()
        >>> len(figure.axes)
        2
    """
    along = np.linspace(*logits, points)
    curves = {
        "cross-entropy": lambda scores: weighted_sigmoid_crossentropy(
            ops.ones_like(scores), scores, from_logits=True
        ),
        "squared error": lambda scores: ops.square(1 - ops.sigmoid(scores))[..., 0],
    }
    figure, (left, right) = panels(ax, 2)
    for (name, function), colour, style in zip(
        curves.items(), (BLUE, ORANGE), ("-", "--"), strict=True
    ):
        values, slopes = values_and_slopes(function, [0.0], 0, along)
        left.plot(along, values, style, color=colour, label=name)
        right.plot(along, slopes, style, color=colour, label=name)
    left.set(xlabel="logit of the right answer", ylabel="loss (cross-entropy: nats)")
    right.set(xlabel="logit of the right answer", ylabel="gradient (per unit of the logit)")
    left.legend(frameon=False, fontsize="small")
    right.annotate(
        "surely wrong,\nlearns nothing",
        (along[0] + 0.08 * np.ptp(along), 0),
        xytext=(0.04, 0.6),
        textcoords="axes fraction",
        fontsize="small",
        color=ORANGE,
        arrowprops={"arrowstyle": "->", "color": ORANGE},
    )
    for panel in (left, right):
        tidy(panel)
    return figure
