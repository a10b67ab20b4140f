"""An output layer of cosines with a margin, without the matrix of logits."""

import inspect
import math
from typing import Any

import keras
from keras import ops

from keras_ce._core import checks
from keras_ce._core.linear import Formula, Logits, Terms
from keras_ce.layers.linear_crossentropy import LinearCrossentropy

Tensor = Any

DEFAULT_MARGINS = {"arc": 0.5, "cosine": 0.35}


def crossentropy_with_margin(terms: Terms, kind: str, margin: float, scale: float) -> Tensor:
    """log(1 + sum over the other classes of exp(t_c) / exp(t')) of each position, in nats.

    `t'` is the label's logit after the margin, from that before it, scale * cosine.
    """
    cosine = terms.at_label / scale
    moved = cosine - margin if kind == "cosine" else _cosine_of_a_larger_angle(cosine, margin)
    # Not softplus, which torch does not compute to the last digit.
    return -ops.log_sigmoid(scale * (moved - cosine) - terms.log_odds)


def _cosine_of_a_larger_angle(cosine: Tensor, margin: float) -> Tensor:
    """cos(angle + margin); where that angle is above pi, cosine - margin sin(margin)."""
    square = (1 - cosine) * (1 + cosine)
    # The derivative of the angle is infinite at cosine 1 and -1, where it counts as 0.
    is_inside = square > 0
    sine = ops.sqrt(ops.where(is_inside, square, ops.ones_like(square)))
    sine = ops.where(is_inside, sine, ops.zeros_like(square))
    moved = cosine * math.cos(margin) - sine * math.sin(margin)
    is_within = cosine >= -math.cos(margin)
    return ops.where(is_within, moved, cosine - margin * math.sin(margin))


@keras.saving.register_keras_serializable(package="keras_ce")
class AngularMarginCrossentropy(LinearCrossentropy):
    """Cosines with one vector per class, and their softmax cross-entropy with a margin, in nats.

    For embeddings that are compared by their cosine after training, of faces for example: the
    margin lowers the label's logit in the loss, so that the classes end up farther apart. With c_k
    the cosine of the features and column k of `kernel`, and y the label, the loss is the softmax
    cross-entropy of the logits

        scale c_k                for the classes k other than y
        scale cos(a + margin)    for y, if `kind` is "arc" (ArcFace), where a = arccos(c_y);
                                 scale (c_y - margin sin(margin)) where a + margin > pi
        scale (c_y - margin)     for y, if `kind` is "cosine" (CosFace)

    Features of length 0 have cosine 0 with everything, and no gradient.

    `head(features)` gives `scale c`, without a margin; `head(features, labels)` gives the loss of
    each position and adds their mean by `add_loss`, as its base class `LinearCrossentropy` does:
    the logits of all positions are never in memory at once, and a model whose inputs are features
    and labels is compiled without a loss and fitted without targets.

        image, label = keras.Input((112, 112, 3)), keras.Input((), dtype="int32")
        embedding = encoder(image)
        head = keras_ce.layers.AngularMarginCrossentropy(85_742)
        trainer = keras.Model([image, label], head(embedding, label))
        trainer.compile("adam")

    Args:
        num_classes: the number of classes C, at least 2.
        margin: a number >= 0, for "arc" up to pi; None stands for 0.5 for "arc" and 0.35 for
            "cosine".
        scale: a number > 0, by which cosines are multiplied.
        kind: "arc" or "cosine".
        ignore_class: positions with this class id do not count.
        report: a tuple of "accuracy", "top_5_accuracy" and "perplexity", which `LinearCrossentropy`
            describes: numbers for the logs, here computed from the logits without a margin.
        **options: those of every Keras layer. Cosines, losses and gradients are computed in
            float32, also with a mixed precision policy.

    Call arguments:
        features: numbers (batch, ..., D).
        labels: None, or class ids (batch, ...) or (batch, ..., 1).
        sample_weight: a weight for each position, or for each row (batch,). The mean is divided
            by the sum of the weights of the positions that are neither ignored nor masked.

    Returns:
        Logits (batch, ..., C); with labels the unweighted losses (batch, ...), 0 at positions that
        are ignored, masked (by the Keras mask of `features`) or of weight 0.

    Raises:
        ValueError: an argument out of its range; labels of another shape.
        InvalidValuesError: a `ValueError` in eager execution, for an id outside [0, C). Compiled,
            such a position's loss is NaN and its gradient 0.

    Example:
        >>> head = AngularMarginCrossentropy(2, margin=0.5, scale=4.0)
        >>> head.build((1, 2))
        >>> head.set_weights([np.array([[1.0, 0.0], [0.0, 1.0]])])
        >>> keras.ops.convert_to_numpy(head(np.array([[3.0, 4.0]]), np.array([1])))[0]
        np.float32(1.131...)

    References:
        Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition";
        https://arxiv.org/abs/1801.07698. Wang et al. 2018, "CosFace: Large Margin Cosine Loss for
        Deep Face Recognition"; https://arxiv.org/abs/1801.09414.
    """

    def __init__(
        self,
        num_classes: int,
        margin: float | None = None,
        scale: float = 64.0,
        kind: str = "arc",
        *,
        ignore_class: int | None = None,
        report: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        of_a_head = sorted(
            options.keys() & inspect.signature(LinearCrossentropy).parameters.keys() - {"options"}
        )
        if of_a_head:
            raise TypeError(
                "`AngularMarginCrossentropy` takes `margin`, `scale`, `kind`, `ignore_class`, "
                f"`report` and the options of a Keras layer. Received: {', '.join(of_a_head)}."
            )
        super().__init__(
            num_classes, ignore_class=ignore_class, use_bias=False, report=report, **options
        )
        self.kind = checks.choice(*DEFAULT_MARGINS)("kind", kind)
        margin = DEFAULT_MARGINS[self.kind] if margin is None else margin
        largest = math.pi if self.kind == "arc" else None
        self.margin = checks.number(minimum=0, maximum=largest)("margin", margin)
        self.scale = checks.number(above=0)("scale", scale)

    def _formula(self) -> Formula:
        return Formula(crossentropy_with_margin, (self.kind, self.margin, self.scale))

    def _of_losses(self, logits: Logits) -> Logits:
        rows, columns = self._unit_vectors(logits.features)
        return logits._replace(features=self.scale * rows, kernel=columns)

    def _logits(self, features: Tensor) -> Tensor:
        rows, columns = self._unit_vectors(features)
        return ops.cast(self.scale * (rows @ columns), self.compute_dtype)

    def _unit_vectors(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features and columns of the kernel, divided by their lengths."""
        wide = self._loss_dtype()
        return _unit(ops.cast(features, wide), -1), _unit(ops.cast(self.kernel, wide), 0)

    def get_config(self) -> dict[str, Any]:
        """Every argument of the constructor, by name."""
        own = ("num_classes", "margin", "scale", "kind", "ignore_class")
        config = keras.layers.Layer.get_config(self)
        config |= {name: getattr(self, name) for name in own}
        return {**config, "report": list(self.report)}


def _unit(vectors: Tensor, axis: int) -> Tensor:
    """Vectors divided by their lengths; those of length 0 as they are, without gradient."""
    # The largest number goes first, so that no square is 0 or infinite.
    largest = ops.stop_gradient(ops.max(ops.abs(vectors), axis, keepdims=True))
    is_zero = ops.equal(largest, 0)
    ratios = vectors / ops.where(is_zero, ops.ones_like(largest), largest)
    square = ops.sum(ops.square(ratios), axis, keepdims=True)
    length = ops.sqrt(ops.where(is_zero, ops.ones_like(square), square))
    return ops.where(is_zero, ops.zeros_like(ratios), ratios / length)
