"""Numbers that an output layer reports beside its loss, in the logs of `fit` and `evaluate`."""

from typing import Any, ClassVar

from keras import ops

from keras_ce._core import linear
from keras_ce._core.backends import backend
from keras_ce._core.checks import InvalidValuesError
from keras_ce._core.sums import SumsInPairs

Tensor = Any

NUMBERS = ("accuracy", "top_5_accuracy", "perplexity")


def numbers(name: str, value: Any) -> tuple[str, ...]:
    """Which numbers, each once."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not all(each in NUMBERS for each in given) or len(set(given)) < len(given):
        raise InvalidValuesError(name, value, f"a tuple of some of {', '.join(NUMBERS)}, each once")
    return given


def metrics(report: tuple[str, ...], layer: Any, dtype: str) -> list["ReportedNumber"]:
    """The metrics of a layer."""
    return Reporter(layer.name, report, dtype).metrics


class Reporter:
    """A layer that reports; it goes into the names of its numbers where there are several.

    A layer does not know its model. But Keras calls all layers of a model before it asks for any
    result: those that have counted since the last result are the layers of one model.
    """

    _counting: ClassVar[list["Reporter"]] = []

    def __init__(self, name: str, report: tuple[str, ...], dtype: str) -> None:
        self.name = name
        self.metrics = [ReportedNumber(number, self, dtype) for number in report]

    def counts(self) -> None:
        """Its layer has been called."""
        if self not in self._counting:
            self._counting.append(self)

    @classmethod
    def end(cls) -> None:
        """Keras asks for results."""
        for reporter in cls._counting:
            prefix = "" if len(cls._counting) == 1 else f"{reporter.name}_"
            for metric in reporter.metrics:
                metric.name = prefix + metric.number
        cls._counting.clear()

    @classmethod
    def forget(cls) -> None:
        """Keras begins anew."""
        cls._counting.clear()


def values(number: str, logits: linear.Logits, terms: linear.Terms) -> Tensor:
    """What the mean of a number is taken of, for each position (N,): NaN where its loss is."""
    surprise = -ops.log_sigmoid(-terms.log_odds)
    if number == "perplexity":
        return surprise
    if number == "accuracy":
        is_right = terms.is_first
    else:
        is_right = linear.number_above(logits, terms.at_label) < 5
    return ops.where(ops.isnan(surprise), surprise, ops.cast(is_right, surprise.dtype))


class ReportedNumber(SumsInPairs):
    """The weighted mean of a number over the positions of all batches, or its exponential.

    A layer updates it in `call`. On JAX Keras does not hand the state of metrics to layers: what
    a step has counted waits here until Keras, later in the same step, asks for the result.

    Args:
        number: what it is, one of `NUMBERS`.
        reporter: whose number it is.
        dtype: dtype of sums and result.
    """

    def __init__(self, number: str, reporter: Reporter, dtype: str) -> None:
        super().__init__(number, dtype)
        self.number, self._reporter = number, reporter
        self._make_sums(2)
        self._waiting: Tensor | None = None

    @backend.as_written
    def update_state(self, values: Tensor, weights: Tensor) -> None:
        """Adds the positions of a batch, (...) each."""
        self._reporter.counts()
        counted = ops.stop_gradient(ops.stack([ops.sum(values * weights), ops.sum(weights)]))
        if backend.LAYERS_SEE_METRICS:
            self._add([counted])
        else:
            self._waiting = counted

    @backend.as_written
    def result(self) -> Tensor:
        """The number over all batches since the last reset."""
        self._reporter.end()
        if self._waiting is not None:
            counted, self._waiting = self._waiting, None
            self._add([counted])
        total, weight = ops.unstack(self.sums + self.rests)
        mean = ops.divide_no_nan(total, weight)
        return ops.exp(mean) if self.number == "perplexity" else mean

    def reset_state(self) -> None:
        """Forgets all batches."""
        self._reporter.forget()
        super().reset_state()
        self._waiting = None
