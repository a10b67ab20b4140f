"""The verbs on torch.

`ops.custom_gradient` of Keras loses second derivatives here, does not work under `torch.func` and
runs the forward pass again on any exception: so there is an own `autograd.Function`. Each
operation writes a new matrix unless it is told to change one in place.
"""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from keras_ce._core.backends.one_replica import (
    number_of_replicas as number_of_replicas,
    replica_mean as replica_mean,
    replica_sum as replica_sum,
    rows_of_all_replicas as rows_of_all_replicas,
)
from keras_ce._core.backends.passes import (
    Backward,
    Compilation,
    Forward,
    Passes,
    gradients_for_each,
)

Tensor = Any

ELEMENTS_OF_LOGITS_AT_ONCE = 2**22
"""16 MB: each operation on a piece of a head's logits is started from Python."""

LAYERS_SEE_METRICS = True
"""Whether Keras hands the state of metrics to the layers of a model that is trained."""

FAR_BELOW = -1e5
"""Its exponential is 0, and it is finite itself."""


# --- values and derivatives ---


def any_true(flags: Tensor) -> bool | None:
    """Whether an entry is true; None where there are no values: they are compiled or symbolic."""
    if flags.is_meta or torch.compiler.is_compiling():
        return None
    try:
        return bool(flags.any())
    except RuntimeError as error:  # vmap has no exception of its own
        if "vmap" in str(error):
            return None
        raise


def all_within(values: Tensor, low: float, high: float) -> bool | None:
    """Whether all entries lie from `low` to `high`; None where there are no values."""
    if values.is_meta or torch.compiler.is_compiling():
        return None
    if not values.numel():
        return True
    if values.dtype in (torch.uint16, torch.uint32, torch.uint64):
        values = values.to(torch.int64)
    try:
        smallest, largest = torch.aminmax(values.detach())
        return low <= smallest.item() and largest.item() <= high
    except RuntimeError as error:  # vmap has no exception of its own
        if "vmap" in str(error):
            return None
        raise


def are_at_hand(values: Tensor) -> bool:
    """Whether it costs no waiting for a device to read a tensor."""
    # What only traces has a class of its own, or says so.
    is_plain = type(values) in (torch.Tensor, torch.nn.Parameter) and not torch.jit.is_tracing()
    return is_plain and bool(values.device.type == "cpu")


def has_values(flags: Tensor) -> bool:
    """Whether the entries of a tensor can be read, and not only whether one is true."""
    try:
        flags.detach().cpu().numpy()
    except RuntimeError:  # torch.func knows that there is a true one, and not which
        return False
    return True


class Constant:
    """An array as a tensor, made once for each device."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self._values = values
        self._tensors: dict[Any, Tensor] = {}

    def tensor(self, like: Tensor) -> Tensor:
        """The tensor beside another."""
        if like.device not in self._tensors:
            with torch.inference_mode(False):  # Training may need it later.
                self._tensors[like.device] = torch.tensor(self._values, device=like.device)
        return self._tensors[like.device]


exp, log, log1p, where = torch.exp, torch.log, torch.log1p, torch.where


def is_float(values: Any) -> bool:
    """Whether a value is a tensor of this backend in float32 or wider."""
    return isinstance(values, torch.Tensor) and values.dtype in (torch.float32, torch.float64)


def carries_nothing(values: Any) -> bool:
    """Whether it is sure that no layer has attached anything, such as a mask, to a tensor."""
    return not torch.compiler.is_compiling() and not vars(values)


def widest_integer() -> str:
    """The widest type of integers."""
    return "int64"


def index(ids: Tensor) -> Tensor:
    """Integers in the type in which operations take them as indices."""
    return ids.to(torch.int64)


def column(values: Tensor) -> Tensor:
    """From (N,) to (N, 1)."""
    return values.unsqueeze(-1)


def flat(values: Tensor) -> Tensor:
    """From (N, 1) to (N,)."""
    return values.squeeze(-1)


def zero(like: Tensor) -> Tensor | float:
    """What `with_label_entry` takes as a zero; `like` is (N, 1)."""
    return torch.zeros_like(like)


def row_sum(rows: Tensor) -> Tensor:
    """The sum of each row: (..., C) to (..., 1)."""
    return rows.sum(-1, keepdim=True)


def row_sums(*terms: Tensor) -> tuple[Tensor, ...]:
    """The sum of each row of each term, (N, C) to (N, 1)."""
    return tuple(map(row_sum, terms))


def closed_form(
    forward: Forward, backward: Backward, inputs: Tensor, *constants: Tensor, by_rows: bool = False
) -> Tensor:
    """See `Passes`."""
    return ClosedForm.apply(Passes(forward, backward), inputs, *constants)[0]


def closed_form_of_rows(
    passes: Passes, inputs: Tensor, *constants: Tensor, varies: bool = False
) -> Tensor:
    """`closed_form` of `inputs` (N, C) and constants (N, ...) whose rows do not see each other.

    Where there are many elements, rows go piece by piece through the processor's cache.
    """
    return ClosedForm.apply(passes._replace(by_rows=True), inputs, *constants)[0]


def compiled(function: Any) -> Any:
    """The function itself: torch compiles where the user asks for it."""
    return function


def as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is, also where a graph is made of it."""
    return function


def in_one(function: Any) -> Any:
    """The function itself: eager calls run operation by operation."""
    return function


def devices_of(number: Any, kernel: Any = None, class_axis: int = 0) -> None:
    """None: a `keras.distribution` is JAX's."""
    return None


class ClosedForm(torch.autograd.Function):
    """A value and its gradient in closed form."""

    generate_vmap_rule = True

    @staticmethod
    def forward(passes: Passes, *tensors: Tensor) -> Any:
        """The losses, and what the gradient needs."""
        pieces = _pieces(tensors[0]) if passes.by_rows else []
        if not pieces:
            losses, residuals = passes.forward(*tensors)
            return losses, *residuals
        results: list[Tensor] = []
        for piece in pieces:
            losses, residuals = passes.forward(*_rows(piece, tensors))
            parts = (losses, *residuals)
            if not results:
                # Of the part, so that vmap knows that it has a batch.
                results = [part.new_empty((len(tensors[0]), *part.shape[1:])) for part in parts]
            for result, part in zip(results, parts, strict=True):
                result[piece] = part
        return tuple(results)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep what the gradient needs."""
        ctx.passes, tensors, residuals = inputs[0], inputs[1:], output[1:]
        ctx.num_tensors = len(tensors)
        ctx.mark_non_differentiable(*residuals)
        ctx.save_for_backward(*tensors, *residuals)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, *_: Tensor) -> Any:
        """The gradient."""
        passes, saved = ctx.passes, ctx.saved_tensors  # Once: checkpointing gives them once.
        tensors, residuals = saved[: ctx.num_tensors], saved[ctx.num_tensors :]
        if torch.is_grad_enabled():  # A second derivative has to see the forward pass.
            _, residuals = passes.forward(*tensors)
            gradient = passes.backward(upstream, residuals, *tensors)
        elif passes.by_rows and (pieces := _pieces(tensors[0])):
            gradient = None
            for piece in pieces:
                part = passes.backward(
                    upstream[piece], _rows(piece, residuals), *_rows(piece, tensors)
                )
                if gradient is None:
                    # Of the part, so that vmap knows that it has a batch.
                    gradient = part.new_empty(tensors[0].shape)
                gradient[piece] = part
        else:
            gradient = passes.backward(upstream, residuals, *tensors)
        return None, *gradients_for_each(gradient, ctx.num_tensors)


def _pieces(matrix: Tensor) -> list[slice]:
    """Slices of rows that fit in a processor's cache; none where it is not worth the while."""
    number, width = matrix.shape
    is_plain = matrix.device.type == "cpu" and not torch.compiler.is_compiling()
    at_once = Compilation.ELEMENTS_OF_ROWS_AT_ONCE
    if not is_plain or number * width < 2 * at_once:
        return []
    step = max(1, at_once // width)
    return [slice(start, start + step) for start in range(0, number, step)]


def _rows(piece: slice, tensors: tuple[Tensor, ...]) -> list[Tensor]:
    return [values[piece] for values in tensors]


# --- operations on rows of classes ---


def largest(rows: Tensor) -> Tensor:
    """The largest entry of each row: (..., C) to (..., 1)."""
    return rows.amax(-1, keepdim=True) if rows.shape[-1] else rows.sum(-1, keepdim=True)


def smallest(rows: Tensor) -> Tensor:
    """The smallest entry of each row: (..., C) to (..., 1)."""
    return rows.amin(-1, keepdim=True) if rows.shape[-1] else rows.sum(-1, keepdim=True)


def sums_beside_top(parts: Tensor, also: tuple[Tensor, ...] = ()) -> list[Tensor]:
    """The sum of each row but for one of its entries 1; and the sums of others, (N, 1) each."""
    if _records():
        ones = (parts >= 1).to(parts.dtype)
        rest = row_sum(parts - ones) + (row_sum(ones) - 1)
    else:
        # Without a selection of each entry, which takes as long as three exponentials. Where
        # several entries are 1, the difference loses nothing.
        total = row_sum(parts)
        others = -row_sum(torch.threshold_(-parts, -1, 0))
        rest = torch.where(total < 1.5, others, total - 1)
    return [rest, *row_sums(*also)]


def label_sums(parts: Tensor, judged: Tensor, weights: Tensor, values: Tensor) -> list[Tensor]:
    """That of `sums_beside_top`, the sum of `judged` and that of the products weight * value.

    Each (N, C) to (N, 1); 0 times -infinity is 0. `values` may be overwritten, as below.
    """
    return [
        *sums_beside_top(parts, (judged,)),
        scaled(values, weights).nansum(-1, keepdim=True),
    ]


def label_entry(rows: Tensor, ids: Tensor) -> Tensor:
    """Entry `ids[n]` of each row n: (N, C) and (N,) to (N, 1)."""
    return rows.gather(-1, ids[..., None].to(torch.int64))


def entries(rows: Tensor, ids: Tensor) -> Tensor:
    """Entries `ids[n]` (K,) of each row n: (N, C) and (N, K) to (N, K)."""
    return rows.gather(-1, ids.to(torch.int64))


def of_classes(values: Tensor, ids: Tensor) -> Tensor:
    """The number (C,) of each id (N,)."""
    return values[ids.to(torch.int64)]


def with_label_entry(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """`rows` (N, C) with entry `ids[n]` of each row n replaced by `values[n]`, shape (N, 1).

    `rows` may be overwritten, as above.
    """
    places = torch.arange(rows.shape[0], device=rows.device), ids.to(torch.int64)
    # Autograd records this line only for second derivatives, and needs the old values then.
    put = rows.index_put if _records() else rows.index_put_
    return put(places, values[:, 0])


def with_added(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """`rows` (N, C) with `values[n]` (K,) added to entries `ids[n]` (K,) of each row n.

    `rows` may be overwritten, as above.
    """
    add = rows.scatter_add if _records() else rows.scatter_add_
    return add(-1, ids.to(torch.int64), values)


def others_again(rows: Tensor, ids: Tensor) -> Tensor:
    """`rows` before their label entries are replaced: as they are."""
    return rows


def with_label_entry_of_piece(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """The same for rows of which some have no such entry: they stay as they are."""
    inside = ids.clip(0, rows.shape[-1] - 1)
    values = torch.where((inside == ids)[:, None], values, label_entry(rows, inside))
    return with_label_entry(rows, inside, values)


def exponentials(rows: Tensor, peak: Tensor) -> Tensor:
    """`exp(rows - peak)` (N, C), in a tensor of its own."""
    ratios = rows - peak
    return torch.exp(ratios) if _records() else ratios.exp_()


def sigmoid_losses(logits: Tensor, yes: Tensor, no: Tensor, both: Tensor | float) -> Tensor:
    """-yes log p - no log(1 - p) of each entry; `both` is yes + no."""
    # Selections, softplus and logsigmoid take three to four times as long as an exponential.
    if not _records():
        above = logits.clamp(min=0)
        losses = logits.abs().neg_().exp_().log1p_()
        losses = losses if isinstance(both, float) else losses.mul_(both)  # a float is 1
        losses = torch.addcmul(torch.addcmul(losses, above, no), above.sub_(logits), yes)
        if any_true(losses.sum().isnan()) is False:
            return losses
    # Where an infinite logit is right, 0 times infinity has to be 0.
    distance = logits.abs()
    wrong = torch.where(logits < 0, yes, no)
    losses = torch.exp(-distance).log1p() * both
    return losses + wrong * torch.where(wrong == 0, 0.0, distance)


def sigmoid_slopes(logits: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """The derivative of -yes log p - no log(1 - p) by each logit."""
    if _records():
        return no * torch.sigmoid(logits) - yes * torch.sigmoid(-logits)
    return torch.addcmul(torch.sigmoid(logits).mul_(no), (-logits).sigmoid_(), yes, value=-1)


def exponentials_below(rows: Tensor, bound: Tensor) -> Tensor:
    """`exp(rows - bound)`. `rows` may be overwritten, as above."""
    if _records():
        return torch.exp(rows - bound)
    # Subnormal numbers, ten times as slow, are 0 under XLA and in TensorFlow as well.
    lowest = math.log(torch.finfo(rows.dtype).tiny)
    return torch.threshold_(rows.sub_(bound), lowest, FAR_BELOW).exp_()


def scaled(rows: Tensor, factors: Tensor) -> Tensor:
    """`rows * factors`. `rows` may be overwritten, as above."""
    if not _records():
        # Where vmap has many factors for one matrix, as for a Jacobian, it refuses.
        with contextlib.suppress(RuntimeError):
            return rows.mul_(factors)
    return rows * factors


def minus_product(rows: Tensor, factors: Tensor, values: Tensor | float) -> Tensor:
    """`rows - factors * values`. `rows` may be overwritten, as above."""
    if _records():
        return rows - factors * values
    if isinstance(values, float):
        return rows.sub_(factors, alpha=values)
    return torch.addcmul(rows, factors, values, value=-1)


# --- tiles of a linear map ---


def part(values: Tensor, start: Any, size: Any, axis: int = 0) -> Tensor:
    """`size` entries of one axis from `start` on."""
    return values.narrow(axis, start, size)


def with_part(values: Tensor, start: Any, entries: Tensor, axis: int = 0) -> Tensor:
    """`values` with `entries` from `start` on along one axis. They are overwritten."""
    values.narrow(axis, start, entries.shape[axis]).copy_(entries)
    return values


def product(left: Tensor, right: Tensor, turn: str = "", out: Tensor | None = None) -> Tensor:
    """The product of two matrices, added up in float32 or wider.

    `turn` names those that are transposed first, "left" or "right"; `out` may take the result.
    """
    left, right = left.T if turn == "left" else left, right.T if turn == "right" else right
    if left.dtype in (torch.float16, torch.bfloat16):
        if left.is_cuda and _MM_TAKES_OUT_DTYPE:
            return torch.mm(left, right, out_dtype=torch.float32)
        left, right = left.float(), right.float()
    return torch.mm(left, right, out=out)


_MM_TAKES_OUT_DTYPE = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 8)


def plus_product(
    matrix: Tensor,
    start: Any,
    axis: int,
    left: Tensor,
    right: Tensor,
    turn: str = "",
    factor: Tensor | None = None,
) -> Tensor:
    """`matrix` plus `factor` times a product, from `start` on along one axis.

    It is overwritten.
    """
    left, right = left.T if turn == "left" else left, right.T if turn == "right" else right
    target = matrix.narrow(axis, start, (left.shape[0], right.shape[1])[axis])
    if left.dtype == matrix.dtype:
        target.addmm_(left, right)
    else:
        added = product(left, right)
        target.add_(added if factor is None else added.mul_(factor))
    return matrix


def room(like: Tensor, number: int, rows: Any, width: int, is_kept: bool) -> Tensor | None:
    """Where pieces (rows, width) may be written, `number` of them if they are to be kept."""
    return like.new_empty((number if is_kept else 1, rows, width))


def place(store: Tensor | None, index: Any) -> Tensor | None:
    """Where a piece is to be written."""
    return None if store is None else store[index % len(store)]


def with_piece(store: Tensor, index: Any, piece: Tensor) -> Tensor:
    """`store` with a piece (rows, width) kept at its place, where it stands already."""
    return store


def piece_of(store: Tensor, index: Any) -> Tensor:
    """The piece kept at a place. It may be overwritten."""
    return store[index]


def plus(rows: Tensor, values: Tensor) -> Tensor:
    """`rows + values`. `rows` may be overwritten."""
    return rows + values if _records() else rows.add_(values)


def soft_capped(rows: Tensor, cap: float) -> Tensor:
    """`cap * tanh(rows / cap)`. `rows` may be overwritten."""
    return cap * torch.tanh(rows / cap) if _records() else rows.div_(cap).tanh_().mul_(cap)


def without(rows: Tensor, ids: Tensor, skipped: Any, value: float) -> Tensor:
    """`rows` (N, C) with `value` at `ids[n]` of each row n, and in the first `skipped` columns.

    Ids outside [0, C) stand for no entry. `rows` may be overwritten.
    """
    rows = with_label_entry_of_piece(rows, ids, torch.full_like(rows[:, :1], value))
    if skipped:
        rows[:, :skipped] = value
    return rows


def top_k(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row in descending order, and where they stand."""
    values, places = torch.topk(rows, k)
    return values, places.to(torch.int32)


def trips(number: Any) -> Any:
    """A number of iterations that depends on the data, as a loop takes it."""
    return int(number)


def may_loop_by_values(values: Tensor) -> bool:
    """Whether a loop's length may depend on these values."""
    return not (values.is_meta or torch.compiler.is_compiling())


# --- derivatives of what is computed by tiles ---


def with_derivative_of(run: Any, plain: Any) -> Any:
    """`run(*nested)`, whose derivative is that of `plain`, the same in plain steps."""

    def either(*nested: Any) -> Any:
        if torch.is_grad_enabled():  # A second derivative has to see what happens.
            return plain(*nested)
        try:
            return run(*nested)
        except RuntimeError as error:  # vmap writes nothing in place, and has no exception
            if "vmap" not in str(error):
                raise
            return plain(*nested)

    return either


@torch.no_grad()
def without_derivative(function: Any, *groups: tuple[Tensor, ...]) -> Any:
    """`function(*groups)` of groups of tensors, as a constant."""
    return function(*groups)


def gradients_of(
    function: Any, inputs: tuple[Tensor, ...], upstream: Any
) -> tuple[Any, tuple[Tensor, ...]]:
    """`function(*inputs)` and the gradient of each input, for the upstream of each result."""
    is_recorded = _records()
    with torch.enable_grad():
        inputs = tuple(
            each if is_recorded and each.requires_grad else each.detach().requires_grad_()
            for each in inputs
        )
        values = function(*inputs)
        slopes = torch.autograd.grad(
            values, inputs, upstream, create_graph=is_recorded, allow_unused=True
        )
    slopes = tuple(
        torch.zeros_like(each) if slope is None else slope
        for each, slope in zip(inputs, slopes, strict=True)
    )
    if not is_recorded:
        is_one = isinstance(values, torch.Tensor)
        values = values.detach() if is_one else tuple(each.detach() for each in values)
    return values, slopes


def attach(
    values: tuple[Tensor, ...],
    gradients: Any,
    inputs: tuple[Tensor, ...],
    constants: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    """Values that are a known function of `inputs`, with its gradient.

    `gradients(upstream, inputs, constants)` gives that of each input, from one upstream for each
    value; None where there is none.
    """
    values = tuple(each.detach() for each in values)
    sizes = len(values), len(inputs)
    attached: tuple[Tensor, ...] = Attached.apply(gradients, sizes, *values, *inputs, *constants)
    return attached


class Attached(torch.autograd.Function):
    """See `attach`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gradients: Any, sizes: tuple[int, int], *tensors: Tensor) -> Any:
        """The values."""
        return tuple(each.clone() for each in tensors[: sizes[0]])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep what the gradient needs."""
        ctx.gradients, ctx.sizes, *tensors = inputs
        ctx.save_for_backward(*tensors[ctx.sizes[0] :])

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        """The gradient of the inputs."""
        number_of_values, number = ctx.sizes
        saved = ctx.saved_tensors  # Once: checkpointing gives them once.
        slopes = ctx.gradients(upstream, saved[:number], saved[number:])
        return (
            *(2 + number_of_values) * [None],
            *slopes,
            *(len(saved) - number) * [None],
        )


def with_known_gradients(
    run: Any, inputs: tuple[Tensor, ...], constants: tuple[Tensor, ...]
) -> tuple[Tensor, Any]:
    """A value that comes with its gradients, and what else comes with it, without derivative.

    `run(inputs, constants)` returns the value, the rest, and the gradient of each input or None.
    """
    value, *others = WithKnownGradients.apply(run, len(inputs), *inputs, *constants)
    return value, tuple(others)


class WithKnownGradients(torch.autograd.Function):
    """See `with_known_gradients`."""

    @staticmethod
    def forward(ctx: Any, run: Any, number: int, *tensors: Tensor) -> Any:
        """The value and what comes with it."""
        value, others, gradients = run(tensors[:number], tensors[number:])
        ctx.run, ctx.number, ctx.gradients = run, number, gradients
        ctx.mark_non_differentiable(*others)
        ctx.save_for_backward(*tensors)
        return value, *others

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, *_: Tensor) -> Any:
        """The gradients, for the upstream of the value."""
        tensors = ctx.saved_tensors
        # Handed out once: they are as large as the inputs, and whoever gets them may write there.
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None or torch.is_grad_enabled():
            _, _, gradients = ctx.run(tensors[: ctx.number], tensors[ctx.number :])
        if torch.is_grad_enabled():
            scaled = [None if each is None else upstream * each for each in gradients]
        else:
            # To find out that it is 1 is a wait for other devices, and less than a pass here.
            is_one = upstream.device.type == "cpu" and bool(upstream == 1)
            scaled = [each if each is None or is_one else each.mul_(upstream) for each in gradients]
        return None, None, *scaled, *(len(tensors) - ctx.number) * [None]


# --- rows compared with each other ---


def full_product(rows: Tensor, columns: Tensor) -> Tensor:
    """`rows @ columns`."""
    return rows @ columns


def rows_at(rows: Tensor, numbers: Tensor) -> Tensor:
    """The rows (N, D) with the numbers (N,), of rows (B, D)."""
    return rows.index_select(0, numbers)


def first_true(flags: Tensor) -> Tensor:
    """The column (N,) of the first true entry of each row of flags (N, C); 0 without one."""
    return flags.to(torch.uint8).argmax(-1) if flags.shape[-1] else flags.sum(-1)


def number_of_steps(numbers: Tensor) -> int:
    """The largest of numbers (N,), or N where none can be read, as a loop takes it."""
    if not len(numbers):
        return 0
    if not numbers.is_meta and not torch.compiler.is_compiling():
        # vmap has no exception of its own.
        with contextlib.suppress(RuntimeError):
            return int(numbers.max())
    return len(numbers)


LEAST_DIVERGENCE = 1e-8
"""A difference of logarithms in float64 has seven digits of it."""


def divergence(
    student: Tensor, teacher: Tensor, temperature: float, by_differences: Callable[..., Any]
) -> Any:
    """What `DistillationCrossentropy` is of finite rows (N, C): `by_differences` of both.

    On a CPU by a softmax in float64, which is exact except for rows that nearly agree: operations
    are what an eager call costs.
    """
    is_plain = student.dtype == torch.float32 and are_at_hand(student)
    if not is_plain or torch.compiler.is_compiling() or _records():
        return by_differences(student, teacher)

    log_q, log_p = (
        torch.log_softmax(logits.double().div_(temperature), -1) for logits in (student, teacher)
    )
    p = log_p.exp()
    losses = log_p.sub_(log_q).mul_(p).sum(-1)
    slopes = log_q.exp_().sub_(p).to(student.dtype)
    is_small = losses < LEAST_DIVERGENCE
    losses = (losses * temperature**2).to(student.dtype)
    are_some_small = any_true(is_small)
    if are_some_small is None:
        return by_differences(student, teacher)
    if are_some_small:
        rows = is_small.nonzero()[:, 0]
        losses[rows], (slopes[rows],) = by_differences(student[rows], teacher[rows])
    return losses, (slopes,)


def distances(rows: Tensor, is_squared: bool, by_pieces: Callable[..., Tensor]) -> Tensor:
    """The distances (B, B) of rows (B, D), or their squares: `by_pieces(rows, is_squared)`."""
    has_no_trace = not torch.compiler.is_compiling() and not (_records() and rows.requires_grad)
    if has_no_trace and are_at_hand(rows) and has_values(rows):
        values = _distances_of_pairs(rows)
    else:
        values = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    return values * values if is_squared else values


def _distances_of_pairs(rows: Tensor) -> Tensor:
    """The distances (B, B), each pair's computed once: on a CPU faster than `cdist`."""
    values = rows.new_zeros((len(rows), len(rows)))
    is_above = torch.ones_like(values, dtype=torch.bool).triu_(1)
    values.masked_scatter_(is_above, torch.pdist(rows))
    return values + values.T


def distances_gradient(
    weights: Tensor,
    values: Tensor,
    rows: Tensor,
    is_squared: bool,
    by_pieces: Callable[..., Tensor],
) -> Tensor:
    """The sum over j of w_ij times the derivative of `distances` by row i: (B, D).

    `values` are these distances, the weights (B, B) are symmetric. As `by_pieces` of the other
    arguments would give it, in operations that vmap knows.
    """
    if is_squared:
        slopes = 2 * weights
    else:
        is_apart = values > 0
        slopes = torch.where(is_apart, weights / torch.where(is_apart, values, 1.0), 0.0)
    size = max(1, Compilation.ELEMENTS_OF_A_COMPILED_PIECE // max(1, rows.numel()))
    pieces = [
        (slopes[start : start + size, None] @ (rows[start : start + size, None] - rows))[:, 0]
        for start in range(0, len(rows), size)
    ]
    return torch.cat(pieces) if pieces else torch.zeros_like(rows)


def _records() -> bool:
    return bool(torch.is_grad_enabled())
