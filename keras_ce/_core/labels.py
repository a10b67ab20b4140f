"""What users give, made into one record: predictions, labels, what is valid and what counts.

A record holds prepared tensors for the formulas, and `settle` makes their losses those of the
positions: NaN where something is invalid, 0 where nothing counts. In eager execution what is
invalid raises here, with its position in the user's own array.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ce._core import checks
from keras_ce._core.backends import backend
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.limits import SMALLEST_PROBABILITY, clamped, nan_where

Tensor = Any
Array = np.ndarray[Any, Any]
Shape = list[int | None]

PROBABILITY_TOLERANCE = 1e-6
"""How far a probability may lie outside [0, 1]; it counts as 0 or 1 there."""

NO_ID = -(2**31)
"""Stands for every label that is not an integer within int32."""

EXCLUSIVE_CHECKS: dict[str, checks.Check] = {
    "from_logits": checks.flag,
    "ignore_class": checks.optional(checks.class_id),
    "axis": checks.integer(),
}
"""The checks of the arguments that losses of exclusive classes share."""


# --- tensors ---


def tensor(name: str, value: Any) -> Tensor:
    """An array, tensor or (nested) list of numbers as a tensor; Python floats become float32."""
    if ops.is_tensor(value) or isinstance(value, keras.Variable):
        _require_rank(name, value)
        return ops.convert_to_tensor(value)
    array = to_array(name, value)
    if array.dtype == np.float64 and not hasattr(value, "dtype"):
        array = array.astype("float32")
    return ops.convert_to_tensor(array)


def float_tensor(name: str, value: Any) -> Tensor:
    """The same in float32 or wider."""
    if backend.is_float(value):
        _require_rank(name, value)
        return value
    values = tensor(name, value)
    if keras.backend.standardize_dtype(values.dtype) in ("float32", "float64"):
        return values
    return ops.cast(values, "float32")


def to_array(name: str, value: Any) -> Array:
    """An array or (nested) list of numbers as NumPy array."""
    if isinstance(value, dict) or (
        isinstance(value, Sequence) and any(ops.is_tensor(item) for item in value)
    ):
        raise ValueError(
            f"`{name}` must be one tensor. Received: a {type(value).__name__} of {len(value)} "
            "tensors. A loss sees one output of a model at a time: concatenate or stack them "
            "in the model, or give each output a loss of its own."
        )
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        raise ValueError(
            f"`{name}` must hold numbers. Received: values of type {array.dtype}. Map texts to "
            "class ids first, for example by `keras.layers.StringLookup`."
        )
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ValueError(f"`{name}` must hold numbers. Received: values of type {array.dtype}.")
    return array


def shape_of(name: str, value: Any) -> Shape:
    """The shape of a tensor, array or (nested) list, None for sizes that a trace does not know."""
    if not hasattr(value, "shape"):
        return list(np.shape(value))
    _require_rank(name, value)
    return list(value.shape)


def _require_rank(name: str, value: Any) -> None:
    if getattr(value.shape, "rank", 0) is None:
        raise ValueError(
            f"`{name}` must have a known number of axes. Received: a tensor of unknown rank. "
            "TensorFlow forgets the rank where it changes from one call to the next: give arrays "
            "of one rank, or compile the model anew."
        )


def fits(shape: Shape, expected: Shape) -> bool:
    """Whether two shapes agree as far as they are known."""
    return len(shape) == len(expected) and all(
        size is None or other is None or size == other
        for size, other in zip(shape, expected, strict=True)
    )


def as_dtype(values: Tensor, like: Tensor) -> Tensor:
    """Values in the dtype of a tensor."""
    return values if values.dtype == like.dtype else ops.cast(values, like.dtype)


def as_rows(values: Tensor, num_classes: Any) -> Tensor:
    """From (..., C) to (N, C)."""
    return values if len(values.shape) == 2 else ops.reshape(values, (-1, num_classes))


def last_axis_size(values: Tensor) -> Tensor | float:
    """The size of the last axis: a float, or a tensor where a trace does not know it."""
    size = values.shape[-1]
    return float(size) if size is not None else ops.cast(ops.shape(values)[-1], values.dtype)


def either(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Logical or of two boolean tensors, each of which may be missing."""
    if first is None or second is None:
        return second if first is None else first
    return ops.logical_or(first, second)


def unless(is_exempt: Tensor | None, condition: Tensor) -> Tensor:
    """Where `condition` holds at a position that is not exempt."""
    return (
        condition if is_exempt is None else ops.logical_and(condition, ops.logical_not(is_exempt))
    )


def zero_where(is_exempt: Tensor | None, values: Tensor) -> Tensor:
    """`values` (..., C) with the rows of the exempt positions (...) replaced by zeros."""
    return values if is_exempt is None else backend.where(backend.column(is_exempt), 0.0, values)


# --- records ---


class Marked:
    """Labels, and which positions do not count: what a loss class hands to its function.

    Attributes:
        labels: as the user gave them.
        is_exempt: None, or which positions are masked or have weight 0.
        is_masked: None, or which of them are masked: rows that are compared with others tell the
            two apart.
        is_ignored: None, or which positions the labels ask to ignore; known once the losses are
            settled.
    """

    def __init__(
        self, labels: Any, is_exempt: Tensor | None, is_masked: Tensor | None = None
    ) -> None:
        self.labels = labels
        self.is_exempt = is_exempt
        self.is_masked = is_masked
        self.is_ignored: Tensor | None = None


def unmarked(y_true: Any) -> tuple[Any, Marked]:
    marked = y_true if isinstance(y_true, Marked) else Marked(y_true, None)
    return marked.labels, marked


@dataclasses.dataclass
class Given:
    """What every record has.

    Attributes:
        y_pred: logits, scores, or probabilities within [1e-30, 1].
        marked: where the positions come from.
        is_exempt: None, or which positions do not count, the ignored ones included.
        is_ignored: None, or which positions the labels ask to ignore.
        is_invalid: None, or which positions hold something invalid.
        varies: whether the number of positions of a row is unknown, as that of time steps often.
    """

    y_pred: Tensor
    marked: Marked
    is_exempt: Tensor | None = None
    is_ignored: Tensor | None = None
    is_invalid: Tensor | None = None
    varies: bool = False

    def settle(self, losses: Tensor) -> Tensor:
        """The losses of the positions: NaN where invalid, 0 where they do not count."""
        if self.is_invalid is not None:
            losses = nan_where(self.is_invalid, losses)
        if self.is_exempt is not None:
            losses = backend.where(self.is_exempt, 0.0, losses)
        self.marked.is_ignored = self.is_ignored
        return losses


@dataclasses.dataclass
class Exclusive(Given):
    """Rows of exclusive classes.

    Attributes:
        y_pred: logits or probabilities (N, C).
        from_logits: which of them.
        ids: class ids (N,), all inside [0, C); None where the labels are rows.
        rows: label rows (N, C); None where the labels are ids.
        are_valid: whether all rows are known to hold finite numbers >= 0.
        positions: the shape of the positions.
    """

    from_logits: bool = True
    ids: Tensor | None = None
    rows: Tensor | None = None
    are_valid: bool = True
    positions: tuple[Any, ...] = ()

    def settle(self, losses: Tensor) -> Tensor:
        """See the base class. From losses (N,)."""
        is_flat = len(self.positions) == 1
        return super().settle(losses if is_flat else ops.reshape(losses, self.positions))


def exclusive(
    y_true: Any, y_pred: Any, from_logits: bool, ignore_class: int | None = None, axis: int = -1
) -> Exclusive:
    """The record of a loss of exclusive classes, from class ids or dense label rows."""
    y_true, marked = unmarked(y_true)
    y_pred = float_tensor("y_pred", y_pred)
    checks.class_axis(axis, y_pred)
    axis = axis % len(y_pred.shape)
    _require_classes(y_pred.shape[axis], y_pred)
    is_dense = are_dense(y_true, y_pred, axis)
    if is_dense and ignore_class is not None:
        raise ValueError(
            "`ignore_class` needs class ids as labels. Received: dense rows for "
            f"y_pred.shape={tuple(y_pred.shape)}, ignore_class={ignore_class}. Give the rows to "
            "ignore `sample_weight` 0."
        )
    own_labels, own_axis = y_true, axis
    if axis != len(y_pred.shape) - 1:
        y_pred = ops.moveaxis(y_pred, axis, -1)
        if is_dense:
            y_true = ops.moveaxis(tensor("y_true", y_true), axis, -1)
    num_classes = y_pred.shape[-1]
    if num_classes is None:
        num_classes = ops.shape(y_pred)[-1]
    given = Exclusive(y_pred, marked, marked.is_exempt, from_logits=from_logits)
    given.positions = tuple(ops.shape(y_pred)[:-1])
    given.varies = None in tuple(y_pred.shape)[1:]
    if is_dense:
        rows = as_dtype(tensor("y_true", y_true), y_pred)
        given.are_valid = look_at_rows(rows, own_labels, given, own_axis) is None
        given.rows = as_rows(rows, num_classes)
    else:
        ids = class_ids(y_true, len(y_pred.shape) - 1)
        if ignore_class is not None:
            given.is_ignored = ops.equal(ids, ignore_class)
            given.is_exempt = either(given.is_exempt, given.is_ignored)
        ids = zero_at(given.is_exempt, ids)
        if not checks.all_within(ids, 0, num_classes - 1):
            given.is_invalid = ops.logical_or(ids < 0, ids >= num_classes)
            look_at_ids(y_true, given.is_invalid, num_classes)
            ids = zero_at(given.is_invalid, ids)
        given.ids = backend.index(ids if len(ids.shape) == 1 else ops.reshape(ids, (-1,)))
    y_pred = zero_where(given.is_exempt, y_pred)
    if not from_logits:
        y_pred = probabilities(y_pred, given, own_axis)
    if y_pred.shape[-1] is None:  # One class is no error that can be raised now.
        is_one = ops.broadcast_to(num_classes < 2, given.positions)
        given.is_invalid = either(given.is_invalid, unless(given.is_exempt, is_one))
    given.y_pred = as_rows(y_pred, num_classes)
    return given


# --- what labels are ---


def are_dense(y_true: Any, y_pred: Tensor, axis: int, argument: str = "y_true") -> bool:
    """Whether labels are dense rows (exactly `y_pred`'s shape) rather than class ids.

    Ids have the shape of `y_pred` without the class axis, or that with a trailing 1.
    """
    shape = shape_of(argument, y_true)
    dense: Shape = list(y_pred.shape)
    positions = dense.copy()
    num_classes = positions.pop(axis)
    if len(shape) == len(dense):
        if shape == dense and None not in (shape[-1], shape[axis]):
            return True
        may_be_dense = fits(shape, dense)
        may_be_ids = fits(shape, [*positions, 1])
        if may_be_dense and may_be_ids:
            if shape[-1] == 1 and num_classes is None:
                return False
            if None in (shape[-1], shape[axis]):
                raise ValueError(
                    f"`{argument}` has the rank of `y_pred`, so its last dimension must be known "
                    "to tell class ids (1) from dense rows. Received: "
                    f"{argument}.shape={tuple(shape)}, y_pred.shape={tuple(dense)}. Set the "
                    "shape of the labels, for example by `tensor.set_shape` or `keras.ops.reshape`."
                )
        if may_be_dense:
            return True
        if may_be_ids:
            return False
    elif fits(shape, positions):
        return False
    raise ValueError(
        f"`{argument}` must be class ids of shape {tuple(positions)} or {(*positions, 1)}, or "
        f"dense rows of shape {tuple(dense)}, to match y_pred.shape={tuple(dense)} with class axis "
        f"{axis}. Received: {argument}.shape={tuple(shape)}."
    )


def class_ids(y_true: Any, rank: int | None, argument: str = "y_true") -> Tensor:
    """Integer labels as an int32 tensor, with NO_ID for what is no id.

    Where `rank` is given, a trailing axis of size 1 beyond it is dropped.

    What lies beyond int32 is found before JAX, which knows no wider integers, can wrap it.
    """
    if not ops.is_tensor(y_true) and not isinstance(y_true, keras.Variable):
        labels = to_array(argument, y_true)
        least = 0 if labels.dtype.kind == "u" else NO_ID  # beyond int64, uint64 is negative then
        # In types that reach the limits of int32, as float16 and int8 do not.
        labels = labels.astype("int64" if labels.dtype.kind in "iub" else "float64")
        with np.errstate(invalid="ignore"):
            is_id = (np.floor(labels) == labels) & (labels >= least) & (labels < 2**31)
        ids = ops.convert_to_tensor(np.where(is_id, labels, NO_ID).astype("int32"))
    else:
        y_true = ops.convert_to_tensor(y_true)
        dtype = keras.backend.standardize_dtype(y_true.dtype)
        if dtype == "string":
            raise ValueError(
                f"`{argument}` must hold class ids or rows of numbers. Received: strings. Map them "
                "to ids first, for example by `keras.layers.StringLookup`."
            )
        if "float" in dtype:
            labels = y_true if dtype == "float64" else ops.cast(y_true, "float32")
            is_id = ops.equal(ops.floor(labels), labels) & (labels > NO_ID) & (labels < 2.0**31)
            ids = ops.cast(ops.where(is_id, labels, ops.full_like(labels, NO_ID)), "int32")
        elif dtype in ("int64", "uint32", "uint64"):
            labels = ops.cast(y_true, backend.widest_integer())
            # Beyond that type an unsigned label is negative now.
            least = 0 if dtype.startswith("u") else NO_ID
            is_id = (labels >= least) & (labels <= 2**31 - 1)
            ids = ops.cast(ops.where(is_id, labels, ops.full_like(labels, NO_ID)), "int32")
        else:
            ids = ops.cast(y_true, "int32")
    is_trailing = rank is not None and len(ids.shape) == rank + 1
    return ops.squeeze(ids, -1) if is_trailing else ids


def ids_of_rows(y_true: Any, given: "Given", fix: str, argument: str = "y_true") -> Tensor:
    """One id (B,) of each row of `y_pred` (B, ...), any int32; NO_ID where it is invalid."""
    labels_shape, batch = shape_of(argument, y_true), given.y_pred.shape[0]
    if not fits(labels_shape, [batch]) and not fits(labels_shape, [batch, 1]):
        raise ValueError(
            f"`{argument}` must hold one id per row of `y_pred`, of shape {(batch,)} or "
            f"{(batch, 1)}. "
            f"Received: {argument}.shape={tuple(labels_shape)}."
        )
    ids = ops.reshape(class_ids(y_true, None, argument), (-1,))  # The last axis may be unknown.
    is_invalid = unless(given.is_exempt, ops.equal(ids, NO_ID))
    found = checks.any_true(is_invalid)
    if found:
        position = own_position(checks.first(is_invalid), y_true)
        raise InvalidValuesError(
            argument, own_value(y_true, position), "integers within int32", position, fix
        )
    given.is_invalid = is_invalid if found is None else None
    return ids


# --- what is invalid raises, where anybody looks ---


def look_at_ids(
    y_true: Any, is_invalid: Tensor, num_classes: Any, argument: str = "y_true"
) -> bool:
    """Raises at the first label that is no class id; returns whether anybody looked."""
    found = checks.any_true(is_invalid)
    if not found:
        return found is False
    number = int(num_classes)
    position = own_position(checks.first(is_invalid), y_true)
    value = own_value(y_true, position)
    fix = (
        "Correct the labels, give the output layer more classes, or give the position "
        "`sample_weight` 0."
    )
    if value == number:
        fix = "If the ids count from 1, subtract 1."
    elif value < 0 or value == 255:
        fix = f"If it marks labels to ignore, give `ignore_class={value}`."
    raise InvalidValuesError(
        argument,
        value,
        f"class ids, integers from 0 to {number - 1}, because `y_pred` has {number} classes",
        position,
        fix,
    )


def look_at_rows(rows: Tensor, own_labels: Any, given: Given, axis: int) -> Tensor | None:
    """Raises at the first entry of label rows that is not finite and >= 0.

    Returns None where all rows are known to be right; else which are not, for which the formulas
    need not wait: they judge the rows on their way.
    """
    most = float(np.finfo("float32").max) / (rows.shape[-1] or 1)  # for the sum to be finite, too
    if given.is_exempt is None and checks.all_within(rows, 0, most):
        return None
    smallest = ops.squeeze(backend.smallest(rows), -1)
    is_right = ops.logical_and(smallest >= 0, ops.isfinite(ops.sum(rows, -1)))
    is_invalid = unless(given.is_exempt, ops.logical_not(is_right))
    found = checks.any_true(is_invalid)
    if found:
        position = checks.first(is_invalid)
        row = checks.to_numpy(rows)[position]
        is_wrong = ~(np.isfinite(row) & (row >= 0))
        index = int(np.argmax(is_wrong if is_wrong.any() else row))
        position = (*position[:axis], index, *position[axis:]) if axis >= 0 else (*position, index)
        raise InvalidValuesError(
            "y_true",
            own_value(own_labels, position),
            "finite numbers >= 0 of a finite sum in dense label rows",
            position,
            "Correct the labels, or give the row `sample_weight` 0.",
        )
    return None if found is False and given.is_exempt is None else is_invalid


def probabilities(
    y_pred: Tensor, given: Given, axis: int | None, block: tuple[int, int] = (0, 0)
) -> Tensor:
    """Rows of probabilities (..., C) clamped to [1e-30, 1]; raises where they are none.

    `axis` is the class axis of the user's array; None where the rows are groups (..., count, size)
    of a flat vector, of which `block` is the first column and the size.
    """
    if checks.all_within(y_pred, SMALLEST_PROBABILITY, 1):
        return y_pred
    largest = ops.squeeze(backend.largest(y_pred), -1)
    smallest = ops.squeeze(backend.smallest(y_pred), -1)
    is_right = (smallest >= -PROBABILITY_TOLERANCE) & (largest <= 1 + PROBABILITY_TOLERANCE)
    # Under XLA, the smallest and the largest entry may not be the NaN; the sum is.
    is_right = is_right & (largest > 0) & ops.isfinite(ops.sum(y_pred, -1))
    is_invalid = unless(given.is_exempt, ops.logical_not(is_right))
    found = checks.any_true(is_invalid)
    if found:
        position = checks.first(is_invalid)
        row = checks.to_numpy(y_pred)[position]
        is_wrong = ~may_be_probabilities(row)
        index = int(np.argmax(is_wrong))
        if axis is None:
            own = (*position[:-1], block[0] + position[-1] * block[1] + index)
        else:
            own = (*position[:axis], index, *position[axis:])
        if is_wrong.any():
            raise not_a_probability(own, row[index].item())
        raise InvalidValuesError(
            "y_pred",
            0.0,
            "probabilities whose row sums are positive",
            own,
            "Its row holds nothing but zeros. Let the model end in a softmax, or better: return "
            "logits and give `from_logits=True`.",
        )
    if found is None:
        given.is_invalid = either(given.is_invalid, is_invalid)
    return clamped(y_pred)


def not_a_probability(position: tuple[int, ...], value: float) -> InvalidValuesError:
    return InvalidValuesError(
        "y_pred",
        value,
        "probabilities, from 0 to 1, because from_logits=False",
        position,
        "If the model returns logits, give `from_logits=True`.",
    )


def may_be_probabilities(values: Array) -> Array:
    is_right: Array = (values >= -PROBABILITY_TOLERANCE) & (values <= 1 + PROBABILITY_TOLERANCE)
    return is_right


def _require_classes(num_classes: int | None, y_pred: Tensor) -> None:
    """A softmax over one class is 1, whatever the logit: it can learn nothing."""
    if num_classes is not None and num_classes < 2:
        raise ValueError(
            f"`y_pred` must have at least two classes. Received: {num_classes} in "
            f"y_pred.shape={tuple(y_pred.shape)}. A softmax over one class is always 1 and can "
            "learn nothing: for one yes-or-no output take `WeightedSigmoidCrossentropy`."
        )


def zero_at(is_left_out: Tensor | None, ids: Tensor) -> Tensor:
    return ids if is_left_out is None else ops.where(is_left_out, ops.zeros_like(ids), ids)


def first_entry(
    values: Any,
    is_right: Callable[[Array], Array],
    is_exempt: Tensor | None,
    axis: int = -1,
) -> tuple[tuple[int, ...], float]:
    """The position of the first wrong entry that counts, and its value."""
    array = checks.to_numpy(values)
    is_wrong = ~is_right(array)
    if is_exempt is not None:
        is_wrong &= ~np.expand_dims(checks.to_numpy(is_exempt), axis)
    position = checks.first(is_wrong)
    return position, array[position].item()


def own_position(position: tuple[int, ...], values: Any) -> tuple[int, ...]:
    """The position in an array that may have one trailing axis of size 1 more, or less."""
    rank = len(shape_of("y_true", values))
    return (*position, 0)[:rank]


def own_value(values: Any, position: tuple[int, ...]) -> Any:
    return checks.to_numpy(values)[position].item()
