"""How far a number measured on some rows may be from the truth, and whether two models differ."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy

_DRAWS = 1000
_NUMBERS_IN_ALL = 100_000_000
"""Of all draws together: fewer draws where the outcomes are more than 100,000 numbers, such as two
for each of 50,000 texts, or for each of 50 labels of 1,000 texts."""
_FEWEST_DRAWS = 200


class Outcomes(NamedTuple):
    """What models did with each test row, and the number that sums it up."""

    measure: Callable[[numpy.ndarray], float]
    """From outcomes of any rows to the number; the mean, for accuracy."""
    of_model: numpy.ndarray
    """(rows, ...), for accuracy whether each row is right."""
    of_baseline: numpy.ndarray | None = None
    """The same of the cheap rival; `None` where it gives none."""


def mean(outcomes: numpy.ndarray) -> float:
    """The measure of whatever every row has a number of its own for."""
    return float(outcomes.mean())


def with_intervals(outcomes: Mapping[str, Outcomes]) -> dict[str, dict[str, Any]]:
    """The 95 % interval of each number, and the paired comparison with the baseline.

    The interval is that of the bootstrap's percentiles: it says how the number varies over rows
    drawn, with replacement, from the test rows (Efron 1979). It is of no use for a number that
    chance makes larger, such as the calibration error: that of a calibrated model is 0, and
    neither the measured one nor any draw is. The test exchanges both models' outcomes of rows at
    random and counts how often that gives as large a difference (approximate randomization,
    Noreen 1989).

    Args:
        outcomes: By the name of the number. All of the same rows.

    Returns:
        For each name `interval`, `[low, high]`; with a baseline also `baseline_interval`,
        `difference` (model less baseline), `difference_interval`, `p_value` (two-sided) and
        `least_p_value`, the smallest that so many draws can give.
    """
    rows = len(next(iter(outcomes.values())).of_model)
    numbers = max(each.of_model.size for each in outcomes.values())
    draws = max(_FEWEST_DRAWS, min(_DRAWS, _NUMBERS_IN_ALL // max(numbers, 1)))
    random = numpy.random.default_rng(0)
    drawn: dict[str, list[tuple[float, float]]] = {name: [] for name in outcomes}
    exchanged: dict[str, list[float]] = {name: [] for name in outcomes}
    for _ in range(draws):
        chosen = random.integers(0, rows, rows)
        is_exchanged = random.random(rows) < 0.5
        for name, (measure, model, baseline) in outcomes.items():
            of_model = measure(model[chosen])
            drawn[name].append(
                (of_model, numpy.nan if baseline is None else measure(baseline[chosen]))
            )
            if baseline is not None:
                swap = is_exchanged.reshape(-1, *[1] * (model.ndim - 1))
                exchanged[name].append(
                    measure(numpy.where(swap, baseline, model))
                    - measure(numpy.where(swap, model, baseline))
                )
    found: dict[str, dict[str, Any]] = {}
    for name, (measure, model, baseline) in outcomes.items():
        of_model, of_baseline = numpy.array(drawn[name]).T
        value = measure(model)
        found[name] = {"interval": _interval(of_model)}
        if baseline is not None:
            rival = measure(baseline)
            as_large = numpy.abs(exchanged[name]) >= abs(value - rival) - 1e-12
            found[name] |= {
                "baseline_interval": _interval(of_baseline),
                "difference": value - rival,
                "difference_interval": _interval(of_model - of_baseline),
                "p_value": float((1 + as_large.sum()) / (1 + draws)),
                "least_p_value": 1 / (1 + draws),
            }
    return found


def _interval(drawn: numpy.ndarray) -> list[float]:
    low, high = numpy.percentile(drawn, (2.5, 97.5))
    return [float(low), float(high)]
