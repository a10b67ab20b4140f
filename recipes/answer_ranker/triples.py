"""What a ranker learns from: questions, their right answers, and wrong answers chosen anew."""

from collections.abc import Callable, Sequence

import keras
import numpy

from recipes.answer_ranker.questions import RankingQuestion
from recipes.runs.failures import UserError
from recipes.tokens.length_groups import group_by_length
from recipes.tokens.vocabulary import pad

Encode = Callable[[Sequence[str]], list[list[int]]]


class AnswerTriples(keras.utils.PyDataset):
    """Batches of question, right answer and wrong answer, of similar length.

    Every right answer comes `repeats` times in an epoch, each time with another wrong one: one
    that the data label wrong for the question or, for `random_share` of them and where none is
    labelled, any answer of the data that is not right for it.

    With `in_batch` there are no wrong answers: inputs are question and right answer, and the
    labels say which question a row belongs to, as `InBatchCrossentropy` wants it.

    Args:
        questions: What to learn from; those without a right answer give wrong ones only.
        encode: Turns texts into token ids.
        batch_size: Right answers in a batch.
        seed: Seed of every choice.
        repeats: How often each right answer comes in an epoch.
        random_share: Share of the wrong answers drawn from all answers.
        in_batch: Whether to leave the wrong answers out.
    """

    def __init__(
        self,
        questions: Sequence[RankingQuestion],
        encode: Encode,
        batch_size: int,
        seed: int,
        *,
        repeats: int = 1,
        random_share: float = 0.0,
        in_batch: bool = False,
    ) -> None:
        super().__init__()
        self._random = numpy.random.default_rng(seed)
        self._batch_size = batch_size
        self._random_share = random_share
        self._in_batch = in_batch
        texts = list(dict.fromkeys(text for each in questions for text in each.candidates))
        index_of = {text: index for index, text in enumerate(texts)}
        self.answer_ids = encode(texts)
        asked = [question for question in questions if question.right]
        self.question_ids = encode([question.text for question in asked])
        self._question_width = max(map(len, self.question_ids), default=0) or 1
        self._right_of = [{index_of[text] for text in question.right} for question in asked]
        self._wrong_of = [[index_of[text] for text in question.wrong] for question in asked]
        pairs = [
            (question, answer)
            for question, right in enumerate(self._right_of)
            for answer in sorted(right)
        ]
        self._pairs = numpy.array(pairs * (1 if in_batch else repeats), dtype="int64")
        self.choose()

    def choose(
        self, among: int = 1, vectors: tuple[numpy.ndarray, numpy.ndarray] | None = None
    ) -> None:
        """Chooses the wrong answers of the next epoch, and groups the batches anew.

        Args:
            among: How many wrong answers are drawn for each right one; above 1, it needs ...
            vectors: ... those of `question_ids` and of `answer_ids`: the wrong answer with the
                largest inner product is taken, the hardest one.
        """
        if not self._in_batch:
            drawn = numpy.array(
                [[self._draw(question) for _ in range(among)] for question, _ in self._pairs]
            )
            best = numpy.zeros(len(drawn), dtype="int64")
            if among > 1:
                asked = vectors[0][self._pairs[:, 0]]
                scores = [
                    vectors[1][answers] @ each for answers, each in zip(drawn, asked, strict=True)
                ]
                best = numpy.argmax(scores, axis=1)
            self._wrong = drawn[numpy.arange(len(drawn)), best]
        lengths = numpy.array([len(self.answer_ids[answer]) for _, answer in self._pairs])
        if not self._in_batch:
            other = [len(self.answer_ids[answer]) for answer in self._wrong]
            lengths = numpy.maximum(lengths, other)
        self._batches = group_by_length(lengths, self._batch_size, self._random)

    def _draw(self, question: int) -> int:
        labelled = self._wrong_of[question]
        right = self._right_of[question]
        if labelled and self._random.random() >= self._random_share:
            return labelled[self._random.integers(len(labelled))]
        if len(right) == len(self.answer_ids):
            raise UserError("every answer is right for one of the questions; give wrong ones too")
        while True:
            answer = int(self._random.integers(len(self.answer_ids)))
            if answer not in right:
                return answer

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[tuple[numpy.ndarray, ...], numpy.ndarray]:
        """Token ids (batch, time) of the two or three texts, and the labels (batch,)."""
        batch = self._batches[index]
        asked, right = self._pairs[batch].T
        # All of one width: batches are grouped by their answers, and every pair of widths would
        # be compiled anew.
        questions = pad([self.question_ids[row] for row in asked], self._question_width)
        right_ids = [self.answer_ids[answer] for answer in right]
        if self._in_batch:
            return (questions, pad(right_ids)), asked.astype("int32")
        wrong_ids = [self.answer_ids[answer] for answer in self._wrong[batch]]
        # Of one width, so that fewer pairs of widths are compiled.
        both = pad(right_ids + wrong_ids)
        inputs = (questions, both[: len(batch)], both[len(batch) :])
        return inputs, numpy.zeros(len(batch), dtype="int32")  # the first score is the right one's
