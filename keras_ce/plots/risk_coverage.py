"""How often a classifier is wrong, by how many examples it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from keras_ce.plots._axes import BLUE, GRAY, panels, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def risk_coverage(
    y_true: Any,
    y_pred: Any,
    *,
    from_logits: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Draws the share of wrong answers, when only the surest predictions are answers.

    A point says: of the answers, if that share of the examples is answered, so many are wrong. At
    the right end all are answered. A curve that falls to the left belongs to a classifier that
    knows when it does not know; the dashed one is that of a classifier with as many mistakes, each
    less sure than whatever is right. Equally sure predictions are answered together. The number in
    the title is the mean of the curve over the numbers of examples answered (El-Yaniv and Wiener
    2010; Geifman and El-Yaniv 2017).

    Args:
        y_true: The right classes, ids (examples,).
        y_pred: Probabilities or logits (examples, classes); the largest one of a row says how sure
            it is.
        from_logits: Whether `y_pred` holds logits.
        ax: The axes to draw on; by default those of a new figure.

    Returns:
        The figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If shapes do not fit, or there is no prediction, or a NaN.

    Example:
        >>> y_pred = [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8]]
        >>> figure = keras_ce.plots.risk_coverage([0, 1, 1, 1], y_pred)
        >>> figure.axes[0].get_title()
        '1 of 4 wrong, 0.062 on average over the curve'
    """
    scores = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    if from_logits:
        scores = ops.softmax(scores)
    scores = np.asarray(ops.convert_to_numpy(scores))
    labels = np.asarray(ops.convert_to_numpy(ops.convert_to_tensor(y_true)))
    if scores.ndim != 2 or 0 in scores.shape or labels.shape != scores.shape[:1]:
        raise ValueError(
            "`y_true` must have shape (examples,), and `y_pred` (examples, classes), with at least "
            f"one example. Received: y_true.shape={labels.shape}, y_pred.shape={scores.shape}."
        )
    if np.isnan(scores).any():
        raise ValueError("`y_pred` must hold numbers. Received: NaN.")
    sureness, is_wrong = scores.max(axis=1), scores.argmax(axis=1) != labels
    order = np.argsort(-sureness, kind="stable")
    sureness, is_wrong = sureness[order], is_wrong[order]
    count = len(labels)
    answered = np.arange(1, count + 1)
    # Where the next one is less sure: equally sure ones have no order.
    ends = np.flatnonzero(np.append(np.diff(sureness) != 0, True)) + 1
    risk = np.cumsum(is_wrong)[ends - 1] / ends
    wrong = int(is_wrong.sum())
    best = np.maximum(answered - (count - wrong), 0) / answered
    mean = (risk * np.diff(ends, prepend=0)).sum() / count

    figure, (panel,) = panels(ax, 1, width=4.8, height=3.6)
    panel.plot(ends / count, risk, color=BLUE, label="the surest first")
    panel.plot(answered / count, best, "--", color=GRAY, linewidth=1, label="the right first")
    panel.set(
        xlim=(0, 1),
        xlabel="coverage: share of examples that are answered",
        ylabel="risk: share of answers that are wrong",
        title=f"{wrong} of {count} wrong, {mean:.3f} on average over the curve",
    )
    panel.set_ylim(bottom=0)
    panel.legend(frameon=False, fontsize="small", loc="upper left")
    tidy(panel)
    return figure
