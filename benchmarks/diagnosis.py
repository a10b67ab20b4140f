"""Time and memory of `keras_ce.diagnose`.

    KERAS_BACKEND=jax python -m benchmarks.diagnosis

Prints time and memory for 64 million weights and for the text classifier of the example on 5,000
rows. What is found is a matter of the tests: tests/diagnosis/test_tables.py.
"""

import resource
import time
from typing import Any

import keras
import numpy as np

import keras_ce
from recipes.text_classifier import build_text_classifier

ROWS, LENGTH, VOCABULARY, CLASSES = 5_000, 40, 20_000, 10


def main() -> None:
    """Measure and print."""
    print(f"keras {keras.__version__}, {keras.backend.backend()}")
    time_large_model()  # first: the peak before it counts
    time_text_classifier()


def time_text_classifier() -> None:
    """Seconds and memory for the text classifier as the example builds it."""
    generator = np.random.default_rng(0)
    tokens = [f"word{number}" for number in range(VOCABULARY)]
    model = build_text_classifier(
        VOCABULARY,
        CLASSES,
        vocabulary=tokens,
        affix_buckets=10_000,
        units=0,
        embedding_dim=128,
        convolution_widths=(2, 3, 5),
        pooling="max",
    )
    model.compile("adam", keras_ce.losses.LabelSmoothedCrossentropy(0.1, from_logits=True))
    x = generator.integers(2, VOCABULARY, (ROWS, LENGTH)).astype("int32")
    y = generator.integers(0, CLASSES, ROWS)
    print(f"\ntext classifier, {ROWS:,} rows of {LENGTH} tokens")
    for name in ("first run", "second run"):
        before, start = _peak(), time.perf_counter()
        report = keras_ce.diagnose(model, x, y)
        seconds = time.perf_counter() - start
        print(f"{name}: {seconds:.2f} s, peak memory +{_peak() - before:.0f} MB; {report}")


def time_large_model() -> None:
    """Seconds and memory for a subclassed model with 64 million weights."""

    class Large(keras.Model):
        """A table of vectors and a layer."""

        def __init__(self) -> None:
            super().__init__()
            self.vectors = keras.layers.Embedding(1_000_000, 64)
            self.scores = keras.layers.Dense(10)

        def call(self, inputs: Any) -> Any:
            """The scores of the mean vector."""
            return self.scores(keras.ops.mean(self.vectors(inputs), axis=1))

    generator = np.random.default_rng(0)
    x = generator.integers(0, 1_000_000, (ROWS, LENGTH)).astype("int32")
    model = Large()
    model(x[:2])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before, start = _peak(), time.perf_counter()
    report = keras_ce.diagnose(model, x, generator.integers(0, 10, ROWS))
    seconds = time.perf_counter() - start
    print(
        f"64 million weights (256 MB): {seconds:.2f} s, peak memory +{_peak() - before:.0f} MB; "
        f"{report}"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
