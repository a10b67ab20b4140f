"""A confusion matrix that can be read with up to a hundred classes, whatever they are called."""

import functools
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy

_LONGEST_NAME = 28
_MOST_NAMES = 100
_FONT = "DejaVu Sans"
"""Comes with matplotlib."""
_OF_EAST_ASIA = {"CJK", "HANGUL", "HIRAGANA", "KATAKANA", "FULLWIDTH", "IDEOGRAPHIC"}


def side_of_matrix(classes: int) -> float:
    """The width of the matrix alone, without names, in inches."""
    return max(
        2.2, min(16.0, classes * (0.45 if classes <= 12 else 0.24 if classes <= 50 else 0.16))
    )


def draw_matrix(panel: Any, counts: numpy.ndarray, names: Sequence[Any]) -> list[int]:
    """Draws how often each class was taken for each other one.

    The colour is the share of its row: a rare class is seen as well as a frequent one. Numbers are
    counts, and nothing stands where there are none.

    Args:
        panel: Axes of matplotlib.
        counts: (classes, classes): rows are right, columns predicted.
        names: Of the classes. Above a hundred, numbers stand for some of them.

    Returns:
        Which classes stand as "#1", "#2", ... because no installed font has their names.
    """
    size = len(counts)
    shares = counts / numpy.maximum(counts.sum(axis=1, keepdims=True), 1)
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    scale = side_of_matrix(size) / size * 72  # points for a cell
    digits = max(2, len(str(counts.max())))
    # A digit is about 0.65 as wide as the font is high.
    number_size = min(9.0, 0.85 * scale / (0.65 * digits))
    if size <= _MOST_NAMES:
        for row, column in numpy.argwhere(counts):
            panel.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=number_size,
                color="white" if shares[row, column] > 0.5 else "black",
            )
    places = range(size) if size <= _MOST_NAMES else range(0, size, -(-size // 50))
    texts, fonts, unnamed = [], [], []
    for place in places:
        text = shortened(names[place])
        found = fonts_for(text) if size <= _MOST_NAMES and text else None
        if found is None and size <= _MOST_NAMES:
            unnamed.append(place)
        texts.append(f"#{place + 1}" if found is None else text)
        fonts.append(found or (_FONT,))
    # A single character on its side could be another one, such as z and N.
    below = "horizontal" if max(map(len, texts)) <= 2 else "vertical"
    for axis, rotation in ((panel.xaxis, below), (panel.yaxis, "horizontal")):
        # Two dollar signs in a name are no formula.
        axis.set_ticks(
            list(places),
            texts,
            parse_math=False,
            rotation=rotation,
            fontsize=min(10.0, max(4.5, 0.75 * scale)),
        )
        for label, families in zip(axis.get_ticklabels(), fonts, strict=True):
            label.set_fontfamily(list(families))
    panel.set(xlabel="predicted", ylabel="right")
    panel.set_xticks(numpy.arange(size + 1) - 0.5, minor=True)
    panel.set_yticks(numpy.arange(size + 1) - 0.5, minor=True)
    panel.grid(which="minor", color="#e4e4e4", linewidth=0.4)
    panel.tick_params(which="minor", length=0)
    return unnamed


def shortened(name: Any) -> str:
    """A name in one line of at most 28 characters, without what cannot be seen."""
    seen = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in str(name))
    text = " ".join(seen.split())
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1].rstrip()}…"


@functools.lru_cache(maxsize=1024)
def fonts_for(text: str) -> tuple[str, ...] | None:
    """Families of installed fonts that together have every character; `None` if there are none."""
    from matplotlib import font_manager

    families = [_FONT]
    missing = {c for c in text if not c.isspace()} - _characters(font_manager.findfont(_FONT))
    # Asked of the system, not of matplotlib's list, which may be older than a font just installed.
    for path in sorted(font_manager.findSystemFonts()) if missing else ():
        present = missing & _characters(path)
        if present:
            font_manager.fontManager.addfont(path)
            families.append(font_manager.get_font(path).family_name)
            missing -= present
        if not missing:
            break
    return None if missing else tuple(families)


@functools.lru_cache(maxsize=4096)
def _characters(path: str) -> frozenset[str]:
    """What a font can draw; nothing, where it is one of a kind that matplotlib cannot read."""
    from matplotlib import font_manager

    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def note_on_fonts(unnamed: Sequence[int], names: Sequence[Any]) -> list[str]:
    """What to say where `draw_matrix` has drawn numbers for names; empty where it has not."""
    if not unnamed:
        return []
    shown = ", ".join(f"#{number + 1} is {shortened(names[number])}" for number in unnamed)
    scripts = {
        unicodedata.name(c, "").split(" ")[0]
        for number in unnamed
        for c in shortened(names[number])
        if fonts_for(c) is None
    }
    package = "fonts-noto-cjk" if scripts & _OF_EAST_ASIA else "fonts-noto-core"
    return [
        f"In the confusion matrix {shown}, because no installed font has all their characters: the "
        f"package {package} brings one (apt install {package})."
    ]
