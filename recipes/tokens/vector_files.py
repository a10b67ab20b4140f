"""Word vectors that others have trained, from a file or a package, for a vocabulary."""

import contextlib
import gzip
import logging
import os
import pathlib
import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy

from recipes.runs.failures import UserError
from recipes.tables.delimited import listed
from recipes.tokens.vocabulary import split_tokens

WORDLLAMA = "wordllama"
"""Not a file but the package of that name, whose wheel carries its vectors."""
_SHORTEST_BEGINNING = 3
_LONGEST_ROW = 2**20
"""Bytes. A vector of 300 numbers takes about 3,000."""
_LARGEST = float(numpy.finfo("float32").max)
_LONGEST_COUNT = 9
"""Digits of the numbers in a header."""
_MOST_LEFT_OUT = 0.01
"""Of the rows: where more are no word, it is another kind of file."""
_ADVICE = "name a text file of vectors, with a word and its numbers in each row (.vec, .txt)"


def require_source(name: str, value: Any) -> None:
    """Raises `UserError` unless `value` is `None` or may name a source of vectors."""
    if value is not None and not isinstance(value, str | os.PathLike):
        raise UserError(
            f"`{name}` must be None, a path or {WORDLLAMA!r}. Received: {name}={value!r}."
        )


def initial_vectors(
    source: str | os.PathLike[str], vocabulary: Sequence[str], kind: str, scale: float
) -> numpy.ndarray:
    """Vectors of a vocabulary for an embedding to start from.

    Args:
        source: A file as `read_vectors` takes it, or `"wordllama"`, the package.
        vocabulary: The token of each id; 0 stands for padding and 1 for unknown tokens.
        kind: How texts are split into tokens, as in `split_tokens`.
        scale: The root of the mean square of the numbers, whatever it is in the source.

    Returns:
        (tokens, length), float32; zeros where the source says nothing of a token.

    Raises:
        UserError: If the source cannot be read or knows no token.
    """
    read = _wordllama_vectors if source == WORDLLAMA else read_vectors
    vectors = read(source, vocabulary, kind)
    is_known = vectors.any(axis=1)
    if not is_known.any():
        raise UserError(
            f"{os.fspath(source)} knows none of the {len(vocabulary) - 2} different {kind} of the "
            f"texts, such as {', '.join(map(repr, vocabulary[2:5]))}; name vectors of that language"
        )
    # Squares of float32 may be infinite, or 0.
    vectors = vectors.astype("float64")
    root = numpy.sqrt(numpy.square(vectors[is_known]).mean())
    return (vectors * (scale / root)).astype("float32")


def read_vectors(
    path: str | os.PathLike[str], vocabulary: Sequence[str], kind: str
) -> numpy.ndarray:
    """The vectors that a text file has for a vocabulary.

    In each row stand a word and its numbers, with spaces between them, as fastText (.vec) and GloVe
    (.txt) write them; a first row of two whole numbers, how many words and how many numbers, may
    be there or not, and the file may be gzipped. A token that is no word of the file has the vector
    of its longest beginning, of three characters at least, that is one. Spelled in another case
    counts where a token is not there as it is spelled; of several rows the first.

    The file is read row by row, and what no token needs is forgotten at once: of such rows it is
    known only how many numbers they have. Rows whose word is empty, has a number after a space in
    it, or is not UTF-8 are left out, and a message names them; more than one in a hundred of them
    are an error.

    Args:
        path: The file, in UTF-8.
        vocabulary: The token of each id; 0 stands for padding and 1 for unknown tokens.
        kind: How texts are split into tokens, as in `split_tokens`.

    Returns:
        (tokens, numbers), float32; zeros for padding, unknown tokens and those without a vector.

    Raises:
        UserError: If the file cannot be read, or a row is none.
    """
    wanted = {part for token in vocabulary[2:] for part in _beginnings(token)}
    as_spelled: dict[str, numpy.ndarray] = {}
    otherwise: dict[str, numpy.ndarray] = {}
    width = 0
    for place, word, numbers in _rows(pathlib.Path(path)):
        width = width or len(_vector(place, numbers))
        tokens = split_tokens(word, kind)
        if len(tokens) == 1 and tokens[0] in wanted:
            found = as_spelled if tokens[0] == word else otherwise
            if tokens[0] not in found:
                found[tokens[0]] = _vector(place, numbers)
    if not width:
        raise UserError(f"{os.fspath(path)} holds no vector; {_ADVICE}")
    known = otherwise | as_spelled
    vectors = numpy.zeros((len(vocabulary), width), "float32")
    for row, token in zip(vectors[2:], vocabulary[2:], strict=True):
        row[:] = next((known[part] for part in _beginnings(token) if part in known), 0)
    return vectors


def _beginnings(token: str) -> list[str]:
    """The token and its beginnings, the longest first."""
    return [token, *(token[:end] for end in range(len(token) - 1, _SHORTEST_BEGINNING - 1, -1))]


def _rows(path: pathlib.Path) -> Iterator[tuple[str, str, list[bytes]]]:
    """For each row its place, its word and its numbers, as many in each."""
    width = None
    is_first = True
    rows = 0
    left_out: list[str] = []
    mistake = ""
    with _opened(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_ROW), b""), 1):
            place = f"{path}, row {number}"
            if len(line) == _LONGEST_ROW:
                raise UserError(f"{place} has no end within {_LONGEST_ROW:,} bytes; {_ADVICE}")
            # Bytes are split at plain spaces only: words have others inside.
            fields = line.removeprefix(b"\xef\xbb\xbf").split()
            if not fields:
                continue
            is_header = is_first and len(fields) == 2 and all(map(_is_count, fields))
            is_first = False
            if is_header:
                width = int(fields[1])
                continue
            rows += 1
            width = len(fields) - 1 if width is None else width
            # GloVe has words such as ". . .".
            words = fields[: max(1, len(fields) - width)]
            if not width:
                raise UserError(f"{place} has no numbers after its first word; {_ADVICE}")
            has_no_word = len(fields) == width and line[:1].isspace()
            if has_no_word or any(map(_is_number, words[1:])):
                left_out.append(f"row {number}")
                mistake = mistake or _of_another_width(place, fields, width)
            elif len(fields) <= width:
                raise UserError(_of_another_width(place, fields, width))
            else:
                try:
                    yield place, b" ".join(words).decode(), fields[len(words) :]
                except UnicodeDecodeError:
                    left_out.append(f"row {number}")
                    mistake = mistake or f"{place} is not UTF-8; {_ADVICE}, in UTF-8"
    if len(left_out) > _MOST_LEFT_OUT * rows:
        raise UserError(mistake)
    if left_out:
        print(f"{path}: left out, not a word: {listed(left_out)}", file=sys.stderr)


def _of_another_width(place: str, fields: Sequence[bytes], width: int) -> str:
    return (
        f"{place} has {len(fields) - 1} numbers, where {width} should be; correct it, or {_ADVICE}"
    )


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The file, unpacked if it is gzipped; one line where it cannot be read to its end."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
            file.seek(0)
            if start == b"PK\x03\x04":
                raise UserError(f"{path} is a zip archive; unpack it and name the file inside")
            if start[:2] == b"\x1f\x8b":
                with gzip.open(file) as unpacked:
                    yield unpacked
            else:
                yield file
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {_ADVICE}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UserError(f"{path} is a damaged gzip file; fetch it again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {_ADVICE}") from None


def _vector(place: str, numbers: Sequence[bytes]) -> numpy.ndarray:
    others = [each for each in numbers if not _is_number(each)]
    if others:
        raise UserError(
            f"{place} has {others[0][:40].decode(errors='replace')!r} where a number must be; "
            f"correct it, or {_ADVICE}"
        )
    return numpy.array([float(each) for each in numbers], "float32")


def _is_count(field: bytes) -> bool:
    return field.isdigit() and len(field) <= _LONGEST_COUNT


def _is_number(field: bytes) -> bool:
    try:
        # Python reads 1_0 as 10.
        return abs(float(field)) <= _LARGEST and b"_" not in field
    except ValueError:
        return False


def _wordllama_vectors(
    source: str | os.PathLike[str], vocabulary: Sequence[str], kind: str
) -> numpy.ndarray:
    """The mean of the vectors of a token's parts, as the installed package cuts it."""
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    try:
        import wordllama
    except ModuleNotFoundError:
        raise UserError(
            'the vectors of wordllama need a package: pip install "keras-ce[vectors]"'
        ) from None
    # To import it is to log whatever any library has to say.
    root.handlers[:] = handlers
    root.setLevel(level)
    # Its wheel has the tokenizer where it looks in a cache, and fetches it where it does not.
    model = wordllama.WordLlama.load(
        cache_dir=pathlib.Path(wordllama.__file__).parent, disable_download=True
    )
    vectors = model.embed(list(vocabulary))
    vectors[:2] = 0
    return vectors
