"""Pictures and their texts: folders, archives, file names, and every mistake in them."""

import gzip
import lzma
import tarfile
import unicodedata

import drawn_strings
import numpy as np
import pytest
from PIL import Image

from recipes.images import image_files
from recipes.images.labelled_images import read_labelled_images
from recipes.images.one_size import common_size
from recipes.images.pixels import to_pixels
from recipes.runs.failures import UserError
from recipes.string_reader import data
from recipes.string_reader.data import read_images


@pytest.fixture
def folder(tmp_path):
    return drawn_strings.write_folder(tmp_path / "pictures", 45)[0]


def labels_of(folder):
    return folder.parent / f"{folder.name}.csv"


def test_a_folder_and_its_labels(folder):
    images = read_labelled_images(folder, labels_of(folder))
    drawn = list(drawn_strings.strings(45))
    assert images.names == [name for name, _, _ in drawn]
    assert images.texts == [text for _, text, _ in drawn]
    assert images.alphabet == "xyz"
    assert images.pixels.shape == (45, 10, 16, 1)
    np.testing.assert_array_equal(images.pixels[7, ..., 0], np.asarray(drawn[7][2]))


def test_the_order_is_that_of_the_labels(folder):
    drawn_strings.write_labels(
        labels_of(folder), [(name, text) for name, text, _ in drawn_strings.strings(45)][::-1]
    )
    images = read_labelled_images(folder, labels_of(folder))
    assert images.names == sorted(images.names, reverse=True)
    assert images.texts == [text for _, text, _ in drawn_strings.strings(45)][::-1]


def test_an_archive_whose_pictures_lie_deeper_than_the_labels_say(tmp_path):
    drawn = {name: (text, image) for name, text, image in drawn_strings.strings(6)}
    archive = drawn_strings.write_tar(
        tmp_path / "pictures.tar",
        {f"./captcha._1/{name}": image for name, (_, image) in drawn.items()},
    )
    labels = drawn_strings.write_labels(
        tmp_path / "labels.csv", [(name, text) for name, (text, _) in drawn.items()]
    )
    images = read_labelled_images(archive, labels)
    assert images.names == [f"captcha._1/{name}" for name in drawn]
    assert images.texts == [text for text, _ in drawn.values()]


def test_names_that_are_the_text(tmp_path):
    for name in ("xy.png", "yz_1.png", "yz_2.png", "inner/zx.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        drawn_strings.picture(name.rpartition("/")[2][:2]).save(tmp_path / name)
    images = read_labelled_images(tmp_path)
    assert dict(zip(images.names, images.texts, strict=True)) == {
        "inner/zx.png": "zx",
        "xy.png": "xy",
        "yz_1.png": "yz",
        "yz_2.png": "yz",
    }


def test_what_macos_puts_beside_pictures_is_none(tmp_path):
    """Its notes; a picture of such a name is one."""
    notes = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X"
    (tmp_path / "in").mkdir()
    for name in ("xy.png", "in/zy.png", "in/._zx.png"):
        drawn_strings.picture(name[-6:-4]).save(tmp_path / name)
    (tmp_path / "._xy.png").write_bytes(notes)
    (tmp_path / "in" / "._zy.png").write_bytes(notes)
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(tmp_path, ".")
    for source in (tmp_path, tmp_path / "all.tar"):
        found, unreadable = image_files.read_images(source)
        assert list(found) == ["in/._zx.png", "in/zy.png", "xy.png"]
        assert unreadable == {}


def test_a_picture_is_turned_as_its_exif_entry_says(tmp_path):
    pixels = np.arange(0, 240, 5, dtype="uint8").reshape(6, 8)
    turned, damaged = Image.Exif(), b"Exif\0\0garbage, as a program may leave it"
    turned[0x0112] = 6
    for name, entries in (("ab.png", turned), ("cd.png", damaged)):
        Image.fromarray(pixels).save(tmp_path / name, exif=entries)
    image = image_files.read_image(tmp_path / "ab.png")
    np.testing.assert_array_equal(image, np.rot90(pixels, -1))
    np.testing.assert_array_equal(to_pixels([Image.open(tmp_path / "ab.png")])[0, ..., 0], image)
    np.testing.assert_array_equal(image_files.read_image(tmp_path / "cd.png"), pixels)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_are_the_same_however_they_are_written(tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    (tmp_path / "in").mkdir()
    for name in ("\u00e9x", "o\u0308y", "xx"):
        image = drawn_strings.picture("xy")
        image.save(tmp_path / "in" / f"{unicodedata.normalize(form, name)}.png")
    expected = ["\u00e9x", "xx", "\u00f6y"]
    assert sorted(read_labelled_images(tmp_path).texts) == sorted(expected)
    for folder in ("", "in/"):
        rows = [(f"{folder}{text}.png", text) for text in expected]
        rows = [[unicodedata.normalize(other, cell) for cell in row] for row in rows]
        labels = drawn_strings.write_labels(tmp_path / "labels.csv", rows)
        assert read_labelled_images(tmp_path, labels).texts == expected
    strings = [unicodedata.normalize(form, text) for text in expected]
    assert data.given_images([drawn_strings.picture("xy")] * 3, strings).texts == expected


def damages(archive):
    """Bytes of an archive in which something is wrong."""
    second = archive.index(b"001.png")
    flawed = bytearray(archive)
    flawed[second] ^= 0xFF  # The checksum of the second header no longer fits.
    yield "header", bytes(flawed)
    yield "cut in a picture", archive[: second + 600]
    yield "cut in a header", archive[: second + 300]
    yield "cut between members", archive[:second]
    packed = gzip.compress(archive, mtime=0)
    yield "gzip cut", packed[: len(packed) // 2]
    yield "gzip without its end", packed[:-4]
    flawed = bytearray(gzip.compress(archive, 0, mtime=0))
    flawed[archive.index(b"IDAT") + 60] ^= 0xFF
    yield "a picture in gzip", bytes(flawed)
    packed = bytearray(lzma.compress(archive))
    packed[len(packed) // 2] ^= 0xFF
    yield "xz", bytes(packed)
    yield "xz cut", lzma.compress(archive)[:400]


def test_an_archive_with_a_damage_is_one_line(tmp_path):
    """It never gives fewer pictures, and blames none."""
    drawn = {name: image for name, _, image in drawn_strings.strings(6)}
    archive = drawn_strings.write_tar(tmp_path / "pictures.tar", drawn).read_bytes()
    for packed in (archive, gzip.compress(archive), lzma.compress(archive)):
        (tmp_path / "pictures.tar").write_bytes(packed)
        assert len(image_files.read_images(tmp_path / "pictures.tar")[0]) == 6
    for case, content in damages(archive):
        (tmp_path / "damaged.tar").write_bytes(content)
        with pytest.raises(UserError) as raised:
            image_files.read_images(tmp_path / "damaged.tar")
        # Where nothing at all can be unpacked, who knows what it was.
        expected = "is neither a folder nor a whole tar" if case == "xz" else "is damaged or cut of"
        assert str(raised.value).startswith(f"{tmp_path}/damaged.tar {expected}"), case


def test_no_picture_is_passed_over_in_silence(tmp_path, capsys):
    for name in ("xy.png", "yx.png", "xz.bmp", "y\udce9.png"):
        drawn_strings.picture("xy").save(tmp_path / name)
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(tmp_path, ".")
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "xy.png"
        archive.addfile(link)
    expected = {
        "xz.bmp": "cannot be read (not a PNG or JPEG)",
        "y\\udce9.png": "has a name that is not UTF-8; rename it",
    }
    assert image_files.read_images(tmp_path)[1] == expected
    found, unreadable = image_files.read_images(tmp_path / "all.tar")
    assert unreadable == {**expected, "link.png": "is a link; put the picture in its place"}
    assert list(found) == ["xy.png", "yx.png"]
    assert read_labelled_images(tmp_path, skip_unreadable=True).texts == ["xy", "yx"]
    assert capsys.readouterr().out.count("left out: ") == 2


def test_texts_keep_their_zeros_and_any_characters(tmp_path):
    for name in ("a.png", "b.png"):
        drawn_strings.picture("xy").save(tmp_path / name)
    rows = [("a.png", "0012"), ("b.png", '汉é,"')]
    labels = drawn_strings.write_labels(tmp_path / "labels.csv", rows)
    images = read_labelled_images(tmp_path, labels)
    assert images.texts == ["0012", '汉é,"']
    assert images.alphabet == '",012é汉'


def test_labels_in_the_encoding_and_with_the_delimiter_that_are_named(tmp_path):
    for name in ("a.png", "b.png"):
        drawn_strings.picture("xy").save(tmp_path / name)
    (tmp_path / "labels.csv").write_bytes("file|text\na.png|\u00e9x\nb.png|x;\n".encode("cp850"))
    images = read_labelled_images(
        tmp_path, tmp_path / "labels.csv", encoding="cp850", delimiter="|"
    )
    assert images.texts == ["\u00e9x", "x;"]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, [255]),
        ("L", 77, [77]),
        ("RGB", (1, 2, 3), [1, 2, 3]),
        ("RGBA", (0, 0, 0, 0), [255, 255, 255]),
        ("RGBA", (9, 8, 7, 255), [9, 8, 7]),
        ("LA", (0, 0), [255, 255, 255]),
        ("P", (9, 8, 7), [9, 8, 7]),
        ("I;16", 20000, [78]),
    ],
)
def test_kinds_of_pixels(tmp_path, mode, colour, expected):
    Image.new(mode, (3, 2), colour).save(tmp_path / "xy.png")
    images = read_labelled_images(tmp_path)
    np.testing.assert_array_equal(images.pixels, np.full((1, 2, 3, len(expected)), expected))


def test_gray_beside_colours_and_gray_for_a_model_of_colours(tmp_path):
    Image.new("L", (3, 2), 50).save(tmp_path / "xy.png")
    assert read_labelled_images(tmp_path).pixels.shape == (1, 2, 3, 1)
    assert read_labelled_images(tmp_path, shape=(2, 3, 3)).pixels.tolist()[0][0][0] == [50, 50, 50]
    Image.new("RGB", (3, 2), (1, 2, 3)).save(tmp_path / "yx.png")
    pixels = read_labelled_images(tmp_path).pixels
    assert pixels[0, 0, 0].tolist() == [50, 50, 50]
    assert pixels[1, 0, 0].tolist() == [1, 2, 3]


def test_pictures_of_several_sizes_are_scaled_and_padded_and_a_line_says_so(tmp_path, capsys):
    """A square of ink on gray keeps its place in the middle and its shape; the margin is gray."""
    for name, width, height in (("xx.png", 60, 20), ("xy.png", 40, 20), ("yy.png", 30, 30)):
        pixels = np.full((height, width), 90, "uint8")
        top, left = height // 4, width // 2 - height // 4
        pixels[top : height - top, left : left + height // 2] = 250
        Image.fromarray(pixels).save(tmp_path / name)
    images = read_labelled_images(tmp_path)
    assert capsys.readouterr().out == (
        "pictures of 3 sizes, from 30 x 30 to 60 x 20, are scaled and padded to 60 x 20\n"
    )
    assert images.pixels.shape == (3, 20, 60, 1)
    for picture in images.pixels[..., 0]:
        assert (picture[6:14, 26:34] > 240).all()
        assert (picture[:, :23] == 90).all()
        assert (picture[:3] == 90).all()
    # For a model of another size, one or several.
    assert read_labelled_images(tmp_path, shape=(10, 20, 3)).pixels.shape == (3, 10, 20, 3)
    assert "to 60 x 20, are scaled and padded to 20 x 10\n" in capsys.readouterr().out
    for name in ("xx.png", "yy.png"):
        (tmp_path / name).unlink()
    read_labelled_images(tmp_path, shape=(10, 20, 3))
    assert capsys.readouterr().out == "pictures of 40 x 20 are scaled and padded to 20 x 10\n"


def test_one_wide_picture_among_many_does_not_make_all_wide():
    images = [Image.new("L", (40, 20))] * 39 + [Image.new("L", (400, 20))]
    assert common_size(images) == (40, 20)


def test_jpeg_is_read(tmp_path):
    Image.new("RGB", (8, 8), (200, 10, 10)).save(tmp_path / "xy.JPG", quality=95)
    pixels = read_labelled_images(tmp_path).pixels
    assert np.abs(pixels.astype(int) - [200, 10, 10]).max() <= 3


def test_unreadable_pictures_are_named_and_left_out_on_request(folder, capsys):
    (folder / "007.png").write_bytes(b"no picture")
    (folder / "009.png").write_bytes((folder / "009.png").read_bytes()[:60])
    message = (
        r"007\.png cannot be read \(not a PNG or JPEG\) \(and 1 more\); mend or remove "
        r"it, or go on without it with --skip-unreadable"
    )
    with pytest.raises(UserError, match=message):
        read_labelled_images(folder, labels_of(folder))
    images = read_labelled_images(folder, labels_of(folder), skip_unreadable=True)
    assert len(images) == 43
    assert not {"007.png", "009.png"} & set(images.names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "left out: 007.png cannot be read (not a PNG or JPEG)"
    assert printed[1].startswith("left out: 009.png cannot be read (")
    assert len(printed) == 2


def mistake(folder, case):
    """Makes one mistake in good pictures, and says what the one line has to say."""
    labels = labels_of(folder)
    rows = [(name, text) for name, text, _ in drawn_strings.strings(45)]
    given = {"images": folder, "labels": labels}
    if case == "no picture":
        (folder.parent / "empty").mkdir()
        (folder.parent / "empty" / "notes.txt").write_text("hello")
        return {"images": folder.parent / "empty"}, r"empty holds no readable picture; expected "
    if case == "none readable":
        (folder.parent / "broken").mkdir()
        (folder.parent / "broken" / "a.png").write_bytes(b"x")
        return (
            {"images": folder.parent / "broken", "skip_unreadable": True},
            r"broken holds no readable picture.*: a\.png cannot be read \(not a PNG or JPEG\)",
        )
    if case == "missing folder":
        return {"images": folder / "none"}, r"none does not exist; check the path"
    if case == "no archive":
        return {"images": labels}, r"pictures\.csv is neither a folder nor a whole tar archive; "
    if case == "name without text":
        drawn_strings.picture("xy").save(folder / "_1.png")
        return {"images": folder}, r"pictures: the name of _1\.png holds no text before the unders"
    if case == "label without picture":
        drawn_strings.write_labels(labels, [*rows, ("900.png", "xy")])
        return given, r"labels without a picture: 900\.png; add the pictures or remove the rows"
    if case == "picture without label":
        drawn_strings.write_labels(labels, rows[5:])
        return given, r"no label for these pictures: 000.png, 001.png, 002.png and 2 more; add r"
    if case == "missing labels":
        return {**given, "labels": folder / "none.csv"}, r"none\.csv does not exist; check the"
    if case == "empty labels":
        labels.write_text("")
        return given, r"pictures\.csv is empty; expected the columns file and text"
    if case == "labels of another kind":
        return {**given, "labels": labels.rename(folder.parent / "labels.xls")}, r"no known format"
    if case == "missing column":
        drawn_strings.write_labels(labels, rows, header=("file", "word"))
        return given, r"has no column 'text'; it has 'file', 'word': name the columns file and te"
    if case == "header alone":
        drawn_strings.write_labels(labels, [])
        return given, r"pictures\.csv has a header but no rows; expected one picture per row"
    if case == "empty text":
        drawn_strings.write_labels(labels, [("000.png", ""), *rows[1:]])
        return given, r"pictures\.csv, row 1: the text is empty; fill it in or remove the row"
    if case == "empty cells":
        drawn_strings.write_labels(labels, [("000.png", ""), *rows[1:9], ("", "xy")])
        return given, r"pictures\.csv, row 1: the text is empty \(and in 1 more\); fill it in"
    if case == "half a character":
        lines = '{"file": "a.png", "text": "xy"}\n{"file": "000.png", "text": "x\\ud83d"}'
        (folder.parent / "labels.jsonl").write_text(lines)
        return {**given, "labels": folder.parent / "labels.jsonl"}, r"labels\.jsonl.*(half|surrog)"
    if case == "two names of one picture":
        drawn_strings.write_labels(labels, [*rows, ("pictures/000.png", "??")])
        return (
            {**given, "images": folder.parent},
            r"000\.png is '\?\?' as pictures/000\.png and 'z\w' in an earlier row; keep the right",
        )
    if case == "empty file name":
        drawn_strings.write_labels(labels, [("", "xy"), *rows[1:]])
        return given, r"pictures\.csv, row 1: the file is empty; fill it in"
    if case == "two texts":
        drawn_strings.write_labels(labels, [*rows, ("000.png", "??")])
        return given, r"row 46: 000\.png is '\?\?' here and 'z\w' above; keep the right one"
    if case == "one character":
        drawn_strings.write_labels(labels, [(name, "xx") for name, _ in rows])
        return given, r"the only character is 'x'; give strings of at least two"
    if case == "too few":
        few = drawn_strings.write_folder(folder.parent / "few", 3)
        return dict(zip(("images", "labels"), few, strict=True)), r"few has too few pictures to s"
    if case == "test takes all":
        return {**given, "test_last": 44}, r"--test-last .* expected 1 to 43, received 44"
    if case == "test takes none":
        return {**given, "test_last": 0}, r"--test-last .* expected 1 to 43, received 0"
    if case == "character of the test alone":
        drawn_strings.write_labels(labels, [*rows[:44], (rows[44][0], "xQ")])
        return (
            {**given, "test_last": 5},
            r"the character 'Q' of the test picture 044\.png \(xQ\) is in no picture to learn from",
        )
    if case == "test of another length":
        other = folder.parent / "other"
        other.mkdir()
        drawn_strings.picture("xy").save(other / "xyz.png")
        return {**given, "test_images": other}, (
            r"other: the string of xyz\.png is 'xyz', 3 characters; the reader reads strings of 2"
        )
    if case == "drawn and given":
        return {**given, "lengths": "3-7"}, r"--lengths is for pictures that are drawn: leave it "
    if case == "lengths of digits":
        return {"lengths": "3-7"}, "--lengths needs --letters: strings of digits are of four"
    if case == "lengths that are none":
        return {"letters": True, "lengths": "7-3"}, r"--lengths must be .*, such as 3-7. Received: "
    if case == "no pictures":
        return {"letters": True, "pictures": 0}, "`pictures` must be a positive integer. Received"
    if case == "labels alone":
        return {"labels": labels}, r"--labels needs --images: give both, or none"
    if case == "last without pictures":
        return {"test_last": 4}, r"--test-last needs --images: give both, or none"
    if case == "skipping nothing":
        return {"skip_unreadable": True}, r"--skip-unreadable needs --images: give both, or none"
    if case == "encoding of no labels":
        return {"images": folder, "encoding": "utf-8"}, "--encoding needs --labels: it says how"
    if case == "delimiter of no table":
        rows_of_json = "".join(f'{{"file": "{name}", "text": "{text}"}}\n' for name, text in rows)
        (folder.parent / "labels.jsonl").write_text(rows_of_json)
        given = {"images": folder, "labels": folder.parent / "labels.jsonl", "delimiter": ";"}
        return given, r"--delimiter says nothing about .*labels\.jsonl, which has none; leave it"
    if case == "test labels alone":
        return {**given, "test_labels": labels}, r"--test-labels needs --test-images: give both"
    if case == "two tests":
        return {**given, "test_last": 4, "test_images": folder}, r"--test-last and --test-images "
    raise AssertionError(case)


MISTAKES = [
    "no picture",
    "none readable",
    "missing folder",
    "no archive",
    "name without text",
    "label without picture",
    "picture without label",
    "missing labels",
    "empty labels",
    "labels of another kind",
    "missing column",
    "header alone",
    "empty text",
    "empty cells",
    "half a character",
    "two names of one picture",
    "empty file name",
    "two texts",
    "one character",
    "too few",
    "test takes all",
    "test takes none",
    "character of the test alone",
    "test of another length",
    "drawn and given",
    "lengths of digits",
    "lengths that are none",
    "no pictures",
    "labels alone",
    "last without pictures",
    "skipping nothing",
    "encoding of no labels",
    "delimiter of no table",
    "test labels alone",
    "two tests",
]


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(folder, case):
    given, message = mistake(folder, case)
    with pytest.raises(UserError, match=message) as raised:
        read_images(**given)
    assert "\n" not in str(raised.value)


def test_the_last_pictures_are_the_test(folder):
    training, validation, test = read_images(folder, labels_of(folder), test_last=5)
    assert test.names == [f"{number:03}.png" for number in range(40, 45)]
    assert len(validation) == 4
    assert sorted([*training.names, *validation.names, *test.names]) == [
        f"{number:03}.png" for number in range(45)
    ]


def test_a_test_set_of_its_own_has_the_shape_of_the_training(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    drawn_strings.picture("zy").convert("RGB").resize((32, 20)).save(other / "zy.png")
    _, _, test = read_images(folder, labels_of(folder), test_images=other)
    assert test.texts == ["zy"]
    assert test.pixels.shape == (1, 10, 16, 1)


def test_the_split_depends_on_the_pictures_alone(folder):
    images = read_labelled_images(folder, labels_of(folder))
    _, chosen = images.split(0.2, "test")
    assert len(chosen) == 9
    backwards = images.take(range(44, -1, -1))
    assert sorted(backwards.split(0.2, "test")[1].names) == sorted(chosen.names)
    assert images.split(0.2, "validation")[1].names != chosen.names
    twice = images.take([*range(45), *range(45)])
    kept, split_off = twice.split(0.2, "test")
    assert not set(kept.names) & set(split_off.names)


def test_to_array_keeps_one_row_of_pixels():
    assert image_files.to_array([Image.new("L", (1, 1), 9)]).tolist() == [[[[9]]]]
