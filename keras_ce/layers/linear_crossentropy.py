"""An output layer that computes its cross-entropy without the matrix of logits."""

from typing import Any

import keras
from keras import ops

from keras_ce._core import checks, linear, report as reports
from keras_ce._core.backends import backend
from keras_ce._core.labels import class_ids
from keras_ce._core.linear_crossentropy import CHECKS, Options, prepared, require_ids
from keras_ce._core.per_class import Numbers, plain
from keras_ce._core.reduction import (
    counted_weights,
    nan_if_any,
    require_mask_of_positions,
    share_to_add,
)

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_ce")
class LinearCrossentropy(keras.layers.Layer):
    """The last `Dense` layer and its softmax cross-entropy in one, in nats.

    For many classes, such as the words of a vocabulary: the logits of all positions are never in
    memory at once, neither for the loss nor for its gradient. Values and gradients are those of

        LabelSmoothedCrossentropy(label_smoothing, from_logits=True, prior=prior,
                                  class_weight=class_weight, ignore_class=ignore_class,
                                  reduction="mean_with_sample_weight")

    on the logits of `Dense(num_classes)`. In training the gradient is computed together with the
    loss, in three matrix products, as many as `Dense` needs; positions that do not count take no
    time.

    `head(features)` gives the logits, for inference. `head(features, labels)` gives the loss of
    each position and adds their mean by `add_loss`, so that a model whose inputs are features and
    labels is compiled without a loss and fitted without targets:

        features, labels = keras.Input((None, 64)), keras.Input((None,), dtype="int32")
        head = keras_ce.layers.LinearCrossentropy(50_000)
        trainer = keras.Model([features, labels], head(features, labels))
        predictor = keras.Model(features, head(features))
        trainer.compile("adam")

    Call it once in each model, as here: on JAX, Keras forgets the loss that a layer has added when
    the same model calls that layer again.

    On several devices with a `keras.distribution` on JAX, each device computes the tiles of its own
    positions and, where a `ModelParallel` splits kernel and bias by class, of its own classes; only
    a few numbers per position and the gradients are exchanged. On the replicas of a
    `tf.distribute.MirroredStrategy` the mean is that of all positions.

    Args:
        num_classes: the number of classes C, at least 2.
        label_smoothing: the share e that is taken from the label and given to all classes equally,
            from 0 to 1.
        prior: C numbers >= 0, divided by their sum: how that share is distributed instead of
            equally.
        class_weight: C numbers >= 0, or a dict id -> weight in which missing ids count 1. They are
            never part of the divisor of the mean.
        ignore_class: positions with this class id do not count.
        use_bias: whether the logits have a bias.
        logit_soft_cap: None, or the number c > 0 that no logit exceeds: c tanh(logit / c).
        z_loss: the factor >= 0 of the squared log-sum-exp of the logits that is added to the loss
            of each position. Class weights do not scale it.
        tied_to: None, or an `Embedding` or `ReversibleEmbedding` of C vectors whose table is the
            kernel: one weight that learns from both uses, saved and loaded as one. Its own
            `logit_soft_cap` is ignored.
        report: which numbers appear in the logs of `fit`, `evaluate`, `train_on_batch` and
            `test_on_batch`. They cover the positions that count in the epoch so far, with the same
            weights as the mean of the losses. A tuple of

            - "accuracy": how often the label has the largest logit, in the precision of the loss;
              among equal logits, the smallest id wins, as in Keras.
            - "top_5_accuracy": how often fewer than five classes have a larger logit. It takes one
              more matrix product.
            - "perplexity": exp of the mean cross-entropy -log p_y, without smoothing, class
              weights and `z_loss`.

            Where several layers of a model report, the names begin with those of the layers:
            `NAME_accuracy`.
        **options: those of every Keras layer. With a mixed precision policy, the products and the
            logits for inference have the compute dtype; losses and gradients are summed in float32.

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
        prior: Numbers | None = None,
        class_weight: Numbers | None = None,
        ignore_class: int | None = None,
        use_bias: bool = True,
        logit_soft_cap: float | None = None,
        z_loss: float = 0.0,
        tied_to: keras.layers.Embedding | None = None,
        report: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        # Cast by itself: float labels in half precision would be other labels.
        super().__init__(**{"autocast": False, **options})
        self.num_classes = checks.num_classes("num_classes", num_classes)
        arguments = {
            "label_smoothing": label_smoothing,
            "prior": prior,
            "class_weight": class_weight,
            "ignore_class": ignore_class,
            "logit_soft_cap": logit_soft_cap,
            "z_loss": z_loss,
        }
        checked = {name: CHECKS[name](name, value) for name, value in arguments.items()}
        for name in ("prior", "class_weight"):
            if checked[name] is not None:
                checked[name].array(self.num_classes)  # raises where it is of other classes
        for name, value in checked.items():
            setattr(self, name, plain(value))
        self._options = Options(**checked)
        self.use_bias = checks.flag("use_bias", use_bias)
        self.tied_to = _require_table(tied_to, self.num_classes)
        self.report = reports.numbers("report", report)
        self._reported = reports.metrics(self.report, self, self._loss_dtype())
        self.supports_masking = True

    def build(self, features_shape: Any) -> None:
        """Make `kernel` (D, C), unless it is tied, and `bias` (C,), as `Dense` has them."""
        width = features_shape[-1]
        if len(features_shape) < 2 or width is None:
            raise ValueError(
                "`features` must have a batch axis and a known last dimension. Received: "
                f"features.shape={tuple(features_shape)}."
            )
        if self.tied_to is None:
            self._own_kernel = self.add_weight(
                name="kernel", shape=(width, self.num_classes), autocast=False
            )
        else:
            if self.tied_to.output_dim != width:
                raise ValueError(
                    f"`features` must have as many numbers as a vector of `tied_to`. Received: "
                    f"features.shape={tuple(features_shape)}, "
                    f"tied_to.output_dim={self.tied_to.output_dim}. Bring them to that width by a "
                    "`Dense` layer."
                )
            if not self.tied_to.built:
                self.tied_to.build()
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.num_classes,), initializer="zeros", autocast=False
            )

    @property
    def kernel(self) -> Any:
        """The weight (D, C); (C, D) where it is the table of an embedding."""
        return self._own_kernel if self.tied_to is None else self.tied_to.embeddings

    def _class_axis(self) -> int:
        return 1 if self.tied_to is None else 0

    def call(
        self,
        features: Tensor,
        labels: Tensor | None = None,
        sample_weight: Tensor | None = None,
        features_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """See the class."""
        features, positions = ops.cast(features, self.compute_dtype), list(features.shape)[:-1]
        if labels is None:
            return self._logits(features)
        require_ids(labels, features, self.num_classes, "labels")
        wide = self._loss_dtype()
        ids = class_ids(labels, len(positions), "labels")
        is_counted = ops.ones_like(ids, dtype="bool")
        if self.ignore_class is not None:
            is_counted = ops.not_equal(ids, self.ignore_class)
        if features_mask is not None:
            require_mask_of_positions(list(features_mask.shape), positions, "features")
            is_counted = is_counted & features_mask
        weights = counted_weights(sample_weight, positions, is_counted, wide)
        all_count = self.ignore_class is None and features_mask is None and sample_weight is None
        ready = prepared(
            labels,
            features,
            ids,
            None if all_count else ops.equal(weights, 0),
            self.kernel,
            self.bias,
            self._options,
            argument="labels",
            num_classes=self.num_classes,
            class_axis=self._class_axis(),
            trains_kernel=getattr(self.kernel, "trainable", True),
        )
        logits = self._of_losses(ready.logits)
        ready.logits = logits._replace(finds_first="accuracy" in self.report)
        formula = self._formula()
        if training:
            total, terms = self._trained(ready, formula, weights)
            losses = ready.settled(formula(terms, *ready.rows))
        else:
            terms = linear.terms(ready.logits)
            losses = ready.settled(formula(terms, *ready.rows))
            total = ops.sum(losses * share_to_add(weights))
        for metric in self._reported:
            values = reports.values(metric.number, ready.logits, terms)
            metric.update_state(ready.settled(values), weights)
        self.add_loss(backend.replica_mean(total))
        return losses

    def _formula(self) -> linear.Formula:
        """The loss of a position."""
        return self._options.formula()

    def _of_losses(self, logits: linear.Logits) -> linear.Logits:
        """The logits that the formula takes, from those of features and kernel."""
        return logits

    def _trained(self, ready: Any, formula: Any, weights: Tensor) -> tuple[Tensor, linear.Terms]:
        """The mean of the losses, its gradient computed with it; and the terms."""
        is_invalid = ready.given.is_invalid
        factors = share_to_add(weights, is_invalid)
        total, terms = linear.total_and_terms(
            ready.logits, formula, ops.reshape(factors, (-1,)), *ready.rows
        )
        return nan_if_any(is_invalid, total), terms

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k most probable classes of each position, without the matrix of logits.

        Args:
            features: numbers (..., D).
            k: how many, from 1 to C.

        Returns:
            Their log-probabilities (..., k) in nats, the largest first, and their class ids
            (..., k), int32. Of equal logits, any may come first.

        Raises:
            ValueError: `k` out of its range.
        """
        k = checks.integer(minimum=1)("k", k)
        if k > self.num_classes:
            raise checks.InvalidValuesError("k", k, f"an integer from 1 to {self.num_classes}")
        features = ops.convert_to_tensor(features)
        if not self.built:
            self.build(features.shape)
        features = ops.cast(features, self.compute_dtype)
        rows = ops.reshape(features, (-1, features.shape[-1]))
        values, ids = linear.top_k(
            linear.Logits(
                rows,
                ops.cast(self.kernel, features.dtype),
                ops.zeros_like(rows[:, 0], dtype="int32"),
                None if self.bias is None else ops.convert_to_tensor(self.bias),
                class_axis=self._class_axis(),
                soft_cap=self.logit_soft_cap,
                devices=backend.devices_of(rows.shape[0], self.kernel, self._class_axis()),
            ),
            k,
        )
        shape = (*ops.shape(features)[:-1], k)
        return ops.reshape(values, shape), ops.reshape(ids, shape)

    def _logits(self, features: Tensor) -> Tensor:
        kernel = ops.cast(self.kernel, features.dtype)
        # Not ops.matmul, which rounds to float32 on torch.
        logits = features @ (kernel if self.tied_to is None else ops.transpose(kernel))
        if self.bias is not None:
            logits = logits + ops.cast(self.bias, features.dtype)
        if self.logit_soft_cap is None:
            return logits
        return self.logit_soft_cap * ops.tanh(logits / self.logit_soft_cap)

    def _loss_dtype(self) -> str:
        return "float64" if self.compute_dtype == "float64" else "float32"

    def compute_output_spec(
        self, features: Any, labels: Any = None, *args: Any, **options: Any
    ) -> keras.KerasTensor:
        """Shape and dtype of logits, or of losses."""
        positions = tuple(features.shape[:-1])
        if labels is None:
            return keras.KerasTensor((*positions, self.num_classes), dtype=self.compute_dtype)
        return keras.KerasTensor(positions, dtype=self._loss_dtype())

    def get_config(self) -> dict[str, Any]:
        """Every argument of the constructor, by name."""
        config = {**super().get_config(), "num_classes": self.num_classes}
        config |= {name: getattr(self, name) for name in CHECKS}
        config |= {"use_bias": self.use_bias, "tied_to": None, "report": list(self.report)}
        if self.tied_to is not None:
            # Twice: while a model is saved, Keras marks what it meets again as one object.
            keras.saving.serialize_keras_object(self.tied_to)
            config["tied_to"] = keras.saving.serialize_keras_object(self.tied_to)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The layer that `get_config` described.

        Raises:
            ValueError: `tied_to` is no layer, and not the config of one that belongs to a model
                which is being loaded: a copy would be another weight.
        """
        tied_to = config.get("tied_to")
        if isinstance(tied_to, dict):
            if "shared_object_id" not in tied_to:
                name = tied_to["config"]["name"]
                raise ValueError(
                    f"A config does not hold the layer {name!r} that this head is tied to. "
                    "Received: `from_config` or `clone_model` outside of the loading of a saved "
                    "model. Give the layer: `from_config({**config, 'tied_to': embedding})`; in "
                    "place of `clone_model`, save the model and load it."
                )
            config = {**config, "tied_to": keras.saving.deserialize_keras_object(tied_to)}
        return super().from_config(config)


def _require_table(tied_to: Any, num_classes: int) -> Any:
    """An embedding whose table can be a kernel, or None."""
    expected = f"None, or an `Embedding` or `ReversibleEmbedding` of {num_classes} vectors"
    if tied_to is None:
        return None
    if not isinstance(tied_to, keras.layers.Embedding):
        raise checks.InvalidValuesError("tied_to", tied_to, expected)
    if tied_to.input_dim != num_classes:
        raise checks.InvalidValuesError(
            "tied_to", tied_to, expected, fix=f"It has {tied_to.input_dim}."
        )
    if not getattr(tied_to, "tie_weights", True):
        raise checks.InvalidValuesError(
            "tied_to", tied_to, expected, fix="With `tie_weights=False` it has a second kernel."
        )
    return tied_to
