"""What goes silently wrong in `keras.losses`, and what happens here: a number of each.

    KERAS_BACKEND=jax python -m benchmarks.keras_facts

Prints a Markdown table for the backend of this process. The tests of the same rows carry the
row's number in their name: `python -m pytest -k row_8`.
"""

import sys
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

sys.path.insert(0, "tests")
import backends

from keras_ce import losses

COMPILED = backends.MODES[-1]


def told(function: Callable) -> str:
    """The number or numbers that a function returns, or the error that it raises."""
    try:
        value = function()
    except Exception as error:  # whatever Keras and each backend raise is the finding
        return f"{type(error).__name__}"
    if isinstance(value, str):
        return value
    if ops.is_tensor(value):
        value = backends.array(value)
    return ", ".join(f"{item:.4g}" for item in np.ravel(value) + 0.0)


def gradient(loss: Callable, y_true: list, y_pred: list, mode: str = "eager") -> np.ndarray:
    """The gradient of a loss with respect to the predictions."""
    labels, outputs = np.asarray(y_true), np.asarray(y_pred, "float32")
    return backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred), outputs, labels, mode=mode
    )[1]


def compiled(loss: Callable, y_true: list, y_pred: list) -> np.ndarray:
    """The value of a loss in compiled code."""
    labels, outputs = np.asarray(y_true), np.asarray(y_pred, "float32")
    return backends.call(loss, labels, outputs, mode=COMPILED)


def sparse(**options) -> Callable:
    """Keras's cross-entropy of class ids."""
    return keras.losses.SparseCategoricalCrossentropy(**options)


def dense(**options) -> Callable:
    """Keras's cross-entropy of label rows."""
    return keras.losses.CategoricalCrossentropy(**options)


def ours(label_smoothing: float = 0, **options) -> Callable:
    """The cross-entropy of this package."""
    return losses.LabelSmoothedCrossentropy(label_smoothing, **options)


class Mean(keras.losses.Loss):
    """A loss of a user that returns a scalar."""

    def call(self, y_true, y_pred):
        """The mean of the squared errors."""
        return ops.mean(ops.square(y_true - y_pred))


class Entries(keras.losses.Loss):
    """A loss of a user that subtracts."""

    def call(self, y_true, y_pred):
        """The squared errors."""
        return ops.square(ops.convert_to_tensor(y_true) - y_pred)


def kept_dtype(loss: keras.losses.Loss) -> str:
    """The dtype of a float64 loss after its configuration was written and read."""
    return type(loss).from_config(loss.get_config()).dtype


def temporary_megabytes(loss: Callable) -> str:
    """What a step needs beside inputs and gradient, at 64 x 30,000."""
    if backends.BACKEND != "jax":
        return "-"
    import jax

    logits, ids = np.zeros((64, 30_000), "float32"), np.zeros(64, "int32")
    step = jax.jit(jax.value_and_grad(loss, argnums=1)).lower(ids, logits).compile()
    return f"{step.memory_analysis().temp_size_in_bytes / 2**20:.1f}"


def rows() -> list[tuple[int, str, Callable, Callable]]:
    """Number, what is measured, Keras's way and ours."""
    wrong = [[1e-12, 1.0, 0.0]]
    times = np.arange(12, dtype="float32").reshape(2, 2, 3) / 5
    time_ids, row_weights = np.array([[0, 1], [2, 0]]), np.array([0.0, 1.0])
    groups = np.array([[2.0, 0, 0, 0, 1, 0]], "float32")
    group_rows = np.array([[1.0, 0, 0, 0, 1, 0]])
    many = np.zeros((1, 300), "float32")
    many[0, 257] = 9
    small = np.array([[0.0, 20]], "float32")
    binary = keras.losses.BinaryCrossentropy
    focal = keras.losses.CategoricalFocalCrossentropy(from_logits=True, alpha=1.0)
    sigmoid = losses.WeightedSigmoidCrossentropy
    nan_rows = np.array([[np.nan, 1], [2, 1]], "float32")
    half = np.array([[0.0, 1.0]])
    column = np.array([[0.5], [0.25]], "float32")
    by_axis = np.array([[[1.0, 2], [0, 1], [0, 0]]], "float32")
    return [
        (
            1,
            "gradient at p = [1e-12, 1, 0], class 0",
            lambda: gradient(sparse(), [0], wrong),
            lambda: gradient(ours(), [0], wrong),
        ),
        (
            2,
            "binary loss of 1 at the logit 3.7, taken for a probability",
            lambda: binary()([[1.0]], [[3.7]]),
            lambda: sigmoid()([[1.0]], [[3.7]]),
        ),
        (
            3,
            f"id 7 of 3 classes, {COMPILED}",
            lambda: compiled(sparse(from_logits=True), [7], [[1.0, 2, 3]]),
            lambda: compiled(ours(from_logits=True), [7], [[1.0, 2, 3]]),
        ),
        (
            4,
            "gradient at a label row of zeros",
            lambda: gradient(dense(from_logits=True), [[0.0, 0, 0]], [[1.0, 2, 3]]),
            lambda: gradient(ours(from_logits=True), [[0.0, 0, 0]], [[1.0, 2, 3]]),
        ),
        (
            5,
            "weights [0, 1] of rows on (2, 2) positions",
            lambda: sparse(from_logits=True)(time_ids, times, row_weights),
            lambda: ours(from_logits=True)(time_ids, times, row_weights),
        ),
        (
            6,
            "class weights for (batch, time) ids: of the class",
            lambda: sparse(class_weight={0: 2.0}),
            lambda: ours(from_logits=True, class_weight={0: 2.0})(time_ids, times),
        ),
        (
            7,
            "a weight of 3 for the positives",
            lambda: binary(pos_weight=3.0),
            lambda: sigmoid(3.0, from_logits=True)([[1.0]], [[0.0]]),
        ),
        (
            8,
            "focal gradient at logits [0, 19, 0], class 0",
            lambda: gradient(focal, [[1.0, 0, 0]], [[0.0, 19, 0]]),
            lambda: gradient(losses.FocalCrossentropy(from_logits=True), [0], [[0.0, 19, 0]]),
        ),
        (
            9,
            "scores 0.9 (right) and 0.8, margin 0.2",
            lambda: keras.losses.MarginRanking(0.2),
            lambda: losses.MarginRanking(0.2)([0], [[0.9, 0.8]]),
        ),
        (
            10,
            "two groups of three, one right class in each",
            lambda: dense(from_logits=True)(group_rows, groups),
            lambda: losses.GroupedSoftmaxCrossentropy([3, 3], from_logits=True)(group_rows, groups),
        ),
        (
            11,
            "a NaN logit under weight 0",
            lambda: sparse(from_logits=True)(np.array([0, 0]), nan_rows, np.array([0.0, 1])),
            lambda: ours(from_logits=True)(np.array([0, 0]), nan_rows, np.array([0.0, 1])),
        ),
        (
            12,
            "id 257 in a bfloat16 loss, logit 9 there",
            lambda: sparse(from_logits=True, dtype="bfloat16")(np.array([257]), many),
            lambda: ours(from_logits=True, dtype="bfloat16")(np.array([257]), many),
        ),
        (
            13,
            "a perfect prediction in a float16 loss",
            lambda: binary(dtype="float16")(half, half.astype("float16")),
            lambda: sigmoid(dtype="float16")(half, half.astype("float16")),
        ),
        (
            14,
            "weights [0, 2], losses [4, 0] (in Keras of a user's loss that returns a scalar)",
            lambda: Mean()(column * 0, np.array([[2.0], [0]], "float32"), np.array([0.0, 2])),
            lambda: losses.MarginRanking(4.0)(
                np.array([0, 0]), np.array([[0.0, 0], [4, 0]]), np.array([0.0, 2])
            ),
        ),
        (
            15,
            "shape of labels (2,) against outputs (2, 1)",
            lambda: str(tuple(Entries(reduction="none")([1.0, 0.0], column).shape)),
            lambda: str(tuple(sigmoid(reduction="none")(np.array([1.0, 0]), column).shape)),
        ),
        (
            16,
            "loss at logits [0, 20], class 1 (exactly 2.0612e-09)",
            lambda: sparse(from_logits=True)(np.array([1]), small),
            lambda: ours(from_logits=True)(np.array([1]), small),
        ),
        (
            17,
            "dtype of a float64 loss, saved and loaded",
            lambda: kept_dtype(sparse(dtype="float64")),
            lambda: kept_dtype(ours(dtype="float64")),
        ),
        (
            18,
            "label_smoothing=7",
            lambda: dense(label_smoothing=7.0)(group_rows, group_rows / 2),
            lambda: ours(7.0),
        ),
        (
            22,
            f"class axis 1, {COMPILED}",
            lambda: compiled(sparse(from_logits=True, axis=1), [[0, 1]], by_axis),
            lambda: compiled(ours(from_logits=True, axis=1), [[0, 1]], by_axis),
        ),
        (
            23,
            "MB beside inputs and gradient, 64 x 30,000 ids, JAX",
            lambda: temporary_megabytes(sparse(from_logits=True)),
            lambda: temporary_megabytes(ours(from_logits=True)),
        ),
    ]


def main() -> None:
    """Measure and print."""
    print(f"keras {keras.__version__}, {backends.BACKEND}")
    print("| row | what | Keras | here |\n|---|---|---|---|")
    for number, what, theirs, here in rows():
        print(f"| {number} | {what} | {told(theirs)} | {told(here)} |")


if __name__ == "__main__":
    main()
