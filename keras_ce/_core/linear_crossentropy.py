"""The cross-entropy of a linear map's logits: what its function and its layer share."""

import dataclasses
from typing import Any

import keras
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.labels import (
    Given,
    Marked,
    are_dense,
    look_at_ids,
    unless,
    zero_at,
    zero_where,
)
from keras_ce._core.limits import weighted
from keras_ce._core.linear import Formula, Logits, Terms
from keras_ce._core.per_class import PerClass, distribution, per_class
from keras_ce._core.softmax import largest_number, smoothing

Tensor = Any

CHECKS: dict[str, checks.Check] = {
    "label_smoothing": checks.number(minimum=0, maximum=1),
    "prior": checks.optional(distribution),
    "class_weight": checks.optional(per_class(missing=1.0)),
    "ignore_class": checks.optional(checks.class_id),
    "logit_soft_cap": checks.optional(checks.number(above=0)),
    "z_loss": checks.number(minimum=0),
}
"""The checks of the options, in the order of the constructors."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The options, checked."""

    label_smoothing: float = 0.0
    prior: PerClass | None = None
    class_weight: PerClass | None = None
    ignore_class: int | None = None
    logit_soft_cap: float | None = None
    z_loss: float = 0.0

    def formula(self) -> Formula:
        """The loss of each position from its terms, and `rows_of` where there are class weights."""
        share = self.label_smoothing if self.class_weight is None else None
        return Formula(crossentropy_of_terms, (share, self.z_loss))

    def vector(self, like: Tensor) -> Tensor | None:
        """The mass that smoothing gives each class, (C,)."""
        if not self.label_smoothing:
            return None
        blend = smoothing(self.label_smoothing, like, self.prior, self.class_weight)
        if blend.shift is not None:
            return blend.shift
        number = like.shape[-1]
        return ops.full((number,), self.label_smoothing / number, dtype=like.dtype)

    def rows_of(self, ids: Tensor, like: Tensor) -> tuple[Tensor, ...]:
        """The mass of the smoothed label (N,) and that which smoothing gave, with class weights."""
        if self.class_weight is None:
            return ()
        blend = smoothing(self.label_smoothing, like, self.prior, self.class_weight)
        of_label = backend.of_classes(blend.scale, ids)
        shared = ops.zeros_like(of_label) + blend.shift_mass
        return of_label + shared, shared


def crossentropy_of_terms(terms: Terms, *arguments: Any) -> Tensor:
    """-sum_c q_c log p_c + z_loss logsumexp(t)^2 of each position.

    With q_c the sum of a [c = y] and v_c, where v is what `terms.weighted` sums by: `arguments`
    are `share` and `z_loss`, after the sum of q and that of v of each position where they are not
    1 and `share`.
    """
    *rows, share, z_loss = arguments
    # Not softplus, which torch does not compute to the last digit.
    surprise = -ops.log_sigmoid(-terms.log_odds)
    losses = surprise
    if rows:
        mass, share = rows
        losses = weighted(mass, surprise)
    if terms.weighted is not None:
        # Where the label is out of reach, the loss is infinite already.
        is_reached = terms.at_label >= -largest_number(terms.at_label)
        at_label = backend.where(is_reached, terms.at_label, 0.0)
        losses = losses + backend.where(is_reached, share * at_label - terms.weighted, 0.0)
    if z_loss:
        losses = losses + z_loss * ops.square(terms.at_label + surprise)
    return losses


@dataclasses.dataclass
class Prepared:
    """Positions ready for the formula.

    Attributes:
        given: the record that settles the losses.
        logits: of the N positions, (N, C).
        rows: what the formula takes beside the terms.
        is_invalid: None, or which positions (...) hold no class id.
        positions: the shape of the positions.
    """

    given: Given
    logits: Logits
    rows: tuple[Tensor, ...]
    is_invalid: Tensor | None
    positions: Any

    def settled(self, losses: Tensor) -> Tensor:
        """The losses of the positions (...), from those of the formula (N,)."""
        return self.given.settle(ops.reshape(losses, self.positions))


def require_ids(labels: Any, features: Tensor, num_classes: int, argument: str) -> None:
    """Raises unless labels have the shape of class ids of the positions of `features`."""
    logits = keras.KerasTensor((*features.shape[:-1], num_classes))
    if are_dense(labels, logits, -1, argument):
        raise ValueError(
            f"`{argument}` must be class ids. Received: dense rows of shape "
            f"{tuple(labels.shape)}. Take `Dense` and a loss of `keras_ce.losses` for rows."
        )


def prepared(
    labels: Any,
    features: Tensor,
    ids: Tensor,
    is_exempt: Tensor | None,
    kernel: Tensor,
    bias: Tensor | None,
    options: Options,
    *,
    argument: str,
    num_classes: int,
    class_axis: int,
    trains_kernel: bool = True,
) -> Prepared:
    """Positions (...) of features (..., D) and ids (...), of which some may not count.

    `kernel` is numbers or a weight.

    In eager execution an id outside [0, C) at a position that counts raises.
    """
    is_valid = (ids >= 0) & (ids < num_classes)
    given = Given(zero_where(is_exempt, features), Marked(labels, is_exempt), is_exempt)
    is_invalid = unless(is_exempt, ops.logical_not(is_valid))
    if not look_at_ids(labels, is_invalid, num_classes, argument):
        given.is_invalid = is_invalid
    is_wide = keras.backend.standardize_dtype(features.dtype) == "float64"
    wide = "float64" if is_wide else "float32"
    like = ops.zeros((1, num_classes), dtype=wide)
    flat_ids = ops.reshape(zero_at(ops.logical_not(is_valid), ids), (-1,))
    rows = ops.reshape(given.y_pred, (-1, features.shape[-1]))
    logits = Logits(
        rows,
        ops.cast(kernel, features.dtype),
        flat_ids,
        None if bias is None else ops.cast(bias, wide),
        options.vector(like),
        None if is_exempt is None else ops.reshape(ops.logical_not(is_exempt), (-1,)),
        class_axis=class_axis,
        soft_cap=options.logit_soft_cap,
        trains_kernel=trains_kernel,
        devices=backend.devices_of(rows.shape[0], kernel, class_axis),
    )
    others = options.rows_of(flat_ids, like)
    return Prepared(given, logits, others, given.is_invalid, ops.shape(ids))
