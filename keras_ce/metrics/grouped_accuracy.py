"""Accuracy of several classes at once, laid side by side."""

from collections.abc import Sequence
from typing import Any, Literal, final

import keras
from keras import ops

from keras_ce._core import checks, groups
from keras_ce._core.backends import backend
from keras_ce._core.labels import Marked, either
from keras_ce.metrics._weighted_sums import (
    Position,
    Values,
    WeightedSums,
    largest_class,
    true_classes,
)

Tensor = Any


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class GroupedAccuracy(WeightedSums):
    """How often the classes of several groups, laid side by side in one flat vector, are right.

    The companion of `keras_ce.losses.GroupedSoftmaxCrossentropy`: a model that reads four digits
    gives 4 * 10 scores per image, and `group_sizes=[10] * 4` says so. The prediction of a group is
    its largest score, so logits and probabilities give the same. Keras's `CategoricalAccuracy`
    takes one argmax over all 40 scores, which tells nothing about the four digits.

    For each position, with R of its G groups predicted right:

        "all":  1 if R = G, else 0
        "each": R / G

    The metric is the mean over the positions of all batches, weighted with `sample_weight`. "all"
    is the share of strings read without an error, "each" that of characters; with one group they
    are the same.

    A label outside the classes of its group is an error in eager execution, the same as in the
    losses; in compiled code, and with `keras_ce.set_value_checks(False)`, it makes the metric NaN.
    A NaN score always does. Positions that are masked or have weight 0 do not count, whatever
    values they hold.

    Args:
        group_sizes: Number of classes of each group, at least 2, in the order in which the
            groups lie side by side.
        mode: "all" (every group right) or "each" (mean over the groups).
        name: Name of the metric.
        dtype: Dtype of the result. Sums are kept in pairs of float32, or of float64 if that is it.

    Shapes:
        y_true: Ids (..., number of groups), each counted from 0 within its group, also when
            there is one group; or the flat layout (..., sum of `group_sizes`), one-hot rows side
            by side, each of which counts as the class of its largest entry. Labels of exactly
            the shape of `y_pred` are the flat layout.
        y_pred: Scores (..., sum of `group_sizes`), at least two dimensions.
        sample_weight: A scalar, (batch,), the shape of the positions (...), or that with a
            trailing 1.
        Result: a scalar between 0 and 1; 0 before the first batch.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not fit.
        InvalidValuesError: A `ValueError` in eager execution, for a label that names no class of
            its group.

    Example:
        >>> scores = [[0.1, 0.9, 0.2, 0.7, 0.1], [0.8, 0.2, 0.6, 0.3, 0.1]]
        >>> metric = keras_ce.metrics.GroupedAccuracy([2, 3])
        >>> metric.update_state([[1, 1], [0, 2]], scores)
        >>> float(metric.result())
        0.5
        >>> metric = keras_ce.metrics.GroupedAccuracy([2, 3], mode="each")
        >>> metric.update_state([[1, 1], [0, 2]], scores)
        >>> float(metric.result())
        0.75
    """

    def __init__(
        self,
        group_sizes: Sequence[int],
        mode: Literal["all", "each"] = "all",
        name: str = "grouped_accuracy",
        dtype: Any = None,
    ) -> None:
        super().__init__(1, name, dtype)
        self.group_sizes = checks.group_sizes("group_sizes", group_sizes)
        self.mode = checks.choice("all", "each")("mode", mode)

    @backend.as_written
    def result(self) -> Tensor:
        """The accuracy of all batches since the last reset."""
        rights, weight = self._result()
        if self.mode == "each":
            weight = weight * len(self.group_sizes)
        return ops.cast(ops.divide_no_nan(rights[0], weight), self.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        config: dict[str, Any] = super().get_config()
        return {**config, "group_sizes": self.group_sizes, "mode": self.mode}

    def _values(self, y_true: Marked, y_pred: Tensor) -> Values:
        """In mode "each", the number of groups that are right: whole numbers add up exactly."""
        given, blocks = groups.grouped(y_true, y_pred, self.group_sizes, True)
        is_exempt = ops.expand_dims(y_true.is_exempt, -1)
        is_invalid, rights, column = given.is_invalid, [], 0
        for block in blocks:
            size = block.y_pred.shape[-1]

            def own(position: Position, column: int = column, size: int = size) -> Position:
                return *position[:-1], column + position[-1] * size

            classes, is_none = true_classes(block, is_exempt, own)
            is_right = ops.equal(largest_class(block, block.y_pred), classes)
            rights.append(ops.sum(ops.cast(is_right, y_pred.dtype), axis=-1))
            is_invalid = either(is_invalid, ops.any(is_none, axis=-1))
            column += block.positions[-1] * size
        value = sum(rights[1:], rights[0])
        if self.mode == "all":
            value = ops.cast(ops.equal(value, len(self.group_sizes)), value.dtype)
        is_invalid = either(is_invalid, ops.any(ops.isnan(y_pred), axis=-1))
        return value, is_invalid, None
