"""Where the pictures of a training come from: what the command line names, or scikit-learn."""

import argparse

from recipes.images import digit_strings
from recipes.runs import failures
from recipes.runs.failures import UserError
from recipes.string_reader.labelled_images import LabelledImages, read_labelled_images

TEST_SHARE = 0.1
VALIDATION_SHARE = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which pictures to learn from and to test with."""
    parser.add_argument("--images", metavar="DIR|TAR", help="pictures to learn from, PNG or JPEG")
    parser.add_argument(
        "--labels",
        metavar="FILE.csv",
        help="columns file and text; else each name is the text, up to the first underscore",
    )
    parser.add_argument("--test-images", metavar="DIR|TAR", help="pictures to test with")
    parser.add_argument("--test-labels", metavar="FILE.csv", help="like --labels")
    parser.add_argument(
        "--test-last",
        type=failures.positive_integer,
        metavar="N",
        help="test with the last N of --images; without any of these, with a tenth of them",
    )
    parser.add_argument(
        "--skip-unreadable", action="store_true", help="name unreadable pictures and go on"
    )


def read_images(
    options: argparse.Namespace,
) -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """The pictures to learn from, to validate and to test with, checked against each other."""
    if options.images is None:
        needing = [
            name
            for name in ("labels", "test_images", "test_labels", "test_last")
            if getattr(options, name) is not None
        ]
        if needing:
            raise UserError(f"--{needing[0].replace('_', '-')} needs --images: give both, or none")
        return digit_strings.digit_strings()
    if options.test_labels and not options.test_images:
        raise UserError("--test-labels needs --test-images: give both, or none")
    if options.test_last is not None and options.test_images:
        raise UserError("--test-last and --test-images exclude each other: give one of them")
    skip = options.skip_unreadable
    known = read_labelled_images(options.images, options.labels, skip_unreadable=skip)
    if options.test_images:
        test = read_labelled_images(
            options.test_images,
            options.test_labels,
            skip_unreadable=skip,
            channels=known.pixels.shape[-1],
        )
    elif options.test_last is not None:
        known, test = _without_last(known, options.test_last)
    else:
        known, test = known.split(TEST_SHARE, "test")
    training, validation = known.split(VALIDATION_SHARE, "validation")
    if not len(test) or not len(validation) or not len(training):
        raise UserError(
            f"{options.images} has too few pictures to set some aside; give at least "
            f"{round(2 / VALIDATION_SHARE)}"
        )
    _require_alike(known, test, options.test_images or options.images)
    return training, validation, test


def _without_last(images: LabelledImages, count: int) -> tuple[LabelledImages, LabelledImages]:
    first = len(images) - count
    if first < 2:
        raise UserError(
            f"--test-last must leave pictures to learn from; expected at most {len(images) - 2}, "
            f"received {count}"
        )
    return images.take(range(first)), images.take(range(first, len(images)))


def _require_alike(known: LabelledImages, test: LabelledImages, source: str) -> None:
    """Checks that a model of the one can read the other."""
    sizes = [f"{images.pixels.shape[2]} x {images.pixels.shape[1]}" for images in (known, test)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"{source}: the test pictures are {sizes[1]} pixels, those to learn from {sizes[0]}; "
            "bring them to one size"
        )
    lengths = [len(images.texts[0]) for images in (known, test)]
    if lengths[0] != lengths[1]:
        raise UserError(
            f"{source}: the test texts have {lengths[1]} characters, those to learn from "
            f"{lengths[0]}; all must be of one length"
        )
    if len(known.alphabet) < 2:
        raise UserError(
            f"{source}: the only character is {known.alphabet!r}; give texts of at least two"
        )
    for name, text in zip(test.names, test.texts, strict=True):
        for character in text:
            if character not in known.alphabet:
                raise UserError(
                    f"{source}: the character {character!r} of the test picture {name} ({text}) is "
                    "in no picture to learn from; add such pictures there or take this one out"
                )
