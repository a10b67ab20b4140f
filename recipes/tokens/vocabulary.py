"""Texts to token ids: tokens, the vocabulary of the training texts, padded arrays of ids."""

import collections
import functools
import re
import unicodedata
import zlib
from collections.abc import Iterable, Sequence

import numpy
import snowballstemmer

from recipes.tokens.texts import whole_characters

PADDING_ID = 0
UNKNOWN_ID = 1


@functools.cache
def _marks() -> str:
    """The marks that belong to the letter before them, and what joins letters, as a set of `re`.

    Python counts them as no part of a word: Hindi, Thai or Arabic vowels would cut it to pieces.
    """
    points = [*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0)]
    marks = [0x200C, 0x200D]
    marks += [point for point in points if unicodedata.category(chr(point)).startswith("M")]
    starts = [
        point for point, before in zip(marks, [-1, *marks], strict=False) if point != before + 1
    ]
    ends = [
        point for point, after in zip(marks, [*marks[1:], -1], strict=True) if after != point + 1
    ]
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in zip(starts, ends, strict=True))


@functools.cache
def _pattern(kind: str, is_ascii: bool) -> re.Pattern[str]:
    """What a token is; in ASCII, most of many corpora, there are no marks."""
    marks = "" if is_ascii else f"[{_marks()}]*"
    word = r"\w+" if is_ascii else rf"\w[\w{_marks()}]*"
    patterns = {"cased": word, "words": rf"{word}|[^\w\s]{marks}", "characters": rf"\S{marks}"}
    return re.compile(patterns[kind])


# Bounded: files of vectors have millions of words.
_stem = functools.lru_cache(2**17)(snowballstemmer.stemmer("english").stemWord)

TOKEN_KINDS = ("words", "stems", "characters")
"""Those for telling texts apart; `cased` is for writing them."""


def split_tokens(text: str, kind: str) -> list[str]:
    """The tokens of a text, in lower case but for `cased`.

    Letters count alike however their accents are written (NFC), and marks belong to their letter.

    Args:
        text: Any text.
        kind: `words` (a punctuation mark is a word), `stems` (words without their English endings,
            so that "parsing" is "parse"), `characters` (for languages that put no spaces between
            words) or `cased` (words as they are written, without punctuation marks).
    """
    if kind == "stems":
        return [_stem(word) for word in split_tokens(text, "words")]
    text = whole_characters(text if kind == "cased" else text.lower())
    text = unicodedata.normalize("NFC", text)
    return _pattern(kind, text.isascii()).findall(text)


def build_vocabulary(
    texts: Iterable[str], kind: str, *, size: int, minimum_count: int = 1
) -> list[str]:
    """The most frequent tokens of the training texts, by falling frequency.

    Args:
        texts: The training texts.
        kind: As in `split_tokens`.
        size: The largest number of ids, the ids for padding and for unknown tokens included.
        minimum_count: Rarer tokens are unknown.

    Returns:
        The token of each id; ids 0 and 1 stand for padding and for every unknown token.
    """
    counts = collections.Counter(token for text in texts for token in split_tokens(text, kind))
    # Equally frequent tokens in alphabetical order: the vocabulary depends on the texts alone.
    frequent = sorted(
        (token for token, count in counts.items() if count >= minimum_count),
        key=lambda token: (-counts[token], token),
    )
    return ["", "[unknown]", *frequent[: size - 2]]


class TokenIds:
    """Turns texts into token ids.

    Args:
        vocabulary: The token of each id, from `build_vocabulary`.
        kind: As in `split_tokens`.
        longest: Tokens of a text beyond this number are dropped: they cost time and say little.
            `None` keeps them all.
        buckets: Unknown tokens get this many ids of their own, after those of the vocabulary, by
            a hash: a name that training never showed is still the same name in two texts. With 0,
            all unknown tokens are one.
    """

    def __init__(
        self, vocabulary: Sequence[str], kind: str, longest: int | None = 200, buckets: int = 0
    ) -> None:
        self._kind = kind
        self._longest = longest
        self._first_bucket = len(vocabulary)
        self._buckets = buckets
        self._id_of_token = {token: index for index, token in enumerate(vocabulary) if index > 1}

    def __call__(self, text: str) -> list[int]:
        """The ids of one text."""
        tokens = split_tokens(text, self._kind)[: self._longest]
        return [self._id_of_token.get(token) or self._id_of_unknown(token) for token in tokens]

    def _id_of_unknown(self, token: str) -> int:
        if not self._buckets:
            return UNKNOWN_ID
        return self._first_bucket + zlib.crc32(token.encode()) % self._buckets


def pad(sequences: Sequence[Sequence[int]], multiple: int = 8) -> numpy.ndarray:
    """One array of sequences of different lengths, 0 where a sequence has ended.

    Args:
        sequences: Token ids.
        multiple: The width is rounded up to a multiple of this: each width is compiled anew.
    """
    longest = max((len(sequence) for sequence in sequences), default=0)
    width = max(1, -(-longest // multiple)) * multiple
    padded = numpy.full((len(sequences), width), PADDING_ID, dtype="int32")
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded
