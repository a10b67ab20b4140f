"""A loss and its gradient against a logit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_ce.plots._axes import BLUE, GRAY, ORANGE, panels, tidy
from keras_ce.plots._curves import (
    Activation,
    is_in_nats,
    labels_and_scores,
    of_logits,
    values_along,
    values_and_slopes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def loss_and_gradient(
    loss: Any,
    y_true: Any,
    y_pred: Any = None,
    *,
    entry: int | Sequence[int] = 0,
    logits: tuple[float, float] = (-25.0, 10.0),
    points: int = 281,
    activation: Activation | None = None,
    compare_with: Any = None,
    names: Sequence[str] = (),
    unit: str | None = None,
    ax: Sequence[Axes] | None = None,
) -> Figure:
    """Draws a loss, and its gradient beside it, while one logit changes.

    A loss that expects probabilities gets them from `activation`, and the gradient is that with
    respect to the logit all the same. So `compare_with=keras.losses.BinaryCrossentropy()` shows
    where Keras's clipped loss stops learning: the gray area, in which its gradient is exactly 0
    and that of `loss` is not. (On TensorFlow in float32, Keras finds the logits behind a softmax or
    sigmoid and avoids that; drawn is what it makes of the probabilities, there as everywhere else.)

    Args:
        loss: Any loss of `keras_ce.losses`, or another `keras.losses.Loss`.
        y_true: The label of one position, without a batch axis: `[1, 0]`, `[1]` for a sigmoid
            loss, relevance for `MarginRanking`; for `InBatchCrossentropy` the ids of a batch. A
            class id, such as `0`, needs `y_pred`.
        y_pred: The logits or scores of that position; by default zeros of the shape of `y_true`.
            For `InBatchCrossentropy` a matrix.
        entry: Index of the logit that changes, two numbers for a matrix.
        logits: Its smallest and its largest value.
        points: How many values to compute.
        activation: What makes probabilities of logits for a loss with `from_logits=False`; by
            default the sigmoid where there is one logit, the softmax elsewhere.
        compare_with: Another loss, drawn beside the first.
        names: Of the curves, for the legend; by default the classes of the losses.
        unit: Of the loss; "" for one without. By default nats for cross-entropies and their kin,
            and none for others, such as `MarginRanking`.
        ax: Two axes, for the loss and for the gradient; by default those of a new figure.

    Returns:
        The figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an argument does not fit.

    Example:
        >>> ours = keras_ce.losses.WeightedSigmoidCrossentropy(from_logits=True)
        >>> figure = keras_ce.plots.loss_and_gradient(
        ...     ours, [1.0], compare_with=keras.losses.BinaryCrossentropy()
        ... )
        >>> [panel.get_ylabel() for panel in figure.axes]
        ['loss (nats)', 'gradient (nats per unit of the logit)']
    """
    along = values_along("logits", logits, points)
    labels, scores = labels_and_scores(y_true, y_pred)
    if unit is None:
        unit = "nats" if is_in_nats(loss) else ""
    drawn = [loss] if compare_with is None else [loss, compare_with]
    if names and len(names) != len(drawn):
        raise ValueError(
            f"`names` must hold a name for each of the {len(drawn)} curves. Received: "
            f"names={names!r}."
        )
    curves = []
    for name, each in zip(names or map(_label, drawn), drawn, strict=True):
        function = of_logits(each, labels, scores.ndim, activation)
        curves.append((name, *values_and_slopes(function, scores, entry, along)))

    figure, (left, right) = panels(ax, 2)
    for (name, values, slopes), colour, style in zip(
        curves, (BLUE, ORANGE), ("-", "--"), strict=False
    ):
        left.plot(along, values, style, color=colour, label=name)
        right.plot(along, slopes, style, color=colour, label=name)
    if compare_with is not None:
        _, _, ours = curves[0]
        _, _, others = curves[1]
        is_dead = (others == 0) & (ours != 0)
        if is_dead.any():
            for panel in (left, right):
                panel.fill_between(
                    along,
                    0,
                    1,
                    where=is_dead,
                    transform=panel.get_xaxis_transform(),
                    color=GRAY,
                    alpha=0.2,
                    linewidth=0,
                    label="its gradient is exactly 0",
                )
    left.set(xlabel="logit", ylabel=f"loss ({unit})" if unit else "loss")
    right.set(
        xlabel="logit", ylabel=f"gradient ({f'{unit} ' if unit else ''}per unit of the logit)"
    )
    left.legend(frameon=False, fontsize="small")
    for panel in (left, right):
        tidy(panel)
    return figure


def _label(loss: Any) -> str:
    """The class, and whose it is."""
    owner = "keras_ce" if type(loss).__module__.startswith("keras_ce") else "keras"
    return f"{owner}: {type(loss).__name__}"
