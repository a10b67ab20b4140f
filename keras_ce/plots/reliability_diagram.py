"""Whether a classifier is as often right as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from keras_ce.metrics import ExpectedCalibrationError
from keras_ce.plots._axes import BLUE, GRAY, RED, panels, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def reliability_diagram(
    y_true: Any,
    y_pred: Any,
    *,
    num_bins: int = 15,
    from_logits: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Draws how often predictions are right, by how sure they are.

    Bars on the diagonal: of the predictions with a probability of 0.8, 80 % are right. Bars below
    it: the model is surer than it is right. The red hatching is the gap; its mean, weighted with
    the number of predictions, is that of `keras_ce.metrics.ExpectedCalibrationError`.

    Args:
        y_true: The right classes, as that metric takes them.
        y_pred: Probabilities or logits (..., classes), or (..., 1).
        num_bins: Number of bars.
        from_logits: Whether `y_pred` holds logits.
        ax: The axes to draw on; by default those of a new figure.

    Returns:
        The figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If shapes or values do not fit.

    Example:
        >>> figure = keras_ce.plots.reliability_diagram([0, 1], [[0.9, 0.1], [0.3, 0.7]])
        >>> figure.axes[0].get_title()
        'calibration error 0.200, 2 predictions'
    """
    metric = ExpectedCalibrationError(num_bins, from_logits)
    scores = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    if 0 in scores.shape:
        raise ValueError(
            "`y_pred` must hold at least one prediction. Received: "
            f"y_pred.shape={tuple(scores.shape)}."
        )
    metric.update_state(y_true, scores)
    error = float(metric.result())
    if np.isnan(error):
        raise ValueError(
            "`y_true` must hold classes that exist, and `y_pred`, with from_logits=False, "
            f"probabilities from 0 to 1. Received: y_true={y_true!r}, y_pred={y_pred!r}."
        )
    # The bins of the metric itself, so that the picture and its number agree.
    confidences = ops.reshape(ops.max(metric._probabilities(scores), axis=-1), (-1,))
    numbers = np.asarray(ops.convert_to_numpy(metric._bins(confidences)))
    count = np.bincount(numbers, minlength=num_bins)
    total = np.bincount(numbers, np.asarray(ops.convert_to_numpy(confidences)), num_bins)
    gaps = np.asarray(ops.convert_to_numpy(metric.gaps), "float64")
    is_used = count > 0
    confidence = np.divide(total, count, where=is_used, out=np.zeros(num_bins))
    right = np.divide(total + gaps, count, where=is_used, out=np.zeros(num_bins))
    left_edges = np.arange(num_bins) / num_bins

    figure, (panel,) = panels(ax, 1, width=4.2, height=4.0)
    width = 1 / num_bins
    panel.bar(
        left_edges[is_used],
        right[is_used],
        width,
        align="edge",
        color=BLUE,
        edgecolor="white",
        linewidth=0.5,
        label="share that is right",
    )
    panel.bar(
        left_edges[is_used],
        (confidence - right)[is_used],
        width,
        bottom=right[is_used],
        align="edge",
        facecolor="none",
        edgecolor=RED,
        hatch="////",
        linewidth=0.8,
        label="gap to the mean confidence",
    )
    # How many predictions a bar stands for: a bar of three says nothing.
    for edge, number in zip(left_edges[is_used], count[is_used], strict=True):
        panel.text(
            edge + width / 2,
            0.01,
            f"{number:,}",
            rotation="vertical",
            ha="center",
            va="bottom",
            fontsize=6,
            bbox={"boxstyle": "round,pad=0.1", "color": "white", "alpha": 0.7, "linewidth": 0},
        )
    panel.plot([0, 1], [0, 1], "--", color=GRAY, linewidth=1, label="as sure as right")
    panel.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="confidence: probability of the predicted class",
        ylabel="share of predictions that are right",
        title=f"calibration error {error:.3f}, {len(numbers)} predictions",
    )
    panel.legend(frameon=False, fontsize="small", loc="upper left")
    tidy(panel)
    return figure
