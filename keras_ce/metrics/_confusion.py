"""The numbers of a confusion matrix that its metrics need, counted exactly, without the matrix.

Every metric here is a formula of the margins of the matrix, of its diagonal and, where near misses
count less, of how far beside the diagonal the positions lie: a few numbers per class, where the
matrix of a million classes would have 4 TB.
"""

import abc
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import keras
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.labels import (
    Marked,
    are_dense,
    class_ids,
    either,
    exclusive,
    fits,
    look_at_ids,
    may_be_probabilities,
    own_position,
    own_value,
    shape_of,
    tensor,
    to_array,
    unless,
    zero_at,
)
from keras_ce._core.limits import nan_where
from keras_ce._core.reduction import position_weights, with_shared_parts
from keras_ce._core.sigmoid import independent, missing_label
from keras_ce._core.sums import SumsInPairs
from keras_ce.metrics._weighted_sums import (
    exact_sums,
    largest_class,
    look_at_binary,
    true_classes,
)

Tensor = Any

_OF_CLASSES: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]] = {
    "labels": lambda true, predicted: (true, None),
    "predictions": lambda true, predicted: (predicted, None),
    "hits": lambda true, predicted: (true, ops.equal(true, predicted)),
    "errors": lambda true, predicted: (true, ops.not_equal(true, predicted)),
    "entries": lambda true, predicted: (true, None),
    "distances": lambda true, predicted: (ops.absolute(true - predicted), None),
}
"""What can be counted of exclusive classes: the bin of each position, and which are counted."""

_OF_ENTRIES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "labels": lambda true, predicted, is_kept: ops.logical_and(true, is_kept),
    "predictions": lambda true, predicted, is_kept: ops.logical_and(predicted, is_kept),
    "hits": lambda true, predicted, is_kept: true & predicted & is_kept,
    "errors": lambda true, predicted, is_kept: ops.logical_and(true != predicted, is_kept),
    "entries": lambda true, predicted, is_kept: is_kept,
}
"""What can be counted of several labels per row: which entries (N, C) are counted."""


class Pair(NamedTuple):
    """Sums of float32, and what rounding took from them."""

    sums: Tensor
    rests: Tensor

    def value(self) -> Tensor:
        """The sums, rounded once."""
        return self.sums + self.rests

    def less(self, other: "Pair") -> Tensor:
        """The difference, which keeps its digits where the sums are nearly equal."""
        return (self.sums - other.sums) + (self.rests - other.rests)


class Confusion(SumsInPairs, abc.ABC):
    """A metric of right classes and predicted ones, from a few numbers per class.

    A subclass names what it counts, keys of the tables above, and makes its score of the counts.

    Args:
        from_logits: whether predictions are logits.
        ignore_class: None, or the label of positions that do not count.
        num_classes: number of classes; None to take it from the first predictions.
        name: name of the metric.
        dtype: dtype of the result.
        threshold: None for exclusive classes; else from which probability on a class is predicted.
        ignore_label: None, or the label of entries that do not count.
    """

    counted: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__doc__ = with_shared_parts(cls.__doc__ or "", _SHARED_PARTS)

    def __init__(
        self,
        from_logits: bool,
        ignore_class: int | None,
        num_classes: int | None,
        name: str,
        dtype: Any,
        threshold: float | None = None,
        ignore_label: float | str | None = None,
    ) -> None:
        super().__init__(name, dtype)
        self.from_logits = checks.flag("from_logits", from_logits)
        self.ignore_class = checks.optional(checks.class_id)("ignore_class", ignore_class)
        self.threshold = checks.optional(checks.number(above=0, below=1))("threshold", threshold)
        self.ignore_label = checks.optional(missing_label)("ignore_label", ignore_label)
        least = checks.integer(minimum=2 if threshold is None else 1)
        self.num_classes = checks.optional(least)("num_classes", num_classes)
        if self.threshold is None and self.ignore_label is not None:
            raise ValueError(
                "`ignore_label` leaves out entries of several labels per row, which need a "
                f"`threshold`. Received: ignore_label={ignore_label!r}, threshold=None. For "
                "exclusive classes, leave out positions with `ignore_class`."
            )
        if self.threshold is not None and self.ignore_class is not None:
            raise ValueError(
                "`ignore_class` needs exclusive classes, and with a `threshold` a row has several "
                f"labels. Received: ignore_class={ignore_class}, threshold={threshold}. Leave out "
                "entries by `ignore_label`, or rows by `sample_weight` 0."
            )
        self._size: int | None = None
        if self.num_classes is not None:
            self._make_counts(self.num_classes)

    def _make_counts(self, size: int) -> None:
        self._size = size
        self._make_sums(len(self.counted) * size + 1)  # The last sum is that of the weights.

    @backend.as_written
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: the right classes.
            y_pred: the predictions.
            sample_weight: weights of rows or positions, or None.
        """
        given = y_pred
        are_ids = self.threshold is None and _holds_integers(y_pred)
        y_pred = tensor("y_pred", y_pred)
        rank = _rank_of_ids(y_true, y_pred) if are_ids else len(y_pred.shape) - 1
        if rank < 1:
            raise ValueError(
                f"{type(self).__name__} expects `y_pred` with a batch axis before the class axis, "
                "or integer class ids with a batch axis. Received: "
                f"y_pred.shape={tuple(y_pred.shape)} of dtype {y_pred.dtype}."
            )
        size = self._size_for(y_pred, are_ids)
        weights = position_weights(y_pred, sample_weight, self._sum_dtype, rank)
        marked = Marked(y_true, ops.equal(weights, 0))
        if are_ids:
            classes, is_exempt, is_invalid = _of_ids(marked, given, rank, size, self.ignore_class)
        else:
            y_pred = ops.cast(y_pred, self._sum_dtype)
            if self.threshold is None:
                classes, is_exempt, is_invalid = self._of_scores(marked, y_pred)
            else:
                classes, is_exempt, is_invalid = self._of_entries(marked, y_pred)
        # Selected, not multiplied: 0 * NaN is NaN.
        weights = ops.where(is_exempt, ops.zeros_like(weights), weights)
        weights = ops.reshape(weights, (-1,))

        terms = self._terms(classes, weights, size, are_ones=sample_weight is None)
        # One invalid position makes all of the metric NaN, and so does a weight that is no number.
        is_bad = ops.logical_not(ops.all(ops.isfinite(weights)))
        if is_invalid is not None:
            is_bad = ops.logical_or(is_bad, ops.any(is_invalid))
        self._add([nan_where(is_bad, terms[0]), *terms[1:]])

    def _terms(self, classes: Any, weights: Tensor, size: int, are_ones: bool) -> list[Tensor]:
        """What a batch adds to the sums: the counts of each kind, and the sum of all weights."""
        if self.threshold is not None:
            column = ops.expand_dims(weights, -1)
            columns = [_where(_OF_ENTRIES[name](*classes), column) for name in self.counted]
            parts = [exact_sums(each, are_ones=are_ones) for each in (*columns, column)]
            return [ops.concatenate(terms) for terms in zip(*parts, strict=True)]
        bins, values = [], []
        for index, name in enumerate(self.counted):
            bins_of_name, is_counted = _OF_CLASSES[name](*classes)
            bins.append(bins_of_name + index * size)
            values.append(_where(is_counted, weights))
        last = len(bins) * size
        bins.append(ops.full_like(bins[0], last))
        values.append(weights)
        return exact_sums(ops.concatenate(values), ops.concatenate(bins), last + 1, are_ones)

    @backend.as_written
    def result(self) -> Tensor:
        """The score of all batches since the last reset."""
        if self._size is None:
            return ops.zeros(self._shape_of_score(0), dtype=self.dtype)
        sums, rests = ops.convert_to_tensor(self.sums), ops.convert_to_tensor(self.rests)
        shape = (len(self.counted), self._size)
        counts = [
            Pair(sums_of_name, rests_of_name)
            for sums_of_name, rests_of_name in zip(
                ops.unstack(ops.reshape(sums[:-1], shape), axis=0),
                ops.unstack(ops.reshape(rests[:-1], shape), axis=0),
                strict=True,
            )
        ]
        score = self._score(Pair(sums[-1], rests[-1]), *counts)
        return ops.cast(score, self.dtype)

    @abc.abstractmethod
    def _score(self, total: Pair, *counts: Pair) -> Tensor:
        """The score, from the sum of all weights and from what is counted, each (C,)."""

    def _shape_of_score(self, size: int) -> tuple[int, ...]:
        """The shape of the score of so many classes."""
        return ()

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        config: dict[str, Any] = super().get_config()
        return {
            **config,
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
            "num_classes": self.num_classes,
        }

    def _size_for(self, y_pred: Tensor, are_ids: bool) -> int:
        """The number of classes, which the first batch may settle."""
        if are_ids:
            if self.num_classes is None:
                raise ValueError(
                    f"{type(self).__name__} needs `num_classes` where `y_pred` holds class ids. "
                    f"Received: num_classes=None and integers of shape {tuple(y_pred.shape)}. "
                    "Give `num_classes`, or, if they are scores, predictions of floats."
                )
            return self.num_classes
        size = y_pred.shape[-1]
        if size is None or size < 1:
            raise ValueError(
                "`y_pred` must have a last dimension of known size, the classes (1 if binary). "
                f"Received: y_pred.shape={tuple(y_pred.shape)}."
            )
        if size == 1 and self.threshold is None:
            size = 2
        if self._size is None:
            self._make_counts(size)
        if size != self._size:
            of = "of `num_classes`" if self.num_classes is not None else "of the batches before"
            raise ValueError(
                f"`y_pred` must have the {self._size} classes {of}. Received: "
                f"y_pred.shape={tuple(y_pred.shape)}."
            )
        return int(size)

    def _of_scores(self, y_true: Marked, y_pred: Tensor) -> tuple[Any, Tensor, Tensor]:
        """The right and the predicted class of each position, from scores."""
        is_invalid = ops.any(ops.isnan(y_pred), axis=-1)
        if y_pred.shape[-1] == 1:
            are_dense(y_true.labels, y_pred, -1)  # Raises where shapes do not fit.
            if not self.from_logits:
                look_at_binary(y_pred, y_true.is_exempt)
                is_wrong = ops.logical_not(may_be_probabilities(ops.squeeze(y_pred, -1)))
                is_invalid = ops.logical_or(is_invalid, is_wrong)
            middle = 0.0 if self.from_logits else 0.5
            y_pred = ops.concatenate([ops.full_like(y_pred, middle), y_pred], axis=-1)
        # Whether scores are logits or probabilities, the largest of them is the same.
        given = exclusive(y_true, y_pred, True, self.ignore_class)
        is_exempt = y_true.is_exempt if given.is_exempt is None else given.is_exempt
        true, is_none = true_classes(given, is_exempt, lambda position: (*position, 0))
        predicted = largest_class(given, given.y_pred)
        is_invalid = either(either(is_invalid, given.is_invalid), is_none)
        classes = [ops.reshape(ops.cast(each, "int32"), (-1,)) for each in (true, predicted)]
        return classes, is_exempt, unless(is_exempt, is_invalid)

    def _of_entries(self, y_true: Marked, y_pred: Tensor) -> tuple[Any, Tensor, Tensor | None]:
        """Which entries are right and predicted, and which count, (N, C) each."""
        given = independent(y_true, y_pred, self.from_logits, self.ignore_label)
        labels = given.judged()
        threshold = self.threshold
        if self.from_logits:
            threshold = math.log(threshold) - math.log1p(-threshold)
        is_exempt = y_true.is_exempt if given.is_exempt is None else given.is_exempt
        is_kept = given.is_kept
        if is_kept is None:
            is_kept = ops.ones_like(labels, dtype="bool")
        is_kept = unless(ops.expand_dims(is_exempt, -1), is_kept)
        entries = (labels > 0.5, given.y_pred > threshold, is_kept)
        classes = [ops.reshape(each, (-1, y_pred.shape[-1])) for each in entries]
        is_nan = ops.any(ops.isnan(given.y_pred), axis=-1)
        return classes, is_exempt, unless(is_exempt, either(given.is_invalid, is_nan))


def quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    """`numerator / denominator`, 0 where the denominator is 0.

    Not `ops.divide_no_nan`, which makes float32 of float64 on torch.
    """
    is_zero = ops.equal(denominator, 0)
    divided = numerator / backend.where(is_zero, 1.0, denominator)
    return backend.where(is_zero, 0.0, divided)


def _where(is_counted: Tensor | None, weights: Tensor) -> Tensor:
    """The weights where they are counted, else 0."""
    if is_counted is None:
        return weights
    return ops.where(is_counted, weights, ops.zeros_like(weights))


def _holds_integers(values: Any) -> bool:
    if not hasattr(values, "dtype"):
        values = to_array("y_pred", values)
    return "int" in keras.backend.standardize_dtype(values.dtype)


def _rank_of_ids(y_true: Any, y_pred: Tensor) -> int:
    """How many axes the positions have, of ids of which one may have a trailing 1 more."""
    labels, predictions = shape_of("y_true", y_true), list(y_pred.shape)
    rank = min(len(labels), len(predictions))
    for longer, shorter in ((labels, predictions), (predictions, labels)):
        if fits(longer, shorter) or fits(longer, [*shorter, 1]):
            return rank
    raise ValueError(
        "`y_true` and `y_pred` must have one shape where `y_pred` holds class ids; one of them "
        f"may have a trailing 1 more. Received: y_true.shape={tuple(labels)}, "
        f"y_pred.shape={tuple(predictions)}. Integers count as class ids: give scores as floats."
    )


def _of_ids(
    y_true: Marked, y_pred: Any, rank: int, num_classes: int, ignore_class: int | None
) -> tuple[Any, Tensor, Tensor]:
    """The right and the predicted class of each position, from ids."""
    true, predicted = class_ids(y_true.labels, rank), class_ids(y_pred, rank, "y_pred")
    is_exempt: Tensor = y_true.is_exempt
    if ignore_class is not None:
        is_exempt = ops.logical_or(is_exempt, ops.equal(true, ignore_class))
    true, predicted = zero_at(is_exempt, true), zero_at(is_exempt, predicted)
    is_invalid = ops.logical_or(true < 0, true >= num_classes)
    look_at_ids(y_true.labels, is_invalid, num_classes)
    is_wrong = ops.logical_or(predicted < 0, predicted >= num_classes)
    if checks.any_true(is_wrong):
        position = own_position(checks.first(is_wrong), y_pred)
        raise InvalidValuesError(
            "y_pred",
            own_value(y_pred, position),
            f"class ids, integers from 0 to {num_classes - 1}, because num_classes={num_classes}",
            position,
            "Correct the predictions or `num_classes`. If they are scores, give them as floats.",
        )
    classes = [zero_at(is_invalid, true), zero_at(is_wrong, predicted)]
    is_invalid = ops.logical_or(is_invalid, is_wrong)
    return [ops.reshape(each, (-1,)) for each in classes], is_exempt, is_invalid


# --- what the docstrings share ---

_SHARED_PARTS = {
    "counts": """\
The counts are kept from batch to batch: the result does not depend on how the data is split
into batches, as a mean of batch values would. With `sample_weight` they are sums of weights.
They are exact up to 2**48.""",
    "exclusive classes": """\
The classes are exclusive. The class with the largest score is predicted; of equal scores, the
first. Predictions with a last dimension of 1 are those of two classes, class 1 where p > 0.5.""",
    "invalid values": """\
A label outside the classes is an error in eager execution, the same as in the losses, and so
is a "probability" outside [0, 1] that is compared with a threshold, 0.5 included; in compiled
code, and with `keras_ce.set_value_checks(False)`, they make the metric NaN. A NaN score always
does. Positions that are masked or have weight 0 do not count, whatever values they hold.""",
    "threshold argument": """\
threshold: None for exclusive classes; a probability between 0 and 1, both excluded, for
    several labels per row.""",
    "arguments": """\
from_logits: Whether predictions are logits. For exclusive classes this only matters where
    the last dimension is 1.
ignore_class: Positions with this class id do not count. Class ids only.""",
    "last arguments": """\
num_classes: Number of classes. By default the first predictions determine it; it is needed
    where these are ids, and for `stateless_update_state` before any other update.
name: Name of the metric.
dtype: Dtype of the result. Sums are kept in pairs of float32, or of float64 if that is it.""",
    "shapes": """\
y_true: Class ids (...) or (..., 1), or one-hot rows (..., C), each of which counts as the
    class of its largest entry.
y_pred: Scores (..., C), at least two dimensions; or integer class ids, of the shape of
    those of the labels.
sample_weight: A scalar, (batch,), the shape of the positions (...), or that with a
    trailing 1.""",
    "shapes with threshold": """\
y_true: Class ids (...) or (..., 1), or one-hot rows (..., C), each of which counts as the
    class of its largest entry. With `threshold` rows (..., C) of 0 and 1, a soft label
    above 0.5 counting as 1; (...) for predictions (..., 1).
y_pred: Scores (..., C), at least two dimensions; or, for exclusive classes, integer class
    ids, of the shape of those of the labels.
sample_weight: A scalar, (batch,), the shape of the positions (...), or that with a
    trailing 1.""",
    "raises": """\
ValueError: If an argument is out of its range, or shapes do not fit.
InvalidValuesError: A `ValueError` in eager execution, for a label or a prediction that is
    invalid.""",
}
