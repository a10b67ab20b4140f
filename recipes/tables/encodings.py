"""Bytes to text: which encoding a file is in, and what was taken where it is not UTF-8."""

import codecs
import pathlib
import re
import sys

import charset_normalizer

from recipes.runs.failures import UserError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What spreadsheets and older programs write. Among all of Python's a few words fit too many; where
# several fit equally well, the first is taken. cp932 is Windows's Shift-JIS.
_CANDIDATES = (
    *("gb18030", "cp932", "cp949", "big5", "euc_jp"),
    *("cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256"),
)
_OTHER_FILES = {
    b"PK\x03\x04": (
        "is a zip archive or a spreadsheet",
        "unpack it and name the file inside, or save the spreadsheet as CSV",
    ),
    b"PAR1": ("is a Parquet file", "name it .parquet"),
    b"%PDF": ("is a PDF", "give its text as a table"),
    b"\x89PNG": ("is a picture", "name a file of texts"),
    b"\xd0\xcf\x11\xe0": ("is an old Office file", "save it as CSV"),
}
_SAMPLE = 100_000


def decode(path: pathlib.Path, content: bytes, encoding: str | None = None) -> str:
    """The text of a file. Where it is not UTF-8, a line on standard error says what was taken.

    Args:
        path: The file, for messages.
        content: Its bytes.
        encoding: What it is written in; `None` finds it out.

    Raises:
        UserError: If the file is no text, or its encoding another, or cannot be told.
    """
    if encoding is not None:
        return _forced(path, content, encoding)
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            return _forced(path, content, name)
    for beginning, (kind, advice) in _OTHER_FILES.items():
        if content.startswith(beginning):
            raise UserError(f"{path} {kind}, no text; {advice}")
    if content.count(0) * 20 > len(content):
        # UTF-16 without its mark: the zeros are the upper bytes of Latin letters and line ends.
        name = "utf-16-le" if content[1::2].count(0) > content[::2].count(0) else "utf-16-be"
    else:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            _require_another(path, content, error)
        name = _most_probable(path, content)
    text = _forced(path, content, name)
    print(
        f"{path} is not UTF-8: read as {name}; if that is wrong, name the right one with "
        "--encoding (encoding=)",
        file=sys.stderr,
    )
    return text


def _forced(path: pathlib.Path, content: bytes, encoding: str) -> str:
    try:
        is_utf8 = codecs.lookup(encoding).name == "utf-8"
        return content.decode("utf-8-sig" if is_utf8 else encoding).removeprefix("\ufeff")
    except LookupError:
        raise UserError(
            f"there is no encoding {encoding!r}; expected a name such as utf-8, utf-16, gb18030, "
            "shift_jis or cp1252"
        ) from None
    except UnicodeError as error:
        line = content.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise UserError(
            f"{path}, line {line}: not {encoding}; name another encoding with --encoding "
            "(encoding=)"
        ) from None


def _require_another(path: pathlib.Path, content: bytes, error: UnicodeDecodeError) -> None:
    """Raises `UserError` for a damaged file in UTF-8, which another encoding would make garbage."""
    characters = re.findall(r"[^\0-\x7f]", content.decode("utf-8", "replace"))
    damaged = characters.count("\ufffd")
    if damaged * 10 <= len(characters) or damaged < min(5, len(characters) - damaged):
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: a character is damaged, the others are UTF-8; mend the line or "
            "name another encoding with --encoding (encoding=)"
        )


def _most_probable(path: pathlib.Path, content: bytes) -> str:
    # Lines in ASCII say nothing, and there may be few others.
    telling = b"\n".join(line for line in content.split(b"\n") if not line.isascii())
    # Cut at the end of a line: half a character fits no encoding.
    telling = telling[: telling.find(b"\n", _SAMPLE) + 1] or telling
    matches = [
        match
        for match in charset_normalizer.from_bytes(telling, cp_isolation=list(_CANDIDATES))
        if _fits(content, match.encoding)
    ]
    if not matches:
        raise UserError(
            f"{path} is neither UTF-8 nor in another known encoding; if it is a text, name its "
            "encoding with --encoding (encoding=)"
        )
    best = min((match.chaos, -match.coherence) for match in matches)
    names = {
        name
        for match in matches
        if (match.chaos, -match.coherence) == best
        for name in (match.encoding, *match.could_be_from_charset)
        if _fits(content, name)
    }
    return next((name for name in _CANDIDATES if name in names), matches[0].encoding)


def _fits(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeError:
        return False
    return True
