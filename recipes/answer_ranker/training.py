"""Trains an answer ranker: batches of triples, wrong answers chosen anew, vectors and scores."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy

import keras_ce
from recipes.answer_ranker.baseline import Scores
from recipes.answer_ranker.data import RankingQuestion
from recipes.answer_ranker.evaluation import score_ranking
from recipes.answer_ranker.model import RankerModels
from recipes.runs import before_training
from recipes.runs.checkpoints import Stage
from recipes.runs.failures import UserError
from recipes.tokens.length_groups import group_by_length, predict_by_length
from recipes.tokens.vocabulary import UNKNOWN_ID, TokenIds, pad, split_tokens

REPEATS = 4
"""How often each right answer comes in an epoch, each time with another wrong one."""
PATIENCE = 5
"""Epochs without a higher mean average precision before the training stops."""
NEARLY_RIGHT = 0.95
"""An answer drawn by chance with more than this share of the right answer's score may be right."""


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
        encode: Callable[[Sequence[str]], list[list[int]]],
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
            among: How many wrong answers are drawn for each right one.
            vectors: Those of `question_ids` and of `answer_ids`: the wrong answer with the largest
                inner product is taken, the hardest one. An answer that is not labelled wrong may be
                right all the same: of those, the ones whose product is nearly that of the right
                answer, or more, are taken only where there is no other. `None` for the first that
                is drawn.
        """
        among = min(among, len(self.answer_ids))
        if not self._in_batch:
            drawn = numpy.array(
                [[self._draw(question) for _ in range(among)] for question, _ in self._pairs]
            )
            best = numpy.zeros(len(drawn), dtype="int64")
            if vectors is not None:
                best = numpy.array(
                    [
                        self._hardest(question, right, answers, *vectors)
                        for (question, right), answers in zip(self._pairs, drawn, strict=True)
                    ]
                )
            self._wrong = drawn[numpy.arange(len(drawn)), best]
        lengths = numpy.array([len(self.answer_ids[answer]) for _, answer in self._pairs])
        if not self._in_batch:
            other = [len(self.answer_ids[answer]) for answer in self._wrong]
            lengths = numpy.maximum(lengths, other)
        self._batches = group_by_length(lengths, self._batch_size, self._random)

    def _hardest(
        self,
        question: int,
        right: int,
        drawn: numpy.ndarray,
        question_vectors: numpy.ndarray,
        answer_vectors: numpy.ndarray,
    ) -> int:
        """The place of the hardest of the wrong answers drawn for a question."""
        vector = question_vectors[question]
        scores = answer_vectors[drawn] @ vector
        limit = answer_vectors[right] @ vector
        is_labelled = numpy.isin(drawn, self._wrong_of[question])
        is_suspicious = ~is_labelled & (scores > limit - (1 - NEARLY_RIGHT) * abs(limit))
        if is_suspicious.all():
            return int(numpy.argmin(scores))
        return int(numpy.argmax(numpy.where(is_suspicious, -numpy.inf, scores)))

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


class Encoders:
    """What a ranker says of texts.

    Args:
        models: With a vocabulary.

    Attributes:
        models: The models.
        token_kind: How texts are split.
        vocabulary: The tokens that have an id of their own.
    """

    def __init__(self, models: RankerModels) -> None:
        self.models = models
        encoder = models.answer_encoder
        tokens = encoder.vocabulary
        self.token_kind = encoder.token_kind
        self.vocabulary = frozenset(tokens[UNKNOWN_ID + 1 :])
        self._token_ids = TokenIds(
            tokens, self.token_kind, buckets=encoder.vocabulary_size - len(tokens)
        )

    def token_ids(self, texts: Iterable[str]) -> list[list[int]]:
        """The token ids of each text."""
        return list(map(self._token_ids, texts))

    def questions(self, texts: Iterable[str]) -> numpy.ndarray:
        """The vector of each question, (questions, features)."""
        return predict_by_length(self.models.question_encoder, self.token_ids(texts))

    def answers(self, texts: Iterable[str]) -> numpy.ndarray:
        """The vector of each answer, (answers, features)."""
        return predict_by_length(self.models.answer_encoder, self.token_ids(texts))

    def cosines(self, questions: Sequence[RankingQuestion]) -> Scores:
        """For each question the cosine of each candidate."""
        asked = self.questions([question.text for question in questions])
        texts = list(dict.fromkeys(text for each in questions for text in each.candidates))
        vectors = self.answers(texts)
        row_of = {text: row for row, text in enumerate(texts)}
        return [
            vectors[[row_of[text] for text in question.candidates]] @ vector
            for question, vector in zip(questions, asked, strict=True)
        ]


class RankingCallback(keras.callbacks.Callback):
    """Ranks the validation questions after each epoch, and has the next wrong answers chosen.

    Args:
        encoders: Of the ranker that is trained.
        triples: What it learns from.
        validation: The questions to rank.
        among: As in `AnswerTriples.choose`; above 1, the hardest wrong answers are taken.
    """

    def __init__(
        self,
        encoders: Encoders,
        triples: AnswerTriples,
        validation: Sequence[RankingQuestion],
        among: int,
    ) -> None:
        super().__init__()
        self._encoders = encoders
        self._triples = triples
        self._validation = validation
        self._among = among

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Adds the measures to what the epoch logs."""
        labels = [question.labels for question in self._validation]
        scores = score_ranking(self._encoders.cosines(self._validation), labels)
        logs.update({f"val_{name}": value for name, value in scores.items()})
        self._choose()

    def skip_epochs(self, number: int) -> None:
        """Has wrong answers chosen as at the ends of so many epochs, the last of which just was."""
        for _ in range(number - 1):
            self._triples.choose(self._among)
        self._choose()

    def _choose(self) -> None:
        vectors = None
        if self._among > 1:
            models = self._encoders.models
            vectors = (
                predict_by_length(models.question_encoder, self._triples.question_ids),
                predict_by_length(models.answer_encoder, self._triples.answer_ids),
            )
        self._triples.choose(self._among, vectors)


def train(
    models: RankerModels,
    training: Sequence[RankingQuestion],
    validation: Sequence[RankingQuestion],
    *,
    epochs: int,
    batch_size: int,
    margin: float,
    temperature: float,
    random_share: float,
    hardest_among: int,
    learning_rate: float,
    seed: int,
    diagnosis: bool,
    verbose: int,
    stage: Stage,
) -> dict[str, list[float]]:
    """Trains until the mean average precision of the validation questions stops rising.

    Validated and kept are moving averages of the weights.

    Args:
        models: With a vocabulary.
        training: The questions to learn from.
        validation: The questions that decide when to stop.
        epochs: The largest number of passes over the right answers.
        batch_size: Right answers in a batch.
        margin: Of `MarginRanking`, for a trainer of triples.
        temperature: Of `InBatchCrossentropy`, for one that compares within a batch.
        random_share: As in `AnswerTriples`.
        hardest_among: From the second epoch on, each wrong answer is the one that the model
            scores highest among this many.
        learning_rate: Of Adam.
        seed: Seed of the choice and order of the triples.
        diagnosis: Whether to stop before the first step where `keras_ce.diagnose` finds errors.
        verbose: Of Keras's `fit`.
        stage: Where the training is kept, and goes on from.

    Returns:
        Loss of each epoch, and the measures on the validation questions under `val_...`.
    """
    in_batch = len(models.trainer.inputs) == 2
    encoders = Encoders(models)
    triples = AnswerTriples(
        training,
        encoders.token_ids,
        batch_size,
        seed,
        repeats=REPEATS,
        random_share=random_share,
        in_batch=in_batch,
    )
    models.trainer.compile(
        optimizer=keras.optimizers.Adam(learning_rate, use_ema=True, ema_momentum=0.99),
        loss=(
            keras_ce.losses.InBatchCrossentropy(temperature)
            if in_batch
            else keras_ce.losses.MarginRanking(margin)
        ),
    )
    # In this order: the weights that are validated are those that are kept.
    ranking = RankingCallback(encoders, triples, validation, hardest_among)
    callbacks = [
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        ranking,
        keras.callbacks.EarlyStopping(
            monitor="val_map", mode="max", patience=PATIENCE, restore_best_weights=True
        ),
    ]
    if diagnosis and not stage.epochs:
        before_training.stop_on_errors(models.trainer, triples, verbose=verbose)
    return stage.fit(
        models.trainer,
        triples,
        epochs=epochs,
        shuffle=False,
        callbacks=callbacks,
        skip_epochs=ranking.skip_epochs,
        verbose=verbose,
    )


def word_weights(texts: Sequence[str], vocabulary: Sequence[str], kind: str) -> list[float]:
    """The square root of each token's inverse document frequency, at most 1.

    The square root because a shared word counts twice, in the question and in the answer.
    """
    counts = Counter(token for text in texts for token in set(split_tokens(text, kind)))
    most = math.log(len(texts) + 1)
    return [
        math.sqrt(math.log((len(texts) + 1) / (counts[token] + 1)) / most) for token in vocabulary
    ]


def start_from(models: RankerModels, vectors: numpy.ndarray) -> None:
    """Has the embedding start from vectors that are known.

    Args:
        models: A ranker.
        vectors: For the first ids, (tokens, embedding_dim); rows of zeros stay as they are by
            chance.
    """
    embedding = models.trainer.get_layer("embedding")
    (table,) = embedding.get_weights()
    is_known = vectors.any(axis=1, keepdims=True)
    table[: len(vectors)] = numpy.where(is_known, vectors, table[: len(vectors)])
    embedding.set_weights([table])
