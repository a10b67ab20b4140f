"""Numbers of a linear map's logits, without a matrix of all positions and all classes.

For t = cap(features @ kernel + bias) and labels y, three numbers per position:

    log_odds = log(sum of exp(t_c) over the classes c other than y) - t_y
    at_label = t_y
    weighted = sum v_c t_c

The cross-entropy is softplus(log_odds), exact however small it is; the log-sum-exp of all classes
is at_label + softplus(log_odds); `weighted` is what smoothing needs. Where asked for, also

    is_first = whether y is the argmax: t_y >= t_c for c > y, and t_y > t_c for c < y

Positions go by in tiles of rows, and the classes of a tile in pieces of columns small enough for a
processor's cache. The first pass over the pieces keeps per position the largest other logit so far
and the sum of exponentials relative to it. The second turns each piece into that piece of the
gradient and multiplies it into the gradients of features, kernel and bias. Where the slope of each
position is known before (`total_and_terms`), the second pass follows the first in the same tile,
whose exponentials are still there: three matrix products in all. Where it comes from outside
(`terms`), a piece is computed anew, and there is one tile: the kernel's gradient, which each tile
adds to, is then written once.

Positions that do not count are sorted behind the others; no tile is computed for them.

On several devices, each takes the tiles of its own positions, and of its own classes where the
kernel is spread by classes: then a tile's statistics are brought together before its second pass.
The gradients are added up at the end. No device gets another's features or kernel.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Compilation
from keras_ce._core.softmax import largest_number

Tensor = Any
Tensors = tuple[Tensor, ...]

NARROWEST_PIECE = 128
WIDTH_FOR_ANY_BATCH = 512
"""Columns of a piece where a trace does not know the number of positions."""
FEWEST_ROWS_OF_A_TILE = 48
"""With fewer, to add to the kernel's gradient once more takes longer than a product."""
ROWS_WORTH_LEAVING_OUT = 256
"""Tiles get no smaller than this for the sake of positions that do not count."""
ELEMENTS_OF_A_SEARCH = 2**22
"""16 MB: the best of a piece are searched row by row, and to start on a row takes time."""


class Terms(NamedTuple):
    """See the module. Each (N,); `is_first`, which has no derivative, is unknown to a formula."""

    log_odds: Tensor
    at_label: Tensor
    weighted: Tensor | None = None
    is_first: Tensor | None = None


class Logits(NamedTuple):
    """The logits t = cap(features @ kernel + bias) of N positions, not computed.

    Attributes:
        features: numbers (N, D).
        kernel: numbers (D, C) of the same dtype, which is that of the products; or (C, D).
        ids: the labels (N,), int32, inside [0, C).
        bias: None, or numbers (C,) in float32 or wider, the dtype of everything added up.
        vector: None, or the numbers v (C,), likewise.
        is_counted: None, or which positions count (N,). The others have no gradient, and any
            finite terms.
        class_axis: that of the kernel, 0 or -1.
        soft_cap: None, or c of cap(z) = c tanh(z / c).
        trains_kernel: whether anybody wants the kernel's gradient.
        finds_first: whether anybody wants `is_first`.
        devices: None, or how positions and classes are spread over several.
    """

    features: Tensor
    kernel: Tensor
    ids: Tensor
    bias: Tensor | None = None
    vector: Tensor | None = None
    is_counted: Tensor | None = None
    class_axis: int = -1
    soft_cap: float | None = None
    trains_kernel: bool = True
    finds_first: bool = False
    devices: Any = None

    def parts(self) -> tuple["_Kind", Tensors, Tensors]:
        """What is fixed when it is compiled, what has a derivative, and the rest."""
        kind = _Kind(
            self.bias is not None,
            self.vector is not None,
            self.is_counted is not None and backend.may_loop_by_values(self.is_counted),
            self.class_axis % 2,
            self.soft_cap,
            self.trains_kernel,
            self.finds_first,
            self.devices,
        )
        inputs: Tensors = (self.features, self.kernel)
        constants: Tensors = (self.ids,)
        if self.bias is not None:
            inputs = (*inputs, self.bias)
        if self.vector is not None:
            constants = (*constants, self.vector)
        if kind.leaves_out:
            constants = (*constants, self.is_counted)
        return kind, inputs, constants


class Formula(NamedTuple):
    """A loss of each position: `function(terms, *rows, *parameters)`, of tensors (N,).

    `function` is one of a module, for it to be compiled once.
    """

    function: Callable[..., Tensor]
    parameters: tuple[Any, ...] = ()

    def __call__(self, terms: Terms, *rows: Tensor) -> Tensor:
        """The losses."""
        return self.function(terms, *rows, *self.parameters)


def terms(logits: Logits) -> Terms:
    """The numbers of each position, differentiable by features, kernel and bias."""
    kind, inputs, constants = logits.parts()
    passes = _passes(kind, None)
    statistics = backend.without_derivative(passes.statistics, inputs, constants)
    return _attached(kind, passes, inputs, constants, statistics)


def total_and_terms(
    logits: Logits, formula: Formula, factors: Tensor, *rows: Tensor
) -> tuple[Tensor, Terms]:
    """The sum of `factors * formula(terms, *rows)`, and the terms themselves.

    The gradient of the sum by features, kernel, bias and factors is computed with it: for where it
    is needed. `rows` have none. Factors of positions that do not count must be 0.
    """
    kind, inputs, constants = logits.parts()
    passes = _passes(kind, formula)

    def run(inputs: Tensors, constants: Tensors) -> Any:
        value, statistics, (losses, *slopes) = passes.total(inputs, constants)
        return value, statistics, (losses, *kind.for_each_input(slopes))

    total, statistics = backend.with_known_gradients(
        run, (factors, *inputs), (*constants, *map(ops.stop_gradient, rows))
    )
    return total, _attached(kind, passes, inputs, constants, statistics)


def top_k(logits: Logits, k: int) -> tuple[Tensor, Tensor]:
    """The k largest log-probabilities of each position and their classes, (N, k) each.

    Without a derivative; `ids` of the logits are not looked at.
    """
    kind, inputs, constants = logits.parts()
    result: tuple[Tensor, Tensor] = backend.without_derivative(_best(kind, k), inputs, constants)
    return result


def number_above(logits: Logits, at_label: Tensor) -> Tensor:
    """How many classes have a larger logit than the label, which has `at_label`: (N,) floats.

    Without a derivative. It takes a matrix product of its own.
    """
    kind, inputs, constants = logits.parts()
    found: Tensor = backend.without_derivative(_above(kind), inputs, (*constants, at_label))
    return found


def _attached(
    kind: "_Kind", passes: "_Passes", inputs: Tensors, constants: Tensors, statistics: Tensors
) -> Terms:
    """The terms, with their gradient."""

    def gradients(upstream: Tensors, inputs: Tensors, constants: Tensors) -> Any:
        return kind.for_each_input(passes.gradients(upstream, inputs, constants))

    values = _known(_terms_of(kind, statistics))
    found = Terms(*backend.attach(values, gradients, inputs, (*constants, *statistics)))
    if not kind.finds_first:
        return found
    peak, _, at_label, *_, before = statistics
    return found._replace(is_first=(at_label >= peak) & (at_label > before))


def _known(terms: Terms) -> Tensors:
    """Those that there are."""
    return tuple(each for each in terms if each is not None)


def _terms_of(kind: "_Kind", statistics: Tensors) -> Terms:
    """From the largest other logit, the sum relative to it, and the label's logit."""
    peak, rest, at_label, *others = statistics
    weighted = others[0] if kind.has_vector else None
    return Terms(ops.log(rest) + (peak - at_label), at_label, weighted)


class _Kind(NamedTuple):
    """What is fixed when the passes are compiled."""

    has_bias: bool
    has_vector: bool
    leaves_out: bool
    class_axis: int
    soft_cap: float | None
    trains_kernel: bool
    finds_first: bool
    devices: Any

    def given(self, inputs: Tensors, constants: Tensors) -> "_Given":
        features, kernel, *bias = inputs
        ids, *others = constants
        vector = others.pop(0) if self.has_vector else None
        is_counted = others.pop(0) if self.leaves_out else None
        return _Given(
            features, kernel, bias[0] if bias else None, ids, vector, is_counted, tuple(others)
        )

    def wanted(self, slopes: Tensors) -> Tensors:
        """Of the gradient of each input those that somebody wants."""
        return slopes if self.trains_kernel else (slopes[0], *slopes[2:])

    def for_each_input(self, slopes: Any) -> tuple[Tensor | None, ...]:
        """The gradients, with None for that of a kernel whose gradient nobody wants."""
        of_features, *others = slopes
        return (of_features, *others) if self.trains_kernel else (of_features, None, *others)

    def axes_of_inputs(self) -> tuple[str, ...]:
        """The axes of what has a derivative, as `Devices` takes them."""
        of_kernel = "width classes" if self.class_axis else "classes width"
        return "positions width", of_kernel, *(("classes",) if self.has_bias else ())

    def on_each_device(self, run: Callable[..., Any], results: Any) -> Callable[..., Any]:
        """A pass of inputs and constants, by devices; `results` are the axes of what it returns."""
        if self.devices is None:
            return run
        own = self.axes_of_inputs()

        def by_devices(*groups: Tensors) -> Any:
            *upstream, inputs, constants = groups
            before = ("positions",) * (len(inputs) - len(own))
            of_constants = ["positions"] * len(constants)
            if self.has_vector:
                of_constants[1] = "classes"
            axes = (*("positions" for _ in upstream), (*before, *own), tuple(of_constants))
            return self.devices.each(run, axes, results)(*groups)

        return by_devices

    def sums_weighted(self) -> bool:
        """Whether `weighted` is a sum over pieces: without a cap it is linear in the features."""
        return self.has_vector and self.soft_cap is not None


class _Given(NamedTuple):
    features: Tensor
    kernel: Tensor
    bias: Tensor | None
    ids: Tensor
    vector: Tensor | None
    is_counted: Tensor | None
    others: Tensors


class _Passes(NamedTuple):
    statistics: Callable[..., Tensors]
    """Of inputs and constants: `peak`, `rest`, `at_label`, perhaps `weighted`, and perhaps
    `before`, the largest logit of the classes before the label; each (N,)."""
    gradients: Callable[..., Tensors]
    """Of upstreams of the terms, inputs, constants with statistics."""
    total: Callable[..., tuple[Tensor, Tensors, Tensors]]
    """Of factors with inputs, constants with rows: the sum, statistics, gradients."""


@functools.cache
def _passes(kind: _Kind, formula: Formula | None) -> _Passes:
    """The passes, compiled once and not anew for each call."""
    of_terms: Any = formula  # `total`, which calls it, is not called without one.

    def statistics(inputs: Tensors, constants: Tensors) -> Tensors:
        tiles = _Tiles(kind, kind.given(inputs, constants), keeps=False)
        tiles.prepare_weighted()

        def step(tile: Any, carry: Any) -> Any:
            found, store = carry
            rows = tiles.rows_of(tile)
            new, store, _ = tiles.statistics(rows, store)
            return tiles.with_rows(found, new, tile), store

        found, _ = tiles.over_tiles(step, (tiles.empty_statistics(), tiles.room()))
        return tuple(map(tiles.unsorted, found))

    def gradients(upstream: Tensors, inputs: Tensors, constants: Tensors) -> Any:
        number = 3 + kind.has_vector + kind.finds_first
        own, known = constants[:-number], constants[-number:]
        tiles = _Tiles(kind, kind.given(inputs, own), keeps=False)
        upstream, known = (tuple(map(tiles.sorted, each)) for each in (upstream, known))

        def step(tile: Any, carry: Any) -> Any:
            store, results = carry
            rows = tiles.rows_of(tile)
            slopes = tiles.parts_of(upstream, tile)
            store, results = tiles.add_gradients(
                rows, tile, tiles.parts_of(known, tile), slopes, store, None, results
            )
            return store, results

        _, results = tiles.over_tiles(step, (tiles.room(), tiles.empty_gradients()))
        return tiles.gradients(results)

    def total(inputs: Tensors, constants: Tensors) -> Any:
        factors, *own_inputs = inputs
        given = kind.given(tuple(own_inputs), constants)
        tiles = _Tiles(kind, given, keeps=True)
        tiles.prepare_weighted()
        factors, *others = map(tiles.sorted, (factors, *given.others))

        def step(tile: Any, carry: Any) -> Any:
            found, losses, store, results = carry
            rows = tiles.rows_of(tile)
            new, store, peaks = tiles.statistics(rows, store)
            own_rows = tiles.parts_of(tuple(others), tile)
            own_losses, slopes = backend.gradients_of(
                lambda *each: of_terms(Terms(*each), *own_rows),
                _known(_terms_of(kind, new)),
                tiles.parts_of((factors,), tile)[0],
            )
            store, results = tiles.add_gradients(rows, tile, new, slopes, store, peaks, results)
            found, losses = tiles.with_rows((found, losses), (new, own_losses), tile)
            return found, losses, store, results

        start = tiles.empty_statistics(), tiles.zeros(), tiles.room(), tiles.empty_gradients()
        found, losses, _, results = tiles.over_tiles(step, start)
        losses = tiles.unsorted(losses)
        statistics = tuple(map(tiles.unsorted, found))
        value = tiles.summed(ops.sum(inputs[0] * losses), "positions")
        return value, statistics, (losses, *tiles.gradients(results))

    def plain_statistics(inputs: Tensors, constants: Tensors) -> Tensors:
        return _plain_statistics(kind, kind.given(inputs, constants))

    def plain_terms(inputs: Tensors, constants: Tensors) -> Tensors:
        return _known(_terms_of(kind, plain_statistics(inputs, constants)))

    def plain_gradients(upstream: Tensors, inputs: Tensors, constants: Tensors) -> Tensors:
        _, slopes = backend.gradients_of(
            lambda *inputs: plain_terms(inputs, constants), tuple(inputs), tuple(upstream)
        )
        return kind.wanted(slopes)

    def plain_total(inputs: Tensors, constants: Tensors) -> Any:
        def of(factors: Tensor, *own_inputs: Tensor) -> Tensor:
            others = kind.given(own_inputs, constants).others
            return ops.sum(factors * of_terms(Terms(*plain_terms(own_inputs, constants)), *others))

        one = ops.ones_like(ops.sum(inputs[0]))
        value, (losses, *slopes) = backend.gradients_of(of, tuple(inputs), one)
        found = plain_statistics(tuple(inputs[1:]), constants)
        return value, found, (losses, *kind.wanted(tuple(slopes)))

    of_inputs = kind.wanted(kind.axes_of_inputs())
    of_total = "", "positions", ("positions", *of_inputs)
    return _Passes(
        backend.with_derivative_of(kind.on_each_device(statistics, "positions"), plain_statistics),
        backend.with_derivative_of(kind.on_each_device(gradients, of_inputs), plain_gradients),
        backend.with_derivative_of(kind.on_each_device(total, of_total), plain_total),
    )


def _plain_statistics(kind: _Kind, given: _Given) -> Tensors:
    """The same from the whole matrix, for derivatives of any order."""
    capped = backend.product(given.features, given.kernel, "" if kind.class_axis else "right")
    if given.bias is not None:
        capped = capped + given.bias
    if kind.soft_cap is not None:
        capped = kind.soft_cap * ops.tanh(capped / kind.soft_cap)
    at_label = backend.label_entry(capped, given.ids)
    is_label = ops.equal(ops.arange(capped.shape[-1], dtype="int32"), given.ids[:, None])
    others = backend.where(is_label, -largest_number(capped), capped)
    peak = ops.stop_gradient(backend.largest(others))
    rest = backend.row_sum(ops.exp(others - peak))
    found: Tensors = (peak, rest, at_label)
    if given.vector is not None:
        found = (*found, backend.row_sum(_products(given.vector, capped)))
    if kind.finds_first:
        is_before = ops.arange(capped.shape[-1], dtype="int32") < given.ids[:, None]
        before = backend.where(is_before, capped, -largest_number(capped))
        found = (*found, ops.stop_gradient(backend.largest(before)))
    return tuple(ops.squeeze(each, -1) for each in found)


def _products(vector: Tensor, values: Tensor) -> Tensor:
    """0 times infinity is 0."""
    return vector * backend.where(ops.equal(vector, 0), 0.0, values)


class _Rows(NamedTuple):
    """A tile: features (R, D), ids (R,)."""

    features: Tensor
    ids: Tensor


class _Tiles:
    """How positions and classes go by, and what is done to each tile."""

    def __init__(self, kind: _Kind, given: _Given, keeps: bool) -> None:
        """With `keeps`, a tile's exponentials are kept where that is worth it."""
        self.kind, self.given = kind, given
        self.classes = given.kernel.shape[kind.class_axis]
        self.width = given.kernel.shape[1 - kind.class_axis]
        number = given.features.shape[0]
        self.number = ops.shape(given.features)[0] if number is None else number
        most = max(
            Compilation.ELEMENTS_OF_A_TILE,
            min(self.classes * self.width, Compilation.MOST_ELEMENTS_OF_A_TILE),
        )
        rows = max(1, most // self.classes)
        # To make the slope of a cap out of an exponential would take the logits, too.
        self.keeps = keeps and not kind.sums_weighted()
        if self.keeps and rows < FEWEST_ROWS_OF_A_TILE:
            self.keeps = number is not None and number <= rows
        if not self.keeps:
            rows = None
        if kind.leaves_out:
            eighth = _least(-(-self.number // 8), rows)
            fewest = _least(ROWS_WORTH_LEAVING_OUT, rows)
            rows = _most(eighth, fewest)
        self.num_tiles = 1 if rows is None else _most(1, -(-self.number // rows))
        self.rows = _most(1, -(-self.number // self.num_tiles))
        self._set_pieces(rows if number is None and isinstance(rows, int) else self.rows)
        self.padding = self.num_tiles * self.rows - self.number
        self.narrow = keras.backend.standardize_dtype(given.features.dtype)
        self.dtype = "float64" if self.narrow == "float64" else "float32"
        self.like = ops.zeros((1,), dtype=self.dtype)
        self._mean: Tensor = None
        self._sort()

    def _set_pieces(self, rows: Any) -> None:
        width = WIDTH_FOR_ANY_BATCH
        if isinstance(rows, int):
            width = max(NARROWEST_PIECE, backend.ELEMENTS_OF_LOGITS_AT_ONCE // rows)
        self.num_pieces = -(-self.classes // width)
        self.columns = -(-self.classes // self.num_pieces)

    def _sort(self) -> None:
        """Bring those that count to the front."""
        given = self.given
        self.trips, self._order, self._ranks = self.num_tiles, None, None
        if given.is_counted is not None:
            is_last = ops.cast(ops.logical_not(given.is_counted), "int32")
            self._order = ops.argsort(is_last)
            self._ranks = ops.argsort(self._order)
            counted = ops.sum(ops.cast(given.is_counted, "int32"))
            self.trips = backend.trips((counted + self.rows - 1) // self.rows)
        ids = given.ids
        if self.kind.devices is not None:
            ids = ids - self.kind.devices.first(self.classes, "classes")
        self._features, self._ids = self.sorted(given.features), self.sorted(ids)

    # --- devices ---

    def summed(self, values: Tensor, spread: str) -> Tensor:
        """The sum over the devices that share "positions" or "classes"."""
        devices = self.kind.devices
        return values if devices is None else devices.total(values, spread)

    def largest(self, values: Tensor, spread: str) -> Tensor:
        """The largest of each entry over them."""
        devices = self.kind.devices
        return values if devices is None else devices.largest(values, spread)

    def of_all_classes(self, found: Tensors) -> Tensors:
        """The statistics, from those of each device's classes."""
        devices = self.kind.devices
        if devices is None or devices.classes is None:
            return found
        peak, rest, *sums = found
        highest = devices.largest(peak, "classes")
        rest = rest * ops.exp(peak - highest)
        return highest, *(devices.total(each, "classes") for each in (rest, *sums))

    # --- rows ---

    def sorted(self, values: Tensor) -> Tensor:
        """(N, ...) in the order of the tiles, with rows of zeros that fill the last."""
        if self._order is not None:
            values = ops.take(values, self._order, axis=0)
        if isinstance(self.padding, int) and not self.padding:
            return values
        filling = ops.zeros((self.padding, *values.shape[1:]), dtype=values.dtype)
        return ops.concatenate([values, filling], axis=0)

    def unsorted(self, values: Tensor) -> Tensor:
        """The opposite."""
        if not (isinstance(self.padding, int) and not self.padding):
            values = backend.part(values, 0, self.number)
        return values if self._ranks is None else ops.take(values, self._ranks, axis=0)

    def over_tiles(self, step: Callable[[Any, Any], Any], carry: Any) -> Any:
        """`carry = step(tile, carry)` for each tile in turn."""
        if isinstance(self.trips, int) and self.trips == 1:
            return step(0, carry)
        return ops.fori_loop(0, self.trips, step, carry)

    def rows_of(self, tile: Any) -> _Rows:
        """The features and labels of a tile."""
        return _Rows(*self.parts_of((self._features, self._ids), tile))

    def parts_of(self, values: Tensors, tile: Any) -> Tensors:
        """The rows of a tile of each tensor."""
        if isinstance(self.num_tiles, int) and self.num_tiles == 1:
            return values
        return tuple(backend.part(each, tile * self.rows, self.rows) for each in values)

    def with_rows(self, values: Any, new: Any, tile: Any) -> Any:
        """Nested tensors with the rows of a tile put in."""
        if isinstance(self.num_tiles, int) and self.num_tiles == 1:
            return new
        if isinstance(values, tuple):
            pairs = zip(values, new, strict=True)
            return tuple(self.with_rows(each, part, tile) for each, part in pairs)
        return backend.with_part(values, tile * self.rows, new)

    def zeros(self, *others: int) -> Tensor:
        """Zeros (all rows of all tiles, ...)."""
        return ops.zeros((self.num_tiles * self.rows, *others), dtype=self.dtype)

    def empty_statistics(self) -> Tensors:
        """Those of positions that do not count: any that are finite."""
        zeros, ones = self.zeros(), ops.ones((self.num_tiles * self.rows,), dtype=self.dtype)
        others = self.kind.has_vector + self.kind.finds_first
        return zeros, ones, self.zeros(), *(self.zeros() for _ in range(others))

    # --- pieces ---

    def room(self) -> Any:
        """Where a tile's exponentials are written."""
        store = backend.room(self.like, self.num_pieces, self.rows, self.columns, self.keeps)
        return () if store is None else (store,)

    def over_pieces(self, step: Callable[[Any, Any], Any], carry: Any) -> Any:
        """`carry = step(piece, carry)` for each piece of the classes in turn."""
        if self.num_pieces == 1:
            return step(0, carry)
        return ops.fori_loop(0, self.num_pieces, step, carry)

    def place_of(self, piece: Any) -> tuple[Any, Any]:
        """The first column of a piece, and how many of it the piece before has already."""
        first = piece * self.columns
        start = _least(first, self.classes - self.columns)
        return start, first - start

    def columns_of(self, start: Any) -> Tensor:
        """A piece of the kernel."""
        return backend.part(self.given.kernel, start, self.columns, self.kind.class_axis)

    def capped(self, rows: _Rows, start: Any, columns: Tensor, out: Any) -> Tensor:
        """A piece of t (R, columns)."""
        turn = "" if self.kind.class_axis else "right"
        logits = backend.product(rows.features, columns, turn, out)
        if self.given.bias is not None:
            logits = backend.plus(logits, backend.part(self.given.bias, start, logits.shape[1]))
        return logits if self.kind.soft_cap is None else self._soft_capped(logits)

    def _soft_capped(self, logits: Tensor) -> Tensor:
        cap: Any = self.kind.soft_cap
        return backend.soft_capped(logits, cap)

    def slope_of_cap(self, capped: Tensor) -> Tensor:
        """The derivative of t by what is capped, in a tensor of its own."""
        cap: Any = self.kind.soft_cap
        return 1 - ops.square(capped / cap)

    def vector_of(self, start: Any, skipped: Any) -> Tensor:
        """A piece of v (columns,), 0 where the piece before has the column."""
        values = backend.part(self.given.vector, start, self.columns)
        return backend.where(ops.arange(self.columns, dtype="int32") < skipped, 0.0, values)

    # --- the first pass ---

    def statistics(self, rows: _Rows, store: Any) -> tuple[Tensors, Any, Tensor]:
        """The statistics of a tile, (R,) each; exponentials and their peaks.

        The exponentials of a piece are relative to the largest other logit up to it.
        """
        kind, number = self.kind, self.rows
        lowest = -largest_number(self.like)

        def step(piece: Any, carry: Any) -> Any:
            peak, rest, at_label, weighted, before, store, peaks = carry
            start, skipped = self.place_of(piece)
            out = backend.place(store[0] if store else None, piece)
            capped = self.capped(rows, start, self.columns_of(start), out)
            column = rows.ids - start
            inside = ops.clip(column, 0, self.columns - 1)
            is_inside = ops.equal(column, inside)[:, None]
            at_label = ops.where(is_inside, backend.label_entry(capped, inside), at_label)
            if kind.sums_weighted():
                vector = self.vector_of(start, skipped)
                weighted = weighted + backend.product(capped, vector[:, None])
            slope = None
            if self.keeps and kind.soft_cap is not None:
                slope = self.slope_of_cap(capped)
            others = backend.without(capped, column, skipped, lowest)
            top = backend.largest(others)
            higher = ops.where(top > peak, top, peak)  # On torch, maximum rounds to float32.
            if kind.finds_first:
                is_before = ops.arange(self.columns, dtype="int32") < column[:, None]
                top = backend.largest(backend.where(is_before, others, lowest))
                before = (ops.where(top > before[0], top, before[0]),)
            parts = backend.exponentials_below(others, higher)
            rest = rest * ops.exp(peak - higher) + backend.row_sum(parts)
            if self.keeps:
                parts = parts if slope is None else backend.scaled(parts, slope)
                store = (backend.with_piece(store[0], piece, parts),)
                peaks = backend.with_part(peaks, piece, higher[None])
            return higher, rest, at_label, weighted, before, store, peaks

        zero = ops.zeros((number, 1), dtype=self.dtype)
        peaks = ops.zeros((self.num_pieces, number, 1), dtype=self.dtype)
        # Each of its own: on torch some are written in place.
        before = (zero + lowest,) if kind.finds_first else ()
        sums = zero + lowest, zero, ops.zeros_like(zero), ops.zeros_like(zero)
        carry = self.over_pieces(step, (*sums, before, store, peaks))
        peak, rest, at_label, weighted, before, store, peaks = carry
        found = tuple(ops.squeeze(each, -1) for each in (peak, rest, at_label))
        if kind.has_vector:
            weighted = ops.squeeze(weighted, -1) if kind.sums_weighted() else self._weighted(rows)
            found = (*found, weighted)
        before = tuple(self.largest(ops.squeeze(each, -1), "classes") for each in before)
        return (*self.of_all_classes(found), *before), store, peaks

    def number_above(self, rows: _Rows, at_label: Tensor) -> Tensor:
        """How many classes have a larger logit than the label, (R,)."""
        lowest, bound = -largest_number(self.like), at_label[:, None]

        def step(piece: Any, number: Tensor) -> Tensor:
            start, skipped = self.place_of(piece)
            capped = self.capped(rows, start, self.columns_of(start), None)
            others = backend.without(capped, rows.ids - start, skipped, lowest)
            return number + backend.row_sum(ops.cast(others > bound, self.dtype))

        number = self.over_pieces(step, ops.zeros_like(bound))
        return self.summed(ops.squeeze(number, -1), "classes")

    def prepare_weighted(self) -> None:
        """What `weighted` takes of all classes, once for all tiles."""
        if self.kind.has_vector and not self.kind.sums_weighted():
            kernel = ops.cast(self.given.kernel, self.dtype)
            vector: Any = self.given.vector
            vector = vector[:, None]
            self._mean = backend.product(kernel, vector, "" if self.kind.class_axis else "left")

    def _weighted(self, rows: _Rows) -> Tensor:
        """`weighted` where it is linear in the features: (R,)."""
        bias = self.given.bias
        weighted = backend.product(ops.cast(rows.features, self.dtype), self._mean)[:, 0]
        return weighted if bias is None else weighted + ops.sum(_products(self.given.vector, bias))

    # --- the second pass ---

    def empty_gradients(self) -> Any:
        """Zeros for the gradients of features, kernel and bias; () for what has none."""
        kernel, dtype = self.given.kernel, self.dtype
        of_kernel = (ops.zeros(kernel.shape, dtype=dtype),) if self.kind.trains_kernel else ()
        of_bias = (ops.zeros((1, self.classes), dtype=dtype),) if self.kind.has_bias else ()
        return self.zeros(self.width), of_kernel, of_bias

    def gradients(self, results: Any) -> Tensors:
        """The gradient of each input that has one."""
        of_features, of_kernel, of_bias = results
        of_features = self.summed(self.unsorted(of_features), "classes")
        of_kernel = tuple(self.summed(each, "positions") for each in of_kernel)
        of_bias = tuple(self.summed(each[0], "positions") for each in of_bias)
        narrow = (ops.cast(each, self.narrow) for each in (of_features, *of_kernel))
        return *narrow, *of_bias

    def add_gradients(
        self,
        rows: _Rows,
        tile: Any,
        statistics: Tensors,
        slopes: Tensors,
        store: Any,
        peaks: Tensor | None,
        results: Any,
    ) -> tuple[Any, Any]:
        """`results` with the gradients of a tile, from the slope of each term; and `store`.

        `peaks` are those of the exponentials that are kept, if any.
        """
        kind, given = self.kind, self.given
        peak, rest, at_label = (each[:, None] for each in statistics[:3])
        of_odds, of_label, *of_weighted = (each[:, None] for each in slopes)
        at_column = of_label - of_odds
        if given.vector is not None:
            at_column = (
                at_column + of_weighted[0] * backend.of_classes(given.vector, rows.ids)[:, None]
            )
        if kind.soft_cap is not None:
            at_column = at_column * self.slope_of_cap(at_label)
        unit = None
        if self.narrow == "float16":  # which holds no number as small as a slope may be
            largest = ops.max(ops.abs(ops.concatenate([of_odds, at_column, *of_weighted], -1)))
            unit = ops.where(largest > 0, largest, ops.ones_like(largest))
            of_odds, at_column = of_odds / unit, at_column / unit
            of_weighted = [each / unit for each in of_weighted]
        of_odds = of_odds / ops.where(rest > 0, rest, ops.ones_like(rest))
        keeps = self.keeps and peaks is not None
        is_half = self.narrow != self.dtype

        def step(piece: Any, carry: Any) -> Any:
            own, of_kernel, of_bias, store = carry
            start, skipped = self.place_of(piece)
            columns = self.columns_of(start)
            column = rows.ids - start
            # Where the piece before has the label, too, it stands there.
            column = ops.where(column < skipped, ops.full_like(column, -1), column)
            slope = None
            if keeps:
                parts = backend.piece_of(store[0], piece)
                factor = of_odds * ops.exp(backend.part(peaks, piece, 1)[0] - peak)
            else:
                out = backend.place(store[0] if store else None, 0)
                capped = self.capped(rows, start, columns, out)
                if kind.soft_cap is not None:
                    slope = self.slope_of_cap(capped)
                others = backend.without(capped, rows.ids - start, skipped, -largest_number(peak))
                parts, factor = backend.exponentials_below(others, peak), of_odds
            gradient = backend.scaled(parts, factor)
            if kind.has_vector:
                gradient = backend.minus_product(
                    gradient, -of_weighted[0], self.vector_of(start, skipped)
                )
            if slope is not None:
                gradient = backend.scaled(gradient, slope)
            gradient = backend.with_label_entry_of_piece(gradient, column, at_column)
            if is_half:
                gradient = ops.cast(gradient, self.narrow)
            turn = "right" if kind.class_axis else ""
            own = backend.plus_product(own, 0, 0, gradient, columns, turn, unit)
            if kind.trains_kernel:
                pair = (rows.features, gradient) if kind.class_axis else (gradient, rows.features)
                added = backend.plus_product(
                    of_kernel[0], start, kind.class_axis, *pair, "left", unit
                )
                of_kernel = (added,)
            if kind.has_bias:
                ones = ops.ones_like(gradient[:, :1])
                added = backend.plus_product(of_bias[0], start, 1, ones, gradient, "left", unit)
                of_bias = (added,)
            return own, of_kernel, of_bias, store

        of_features, of_kernel, of_bias = results
        own = ops.zeros((self.rows, self.width), dtype=self.dtype)
        own, of_kernel, of_bias, store = self.over_pieces(step, (own, of_kernel, of_bias, store))
        return store, (self.with_rows(of_features, own, tile), of_kernel, of_bias)


@functools.cache
def _best(kind: _Kind, k: int) -> Callable[..., Any]:
    """The pass of `top_k`, compiled once."""

    def best(inputs: Tensors, constants: Tensors) -> Any:
        tiles = _Tiles(kind, kind.given(inputs, constants), keeps=False)
        rows = tiles.rows_of(0)
        lowest = -largest_number(tiles.like)
        zero = ops.zeros((tiles.rows, 1), dtype=tiles.dtype)

        def merged(carry: Any, start: Any, width: int) -> Any:
            values, ids, peak, total = carry
            columns = backend.part(tiles.given.kernel, start, width, kind.class_axis)
            capped = tiles.capped(rows, start, columns, None)
            top = backend.largest(capped)
            higher = ops.where(top > peak, top, peak)
            new, places = backend.top_k(capped, min(k, width))
            values = ops.concatenate([values, new], -1)
            ids = ops.concatenate([ids, places + start], -1)
            values, places = backend.top_k(values, min(k, values.shape[-1]))
            ids = ops.take_along_axis(ids, places, -1)
            parts = backend.row_sum(ops.exp(capped - higher))
            return values, ids, higher, total * ops.exp(peak - higher) + parts

        width = max(k, tiles.columns)
        if isinstance(tiles.rows, int):
            width = max(width, min(tiles.classes, ELEMENTS_OF_A_SEARCH // tiles.rows))
        whole, last = divmod(tiles.classes, width)
        nothing = ops.zeros((tiles.rows, 0), dtype=zero.dtype)
        carry = nothing, ops.cast(nothing, "int32"), zero + lowest, zero
        if whole:
            carry = merged(carry, 0, width)
        if whole > 1:
            carry = ops.fori_loop(
                1, whole, lambda piece, carry: merged(carry, piece * width, width), carry
            )
        if last:
            carry = merged(carry, tiles.classes - last, last)
        values, ids, peak, total = carry
        devices = kind.devices
        if devices is not None:
            highest = devices.largest(peak, "classes")
            total = devices.total(total * ops.exp(peak - highest), "classes")
            ids = ids + devices.first(tiles.classes, "classes")
            values, ids = (devices.beside(each, "classes") for each in (values, ids))
            values, places = backend.top_k(values, k)
            ids, peak = ops.take_along_axis(ids, places, -1), highest
        found = values - (peak + ops.log(total)), ids
        return tuple(map(tiles.unsorted, found))

    compiled: Callable[..., Any] = backend.compiled(kind.on_each_device(best, "positions"))
    return compiled


@functools.cache
def _above(kind: _Kind) -> Callable[..., Tensor]:
    """The pass of `number_above`, compiled once."""

    def above(inputs: Tensors, constants: Tensors) -> Tensor:
        *own, at_label = constants
        tiles = _Tiles(kind, kind.given(inputs, tuple(own)), keeps=False)
        at_label = tiles.sorted(at_label)

        def step(tile: Any, found: Tensor) -> Tensor:
            number = tiles.number_above(tiles.rows_of(tile), *tiles.parts_of((at_label,), tile))
            return tiles.with_rows(found, number, tile)

        return tiles.unsorted(tiles.over_tiles(step, tiles.zeros()))

    compiled: Callable[..., Tensor] = backend.compiled(kind.on_each_device(above, "positions"))
    return compiled


def _least(first: Any, second: Any) -> Any:
    """The smaller of two numbers, each of which may be a tensor; None is none."""
    if second is None:
        return first
    return ops.minimum(first, second) if _are_tensors(first, second) else min(first, second)


def _most(first: Any, second: Any) -> Any:
    """The larger of two numbers, each of which may be a tensor."""
    return ops.maximum(first, second) if _are_tensors(first, second) else max(first, second)


def _are_tensors(*sizes: Any) -> bool:
    """Whether one is a tensor. A size that a trace on JAX leaves open is none."""
    return any(ops.is_tensor(size) for size in sizes)
