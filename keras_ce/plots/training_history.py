"""The course of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_ce.plots._axes import BLUE, ORANGE, count_along_x, panels, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def training_history(
    history: Any,
    metrics: Sequence[str] | None = None,
    *,
    initial_epoch: int | None = None,
    validation_freq: int | Sequence[int] | None = None,
    unit: str = "nats",
    ax: Axes | Sequence[Axes] | None = None,
) -> Figure:
    """Draws loss and metrics of every epoch, on training and on validation data.

    Args:
        history: What `fit` returns, or its `history`: a list for each name.
        metrics: The names to draw, a panel each; by default `loss` and all others of the
            training data, without the learning rate.
        initial_epoch: That of `fit`, where `history` is lists: what `fit` returns knows it.
        validation_freq: That of `fit`, where there are fewer values of the validation data than
            epochs. By default the only number that fits.
        unit: Of the loss; "" for one without, such as `MarginRanking`.
        ax: The axes to draw on, as many as there are metrics; by default those of a new figure.

    Returns:
        The figure: `figure.savefig(path)` writes it, a notebook shows it.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is nothing to draw, a name is not in the history, or nobody can tell
            the epochs of the validation data.

    Example:
        >>> history = {"loss": [1.2, 0.8, 0.6], "val_loss": [1.3, 1.0, 0.9]}
        >>> figure = keras_ce.plots.training_history(history)
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['training', 'validation']
    """
    values: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    if metrics is None:
        others = sorted(name for name in values if not name.startswith("val_"))
        metrics = sorted(set(others) - {"learning_rate"}, key=lambda name: name != "loss")
    missing = [name for name in metrics if not len(values.get(name, ()))]
    if missing or not metrics:
        raise ValueError(
            f"`history` must hold a value per epoch for each metric. Received: "
            f"metrics={list(metrics)!r}, of which it lacks {missing!r}; it has "
            f"{sorted(values)!r}."
        )
    figure, axes = panels(ax, len(metrics))
    for panel, name in zip(axes, metrics, strict=True):
        for curve, label, colour in (
            (name, "training", BLUE),
            (f"val_{name}", "validation", ORANGE),
        ):
            if curve in values:
                epochs = _epochs(history, values[name], initial_epoch)
                if curve != name:
                    epochs = _validated(epochs, len(values[curve]), validation_freq)
                panel.plot(epochs, values[curve], marker=".", color=colour, label=label)
        words = name.replace("_", " ")
        panel.set(xlabel="epoch", ylabel=f"{words} ({unit})" if name == "loss" and unit else words)
        count_along_x(panel)
        # Above the panel, where it covers no curve.
        panel.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
        tidy(panel)
    return figure


def _epochs(history: Any, values: Sequence[float], initial_epoch: int | None) -> list[int]:
    """The number of each epoch, counted from 1 as `fit` prints them."""
    numbers = getattr(history, "epoch", None)
    if initial_epoch is None and numbers is not None and len(numbers) == len(values):
        return [number + 1 for number in numbers]
    first = 1 + (initial_epoch or 0)
    return list(range(first, first + len(values)))


def _validated(
    epochs: list[int], count: int, validation_freq: int | Sequence[int] | None
) -> list[int]:
    """Those epochs after which `fit` has looked at the validation data."""
    if validation_freq is None and count == len(epochs):
        return epochs
    given = range(1, max(epochs) + 1) if validation_freq is None else [validation_freq]
    choices = [
        [
            epoch
            for epoch in epochs
            if (epoch % each == 0 if isinstance(each, int) else epoch in each)
        ]
        for each in given
    ]
    fitting = {tuple(choice) for choice in choices if len(choice) == count}
    if len(fitting) != 1:
        raise ValueError(
            "`history` must say after which epochs the validation data was looked at. Received: "
            f"validation_freq={validation_freq!r}, and {count} value{'s' if count > 1 else ''} "
            f"for {len(epochs)} epochs. Give the `validation_freq` of `fit`."
        )
    return list(fitting.pop())
