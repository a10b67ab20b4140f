"""Time and memory of one step, ours and each peer in turn, on the backend of this process.

    KERAS_BACKEND=jax python -m benchmarks.step_time

Prints a Markdown table. A step is the value and the gradient of the mean loss of random float32
logits, half of them confident of their label as late in a training; or, for an output layer with
its loss ("head"), of random features and a kernel that gives them logits of variance 1, with the
gradients of both. Every repeat runs all candidates once, so that whatever else the machine does
meets all; the ratio is that of ours to the peer in the same repeat, with its quartiles. Memory,
where the logits take 256 MB or more, is how far the resident memory of a process of its own rises
in its first step beyond the inputs and their gradient, the compilation included. The limit is the
time to read the inputs and write the gradient once at the speed of a copy on all cores.
"""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_ce import losses
from keras_ce.layers import LinearCrossentropy

BACKEND = keras.backend.backend()
SMOOTHING = 0.1


class Candidate(NamedTuple):
    """Losses with the same name for what they compare are compared."""

    task: str
    who: str
    loss: Callable  # of labels and logits; of labels, features and kernel where the task is a head


def with_logits(classes: int) -> list[Candidate]:
    """Ours first, then the peers, for each kind of labels."""
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    dense = keras.losses.CategoricalCrossentropy(from_logits=True)
    smooth = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING)
    plain = losses.LabelSmoothedCrossentropy(0, from_logits=True)
    candidates = [
        Candidate("ids", "ours", plain),
        Candidate("ids", "Keras, sparse", sparse),
        Candidate(
            "smoothing", "ours", losses.LabelSmoothedCrossentropy(SMOOTHING, from_logits=True)
        ),
        Candidate("smoothing", "Keras, one_hot", lambda y, z: smooth(ops.one_hot(y, classes), z)),
        Candidate("rows", "ours", plain),
        Candidate("rows", "Keras", dense),
    ]
    if BACKEND == "jax":
        import jax
        import optax

        def optax_smooth(y, z):
            rows = optax.smooth_labels(jax.nn.one_hot(y, classes), SMOOTHING)
            return optax.softmax_cross_entropy(z, rows).mean()

        integer = optax.softmax_cross_entropy_with_integer_labels
        candidates += [
            Candidate("ids", "optax", lambda y, z: integer(z, y).mean()),
            Candidate("smoothing", "optax", optax_smooth),
            Candidate("rows", "optax", lambda y, z: optax.softmax_cross_entropy(z, y).mean()),
        ]
    if BACKEND == "torch":
        from torch.nn.functional import cross_entropy

        candidates += [
            Candidate("ids", "torch", lambda y, z: cross_entropy(z, y.long())),
            Candidate(
                "smoothing",
                "torch",
                lambda y, z: cross_entropy(z, y.long(), label_smoothing=SMOOTHING),
            ),
            Candidate("rows", "torch", lambda y, z: cross_entropy(z, y)),
        ]
    return candidates


def with_features(width: int, classes: int) -> list[Candidate]:
    """Output layers without bias, from labels, features and kernel."""
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss_of(layer: keras.Layer, mean: Callable) -> Callable:
        layer.build((None, width))
        (variable,) = layer.trainable_variables

        def loss(labels, features, kernel):
            with keras.StatelessScope([(variable, kernel)]):
                return mean(labels, features)

        return loss

    head = LinearCrossentropy(classes, use_bias=False)
    dense = keras.layers.Dense(classes, use_bias=False)
    candidates = [
        Candidate("head", "ours", loss_of(head, lambda y, x: ops.sum(head(x, y)) / y.shape[0])),
        Candidate("head", "Dense, Keras, sparse", loss_of(dense, lambda y, x: sparse(y, dense(x)))),
    ]
    if BACKEND == "torch":
        import torch

        function = getattr(torch.nn.functional, "linear_cross_entropy", None)
        if function is not None:  # from torch 2.13 on
            options = torch.nn.LinearCrossEntropyOptions()
            candidates.append(
                Candidate(
                    "head",
                    "torch, linear_cross_entropy",
                    lambda y, x, w: function(x, w.T, y.long(), options=options),
                )
            )
    return candidates


def steps(loss: Callable, number: int) -> dict[str, Callable]:
    """`step(labels, *inputs)` in each way to run it here, with the gradients of all inputs."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def step(labels, *inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                value = loss(labels, *inputs)
            return value, tape.gradient(value, inputs)

        return {
            "graph": tf.function(step, autograph=False),
            "XLA": tf.function(step, autograph=False, jit_compile=True),
        }
    if BACKEND == "jax":
        import jax

        step = jax.jit(jax.value_and_grad(loss, argnums=tuple(range(1, 1 + number))))
        return {"jit": lambda *tensors: jax.block_until_ready(step(*tensors))}

    def step(labels, *inputs):
        inputs = [item.detach().requires_grad_() for item in inputs]
        value = loss(labels, *inputs)
        value.backward()
        return value.detach(), [item.grad for item in inputs]

    return {"eager": step}


class Setting(NamedTuple):
    """What one table row is about."""

    positions: int
    classes: int
    width: int | None = None

    def candidates(self) -> list[Candidate]:
        """Ours and the peers."""
        if self.width is None:
            return with_logits(self.classes)
        return with_features(self.width, self.classes)

    def inputs(self, task: str) -> list:
        """Labels, and logits or features and kernel."""
        generator = np.random.default_rng(0)
        ids = generator.integers(0, self.classes, self.positions).astype("int32")
        shapes = [(self.positions, self.classes)]
        if self.width is not None:
            shapes = [(self.positions, self.width), (self.width, self.classes)]
        labels = ops.convert_to_tensor(ids)
        if task == "rows":
            labels = ops.one_hot(labels, self.classes)
        numbers = [generator.standard_normal(shape, dtype="float32") for shape in shapes]
        if self.width is None:
            numbers[0][np.arange(0, self.positions, 2), ids[::2]] += 20
        else:
            numbers[1] /= np.sqrt(np.float32(self.width))
        return [labels, *map(ops.convert_to_tensor, numbers)]

    def shape(self) -> str:
        """As the table shows it."""
        sizes = [self.positions, self.width, self.classes]
        return " x ".join(f"{size:,}" for size in sizes if size is not None)


LOGITS = [
    Setting(65_536, 10),
    Setting(16_384, 1_000),
    Setting(2_048, 32_768),
    Setting(512, 131_072),
]
HEADS = [Setting(4_096, 32_768, width=128), Setting(2_048, 131_072, width=256)]


def bytes_of(tensors: list) -> int:
    """The size of float32 or int32 tensors."""
    return sum(4 * int(np.prod(tensor.shape)) for tensor in tensors)


def seconds_of_a_byte() -> float:
    """Seconds per byte read or written, of a copy of 256 MB on all cores; the best of nine."""
    source, cores = np.ones(2**26, dtype="float32"), os.cpu_count() or 1
    target = np.empty_like(source)
    parts = list(zip(np.split(source, cores), np.split(target, cores), strict=True))
    times = []
    for _ in range(10):
        start = time.perf_counter()
        threads = [threading.Thread(target=np.copyto, args=(to, part)) for part, to in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        times.append(time.perf_counter() - start)
    return min(times[1:]) / (2 * source.nbytes)


def resident(name: str) -> float:
    """MB of this process by /proc/self/status: VmRSS now, VmHWM at most."""
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def print_memory(setting: Setting, task: str, who: str, mode: str) -> None:
    """In a process of its own: MB that the first step takes beyond inputs and gradients."""
    tensors = setting.inputs(task)
    loss = next(item.loss for item in setting.candidates() if item[:2] == (task, who))
    step = steps(loss, len(tensors) - 1)[mode]
    for tensor in tensors:  # Where tensors are made in the background, they are now.
        float(ops.max(tensor))
    gc.collect()
    with open("/proc/self/clear_refs", "w", encoding="ascii") as control:
        control.write("5")  # The highest level starts anew.
    before = resident("VmRSS")
    float(step(*tensors)[0])
    print(f"MEMORY {resident('VmHWM') - before - bytes_of(tensors[1:]) / 2**20:.0f}")


def memory(setting: Setting, task: str, who: str, mode: str) -> str:
    """What `print_memory` prints in a process of its own."""
    is_small = setting.positions * setting.classes < 2**26  # next to what starts once
    if is_small or not sys.platform.startswith("linux"):
        return "-"
    sizes = [str(size) for size in (setting.positions, setting.classes, setting.width or 0)]
    command = [sys.executable, "-m", "benchmarks.step_time", "--memory-of", *sizes, task, who, mode]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.partition("MEMORY ")[2].strip()


def table_rows(setting: Setting, repeats: int, seconds_per_byte: float) -> Iterator[str]:
    """Measures all candidates in turn; one line for each and each way to run it."""
    runs = {
        (item.task, mode, item.who): (step, setting.inputs(item.task))
        for item in setting.candidates()
        for mode, step in steps(item.loss, 1 if setting.width is None else 2).items()
    }
    seconds = {key: [] for key in runs}
    for repeat in range(repeats + 1):
        for key, (step, tensors) in runs.items():
            start = time.perf_counter()
            value, gradients = step(*tensors)
            float(value)
            if repeat:  # The first one compiles.
                seconds[key].append(time.perf_counter() - start)
            del gradients
    for (task, mode, who), times in seconds.items():
        tensors = runs[task, mode, who][1]
        # Label rows are read too; ids are next to nothing.
        limit = (bytes_of(tensors) + bytes_of(tensors[1:])) * seconds_per_byte
        ratio = "1"
        if who != "ours":
            ratios = [a / b for a, b in zip(seconds[task, mode, "ours"], times, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            ratio = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        share = "-" if setting.width else f"{100 * limit / statistics.median(times):.0f} %"
        yield (
            f"| {setting.shape()} | {task} | {mode} | {who} | "
            f"{1000 * statistics.median(times):.1f} | {ratio} | "
            f"{memory(setting, task, who, mode)} | {share} |"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="+", help="of the settings; default: all")
    parser.add_argument("--tasks", nargs="+", choices=("logits", "heads"), help="default: both")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory-of", nargs=6, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        *sizes, task, who, mode = arguments.memory_of
        positions, classes, width = map(int, sizes)
        print_memory(Setting(positions, classes, width or None), task, who, mode)
        return

    seconds_per_byte = seconds_of_a_byte()
    print(
        f"keras {keras.__version__}, {BACKEND}, {os.cpu_count()} cores, a copy reads and writes "
        f"{1e-9 / seconds_per_byte:.1f} GB/s\n\n"
        "| positions x classes | labels | mode | loss | ms | ours / this | MB | of the limit |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    tasks = arguments.tasks or ("logits", "heads")
    settings = (LOGITS if "logits" in tasks else []) + (HEADS if "heads" in tasks else [])
    if arguments.classes:
        settings = [setting for setting in settings if setting.classes in arguments.classes]
    for setting in settings:
        for line in table_rows(setting, arguments.repeats, seconds_per_byte):
            print(line, flush=True)


if __name__ == "__main__":
    main()
