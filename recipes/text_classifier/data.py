"""Where the texts of a training come from: files that the command line names, or Python itself."""

import argparse

from recipes.corpora import standard_library
from recipes.runs.failures import UserError
from recipes.tables import labelled_texts
from recipes.tables.labelled_texts import LabelledTexts

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1


def read_texts(options: argparse.Namespace) -> tuple[LabelledTexts, LabelledTexts, LabelledTexts]:
    """The texts to learn from, to stop by and to test with, checked against each other."""
    if options.train is None:
        if options.test or options.validation:
            raise UserError("--test and --validation need --train: give all the texts, or none")
        training = LabelledTexts(*standard_library.family_texts())
    else:
        training = _read(options.train, options)
    if options.test is None:
        training, test = training.split(TEST_SHARE, "test")
    else:
        test = _read(options.test, options)
    if options.validation is None:
        training, validation = training.split(VALIDATION_SHARE, "validation")
    else:
        validation = _read(options.validation, options)
    source = options.train or "the standard library"
    classes = training.classes
    if len(classes) < 2:
        raise UserError(
            f"{source} has one class only ({classes[0]!r}); give texts of at least two classes"
        )
    if not len(test) or not len(validation):
        raise UserError(
            f"{source} has too few texts to set some aside; give more, or name files with "
            "--validation and --test"
        )
    for name, other in (("--test", test), ("--validation", validation)):
        unseen = sorted(set(other.labels) - set(classes))
        if unseen:
            raise UserError(
                f"{name} has labels that no training text has: {', '.join(unseen[:5])}; the "
                f"training labels are {', '.join(classes[:10])}: correct them or add such texts"
            )
    return training, validation, test


def _read(file: str, options: argparse.Namespace) -> LabelledTexts:
    return labelled_texts.read_labelled_texts(
        file,
        text_column=options.text_column,
        label_column=options.label_column,
        fine_labels=options.fine_labels,
    )
