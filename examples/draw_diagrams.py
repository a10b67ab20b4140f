"""Draws the diagram of every recipe, as PNG and SVG.

    python -m examples.draw_diagrams
    python -m examples.draw_diagrams --output diagrams

Needs no `dot` program: the wheels of pygraphviz carry Graphviz. Takes ten seconds.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import examples

# What a builder has no default for.
REQUIRED_ARGUMENTS = {"string_reader": {"image_shape": (42, 152, 3)}}


def main(options: argparse.Namespace) -> None:
    """Draws the diagrams that the command line asks for."""
    import keras_ce
    from recipes.runs import failures, run_folder

    folder = run_folder.create_run_folder(options.output, "diagrams")
    for name, model in models_of_recipes():
        for extension in ("png", "svg"):
            path = folder / f"{name}.{extension}"
            try:
                keras_ce.plot_model(
                    model,
                    path,
                    show_shapes=True,
                    show_layer_names=True,
                    expand_nested=True,
                    hide_masks=True,
                    show_parameters=True,
                    dpi=96,
                )
            except (ImportError, OSError) as error:
                raise failures.UserError(f"cannot draw {path}: {error}") from None
            print(path)


def models_of_recipes() -> Iterator[tuple[str, Any]]:
    """Builds every recipe as its defaults have it.

    Yields:
        A name for the diagram, and the model: one for each recipe, or several where a builder
        returns a named tuple of models.
    """
    import recipes

    for recipe in recipes.__all__:
        build = getattr(getattr(recipes, recipe), f"build_{recipe}")
        built = build(**REQUIRED_ARGUMENTS.get(recipe, {}))
        if isinstance(built, tuple):
            for part, model in built._asdict().items():
                yield f"{recipe}_{part}", model
        else:
            yield recipe, built


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Draw the diagram of every recipe.")
    parser.add_argument("--output", metavar="DIR", help="new folder; else runs/diagrams-1")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    examples.run(main, parse())
