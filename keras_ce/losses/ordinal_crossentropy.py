"""Cross-entropy of ordered classes: one yes-or-no question for each threshold between them."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Passes, kept
from keras_ce._core.labels import float_tensor
from keras_ce._core.ordinal import ordered
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


@kept
def _passes() -> Passes:
    """The sum over the thresholds k of the sigmoid cross-entropy of [y > k]."""

    def are_above(logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        thresholds = ops.arange(ops.shape(logits)[-1], dtype=ids.dtype)
        yes = ops.cast(thresholds < backend.column(ids), logits.dtype)
        return yes, 1 - yes

    def forward(logits: Tensor, ids: Tensor) -> Any:
        losses = backend.sigmoid_losses(logits, *are_above(logits, ids), 1.0)
        return backend.flat(backend.row_sum(losses)), ()

    def backward(upstream: Tensor, residuals: Any, logits: Tensor, ids: Tensor) -> Tensor:
        slopes = backend.sigmoid_slopes(logits, *are_above(logits, ids))
        return backend.scaled(slopes, backend.column(upstream))

    return Passes(forward, backward)


@checks.arguments()
def ordinal_crossentropy(y_true: Any, y_pred: Any) -> Tensor:
    """`OrdinalCrossentropy` of each position, in nats; one single row gives shape ()."""
    given = ordered(y_true, y_pred)
    losses = backend.closed_form_of_rows(_passes(), given.y_pred, given.ids, varies=given.varies)
    return given.settle(
        losses if len(given.positions) == 1 else ops.reshape(losses, given.positions)
    )


@keras.saving.register_keras_serializable(package="keras_ce")
def ordinal_probabilities(logits: Any) -> Tensor:
    """The probabilities of C ordered classes from C - 1 logits of "the class is above k".

    With s_0 >= s_1 >= ... the logits of a row in descending order, as those of
    `keras_ce.layers.OrdinalLogits` always are, class 0 has probability 1 - sigmoid(s_0), class k
    sigmoid(s_(k-1)) - sigmoid(s_k), and the last one sigmoid(s_(C-2)). None is negative, they sum
    to 1, and small ones keep their digits: the differences are computed as products.

    Args:
        logits: numbers (..., C - 1).

    Returns:
        Probabilities (..., C), in float32 or wider.

    Raises:
        ValueError: `logits` is a scalar, or its last axis is empty.

    Example:
        >>> probabilities = ordinal_probabilities([[2.0, -1.0]])
        >>> keras.ops.convert_to_numpy(probabilities).round(4).tolist()
        [[0.119..., 0.611..., 0.268...]]
    """
    logits = float_tensor("logits", logits)
    if not len(logits.shape) or logits.shape[-1] == 0:
        raise ValueError(
            "`logits` must hold a logit for each class but the first along its last axis. "
            f"Received: logits.shape={tuple(logits.shape)}."
        )
    descending = -ops.sort(-logits, axis=-1)
    small = ops.exp(-ops.abs(descending))
    is_positive = descending >= 0
    above = backend.where(is_positive, 1 / (1 + small), small / (1 + small))
    below = backend.where(is_positive, small / (1 + small), 1 / (1 + small))
    upper, lower = descending[..., :-1], descending[..., 1:]
    # Two infinite ones of one sign have no difference.
    steps = backend.where(upper == lower, 0.0, upper - lower)
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b - a))
    between = above[..., :-1] * below[..., 1:] * -ops.expm1(-steps)
    return ops.concatenate([below[..., :1], between, above[..., -1:]], axis=-1)


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class OrdinalCrossentropy(PositionLoss, function=ordinal_crossentropy):
    """Cross-entropy of ordered classes, such as grades or stars, in nats.

    For classes whose order is known and whose distances are not: a prediction that is off by one
    class costs less than one that is off by three, which a softmax cannot express. The logits are
    those of "the class is above 0", "above 1" and so on, one fewer than there are classes: let the
    model end in `keras_ce.layers.OrdinalLogits(C)`, which keeps them in order, and take
    `ordinal_probabilities(logits)` for the probabilities of the classes.

    The loss of a position with class y is

        sum_k -([y > k] log p_k + [y <= k] log(1 - p_k)),    p_k = sigmoid(logit_k)

    and its gradient with respect to a logit is p_k - [y > k]. This is the loss of CORAL. Two other
    losses are often confused with it. A cumulative-link likelihood (proportional odds) is -log of
    the probability of the right class, sigmoid(logit_(y-1)) - sigmoid(logit_y): it depends only on
    the two thresholds next to the right class. CORN asks "above k" only for the examples that are
    above k - 1, and multiplies conditional probabilities: its logits need no order, and mean
    something else.

    Args:
        {options}

    Shapes:
        `y_pred`: logits (batch, ..., C - 1). `y_true`: class ids from 0 to C - 1, of shape
        (batch, ...) or (batch, ..., 1). Result: a scalar; with reduction "none" (batch, ...).

    Raises:
        {raises}

    Example:
        >>> loss = OrdinalCrossentropy()
        >>> float(loss([2, 0], [[2.0, 0.5, -1.0], [0.1, -1.0, -3.0]]))
        1.01025...

    Reference:
        Cao, Mirjalili & Raschka 2020, "Rank consistent ordinal regression for neural networks
        with application to age estimation", equation 4, all task weights 1;
        https://arxiv.org/abs/1901.07884.
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(options)
