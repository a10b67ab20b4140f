"""Draws the diagram of every recipe, as PNG and SVG.

    python -m examples.draw_diagrams
    python -m examples.draw_diagrams --output diagrams

Needs no `dot` program: the wheels of pygraphviz carry Graphviz. Takes ten seconds.
"""

import argparse
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator, Sequence
from typing import Any

from recipes.runs import failures, run_folder

# What a builder has no default for.
REQUIRED_ARGUMENTS = {"string_reader": {"image_shape": (42, 152, 3)}}


def models_of_recipes() -> Iterator[tuple[str, Any]]:
    """Builds every recipe as its defaults have it.

    Yields:
        A name for the diagram, and the model: one for each recipe, or several where a builder
        returns a named tuple of models.
    """
    import recipes

    for room in pkgutil.iter_modules(recipes.__path__):
        name = f"recipes.{room.name}.model"
        if not room.ispkg or importlib.util.find_spec(name) is None:
            continue
        module = importlib.import_module(name)
        for name, build in inspect.getmembers(module, inspect.isfunction):
            if not name.startswith("build_") or build.__module__ != module.__name__:
                continue
            recipe = name.removeprefix("build_")
            built = build(**REQUIRED_ARGUMENTS.get(recipe, {}))
            if isinstance(built, tuple):
                for part, model in built._asdict().items():
                    yield f"{recipe}_{part}", model
            else:
                yield recipe, built


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws the diagrams that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.draw_diagrams",
        description="Draw the diagram of every recipe, as PNG and SVG.",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="new or empty folder for the diagrams (a new numbered one: runs/diagrams-1, ...)",
    )
    options = parser.parse_args(arguments)
    folder = run_folder.create_run_folder(options.output, "diagrams")
    # Keras and what imports it are not imported at the top: TensorFlow then writes lines of its
    # own, and a mistake in the command is to be answered by one line.
    import keras_ce

    for name, model in models_of_recipes():
        for extension in ("png", "svg"):
            path = folder / f"{name}.{extension}"
            try:
                keras_ce.plot_model(
                    model, path, show_shapes=True, show_layer_names=True, expand_nested=True, dpi=96
                )
            except (ImportError, OSError) as error:
                raise failures.UserError(f"cannot draw {path}: {error}") from None
            print(path)


if __name__ == "__main__":
    failures.run(main)
