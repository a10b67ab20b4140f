"""Says what is wrong with a saved Keras model, its loss and your data, before a long training.

    python -m examples.diagnose_model model.keras --data data.csv --label-column class
    python -m examples.diagnose_model model.keras --data data.npz --json
    python -m examples.diagnose_model model.keras --data pictures

Prints a table, the worst first, and ends with status 1 where there is an error: `docs/diagnosis.md`
explains each code.
"""

import argparse
import json
import pathlib
from collections.abc import Sequence

import examples


def main(options: argparse.Namespace) -> None:
    """Diagnoses what the command line names."""
    import keras_ce
    from recipes.runs import model_files
    from recipes.runs.failures import UserError
    from recipes.tables import model_data

    model = model_files.read_model(options.model, "name a file that model.save has written", True)
    shape = getattr(model, "input_shape", None)
    channels = shape[-1] if isinstance(shape, tuple) and len(shape) == 4 else None
    labels = options.label_column or ["label"]
    data = model_data.read_data(pathlib.Path(options.data), labels, channels)
    loss = options.loss and model_data.make_loss(options.loss, options.from_logits)
    try:
        report = keras_ce.diagnose(model, **data, loss=loss)
    except ValueError as error:
        raise UserError(str(error)) from None
    print(json.dumps(report.to_dict(), indent=2) if options.json else report)
    if report.errors:
        raise UserError(f"{options.model} is not ready to train: see the errors above")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Say what is wrong with a model and its data.")
    parser.add_argument("model", metavar="MODEL", help="a .keras file, as model.save writes it")
    parser.add_argument(
        "--data",
        metavar="PATH",
        required=True,
        help="a .csv, .tsv or .jsonl file of numbers, an .npz with x and y (x_NAME, y_NAME), or a "
        "folder of pictures with a folder for each class",
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
    examples.run(main, parse())
