"""What a loss expects: which labels, which predictions; read off its class and its own config."""

import dataclasses
import functools
from typing import Any

import keras
from keras import ops

import keras_ce.losses
from keras_ce._core.ranking import LARGEST_RELEVANCE
from keras_ce._core.reduction import PositionLoss
from keras_ce.diagnosis._sample import InputError
from keras_ce.diagnosis._user_code import call_user_code

KERAS = keras.losses


@dataclasses.dataclass(frozen=True)
class LossKind:
    """What a loss expects.

    Attributes:
        name: as a user would write it.
        family: `"softmax"`, `"sigmoid"`, `"multi-label"`, `"grouped"`, `"ordinal"`, `"teacher"`
            (labels that are logits), `"ranking"`, `"listwise"`, `"in-batch"`, `"embedding"`,
            `"ctc"`, `"overlap"` (Dice and Tversky), `"regression"` or `"other"`.
        labels: for softmax losses `"ids"`, `"rows"` or `"either"`, else an empty text.
        from_logits: whether it takes logits; None where the question has no meaning.
        axis: the class axis.
        ignore: the label that it leaves out, or None.
        most: the largest relevance that a ranking loss takes, or None.
        group_sizes: of a grouped loss.
        is_ours: whether it keeps the promises of `keras_ce.losses`.
        has_weights: whether it was given weights for its classes, or is made for imbalance.
        is_custom: whether it is a loss that Keras and this package do not know.
    """

    name: str
    family: str = "other"
    labels: str = ""
    from_logits: bool | None = None
    axis: int = -1
    ignore: float | None = None
    most: float | None = None
    group_sizes: tuple[int, ...] = ()
    is_ours: bool = False
    has_weights: bool = False
    is_custom: bool = False


# Family and labels. Their functions and options are read off the classes.
_OF_KERAS: dict[str, tuple[str, str]] = {
    "SparseCategoricalCrossentropy": ("softmax", "ids"),
    "CategoricalGeneralizedCrossEntropy": ("softmax", "ids"),
    "CategoricalCrossentropy": ("softmax", "rows"),
    "CategoricalFocalCrossentropy": ("softmax", "rows"),
    "KLDivergence": ("softmax", "rows"),
    "BinaryCrossentropy": ("sigmoid", ""),
    "BinaryFocalCrossentropy": ("sigmoid", ""),
    "Dice": ("overlap", ""),
    "Tversky": ("overlap", ""),
    "CTC": ("ctc", ""),
    **dict.fromkeys(
        (
            "MeanSquaredError",
            "MeanAbsoluteError",
            "MeanAbsolutePercentageError",
            "MeanSquaredLogarithmicError",
            "CosineSimilarity",
            "Huber",
            "LogCosh",
            "Poisson",
        ),
        ("regression", ""),
    ),
    **dict.fromkeys(("Hinge", "SquaredHinge", "CategoricalHinge", "Circle"), ("margin", "")),
}
_OF_OURS = {
    "GroupedSoftmaxCrossentropy": "grouped",
    "AsymmetricSigmoidCrossentropy": "sigmoid",
    "WeightedSigmoidCrossentropy": "sigmoid",
    "DistillationCrossentropy": "teacher",
    "ListwiseCrossentropy": "listwise",
    "OrdinalCrossentropy": "ordinal",
    "MarginRanking": "ranking",
    "InBatchCrossentropy": "in-batch",
    "MultiLabelSoftmaxCrossentropy": "multi-label",
    "SupervisedContrastive": "embedding",
    "TripletMargin": "embedding",
}
_MADE_FOR_IMBALANCE = (
    "AsymmetricSigmoidCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalFocalCrossentropy",
    "FocalCrossentropy",
    "LogitAdjustedCrossentropy",
)


_NO_LOSS = (
    "`loss` must be a Keras loss, its name, or a function of labels and predictions. "
    "Received: {!r}."
)


class FunctionLoss(keras.losses.Loss):
    """A function of labels and predictions as Keras makes a loss of it: with the ranks aligned."""

    def __init__(self, function: Any, **options: Any) -> None:
        name = getattr(function, "__name__", type(function).__name__).strip("<_>")
        super().__init__(name=name, **options)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """What the function returns."""
        rank, other = len(y_true.shape), len(y_pred.shape)
        if rank == other + 1 and y_true.shape[-1] == 1:
            if other == 1:
                y_pred = ops.expand_dims(y_pred, -1)
            else:
                y_true = ops.squeeze(y_true, -1)
        elif other == rank + 1 and y_pred.shape[-1] == 1:
            if rank == 1:
                y_true = ops.expand_dims(y_true, -1)
            else:
                y_pred = ops.squeeze(y_pred, -1)
        return self.function(y_true, y_pred)


def of_each_position(loss: Any) -> Any:
    """The same loss, not reduced. Not `copy.copy`, which saves a Keras object and loads it."""
    twin = object.__new__(type(loss))
    vars(twin).update(vars(loss))
    twin.reduction = "none"
    return twin


def as_loss(given: Any, label_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Any:
    """A loss object for whatever `compile` takes for one output.

    Raises:
        InputError: it is no loss.
    """
    if isinstance(given, str) and given.lower() in ("crossentropy", "ce"):
        given = _crossentropy_for(label_shape, output_shape)
    if isinstance(given, (str, dict)):
        try:
            given = keras.losses.get(given)
        except (KeyError, TypeError, ValueError):
            raise InputError(_NO_LOSS.format(given)) from None
    if isinstance(given, keras.losses.Loss):
        return given
    arguments: dict[str, Any] = {}
    function = given
    if isinstance(given, functools.partial) and not given.args:
        arguments, function = dict(given.keywords), given.func
    for known in _classes_of_keras().values():
        if function is known().fn:
            return known(**arguments)
    if not callable(given):
        raise InputError(_NO_LOSS.format(given))
    return FunctionLoss(given)


def _crossentropy_for(label_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> str:
    """What Keras takes "crossentropy" for."""
    if output_shape[-1] == 1:
        return "binary_crossentropy"
    if len(label_shape) < len(output_shape) or label_shape[-1] == 1:
        return "sparse_categorical_crossentropy"
    return "categorical_crossentropy"


def _classes_of_keras() -> dict[str, Any]:
    """The known losses of Keras; an older one does not have all of them."""
    return {name: getattr(KERAS, name) for name in _OF_KERAS if hasattr(KERAS, name)}


def kind_of(loss: Any) -> LossKind:
    """What a loss object expects, as far as its class tells.

    Raises:
        UserCodeError: its `get_config` raises.
    """
    name = type(loss).__name__
    if isinstance(loss, PositionLoss):
        return _kind_of_ours(loss, name)
    for class_name, known in _classes_of_keras().items():
        # A subclass with its own arithmetic may expect anything.
        if not isinstance(loss, known) or type(loss).call is not known.call:
            continue
        family, labels = _OF_KERAS[class_name]
        config = call_user_code(loss.get_config)
        from_logits = config.get("from_logits")
        if from_logits is None and family in ("softmax", "sigmoid", "overlap"):
            from_logits = False  # they have no such option, and take probabilities
        return LossKind(
            f"keras.losses.{name}" if type(loss) is known else name,
            family,
            labels,
            True if family == "ctc" else from_logits,
            axis=_class_axis(config.get("axis"), family),
            ignore=config.get("ignore_class"),
            has_weights=class_name in _MADE_FOR_IMBALANCE,
        )
    return LossKind(loss.name if isinstance(loss, FunctionLoss) else name, is_custom=True)


def _class_axis(axis: Any, family: str) -> int:
    # Dice and Tversky have an `axis` that they sum over.
    return axis if isinstance(axis, int) and family in ("softmax", "sigmoid") else -1


def _kind_of_ours(loss: Any, name: str) -> LossKind:
    config = call_user_code(loss.get_config)
    family = _OF_OURS.get(name, "softmax")
    if not hasattr(keras_ce.losses, name):
        return LossKind(name, is_ours=True, is_custom=True)
    has_logits = family not in ("ranking", "in-batch", "embedding")
    from_logits = config.get("from_logits", True) if has_logits else None
    if family == "listwise" and config["temperature"] < 1:
        from_logits = None  # scores from 0 to 1, such as a sigmoid's, are spread by it
    has_weights = config.get("class_weight") is not None or config.get("pos_weight", 1.0) != 1.0
    ignore = config.get("ignore_class")
    return LossKind(
        f"keras_ce.losses.{name}",
        family,
        "either" if family == "softmax" else "",
        from_logits,
        axis=loss.class_axis,
        ignore=config.get("ignore_label") if ignore is None else ignore,
        most=LARGEST_RELEVANCE if config.get("weighting") == "ndcg" else None,
        group_sizes=tuple(config.get("group_sizes", ())),
        is_ours=True,
        has_weights=has_weights or name in _MADE_FOR_IMBALANCE,
    )
