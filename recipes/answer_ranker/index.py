"""Finds the answers of a collection to a question: by their vectors, and by what they share."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import faiss
import numpy

from recipes._arguments import require_integer
from recipes.answer_ranker.baseline import Bm25, WordIndex
from recipes.answer_ranker.model import RankerModels
from recipes.answer_ranker.overlap import Overlap
from recipes.answer_ranker.training import Encoders
from recipes.runs.archives import DAMAGES, require_memory
from recipes.runs.failures import UserError
from recipes.runs.whole_files import whole_file
from recipes.tokens.texts import checked_texts
from recipes.tokens.vocabulary import UNKNOWN_ID, pad, split_tokens

EXACT_UP_TO = 100_000
"""Above this many answers, each vector takes a byte per coordinate, and a search looks only at the
part of them that is closest to the question."""

_SHARE_SEARCHED = 1 / 32
_CHUNK = 20_000
_CANDIDATES = 100
_WIDTHS_COMPILED_AHEAD = (8, 16, 24)

Found = list[tuple[float, Any, str]]


class AnswerIndex:
    """A collection of answers, encoded, in which questions find theirs.

    Made by `AnswerRanker.index` and `AnswerRanker.load_index`. A search scores, as
    `AnswerRanker.similarities` does, the 100 answers (or `k`, if more) that are closest by their
    vectors and the 100 that are closest by BM25.

    Args:
        models: The ranker's models.
        bm25: What finds answers by their words.
        overlap: What is added to the cosines.
        answers: The collection.
        ids: What stands for each answer in the results; by default its number.
        vectors: The answers' vectors, where there are any yet.

    Attributes:
        answers: The collection.
        ids: Likewise.
    """

    def __init__(
        self,
        models: RankerModels,
        bm25: Bm25,
        overlap: Overlap,
        answers: Sequence[str],
        ids: Sequence[Any] | None = None,
        vectors: faiss.Index | None = None,
    ) -> None:
        self._models = models
        self._bm25 = bm25
        self._overlap = overlap
        self._encoders = Encoders(models)
        self.answers: list[str] = list(answers)
        self.ids: list[Any] = _ids_of(self.answers, ids, [])
        self._words = WordIndex(self.answers, self._encoders.token_kind)
        self._vectors: Any = vectors  # faiss types its classes without what they inherit
        if vectors is None:
            self._vectors = build_vectors(self._encoded(self.answers), len(self.answers))
        # The first question of each width would wait for the compiler.
        for words in _WIDTHS_COMPILED_AHEAD:
            models.question_encoder.predict_on_batch(pad([[UNKNOWN_ID] * words]))

    def __len__(self) -> int:
        """Number of answers."""
        return len(self.answers)

    def add(self, answers: Sequence[str], ids: Sequence[Any] | None = None) -> None:
        """Adds answers; those that are there stay as they are.

        Args:
            answers: New answers.
            ids: As for the index; by default the numbers go on.

        Raises:
            ValueError: If an answer is empty, or an id is there already.
        """
        answers = checked_texts(answers, "answers", may_be_none=True)
        ids = _ids_of(answers, ids, self.ids)
        for chunk in self._encoded(answers):
            self._vectors.add(chunk)
        self._words.add(answers)
        self.answers.extend(answers)
        self.ids.extend(ids)

    def search(
        self, question: str | Sequence[str], k: int = 5, *, add_overlap: bool = True
    ) -> Found | list[Found]:
        """The best answers to a question, the best first.

        Args:
            question: A text, or several.
            k: How many answers to give at most.
            add_overlap: Whether what the spelling says is added to the cosines.

        Returns:
            Score, id and answer of each; for several questions a list of such lists.

        Raises:
            ValueError: If neither the training nor the answers hold any word of a question.
        """
        require_integer("k", k, 1)
        questions = [question] if isinstance(question, str) else list(question)
        for each in questions:
            if not self.knows(each):
                raise UserError(
                    f"no word of {each!r} occurs in the training texts or in the answers; "
                    "ask with other words"
                )
        found = self.best(questions, k, add_overlap=add_overlap)
        return found[0] if isinstance(question, str) else found

    def knows(self, question: str) -> bool:
        """Whether the training or the answers hold a word of a question."""
        tokens = split_tokens(question, self._encoders.token_kind)
        return any(token in self._encoders.vocabulary or token in self._words for token in tokens)

    def best(self, questions: Sequence[str], k: int, *, add_overlap: bool = True) -> list[Found]:
        """As `search` for several questions, also where none of their words is known."""
        vectors = self._encoders.questions(questions)
        return [
            self._best(question, vector, k, add_overlap)
            for question, vector in zip(questions, vectors, strict=True)
        ]

    def best_by_words(self, questions: Sequence[str], k: int) -> list[Found]:
        """As `best`, by BM25 alone."""
        bm25 = self._bm25
        found = []
        for question in questions:
            scores = self._words.scores(question, bm25.saturation, bm25.length_penalty, bm25.counts)
            order = numpy.argsort(-scores, kind="stable")[:k]
            found.append([(float(scores[row]), self.ids[row], self.answers[row]) for row in order])
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the index into one file; what is there is replaced when all is written.

        Raises:
            ValueError: If it cannot be written.
        """
        path = pathlib.Path(path)
        notes = {
            "ranker": _fingerprint(self._models, self._bm25, self._overlap),
            "answers": self.answers,
            "ids": self.ids,
        }
        with whole_file(path) as new, zipfile.ZipFile(new, "w") as file:
            file.writestr("notes.json", json.dumps(notes))
            file.writestr("vectors.faiss", faiss.serialize_index(self._vectors).tobytes())

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], models: RankerModels, bm25: Bm25, overlap: Overlap
    ) -> AnswerIndex:
        """Reads an index that `save` has written.

        Args:
            path: The file.
            models: The ranker's models, the same as then.
            bm25: Likewise.
            overlap: Likewise.

        Raises:
            ValueError: If there is no such file, it is damaged, or another ranker has made it.
        """
        path = pathlib.Path(path)
        advice = "remove it to have it built anew"
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UserError(f"the index {path} is no file; name one that AnswerIndex.save has left")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(
                f"the index {path} cannot be read ({error.strerror}); name a file that "
                "AnswerIndex.save has left"
            ) from None
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as file:
                require_memory(file)
                notes = json.loads(file.read("notes.json"))
                vectors = numpy.frombuffer(file.read("vectors.faiss"), "uint8")
            made_by, answers, ids = notes["ranker"], notes["answers"], notes["ids"]
        except (TypeError, *DAMAGES):
            raise UserError(f"the index {path} is damaged; {advice}") from None
        if made_by != _fingerprint(models, bm25, overlap):
            raise UserError(f"the index {path} was built by another ranker; {advice}")
        try:
            return cls(models, bm25, overlap, answers, ids, faiss.deserialize_index(vectors))
        except RuntimeError:
            raise UserError(f"the index {path} cannot be read by this faiss; {advice}") from None

    def _best(self, question: str, vector: numpy.ndarray, k: int, add_overlap: bool) -> Found:
        size = min(max(k, _CANDIDATES), len(self))
        rows = self._vectors.search(vector[None], size)[1][0]
        if add_overlap:
            by_words = self._words.scores(
                question, self._bm25.saturation, self._bm25.length_penalty, self._bm25.counts
            )
            rows = numpy.append(rows, numpy.argpartition(-by_words, size - 1)[:size])
        rows = numpy.unique(rows[rows >= 0])
        scores = self._vectors.reconstruct_batch(rows) @ vector
        if add_overlap:
            scores = scores + self._overlap.of(question, [self.answers[row] for row in rows])
        order = numpy.argsort(-scores, kind="stable")[:k]
        return [
            (float(scores[place]), self.ids[rows[place]], self.answers[rows[place]])
            for place in order
        ]

    def _encoded(self, answers: Sequence[str]) -> Iterator[numpy.ndarray]:
        for rows in chunks_of(len(answers)):
            yield self._encoders.answers(answers[rows.start : rows.stop])


def build_vectors(chunks: Iterable[numpy.ndarray], count: int) -> faiss.Index:
    """An index for inner products.

    Args:
        chunks: The vectors, some at a time; the first chunk is what the coarse groups are fitted
            to where there are many.
        count: How many vectors there are altogether.
    """
    index: Any = None
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
                index.make_direct_map()
        index.add(vectors)
    return index


def chunks_of(count: int) -> list[range]:
    """The numbers 0 to `count` - 1, a chunk at a time."""
    # Many answers need a large first chunk: the groups are fitted to it.
    size = _CHUNK if count <= EXACT_UP_TO else 5 * _CHUNK
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _ids_of(answers: Sequence[str], ids: Sequence[Any] | None, present: Sequence[Any]) -> list[Any]:
    """The ids of new answers, checked."""
    if ids is None:
        first = len(present)
        ids = range(first, first + len(answers))
    ids = [each.item() if isinstance(each, numpy.generic) else each for each in ids]
    if len(ids) != len(answers):
        raise UserError(
            f"`ids` must hold one id for each answer. Received: {len(ids)} ids for "
            f"{len(answers)} answers."
        )
    taken = set(present)
    for number, each in enumerate(ids):
        if isinstance(each, bool) or not isinstance(each, int | str):
            raise UserError(
                f"`ids` must hold texts or integers. Received: {each!r} at position {number}."
            )
        if each in taken:
            raise UserError(
                f"`ids` must hold each id once. Received: {each!r} again at position {number}; "
                "give ids that the index does not hold yet."
            )
        taken.add(each)
    return ids


def _fingerprint(models: RankerModels, bm25: Bm25, overlap: Overlap) -> str:
    """What tells one ranker from another."""
    learned = [dataclasses.asdict(bm25), dataclasses.asdict(overlap)]
    digest = hashlib.sha256(json.dumps(learned, sort_keys=True).encode())
    for weights in models.trainer.get_weights():
        digest.update(numpy.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()
