"""Cross-entropy of a linear map's logits, without a matrix of all positions and all classes.

The classes go by in pieces of columns. The first pass keeps three numbers per position: the
largest logit so far, the sum of exponentials relative to it without the label's own, and the
label's logit. The second computes each piece of logits again, turns it into that piece of the
gradient, and multiplies it into the gradients of features, kernel and bias. By columns, because
each column of the kernel's gradient is then written once; by rows it would be added up anew for
every piece.
"""

import functools
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Backward, Compilation, Forward
from keras_ce._core.labels import last_axis_size
from keras_ce._core.softmax import largest_number, last_axis_mean

Tensor = Any

NARROWEST_PIECE = 128
WIDTH_FOR_ANY_BATCH = 512
"""Columns of a piece where a trace does not know the number of positions."""


def losses_of_linear_logits(
    features: Tensor, kernel: Tensor, bias: Tensor, ids: Tensor, *, label_smoothing: float
) -> Tensor:
    """Softmax cross-entropy of the logits `features @ kernel + bias`, in nats.

    Args:
        features: numbers (N, D).
        kernel: numbers (D, C) of the same dtype.
        bias: numbers (C,) of the same dtype.
        ids: class ids (N,), int32, inside [0, C).
        label_smoothing: the share of the label's mass that all classes get equally.

    Returns:
        Losses (N,), differentiable with respect to features, kernel and bias.
    """
    forward, backward = _passes(label_smoothing)
    return backend.closed_form(forward, backward, features, kernel, bias, ids)


@functools.cache
def _passes(label_smoothing: float) -> tuple[Forward, Backward]:
    """Both passes, compiled once and not anew for each call."""

    def forward(features: Tensor, kernel: Tensor, bias: Tensor, ids: Tensor) -> Any:
        def step(start: Any, width: int, carry: Any) -> Any:
            peak, rest, at_label = carry
            logits = _logits(features, kernel, bias, start, width)
            column, is_inside = _label_column(ids, start, width)
            at_label = ops.where(is_inside, backend.label_entry(logits, column), at_label)
            top = backend.largest(logits)
            higher = ops.where(top > peak, top, peak)  # On torch, maximum rounds to float32.
            parts = backend.exponentials_below(logits, higher)
            parts = backend.with_label_entry_of_piece(parts, ids - start, zero)
            rest = rest * ops.exp(peak - higher) + ops.sum(parts, -1, keepdims=True)
            return higher, rest, at_label

        zero = ops.zeros_like(features[:, :1])
        lowest = zero - largest_number(zero)
        peak, rest, at_label = _over_pieces(step, features, kernel, (lowest, zero, zero))
        below = at_label - peak
        label = ops.exp(below)
        log_total = ops.where(ops.equal(below, 0), ops.log1p(rest), ops.log(rest + label))
        losses = (1 - label_smoothing) * (log_total - below)
        if label_smoothing:
            average = features @ last_axis_mean(kernel) + last_axis_mean(bias)
            losses = losses + label_smoothing * (log_total - (average - peak))
        return ops.squeeze(losses, -1), (peak, rest, label)

    def backward(
        upstream: Tensor,
        residuals: Any,
        features: Tensor,
        kernel: Tensor,
        bias: Tensor,
        ids: Tensor,
    ) -> tuple[Tensor, ...]:
        peak, rest, label = residuals
        total = rest + label
        # `gradient` below is that of the logits over `slope`, which is multiplied to what has D
        # columns and not to what has C.
        slope = upstream[:, None] / total
        each = label_smoothing / last_axis_size(kernel)
        # As p - q would be, without the difference of numbers close to each other.
        at_label = label_smoothing * label - (1 - label_smoothing) * rest - each * total
        transposed = ops.transpose(slope * features)
        slopes = ops.transpose(slope)

        def step(start: Any, width: int, carry: Any) -> Any:
            of_features, of_kernel, of_bias = carry
            gradient = backend.exponentials_below(
                _logits(features, kernel, bias, start, width), peak
            )
            if label_smoothing:
                gradient = backend.minus_product(gradient, total, each)
            gradient = backend.with_label_entry_of_piece(gradient, ids - start, at_label)
            columns = ops.slice(kernel, (0, start), (kernel.shape[0], width))
            of_features = of_features + gradient @ ops.transpose(columns)
            of_kernel = backend.with_columns(of_kernel, start, transposed @ gradient)
            of_bias = backend.with_columns(of_bias, start, slopes @ gradient)
            return of_features, of_kernel, of_bias

        start = ops.zeros_like(features), ops.zeros_like(kernel), ops.zeros_like(bias[None])
        of_features, of_kernel, of_bias = _over_pieces(step, features, kernel, start)
        return slope * of_features, of_kernel, of_bias[0]

    return backend.compiled(forward), backend.compiled(backward)


def _over_pieces(
    step: Callable[[Any, int, Any], Any], features: Tensor, kernel: Tensor, carry: Any
) -> Any:
    """`carry = step(start, width, carry)` for every piece of the classes in turn."""
    number, num_classes = features.shape[0], kernel.shape[-1]
    width = WIDTH_FOR_ANY_BATCH
    if number:
        width = max(NARROWEST_PIECE, Compilation.ELEMENTS_OF_A_PIECE // number)
    whole_pieces, last_width = divmod(num_classes, width)
    if whole_pieces:
        carry = ops.fori_loop(
            0, whole_pieces, lambda piece, carry: step(piece * width, width, carry), carry
        )
    if last_width:
        carry = step(num_classes - last_width, last_width, carry)
    return carry


def _logits(features: Tensor, kernel: Tensor, bias: Tensor, start: Any, width: int) -> Tensor:
    columns = ops.slice(kernel, (0, start), (kernel.shape[0], width))
    return backend.affine(features, columns, ops.slice(bias, (start,), (width,)))


def _label_column(ids: Tensor, start: Any, width: int) -> tuple[Tensor, Tensor]:
    """Where the labels stand in a piece (N,), and whether they stand there at all (N, 1)."""
    column = ops.clip(ids - start, 0, width - 1)
    return column, ops.equal(column, ids - start)[:, None]
