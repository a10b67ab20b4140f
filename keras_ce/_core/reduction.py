"""The base class of the losses: masks, sample weights, replicas, the mean."""

import abc
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypedDict

import keras
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.labels import Marked, either, fits, float_tensor, tensor
from keras_ce._core.per_class import plain

Tensor = Any


class LossOptions(TypedDict, total=False):
    """Keras's own options, which every loss takes after its own arguments."""

    reduction: str | None
    name: str | None
    dtype: Any


class PositionLoss(keras.losses.Loss, abc.ABC):
    """A loss with one value per position: per row, time step or pixel.

    Keras's base class casts labels and predictions to the dtype of the loss before it looks at
    them, applies (B,) weights along time and lets NaN under a mask through. This one hands the
    labels on as they are, works in float32 or wider and casts the reduced loss to `dtype` last.

    `reduction` is "sum_over_batch_size" (the default; the same as "mean"): the weighted sum over
    the positions that are neither ignored nor masked, divided by their number;
    "mean_with_sample_weight": divided by the sum of their weights; "sum"; "none" or None.

    A subclass names its function, whose checks are those of its arguments, and its constructor
    hands its arguments and Keras's options to this one.
    """

    function: ClassVar[Any]

    def __init_subclass__(cls, function: Callable[..., Any], **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.function = staticmethod(function)
        cls.__doc__ = with_shared_parts(cls.__doc__ or "")

    def __init__(self, options: LossOptions, **arguments: Any) -> None:
        super().__init__(**options)
        self._arguments = {
            name: type(self).function.checks[name](name, value) for name, value in arguments.items()
        }
        for name, value in self._arguments.items():
            setattr(self, name, plain(value))

    @property
    def class_axis(self) -> int:
        """The axis of `y_pred` that is not an axis of positions."""
        axis: int = self._arguments.get("axis", -1)
        return axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """One loss per position, without masks, weights and reduction."""
        return type(self).function.unchecked(y_true, y_pred, **self._arguments)

    @backend.as_written
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The weighted, reduced loss.

        Args:
            y_true: labels.
            y_pred: predictions, with a batch axis.
            sample_weight: a weight for each position, or for each row (B,) of positions (B, T).

        Returns:
            A scalar, or with reduction "none" one loss per position.
        """
        with keras.name_scope(self.name):
            mask_of, y_pred = y_pred, float_tensor("y_pred", y_pred)
            positions = list(y_pred.shape)
            if len(positions) < 2 or self.class_axis in (0, -len(positions)):
                raise ValueError(
                    f"{type(self).__name__} expects `y_pred` with a batch axis before the class "
                    f"axis. Received: y_pred.shape={tuple(positions)}, class axis "
                    f"{self.class_axis}. Add the axis, or call the function of the same name."
                )
            checks.class_axis(self.class_axis, y_pred)
            del positions[self.class_axis]

            is_counted = keras_mask(mask_of, positions)
            weights = aligned_weights(sample_weight, positions, y_pred.dtype)
            is_masked = None if is_counted is None else ops.logical_not(is_counted)
            is_exempt = is_masked
            if weights is not None:
                shape = list(ops.shape(y_pred))
                del shape[self.class_axis]
                is_exempt = either(is_exempt, ops.broadcast_to(ops.equal(weights, 0), shape))
            marked = Marked(y_true, is_exempt, is_masked)
            losses = self.call(marked, y_pred)
            if marked.is_ignored is not None:
                is_kept = ops.logical_not(marked.is_ignored)
                is_counted = is_kept if is_counted is None else is_counted & is_kept
            loss = reduced(losses, weights, is_counted, self.reduction)
            is_right = keras.backend.standardize_dtype(loss.dtype) == self.dtype
            return loss if is_right else ops.cast(loss, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Every argument of the constructor, by name."""
        own = {name: plain(value) for name, value in self._arguments.items()}
        return {**own, "reduction": self.reduction, "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The loss that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        """As a user would write it: the arguments that are not the defaults."""
        defaults = inspect.signature(type(self)).parameters
        config = {**self.get_config(), "reduction": self.reduction}
        shown = [
            f"{name}={value!r}"
            for name, value in config.items()
            if name in defaults and value != defaults[name].default
        ]
        if self.reduction != "sum_over_batch_size":
            shown.append(f"reduction={self.reduction!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def reduced(
    losses: Tensor, weights: Tensor | None, is_counted: Tensor | None, reduction: str | None
) -> Tensor:
    """The losses of all positions as one number, or as they are."""
    if weights is not None:
        weights = ops.broadcast_to(weights, ops.shape(losses))
        if is_counted is not None:
            weights = ops.where(is_counted, weights, ops.zeros_like(weights))
        losses = losses * weights
    if reduction in (None, "none"):
        return losses
    total = ops.sum(losses)
    if reduction == "sum":
        return backend.replica_mean(total)
    if reduction == "mean_with_sample_weight" and weights is not None:
        divisor = ops.sum(weights)
    elif is_counted is not None:
        divisor = ops.sum(ops.cast(is_counted, losses.dtype))
    elif None in tuple(losses.shape) or backend.number_of_replicas() > 1:
        divisor = ops.cast(ops.size(losses), losses.dtype)
    else:
        return total * (1.0 / max(1, math.prod(losses.shape)))  # An empty batch costs nothing.
    return backend.replica_mean(total / _divisor(divisor))


def share_to_add(weights: Tensor, is_invalid: Tensor | None = None) -> Tensor:
    """The share of each position in the mean that a layer adds to the loss of its model.

    The mean by weights, over all replicas. The share is 0 where `is_invalid`; the weight counts.
    """
    divisor = _divisor(ops.sum(weights))
    if is_invalid is not None:
        weights = ops.where(is_invalid, ops.zeros_like(weights), weights)
    number = backend.number_of_replicas()
    # Keras divides what layers add by their number.
    return weights / divisor if number == 1 else number * weights / divisor


def _divisor(total: Tensor) -> Tensor:
    """What a sum over all replicas is divided by, where `total` is counted on this one."""
    total = backend.replica_sum(total)
    # Not divide_no_nan: on torch its gradient at 0 / 0 is NaN.
    return ops.where(ops.equal(total, 0), ops.ones_like(total), total)


def nan_if_any(is_invalid: Tensor | None, total: Tensor) -> Tensor:
    """NaN where a position is invalid, but with the gradient of all others."""
    if is_invalid is None:
        return total
    return total + ops.sqrt(-ops.cast(ops.any(is_invalid), total.dtype))


def counted_weights(
    sample_weight: Any, positions: list[int | None], is_counted: Tensor, dtype: Any
) -> Tensor:
    """The weight of each position, 0 where it does not count: for a layer with a loss."""
    weights = aligned_weights(sample_weight, positions, dtype)
    if weights is None:
        return ops.cast(is_counted, dtype)
    return ops.where(is_counted, weights, ops.zeros_like(weights))


class Labels(keras.losses.Loss):
    """Returns its labels. What Keras does to them shows the mask of the predictions."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The labels."""
        return y_true


_probe = Labels(reduction="none", dtype="float32", name="mask")


def keras_mask(y_pred: Any, positions: list[int | None]) -> Tensor | None:
    """Which positions count according to Keras's mask of `y_pred`; None where it has no mask.

    Layers attach the mask to the tensor; where, is Keras's secret. Its effect on ones is public.
    """
    if not ops.is_tensor(y_pred) or backend.carries_nothing(y_pred):
        return None
    ones = ops.ones((1,) * len(positions))
    mask = _probe(ones, y_pred)
    if mask is ones:
        return None
    shape = list(mask.shape)
    require_mask_of_positions(shape, positions)
    return ops.cast(mask, "bool")


def require_mask_of_positions(
    shape: list[int | None], positions: list[int | None], argument: str = "y_pred"
) -> None:
    """Raises unless a Keras mask has one entry per position."""
    if not fits(shape, positions):
        raise ValueError(
            f"The Keras mask of `{argument}` must have one entry per position. Received: a mask of "
            f"shape {tuple(shape)} for positions of shape {tuple(positions)}. A layer passed on "
            "the mask of its input after the positions had changed: end the mask before it."
        )


def aligned_weights(sample_weight: Any, positions: list[int | None], dtype: Any) -> Tensor | None:
    """`sample_weight` with one axis for each axis of the positions: (B,) weights rows."""
    if sample_weight is None:
        return None
    weights = ops.cast(tensor("sample_weight", sample_weight), dtype)
    shape, rank = list(weights.shape), len(positions)
    if len(shape) == rank + 1 and shape[-1] == 1:
        weights, shape = ops.squeeze(weights, -1), shape[:-1]
    aligned = shape + [1] * (rank - len(shape))
    if len(aligned) != rank or not all(
        size in (1, None, expected) or expected is None
        for size, expected in zip(aligned, positions, strict=True)
    ):
        raise ValueError(
            "`sample_weight` must be a scalar, or have one weight per row or per position. "
            f"Received: sample_weight.shape={tuple(shape)} for positions of shape "
            f"{tuple(positions)}."
        )
    return ops.reshape(weights, (*ops.shape(weights), *[1] * (rank - len(shape))))


def position_weights(y_pred: Any, sample_weight: Any, dtype: Any, rank: int = -1) -> Tensor:
    """The weight of each position of `y_pred` (..., C), 0 where it is masked: shape (...).

    `rank` is the number of axes of the positions, -1 for all axes of `y_pred` but the last.
    """
    positions = list(y_pred.shape)[:rank]
    mask = keras_mask(y_pred, positions)
    weights = aligned_weights(sample_weight, positions, dtype)
    if weights is None:
        weights = ops.ones((1,) * len(positions), dtype=dtype)
    weights = ops.broadcast_to(weights, ops.shape(y_pred)[:rank])
    return weights if mask is None else ops.where(mask, weights, ops.zeros_like(weights))


# --- what many docstrings share ---

_SHARED_PARTS = {
    "softmax arguments": """\
ignore_class: positions with this class id do not count. Class ids only.
axis: the axis of the classes.
**options: `reduction`, `name` and `dtype`, as in every Keras loss.""",
    "from_logits": """\
from_logits: whether `y_pred` holds logits. Give logits where you can: probabilities
    below 1e-30 count as 1e-30 and get no gradient, and rows are divided by their sum.""",
    "options": "**options: `reduction`, `name` and `dtype`, as in every Keras loss.",
    "ignore_label": """\
ignore_label: entries with this label are left out of the mean, "nan" for NaN; a row without
    any other entry is ignored.""",
    "softmax shapes": """\
`y_pred` (batch, ..., C), C >= 2. `y_true`: class ids (batch, ...) or (batch, ..., 1), or
dense rows of `y_pred`'s shape. Result: a scalar; with reduction "none" (batch, ...).""",
    "sigmoid shapes": """\
`y_pred` (batch, ..., C). `y_true`: the same, from 0 to 1; (batch, ...) for
(batch, ..., 1). Result: a scalar; with reduction "none" (batch, ...).""",
    "raises": """\
ValueError: an argument out of its range; labels of another shape.
InvalidValuesError: a `ValueError` in eager execution, for a label or a prediction that is
    invalid. Compiled, the loss of its position is NaN and its gradient 0.""",
}


def with_shared_parts(docstring: str, parts: Mapping[str, str] = _SHARED_PARTS) -> str:
    """A docstring in which the name of a shared part in braces is replaced by that part."""
    lines = []
    for line in docstring.splitlines():
        part = parts.get(line.strip().strip("{}")) if "{" in line else None
        indent = line[: len(line) - len(line.lstrip())]
        lines += [line] if part is None else [indent + each for each in part.splitlines()]
    return "\n".join(lines)
