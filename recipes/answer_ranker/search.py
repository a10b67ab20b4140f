"""Finds the answers of a collection to a question, with the encoders of a run."""

import json
import pathlib
from collections.abc import Sequence

import keras
import numpy

import recipes  # noqa: F401  # registers the layers of its models
from recipes.answer_ranker import answer_index
from recipes.answer_ranker.baseline import WordSearch
from recipes.answer_ranker.training import tokenizer
from recipes.runs.failures import UserError
from recipes.tokens.length_groups import predict_by_length
from recipes.tokens.vocabulary import UNKNOWN_ID, pad

_CANDIDATES = 100
_WIDTHS_COMPILED_AHEAD = (8, 16, 24)


class AnswerSearch:
    """A collection of answers, encoded, and what encodes a question.

    Args:
        run: Folder that `examples.train_answer_ranker` has left.
        answers: The collection.
        index_file: Where the index is, or is to be written.
        with_bm25: Whether BM25 is added to the cosines, weighed as the run's validation has it.

    Raises:
        UserError: If the run or the index cannot be used.
    """

    def __init__(
        self,
        run: pathlib.Path,
        answers: Sequence[str],
        index_file: pathlib.Path,
        *,
        with_bm25: bool = False,
    ) -> None:
        self._answers = answers
        self._question_encoder = load_encoder(run / "question_encoder.keras")
        self._token_ids = tokenizer(self._question_encoder)
        self._first_bucket = len(self._question_encoder.vocabulary)
        self._words, self._weight = _word_search(run, answers) if with_bm25 else (None, 0.0)
        model = answer_index.digest_of_file(run / "answer_encoder.keras")
        content = answer_index.digest_of_answers(answers)
        found = answer_index.load_index(index_file, model=model, answers=content)
        self.was_built = found is None
        if found is None:
            found = _build(load_encoder(run / "answer_encoder.keras"), answers)
            answer_index.save_index(
                index_file, found[0], model=model, answers=content, token_ids=found[1]
            )
        self._index, ids_of_answers = found
        self._ids_of_answers = ids_of_answers - {UNKNOWN_ID}
        if hasattr(self._index, "make_direct_map"):
            self._index.make_direct_map()
        # The first question of each width would wait for the compiler.
        for words in _WIDTHS_COMPILED_AHEAD:
            self._question_encoder.predict_on_batch(pad([[UNKNOWN_ID] * words]))

    def find(self, question: str, count: int) -> list[tuple[float, str]]:
        """The best answers and their scores, the best first.

        Args:
            question: Any text.
            count: How many answers to give at most.

        Raises:
            UserError: If neither the training nor the answers hold any word of the question.
        """
        token_ids = self._token_ids(question)
        if not any(self._is_known(token_id) for token_id in token_ids):
            raise UserError(
                f"no word of {question!r} occurs in the training texts or in the answers; "
                "ask with other words"
            )
        vector = self._question_encoder.predict_on_batch(pad([token_ids]))
        if self._words is None:
            scores, rows = self._index.search(vector, min(count, len(self._answers)))
            found = zip(scores[0], rows[0], strict=True)
        else:
            found = self._with_bm25(question, vector, count)
        return [(float(score), self._answers[row]) for score, row in found if row >= 0]

    def _is_known(self, token_id: int) -> bool:
        is_in_vocabulary = UNKNOWN_ID < token_id < self._first_bucket
        return is_in_vocabulary or token_id in self._ids_of_answers

    def _with_bm25(
        self, question: str, vector: numpy.ndarray, count: int
    ) -> list[tuple[float, int]]:
        size = min(max(count, _CANDIDATES), len(self._answers))
        by_words = self._words.scores(question)
        _, nearest = self._index.search(vector, size)
        rows = numpy.union1d(
            nearest[0][nearest[0] >= 0], numpy.argpartition(-by_words, size - 1)[:size]
        )
        vectors = numpy.stack([self._index.reconstruct(int(row)) for row in rows])
        scores = vectors @ vector[0] + self._weight * by_words[rows]
        best = numpy.argsort(-scores, kind="stable")[:count]
        return [(scores[place], rows[place]) for place in best]


def load_encoder(file: pathlib.Path) -> keras.Model:
    """Loads an encoder of a run.

    Raises:
        UserError: If there is none, or it cannot be loaded.
    """
    advice = "name a folder that examples.train_answer_ranker has left"
    if not file.is_file():
        raise UserError(f"{file.parent} is not a run of an answer ranker ({file.name}); {advice}")
    try:
        model = keras.saving.load_model(file, compile=False)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{file} cannot be loaded as a Keras model: {reason}; {advice}") from None
    if not getattr(model, "vocabulary", ()):
        raise UserError(f"{file} is a Keras model without a vocabulary; {advice}")
    return model


def _build(encoder: keras.Model, answers: Sequence[str]) -> tuple[object, set[int]]:
    token_ids_of = tokenizer(encoder)
    seen: set[int] = set()

    def vectors() -> object:
        for rows in answer_index.chunks_of(len(answers)):
            sequences = [token_ids_of(answers[row]) for row in rows]
            seen.update(token_id for sequence in sequences for token_id in sequence)
            yield predict_by_length(encoder, sequences)

    return answer_index.build_index(vectors(), len(answers)), seen


def _word_search(run: pathlib.Path, answers: Sequence[str]) -> tuple[WordSearch, float]:
    encoder = load_encoder(run / "question_encoder.keras")
    try:
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        weight = metrics["combined"]["bm25_weight"]
        parameters = metrics["baseline"]["k1"], metrics["baseline"]["b"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{run / 'metrics.json'} does not say how to weigh BM25; search without --bm25"
        ) from None
    return WordSearch(answers, encoder.token_kind, *parameters), weight
