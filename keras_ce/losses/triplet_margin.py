"""Hinge loss on distances: rows of one label have to be nearer than those of others."""

from typing import Any, Unpack, final

import keras
from keras import ops

from keras_ce._core import checks
from keras_ce._core.embeddings import Metric, embeddings, hinge_of_hardest, hinge_of_triplets
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


@checks.arguments(
    margin=checks.number(above=0),
    mining=checks.choice("all", "semi-hard", "hard"),
    distance=checks.choice("euclidean", "squared", "cosine"),
)
def triplet_margin(
    y_true: Any,
    y_pred: Any,
    margin: float = 0.2,
    mining: str = "semi-hard",
    distance: str = "euclidean",
) -> Tensor:
    """`TripletMargin` of each row of embeddings (batch, features), in units of the distance."""
    given = embeddings(y_true, y_pred)
    given.ignore_unless(ops.any(given.is_positive, -1) & ops.any(given.is_negative, -1))
    metric = Metric(given.y_pred, distance)
    if mining == "hard":
        return given.settle(hinge_of_hardest(given, metric, margin))
    return given.settle(hinge_of_triplets(given, metric.matrix(), margin, mining))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class TripletMargin(PositionLoss, function=triplet_margin):
    """Hinge loss that wants rows of other labels `margin` farther than those of one label.

    PLACEHOLDER

    Args:
        margin: a number > 0.
        mining: "all", "semi-hard" or "hard".
        distance: "euclidean", "squared" or "cosine".
        {options}

    Raises:
        {raises}
    """

    def __init__(
        self,
        margin: float = 0.2,
        mining: str = "semi-hard",
        distance: str = "euclidean",
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(options, margin=margin, mining=mining, distance=distance)
