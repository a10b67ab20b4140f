"""Trains a reader of strings in pictures, such as captchas, and tests it.

    python -m examples.train_string_reader
    python -m examples.train_string_reader --letters --lengths 3-7 --pictures 1000
    python -m examples.train_string_reader --images images.tar --labels labels.csv --test-last 199

Without arguments it reads strings of four handwritten digits, composed from those that
scikit-learn brings; strings to test with are composed of other digits than strings to learn from.
Writes a model, its numbers and its pictures into a new folder.

Reached on the test pictures, seed 0, with the CPU seconds of the training (of both cores together):

    pictures                                        strings  characters  passes  CPU seconds
    3 to 7 drawn letters, 1,000                     92.4 %   97.6 %      33      353
    3 to 7 drawn letters, 300                       79.5 %   93.6 %      96      322
    captchas of 4 digits, 3,279, one of five folds  97.6 %   99.2 %      14      415
"""

import argparse
import shlex
from collections.abc import Sequence

import examples

SOURCES = (
    *("images", "labels", "test_images", "test_labels", "test_last"),
    *("skip_unreadable", "encoding", "delimiter", "letters", "lengths", "pictures"),
)


def main(options: argparse.Namespace) -> None:
    """Trains and evaluates what the command line asks for."""
    from recipes.runs.training_run import TrainingRun
    from recipes.string_reader import StringReader, data, evaluation

    settings = dict(vars(options))
    sources = {name: settings.pop(name) for name in SOURCES}
    output, _ = settings.pop("output"), settings.pop("resume")
    reader = StringReader(**settings)
    drawn = (
        "strings of letters, drawn with the fonts of matplotlib"
        if options.letters
        else "strings of four handwritten digits of scikit-learn"
    )
    source = sources["images"] or drawn
    with TrainingRun("string_reader", output, reader, source, vars(options)) as run:
        training, validation, test = data.read_images(**sources)
        run.create_folder(
            pictures={"training": len(training), "validation": len(validation), "test": len(test)}
        )
        sizes = sorted({len(text) for text in training.texts})
        lengths = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
        print(f"strings: {lengths} characters, {len(training.alphabet)} different ones")
        given = (validation.pixels, validation.texts)
        reader.fit(training.pixels, training.texts, given, checkpoint=run.checkpoint)
        reader.save(run.folder / "model.keras")
        evaluation.write_report(run, training, validation, test)
        print(f"model, numbers and pictures: {run.folder}")
        print(f"try it: python -m examples.read_strings {shlex.quote(str(run.folder))} PICTURE")
        run.draw_diagrams({"model.png": reader.model_})


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; what the numbers may be, `StringReader` says."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.train_string_reader",
        description="Train a reader of strings in pictures, and test it.",
    )
    add = parser.add_argument
    add("--images", metavar="DIR|TAR", help="pictures to learn from, PNG or JPEG")
    labels = "columns file and text; else each name is the text, up to the first underscore"
    add("--labels", metavar="FILE.csv", help=labels)
    add("--test-images", metavar="DIR|TAR", help="pictures to test with")
    add("--test-labels", metavar="FILE.csv", help="like --labels")
    last = "test with the last N of --images; without any of these, with a tenth of them"
    add("--test-last", type=int, metavar="N", help=last)
    add("--encoding", metavar="NAME", help="of the labels, such as gb18030; else found")
    add("--delimiter", metavar="MARK", help="between their fields, such as ';'; else found")
    text = "without --images: draw strings of letters, upper and lower case, not of digits"
    add("--letters", action="store_true", help=text)
    add("--lengths", metavar="N-M", help="of the strings of letters, such as 5; 3-7")
    text = "without --images: how many to learn from; 4000"
    add("--pictures", type=int, metavar="N", help=text)
    text = "name pictures that are unreadable, and go on"
    add("--skip-unreadable", action="store_true", help=text)
    losses = "one softmax for each position, a question for each character, or one softmax for all"
    add("--loss", choices=("grouped", "sigmoid", "softmax"), default="grouped", help=losses)
    add("--label-smoothing", type=float, default=0.1, help="%(default)s")
    text = "passes over the pictures; the fewer pictures, the more"
    add("--epochs", type=int, help=text)
    add("--batch-size", type=int, default=16, help="%(default)s")
    add("--seed", type=int, default=0, help="%(default)s")
    add("--output", metavar="DIR", help="new folder; else runs/string_reader-1")
    unseen = "train without keras_ce.diagnose's look at model, loss and data"
    add("--no-diagnosis", dest="diagnosis", action="store_false", help=unseen)
    return examples.options_of(parser, arguments)


if __name__ == "__main__":
    examples.run(main, parse())
