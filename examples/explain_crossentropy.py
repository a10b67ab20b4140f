"""Walks through the study notes on cross-entropy: every number computed here, and the pictures.

    python -m examples.explain_crossentropy

Prints what the notes compute, in their order: their value, ours, whether the two agree, and where
they do not, why. Says which of our losses stands for each cross-entropy function of TensorFlow and
Keras. Draws the pictures into a new folder.
"""

import argparse
import collections
import itertools
from collections.abc import Sequence

from recipes.runs import failures, run_folder
from recipes.study_notes import notes as study_notes
from recipes.study_notes.known_functions import EQUIVALENTS


def main(arguments: Sequence[str] | None = None) -> None:
    """Explains, and draws."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.explain_crossentropy",
        description="Compute every number of the study notes on cross-entropy, and draw why.",
    )
    parser.add_argument("--output", metavar="DIR", help="new folder; else runs/crossentropy-1")
    options = parser.parse_args(arguments)
    notes = study_notes.read_notes()
    folder = run_folder.create_run_folder(options.output, "crossentropy")

    # Not at the top: TensorFlow writes lines of its own when it is imported, and a mistake in the
    # command is to be answered by one line.
    from recipes.study_notes import pictures as notes_pictures

    counts: collections.Counter[str] = collections.Counter()
    for document, part in itertools.groupby(notes, key=lambda computation: computation.document):
        print(f"\n{study_notes.TITLES[document]}\n{'=' * len(study_notes.TITLES[document])}")
        for computation in part:
            counts.update(explain(computation))
    print_functions()
    print_summary(counts)
    for path, says in notes_pictures.draw(folder):
        print(f"{path}: {says}")


def explain(computation: study_notes.Computation) -> list[str]:
    """Prints one computation of the notes.

    Returns:
        For each of its numbers whether ours agrees, as `study_notes.agreement` says it.
    """
    import numpy
    from keras import ops

    from recipes.study_notes.computed import ANSWERS

    answer = ANSWERS[computation.what]
    computed = numpy.ravel(ops.convert_to_numpy(answer.compute(computation.inputs)))
    printed = numpy.ravel(
        [None] * len(computed) if computation.printed is None else computation.printed
    )
    pairs = [
        (number, float(value)) for number, value in zip(printed.tolist(), computed, strict=True)
    ]
    agreements = [study_notes.agreement(*pair) for pair in pairs]
    print(f"\n{computation.what}\n  {answer.call}")
    for (number, value), agreement in zip(pairs, agreements, strict=True):
        shown = "-" if number is None else f"{number:.8g}"
        print(f"  notes {shown:>14}   here {value:>14.8g}   {agreement}".rstrip())
    if answer.lesson:
        print(f"  {answer.lesson}")
    if answer.reason:
        print(f"  Where the notes are off: {answer.reason}.")
    return agreements


def print_functions() -> None:
    """Prints which of our losses stands for which function of TensorFlow and Keras."""
    print("\nWhich loss stands for which function\n====================================")
    for name, loss, difference in EQUIVALENTS:
        print(f"\n{name}\n  {loss}\n  {difference}")


def print_summary(counts: "collections.Counter[str]") -> None:
    """Prints how many numbers agree."""
    printed = sum(counts.values()) - counts[study_notes.NOT_PRINTED]
    print(
        f"\n{sum(counts.values())} numbers, {printed} of them printed in the notes: "
        f"{counts[study_notes.ALL_DIGITS]} agree to all printed digits, "
        f"{counts[study_notes.LAST_DIGIT]} but for the last (both were computed in float32, whose "
        f"steps are that large), {counts[study_notes.OFF]} do not, for the reasons above.\n"
    )


if __name__ == "__main__":
    failures.run(main)
