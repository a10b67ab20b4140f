"""Accuracy of several classes at once, laid side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, final

import keras
import numpy as np
from keras import ops

from keras_ce._core import checks
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.groups import are_grouped_rows, look_at_group_ids
from keras_ce._core.labels import float_tensor, tensor
from keras_ce._core.reduction import position_weights
from keras_ce.metrics import _classes


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class GroupedAccuracy(keras.metrics.Metric):
    """How often the classes of several groups, laid side by side in one flat vector, are right.

    The companion of `keras_ce.losses.GroupedSoftmaxCrossentropy`: a model that reads four digits
    gives 4 * 10 scores per image, and `group_sizes=[10] * 4` says so. The prediction of a group
    is its largest score, so logits and probabilities give the same. Keras's
    `CategoricalAccuracy` takes one argmax over all 40 scores and says nothing of the four.

    For each position, with R of its G groups predicted right:

        "all":  1 if R = G, else 0
        "each": R / G

    The metric is the mean over the positions of all batches, weighted with `sample_weight`. "all"
    says how many strings are read without an error, "each" how many characters; with one group
    they are the same.

    A label that names no class is a `ValueError` in eager execution; in compiled code, and with
    `keras_ce.set_value_checks(False)`, it makes the metric NaN, as a NaN score does everywhere.
    Positions that are masked or have weight 0 are left out, whatever they hold.

    Args:
        group_sizes: Number of classes of each group, at least 1, in the order in which the
            groups lie side by side.
        mode: "all" (every group right) or "each" (mean over the groups).
        name: Name of the metric.
        dtype: Dtype of the result. Sums are kept in float32, or in `dtype` if that is wider.

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
        ValueError: If an argument is out of its range, shapes do not fit, or, in eager
            execution, a label names no class of its group.

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
        super().__init__(name=name, dtype=dtype)
        self.group_sizes = checks.group_sizes("group_sizes", group_sizes)
        if mode not in ("all", "each"):
            raise ValueError(f'`mode` must be "all" or "each". Received: mode={mode!r}.')
        self.mode = mode
        self._sum_dtype = "float64" if self.dtype == "float64" else "float32"
        self.total = self.add_variable(
            shape=(), initializer="zeros", dtype=self._sum_dtype, name="total"
        )
        self.total_weight = self.add_variable(
            shape=(), initializer="zeros", dtype=self._sum_dtype, name="total_weight"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: The right classes.
            y_pred: The predicted scores.
            sample_weight: Optional weights of rows or positions.
        """
        y_pred = tensor("y_pred", y_pred)
        are_flat = self._are_flat(y_true, y_pred)
        scores = float_tensor("y_pred", y_pred)
        # Keras's argmax ranks -0 below 0 on TensorFlow and JAX, not on torch.
        scores = ops.where(ops.equal(scores, 0), ops.zeros_like(scores), scores)
        true_class, is_class = self._true_classes(y_true, are_flat, len(scores.shape))
        predicted = ops.stack(
            [ops.argmax(group, axis=-1) for group in self._groups(scores)], axis=-1
        )
        is_right = ops.equal(ops.cast(predicted, "int32"), true_class)

        weight = position_weights(y_pred, sample_weight, self._sum_dtype)
        is_counted = ops.not_equal(weight, 0)
        is_unusable = ops.logical_and(ops.logical_not(is_class), ops.expand_dims(is_counted, -1))
        self._raise_where(is_unusable, y_true, are_flat)
        is_valid = ops.logical_and(
            ops.all(is_class, axis=-1), ops.logical_not(ops.any(ops.isnan(scores), axis=-1))
        )

        is_right = ops.cast(is_right, self._sum_dtype)
        if self.mode == "all":
            value = ops.prod(is_right, axis=-1)
        else:
            value = ops.sum(is_right, axis=-1) / len(self.group_sizes)
        value = ops.where(is_valid, value, ops.full_like(value, float("nan")))
        # Selected, not multiplied alone: 0 * NaN is NaN.
        value = ops.where(is_counted, value * weight, ops.zeros_like(value))
        self.total.assign(self.total + ops.sum(value))
        self.total_weight.assign(self.total_weight + ops.sum(weight))

    def result(self) -> Any:
        """Returns the accuracy of all batches since the last reset."""
        return ops.cast(ops.divide_no_nan(self.total, self.total_weight), self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config: dict[str, Any] = super().get_config()
        return {**config, "group_sizes": self.group_sizes, "mode": self.mode}

    def _groups(self, flat: Any) -> list[Any]:
        stops = np.cumsum(self.group_sizes).tolist()
        return [
            flat[..., stop - size : stop]
            for size, stop in zip(self.group_sizes, stops, strict=True)
        ]

    def _are_flat(self, y_true: Any, y_pred: Any) -> bool:
        """Whether labels have the flat layout rather than ids."""
        total, scores = sum(self.group_sizes), tuple(y_pred.shape)
        if len(scores) < 2 or scores[-1] not in (total, None):
            raise ValueError(
                f"`y_pred` must have the shape (batch, ..., {total}), where {total} is the sum of "
                f"`group_sizes`. Received: y_pred.shape={scores}, group_sizes={self.group_sizes}."
            )
        return are_grouped_rows(y_true, y_pred, total, len(self.group_sizes))

    def _true_classes(self, y_true: Any, are_flat: bool, rank: int) -> tuple[Any, Any]:
        """Returns the class of each group (..., G), and whether there is such a class."""
        if not are_flat:
            sizes = ops.convert_to_tensor(np.array(self.group_sizes, "int32"))
            return _classes.of_ids(y_true, rank, sizes)
        of_groups = [_classes.of_rows(group) for group in self._groups(tensor("y_true", y_true))]
        classes, are_classes = zip(*of_groups, strict=True)
        return ops.stack(classes, axis=-1), ops.stack(are_classes, axis=-1)

    def _raise_where(self, is_unusable: Any, y_true: Any, are_flat: bool) -> None:
        if not are_flat:
            look_at_group_ids(y_true, is_unusable, self.group_sizes)
        elif checks.any_true(is_unusable):
            *position, group = checks.first(is_unusable)
            start = sum(self.group_sizes[:group])
            row = checks.to_numpy(y_true)[tuple(position)][start : start + self.group_sizes[group]]
            raise InvalidValuesError(
                "y_true",
                row.tolist(),
                "finite numbers with a positive one, the right class, in each group",
                (*position, start),
                "Correct the labels, or give the position `sample_weight` 0.",
            )
