"""Strings drawn with the fonts of matplotlib."""

import numpy as np
from PIL import Image

from recipes.images import letter_strings


def test_pictures_and_their_letters():
    images = letter_strings.letter_strings(2, 4, 60, 0)
    assert images.pixels.shape == (60, letter_strings.HEIGHT, letter_strings.WIDTH, 3)
    assert images.pixels.dtype == np.uint8
    assert {len(text) for text in images.texts} == {2, 3, 4}
    assert {text.islower() for text in images.alphabet} == {True, False}
    again = letter_strings.letter_strings(2, 4, 60, 0)
    np.testing.assert_array_equal(again.pixels, images.pixels)
    assert again.texts == images.texts


def test_what_is_tested_with_is_drawn_by_other_random_numbers():
    parts = [letter_strings.letter_strings(5, 5, 20, part) for part in (0, 1)]
    assert not set(parts[0].texts) & set(parts[1].texts)
    assert not np.array_equal(parts[0].pixels, parts[1].pixels)


def test_a_longer_string_has_more_ink_and_letters_stand_in_their_order(monkeypatch):
    """Letters are replaced by squares whose gray says which letter it is."""
    grays = {"a": 80, "b": 160, "c": 240}
    monkeypatch.setattr(
        letter_strings,
        "_letter",
        lambda character, font, angle: Image.new("L", (8, 8), grays[character]),
    )
    monkeypatch.setattr(
        letter_strings, "_coloured", lambda ink, random: np.round(ink * 255).astype(int)
    )
    monkeypatch.setattr(letter_strings.ImageDraw.ImageDraw, "line", lambda *_, **__: None)
    for seed in range(10):
        ink = letter_strings.draw("cab", np.random.default_rng(seed))
        middles = [np.nonzero(ink == grays[c])[1].mean() for c in "cab"]
        assert middles == sorted(middles)
        for character in "cab":
            assert 40 < (ink == grays[character]).sum() <= 64


def test_every_letter_can_be_told_from_every_other_in_every_font():
    """Of the same size, turned by nothing, no two letters look the same; and all are drawn."""
    for font in letter_strings.FONTS:
        stamps = [
            np.asarray(letter_strings._letter(c, letter_strings._font(font, 30), 0.0), float)
            for c in letter_strings.LETTERS
        ]
        flat = np.stack(stamps).reshape(len(stamps), -1) / 255
        assert flat.sum(axis=1).min() > 30
        apart = ((flat[:, None] - flat) ** 2).sum(axis=-1)
        assert apart[~np.eye(len(stamps), dtype=bool)].min() > 8, font
