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
from typing import TYPE_CHECKING

import examples

if TYPE_CHECKING:
    from recipes.study_notes.computed import Comparison


def main(options: argparse.Namespace) -> None:
    """Explains, and draws."""
    from recipes.runs import run_folder
    from recipes.study_notes import computed, known_functions, notes, pictures

    computations = notes.read_notes()
    folder = run_folder.create_run_folder(options.output, "crossentropy")
    counts: collections.Counter[str] = collections.Counter()
    for document, part in itertools.groupby(computations, key=lambda each: each.document):
        print_heading(notes.TITLES[document])
        for computation in part:
            comparison = computed.compare(computation)
            print_comparison(comparison)
            counts.update(agreement for _, _, agreement in comparison.numbers)
    print_heading("Which loss stands for which function")
    for name, loss, difference in known_functions.EQUIVALENTS:
        print(f"\n{name}\n  {loss}\n  {difference}")
    print(
        f"\n{counts.total()} numbers, {counts.total() - counts[notes.NOT_PRINTED]} of them printed "
        f"in the notes: {counts[notes.ALL_DIGITS]} agree to all printed digits, "
        f"{counts[notes.LAST_DIGIT]} but for the last (both were computed in float32, whose steps "
        f"are that large), {counts[notes.OFF]} do not, for the reasons above.\n"
    )
    for path, says in pictures.draw(folder):
        print(f"{path}: {says}")


def print_heading(title: str) -> None:
    """Prints a title, underlined."""
    print(f"\n{title}\n{'=' * len(title)}")


def print_comparison(comparison: "Comparison") -> None:
    """Prints one computation of the notes: their numbers, ours, and what is to be learned."""
    print(f"\n{comparison.what}\n  {comparison.answer.call}")
    for printed, value, agreement in comparison.numbers:
        shown = "-" if printed is None else f"{printed:.8g}"
        print(f"  notes {shown:>14}   here {value:>14.8g}   {agreement}".rstrip())
    if comparison.answer.lesson:
        print(f"  {comparison.answer.lesson}")
    if comparison.answer.reason:
        print(f"  Where the notes are off: {comparison.answer.reason}.")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Compute every number of the study notes.")
    parser.add_argument("--output", metavar="DIR", help="new folder; else runs/crossentropy-1")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    examples.run(main, parse())
