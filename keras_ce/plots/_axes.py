"""Where a figure is drawn: on the axes that are given, or on a new figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by colour-blind readers, and in print (Okabe and Ito 2008).
BLUE, ORANGE, GREEN, RED, GRAY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#7f7f7f"


def panels(
    ax: Axes | Sequence[Axes] | None, count: int, width: float = 4.2, height: float = 3.2
) -> tuple[Figure, list[Axes]]:
    """The axes to draw on, side by side, and their figure.

    Args:
        ax: Axes given by the user: one, or a sequence; `None` for a new figure.
        count: How many are needed.
        width: Of each panel of a new figure, in inches.
        height: Likewise.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the number of axes is not `count`.
    """
    try:
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "keras_ce.plots draws with matplotlib, which is not installed: pip install matplotlib"
        ) from error
    if ax is None:
        # Not pyplot: it keeps every figure until it is closed, and wants a screen on some machines.
        figure = Figure(figsize=(width * count, height), layout="constrained")
        return figure, list(figure.subplots(1, count, squeeze=False)[0])
    given = [ax] if isinstance(ax, Axes) else list(ax)
    if len(given) != count or not all(isinstance(each, Axes) for each in given):
        raise ValueError(
            f"`ax` must be {'one Axes' if count == 1 else f'a sequence of {count} Axes'} of "
            f"matplotlib. Received: ax={ax!r}."
        )
    root = given[0].get_figure(root=True)
    if root is None:
        raise ValueError("`ax` belongs to no figure; take one of `figure.subplots()`.")
    return root, given


def count_along_x(ax: Axes) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def tidy(ax: Axes) -> None:
    """The look that all figures share."""
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
