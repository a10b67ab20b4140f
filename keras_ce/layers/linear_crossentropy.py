"""An output layer that computes its cross-entropy without the matrix of logits."""

from typing import Any

import keras
from keras import ops

from keras_ce._core import checks
from keras_ce._core.labels import (
    Given,
    Marked,
    are_dense,
    class_ids,
    look_at_ids,
    unless,
    zero_at,
    zero_where,
)
from keras_ce._core.linear import losses_of_linear_logits
from keras_ce._core.reduction import aligned_weights, require_mask_of_positions

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_ce")
class LinearCrossentropy(keras.layers.Layer):
    """The last `Dense` layer and its softmax cross-entropy in one, in nats.

    For many classes, such as the words of a vocabulary: the logits of all positions are never
    held at once, neither for the loss nor for its gradient. Values and gradients are those of

        LabelSmoothedCrossentropy(label_smoothing, from_logits=True, ignore_class=ignore_class,
                                  reduction="mean_with_sample_weight")

    on the logits of `Dense(num_classes)`, at one matrix product more and a few megabytes in place
    of several times positions x classes numbers.

    `head(features)` gives the logits, for inference. `head(features, labels)` gives the loss of
    each position and adds their mean by `add_loss`, so that a model whose inputs are features and
    labels is compiled without a loss and fitted without targets:

        features, labels = keras.Input((None, 64)), keras.Input((None,), dtype="int32")
        head = keras_ce.layers.LinearCrossentropy(50_000)
        trainer = keras.Model([features, labels], head(features, labels))
        predictor = keras.Model(features, head(features))
        trainer.compile("adam")

    Call it once in each model, as here: on JAX, Keras forgets what a layer has added to the loss
    when the same model calls that layer again.

    Args:
        num_classes: the number of classes C, at least 2.
        label_smoothing: the share e of the label's mass that all classes get equally, 0 to 1.
        ignore_class: positions with this class id do not count.
        use_bias: whether the logits have a bias.
        **options: of every Keras layer. With a mixed precision policy the logits for inference
            come in the compute dtype; losses and gradients are added up in float32, from
            the float32 weights.

    Call arguments:
        features: numbers (batch, ..., D).
        labels: None, or class ids (batch, ...) or (batch, ..., 1).
        sample_weight: a weight for each position, or for each row (batch,). The mean is divided
            by the sum of the weights of the positions that are neither ignored nor masked.

    Returns:
        Logits (batch, ..., C); with labels the unweighted losses (batch, ...), 0 at positions that
        are ignored, masked (by the Keras mask of `features`) or of weight 0.

    Raises:
        ValueError: an argument out of its range; labels of another shape; in eager execution an
            id outside [0, C). Compiled, such a position's loss is NaN and its gradient 0.

    Example:
        >>> head = LinearCrossentropy(3, use_bias=False)
        >>> head.build((1, 2))
        >>> head.set_weights([np.array([[2.0, 0.5, 6.0], [0.1, 0.0, 3.0]])])
        >>> keras.ops.convert_to_numpy(head(np.array([[1.0, 0.0]]), np.array([2])))[0]
        np.float32(0.02215...)

    Reference:
        Wijmans et al. 2024, "Cut Your Losses in Large-Vocabulary Language Models";
        https://arxiv.org/abs/2411.09009.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        use_bias: bool = True,
        **options: Any,
    ) -> None:
        # Cast by itself: float labels in half precision would be other labels.
        super().__init__(**{"autocast": False, **options})
        self.num_classes = checks.num_classes("num_classes", num_classes)
        self.label_smoothing = checks.number(minimum=0, maximum=1)(
            "label_smoothing", label_smoothing
        )
        self.ignore_class = checks.optional(checks.class_id)("ignore_class", ignore_class)
        self.use_bias = checks.flag("use_bias", use_bias)
        self.supports_masking = True

    def build(self, features_shape: Any) -> None:
        """Make `kernel` (D, C) and `bias` (C,), as `Dense` has them."""
        width = features_shape[-1]
        if len(features_shape) < 2 or width is None:
            raise ValueError(
                "`features` must have a batch axis and a known last dimension. Received: "
                f"features.shape={tuple(features_shape)}."
            )
        # Losses take the weights as they are; the logits, in the compute dtype.
        self.kernel = self.add_weight(
            name="kernel", shape=(width, self.num_classes), autocast=False
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.num_classes,), initializer="zeros", autocast=False
            )

    def call(
        self,
        features: Tensor,
        labels: Tensor | None = None,
        sample_weight: Tensor | None = None,
        features_mask: Tensor | None = None,
    ) -> Tensor:
        """See the class."""
        if labels is None:
            return self._logits(ops.cast(features, self.compute_dtype))
        features, positions = ops.cast(features, self._loss_dtype()), list(features.shape)[:-1]
        if are_dense(labels, self._logits_spec(features), -1, "labels"):
            raise ValueError(
                "`labels` must be class ids. Received: dense rows of shape "
                f"{tuple(labels.shape)}. Take `Dense` and a loss of `keras_ce.losses` for rows."
            )
        weights = aligned_weights(sample_weight, positions, features.dtype)
        ids = class_ids(labels, len(positions), "labels")
        is_counted = ops.ones_like(ids, dtype="bool")
        if self.ignore_class is not None:
            is_counted = ops.not_equal(ids, self.ignore_class)
        if features_mask is not None:
            require_mask_of_positions(list(features_mask.shape), positions, "features")
            is_counted = is_counted & features_mask
        if weights is None:
            weights = ops.ones_like(ids, dtype=features.dtype)
        weights = ops.where(is_counted, weights, ops.zeros_like(weights))
        losses = self._position_losses(features, labels, ids, ops.equal(weights, 0))
        divisor = ops.sum(weights)
        total = ops.sum(losses * weights)
        self.add_loss(total / ops.where(ops.equal(divisor, 0), 1.0, divisor))
        return losses

    def _position_losses(
        self, features: Tensor, labels: Tensor, ids: Tensor, is_exempt: Tensor
    ) -> Tensor:
        is_valid = (ids >= 0) & (ids < self.num_classes)
        given = Given(zero_where(is_exempt, features), Marked(labels, is_exempt), is_exempt)
        is_invalid = unless(is_exempt, ops.logical_not(is_valid))
        if not look_at_ids(labels, is_invalid, self.num_classes, "labels"):
            given.is_invalid = is_invalid
        bias = ops.zeros(self.num_classes) if self.bias is None else self.bias
        losses = losses_of_linear_logits(
            ops.reshape(given.y_pred, (-1, features.shape[-1])),
            ops.cast(self.kernel, features.dtype),
            ops.cast(bias, features.dtype),
            ops.reshape(zero_at(ops.logical_not(is_valid), ids), (-1,)),
            label_smoothing=self.label_smoothing,
        )
        return given.settle(ops.reshape(losses, ops.shape(ids)))

    def _logits(self, features: Tensor) -> Tensor:
        # Not ops.matmul, which rounds to float32 on torch.
        logits = features @ ops.cast(self.kernel, features.dtype)
        return logits if self.bias is None else logits + ops.cast(self.bias, features.dtype)

    def _loss_dtype(self) -> str:
        return "float64" if self.variable_dtype == "float64" else "float32"

    def _logits_spec(self, features: Tensor) -> keras.KerasTensor:
        shape = (*features.shape[:-1], self.num_classes)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def compute_output_spec(
        self, features: Any, labels: Any = None, *args: Any, **options: Any
    ) -> keras.KerasTensor:
        """Shape and dtype of logits, or of losses."""
        spec = self._logits_spec(features)
        if labels is None:
            return spec
        return keras.KerasTensor(spec.shape[:-1], dtype=self._loss_dtype())

    def get_config(self) -> dict[str, Any]:
        """Every argument of the constructor, by name."""
        names = ("num_classes", "label_smoothing", "ignore_class", "use_bias")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
