"""Time of one step, value and gradient, beside `keras.losses`, on the backend of this process.

    KERAS_BACKEND=jax python -m benchmarks.step_time --positions 2048 --classes 32768

Prints a Markdown table: median milliseconds of `--repeats` steps taken in turn, so that whatever
else the machine does meets both. Integer labels, random logits, float32.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_ce import losses

BACKEND = keras.backend.backend()


def candidates(classes: int) -> dict[str, Callable]:
    """Losses to compare, each from labels and logits; those named so from label rows."""
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    dense = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    plain = losses.LabelSmoothedCrossentropy(0, from_logits=True)
    smoothed = losses.LabelSmoothedCrossentropy(0.1, from_logits=True)
    plain_rows = keras.losses.CategoricalCrossentropy(from_logits=True)
    return {
        "Keras, sparse": sparse,
        "ours, ids": plain,
        "Keras, one_hot, smoothing 0.1": lambda y, z: dense(ops.one_hot(y, classes), z),
        "ours, ids, smoothing 0.1": smoothed,
        "Keras, rows": plain_rows,
        "ours, rows": plain,
    }


def steps(loss: Callable) -> dict[str, Callable]:
    """`step(labels, logits)` in each way to run it on this backend."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def step(labels, logits):
            with tf.GradientTape() as tape:
                tape.watch(logits)
                value = loss(labels, logits)
            return value, tape.gradient(value, logits)

        return {
            "graph": tf.function(step, autograph=False),
            "XLA": tf.function(step, autograph=False, jit_compile=True),
        }
    if BACKEND == "jax":
        import jax

        step = jax.jit(jax.value_and_grad(loss, argnums=1))
        return {"jit": lambda labels, logits: jax.block_until_ready(step(labels, logits))}

    def step(labels, logits):
        logits.grad = None
        value = loss(labels, logits.requires_grad_())
        value.backward()
        return value, logits.grad

    return {"eager": step}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--positions", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=32768)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()

    generator = np.random.default_rng(0)
    shape = (arguments.positions, arguments.classes)
    logits = ops.convert_to_tensor(generator.normal(size=shape).astype("float32"))
    labels = ops.convert_to_tensor(generator.integers(0, shape[1], shape[0]).astype("int32"))
    rows = ops.one_hot(labels, shape[1])

    runs = {
        (name, mode): step
        for name, loss in candidates(arguments.classes).items()
        for mode, step in steps(loss).items()
    }
    seconds = {key: [] for key in runs}
    for repeat in range(arguments.repeats + 1):
        for key, step in runs.items():
            start = time.perf_counter()
            value, _ = step(rows if "rows" in key[0] else labels, logits)
            float(value)
            if repeat:  # The first one compiles.
                seconds[key].append(time.perf_counter() - start)

    print(f"keras {keras.__version__}, {BACKEND}, {shape[0]} x {shape[1]}, median ms")
    print("| loss | mode | ms |\n|---|---|---|")
    for (name, mode), times in seconds.items():
        print(f"| {name} | {mode} | {1000 * statistics.median(times):.0f} |")


if __name__ == "__main__":
    main()
