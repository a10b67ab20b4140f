"""Contrastive cross-entropy of two batches of vectors, without the matrix of similarities."""

from typing import Any

import keras
from keras import ops

from keras_ce._core import checks, pairs as core
from keras_ce._core.backends import backend
from keras_ce._core.labels import Given, Marked, either, fits, ids_of_rows, shape_of, zero_where
from keras_ce._core.ranking import NUMBER_THE_QUESTIONS
from keras_ce._core.reduction import (
    counted_weights,
    nan_if_any,
    require_mask_of_positions,
    share_to_add,
)

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_ce")
class ContrastivePairs(keras.layers.Layer):
    """Softmax cross-entropy of questions with the answers of the whole batch, in nats.

    For training an encoder of questions and answers with large batches: the answers of the other
    questions serve as wrong ones, and the (batch, batch) matrix of similarities is never in memory,
    neither for the loss nor for its gradient. Values and gradients are those of

        InBatchCrossentropy(temperature, reduction="mean_with_sample_weight")

    on `questions @ transpose(answers)`. Vectors are not normalized: for cosines, divide them by
    their lengths first, for example by `keras.layers.UnitNormalization`.

    `pairs(questions, answers)` gives the loss of each row and adds their mean by `add_loss`, so
    that a model whose inputs are questions and answers is compiled without a loss and fitted
    without targets:

        unit = keras.layers.UnitNormalization()
        question, answer = keras.Input((300,)), keras.Input((300,))
        losses = keras_ce.layers.ContrastivePairs(0.05)(
            unit(keras.layers.Dense(64)(question)), unit(keras.layers.Dense(64)(answer))
        )
        trainer = keras.Model([question, answer], losses)
        trainer.compile("adam")

    On several devices with a `keras.distribution` on JAX, each question is compared with the
    answers on all devices, and the mean is over all rows; the same holds for the replicas of a
    `tf.distribute.MirroredStrategy`. Processes that are connected only by `torch.distributed` see
    only their own rows.

    Args:
        temperature: a number > 0, by which similarities are divided.
        symmetric: whether the loss of a row is the mean of both directions: its question against
            all answers, and its answer against all questions.
        **options: those of every Keras layer. Losses and gradients are computed in float32, also
            with a mixed precision policy.

    Call arguments:
        questions: vectors (batch, D).
        answers: vectors (batch, D); row i holds the right answer to question i.
        ids: None, or integers (batch,) or (batch, 1) within int32, the question's id where a
            question has several right answers in the batch: another answer with row i's id is left
            out of row i's denominator; with `symmetric`, another question too.
        sample_weight: a weight for each row, (batch,). The mean is divided by the sum of the
            weights of the rows that are not masked.

    A row does not count if its weight is 0 or if its question or answer is masked (by its Keras
    mask). Its vectors remain candidates, unless they are masked themselves or hold NaN or infinity.

    Returns:
        The unweighted losses (batch,), 0 where a row is masked or has weight 0.

    Raises:
        ValueError: an argument out of its range; vectors, ids or weights of another shape.
        InvalidValuesError: a `ValueError` in eager execution, for an id that is no integer within
            int32. Compiled, the loss of its row is NaN and its gradient 0.

    Example:
        >>> pairs = ContrastivePairs(0.05)
        >>> questions, answers = np.eye(2), np.array([[0.7071, 0.7071], [0.0, 1.0]])
        >>> keras.ops.convert_to_numpy(pairs(questions, answers)).tolist()
        [7.21...e-07, 0.00285...]

    References:
        van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding",
        equation 4; https://arxiv.org/abs/1807.03748. Both directions: Radford et al. 2021,
        "Learning Transferable Visual Models From Natural Language Supervision";
        https://arxiv.org/abs/2103.00020. By tiles: Gao et al. 2021, "Scaling Deep Contrastive
        Learning Batch Size under Memory Limited Setup"; https://arxiv.org/abs/2101.06983.
    """

    def __init__(self, temperature: float = 0.05, symmetric: bool = False, **options: Any) -> None:
        # Cast by itself: float ids in half precision would be other ids.
        super().__init__(**{"autocast": False, **options})
        self.temperature = checks.number(above=0)("temperature", temperature)
        self.symmetric = checks.flag("symmetric", symmetric)
        self.supports_masking = True

    def build(self, *shapes: Any) -> None:
        """Nothing: the layer has no weights."""

    def call(
        self,
        questions: Tensor,
        answers: Tensor,
        ids: Tensor | None = None,
        sample_weight: Tensor | None = None,
        questions_mask: Tensor | None = None,
        answers_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """See the class."""
        batch = _batch_size(questions, answers, ids)
        questions = ops.cast(questions, self._loss_dtype())
        answers = ops.cast(answers, self._loss_dtype())
        is_counted = ops.ones(ops.shape(questions)[:1], dtype="bool")
        for name, mask in (("questions", questions_mask), ("answers", answers_mask)):
            if mask is not None:
                require_mask_of_positions(list(mask.shape), [batch], name)
                is_counted = is_counted & ops.cast(mask, "bool")
        weights = counted_weights(sample_weight, [batch], is_counted, questions.dtype)
        all_count = sample_weight is None and questions_mask is None and answers_mask is None
        is_exempt = None if all_count else ops.equal(weights, 0)

        given = Given(questions, Marked(ids, is_exempt), is_exempt)
        numbers = None if ids is None else ids_of_rows(ids, given, NUMBER_THE_QUESTIONS, "ids")
        directions = [self._pairs(questions, answers, numbers, is_exempt, answers_mask)]
        if self.symmetric:
            directions.append(self._pairs(answers, questions, numbers, is_exempt, questions_mask))
        if training:
            factors = share_to_add(weights, given.is_invalid) / len(directions)
            both = [core.total_and_losses(pairs, factors) for pairs in directions]
            total = nan_if_any(given.is_invalid, sum(total for total, _ in both))
            losses = given.settle(sum(losses for _, losses in both) / len(directions))
        else:
            losses = sum(core.losses(pairs) for pairs in directions) / len(directions)
            losses = given.settle(losses)
            total = ops.sum(losses * share_to_add(weights))
        self.add_loss(backend.replica_mean(total))
        return losses

    def _pairs(
        self,
        rows: Tensor,
        candidates: Tensor,
        ids: Tensor | None,
        is_exempt: Tensor | None,
        candidates_mask: Tensor | None,
    ) -> core.Pairs:
        """One direction."""
        is_left_out = None
        if is_exempt is not None:
            is_finite = ops.all(ops.isfinite(candidates), -1)
            is_left_out = is_exempt & ops.logical_not(is_finite)
        if candidates_mask is not None:
            is_masked = ops.logical_not(ops.cast(candidates_mask, "bool"))
            is_left_out = either(is_left_out, is_masked)
        of_candidates = [zero_where(is_left_out, candidates)]
        of_candidates += [] if ids is None else [ids]
        of_candidates += [] if is_left_out is None else [ops.cast(is_left_out, "int32")]
        (candidates, *others), right = backend.rows_of_all_replicas(*of_candidates)
        return core.Pairs(
            zero_where(is_exempt, rows),
            candidates,
            right,
            self.temperature,
            None if ids is None else (ids, others[0]),
            None if is_left_out is None else others[-1],
            backend.devices_of(rows.shape[0]),
        )

    def _loss_dtype(self) -> str:
        return "float64" if self.variable_dtype == "float64" else "float32"

    def compute_output_spec(
        self, questions: Any, answers: Any, ids: Any = None, *args: Any, **options: Any
    ) -> keras.KerasTensor:
        """Shape and dtype of the losses."""
        batch = _batch_size(questions, answers, ids)
        return keras.KerasTensor((batch,), dtype=self._loss_dtype())

    def get_config(self) -> dict[str, Any]:
        """Every argument of the constructor, by name."""
        own = {"temperature": self.temperature, "symmetric": self.symmetric}
        return {**super().get_config(), **own}


def _batch_size(questions: Any, answers: Any, ids: Any) -> int | None:
    """The number of rows, None where a trace does not know it; raises where shapes do not fit."""
    shape, of_answers = shape_of("questions", questions), shape_of("answers", answers)
    if len(shape) != 2 or not fits(shape, of_answers):
        raise ValueError(
            "`questions` and `answers` must hold vectors of the same shape (batch, D), row i of "
            f"`answers` for row i of `questions`. Received: questions.shape={tuple(shape)}, "
            f"answers.shape={tuple(of_answers)}."
        )
    batch = shape[0] if shape[0] is not None else of_answers[0]
    if ids is not None:
        of_ids = shape_of("ids", ids)
        if not fits(of_ids, [batch]) and not fits(of_ids, [batch, 1]):
            raise ValueError(
                f"`ids` must hold one id per row, of shape {(batch,)} or {(batch, 1)}. "
                f"Received: ids.shape={tuple(of_ids)}."
            )
    return batch
