"""Worst relative error of value and gradient of each loss, beside `keras.losses`.

    KERAS_BACKEND=torch python -m benchmarks.accuracy

Every loss and its counterpart see the same logits, or their softmax, in float32 and in bfloat16:
rows whose losses lie between 1e-30 and 2e4. "Lost" are gradients that are 0 where they must not
be. The reference is tests/references.py, in decimals of 60 digits. Value errors are relative;
gradient errors are relative to the largest gradient of the row, or to 1. `InBatchCrossentropy` is
measured in its own test: its rows make up one square.
"""

import functools
import sys

import keras
import numpy as np
from keras import ops

sys.path.insert(0, "tests")
import backends
import references

from keras_ce import losses

CLASSES = 5
LOGITS_ONLY = (
    "logit_adjusted_crossentropy",
    "margin_ranking",
    "multi_label_softmax_crossentropy",
)


def rows() -> np.ndarray:
    """Logits from all but equal to far apart, at several offsets."""
    generator = np.random.default_rng(0)
    found = [
        generator.normal(size=CLASSES) * scale + offset
        for scale in (0.01, 1, 10, 30, 1000, 5000)
        for offset in (0, 50, -1000)
        for _ in range(8)
    ]
    return np.array(found, "float32")


def measure(function, reference, labels, dtype, **arguments):
    """Worst errors of value and gradient, and the share of gradients lost altogether."""
    y_pred = ops.convert_to_tensor(rows())
    if arguments.get("from_logits") is False:
        # By way of NumPy: on TensorFlow, Keras's losses would find the logits behind a softmax.
        y_pred = ops.convert_to_tensor(backends.array(ops.softmax(y_pred)))
    y_pred = ops.cast(y_pred, dtype)
    exact_rows = backends.array(y_pred)
    values, slopes = backends.gradient(
        lambda y_pred, y_true: function(y_true, y_pred), y_pred, labels
    )
    worst_value = worst_slope = 0.0
    lost = 0
    for row, label, value, slope in zip(exact_rows, labels, values, slopes, strict=True):
        label = label.tolist()
        expected = references.value(reference, label, row, **arguments)
        expected_slope = np.array(references.slope(reference, label, row, **arguments))
        if expected > 1e-30:
            worst_value = max(worst_value, abs(value - expected) / expected)
        size = np.max(np.abs(expected_slope))
        error = np.abs(slope - expected_slope)
        if arguments.get("from_logits") is False:
            error = error[row > 1e-29]  # Below, the reference's difference reaches over the clamp.
        worst_slope = max(worst_slope, np.max(error) / max(1, size))
        lost += bool(size > 1e-30 and not np.any(slope))
    return worst_value, worst_slope, lost / len(labels)


def main() -> None:
    """Measure and print."""
    generator = np.random.default_rng(1)
    count = len(rows())
    ids = generator.integers(0, CLASSES, count).astype("int32")
    pairs_of_ids = np.stack([ids % 2, ids % 3], -1)
    soft = generator.dirichlet(np.ones(CLASSES), count).astype("float32")
    binary = generator.integers(0, 2, (count, CLASSES)).astype("float32")
    theirs = keras.losses
    plain = {"label_smoothing": 0.0}
    counterparts = [
        ("label_smoothed", ids, plain,
         lambda y, z: theirs.sparse_categorical_crossentropy(y, z, from_logits=True)),
        ("label_smoothed", ids, {"label_smoothing": 0.1},
         lambda y, z: theirs.categorical_crossentropy(
             ops.one_hot(y, CLASSES), z, from_logits=True, label_smoothing=0.1)),
        ("label_smoothed", soft, plain,
         lambda y, z: theirs.categorical_crossentropy(y, z, from_logits=True)),
        ("label_smoothed", ids, {**plain, "from_logits": False},
         theirs.sparse_categorical_crossentropy),
        ("weighted_sigmoid", binary, {},
         lambda y, z: theirs.binary_crossentropy(y, z, from_logits=True)),
        ("grouped_softmax", pairs_of_ids, {"group_sizes": [2, 3]}, None),
        ("focal", ids, {},
         lambda y, z: theirs.categorical_focal_crossentropy(
             ops.one_hot(y, CLASSES), z, alpha=1.0, from_logits=True)),
        ("asymmetric_sigmoid", binary, {"gamma_positive": 2, "gamma_negative": 2, "clip": 0},
         lambda y, z: theirs.binary_focal_crossentropy(y, z, from_logits=True)),
        ("multi_label_softmax", binary, {}, None),
        ("logit_adjusted", ids, {"class_prior": [50, 30, 15, 4, 1]}, None),
        ("poly1", ids, {}, None),
        ("generalized", ids, {}, None),
        ("symmetric", ids, {}, None),
        ("margin_ranking", ids, {}, None),
    ]  # fmt: skip
    print(f"keras {keras.__version__}, {keras.backend.backend()}, {count} rows")
    print("| loss | input | ours: value | gradient | lost | Keras: value | gradient | lost |")
    print("|---|---|---|---|---|---|---|---|")
    for name, labels, arguments, counterpart in counterparts:
        name = name if name == "margin_ranking" else f"{name}_crossentropy"
        if name not in LOGITS_ONLY:
            arguments = {"from_logits": True, **arguments}
        source = "logits" if arguments.get("from_logits", True) else "probabilities"
        ours = functools.partial(getattr(losses, name), **arguments)
        for dtype in ("float32", "bfloat16"):
            cells = []
            for function in (ours, counterpart):
                if function is None:
                    cells += ["-"] * 3
                    continue
                reference = getattr(references, name)
                value, slope, lost = measure(function, reference, labels, dtype, **arguments)
                cells += [f"{value:.1e}", f"{slope:.1e}", f"{lost:.0%}"]
            options = ", ".join(
                f"{key}={item}" for key, item in arguments.items() if key != "from_logits"
            )
            print(f"| {name}({options}) | {dtype} {source} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
