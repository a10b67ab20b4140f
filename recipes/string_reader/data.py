"""Which pictures a reader learns from, is validated and tested with."""

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

from recipes._arguments import require_integer
from recipes.images import digit_strings, pixels as pixels_of
from recipes.images.labelled_images import LabelledImages, composed, read_labelled_images
from recipes.runs.failures import UserError
from recipes.string_reader.model import BLANK

TEST_SHARE = 0.1
VALIDATION_SHARE = 0.05
VALIDATION_SHARE_OF_FEW = 0.1
"""Of less than 1,000 pictures."""
_DRAWN_TO_TEST_WITH = 1000
_MOST_LETTERS = 10


def given_images(
    images: Any,
    strings: Any,
    shape: tuple[int, ...] | None = None,
    name: str = "images",
    *,
    verbose: int = 0,
) -> LabelledImages:
    """Pictures as `recipes.images.pixels.to_pixels` takes them, and the string in each.

    Args:
        images: The pictures.
        strings: Their strings, in the same order.
        shape: (height, width, channels) to bring the pictures to; by default one that suits them.
        name: What the pictures are called in messages.
        verbose: Whether to say that pictures were brought to one size.

    Raises:
        UserError: If there is no picture, if one has no string, or if one is no string.
    """
    array = pixels_of.to_pixels(images, shape, name, verbose=verbose)
    if not len(array):
        raise UserError(f"expected at least one picture; received no {name}")
    if isinstance(strings, str) or not isinstance(strings, Iterable):
        raise UserError(
            "expected a sequence of strings, one for each picture. "
            f"Received: {type(strings).__name__}."
        )
    texts = list(strings)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(
                f"strings[{number}] must be a string; received {text!r} of type "
                f"{type(text).__name__}. Read the column as text: 0012 is not 12."
            )
        if not text:
            raise UserError(f"strings[{number}] is empty; give what the picture shows, or leave it")
    if len(texts) != len(array):
        raise UserError(
            f"expected one string for each picture; received {len(array)} {name} and "
            f"{len(texts)} strings"
        )
    names = [f"{name}[{number}]" for number in range(len(texts))]
    return LabelledImages(array, list(map(composed, texts, names)), names)


def given_validation(
    validation_data: Any, shape: tuple[int, ...], *, verbose: int = 0
) -> LabelledImages:
    """Pictures to validate with, given as (images, strings); see `given_images`.

    Raises:
        UserError: If there are not two of them, or one is no good.
    """
    is_pair = isinstance(validation_data, tuple | list) and len(validation_data) == 2
    if not is_pair:
        raise UserError(
            "`validation_data` must be (images, strings). "
            f"Received: {type(validation_data).__name__}."
        )
    images, strings = validation_data
    return given_images(images, strings, shape, "validation images", verbose=verbose)


def classes_and_length(*sets: LabelledImages) -> tuple[str, int]:
    """What can stand at a position, and how many positions there are.

    Returns:
        The characters of all sets, in order, and after them `BLANK` if strings differ in length;
        and the length of the longest string.

    Raises:
        UserError: If there is but one character, or one that is `BLANK`.
    """
    characters = "".join(sorted(set("".join(images.alphabet for images in sets))))
    if len(characters) < 2:
        raise UserError(f"the only character is {characters!r}; give strings of at least two")
    if BLANK in characters:
        raise UserError(
            f"a string holds {BLANK!r}, which stands for the end of shorter strings here; write "
            "another character for it"
        )
    lengths = {len(text) for images in sets for text in images.texts}
    return characters + (BLANK if len(lengths) > 1 else ""), max(lengths)


def require_readable(images: LabelledImages, classes: str, length: int) -> None:
    """Checks that all strings have as many characters as a reader can read.

    Args:
        images: With their strings.
        classes: The reader's, as `classes_and_length` gives them.
        length: Likewise.

    Raises:
        UserError: If one has not.
    """
    fewest = 1 if BLANK in classes else length
    for name, text in zip(images.names, images.texts, strict=True):
        if not fewest <= len(text) <= length:
            raise UserError(
                f"the string of {name} is {text!r}, {len(text)} characters; the reader reads "
                f"strings of {length if fewest == length else f'1 to {length}'}"
            )


def split_validation(images: LabelledImages, source: str) -> tuple[LabelledImages, LabelledImages]:
    """The pictures to learn from, and those to validate with, by a hash of the pixels.

    These are a twentieth; of less than 1,000 pictures a tenth, which say more.

    Raises:
        UserError: If there are too few; `source` begins the message.
    """
    share = VALIDATION_SHARE if len(images) >= 1000 else VALIDATION_SHARE_OF_FEW
    training, validation = images.split(share, "validation")
    if not len(validation) or not len(training):
        raise UserError(
            f"{source} has too few pictures to set some aside; give at least "
            f"{round(2 / VALIDATION_SHARE_OF_FEW)}"
        )
    return training, validation


def read_images(
    images: str | None = None,
    labels: str | None = None,
    *,
    test_images: str | None = None,
    test_labels: str | None = None,
    test_last: int | None = None,
    skip_unreadable: bool = False,
    encoding: str | None = None,
    delimiter: str | None = None,
    letters: bool = False,
    lengths: str | None = None,
    pictures: int | None = None,
) -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """The pictures to learn from, to validate and to test with, checked against each other.

    Args:
        images: Folder or archive of the pictures to learn from; without it, strings of digits
            that scikit-learn brings, or of letters.
        labels: Their texts; see `recipes.images.labelled_images.read_labelled_images`.
        test_images: Likewise, pictures to test with.
        test_labels: Their texts.
        test_last: Test with the last of `images`, so many; without this and `test_images`, with a
            tenth of them.
        skip_unreadable: Whether to leave out pictures that cannot be read, with a line for each.
        encoding: What the files of texts are written in; by default it is found.
        delimiter: What stands between their fields; by default it is found.
        letters: Whether to draw strings of letters, where there are no `images`.
        lengths: How many, such as "5" or "3-7"; by default 3 to 7.
        pictures: How many pictures to draw to learn from, where there are no `images`; by default
            4,000. Of letters, those to validate with are among them.

    Raises:
        UserError: If something cannot be read, or does not go together.
    """
    if images is None:
        needing = {
            "--labels": labels,
            "--test-images": test_images,
            "--test-labels": test_labels,
            "--test-last": test_last,
            "--skip-unreadable": skip_unreadable or None,
            "--encoding": encoding,
            "--delimiter": delimiter,
        }
        for option, value in needing.items():
            if value is not None:
                raise UserError(f"{option} needs --images: give both, or none")
        if pictures is not None:
            require_integer("pictures", pictures, 1)
        count = 4000 if pictures is None else pictures
        if letters:
            return _drawn(lengths or "3-7", count)
        if lengths is not None:
            raise UserError("--lengths needs --letters: strings of digits are of four")
        return digit_strings.digit_strings(training=count)
    drawing = {"--letters": letters or None, "--lengths": lengths, "--pictures": pictures}
    for option, value in drawing.items():
        if value is not None:
            raise UserError(f"{option} is for pictures that are drawn: leave it out, or --images")
    for option, form in (("--encoding", encoding), ("--delimiter", delimiter)):
        if form is not None and not (labels or test_labels):
            raise UserError(f"{option} needs --labels: it says how to read them")
    if test_labels and not test_images:
        raise UserError("--test-labels needs --test-images: give both, or none")
    if test_last is not None and test_images:
        raise UserError("--test-last and --test-images exclude each other: give one of them")
    read = partial(
        read_labelled_images,
        skip_unreadable=skip_unreadable,
        encoding=encoding,
        delimiter=delimiter,
    )
    known = read(images, labels)
    if test_images:
        test = read(test_images, test_labels, shape=known.pixels.shape[1:])
    elif test_last is not None:
        known, test = _without_last(known, test_last)
    else:
        known, test = known.split(TEST_SHARE, "test")
    training, validation = split_validation(known, images)
    if not len(test):
        raise UserError(
            f"{images} has too few pictures to set some aside; give at least "
            f"{round(2 / VALIDATION_SHARE_OF_FEW)}"
        )
    _require_alike(known, test, test_images or images)
    return training, validation, test


def _drawn(lengths: str, count: int) -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """Strings of letters of these lengths, `count` of them to learn from and to validate with."""
    from recipes.images.letter_strings import letter_strings  # it draws with matplotlib's fonts

    found = re.fullmatch(r"(\d+)(?:-(\d+))?", lengths)
    shortest, longest = map(int, (found[1], found[2] or found[1])) if found else (0, 0)
    if not 1 <= shortest <= longest <= _MOST_LETTERS:
        raise UserError(
            f"--lengths must be a number from 1 to {_MOST_LETTERS}, or two, such as 3-7. "
            f"Received: {lengths}"
        )
    known, test = (
        letter_strings(shortest, longest, number, part)
        for part, number in enumerate([count, _DRAWN_TO_TEST_WITH])
    )
    return *split_validation(known, "--pictures"), test


def _without_last(images: LabelledImages, count: int) -> tuple[LabelledImages, LabelledImages]:
    first = len(images) - count
    if count < 1 or first < 2:
        raise UserError(
            f"--test-last must leave pictures to learn from; expected 1 to {len(images) - 2}, "
            f"received {count}"
        )
    return images.take(range(first)), images.take(range(first, len(images)))


def _require_alike(known: LabelledImages, test: LabelledImages, source: str) -> None:
    """Checks that a model of the one can read the other."""
    try:
        require_readable(test, *classes_and_length(known))
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    for name, text in zip(test.names, test.texts, strict=True):
        for character in text:
            if character not in known.alphabet:
                raise UserError(
                    f"{source}: the character {character!r} of the test picture {name} ({text}) is "
                    "in no picture to learn from; add such pictures there or take this one out"
                )
