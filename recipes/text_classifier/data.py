"""What a classifier learns from: texts and labels as people have them, files, Python itself."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from sklearn.utils.multiclass import type_of_target

from recipes.corpora import standard_library
from recipes.runs.failures import UserError
from recipes.tables import labelled_texts
from recipes.tables.labelled_texts import LabelledTexts
from recipes.tokens.texts import whole_characters

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
_PLAIN_INTEGER = re.compile(r"0|[1-9][0-9]{0,17}")
STANDARD_SOURCE = "docstrings of Python's own standard library"


def checked_labels(labels: Sequence[Any], count: int) -> numpy.ndarray:
    """Labels as an array of strings or of numbers.

    Args:
        labels: A list, a tuple, an array or a column of pandas.
        count: The number of texts.

    Raises:
        UserError: If there are more or fewer, or one is missing, or they are of several kinds.
    """
    if isinstance(labels, str | bytes) or not hasattr(labels, "__len__"):
        raise UserError(
            "`labels` must be a sequence with one label for each text. "
            f"Received: {type(labels).__name__}"
        )
    if getattr(labels, "ndim", 1) != 1:
        raise UserError(
            "`labels` must have one dimension, one label for each text. Received: "
            f"shape {tuple(labels.shape)}"  # type: ignore[attr-defined]
        )
    found = list(labels)
    if len(found) != count:
        raise UserError(
            f"there must be one label for each text. Received: {count} texts and {len(found)} "
            "labels"
        )
    return labels_as_array(found, [f"label {number}" for number in range(1, count + 1)])


def labels_as_array(found: Sequence[Any], places: Sequence[str]) -> numpy.ndarray:
    """The same, of labels that each have a place of their own, such as "label 3"."""
    missing = [
        place
        for place, label in zip(places, found, strict=True)
        if label is None or (isinstance(label, float | numpy.floating) and label != label)
    ]
    if missing:
        more = f" (so are {len(missing) - 1} more)" if missing[1:] else ""
        raise UserError(f"{missing[0]} is missing{more}; leave such texts out or give them a label")
    for place, label in zip(places, found, strict=True):
        is_number = isinstance(label, int | float | numpy.number | numpy.bool_)
        if not isinstance(label, str) and not is_number:
            raise UserError(f"{place} is neither a string nor a number: {label!r}")
        if isinstance(label, str) != isinstance(found[0], str):
            raise UserError(
                f"the labels must be all strings or all numbers. Received: {found[0]!r} first and "
                f"{label!r} as {place}"
            )
    array = numpy.array(
        [whole_characters(label) if isinstance(label, str) else label for label in found]
    )
    if type_of_target(array) == "continuous":
        raise UserError(
            "the labels must name classes. Unknown label type: continuous numbers, such as "
            f"{next(each for each in found if each != int(each))!r}"
        )
    return array


def known_ids(labels: Sequence[Any], classes: Sequence[Any], source: str = "") -> list[int]:
    """The id of each label, its place among the classes.

    Args:
        labels: Of any texts.
        classes: The labels of the training texts, each once.
        source: What has the labels, for the message.

    Raises:
        UserError: If a label is no such class.
    """
    id_of_class = {label: index for index, label in enumerate(classes)}
    unseen = sorted({str(label) for label in labels if label not in id_of_class})
    if unseen:
        raise UserError(
            f"{f'{source} has' if source else 'there are'} labels that no training text has: "
            f"{', '.join(unseen[:5])}; the training labels are "
            f"{', '.join(map(str, list(id_of_class)[:10]))}: correct them or train with such texts"
        )
    return [id_of_class[label] for label in labels]


def read_texts(
    train: str | None = None,
    validation: str | None = None,
    test: str | None = None,
    **columns: Any,
) -> tuple[LabelledTexts, LabelledTexts, LabelledTexts]:
    """The texts to learn from, to stop by and to test with, checked against each other.

    Args:
        train: A file; `None` for the docstrings of Python's own standard library.
        validation: A file; `None` for a tenth of the texts to learn from.
        test: A file; `None` for a fifth of them.
        columns: As `recipes.tables.labelled_texts.read_labelled_texts` takes them.

    Raises:
        UserError: If a file cannot be read, or has too few texts, or labels of its own.
    """
    if train is None:
        if test or validation:
            raise UserError("--test and --validation need --train: give all the texts, or none")
        require_no_options(columns, text_column="text", label_column="label")
        training = LabelledTexts(*standard_library.family_texts())
    else:
        training = labelled_texts.read_labelled_texts(train, **columns)
        separator = columns.get("label_separator")
        if separator is not None and all(len(labels) < 2 for labels in training.labels):
            raise UserError(
                f"no label of {train} has the separator {separator!r} in it; give the one that "
                "stands there, or leave --label-separator out"
            )
    if test is None:
        training, to_test = training.split(TEST_SHARE, "test")
    else:
        to_test = labelled_texts.read_labelled_texts(test, **columns)
    if validation is None:
        training, to_validate = training.split(VALIDATION_SHARE, "validation")
    else:
        to_validate = labelled_texts.read_labelled_texts(validation, **columns)
    source = train or "the standard library"
    classes = sorted({label for labels in training.label_sets() for label in labels})
    if len(classes) < 2:
        only = f"one class only ({classes[0]!r})" if classes else "no label at all"
        raise UserError(f"{source} has {only}; give texts of at least two classes")
    if not len(to_test) or not len(to_validate):
        raise UserError(
            f"{source} has too few texts to set some aside; give more, or name files with "
            "--validation and --test"
        )
    for name, other in (("--test", to_test), ("--validation", to_validate)):
        if other.are_several != training.are_several:
            form = "lists of labels" if other.are_several else "one label for each text"
            raise UserError(f"{name} has {form}, and {source} has not; give both in the same form")
        known_ids([label for labels in other.label_sets() for label in labels], classes, name)
    return _with_numbers(training, to_validate, to_test)


def require_no_options(options: Mapping[str, Any], **defaults: Any) -> None:
    """Raises `UserError` where a table's options are given and there is no table."""
    for name, value in options.items():
        if value not in (defaults.get(name), None, False):
            raise UserError(f"--{name.replace('_', '-')} needs --train: it says how to read a file")


def _with_numbers(
    *several: LabelledTexts,
) -> tuple[LabelledTexts, LabelledTexts, LabelledTexts]:
    """Labels that are all plain integers as integers: 2 stands before 10. "01" is a name."""
    labels = {label for texts in several for each in texts.label_sets() for label in each}
    # More digits than an array of integers holds are a name too.
    if all(_PLAIN_INTEGER.fullmatch(label) for label in labels):
        several = tuple(
            dataclasses.replace(
                texts,
                labels=[
                    tuple(sorted(map(int, each))) if isinstance(each, tuple) else int(each)
                    for each in texts.labels
                ],
            )
            for texts in several
        )
    training, validation, test = several
    return training, validation, test
