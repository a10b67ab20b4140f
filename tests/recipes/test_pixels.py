"""Pictures as people have them: paths, PIL images, arrays, and what is wrong with them."""

import pathlib

import drawn_strings
import numpy as np
import pytest
from PIL import Image

from recipes.images.pixels import to_pixels

GRAY = np.arange(6, dtype="uint8").reshape(2, 3)
COLOURS = np.arange(18, dtype="uint8").reshape(2, 3, 3)


def test_every_form_of_a_picture_gives_the_same_pixels(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "gray.png")
    forms = [
        str(tmp_path / "gray.png"),
        tmp_path / "gray.png",
        Image.fromarray(GRAY),
        GRAY,
        GRAY[..., None],
        GRAY.astype("float64") + 0.25,
    ]
    np.testing.assert_array_equal(to_pixels(forms), np.stack([GRAY[..., None]] * len(forms)))
    for together in (np.stack([GRAY] * 2), np.stack([GRAY[..., None]] * 2), (GRAY, GRAY)):
        np.testing.assert_array_equal(to_pixels(together), np.stack([GRAY[..., None]] * 2))
    np.testing.assert_array_equal(to_pixels(np.stack([COLOURS])), COLOURS[None])


def test_gray_and_colours_become_what_the_model_reads():
    assert to_pixels([GRAY, COLOURS]).shape == (2, 2, 3, 3)
    assert to_pixels([COLOURS], (2, 3, 1)).shape == (1, 2, 3, 1)
    np.testing.assert_array_equal(to_pixels([GRAY], (2, 3, 3))[0, ..., 2], GRAY)
    see_through = np.zeros((2, 3, 4), "uint8")
    np.testing.assert_array_equal(to_pixels([see_through]), np.full((1, 2, 3, 3), 255))


def test_no_pictures_are_an_empty_array():
    assert to_pixels([], (2, 3, 1)).shape == (0, 2, 3, 1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("a.png", "expected a sequence of pictures: .* Received: str. Put a single picture into a"),
        (pathlib.Path("a.png"), "Put a single picture into a list"),
        (Image.fromarray(GRAY), "Received: Image. Put a single picture into a list"),
        (None, "Received: NoneType"),
        (["none.png"], r"none\.png does not exist; check the path"),
        ([GRAY / 255], "values from 0 to 255; received fractions, .* Multiply them by 255"),
        (
            [GRAY, GRAY - 1.0],
            r"images\[1\] must hold values from 0 to 255; received values from -1",
        ),
        ([GRAY * np.nan], "received values from nan to nan"),
        ([GRAY > 2], r"images\[0\] must hold values from 0 to 255; received values of type bool"),
        ([GRAY[0]], r"images\[0\] must be a path, a PIL image or an array .* the shape \(3,\)"),
        ([COLOURS[..., :2]], r"with 1, 3 or 4 channels; received the shape \(2, 3, 2\)"),
        ([Image.new("F", (3, 2))], r"images\[0\] has pixels of kind F; convert it to 8 bits per"),
    ],
)
def test_a_mistake_names_the_picture(images, message):
    with pytest.raises(ValueError, match=message) as raised:
        to_pixels(images)
    assert "\n" not in str(raised.value)


def test_a_picture_of_another_size_than_the_model_reads(capsys):
    """Twice as large and with more margin at both sides: scaled back, the ink is where it was."""
    image = drawn_strings.picture("xy")
    large = Image.new("L", (48, 20), 230)
    large.paste(image.resize((32, 20), Image.Resampling.NEAREST), (8, 0))
    (pixels,) = to_pixels([large], (10, 24, 1))[..., 0].astype(int)
    assert np.abs(pixels[1:-1, 5:-5] - np.asarray(image, int)[1:-1, 1:-1]).max() <= 50
    assert (pixels[:, :4] == 230).all()
    assert capsys.readouterr().out == ""
    to_pixels([large, image], verbose=2)
    assert capsys.readouterr().out.startswith("pictures of 2 sizes, from 16 x 10 to 48 x 20, are ")
