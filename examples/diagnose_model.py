"""Says what is wrong with a saved Keras model, its loss and your data, before a long training.

    python -m examples.diagnose_model model.keras --data data.csv --label-column class
    python -m examples.diagnose_model model.keras --data data.npz --json

Prints a table, the worst first, and ends with status 1 where there is an error: `docs/diagnosis.md`
explains each code.
"""

import argparse
import importlib
import json
import pathlib
import pkgutil
from collections.abc import Sequence
from typing import Any

from recipes.runs import failures, model_files
from recipes.runs.failures import UserError
from recipes.tables import model_data as diagnosis_data


def main(arguments: Sequence[str] | None = None) -> None:
    """Diagnoses what the command line names."""
    options = parse(arguments)
    path = pathlib.Path(options.model)
    model_files.check(path, "`model.save`")
    data = diagnosis_data.read_data(pathlib.Path(options.data), options.label_column or ["label"])

    # Not at the top: see train_text_classifier.
    import keras_ce

    model = load(path)
    loss = None if options.loss is None else make_loss(options.loss, options.from_logits)
    try:
        report = keras_ce.diagnose(model, **data, loss=loss)
    except ValueError as error:
        raise UserError(str(error)) from None
    print(json.dumps(report.to_dict(), indent=2) if options.json else report)
    if report.errors:
        raise UserError(f"{path} is not ready to train: see the errors above")


def load(path: pathlib.Path) -> Any:
    """A saved model with its loss, which may be one of this project.

    Raises:
        UserError: If it cannot be loaded.
    """
    import keras

    import recipes

    # What this project's models are made of is registered when it is imported.
    importlib.import_module("keras_ce.losses")
    for module in pkgutil.iter_modules(recipes.__path__):
        importlib.import_module(f"recipes.{module.name}")
    try:
        return keras.saving.load_model(path)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} cannot be loaded as a Keras model: {reason}") from None


def make_loss(name: str, from_logits: bool) -> Any:
    """A loss of Keras or of `keras_ce` by its name.

    Raises:
        UserError: If there is none of that name, or it has no such option.
    """
    import keras

    import keras_ce.losses

    made = getattr(keras_ce.losses, name, None) or getattr(keras.losses, name, None)
    if made is None or not isinstance(made, type):
        raise UserError(
            f"there is no loss {name!r}; expected the name of a class of keras.losses or "
            "keras_ce.losses, such as SparseCategoricalCrossentropy"
        )
    try:
        return made(from_logits=True) if from_logits else made()
    except TypeError as error:
        raise UserError(f"{name} cannot be made from the command line: {error}") from None


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.diagnose_model",
        description="Say what is wrong with a model, its loss and its data.",
    )
    parser.add_argument("model", metavar="MODEL", help="a .keras file, as model.save writes it")
    parser.add_argument(
        "--data",
        metavar="FILE",
        required=True,
        help="a .csv, .tsv or .jsonl file of numbers, or an .npz with x and y (x_NAME, y_NAME)",
    )
    parser.add_argument(
        "--label-column",
        metavar="NAME",
        action="append",
        help="column of a table that holds labels (label); again for several",
    )
    parser.add_argument("--loss", metavar="NAME", help="such as BinaryCrossentropy; else the saved")
    parser.add_argument("--from-logits", action="store_true", help="for --loss")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    failures.run(main)
