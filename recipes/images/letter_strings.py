"""Pictures of strings of letters, drawn with the fonts that matplotlib ships.

Nothing is downloaded, and the pictures are the same on every machine with the same Pillow and
matplotlib. People can read them; a reader has to learn 20 fonts, letters that are turned and moved,
strings of several lengths at several places, crossing lines, noise, and colours.
"""

import functools
import pathlib

import numpy
from PIL import Image, ImageChops, ImageDraw, ImageFont

from recipes.images.labelled_images import LabelledImages

HEIGHT, WIDTH = 48, 160
# No I and l, which look alike; of c and C, which differ in nothing but their size, C alone.
LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZabdefghijkmnqrty"
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSans-Oblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-BoldOblique"),
    *("DejaVuSansMono-Oblique", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic"),
    *("DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta"),
    *("STIXGeneralItalic", "cmb10", "cmr10", "cmss10", "cmtt10"),
)
_MARGIN = 4


def letter_strings(
    shortest: int, longest: int, count: int, part: int, alphabet: str = LETTERS
) -> LabelledImages:
    """Draws strings, all lengths equally often.

    Args:
        shortest: Number of letters of the shortest strings.
        longest: Number of letters of the longest.
        count: Number of pictures.
        part: 0 for those to learn from, 1 for those to test with, and so on: each part is drawn
            with random numbers of its own.
        alphabet: The letters.

    Returns:
        Pictures in colours, 160 wide and 48 high.
    """
    random = numpy.random.default_rng([part, shortest, longest])
    pixels, texts = [], []
    for _ in range(count):
        length = random.integers(shortest, longest, endpoint=True)
        texts.append("".join(random.choice(list(alphabet), length)))
        pixels.append(draw(texts[-1], random))
    return LabelledImages(
        numpy.stack(pixels), texts, [f"string_{number:05}" for number in range(count)]
    )


def draw(text: str, random: numpy.random.Generator) -> numpy.ndarray:
    """A picture of a string, (48, 160, 3), values from 0 to 255.

    Args:
        text: The string, of letters that the fonts have.
        random: Where chance comes from.
    """
    name = random.choice(FONTS)
    size = int(random.integers(25, 35))
    spacing = random.uniform(1.0, 1.2)
    room = WIDTH - 2 * _MARGIN
    while (widths := [spacing * _font(name, size).getlength(c) for c in text]) and (
        sum(widths) > room and size > 8
    ):
        size -= 1
    ink = Image.new("L", (WIDTH, HEIGHT))
    x = _MARGIN + random.uniform(0, max(0, room - sum(widths)))
    base = HEIGHT / 2 + 0.33 * size + random.uniform(-3, 3)
    for character, width in zip(text, widths, strict=True):
        stamp = _letter(character, _font(name, size), random.uniform(-18, 18))
        left = x + width / 2 + random.uniform(-1, 1) - stamp.width / 2
        top = base - 0.33 * size + random.uniform(-3, 3) - stamp.height / 2
        layer = Image.new("L", ink.size)
        layer.paste(stamp, (round(left), round(top)))
        ink = ImageChops.lighter(ink, layer)
        x += width
    pen = ImageDraw.Draw(ink)
    for _ in range(random.integers(0, 3)):
        ends = [(0, random.uniform(0, HEIGHT)), (WIDTH, random.uniform(0, HEIGHT))]
        pen.line(ends, fill=int(random.integers(120, 220)), width=int(random.integers(1, 3)))
    return _coloured(numpy.asarray(ink, "float64") / 255, random)


def _coloured(ink: numpy.ndarray, random: numpy.random.Generator) -> numpy.ndarray:
    """Ink on paper that is brighter on one side, or bright ink on dark paper, under noise."""
    paper = random.uniform(160, 255, size=3)
    colour = random.uniform(0, 110, size=3)
    if random.random() < 0.2:
        paper, colour = colour, paper
    shade = 1 + numpy.linspace(-1, 1, WIDTH)[:, None] * random.uniform(-0.1, 0.1)
    picture = paper * shade + ink[..., None] * (colour - paper * shade)
    picture += random.normal(0, random.uniform(4, 22), picture.shape)
    return picture.clip(0, 255).astype("uint8")


def _letter(character: str, font: ImageFont.FreeTypeFont, angle: float) -> Image.Image:
    """A letter, turned about the middle of a line of capitals, which is the picture's middle."""
    side = round(2.5 * font.size)
    stamp = Image.new("L", (side, side))
    place = (side / 2, side / 2 + 0.33 * font.size)
    ImageDraw.Draw(stamp).text(place, character, fill=255, font=font, anchor="ms")
    return stamp.rotate(angle, Image.Resampling.BICUBIC)


@functools.cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    folder = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
    return ImageFont.truetype(folder / f"{name}.ttf", size)
