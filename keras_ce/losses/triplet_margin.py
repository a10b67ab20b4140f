"""Hinge loss on distances: rows with the same label have to be nearer than the others."""

from typing import Any, Unpack, final

import keras

from keras_ce._core import checks
from keras_ce._core.embeddings import embeddings, triplets
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
    return embeddings(y_true, y_pred).losses(triplets(margin, mining, distance))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class TripletMargin(PositionLoss, function=triplet_margin):
    """Hinge loss that wants rows with other labels `margin` farther away than those with the same.

    For training an encoder whose distances should tell labels apart, such as faces or products.
    It is 0 once every triplet keeps its margin; `SupervisedContrastive` keeps learning
    from all rows of the batch and needs no mining.

    The loss of row i, the anchor, is the mean over its positives p, the other rows with its
    label, of

        max(0, d_ip - d_in + margin)

    in units of the distance d, with negatives n, the rows of other labels, as `mining` says:

    - "all": the mean over every negative;
    - "semi-hard": the nearest of the negatives that are farther than the positive; where there
      is none, the farthest negative;
    - "hard": the nearest negative, and only the farthest positive.

    Among rows at the same distance, the first is taken. A negative exactly as far away as the
    positive does not count as farther. A triplet's gradient is 1 / triplets times that of d_ip -
    d_in while the hinge is above 0; that of a Euclidean distance of 0 is 0. A row without a
    positive or without a negative is ignored, and the loss of a batch without a triplet is 0. Where
    all embeddings are equal, the loss is the margin: `keras_ce.diagnose` finds such a collapse.

    A masked row is no anchor, no positive and no negative. A row of weight 0 is no anchor and stays
    a positive or negative of others, unless its embedding is not finite or its label is not an
    integer. Memory: a few (batch, batch) matrices. The time grows with the largest number of rows
    with the same label, except for "hard".

    tensorflow-addons' `TripletSemiHardLoss` is the mean over all pairs (anchor, positive) of the
    batch, so that frequent labels count more; where all labels have equally many rows, the two are
    equal. pytorch-metric-learning's `TripletMarginLoss` scales embeddings to unit length first, and
    is the mean over those triplets of its miner whose loss is above 0.

    Args:
        margin: a number > 0.
        mining: "all", "semi-hard" or "hard".
        distance: "euclidean", "squared" (its square) or "cosine" (1 - cosine; a zero embedding
            has cosine 0 with every row, and no gradient).
        {options}

    Shapes:
        `y_pred`: embeddings (batch, features); end the model in `keras.layers.UnitNormalization`
        to bound them. `y_true`: labels (batch,) or (batch, 1), any integers within int32.
        Result: a scalar; with reduction "none" (batch,).

    Raises:
        {raises}

    Example:
        >>> loss = TripletMargin(0.2)
        >>> float(loss([0, 0, 1, 1], [[0.0, 0.0], [0.5, 0.0], [0.6, 0.0], [1.0, 0.0]]))
        0.0999...

    Reference:
        Schroff, Kalenichenko & Philbin 2015, "FaceNet: A Unified Embedding for Face Recognition
        and Clustering", section 3.2, with squared distances of unit vectors;
        https://arxiv.org/abs/1503.03832. Hermans, Beyer & Leibe 2017, "In Defense of the Triplet
        Loss for Person Re-Identification", section 2; https://arxiv.org/abs/1703.07737.
    """

    def __init__(
        self,
        margin: float = 0.2,
        mining: str = "semi-hard",
        distance: str = "euclidean",
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(options, margin=margin, mining=mining, distance=distance)
