"""The answer ranker: questions in, the best of many answers out."""

from recipes.answer_ranker.model import (
    POOLINGS,
    AnswerRanker,
    LengthPivot,
    UnitLength,
    build_answer_ranker,
)

__all__ = [
    "POOLINGS",
    "AnswerRanker",
    "LengthPivot",
    "UnitLength",
    "build_answer_ranker",
]
