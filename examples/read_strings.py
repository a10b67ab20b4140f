"""Reads the strings in pictures with a model that `examples.train_string_reader` has left.

    python -m examples.read_strings runs/string_reader-1/model.keras captcha.png
    python -m examples.read_strings runs/string_reader-1/model.keras pictures/*.jpg

Prints, for each picture, its text, the probability of the whole text, and the file.
"""

import argparse
import pathlib
from collections.abc import Sequence

from recipes.images import image_files
from recipes.runs import failures, model_files
from recipes.runs.failures import UserError

TRAINING = "examples.train_string_reader"


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the pictures that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.read_strings",
        description="Print text and probability of each picture.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model.keras of train_string_reader")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="PNG or JPEG files")
    options = parser.parse_args(arguments)
    path = pathlib.Path(options.model)
    model_files.check(path, TRAINING)
    images = [read(pathlib.Path(file)) for file in options.images]

    # Not at the top: see train_string_reader.
    from recipes.string_reader import StringReader, training as string_training

    model = model_files.load(path, StringReader, "alphabet", TRAINING)
    height, width, channels = model.input_shape[1:]
    for file, image in zip(options.images, images, strict=True):
        if image.size != (width, height):
            raise UserError(
                f"{file} is {image.width} x {image.height} pixels; the model reads pictures of "
                f"{width} x {height}: bring it to that size"
            )
    pixels = image_files.to_array(images, channels)
    found = string_training.readings(string_training.predict_logits(model, pixels), model.alphabet)
    for file, text, probability in zip(options.images, *found, strict=True):
        print(f"{text}  {probability:.3f}  {file}")


def read(path: pathlib.Path) -> image_files.Image.Image:
    """One picture.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        return image_files.decode(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a picture") from None
    except UserError as error:
        raise UserError(f"{path} {error}") from None


if __name__ == "__main__":
    failures.run(main)
