"""Contrastive cross-entropy of embeddings: rows of one label against all others of the batch."""

from typing import Any, Unpack, final

import keras

from keras_ce._core import checks
from keras_ce._core.embeddings import contrast, embeddings
from keras_ce._core.reduction import LossOptions, PositionLoss

Tensor = Any


@checks.arguments(temperature=checks.number(above=0))
def supervised_contrastive(y_true: Any, y_pred: Any, temperature: float = 0.1) -> Tensor:
    """`SupervisedContrastive` of each row of embeddings (batch, features), in nats."""
    return embeddings(y_true, y_pred).losses(contrast(temperature))


@final
@keras.saving.register_keras_serializable(package="keras_ce")
class SupervisedContrastive(PositionLoss, function=supervised_contrastive):
    """Softmax cross-entropy of cosines, each row against the rows of its label, in nats.

    For training an encoder whose embeddings should lie together where labels agree, whatever
    their length. Where questions have answers of an encoder of their own, take
    `InBatchCrossentropy`; where a margin is enough, `TripletMargin`.

    The loss of row i with the positives P, the other rows with row i's label, is the mean over p
    in P of

        -log(exp(s_ip / temperature) / sum over all a != i of exp(s_ia / temperature))

    with cosines s: the paper's L_out. All positives share one softmax, so with several of them the
    loss stays above log |P|, and at its minimum they are equally near. The gradient with respect to
    s_ia is (softmax_a - [a in P] / |P|) / temperature. A row without a positive is ignored, and the
    loss of a batch without any positive is 0. A zero embedding has cosine 0 with every row, and no
    gradient.

    A masked row is no anchor, no positive and no negative. A row of weight 0 is no anchor and stays
    a positive or negative of others, unless its embedding is not finite or its label is not an
    integer. Where all embeddings have the same direction, the loss is log(batch - 1):
    `keras_ce.diagnose` finds such a collapse.

    `pytorch_metric_learning.losses.SupConLoss` has the same value for each row; its default
    reducer leaves rows of loss 0 out of the mean.

    Args:
        temperature: a number > 0.
        {options}

    Shapes:
        `y_pred`: embeddings (batch, features), of any length. `y_true`: labels (batch,) or
        (batch, 1), any integers within int32. Result: a scalar; with reduction "none" (batch,).

    Raises:
        {raises}

    Example:
        >>> loss = SupervisedContrastive(0.1)
        >>> float(loss([0, 0, 1, 1], [[1.0, 0.1], [1.0, 0.0], [0.0, 2.0], [0.1, 2.0]]))
        0.00022...

    Reference:
        Khosla et al. 2020, "Supervised Contrastive Learning", equation 2;
        https://arxiv.org/abs/2004.11362.
    """

    def __init__(self, temperature: float = 0.1, **options: Unpack[LossOptions]) -> None:
        super().__init__(options, temperature=temperature)
