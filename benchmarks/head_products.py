"""How fast a backend multiplies the matrices of an output layer, whole and in pieces.

    KERAS_BACKEND=tensorflow python -m benchmarks.head_products

Prints billions of additions and multiplications per second of the three products of a step
(logits; gradient of the features; gradient of the kernel), for the whole matrices and for tiles of
512 positions in pieces of columns, as `LinearCrossentropy` takes them: what its tiles cost before
any exponential. Compiled by XLA: for TensorFlow and JAX. Medians of five.
"""

import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import ops

WIDTH, CLASSES = 256, 65_536
ROWS_OF_A_TILE = 512
COLUMNS = (512, 1_024, 2_048, 8_192)


def compiled(function: Callable) -> Callable:
    """The function, by XLA where the backend has it."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    raise SystemExit("Expected KERAS_BACKEND=tensorflow or jax: XLA compiles these products.")


def products(rows: int, columns: int) -> dict[str, Callable]:
    """The three products, each added up to one number, in pieces of `columns` classes."""

    def over(step: Callable, carry: object) -> object:
        pieces = CLASSES // columns
        return step(0, carry) if pieces == 1 else ops.fori_loop(0, pieces, step, carry)

    def piece_of(matrix: object, piece: object) -> object:
        return ops.slice(matrix, (piece * columns, 0), (columns, matrix.shape[1]))

    def logits(features, kernel, _):
        def step(piece, most):
            product = ops.matmul(features, ops.transpose(piece_of(kernel, piece)))
            return ops.maximum(most, ops.max(product, axis=1))

        return ops.sum(over(step, ops.zeros((rows,))))

    def of_features(_, kernel, gradients):
        def step(piece, total):
            gradient = ops.transpose(piece_of(gradients, piece))
            return total + ops.matmul(gradient, piece_of(kernel, piece))

        return ops.sum(over(step, ops.zeros((rows, WIDTH))))

    def of_kernel(features, _, gradients):
        def step(piece, total):
            product = ops.matmul(piece_of(gradients, piece), features)
            return ops.slice_update(total, (piece * columns, 0), product)

        return ops.sum(over(step, ops.zeros((CLASSES, WIDTH))))

    return {"logits": logits, "of features": of_features, "of kernel": of_kernel}


def main() -> None:
    """Measure and print."""
    generator = np.random.default_rng(0)
    print(f"keras {keras.__version__}, {keras.backend.backend()}, {os.cpu_count()} cores\n")
    print("| positions | columns | logits | of features | of kernel |\n|---|---|---|---|---|")
    for rows, columns in ((2_048, CLASSES), *((ROWS_OF_A_TILE, each) for each in COLUMNS)):
        shapes = (rows, WIDTH), (CLASSES, WIDTH), (CLASSES, rows)
        arguments = [
            ops.convert_to_tensor(generator.standard_normal(shape, dtype="float32"))
            for shape in shapes
        ]
        cells = []
        for function in products(rows, columns).values():
            run, seconds = compiled(function), []
            for _ in range(6):
                start = time.perf_counter()
                float(run(*arguments))
                seconds.append(time.perf_counter() - start)
            done = 2e-9 * rows * WIDTH * CLASSES
            cells.append(f"{done / statistics.median(seconds[1:]):.0f}")
        print(f"| {rows:,} | {columns:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
