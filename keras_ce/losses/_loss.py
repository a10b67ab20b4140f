"""The base of every loss: options, configuration, masks, weights and the reduction."""

import abc
import inspect
from typing import Any, Self, TypedDict, Unpack

import keras
from keras import ops

from keras_ce.losses import _checks
from keras_ce.losses._masks import Labels, aligned_weights, keras_mask
from keras_ce.losses._values import either, predictions

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
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(**options)

    @property
    def class_axis(self) -> int:
        """The axis of `y_pred` that is not an axis of positions."""
        return -1

    @abc.abstractmethod
    def position_losses(
        self, y_true: Any, y_pred: Tensor, is_exempt: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of each position.

        Args:
            y_true: the labels as the user gave them.
            y_pred: tensor, float32 or wider.
            is_exempt: None, or for each position whether its labels and predictions do not
                count and may hold anything.

        Returns:
            The losses, 0 where exempt or ignored, and None or for each position whether the
            labels ask to ignore it.
        """

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """One loss per position, without masks, weights and reduction."""
        return self.position_losses(y_true, predictions(y_pred), None)[0]

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
            given, y_pred = y_pred, predictions(y_pred)
            positions = list(y_pred.shape)
            if len(positions) < 2 or self.class_axis in (0, -len(positions)):
                raise ValueError(
                    f"{type(self).__name__} expects `y_pred` with a batch axis before the class "
                    f"axis. Received: y_pred.shape={_checks.shape_text(y_pred)}, class axis "
                    f"{self.class_axis}. Add the axis, or call the function of the same name."
                )
            _checks.require_axis(self.class_axis, y_pred)
            del positions[self.class_axis]

            is_counted = keras_mask(given, positions)  # of the tensor that has it
            weights = aligned_weights(sample_weight, positions, y_pred.dtype)
            is_exempt = None
            if is_counted is not None:
                is_exempt = ops.logical_not(is_counted)
            if weights is not None:
                is_weightless = ops.broadcast_to(
                    ops.equal(weights, 0), _shape_without(y_pred, self.class_axis)
                )
                is_exempt = either(is_exempt, is_weightless)

            losses, is_ignored = self.position_losses(y_true, y_pred, is_exempt)
            if is_ignored is not None:
                is_kept = ops.logical_not(is_ignored)
                is_counted = is_kept if is_counted is None else is_counted & is_kept
            return ops.cast(self._reduced(losses, weights, is_counted), self.dtype)

    def _reduced(self, losses: Tensor, weights: Tensor | None, is_counted: Tensor | None) -> Tensor:
        if weights is not None:
            weights = ops.broadcast_to(weights, ops.shape(losses))
            if is_counted is not None:
                weights = ops.where(is_counted, weights, 0)
            losses = losses * weights
        if self.reduction in (None, "none"):
            return losses
        total = ops.sum(losses)
        if self.reduction == "sum":
            return total
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            divisor = ops.sum(weights)
        elif is_counted is not None:
            divisor = ops.sum(ops.cast(is_counted, losses.dtype))
        else:
            divisor = ops.sum(ops.ones_like(losses))
        # Not divide_no_nan: on torch its gradient at 0 / 0 is NaN.
        mean = total / ops.where(ops.equal(divisor, 0), 1, divisor)
        return mean * ops.cast(_replica_scale(), mean.dtype)

    def get_config(self) -> dict[str, Any]:
        """Every argument of the constructor, by name."""
        names = [
            name
            for name, parameter in inspect.signature(type(self)).parameters.items()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        own = {name: getattr(self, name) for name in names}
        return {**own, "reduction": self.reduction, "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The loss that `get_config` described."""
        return cls(**config)


def _shape_without(y_pred: Tensor, axis: int) -> tuple[Any, ...]:
    shape = list(ops.shape(y_pred))
    del shape[axis]
    return tuple(shape)


def _replica_scale() -> Tensor:
    """1 / the number of replicas under `tf.distribute`, as Keras scales its own losses."""
    if keras.backend.backend() != "tensorflow":
        return 1.0
    return Labels(reduction="mean", dtype="float32", name="scale")(ops.ones(1), ops.ones(1))
