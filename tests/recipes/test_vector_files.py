"""Word vectors from files: what a token gets, what is not kept, and one line for a bad file."""

import gzip
import logging
import pathlib
import re
import sys
import tracemalloc

import numpy as np
import pytest
from backends import default_backend_only

from recipes.runs.failures import UserError
from recipes.tokens.vector_files import initial_vectors, read_vectors
from recipes.tokens.vocabulary import build_vocabulary

pytestmark = default_backend_only

VECTORS = {
    "the": [0.5, -1.25, 3e-3],
    "cat": [1, 2, 3],
    "Parse": [-1, 0.25, 7],
    "Dog": [9, 9, 9],
    "dog": [4, 5, 6],
    ". . .": [8, 8, 8],
    "café": [0.125, 2, -2],
    "ca": [7, 7, 7],
    "o'clock": [6, 6, 6],
}
VOCABULARY = ["", "[unknown]", "dog", "the", "cats", "café", "parse", "parsed", "cab", "o"]
EXPECTED = [None, None, "dog", "the", "cat", "café", "Parse", "Parse", None, None]


def write(path, vectors=VECTORS, *, header="", end="\n"):
    rows = [" ".join([word, *map(str, numbers)]) for word, numbers in vectors.items()]
    content = "".join(f"{row}{end}" for row in [*([header] if header else []), *rows])
    path.write_bytes(content.encode())
    return path


def test_a_token_gets_its_vector_or_that_of_its_longest_beginning(tmp_path):
    found = read_vectors(write(tmp_path / "some.txt"), VOCABULARY, "words")
    assert found.dtype == "float32"
    expected = [VECTORS.get(word, [0, 0, 0]) for word in EXPECTED]
    np.testing.assert_array_equal(found, np.array(expected, "float32"))


@pytest.mark.parametrize(
    "form", ["header", "late header", "spaces", "returns", "mark", "gzip", "decomposed", "PK"]
)
def test_forms_of_files(tmp_path, form):
    path = tmp_path / "some.vec"
    write(
        path,
        header="9 3" if form in ("header", "gzip") else "",
        end={"spaces": " \n\n", "returns": "\r\n"}.get(form, "\n"),
    )
    content = path.read_bytes()
    if form == "late header":
        path.write_bytes(b"\n \n9 3\n" + content)
    elif form == "PK":
        path.write_bytes(b"PKW 1 1 1\n" + content)
    elif form == "mark":
        path.write_bytes(b"\xef\xbb\xbf" + content)
    elif form == "gzip":
        path.write_bytes(gzip.compress(content))
    elif form == "decomposed":
        path.write_bytes(content.replace("é".encode(), b"e\xcc\x81"))
    found = read_vectors(path, VOCABULARY, "words")
    expected = read_vectors(write(tmp_path / "plain.txt"), VOCABULARY, "words")
    np.testing.assert_array_equal(found, expected)


def test_stems_and_characters(tmp_path):
    vectors = {"parsing": [1, 2], "parser": [3, 4], "happy": [5, 6], "猫": [7, 8], "猫が": [9, 9]}
    path = write(tmp_path / "some.vec", vectors)
    stems = build_vocabulary(["parsed happiness parsed"], "stems", size=9)
    assert stems[2:] == ["pars", "happi"]
    np.testing.assert_array_equal(read_vectors(path, stems, "stems")[2:], [[1, 2], [5, 6]])
    characters = build_vocabulary(["猫猫が"], "characters", size=9)
    np.testing.assert_array_equal(
        read_vectors(path, characters, "characters")[2:], [[7, 8], [0, 0]]
    )


def test_of_several_rows_the_first_as_spelled_counts(tmp_path):
    path = tmp_path / "some.txt"
    path.write_text("US 1 1\nUs 2 2\nus 3 3\nus 4 4\nMAY 5 5\nMay 6 6\n")
    found = read_vectors(path, ["", "[unknown]", "us", "may"], "words")
    np.testing.assert_array_equal(found[2:], [[3, 3], [5, 5]])


def test_what_no_token_needs_is_not_kept(tmp_path):
    path = tmp_path / "large.vec"
    with open(path, "w") as file:
        for number in range(20_000):
            file.write(f"word{number}x" + " 0.5" * 100 + "\n")
    tracemalloc.start()
    found = read_vectors(path, ["", "[unknown]", "word19999x"], "words")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.shape == (3, 100)
    assert (found[2] == 0.5).all()
    assert most < 1_000_000  # of 8,000,000 in the file


def test_numbers_are_scaled_and_unknown_tokens_stay_zeros(tmp_path):
    path = write(tmp_path / "some.txt")
    found = initial_vectors(path, VOCABULARY, "words", 0.1)
    raw = read_vectors(path, VOCABULARY, "words")
    known = found.any(axis=1)
    assert known.tolist() == [word is not None for word in EXPECTED]
    assert np.sqrt((found[known] ** 2).mean()) == pytest.approx(0.1)
    np.testing.assert_allclose(found / found[3, 0], raw / raw[3, 0], rtol=1e-5)


@pytest.mark.parametrize("size", [1e20, 3e38, 1e-30, 1e-44])
def test_numbers_may_be_of_any_size(tmp_path, size):
    path = write(tmp_path / "some.txt", {"dog": [size, size / 2], "the": [0, -size]})
    found = initial_vectors(path, VOCABULARY, "words", 0.1)
    assert found.dtype == "float32"
    numbers = np.array([[size, size / 2], [0, -size]], "float32").astype("float64")
    expected = numbers / np.sqrt((numbers**2).mean()) * 0.1
    np.testing.assert_allclose(found[2:4], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "row",
    [b"caf\xc3 1 2", b" 3 4", b"no. 1 3 4"],
    ids=["half a character", "no word", "a number in the word"],
)
def test_a_few_rows_without_a_word_are_left_out_and_named(tmp_path, capsys, row):
    path = tmp_path / "some.vec"
    rows = [b"dog 5 6", *[b"word 1 2"] * 98]
    path.write_bytes(b"\n".join([*rows, row]))
    found = read_vectors(path, ["", "[unknown]", "dog", "no"], "words")
    np.testing.assert_array_equal(found[2:], [[5, 6], [0, 0]])
    assert capsys.readouterr().err == f"{path}: left out, not a word: row 100\n"
    path.write_bytes(b"\n".join([*rows, row, row]))
    with pytest.raises(UserError, match="some.vec, row 100 (has|is not UTF-8)"):
        read_vectors(path, ["", "[unknown]", "dog"], "words")


BAD = {
    "none": (None, "some.vec does not exist; name a text file of vectors"),
    "empty": (b"", "some.vec holds no vector; name"),
    "header alone": (b"3 2\n", "some.vec holds no vector; name"),
    "cut row": (b"a 1 2\nb 1\n", "some.vec, row 2 has 1 numbers, where 2 should be; correct it"),
    "longer row": (b"a 1 2\nb 1 2 3\n", "some.vec, row 2 has 3 numbers, where 2 should be"),
    "other header": (b"2 3\na 1 2\n", "some.vec, row 2 has 2 numbers, where 3 should be"),
    "words alone": (b"a\nb\n", "some.vec, row 1 has no numbers after its first word; name"),
    "header of nothing": (b"2 0\na 1\n", "some.vec, row 2 has no numbers after its first word"),
    "prose": (b"the cat sat\n", "some.vec, row 1 has 'cat' where a number must be"),
    "no number": (b"a 1 2\nthe 1 2,5\n", "some.vec, row 2 has '2,5' where a number must be"),
    "infinite": (b"a 1 2\nthe inf 2\n", "some.vec, row 2 has 'inf' where a number must be"),
    "long count": (b"2 " + b"9" * 5000 + b"\n", f"row 1 has '{'9' * 40}' where a number must be"),
    "underscore": (b"a 1 2\nthe 1_0 2\n", "some.vec, row 2 has '1_0' where a number must be"),
    "too large": (b"a 1 2\nthe 1e99 2\n", "some.vec, row 2 has '1e99' where a number must"),
    "latin": ("a 1 2\né 1 2\n".encode("cp1252"), "some.vec, row 2 is not UTF-8; name"),
    "binary": (bytes(2**20), "some.vec, row 1 has no end within 1,048,576 bytes; name"),
    "zip": (b"PK\x03\x04" + bytes(99), "some.vec is a zip archive; unpack it"),
    "cut gzip": (gzip.compress(b"a 1 2\n" * 999)[:-9], "some.vec is a damaged gzip file; fetch"),
    "other gzip": (b"\x1f\x8b" + bytes(99), "some.vec is a damaged gzip file; fetch"),
    "strangers": (
        b"le 1 2\nchat 1 2\n",
        "some.vec knows none of the 8 different words of the texts, such as 'dog', 'the', 'cats'",
    ),
    "zeros": (b"dog 0 0\n", "some.vec knows none of the 8 different words of the texts"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_line(tmp_path, name):
    content, message = BAD[name]
    if content is not None:
        (tmp_path / "some.vec").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        initial_vectors(tmp_path / "some.vec", VOCABULARY, "words", 1.0)
    assert "\n" not in str(raised.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\); name a text file"):
        read_vectors(tmp_path, VOCABULARY, "words")


class TestWordllama:
    def test_a_token_is_the_mean_of_its_parts(self):
        wordllama = pytest.importorskip("wordllama", reason="needs the extra vectors")
        safetensors = pytest.importorskip("safetensors.numpy")
        tokenizers = pytest.importorskip("tokenizers")
        folder = pathlib.Path(wordllama.__file__).parent
        (weights,) = folder.glob("weights/*.safetensors")
        (table,) = safetensors.load_file(weights).values()
        (config,) = folder.glob("tokenizers/*.json")
        tokenizer = tokenizers.Tokenizer.from_file(str(config))
        words = ["cat", "unhappiness", "猫"]
        found = initial_vectors("wordllama", ["", "[unknown]", *words], "words", 0.1)
        assert not found[:2].any()
        parts = [tokenizer.encode(word, add_special_tokens=False).ids for word in words]
        assert len(parts[1]) > 1
        expected = np.array([table[ids].astype("float32").mean(axis=0) for ids in parts])
        np.testing.assert_allclose(found[2:] / found[2, 0], expected / expected[0, 0], rtol=1e-3)

    def test_logging_stays_as_it_is(self, monkeypatch):
        """To import the package changes it, where nobody has set it up before."""
        pytest.importorskip("wordllama", reason="needs the extra vectors")
        for name in [name for name in sys.modules if name.split(".")[0] == "wordllama"]:
            monkeypatch.delitem(sys.modules, name)
        root = logging.getLogger()
        monkeypatch.setattr(root, "handlers", [])
        before = root.level
        initial_vectors("wordllama", ["", "[unknown]", "cat"], "words", 0.1)
        assert (root.handlers, root.level) == ([], before)

    def test_without_the_package_one_line_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "wordllama", None)
        with pytest.raises(UserError, match=r'pip install "keras-ce\[vectors\]"'):
            initial_vectors("wordllama", ["", "[unknown]", "cat"], "words", 0.1)
