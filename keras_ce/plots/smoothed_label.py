"""What label smoothing does to the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_ce import information
from keras_ce._core.checks import InvalidValuesError
from keras_ce.losses import LabelSmoothedCrossentropy
from keras_ce.plots._axes import BLUE, ORANGE, panels, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def smoothed_label(
    label: Sequence[float],
    label_smoothing: float = 0.1,
    *,
    prior: Sequence[float] | None = None,
    class_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws a label row before and after smoothing, each with the lowest loss that it allows.

    No prediction has a lower cross-entropy than the entropy of its target. So a loss with
    smoothing does not fall to 0, and its size says nothing beside that of a loss without.

    Args:
        label: The probability of each class: `[0, 1, 0]`, or a soft label.
        label_smoothing: As in `LabelSmoothedCrossentropy`.
        prior: Likewise; by default every class gets the same share.
        class_names: Names of the classes; by default their ids.
        ax: The axes to draw on; by default those of a new figure.

    Returns:
        The figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an argument is out of its range, or the label is no distribution.

    Example:
        >>> figure = keras_ce.plots.smoothed_label([0, 1, 0], 0.1)
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['label, lowest loss 0.000 nats', 'smoothed by 0.1, lowest loss 0.291 nats']
    """
    loss = LabelSmoothedCrossentropy(label_smoothing, prior=prior)  # checks both
    row = np.asarray(label, "float64")
    names = [str(index) for index in range(len(row))] if class_names is None else list(class_names)
    share = np.ones(len(row)) if loss.prior is None else np.asarray(loss.prior)
    share = share / share.sum()
    if not len(row) == len(names) == len(share):
        raise ValueError(
            "`label`, `prior` and `class_names` must have an entry for each class. Received: "
            f"{len(row)}, {len(share)} and {len(names)} entries."
        )
    try:
        information.entropy(row)
    except InvalidValuesError as error:
        at = error.position
        raise InvalidValuesError("label", error.value, error.expected, at, error.fix) from None
    smoothed = (1 - label_smoothing) * row + label_smoothing * share
    figure, (panel,) = panels(ax, 1)
    for target, name, colour, shift in (
        (row, "label", BLUE, -0.2),
        (smoothed, f"smoothed by {label_smoothing:g}", ORANGE, 0.2),
    ):
        lowest = float(information.entropy(target))
        bars = panel.bar(
            np.arange(len(row)) + shift,
            target,
            0.4,
            color=colour,
            label=f"{name}, lowest loss {lowest:.3f} nats",
        )
        if len(row) <= 10:
            panel.bar_label(bars, fmt="{:.3g}", fontsize="x-small", padding=1)
    panel.set(
        xticks=range(len(row)),
        xlabel="class",
        ylabel="probability in the target",
        ylim=(0, 1.3),
        yticks=np.linspace(0, 1, 6),
    )
    panel.set_xticklabels(names)
    panel.legend(frameon=False, fontsize="small", loc="upper center")
    tidy(panel)
    panel.grid(visible=False, axis="x")
    return figure
