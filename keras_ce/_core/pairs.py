"""Cross-entropy of rows with candidates, without the matrix of all their similarities.

Row n is the vector r_n, its similarity with candidate m is s_nm = r_n . c_m, and one candidate,
o(n), is the right one:

    loss_n = -log softmax(s_n / temperature)_o(n)

The rows go by in tiles: a tile's similarities with all candidates, a few million numbers, are all
that is held. The first pass keeps per row the largest similarity, the sum of the exponentials
relative to it without the right candidate's, and that sum with it. The second turns each tile into
that part of the gradient and multiplies it into the gradients of rows and candidates. Where the
factor of each loss is known before (`total_and_losses`), the second pass follows the first in the
same tile, whose exponentials are still there: three matrix products in all. Where it comes from
outside (`losses`), each tile is computed anew.

By rows, because a tile then holds whole rows: one pass over it gives their losses. On several
devices each takes its own rows, with all candidates, whose gradient is added up at the end.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from keras_ce._core.backends import backend
from keras_ce._core.softmax import largest_number

Tensor = Any
Tensors = tuple[Tensor, ...]
Step = Callable[[Tensors, Any], tuple[Tensors, Any]]

ELEMENTS_OF_A_TILE = 2**22
"""16 MB in float32. Smaller ones: more passes over the gradient of the candidates."""


class Pairs(NamedTuple):
    """Rows, and the candidates of all of them.

    Attributes:
        rows: numbers (N, D).
        candidates: numbers (M, D) of the same dtype.
        right: which candidate is each row's right one, (N,), int32.
        temperature: a number > 0.
        ids: None, or an id of each row (N,) and of each candidate (M,): another candidate with
            the row's id leaves the row's denominator.
        is_left_out: None, or which candidates (M,) leave all denominators but their own row's.
        devices: None, or how the rows are spread over several.
    """

    rows: Tensor
    candidates: Tensor
    right: Tensor
    temperature: float
    ids: tuple[Tensor, Tensor] | None = None
    is_left_out: Tensor | None = None
    devices: Any = None

    def parts(self) -> tuple["_Passes", Tensors, Tensors]:
        """The passes, what has a derivative, and the rest."""
        constants = (self.right, *(self.ids or ()))
        if self.is_left_out is not None:
            lowered = ops.cast(self.is_left_out, self.rows.dtype) * _lowest(self.rows)
            constants = (*constants, lowered)
        has_lowered = self.is_left_out is not None
        kind = _Kind(self.temperature, self.ids is not None, has_lowered, self.devices)
        return _passes(kind), (self.rows, self.candidates), constants


def losses(pairs: Pairs) -> Tensor:
    """The loss of each row (N,) in nats, differentiable by rows and candidates."""
    passes, inputs, constants = pairs.parts()
    statistics = backend.without_derivative(passes.statistics, inputs, constants)
    return _attached(passes, inputs, constants, statistics)


def total_and_losses(pairs: Pairs, factors: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of `factors * losses`, and the losses themselves.

    The gradient of the sum by rows and candidates is computed with it: for where it is needed.
    """
    passes, inputs, constants = pairs.parts()
    total, statistics = backend.with_known_gradients(passes.total, (factors, *inputs), constants)
    return total, _attached(passes, inputs, constants, statistics)


def _attached(
    passes: "_Passes", inputs: Tensors, constants: Tensors, statistics: Tensors
) -> Tensor:
    """The losses, with their gradient."""
    (values,) = backend.attach(
        statistics[:1], passes.gradients, inputs, (*constants, *statistics[1:])
    )
    return values


class _Kind(NamedTuple):
    """What is fixed when the passes are compiled."""

    temperature: float
    has_ids: bool
    has_lowered: bool
    devices: Any

    def on_each_device(self, run: Callable[..., Any], results: Any) -> Callable[..., Any]:
        """A pass of inputs and constants, by devices; `results` are the axes of what it returns."""
        if self.devices is None:
            return run

        def by_devices(*groups: Tensors) -> Any:
            # The rows and what is one for each of them are spread, the candidates are not.
            axes = [["positions"] * len(group) for group in groups]
            axes[-2][-1] = ""
            first, number = (2 if self.has_ids else 1), self.has_ids + self.has_lowered
            axes[-1][first : first + number] = [""] * number
            return self.devices.each(run, tuple(map(tuple, axes)), results)(*groups)

        return by_devices

    def summed(self, values: Tensor) -> Tensor:
        """The sum over the devices that share the rows."""
        return values if self.devices is None else self.devices.total(values, "positions")

    def split(self, constants: Tensors) -> tuple[Tensors, Tensors]:
        """The constants of rows, and those of candidates."""
        first = 2 if self.has_ids else 1
        return constants[:first], constants[first:]

    def similarities(
        self, of_rows: Tensors, columns: Tensor, of_columns: Tensors
    ) -> tuple[Tensor, Tensor]:
        """A tile of similarities / temperature, and the right candidate's.

        Where there are ids, the candidates with the row's id, the right one included, have the
        lowest number.
        """
        rows, right, *row_ids = of_rows
        tile = backend.product(rows, columns)
        if self.has_lowered:
            tile = backend.plus(tile, of_columns[-1])
        at_right = backend.label_entry(tile, right)
        if self.has_ids:
            is_same = ops.equal(row_ids[0][:, None], of_columns[0][None, :])
            tile = backend.where(is_same, _lowest(tile), tile)
        return tile, at_right

    def statistics(
        self, of_rows: Tensors, columns: Tensor, of_columns: Tensors
    ) -> tuple[Tensors, Tensor]:
        """Losses, peaks, and sums without and with the right candidate (R, 1), of a tile.

        And its exponentials, 0 at the right candidate.
        """
        tile, at_right = self.similarities(of_rows, columns, of_columns)
        top = backend.largest(tile)
        peak = ops.where(at_right > top, at_right, top)  # On torch, maximum rounds to float32.
        parts = backend.exponentials_below(tile, peak)
        if not self.has_ids:
            parts = backend.with_label_entry(parts, of_rows[1], ops.zeros_like(peak))
        rest = backend.row_sum(parts)
        below = at_right - peak
        right = ops.exp(below)
        # Not log(rest + right): where the right one is the most similar, `right` is exactly 1.
        losses = backend.log1p(rest + (right - 1)) - below
        return (losses, peak, rest, rest + right), parts


class _Passes(NamedTuple):
    statistics: Callable[..., Tensors]
    """Of inputs and constants: losses, peaks and two sums, (N,) each."""
    gradients: Callable[..., Tensors]
    """Of upstreams of the losses, inputs, constants with statistics."""
    total: Callable[..., Any]
    """Of factors with inputs, constants: the sum, statistics, gradients."""


@functools.cache
def _passes(kind: _Kind) -> _Passes:
    """The passes, compiled once and not anew for each call."""

    def statistics(inputs: Tensors, constants: Tensors) -> Tensors:
        rows, candidates = inputs
        of_rows, of_columns = kind.split(constants)
        columns = ops.transpose(candidates)

        def step(of_tile: Tensors, carry: Any) -> Any:
            return kind.statistics(of_tile, columns, of_columns)[0], carry

        found, _ = _over_tiles(
            step,
            (rows / kind.temperature, *of_rows),
            4 * (rows[:, :1],),
            ops.shape(candidates)[0],
            (),
        )
        return tuple(ops.squeeze(each, -1) for each in found)

    def gradients(upstream: Tensors, inputs: Tensors, constants: Tensors) -> Tensors:
        rows, candidates = inputs
        *labels, peak, rest, total = constants
        of_rows, of_columns = kind.split(tuple(labels))
        columns = ops.transpose(candidates)

        def step(entries: Tensors, of_candidates: Tensor) -> Any:
            *of_tile, peak, rest, slope = entries
            tile, _ = kind.similarities(tuple(of_tile), columns, of_columns)
            parts = backend.exponentials_below(tile, peak[:, None])
            return add_gradients(of_tile, parts, rest, slope, candidates, of_candidates)

        (of_rows_found,), of_candidates = _over_tiles(
            step,
            (rows / kind.temperature, *of_rows, peak, rest, upstream[0] / total),
            (rows,),
            ops.shape(candidates)[0],
            ops.zeros_like(columns),
        )
        return of_rows_found / kind.temperature, kind.summed(ops.transpose(of_candidates))

    def total(inputs: Tensors, constants: Tensors) -> Any:
        factors, rows, candidates = inputs
        of_rows, of_columns = kind.split(constants)
        columns = ops.transpose(candidates)

        def step(entries: Tensors, of_candidates: Tensor) -> Any:
            *of_tile, factors = entries
            found, parts = kind.statistics(tuple(of_tile), columns, of_columns)
            _, _, rest, total = (each[:, 0] for each in found)
            (of_rows,), of_candidates = add_gradients(
                of_tile, parts, rest, factors / total, candidates, of_candidates
            )
            return (*found, of_rows), of_candidates

        (*found, of_rows_found), of_candidates = _over_tiles(
            step,
            (rows / kind.temperature, *of_rows, factors),
            (*4 * (rows[:, :1],), rows),
            ops.shape(candidates)[0],
            ops.zeros_like(columns),
        )
        numbers = tuple(ops.squeeze(each, -1) for each in found)
        slopes = of_rows_found / kind.temperature, kind.summed(ops.transpose(of_candidates))
        return kind.summed(ops.sum(factors * numbers[0])), numbers, (numbers[0], *slopes)

    def add_gradients(
        of_tile: Any,
        parts: Tensor,
        rest: Tensor,
        slope: Tensor,
        candidates: Tensor,
        of_candidates: Tensor,
    ) -> tuple[Tensors, Tensor]:
        """The gradient of a tile's rows, and that of the candidates (D, M) with what it adds."""
        rows, right, *_ = of_tile
        # As p - 1 would be, without the difference of numbers close to each other. It lacks
        # `slope`, which is multiplied to what has D columns and not to what has M.
        gradient = backend.with_label_entry(parts, right, -rest[:, None])
        slope = slope[:, None]
        of_candidates = backend.plus_product(
            of_candidates, 0, 0, slope * rows, gradient, turn="left"
        )
        return (slope * backend.product(gradient, candidates),), of_candidates

    def plain_statistics(inputs: Tensors, constants: Tensors) -> Tensors:
        rows, candidates = inputs
        of_rows, of_columns = kind.split(constants)
        of_rows = (rows / kind.temperature, *of_rows)
        found, _ = kind.statistics(of_rows, ops.transpose(candidates), of_columns)
        return tuple(ops.squeeze(each, -1) for each in found)

    def plain_gradients(upstream: Tensors, inputs: Tensors, constants: Tensors) -> Tensors:
        def of(*inputs: Tensor) -> Tensor:
            return plain_statistics(inputs, constants[:-3])[0]

        return backend.gradients_of(of, tuple(inputs), upstream[0])[1]

    def plain_total(inputs: Tensors, constants: Tensors) -> Any:
        def of(factors: Tensor, *inputs: Tensor) -> Tensor:
            return ops.sum(factors * plain_statistics(inputs, constants)[0])

        one = ops.ones_like(ops.sum(inputs[0]))
        value, slopes = backend.gradients_of(of, tuple(inputs), one)
        return value, plain_statistics(tuple(inputs[1:]), constants), slopes

    of_inputs = "positions", ""
    of_total = "", "positions", ("positions", *of_inputs)
    return _Passes(
        backend.with_derivative_of(kind.on_each_device(statistics, "positions"), plain_statistics),
        backend.with_derivative_of(kind.on_each_device(gradients, of_inputs), plain_gradients),
        backend.with_derivative_of(kind.on_each_device(total, of_total), plain_total),
    )


def _over_tiles(
    step: Step, inputs: Tensors, like: Tensors, width: Any, carry: Any
) -> tuple[Tensors, Any]:
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

    def with_tile(index: Any, carried: Any) -> Any:
        results, carry = carried
        of_tile = tuple(backend.part(values, index * size, size) for values in inputs)
        parts, carry = step(of_tile, carry)
        results = tuple(
            backend.with_part(result, index * size, part)
            for result, part in zip(results, parts, strict=True)
        )
        return results, carry

    results = tuple(ops.zeros_like(values[:whole]) for values in like)
    results, carry = ops.fori_loop(0, count, with_tile, (results, carry))
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


def _lowest(values: Tensor) -> float:
    """Less than any similarity, and still finite after what is added to it."""
    return -largest_number(values) / 2
