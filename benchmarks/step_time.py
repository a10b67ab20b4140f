"""Time and memory of one step, ours and each peer in turn, on the backend of this process.

    KERAS_BACKEND=jax python -m benchmarks.step_time
    KERAS_BACKEND=jax python -m benchmarks.step_time --ratios --sizes 64x10 2048x1000
    KERAS_BACKEND=jax python -m benchmarks.step_time --huge-pages --sizes 2048x32768
    KERAS_BACKEND=jax python -m benchmarks.step_time --tasks pairs --repeats 5

Prints a Markdown table. A step is the value and the gradient of the mean loss of random float32
logits, half of them confident of their label as late in a training ("generalized": of their
softmax); or, for an output layer with its loss ("head"), of random features and a kernel that gives
them logits of variance 1, with the gradients of both; or ("pairs") of questions and answers of
length 1, the right ones at a cosine of 0.7. A step is called from Python: where it is
short, most of its time is the call, of all candidates alike. A step shorter than 5 ms is repeated
for that long, and its mean is one measurement. Every repeat measures all candidates of a task once,
so that whatever else the machine does meets all; the ratio is that of ours to the peer in the same
repeat, with its quartiles. Memory, where the logits take 256 MB or more, is how far the resident
memory of a process of its own rises in its first step beyond the inputs and their gradient, the
compilation included, and in its second. The limit is the time to read the inputs and write the
gradient once at the speed of a copy on all cores.

`--ratios` prints no more than the medians of ours / Keras, one line per size; for arguments with a
number per class, of ours / ours without them. Below 1, ours is faster, or as fast as without.
`--huge-pages` measures in a process that asks the system for pages of 2 MB.
"""

import argparse
import gc
import math
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

from benchmarks.step_time_candidates import (
    BACKEND,
    HEAD_TASKS,
    IGNORED,
    LOGIT_TASKS,
    PAIR_TASKS,
    PER_CLASS_TASKS,
    UNCHECKED,
    candidates_of,
)

SECONDS_OF_A_MEASUREMENT = 0.005  # at least: far above what a clock or a short interruption adds
EAGER_MODES = ("eager", "eager value")
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
COMPILED_MODES = {"tensorflow": ("graph", "XLA"), "jax": ("jit",), "torch": ()}[BACKEND]
TRAINING_MODES = COMPILED_MODES or ("eager",)
GROUPS = {"logits": LOGIT_TASKS, "heads": HEAD_TASKS}
TASKS = LOGIT_TASKS + PER_CLASS_TASKS + HEAD_TASKS + PAIR_TASKS
TASKS_OF_RATIOS = ("ids", "rows", "sigmoid", "focal", *PER_CLASS_TASKS, *HEAD_TASKS, *PAIR_TASKS)


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
            "eager": step,
            "eager value": lambda *tensors: (loss(*tensors), []),
        }
    if BACKEND == "jax":
        import jax

        step = jax.value_and_grad(loss, argnums=tuple(range(1, 1 + number)))
        compiled = jax.jit(step)
        return {
            "jit": lambda *tensors: jax.block_until_ready(compiled(*tensors)),
            "eager": lambda *tensors: jax.block_until_ready(step(*tensors)),
            "eager value": lambda *tensors: (jax.block_until_ready(loss(*tensors)), []),
        }

    def step(labels, *inputs):
        inputs = [item.detach().requires_grad_() for item in inputs]
        value = loss(labels, *inputs)
        value.backward()
        return value.detach(), [item.grad for item in inputs]

    return {"eager": step, "eager value": lambda *tensors: (loss(*tensors), [])}


class Setting(NamedTuple):
    """A size, what is compared at it and in which ways it runs."""

    positions: int
    classes: int
    width: int | None = None
    tasks: tuple[str, ...] = LOGIT_TASKS
    modes: tuple[str, ...] = TRAINING_MODES

    def sizes(self) -> tuple[int, ...]:
        """As the command line and the table show them."""
        if self.width is None:
            return self.positions, self.classes
        return self.positions, self.width, self.classes

    def shape(self) -> str:
        """As the table shows it."""
        return " x ".join(f"{size:,}" for size in self.sizes())

    def step(self, task: str, who: str, mode: str) -> Callable:
        """The step of one candidate."""
        candidates = candidates_of(task, self.classes, self.width)
        loss = next(item.loss for item in candidates if item.who == who)
        return steps(loss, 1 if self.width is None else 2)[mode]

    def runs(self, task: str) -> dict[tuple[str, str], Callable]:
        """The steps of all candidates, by mode and name."""
        return {
            (mode, item.who): step
            for item in candidates_of(task, self.classes, self.width)
            for mode, step in steps(item.loss, 1 if self.width is None else 2).items()
            if mode in self.modes and (item.who != UNCHECKED or mode in EAGER_MODES)
        }

    def inputs(self, task: str) -> list:
        """Labels, and logits or features and kernel."""
        generator = np.random.default_rng(0)
        ids = generator.integers(0, self.classes, self.positions).astype("int32")
        shapes = [(self.positions, self.classes)]
        if self.width is not None:
            shapes = [(self.positions, self.width), (self.width, self.classes)]
        if task in PAIR_TASKS:
            ids, shapes = np.arange(self.positions, dtype="int32"), 2 * [shapes[0]]
        if task.startswith("head-"):
            ids[generator.uniform(size=len(ids)) < int(task[5:]) / 100] = IGNORED
        labels = ops.convert_to_tensor(ids)
        if task in ("rows", "focal"):
            labels = ops.one_hot(labels, self.classes)
        elif task in ("sigmoid", "binary-focal"):
            labels = ops.convert_to_tensor(generator.integers(0, 2, shapes[0]).astype("float32"))
        numbers = [generator.standard_normal(shape, dtype="float32") for shape in shapes]
        if task in PAIR_TASKS:  # halfway through a training
            numbers[1] += numbers[0]
            numbers = [item / np.linalg.norm(item, axis=1, keepdims=True) for item in numbers]
        elif self.width is None:
            numbers[0][np.arange(0, self.positions, 2), ids[::2]] += 20
        else:
            numbers[1] /= np.sqrt(np.float32(self.width))
        tensors = [ops.convert_to_tensor(item) for item in numbers]
        if task == "generalized":
            tensors = [ops.softmax(tensors[0])]
        return [labels, *tensors]


LOGITS = [
    Setting(64, 10),
    Setting(1_024, 10),
    Setting(65_536, 10),
    Setting(256, 100),
    Setting(2_048, 1_000),
    Setting(16_384, 1_000),
    Setting(512, 8_192),
    Setting(2_048, 32_768),
    Setting(512, 131_072),
]
EAGER = [Setting(32, 10, modes=EAGER_MODES)]
PER_CLASS = [Setting(64, 32_768, tasks=PER_CLASS_TASKS, modes=(*COMPILED_MODES, "eager"))]
HEADS = [
    Setting(4_096, 32_768, width=128, tasks=HEAD_TASKS),
    Setting(2_048, 131_072, width=256, tasks=HEAD_TASKS),
    Setting(1_024, 1_048_576, width=64, tasks=("head",)),
]
PAIRS = [Setting(16_384, 16_384, width=128, tasks=PAIR_TASKS)]


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
    """In a process of its own: MB that each of two steps takes beyond inputs and gradients."""
    tensors = setting.inputs(task)
    step = setting.step(task, who, mode)
    for tensor in tensors:  # Where tensors are made in the background, they are now.
        float(ops.max(tensor))
    rises = []
    for _ in range(2):
        gc.collect()
        with open("/proc/self/clear_refs", "w", encoding="ascii") as control:
            control.write("5")  # The highest level starts anew.
        before = resident("VmRSS")
        result = step(*tensors)
        float(result[0])
        rises.append(f"{resident('VmHWM') - before - bytes_of(result[1]) / 2**20:.0f}")
        del result
    print("MEMORY", ", ".join(rises))


def memory(setting: Setting, task: str, who: str, mode: str) -> str:
    """What `print_memory` prints in a process of its own."""
    is_small = setting.positions * setting.classes < 2**26  # next to what starts once
    if is_small or not sys.platform.startswith("linux"):
        return "-"
    sizes = [str(size) for size in (setting.positions, setting.classes, setting.width or 0)]
    command = [sys.executable, "-m", "benchmarks.step_time", "--memory-of", *sizes, task, who, mode]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.partition("MEMORY ")[2].strip()


def seconds_of(step: Callable, tensors: list, count: int) -> float:
    """Seconds of a step, the mean of several in a row."""
    result = None
    start = time.perf_counter()
    for _ in range(count):
        result = None  # The gradients of one step only are held, as in a training.
        result = step(*tensors)
    float(result[0])
    return (time.perf_counter() - start) / count


def steps_of_a_measurement(step: Callable, tensors: list) -> int:
    """How many steps in a row last long enough, by the fastest of those that 50 ms have time for.

    Not by a single one: where that was interrupted, every measurement would be a single step.
    """
    seconds = []
    start = time.perf_counter()
    while not seconds or time.perf_counter() - start < 10 * SECONDS_OF_A_MEASUREMENT:
        seconds.append(seconds_of(step, tensors, 1))
    return math.ceil(SECONDS_OF_A_MEASUREMENT / min(seconds))


def measure(runs: dict, tensors: list, repeats: int) -> dict[tuple[str, str], list[float]]:
    """Seconds of a step of each candidate and mode, all of them in turn in every repeat."""
    for step in runs.values():
        float(step(*tensors)[0])  # The first one compiles.
    counts = {key: steps_of_a_measurement(step, tensors) for key, step in runs.items()}
    seconds = {key: [] for key in runs}
    for _ in range(repeats):
        for key, step in runs.items():
            seconds[key].append(seconds_of(step, tensors, counts[key]))
    return seconds


def quartiles_of_ratio(ours: list[float], theirs: list[float]) -> list[float]:
    """Lower quartile, median and upper quartile of the ratios within a repeat."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return statistics.quantiles(ratios, n=4) if len(ratios) > 1 else 3 * ratios


def table_rows(
    setting: Setting, repeats: int, seconds_per_byte: float, with_memory: bool
) -> Iterator[str]:
    """One line for each candidate and each way to run it."""
    for task in setting.tasks:
        tensors = setting.inputs(task)
        seconds = measure(setting.runs(task), tensors, repeats)
        for (mode, who), times in seconds.items():
            # Label rows are read too; ids are next to nothing.
            written = [] if mode == "eager value" else tensors[1:]
            limit = (bytes_of(tensors) + bytes_of(written)) * seconds_per_byte
            ratio = "1"
            if who != "ours":
                low, middle, high = quartiles_of_ratio(seconds[mode, "ours"], times)
                ratio = f"{middle:.2f} ({low:.2f} to {high:.2f})"
            middle = 1000 * statistics.median(times)
            used = memory(setting, task, who, mode) if with_memory else "-"
            share = "-" if setting.width else f"{100_000 * limit / middle:.0f} %"
            yield (
                f"| {setting.shape()} | {task} | {mode} | {who} | "
                f"{middle:.{1 if middle >= 1 else 3}f} | {ratio} | "
                f"{used} | {share} |"
            )


def ratio_ways(setting: Setting) -> list[tuple[str, str]]:
    """Mode and whose time is divided, in the order of a cell of `--ratios`."""
    # The other backends' eager mode is no way to train.
    is_checked_both_ways = BACKEND == "torch" or setting.modes == EAGER_MODES
    whose = ["ours"]
    if is_checked_both_ways and not {*PER_CLASS_TASKS, *HEAD_TASKS, *PAIR_TASKS} & {*setting.tasks}:
        whose.append(UNCHECKED)
    return [
        (mode, who)
        for mode in setting.modes
        for who in whose
        if who == "ours" or mode in EAGER_MODES
    ]


def ratio_header(setting: Setting) -> str:
    """What stands above the lines of sizes with these tasks and modes."""
    ways = ", ".join(mode + " unchecked" * (who == UNCHECKED) for mode, who in ratio_ways(setting))
    base = "ours without numbers per class" if setting.tasks[0] in PER_CLASS_TASKS else "Keras"
    columns = ["positions x classes", *setting.tasks]
    return (
        f"\nours / {base}; in each cell: {ways}\n\n"
        f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    )


def ratio_row(setting: Setting, repeats: int) -> str:
    """One line: for each task the median of the ratio in each way to run it."""
    cells = [setting.shape()]
    for task in setting.tasks:
        runs = setting.runs(task)
        base = next(who for _, who in runs if who not in ("ours", UNCHECKED))
        # Neither optax nor torch's own functions are divided by.
        runs = {key: step for key, step in runs.items() if key[1] in ("ours", UNCHECKED, base)}
        seconds = measure(runs, setting.inputs(task), repeats)
        ratios = [
            quartiles_of_ratio(seconds[mode, who], seconds[mode, base])[1]
            for mode, who in ratio_ways(setting)
        ]
        cells.append(", ".join(f"{ratio:.2f}" for ratio in ratios))
    return f"| {' | '.join(cells)} |"


def sizes_of(text: str) -> tuple[int, ...]:
    """Positions and classes, or positions, width and classes, of "64x10" or "64x8x10"."""
    sizes = tuple(int(part) for part in text.split("x"))
    if len(sizes) not in (2, 3):
        raise ValueError(text)
    return sizes


def chosen_settings(arguments: argparse.Namespace) -> list[Setting]:
    """The settings that the command line asks for."""
    settings = LOGITS + EAGER + PER_CLASS + HEADS + PAIRS
    if arguments.sizes:
        known = {setting.sizes(): setting for setting in settings}
        settings = []
        for sizes in arguments.sizes:
            width = sizes[1] if len(sizes) == 3 else None
            tasks = LOGIT_TASKS if width is None else HEAD_TASKS
            new = Setting(sizes[0], sizes[-1], width, tasks)
            settings.append(known.get(sizes, new))
    if arguments.classes:
        settings = [setting for setting in settings if setting.classes in arguments.classes]
    tasks = arguments.tasks or (TASKS_OF_RATIOS if arguments.ratios else TASKS)
    tasks = [single for name in tasks for single in GROUPS.get(name, (name,))]
    chosen = []
    for setting in settings:
        kept = tuple(task for task in setting.tasks if task in tasks)
        modes = tuple(arguments.modes or setting.modes)
        if kept:
            chosen.append(setting._replace(tasks=kept, modes=modes))
    return chosen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="+", help="of the settings; default: all")
    parser.add_argument("--sizes", type=sizes_of, nargs="+", help="such as 64x10; default: all")
    parser.add_argument("--tasks", nargs="+", choices=(*GROUPS, *TASKS), help="default: all")
    parser.add_argument(
        "--modes",
        nargs="+",
        choices=(*COMPILED_MODES, *EAGER_MODES),
        help="default: those of each setting",
    )
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--ratios", action="store_true", help="ours / Keras, one line per size")
    parser.add_argument("--no-memory", action="store_true", help="measure no memory")
    parser.add_argument("--huge-pages", action="store_true", help="ask for pages of 2 MB")
    parser.add_argument("--memory-of", nargs=6, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    has_huge_pages = HUGE_PAGES.items() <= os.environ.items()
    if arguments.huge_pages and not has_huge_pages:  # They are asked for when a process starts.
        command = [sys.executable, "-m", "benchmarks.step_time", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, **HUGE_PAGES}, check=False).returncode)
    if arguments.memory_of:
        *sizes, task, who, mode = arguments.memory_of
        positions, classes, width = map(int, sizes)
        print_memory(Setting(positions, classes, width or None), task, who, mode)
        return

    settings = chosen_settings(arguments)
    machine = f"keras {keras.__version__}, {BACKEND}, {os.cpu_count()} cores"
    machine += ", huge pages" * has_huge_pages
    if arguments.ratios:
        print(machine)
        above = None
        for setting in settings:
            header = ratio_header(setting)
            if header != above:
                print(header)
            above = header
            print(ratio_row(setting, arguments.repeats), flush=True)
        return

    seconds_per_byte = seconds_of_a_byte()
    print(
        f"{machine}, a copy reads and writes {1e-9 / seconds_per_byte:.1f} GB/s\n\n"
        "| positions x classes | labels | mode | loss | ms | ours / this | MB | of the limit |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for setting in settings:
        for line in table_rows(
            setting, arguments.repeats, seconds_per_byte, not arguments.no_memory
        ):
            print(line, flush=True)


if __name__ == "__main__":
    main()
