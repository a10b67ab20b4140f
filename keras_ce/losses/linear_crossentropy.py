"""Softmax cross-entropy of the logits of a linear map, without the matrix of logits."""

from typing import Any

import keras
from keras import ops

from keras_ce._core import checks, linear
from keras_ce._core.labels import class_ids, float_tensor, tensor
from keras_ce._core.linear_crossentropy import CHECKS, Options, prepared, require_ids
from keras_ce._core.per_class import Numbers

Tensor = Any


@checks.arguments(**CHECKS, class_axis=checks.integer())
def linear_crossentropy(
    y_true: Any,
    features: Any,
    kernel: Any,
    bias: Any = None,
    *,
    label_smoothing: float = 0.0,
    prior: Numbers | None = None,
    class_weight: Numbers | None = None,
    ignore_class: int | None = None,
    logit_soft_cap: float | None = None,
    z_loss: float = 0.0,
    class_axis: int = -1,
) -> Tensor:
    """Cross-entropy of the logits `features @ kernel + bias` of each position, in nats.

    For many classes, such as the words of a vocabulary, in a training step of your own: the matrix
    of positions and classes is never in memory, neither for the losses nor for their gradient. With
    t = cap(features @ kernel + bias), where cap(z) = c tanh(z / c) with a soft cap c, and the
    smoothed label q of `LabelSmoothedCrossentropy`, the loss of a position is

        -sum_c w_c q_c log softmax(t)_c + z_loss logsumexp(t)^2

    It is differentiable with respect to features, kernel and bias, whatever factor each position's
    loss gets; second derivatives do need the whole matrix. `keras_ce.layers.LinearCrossentropy` is
    the same as the last layer of a model, and faster there: it knows each position's factor
    beforehand.

    Args:
        y_true: class ids (...) or (..., 1).
        features: numbers (..., D). In half precision, products are computed in that precision and
            summed in float32.
        kernel: numbers (D, C), or (C, D) with `class_axis` 0, like the table of an `Embedding`.
        bias: None, or numbers (C,).
        label_smoothing: the share e that is taken from the label and given to all classes, from 0
            to 1.
        prior: C numbers >= 0, divided by their sum: how that share is distributed. Default:
            equally.
        class_weight: C numbers >= 0, or a dict id -> weight in which missing ids count 1: w.
        ignore_class: positions with this class id have loss 0.
        logit_soft_cap: None, or the number c > 0 that no logit exceeds.
        z_loss: the factor >= 0 of the squared log-sum-exp that is added. Class weights do not scale
            it.
        class_axis: the axis of the classes in the kernel, -1 or 0.

    Returns:
        Losses (...), in float32 or wider.

    Raises:
        ValueError: an argument out of its range; shapes that do not fit.
        InvalidValuesError: a `ValueError` in eager execution, for a label that is no class id.
            Compiled, the loss of its position is NaN and its gradient 0.

    Example:
        >>> kernel = np.array([[2.0, 0.5, 6.0], [0.1, 0.0, 3.0]], "float32")
        >>> losses = linear_crossentropy([2], np.array([[1.0, 0.0]], "float32"), kernel)
        >>> keras.ops.convert_to_numpy(losses)
        array([0.02215...], dtype=float32)

    Reference:
        Wijmans et al. 2024, "Cut Your Losses in Large-Vocabulary Language Models";
        https://arxiv.org/abs/2411.09009.
    """
    weight = kernel if isinstance(kernel, keras.Variable) else None
    features, kernel = _matrix("features", features), _matrix("kernel", kernel)
    if len(kernel.shape) != 2 or class_axis not in (-1, 0, 1, -2) or None in tuple(kernel.shape):
        raise ValueError(
            "`kernel` must be a matrix (D, C), or (C, D) with `class_axis` 0. Received: "
            f"kernel.shape={tuple(kernel.shape)}, class_axis={class_axis}."
        )
    class_axis %= 2
    num_classes, width = kernel.shape[class_axis], kernel.shape[1 - class_axis]
    if len(features.shape) < 1 or features.shape[-1] != width:
        raise ValueError(
            f"`features` must have the {width} numbers of a position in their last axis, as "
            f"`kernel` of shape {tuple(kernel.shape)} with class_axis={class_axis} has. Received: "
            f"features.shape={tuple(features.shape)}. A kernel (C, D) needs `class_axis` 0."
        )
    checks.num_classes("kernel", num_classes)
    if bias is not None:
        bias = float_tensor("bias", bias)
        if tuple(bias.shape) != (num_classes,):
            raise ValueError(
                f"`bias` must have one number for each of {num_classes} classes. Received: "
                f"bias.shape={tuple(bias.shape)}."
            )
    require_ids(y_true, features, num_classes, "y_true")
    checked: Any = (label_smoothing, prior, class_weight, ignore_class, logit_soft_cap, z_loss)
    options = Options(*checked)
    ids = class_ids(y_true, len(features.shape) - 1)
    ready = prepared(
        y_true,
        features,
        ids,
        None if ignore_class is None else ops.equal(ids, ignore_class),
        kernel if weight is None else weight,
        bias,
        options,
        argument="y_true",
        num_classes=num_classes,
        class_axis=class_axis,
    )
    return ready.settled(options.formula()(linear.terms(ready.logits), *ready.rows))


def _matrix(name: str, value: Any) -> Tensor:
    """Numbers as they are, half precision included; what are no floats as float32."""
    values = tensor(name, value)
    is_float = "float" in keras.backend.standardize_dtype(values.dtype)
    return values if is_float else ops.cast(values, "float32")
