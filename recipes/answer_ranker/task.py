"""The answer ranker as an estimator: questions and answers in, rankings and a search out."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy

from recipes._arguments import (
    require_choice,
    require_flag,
    require_integer,
    require_non_negative,
    require_positive,
    require_share,
)
from recipes.answer_ranker import baseline, data, evaluation, training
from recipes.answer_ranker.baseline import Bm25, WordCounts
from recipes.answer_ranker.data import RankingQuestion
from recipes.answer_ranker.index import AnswerIndex
from recipes.answer_ranker.model import (
    RankerModel,
    RankerModels,
    average_rankers,
    build_answer_ranker,
)
from recipes.answer_ranker.overlap import Overlap, learn_overlap
from recipes.answer_ranker.training import Encoders
from recipes.estimators import Task, plain_copy
from recipes.runs import model_files
from recipes.runs.failures import UserError
from recipes.tokens import vocabulary
from recipes.tokens.texts import checked_texts
from recipes.tokens.vector_files import initial_vectors, require_source

# The best found, on validation questions of WikiQA and of the standard library.
ARCHITECTURE: dict[str, Any] = {"word_sum": True, "length_pivot": 5.0, "word_dropout": 0.1}
UNKNOWN_BUCKETS = 5_000

_Check = Callable[[str, Any], None]
_positive_integer = functools.partial(require_integer, minimum=1)


def _unless(allowed: Any, check: _Check) -> _Check:
    """A check that lets one value more pass."""
    return lambda name, value: None if value == allowed else check(name, value)


class AnswerRanker(Task):
    """Learns which answers belong to a question, and finds them.

    A candidate's score is the cosine of the vectors of question and answer plus what its spelling
    says: a linear model of the words, pairs of words and trigrams of letters that it shares with
    the question, each counting as much as it is rare, and of its length. This model learns from the
    same questions as the encoders. How much it counts beside the cosine is learned from the
    validation questions; nothing where it does not help.

    Args:
        tokens: `"stems"`, `"words"` (for languages other than English) or `"characters"` (for
            those without spaces).
        epochs: The largest number of epochs; training stops earlier when validation does not
            improve.
        batch_size: Right answers in a batch.
        in_batch: Whether the other answers of a batch are the wrong answers, instead of given ones;
            by default where no wrong answer is given.
        random_share: Share of the wrong answers drawn from all answers instead of those given.
        hardest_among: Above 1, the hardest of this many wrong answers, for the current model, is
            taken; of those that no label calls wrong not the ones that it scores nearly as high as
            the right answer.
        candidates: For early stopping and evaluation, the candidates of each question are filled up
            to this number with random answers; by default to 10 where no wrong answer is given.
        margin: That of `MarginRanking`, the loss with given wrong answers.
        temperature: That of `InBatchCrossentropy`, the loss with `in_batch`.
        learning_rate: That of Adam.
        vocabulary_size: Largest number of tokens with an id of their own.
        embedding_dim: Length of a token's vector.
        units: Units of an LSTM in addition to the sum of the words; 0 for none.
        dropout: Share of the question's features that training drops.
        members: Number of rankers that differ by their seeds, `seed` and those after it; their
            cosines are averaged inside the one model. As many times the size and the time.
        vectors: A text file of word vectors that the tokens' vectors start from: fastText's .vec,
            GloVe's .txt, also gzipped; `recipes.tokens.vector_files.read_vectors` says what a token
            gets. `embedding_dim` is then what the file has. Or `"wordllama"`, those of the package
            (the extra `vectors`). Only `fit` reads them.
        diagnosis: Whether `fit` first checks model, loss and data with `keras_ce.diagnose`, and
            stops at errors.
        verbose: `"auto"` for a progress bar on a terminal and one line per epoch elsewhere; 0 for
            nothing, 1 for the bar, 2 for the lines.
        seed: Seed of all random choices, from 0 to 2**32 - 1.

    Attributes:
        models_: The three Keras models, as `build_answer_ranker` gives them.
        overlap_: What is added to their cosines; a `recipes.answer_ranker.overlap.Overlap`.
        bm25_: BM25 with the parameters that are best for the validation questions: the cheap rival,
            and one of two ways by which a search finds what it then scores.
        history_: Loss of each epoch, and the measures on the validation questions; of several
            members those of the first.

    Example:
        >>> ranker = AnswerRanker(epochs=3).fit(questions, answers, labels)
        >>> ranker.rank("how tall is it", ["it is red", "it is 3 m tall"])
        array([1, 0])
        >>> ranker.index(answers).search("how tall is it", k=3)
    """

    model_class = RankerModel
    checks: ClassVar[dict[str, _Check]] = {
        "tokens": functools.partial(require_choice, choices=vocabulary.TOKEN_KINDS),
        "epochs": _positive_integer,
        "batch_size": _positive_integer,
        "in_batch": _unless(None, require_flag),
        "random_share": _unless(1, require_share),
        "hardest_among": _positive_integer,
        "candidates": _unless(None, _positive_integer),
        "margin": require_non_negative,
        "temperature": require_positive,
        "learning_rate": require_positive,
        "vocabulary_size": functools.partial(require_integer, minimum=3),
        "embedding_dim": _positive_integer,
        "units": functools.partial(require_integer, minimum=0),
        "dropout": require_share,
        "members": _positive_integer,
        "vectors": require_source,
        "diagnosis": require_flag,
    }

    def __init__(
        self,
        *,
        tokens: str = "stems",
        epochs: int = 20,
        batch_size: int = 64,
        in_batch: bool | None = None,
        random_share: float = 0.0,
        hardest_among: int = 1,
        candidates: int | None = None,
        margin: float = 0.3,
        temperature: float = 0.05,
        learning_rate: float = 2e-3,
        vocabulary_size: int = 30_000,
        embedding_dim: int = 300,
        units: int = 0,
        dropout: float = 0.2,
        members: int = 1,
        vectors: str | os.PathLike[str] | None = None,
        diagnosis: bool = True,
        verbose: int | str = "auto",
        seed: int = 0,
    ) -> None:
        self.tokens = tokens
        self.epochs = epochs
        self.batch_size = batch_size
        self.in_batch = in_batch
        self.random_share = random_share
        self.hardest_among = hardest_among
        self.candidates = candidates
        self.margin = margin
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.dropout = dropout
        self.members = members
        self.vectors = vectors
        self.diagnosis = diagnosis
        self.verbose = verbose
        self.seed = seed

    @property
    def model_(self) -> RankerModel:
        """The trainer, whose layers are those of the encoders and whose file is the ranker's."""
        return self.models_.trainer

    @model_.setter
    def model_(self, trainer: RankerModel) -> None:
        legend = trainer.legend
        models = average_rankers(
            [
                build_answer_ranker(
                    **legend["architecture"],
                    vocabulary=legend["vocabulary"],
                    token_kind=legend["token_kind"],
                )
                for _ in range(legend["members"])
            ]
        )
        models.trainer.update_legend(**legend)
        models.trainer.set_weights(trainer.get_weights())
        self.models_ = models

    def _encoders(self) -> Encoders:
        models = self.models_
        encoders: Encoders | None = vars(self).get("_last_encoders")
        if encoders is None or encoders.models is not models:
            encoders = self._last_encoders = Encoders(models)
        return encoders

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` or `load` has given models."""
        return "models_" in vars(self)

    def legend_entries(self) -> dict[str, Any]:
        """What the file holds beside the trainer."""
        learned = {
            "bm25": dataclasses.asdict(self.bm25_),
            "overlap": dataclasses.asdict(self.overlap_),
            "history": self.history_,
        }
        return {**super().legend_entries(), **learned}

    def restore(self, legend: dict[str, Any]) -> None:
        """Sets what `fit` learned beside the models."""
        bm25, overlap = legend["bm25"], legend["overlap"]
        self.bm25_ = Bm25(**{**bm25, "counts": WordCounts(**bm25["counts"])})
        counts = {kind: WordCounts(**each) for kind, each in overlap["counts"].items()}
        self.overlap_ = Overlap(**{**overlap, "counts": counts})
        self.history_ = legend["history"]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one file: the trainer, with everything that the ranker needs.

        Args:
            path: Where to; an existing file is replaced.

        Raises:
            NotFittedError: Before `fit`.
            ValueError: If it cannot be written.
        """
        trainer = self.models_.trainer
        trainer.update_legend(**self.legend_entries())
        model_files.write_model(plain_copy(trainer), path)

    def __getstate__(self) -> dict[str, Any]:
        """One model for three: those that share layers come back sharing them."""
        state = dict(vars(self))
        state.pop("_last_encoders", None)
        if "models_" in state:
            state["models_"] = plain_copy(state["models_"].trainer)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What `__getstate__` has given."""
        self.__dict__.update(state)
        if "models_" in state:
            self.model_ = state["models_"]

    def fit(
        self,
        questions: Sequence[str],
        answers: Sequence[str],
        labels: Sequence[Any] | None = None,
        validation_data: Sequence[Sequence[Any]] | None = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learns from answers that are right or wrong for a question.

        Args:
            questions: A question for each row.
            answers: An answer to each.
            labels: 1 where the answer is right, 0 where it is wrong. By default all are right.
            validation_data: Questions, answers and, where there are wrong ones, labels. They decide
                when to stop and how much the spelling counts; by default a tenth of the questions.
            checkpoint: A folder from which a later `fit` with the same settings and data goes on
                where this one was interrupted, and ends with the same model. It is created where it
                is missing, and may be deleted afterwards.

        Raises:
            ValueError: If a setting is out of its range, or the data are invalid.
        """
        validation = None
        if validation_data is not None:
            if len(validation_data) not in (2, 3):
                raise UserError(
                    "`validation_data` must be (questions, answers) or (questions, answers, "
                    f"labels). Received: {len(validation_data)} parts."
                )
            validation = data.from_labelled(*validation_data)
        asked = data.from_labelled(questions, answers, labels)
        return self.fit_questions(asked, validation, checkpoint=checkpoint)

    def fit_triples(
        self,
        questions: Sequence[str],
        right: Sequence[str],
        wrong: Sequence[str],
        *,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learns from rows of a question, a right and a wrong answer.

        Args:
            questions: A question for each row.
            right: A right answer to each.
            wrong: A wrong answer to each.
            checkpoint: As in `fit`.

        Raises:
            ValueError: If a setting is out of its range, or the data are invalid.
        """
        asked = data.from_triples(questions, right, wrong)
        return self.fit_questions(asked, checkpoint=checkpoint)

    def fit_questions(
        self,
        questions: Sequence[RankingQuestion],
        validation: Sequence[RankingQuestion] | None = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learns from questions as `recipes.answer_ranker.data.read_questions` gives them.

        Args:
            questions: To learn from.
            validation: Questions that decide when to stop and how much the spelling counts; by
                default a tenth.
            checkpoint: As in `fit`.

        Raises:
            ValueError: If a setting is out of its range, or the data are invalid.
        """
        self.check_settings()
        if validation is None:
            questions, validation = data.split_questions(
                questions, data.VALIDATION_SHARE, "validation"
            )
        data.require_right_answers(questions, "the training data")
        validation = data.rankable(validation, self.candidates, "the validation data", "to stop by")
        models, history = self._train(questions, validation, checkpoint)
        cosines = Encoders(models).cosines(validation)
        overlap = learn_overlap(questions, validation, cosines, self.tokens, self.seed)
        bm25 = evaluation.choose_bm25(validation, self.tokens, overlap.counts["tokens"])
        self.models_, self.history_ = models, history
        self.bm25_, self.overlap_ = bm25, overlap
        return self

    def _train(
        self,
        questions: Sequence[RankingQuestion],
        validation: Sequence[RankingQuestion],
        checkpoint: str | os.PathLike[str] | None,
    ) -> tuple[RankerModels, dict[str, list[float]]]:
        """The members' average, and the history of the first."""
        texts = [text for each in questions for text in (each.text, *each.candidates)]
        tokens = vocabulary.build_vocabulary(
            texts, self.tokens, size=self.vocabulary_size, minimum_count=2
        )
        vectors = self._vectors(tokens)
        weights = training.word_weights(texts, tokens, self.tokens)
        no_wrong_answer = not any(question.wrong for question in questions)
        architecture = {
            **ARCHITECTURE,
            "vocabulary_size": len(tokens) + UNKNOWN_BUCKETS,
            "embedding_dim": self.embedding_dim if vectors is None else vectors.shape[1],
            "units": self.units,
            "dropout": self.dropout,
            "in_batch": no_wrong_answer if self.in_batch is None else self.in_batch,
        }
        kept = self.checkpoints(checkpoint, questions, validation, vectors)
        members, histories = [], []
        for number in range(self.members):
            seed = (self.seed + number) % 2**32
            if self.members > 1 and self.keras_verbose():
                print(f"ranker {number + 1} of {self.members}", flush=True)
            with self.seeded(seed):
                models = build_answer_ranker(
                    **architecture,
                    # An unknown token is as rare as can be.
                    word_weights=[*weights, *[1.0] * UNKNOWN_BUCKETS],
                    vocabulary=tokens,
                    token_kind=self.tokens,
                )
                if vectors is not None:
                    training.start_from(models, vectors)
                history = training.train(
                    models,
                    questions,
                    validation,
                    epochs=self.epochs,
                    batch_size=self.batch_size,
                    margin=self.margin,
                    temperature=self.temperature,
                    random_share=self.random_share,
                    hardest_among=self.hardest_among,
                    learning_rate=self.learning_rate,
                    seed=seed,
                    # Nothing is left to find where it has looked before.
                    diagnosis=self.diagnosis and number == 0,
                    verbose=self.keras_verbose(),
                    stage=kept.stage(f"encoders-{number + 1}"),
                )
            members.append(models)
            histories.append(history)
        averaged = average_rankers(members)
        # From this, `load` builds all of them anew.
        averaged.trainer.update_legend(architecture=architecture, members=self.members)
        return averaged, histories[0]

    def _vectors(self, tokens: Sequence[str]) -> numpy.ndarray | None:
        """What each token starts from, (tokens, dimensions), where a source is given."""
        if self.vectors is None:
            return None
        if self.keras_verbose():
            print(f"reads the vectors of {os.fspath(self.vectors)}", flush=True)
        vectors = initial_vectors(self.vectors, tokens, self.tokens, scale=1.0)
        # Of length 1 on average, like those that start by chance.
        return vectors / numpy.float32(vectors.shape[1] ** 0.5)

    def similarities(self, question: str, candidates: Sequence[str]) -> numpy.ndarray:
        """How well each candidate answers a question: its cosine, and what its spelling says.

        Args:
            question: A text.
            candidates: Texts.

        Returns:
            A number for each candidate.

        Raises:
            ValueError: If the question or a candidate is empty.
        """
        (question,) = checked_texts([question], "questions")
        asked = RankingQuestion(
            question, (), tuple(checked_texts(candidates, "candidates", may_be_none=True))
        )
        if not asked.candidates:
            return numpy.zeros(0)
        (scores,) = self.scores([asked])
        return scores

    def rank(self, question: str, candidates: Sequence[str]) -> numpy.ndarray:
        """Ranks the candidates by `similarities`, the highest first.

        Args:
            question: A text.
            candidates: Texts.

        Returns:
            The indices of the candidates, the best first.

        Raises:
            ValueError: If the question or a candidate is empty.
        """
        return numpy.argsort(-self.similarities(question, candidates), kind="stable")

    def evaluate(
        self, questions: Sequence[str], answers: Sequence[str], labels: Sequence[Any] | None = None
    ) -> dict[str, float]:
        """Measures the rankings of some questions.

        Args:
            questions: A question for each row.
            answers: An answer to each.
            labels: 1 where the answer is right, 0 where it is wrong. Where none is wrong, each
                question is ranked among `candidates` answers, filled up with random ones.

        Returns:
            `map`, `mrr`, `precision_at_1` and `hit_at_10` of `rank`, means over the questions with
            a right and a wrong answer; `encoder_map` of the cosines alone and `bm25_map` of BM25;
            `recall_at_1` and `recall_at_5`: the share of a question's right answers among the first
            1 and 5 of all answers.

        Raises:
            ValueError: If the data are invalid, or no question can be ranked.
        """
        asked = data.from_labelled(questions, answers, labels)
        ranked = data.rankable(asked, self.candidates, "the data", "to evaluate")
        of_words = baseline.Candidates(ranked, self._encoders().token_kind, self.bm25_.counts)
        bm25 = of_words.scores(self.bm25_.saturation, self.bm25_.length_penalty)
        right = [question.labels for question in ranked]
        answered = [question for question in asked if question.right]
        everything = self.index(
            list(dict.fromkeys(text for each in asked for text in each.candidates))
        )
        return {
            **evaluation.score_ranking(self.scores(ranked), right),
            "encoder_map": evaluation.mean_average_precision(self.cosines(ranked), right),
            "bm25_map": evaluation.mean_average_precision(bm25, right),
            **evaluation.score_search(
                everything.best([each.text for each in answered], evaluation.SEARCHED), answered
            ),
        }

    def cosines(self, questions: Sequence[RankingQuestion]) -> baseline.Scores:
        """For each question the cosine of each candidate."""
        return self._encoders().cosines(questions)

    def scores(self, questions: Sequence[RankingQuestion]) -> baseline.Scores:
        """For each question what `similarities` gives for its candidates."""
        both = zip(self.cosines(questions), self.overlap_.scores(questions), strict=True)
        return [cosines + overlap for cosines, overlap in both]

    def index(self, answers: Sequence[str], ids: Sequence[Any] | None = None) -> AnswerIndex:
        """Encodes a collection of answers, to search in it.

        Args:
            answers: Texts.
            ids: A text or an integer for each, which identifies it in the results; by default its
                index.

        Raises:
            ValueError: If there is no answer, one is empty, or two ids are equal.
        """
        models, answers = self.models_, checked_texts(answers, "answers")
        return AnswerIndex(models, self.bm25_, self.overlap_, answers, ids)

    def load_index(self, path: str | os.PathLike[str]) -> AnswerIndex:
        """Reads what `AnswerIndex.save` has written for this ranker.

        Raises:
            ValueError: If there is no such file, it is damaged, or another ranker has made it.
        """
        return AnswerIndex.load(path, self.models_, self.bm25_, self.overlap_)
