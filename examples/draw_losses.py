"""Draws every loss and its gradient, as PNG.

    python -m examples.draw_losses
    python -m examples.draw_losses --output pictures

One number runs from left to right: the logit of the right class, one entry of the scores, or one of
an embedding. The losses that rank, or that compare embeddings, have a second picture, in which two
numbers run and arrows point downhill. Takes a minute.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import examples

RANKED = {"names": ("score of the right one", "score of a wrong one")}
EMBEDDINGS = [[0.0, 0.0], [1.0, 0.3], [-0.5, 0.8], [0.2, -1.0]]
MOVED = {"points": 17, "entries": ((0, 0), (0, 1)), "names": ("embedding, x", "embedding, y")}
OF_ROWS = {"y_pred": EMBEDDINGS, "entry": (0, 0), "logits": (-3.0, 3.0), "points": 61}


def pictures() -> dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any] | None]]:
    """By class name: the loss, a label, the arguments of its curves and of its surface, if any."""
    from keras_ce import losses

    logits: dict[str, Any] = {"logits": (-8.0, 8.0), "points": 161}
    two = [1.0, 0.0]
    sides = [1.0, 0.0, 0.0, 1.0]
    in_batch = {"y_pred": [[0.0, 0.5], [0.2, 0.9]], "entry": (0, 0), **logits, "points": 81}
    of = {
        losses.LabelSmoothedCrossentropy(0.1, from_logits=True): (two, logits, None),
        losses.GroupedSoftmaxCrossentropy([2, 2], from_logits=True): (sides, logits, None),
        losses.LogitAdjustedCrossentropy([0.1, 0.9]): (two, logits, None),
        losses.FocalCrossentropy(from_logits=True): (two, logits, None),
        losses.Poly1Crossentropy(from_logits=True): (two, logits, None),
        losses.GeneralizedCrossentropy(from_logits=True): (two, logits, None),
        losses.SymmetricCrossentropy(from_logits=True): (two, logits, None),
        losses.InBatchCrossentropy(1.0): ([0, 1], in_batch, None),
        losses.DistillationCrossentropy(): ([1.5, 0.0], logits, None),
        losses.ListwiseCrossentropy(): (two, logits, RANKED),
        losses.SupervisedContrastive(1.0): ([0, 0, 1, 1], OF_ROWS, {"y_pred": EMBEDDINGS, **MOVED}),
        losses.TripletMargin(1.0): ([0, 0, 1, 1], OF_ROWS, {"y_pred": EMBEDDINGS, **MOVED}),
        losses.WeightedSigmoidCrossentropy(3.0, from_logits=True): ([1.0], logits, None),
        losses.OrdinalCrossentropy(): (1, {"y_pred": [0.5, -0.5], **logits}, None),
        losses.AsymmetricSigmoidCrossentropy(from_logits=True): ([0.0], logits, None),
        losses.MultiLabelSoftmaxCrossentropy(): (two, logits, None),
        losses.MarginRanking(0.5): (two, {"logits": (-2.0, 2.0), "points": 161}, RANKED),
    }
    return {type(loss).__name__: (loss, *others) for loss, others in of.items()}


def main(options: argparse.Namespace) -> None:
    """Draws the pictures that the command line asks for."""
    from keras_ce import plots
    from recipes.runs import failures, run_folder

    folder = run_folder.create_run_folder(options.output, "losses")
    for name, (loss, y_true, curves, surface) in pictures().items():
        figures = {name: plots.loss_and_gradient(loss, y_true, **curves)}
        if surface is not None:
            figures[f"{name}-surface"] = figure = plots.loss_surface(loss, y_true, **surface)
            for row, (x, y) in zip(y_true[1:], surface.get("y_pred", [])[1:], strict=False):
                figure.axes[0].plot(x, y, "o", color="black")
                figure.axes[0].annotate(f" id {row}", (x, y))
        for file, figure in figures.items():
            path = folder / f"{file}.png"
            try:
                figure.savefig(path, dpi=80)
            except OSError as error:
                raise failures.UserError(f"cannot write {path}: {error}") from None
            print(path)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.draw_losses",
        description="Draw every loss and its gradient, as PNG.",
    )
    parser.add_argument("--output", metavar="DIR", help="new folder; else runs/losses-1")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    examples.run(main, parse())
