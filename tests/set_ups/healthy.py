"""Healthy set-ups, for which nothing may be found: how they are made."""

from typing import Any

from set_ups.models import Case, compiled, features

HEALTHY: list[Case] = []


def healthy(make: Any) -> Any:
    """Add a case; the docstring says what it is."""
    HEALTHY.append(Case(make.__doc__.rstrip("."), None, make))
    return make


def add(name: str, make: Any) -> None:
    """Add a case under a name."""
    HEALTHY.append(Case(name, None, make))


def arguments(model: Any, loss: Any, y: Any, x: Any = None, **options: Any) -> dict[str, Any]:
    """The arguments of `diagnose` for a model, compiled here unless it has been trained."""
    weight = options.pop("sample_weight", None)
    if not model.compiled:  # again, and it would count as new
        compiled(model, loss, **options)
    found = {"model": model, "x": features() if x is None else x, "y": y}
    return found if weight is None else {**found, "sample_weight": weight}
