"""The answer ranker: questions in, the best of many answers out."""

from typing import TYPE_CHECKING, Any

from recipes.answer_ranker.model import (
    POOLINGS,
    LengthPivot,
    RankerModels,
    UnitLength,
    build_answer_ranker,
)

if TYPE_CHECKING:
    from recipes.answer_ranker.task import AnswerRanker

__all__ = [
    "POOLINGS",
    "AnswerRanker",
    "LengthPivot",
    "RankerModels",
    "UnitLength",
    "build_answer_ranker",
]


def __getattr__(name: str) -> Any:
    """The task, when asked for: it needs packages that the builder does without."""
    if name != "AnswerRanker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import recipes.estimators  # noqa: F401 - first: it says what to install
    from recipes.answer_ranker.task import AnswerRanker

    return AnswerRanker
