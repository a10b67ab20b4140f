"""Cross-entropy of rows with candidates, without the matrix of all their similarities.

Row n is the vector r_n, its similarity with candidate m is s_nm = r_n . c_m, and one candidate,
o(n), is the right one:

    loss_n = -log softmax(s_n / temperature)_o(n)

The rows go by in tiles: a tile's similarities with all candidates, a few million numbers, are all
that is held. The first pass keeps three numbers per row: the largest similarity, the sum of the
exponentials relative to it without the right candidate's, and that sum with it. The second
computes each tile again, turns it into that part of the gradient and multiplies it into the
gradients of rows and candidates.

By rows, because a tile then holds whole rows: one pass over it gives their losses. Tile k of K
takes rows k, k + K, k + 2 K, ...: where the rows lie on several devices, a part of each tile lies
on each of them.
"""

import functools
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Backward, Forward
from keras_ce._core.softmax import largest_number

Tensor = Any
Step = Callable[[tuple[Tensor, ...], Any], tuple[tuple[Tensor, ...], Any]]

ELEMENTS_OF_A_TILE = 2**22
"""16 MB in float32. Each tile costs a pass over the gradient of the candidates: not much smaller."""


def losses_of_pairs(
    rows: Tensor,
    candidates: Tensor,
    right: Tensor,
    temperature: float,
    ids: tuple[Tensor, Tensor] | None = None,
    is_left_out: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each row with its right candidate among all of them, in nats.

    Args:
        rows: numbers (N, D).
        candidates: numbers (M, D) of the same dtype.
        right: which candidate is each row's right one, (N,), int32.
        temperature: a number > 0.
        ids: None, or an id of each row (N,) and of each candidate (M,): another candidate with
            the row's id leaves the row's denominator.
        is_left_out: None, or which candidates (M,) leave all denominators but their own row's.

    Returns:
        Losses (N,), differentiable with respect to rows and candidates.
    """
    constants = [right, *(ids or ())]
    if is_left_out is not None:
        lowered = ops.cast(is_left_out, rows.dtype) * _lowest(rows)
        constants.append(lowered)
    forward, backward = _passes(temperature, ids is not None, is_left_out is not None)
    return backend.closed_form(forward, backward, rows, candidates, *constants)


@functools.cache
def _passes(temperature: float, has_ids: bool, has_lowered: bool) -> tuple[Forward, Backward]:
    """Both passes, compiled once and not anew for each call."""

    def split(right: Tensor, *constants: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The constants of rows, and those of candidates."""
        return (right, *constants[: int(has_ids)]), constants[int(has_ids) :]

    def similarities(
        of_rows: tuple[Tensor, ...], columns: Tensor, of_columns: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """A tile of similarities / temperature, and the right candidate's.

        Where there are ids, the candidates with the row's id, the right one included, have the
        lowest number.
        """
        rows, right, *row_ids = of_rows
        tile = backend.affine(rows, columns, of_columns[-1]) if has_lowered else rows @ columns
        at_right = backend.label_entry(tile, right)
        if has_ids:
            is_same = ops.equal(row_ids[0][:, None], of_columns[0][None, :])
            tile = backend.where(is_same, _lowest(tile), tile)
        return tile, at_right

    def forward(rows: Tensor, candidates: Tensor, *constants: Tensor) -> Any:
        of_rows, of_columns = split(*constants)
        columns = ops.transpose(candidates)

        def step(of_tile: tuple[Tensor, ...], carry: Any) -> Any:
            tile, at_right = similarities(of_tile, columns, of_columns)
            top = backend.largest(tile)
            peak = ops.where(at_right > top, at_right, top)  # On torch, maximum rounds to float32.
            parts = backend.exponentials_below(tile, peak)
            if not has_ids:
                parts = backend.with_label_entry(parts, of_tile[1], ops.zeros_like(peak))
            rest = backend.row_sum(parts)
            below = at_right - peak
            right = ops.exp(below)
            # Not log(rest + right): where the right one is the most similar, `right` is exactly 1.
            losses = backend.log1p(rest + (right - 1)) - below
            return (losses, peak, rest, rest + right), carry

        number = rows[:, :1]
        results, _ = _over_tiles(
            step, (rows / temperature, *of_rows), (number,) * 4, ops.shape(candidates)[0], ()
        )
        losses, *residuals = results
        return ops.squeeze(losses, -1), tuple(residuals)

    def backward(
        upstream: Tensor, residuals: Any, rows: Tensor, candidates: Tensor, *constants: Tensor
    ) -> tuple[Tensor, ...]:
        of_rows, of_columns = split(*constants)
        columns = ops.transpose(candidates)
        peak, rest, total = residuals
        # `gradient` below is that of the tile over `slope`, which is multiplied to what has D
        # columns and not to what has M.
        slope = upstream[:, None] / total

        def step(of_tile: tuple[Tensor, ...], of_columns_so_far: Tensor) -> Any:
            *of_tile, peak, rest, slope = of_tile
            tile, _ = similarities(tuple(of_tile), columns, of_columns)
            gradient = backend.exponentials_below(tile, peak)
            # As p - 1 would be, without the difference of numbers close to each other.
            gradient = backend.with_label_entry(gradient, of_tile[1], -rest)
            of_columns_so_far = backend.plus_matrix_product(
                of_columns_so_far, ops.transpose(slope * of_tile[0]), gradient
            )
            return (slope * (gradient @ candidates),), of_columns_so_far

        (of_rows_found,), of_columns_found = _over_tiles(
            step,
            (rows / temperature, *of_rows, peak, rest, slope),
            (rows,),
            ops.shape(candidates)[0],
            ops.zeros_like(columns),
        )
        return of_rows_found / temperature, ops.transpose(of_columns_found)

    return backend.compiled(forward), backend.compiled(backward)


def _over_tiles(
    step: Step, inputs: tuple[Tensor, ...], like: tuple[Tensor, ...], width: Any, carry: Any
) -> tuple[tuple[Tensor, ...], Any]:
    """`results, carry = step(inputs of a tile, carry)` for every tile of rows in turn.

    Args:
        step: the results of a tile are (size, ...), as many as `like`.
        inputs: (N, ...).
        like: tensors (N, W) of the shape and dtype of the results of all rows.
        width: the number of columns of the matrix whose tiles are held.
        carry: what the first step gets.

    Returns:
        The results (N, W) of all rows, and what the last step has carried.
    """
    number = ops.shape(inputs[0])[0]
    count = _number_of_tiles(number, width)
    if isinstance(count, int) and count == 1:
        return step(inputs, carry)
    size = number // count
    whole = size * count

    def in_columns(values: Tensor) -> Tensor:
        """(N, W) as (size, count * W), tile k in the k-th W columns."""
        return ops.reshape(values[:whole], (size, count * _width_of(values)))

    def tile_of(columns: Tensor, values: Tensor, index: Any) -> Tensor:
        """What `in_columns` has made of `values`, its tile `index`."""
        width = _width_of(values)
        part = ops.slice(columns, (0, index * width), (size, width))
        return ops.reshape(part, (-1, *values.shape[1:]))

    split = [in_columns(values) for values in inputs]

    def with_tile(index: Any, carried: Any) -> Any:
        results, carry = carried
        of_tile = tuple(
            tile_of(columns, values, index) for columns, values in zip(split, inputs, strict=True)
        )
        parts, carry = step(of_tile, carry)
        results = tuple(
            backend.with_columns(result, index * _width_of(values), part)
            for result, values, part in zip(results, like, parts, strict=True)
        )
        return results, carry

    results = tuple(ops.zeros_like(in_columns(values)) for values in like)
    results, carry = ops.fori_loop(0, count, with_tile, (results, carry))
    results = tuple(
        ops.reshape(result, (-1, _width_of(values)))
        for result, values in zip(results, like, strict=True)
    )
    if isinstance(number, int) and whole == number:
        return results, carry
    last, carry = step(tuple(values[whole:] for values in inputs), carry)
    return tuple(ops.concatenate(both) for both in zip(results, last, strict=True)), carry


def _number_of_tiles(number: Any, width: Any) -> Any:
    """So many that no tile is larger than it may be; if there is such a number, one that divides N.

    An integer, or a tensor where a trace does not know the number of rows or of columns.
    """
    most = ELEMENTS_OF_A_TILE
    if not isinstance(number, int) or not isinstance(width, int):
        size = ops.maximum(1, most // ops.maximum(1, width))  # Not N x M, which int32 may not hold.
        return ops.maximum(1, (number + size - 1) // size)
    size = max(1, most // max(1, width))
    count = max(1, -(-number // size))
    return next((more for more in range(count, 2 * count) if number % more == 0), count)


def _width_of(values: Tensor) -> int:
    return values.shape[1] if len(values.shape) == 2 else 1


def _lowest(values: Tensor) -> float:
    """Less than any similarity, and still finite after what is added to it."""
    return -largest_number(values) / 2
