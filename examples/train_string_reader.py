"""Trains a reader of strings in pictures, such as captchas, and tests it.

    python -m examples.train_string_reader
    python -m examples.train_string_reader --images images.tar --labels labels.csv --test-last 199

Without arguments it reads strings of four handwritten digits, composed from those that
scikit-learn brings; strings to test with are composed of other digits than strings to learn from.
Writes a model, its numbers and its pictures into a new folder.

Reached on the test pictures, seed 0, on 2 cores:

    pictures                      strings  characters  5 nearest neighbours  seconds
    composed digits, 4,000        95.1 %   98.8 %      69.1 % of strings     137
    captchas of 4 digits, 3,705   98.0 %   99.5 %      24.6 % of strings     275
"""

import argparse
import time
from collections.abc import Sequence

from recipes.runs import before_training, failures, run_folder
from recipes.string_reader import data as image_sources

LOSSES = {
    "grouped": "one softmax for each position",
    "sigmoid": "each character of each position a question of its own",
    "softmax": "one softmax over all positions",
}
# Chosen on validation pictures of captchas, with the distortions: turning pictures into negatives
# and mixing their colours up as well, the network read fewer.
ARCHITECTURE = {"filters": (24, 48, 64, 96), "units": 64, "dropout": 0.3}


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains and evaluates what the command line asks for."""
    options = parse(arguments)
    start = time.perf_counter()
    training, validation, test = image_sources.read_images(options)
    sizes = {"training": len(training), "validation": len(validation), "test": len(test)}
    length = len(test.texts[0])
    alphabet = "".join(sorted(set(training.alphabet) | set(validation.alphabet)))
    folder = run_folder.create_run_folder(options.output, "string_reader")
    print(f"pictures: {sizes}; strings of {length} out of {alphabet}")

    # Not at the top: TensorFlow writes lines of its own when it is imported, and a mistake in the
    # command is to be answered by one line.
    import keras

    from recipes.runs import temperature
    from recipes.string_reader import (
        StringReader,
        baseline as string_baseline,
        build_string_reader,
        evaluation as string_report,
        training as string_training,
    )
    from recipes.text_classifier import evaluation as classification_report

    keras.utils.set_random_seed(options.seed)
    model = build_string_reader(
        training.pixels.shape[1:], length, len(alphabet), alphabet=alphabet, **ARCHITECTURE
    )
    before, cpu_before = time.perf_counter(), time.process_time()
    history = string_training.train(
        model,
        training,
        validation,
        loss=string_training.make_loss(
            options.loss, length, len(alphabet), options.label_smoothing
        ),
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.seed,
        # One softmax over all positions is there to be compared with, mistake and all.
        diagnosis=options.diagnosis and options.loss != "softmax",
    )
    training_seconds = time.perf_counter() - before
    # Of all cores together: what the training takes where the machine does other things too.
    training_cpu_seconds = time.process_time() - cpu_before
    # Smoothing and sigmoids leave the network less sure than it is right.
    divisor = temperature.best_temperature(*string_training.characters(model, validation))
    characters = [f"character_{position}" for position in range(length)]
    temperature.divide_logits(model, divisor, characters)
    # A copy without the optimizer's state: a third of the size, and loading it needs no loss.
    plain = StringReader.from_config(model.get_config())
    plain.set_weights(model.get_weights())
    plain.save(folder / "model.keras")

    logits = string_training.predict_logits(model, test.pixels)
    found = string_training.readings(logits, alphabet)
    labels = string_training.flat_labels(test.texts, alphabet)
    metrics = string_report.score_logits(logits, labels, length)
    metrics["baseline"] = string_baseline.score_parts(training, test)
    metrics["validation"] = {
        name: history[f"val_{name}"][-1] for name in ("character_accuracy", "string_accuracy")
    }
    metrics |= {
        "loss": options.loss,
        "label_smoothing": options.label_smoothing,
        "pictures": sizes,
        "alphabet": alphabet,
        "epochs": options.epochs,
        "seed": options.seed,
        "backend": keras.backend.backend(),
        "training_seconds": round(training_seconds, 1),
        "training_cpu_seconds": round(training_cpu_seconds, 1),
        "seconds": round(time.perf_counter() - start, 1),
    }
    classification_report.write_metrics(folder, metrics)
    string_report.write_predictions(folder, test, found)
    string_report.draw_confusion(folder, test.texts, found.texts, alphabet)
    string_report.draw_samples(folder, test, found)
    string_report.draw_history(folder, history)
    string_report.print_metrics(metrics)
    print(f"model, numbers and pictures: {folder}")
    print(f"try it: python -m examples.read_strings {folder / 'model.keras'} PICTURE")
    run_folder.draw_diagrams(folder, {"model.png": model})


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.train_string_reader",
        description="Train a reader of strings of one length, and test it.",
    )
    image_sources.add_arguments(parser)
    parser.add_argument(
        "--loss",
        choices=LOSSES,
        default="grouped",
        help="; ".join(f"{name}: {meaning}" for name, meaning in LOSSES.items()),
    )
    parser.add_argument("--label-smoothing", type=failures.share, default=0.1, help="%(default)s")
    parser.add_argument("--epochs", type=failures.positive_integer, default=20, help="%(default)s")
    parser.add_argument(
        "--batch-size", type=failures.positive_integer, default=64, help="%(default)s"
    )
    parser.add_argument("--seed", type=failures.non_negative_integer, default=0, help="%(default)s")
    parser.add_argument("--output", metavar="DIR", help="new folder; else runs/string_reader-1")
    before_training.add_option(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    failures.run(main)
