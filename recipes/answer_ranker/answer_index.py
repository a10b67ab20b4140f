"""A faiss index over encoded answers, kept in a file and built anew when the answers change."""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Sequence

import faiss
import numpy

from recipes.runs.failures import UserError

EXACT_UP_TO = 100_000
"""Above this many answers, each vector takes a byte per coordinate, and a search looks only at the
part of them that is closest to the question."""

_SHARE_SEARCHED = 1 / 32
_CHUNK = 20_000


def build_index(chunks: Iterable[numpy.ndarray], count: int) -> faiss.Index:
    """An index for inner products.

    Args:
        chunks: The vectors, some at a time; the first chunk is what the coarse groups are fitted
            to where there are many.
        count: How many vectors there are altogether.
    """
    index = None
    for chunk in chunks:
        vectors = numpy.ascontiguousarray(chunk, dtype="float32")
        if index is None:
            size = vectors.shape[1]
            if count <= EXACT_UP_TO:
                index = faiss.IndexFlatIP(size)
            else:
                groups = min(int(2 * count**0.5), len(vectors) // 39)  # faiss wants 39 per group
                index = faiss.index_factory(size, f"IVF{groups},SQ8", faiss.METRIC_INNER_PRODUCT)
                index.train(vectors)
                index.nprobe = max(1, round(groups * _SHARE_SEARCHED))
        index.add(vectors)
    return index


def chunks_of(count: int) -> list[range]:
    """The numbers 0 to `count` - 1, a chunk at a time."""
    # Many answers need a large first chunk: the groups are fitted to it.
    size = _CHUNK if count <= EXACT_UP_TO else 5 * _CHUNK
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def digest_of_file(path: pathlib.Path) -> str:
    """What tells one model file from another."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_of_answers(answers: Sequence[str]) -> str:
    """What tells one collection of answers from another."""
    return hashlib.sha256(json.dumps(list(answers)).encode()).hexdigest()


def load_index(
    file: pathlib.Path, *, model: str, answers: str
) -> tuple[faiss.Index, set[int]] | None:
    """Loads an index that `save_index` has written.

    Args:
        file: The index.
        model: Digest of the encoder that is to have made it.
        answers: Digest of the answers that are to be in it.

    Returns:
        The index and the token ids of its answers; `None` if there is no such file, or the answers
        have changed.

    Raises:
        UserError: If the file is damaged, or another encoder has made it.
    """
    notes_file = _notes_file(file)
    if not file.exists() and not notes_file.exists():
        return None
    advice = f"remove {file} and {notes_file.name} to have it built anew"
    try:
        notes = json.loads(notes_file.read_text(encoding="utf-8"))
        made_by, holds, known = notes["model"], notes["answers"], set(notes["token_ids"])
        is_damaged = notes["index"] != digest_of_file(file)
    except (OSError, ValueError, KeyError, TypeError):
        is_damaged = True
    if is_damaged:
        raise UserError(f"the index {file} is damaged; {advice}")
    if made_by != model:
        raise UserError(f"the index {file} was built by another model; {advice}")
    if holds != answers:
        return None
    try:
        return faiss.read_index(str(file)), known
    except RuntimeError:
        raise UserError(f"the index {file} cannot be read by this faiss; {advice}") from None


def save_index(
    file: pathlib.Path, index: faiss.Index, *, model: str, answers: str, token_ids: set[int]
) -> None:
    """Writes an index, and beside it what it was built from.

    Args:
        file: Where to; what is there is replaced when all is written.
        index: The index.
        model: Digest of the encoder.
        answers: Digest of the answers.
        token_ids: The ids of all tokens of the answers.

    Raises:
        UserError: If it cannot be written.
    """
    notes_file = _notes_file(file)
    new_file, new_notes = (path.with_name(f"{path.name}.new") for path in (file, notes_file))
    try:
        faiss.write_index(index, str(new_file))
        notes = {
            "model": model,
            "answers": answers,
            "index": digest_of_file(new_file),
            "token_ids": sorted(token_ids),
        }
        new_notes.write_text(json.dumps(notes), encoding="utf-8")
        os.replace(new_file, file)
        os.replace(new_notes, notes_file)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "no space, or no permission"
        raise UserError(f"the index {file} cannot be written ({reason})") from None


def _notes_file(file: pathlib.Path) -> pathlib.Path:
    return file.with_name(f"{file.name}.json")
