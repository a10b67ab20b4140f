"""Pictures and the text that each of them shows."""

import collections
import dataclasses
import hashlib
import pathlib
import unicodedata
from collections.abc import Sequence

import numpy

from recipes.images import image_files
from recipes.images.one_size import note_on_sizes
from recipes.runs.failures import UserError
from recipes.tables import table_files


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Pictures of one size and, in the same order, the name and the text of each."""

    pixels: numpy.ndarray
    """(pictures, height, width, channels), values from 0 to 255."""
    texts: list[str]
    names: list[str]

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.texts)

    @property
    def alphabet(self) -> str:
        """The characters that occur, in order."""
        return "".join(sorted(set("".join(self.texts))))

    def take(self, indices: Sequence[int] | numpy.ndarray) -> "LabelledImages":
        """The pictures of these numbers, in this order."""
        return LabelledImages(
            self.pixels[indices],
            [self.texts[index] for index in indices],
            [self.names[index] for index in indices],
        )

    def split(self, share: float, salt: str) -> tuple["LabelledImages", "LabelledImages"]:
        """Splits off a share of the pictures, chosen by a hash of the pixels of each.

        The same pictures give the same split on every machine, in whatever order they come, and
        equal pictures fall on the same side.

        Args:
            share: How many of the pictures to split off, as a fraction.
            salt: Splits with different salts are independent of each other.

        Returns:
            The pictures that stay, and those split off.
        """
        hashes = [hashlib.sha256(salt.encode() + image.tobytes()).digest() for image in self.pixels]
        chosen = set(sorted(hashes)[: round(share * len(hashes))])
        is_split_off = numpy.array([digest in chosen for digest in hashes], dtype=bool)
        return self.take(numpy.flatnonzero(~is_split_off)), self.take(
            numpy.flatnonzero(is_split_off)
        )


def read_labelled_images(
    images: str | pathlib.Path,
    labels: str | pathlib.Path | None = None,
    *,
    skip_unreadable: bool = False,
    shape: Sequence[int] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> LabelledImages:
    """Reads pictures and their texts.

    Args:
        images: A folder or a tar archive of PNG and JPEG files.
        labels: A table, such as a .csv file, with the columns `file` and `text`. Without it the
            name of each picture is its text, up to the first underscore: `2b8f.png`, `2b8f_2.png`.
        skip_unreadable: Whether to leave pictures out that cannot be read, with a line for each.
        shape: (height, width, channels), to which the pictures are scaled, padded and converted; by
            default one that suits them, with one channel where all are gray. Where that changes
            their size, a line says so.
        encoding: What `labels` is written in; by default it is found.
        delimiter: What stands between its fields; by default it is found.

    Returns:
        The pictures, in the order of `labels` or of their names; the texts as `composed` gives
        them.

    Raises:
        UserError: If something cannot be read, if a label has no picture or a picture no label,
            or if a text is empty.
    """
    found, unreadable = image_files.read_images(images)
    if unreadable and not skip_unreadable:
        name, reason = next(iter(unreadable.items()))
        others = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        raise UserError(
            f"{images}: {name} {reason}{others}; mend or remove it, or go on without it with "
            "--skip-unreadable"
        )
    for name, reason in unreadable.items():
        print(f"left out: {name} {reason}")
    if labels is None:
        stem_of = {name: pathlib.PurePosixPath(name).stem for name in found}
        text_of = {name: composed(stem.split("_")[0], name) for name, stem in stem_of.items()}
        for name, text in text_of.items():
            if not text:
                raise UserError(
                    f"{images}: the name of {name} holds no text before the underscore; rename it"
                )
    else:
        given = _read_labels(pathlib.Path(labels), encoding, delimiter)
        text_of = _matched(given, [*found, *unreadable], str(labels))
        text_of = {name: text for name, text in text_of.items() if name in found}
    chosen = [found[name] for name in text_of]
    if note := note_on_sizes(chosen, shape):
        print(note)
    pixels = image_files.to_array(chosen, shape)
    return LabelledImages(pixels, list(text_of.values()), list(text_of))


def composed(text: str, place: str) -> str:
    """A text in which an accent and its letter are one character, as in Unicode's form NFC.

    macOS takes them apart in the names of files.

    Args:
        text: The text.
        place: What it is the text of, for the message.

    Raises:
        UserError: If it holds half a character, as a JSON text does that was cut.
    """
    if any("\ud800" <= character <= "\udfff" or character == "\ufffd" for character in text):
        raise UserError(
            f"the text of {place} is {text!a}, which holds half a character; write the whole "
            "character"
        )
    return unicodedata.normalize("NFC", str(text))


def _read_labels(path: pathlib.Path, encoding: str | None, delimiter: str | None) -> dict[str, str]:
    """The text of each file that a table names, in its order."""
    columns, advice = ["file", "text"], "name the columns file and text"
    table = table_files.read_table(
        path, columns, encoding=encoding, delimiter=delimiter, advice=advice
    )
    if not table.columns:
        raise UserError(f"{path} is empty; expected the columns file and text")
    texts: dict[str, str] = {}
    rows = table.select(columns, advice)
    empty = [(place, name) for place, (name, text) in rows if not name or not text]
    if empty:
        place, name = empty[0]
        others = f" (and in {len(empty) - 1} more)" if len(empty) > 1 else ""
        raise UserError(
            f"{path}, {place}: the {'text' if name else 'file'} is empty{others}; fill it in or "
            "remove the row"
        )
    for place, (name, text) in rows:
        text = composed(text, f"{path}, {place},")
        if texts.setdefault(name, text) != text:
            raise UserError(
                f"{path}, {place}: {name} is {text!r} here and {texts[name]!r} above; keep the "
                "right one"
            )
    if not texts:
        raise UserError(f"{path} has a header but no rows; expected one picture per row")
    return texts


def _matched(texts: dict[str, str], names: Sequence[str], source: str) -> dict[str, str]:
    """The texts by the names of the pictures; those may lie deeper than the labels say."""
    last_parts = {name: pathlib.PurePosixPath(name).name for name in names}
    name_of: dict[str, str] = {}
    # The later form overrides the earlier; accents are written in two ways, which look the same.
    for form_of in (
        {name: unicodedata.normalize("NFC", last) for name, last in last_parts.items()},
        last_parts,
        {name: unicodedata.normalize("NFC", name) for name in names},
        {name: name for name in names},
    ):
        count = collections.Counter(form_of.values())
        name_of |= {form: name for name, form in form_of.items() if count[form] == 1}
    found = {
        file: name_of.get(file, name_of.get(unicodedata.normalize("NFC", file))) for file in texts
    }
    missing = [file for file, name in found.items() if name is None]
    if missing:
        raise UserError(
            f"{source} has labels without a picture: {_shortened(missing)}; add the pictures or "
            "remove the rows"
        )
    matched: dict[str, str] = {}
    for file, text in texts.items():
        if matched.setdefault(name := str(found[file]), text) != text:
            raise UserError(
                f"{source}: {name} is {text!r} as {file} and {matched[name]!r} in an earlier row; "
                "keep the right one"
            )
    unlabelled = [name for name in names if name not in matched]
    if unlabelled:
        raise UserError(
            f"{source} has no label for these pictures: {_shortened(unlabelled)}; add rows or "
            "remove the pictures"
        )
    return matched


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
