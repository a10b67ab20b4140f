"""At least one case per loss of the catalogue, with every argument off its default somewhere."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import backends
import keras
import numpy as np
import references

import keras_ce.losses

BATCH, TIME, CLASSES = 4, 3, 5
_generator = np.random.default_rng(20261120)


def logits(*shape, scale=2.0):
    return (_generator.normal(size=shape) * scale).astype("float32")


def probabilities(*shape):
    rows = _generator.dirichlet(np.ones(shape[-1]), size=shape[:-1])
    return rows.astype("float32")


def ids(*shape, num_classes=CLASSES):
    return _generator.integers(0, num_classes, size=shape).astype("int32")


def soft_rows(*shape):
    rows = _generator.uniform(0, 1, size=shape)
    rows[..., 0] = 0  # a class with no mass; the rows do not sum to one
    return rows.astype("float32")


def binary(*shape):
    return _generator.integers(0, 2, size=shape).astype("float32")


LOGITS_ONLY = (
    "DistillationCrossentropy",
    "ListwiseCrossentropy",
    "LogitAdjustedCrossentropy",
    "MarginRanking",
    "MultiLabelSoftmaxCrossentropy",
    "OrdinalCrossentropy",
)
ANY_FINITE_LABEL = ("DistillationCrossentropy", "MarginRanking")
SIGMOID = (
    "AsymmetricSigmoidCrossentropy",
    "MultiLabelSoftmaxCrossentropy",
    "WeightedSigmoidCrossentropy",
)


@dataclasses.dataclass(eq=False)
class Case:
    """A loss with arguments, labels (B, T) or (B, T, C), predictions (B, T, C), a reference."""

    name: str
    loss: str
    arguments: dict[str, Any]
    y_true: np.ndarray
    y_pred: np.ndarray
    tolerance: float = 1e-5
    absolute: float = 0.0

    @property
    def takes_logits(self) -> bool:
        return self.arguments.get("from_logits", self.loss in LOGITS_ONLY)

    @property
    def smallest(self) -> float:
        """The smallest loss that keeps its digits."""
        return 1e-35 if self.tolerance == 5e-6 else 1e-30

    @property
    def reference(self) -> Callable[..., Any]:
        return getattr(references, self.function_name)

    @property
    def function_name(self) -> str:
        cls = getattr(keras_ce.losses, self.loss)
        return cls.__module__.rpartition(".")[2]

    def make(self, **options):
        return getattr(keras_ce.losses, self.loss)(**self.arguments, **options)

    def function(self, y_true, y_pred):
        return getattr(keras_ce.losses, self.function_name)(y_true, y_pred, **self.arguments)

    @property
    def has_ids(self) -> bool:
        return self.y_true.ndim < self.y_pred.ndim

    @property
    def num_ids(self) -> int:
        """How many class ids there are, beside `CLASSES` predictions."""
        return CLASSES + (self.loss == "OrdinalCrossentropy")

    @property
    def invalid_label(self) -> float:
        """A label that this loss must refuse."""
        return self.num_ids if self.has_ids else float("nan")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.y_pred.shape[:-1]

    def label(self, position):
        label = self.y_true[position]
        return int(label) if self.has_ids else [float(item) for item in label]

    def expected(self, position, rows) -> tuple[np.ndarray, np.ndarray]:
        """The reference's losses and gradients of rows (N, C) with the labels of a position."""
        return _expected(self.name, position, rows.tobytes())

    @functools.cached_property
    def _all_expected(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = [
            self.expected(position, self.y_pred[position][None])
            for position in np.ndindex(self.shape)
        ]
        values, slopes = zip(*pairs, strict=True)
        return np.reshape(values, self.shape), np.reshape(slopes, self.y_pred.shape)

    @property
    def values(self) -> np.ndarray:
        return self._all_expected[0]

    @property
    def slopes(self) -> np.ndarray:
        return self._all_expected[1]


@functools.cache
def gradient_of(case, mode="eager"):
    """`backends.gradient_of` of a case's function: one program for every test of one shape."""
    return backends.gradient_of(lambda y_pred, y_true: case.function(y_true, y_pred), mode)


@functools.cache
def _expected(name, position, rows):
    case = next(case for case in CASES if case.name == name)
    rows = np.frombuffer(rows, "float32").reshape(-1, CLASSES)
    label = case.label(position)
    values = [references.value(case.reference, label, row, **case.arguments) for row in rows]
    slopes = [references.slope(case.reference, label, row, **case.arguments) for row in rows]
    return np.array(values), np.array(slopes)


PRIOR = [0.1, 0.2, 0.4, 0.0, 0.3]
WEIGHTS = [0.5, 2.0, 1.0, 3.0, 0.0]
SHAPE = (BATCH, TIME, CLASSES)

CASES = [
    Case(
        "smoothed-ids",
        "LabelSmoothedCrossentropy",
        {"label_smoothing": 0.2, "from_logits": True},
        ids(BATCH, TIME),
        logits(*SHAPE),
    ),
    Case(
        "smoothed-ids-probabilities",
        "LabelSmoothedCrossentropy",
        {"label_smoothing": 0.2},
        ids(BATCH, TIME),
        probabilities(*SHAPE),
    ),
    Case(
        "plain-ids",
        "LabelSmoothedCrossentropy",
        {"label_smoothing": 0, "from_logits": True},
        ids(BATCH, TIME),
        logits(*SHAPE),
    ),
    Case(
        "plain-ids-probabilities",
        "LabelSmoothedCrossentropy",
        {"label_smoothing": 0},
        ids(BATCH, TIME),
        probabilities(*SHAPE),
    ),
    Case(
        "weighted-ids",
        "LabelSmoothedCrossentropy",
        {"label_smoothing": 0, "from_logits": True, "class_weight": WEIGHTS},
        ids(BATCH, TIME),
        logits(*SHAPE),
    ),
    Case(
        "prior-weighted-ids",
        "LabelSmoothedCrossentropy",
        {"label_smoothing": 0.3, "from_logits": True, "prior": PRIOR, "class_weight": {1: 2.5}},
        ids(BATCH, TIME),
        logits(*SHAPE),
    ),
    Case(
        "soft-rows",
        "LabelSmoothedCrossentropy",
        {"from_logits": True},
        soft_rows(*SHAPE),
        logits(*SHAPE),
    ),
    Case(
        "plain-rows",
        "LabelSmoothedCrossentropy",
        {"label_smoothing": 0, "from_logits": True},
        soft_rows(*SHAPE),
        logits(*SHAPE),
    ),
    Case(
        "prior-weighted-rows-probabilities",
        "LabelSmoothedCrossentropy",
        {"label_smoothing": 0.3, "prior": PRIOR, "class_weight": WEIGHTS},
        soft_rows(*SHAPE),
        probabilities(*SHAPE),
    ),
    Case(
        "all-smoothing",
        "LabelSmoothedCrossentropy",
        {"label_smoothing": 1, "from_logits": True},
        ids(BATCH, TIME),
        logits(*SHAPE),
    ),
    Case(
        "sigmoid",
        "WeightedSigmoidCrossentropy",
        {"from_logits": True},
        binary(*SHAPE),
        logits(*SHAPE),
    ),
    Case(
        "sigmoid-weighted-smoothed",
        "WeightedSigmoidCrossentropy",
        {"pos_weight": [1.0, 2.0, 0.5, 4.0, 3.0], "label_smoothing": 0.1, "from_logits": True},
        soft_rows(*SHAPE),
        logits(*SHAPE),
    ),
    Case(
        "sigmoid-probabilities",
        "WeightedSigmoidCrossentropy",
        {"pos_weight": 2.5},
        binary(*SHAPE),
        probabilities(*SHAPE),
    ),
    Case(
        "sigmoid-ignored-entries",
        "WeightedSigmoidCrossentropy",
        {"pos_weight": 2.5, "from_logits": True, "ignore_label": 0.0},
        binary(*SHAPE) * 0.7,
        logits(*SHAPE),
    ),
    Case("ranking-index", "MarginRanking", {"margin": 0.7}, ids(BATCH, TIME), logits(*SHAPE)),
    Case(
        "ranking-relevance",
        "MarginRanking",
        {"margin": 1.5},
        ids(*SHAPE).astype("float32") - 2,
        logits(*SHAPE),
    ),
    Case(
        "ranking-index-ndcg",
        "MarginRanking",
        {"margin": 0.7, "weighting": "ndcg"},
        ids(BATCH, TIME),
        logits(*SHAPE),
        absolute=1e-6,
    ),
    Case(
        "ranking-relevance-ndcg",
        "MarginRanking",
        {"margin": 1.5, "weighting": "ndcg"},
        ids(*SHAPE).astype("float32") * 0.75,
        logits(*SHAPE),
        absolute=1e-6,
    ),
    Case(
        "listwise",
        "ListwiseCrossentropy",
        {"temperature": 0.5},
        soft_rows(*SHAPE) * 3,
        logits(*SHAPE),
    ),
    Case(
        "listwise-padded",
        "ListwiseCrossentropy",
        {"ignore_label": -1.0},
        ids(*SHAPE).astype("float32") - 1,
        logits(*SHAPE),
    ),
    Case(
        "distillation",
        "DistillationCrossentropy",
        {"temperature": 3.0},
        logits(*SHAPE),
        logits(*SHAPE),
    ),
    Case("ordinal", "OrdinalCrossentropy", {}, ids(BATCH, TIME, num_classes=6), logits(*SHAPE)),
    Case(
        "grouped-ids",
        "GroupedSoftmaxCrossentropy",
        {"group_sizes": [2, 3], "from_logits": True},
        np.stack([ids(BATCH, TIME, num_classes=2), ids(BATCH, TIME, num_classes=3)], -1),
        logits(*SHAPE),
    ),
    Case(
        "grouped-rows-smoothed",
        "GroupedSoftmaxCrossentropy",
        {"group_sizes": [3, 2], "from_logits": True, "label_smoothing": 0.2},
        soft_rows(*SHAPE),
        logits(*SHAPE),
    ),
    Case(
        "grouped-rows-probabilities",
        "GroupedSoftmaxCrossentropy",
        {"group_sizes": [2, 3]},
        soft_rows(*SHAPE),
        probabilities(*SHAPE),
    ),
    Case(
        "focal-ids",
        "FocalCrossentropy",
        {"gamma": 0.5, "from_logits": True, "class_weight": {0: 0.25, 3: 2.0}},
        ids(BATCH, TIME),
        logits(*SHAPE),
        1e-5,
    ),
    Case(
        "focal-rows",
        "FocalCrossentropy",
        {"gamma": 2.0, "from_logits": True},
        soft_rows(*SHAPE),
        logits(*SHAPE),
        1e-5,
    ),
    Case(
        "focal-ids-probabilities",
        "FocalCrossentropy",
        {"gamma": 3.0},
        ids(BATCH, TIME),
        probabilities(*SHAPE),
        1e-5,
    ),
    Case(
        "focal-rows-probabilities",
        "FocalCrossentropy",
        {"class_weight": WEIGHTS},
        soft_rows(*SHAPE),
        probabilities(*SHAPE),
        1e-5,
    ),
    Case(
        "poly1-ids",
        "Poly1Crossentropy",
        {"epsilon": 2.0, "from_logits": True},
        ids(BATCH, TIME),
        logits(*SHAPE),
        1e-5,
    ),
    Case(
        "poly1-rows-negative",
        "Poly1Crossentropy",
        {"epsilon": -1, "from_logits": True},
        soft_rows(*SHAPE),
        logits(*SHAPE),
        1e-5,
        1e-6,
    ),
    Case(
        "poly1-ids-probabilities",
        "Poly1Crossentropy",
        {"epsilon": 0.5},
        ids(BATCH, TIME),
        probabilities(*SHAPE),
        1e-5,
    ),
    Case(
        "generalized-ids",
        "GeneralizedCrossentropy",
        {"q": 0.3, "from_logits": True},
        ids(BATCH, TIME),
        logits(*SHAPE),
        1e-5,
    ),
    Case(
        "generalized-rows",
        "GeneralizedCrossentropy",
        {"q": 1, "from_logits": True},
        soft_rows(*SHAPE),
        logits(*SHAPE),
        1e-5,
    ),
    Case(
        "generalized-rows-probabilities",
        "GeneralizedCrossentropy",
        {},
        soft_rows(*SHAPE),
        probabilities(*SHAPE),
        1e-5,
    ),
    Case(
        "symmetric-ids",
        "SymmetricCrossentropy",
        {"alpha": 0.5, "beta": 0.3, "from_logits": True},
        ids(BATCH, TIME),
        logits(*SHAPE),
        1e-5,
    ),
    Case(
        "symmetric-rows",
        "SymmetricCrossentropy",
        {"alpha": 2, "from_logits": True},
        soft_rows(*SHAPE),
        logits(*SHAPE),
        1e-5,
    ),
    Case(
        "symmetric-ids-probabilities",
        "SymmetricCrossentropy",
        {"beta": 2},
        ids(BATCH, TIME),
        probabilities(*SHAPE),
        1e-5,
    ),
    Case(
        "adjusted-ids",
        "LogitAdjustedCrossentropy",
        {"class_prior": [900, 90, 9, 1, 50], "strength": 1.5},
        ids(BATCH, TIME),
        logits(*SHAPE),
        1e-5,
    ),
    Case(
        "adjusted-rows",
        "LogitAdjustedCrossentropy",
        {"class_prior": [0.1, 0.2, 0.3, 0.3, 0.1]},
        soft_rows(*SHAPE),
        logits(*SHAPE),
        1e-5,
    ),
    Case(
        "asymmetric",
        "AsymmetricSigmoidCrossentropy",
        {"gamma_positive": 1.0, "gamma_negative": 3.0, "clip": 0.1, "from_logits": True},
        binary(*SHAPE),
        logits(*SHAPE),
        1e-5,
        1e-6,
    ),
    Case(
        "asymmetric-focal",
        "AsymmetricSigmoidCrossentropy",
        {"gamma_positive": 0.5, "gamma_negative": 0.5, "clip": 0, "from_logits": True},
        soft_rows(*SHAPE),
        logits(*SHAPE),
        1e-5,
    ),
    Case(
        "asymmetric-probabilities",
        "AsymmetricSigmoidCrossentropy",
        {"gamma_positive": 2.0},
        binary(*SHAPE),
        probabilities(*SHAPE),
        1e-5,
        1e-6,
    ),
    Case(
        "multi-label-softmax",
        "MultiLabelSoftmaxCrossentropy",
        {},
        soft_rows(*SHAPE),
        logits(*SHAPE),
        1e-5,
    ),
]
for _case in CASES:
    if _case.loss.startswith(("Label", "Weighted", "Grouped")):
        _case.tolerance = 5e-6
    # A row of nothing but ignored labels is an ignored position; other tests look at those.
    if "ignore_label" in _case.arguments:
        _case.y_true[..., 0] = 1.0


@dataclasses.dataclass(eq=False)
class EmbeddingCase:
    """A loss that compares the rows of a batch: embeddings (B, D) and an id of each row.

    Rows 2 and 7 have an id of their own.
    """

    name: str
    loss: str
    arguments: dict[str, Any]

    ids = np.array([7, -3, 40, 7, -3, 7, -3, 2**31 - 1], "int32")
    y_pred = logits(8, 3, scale=1.0)

    reference = Case.reference
    function_name = Case.function_name
    make = Case.make
    function = Case.function

    def losses_and_slopes(
        self, ids=None, y_pred=None, candidates=None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The loss of each row, NaN where it is ignored, and the gradient of each."""
        ids, y_pred = self.ids if ids is None else ids, self.y_pred if y_pred is None else y_pred
        return _of_embeddings(
            self.name, tuple(map(int, ids)), y_pred.shape, y_pred.tobytes(), candidates
        )

    @property
    def values(self) -> np.ndarray:
        """The loss of each row, 0 where it is ignored."""
        return np.nan_to_num(self.losses_and_slopes()[0])

    @property
    def slopes(self) -> np.ndarray:
        """The gradient of their sum."""
        return self.losses_and_slopes()[1].sum(0)


@functools.cache
def _of_embeddings(name, ids, shape, rows, candidates):
    case = next(case for case in EMBEDDING_CASES if case.name == name)
    rows = np.frombuffer(rows, "float32").reshape(shape)
    found = references.of_embeddings(case.reference, ids, rows, candidates, **case.arguments)
    return np.array(found[0]), np.array(found[1])


EMBEDDING_CASES = [
    EmbeddingCase("contrastive", "SupervisedContrastive", {"temperature": 0.3}),
    EmbeddingCase("triplets", "TripletMargin", {"margin": 0.7}),
    EmbeddingCase(
        "triplets-all", "TripletMargin", {"margin": 0.4, "mining": "all", "distance": "squared"}
    ),
    EmbeddingCase(
        "triplets-hard", "TripletMargin", {"margin": 0.3, "mining": "hard", "distance": "cosine"}
    ),
]

assert keras.backend.floatx() == "float32"
