"""Are trainings that were killed at random moments, and resumed, the same as whole ones?

    python -m benchmarks.kill_and_resume --kills 50

Runs each of the four training scripts on tiny data in a process of its own: twice to the end, to
see whether whole runs are equal bit for bit; then again and again with SIGKILL at a moment drawn
between start and end, followed by `--resume`. Compares the bytes of the weights and of every
prediction, the history, the settings and all measures; times and dates are left out.

With `--every-epoch` a checkpoint is written after each epoch; otherwise the share of the time that
`recipes.runs.checkpoints` allows decides, and of epochs as short as these most have none.
"""

import argparse
import csv
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile

TASKS = ("text_classifier", "answer_ranker", "string_reader", "next_word")
_COMMANDS = {
    "text_classifier": "--train texts.csv --epochs 6 --batch-size 16",
    "answer_ranker": "--train questions.csv --epochs 6 --batch-size 16 --hardest-among 2",
    "string_reader": "--images pictures --labels pictures.csv --epochs 6 --batch-size 16",
    "next_word": "--train texts.txt --epochs 6 --words-per-epoch 300 --sequence-length 16",
}


def write_data(folder: pathlib.Path) -> None:
    """Writes what the four trainings learn from, some seconds each."""
    chance = random.Random(0)
    words = [f"word{number}" for number in range(60)]
    labels = [number % 2 for number in range(160)]
    texts = [" ".join(chance.choices(words[20 * label :][:40], k=7)) for label in labels]
    questions = [f"what of {text}" for text in texts]
    right = [f"about {text.split()[0]}" for text in texts]
    for name, header, rows in (
        ("texts", ("text", "label"), zip(texts, labels, strict=True)),
        ("questions", ("question", "answer"), zip(questions, right, strict=True)),
    ):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    (folder / "texts.txt").write_text("\n".join(texts))
    _write_pictures(folder)


def _write_pictures(folder: pathlib.Path) -> None:
    import numpy
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    (folder / "pictures").mkdir()
    rows = [("file", "text")]
    for number in range(0, 160, 2):
        pair = numpy.concatenate(list(digits.images[number : number + 2] * 15), axis=1)
        text = "".join(map(str, digits.target[number : number + 2]))
        rows.append((f"{number}.png", text))
        Image.fromarray(pair.astype("uint8")).save(folder / "pictures" / f"{number}.png")
    with open(folder / "pictures.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)


def start(task: str, arguments: list[str], folder: pathlib.Path) -> int:
    """Starts a training script in a copy of this process, which has imported all it needs."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.chdir(folder)
        log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        script = sys.modules[f"examples.train_{task}"]
        script.main(script.parse(arguments))
        status = 0
    except SystemExit as exited:
        status = int(exited.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def finish(process: int, folder: pathlib.Path) -> None:
    """Waits for a script that must end well."""
    _, status = os.waitpid(process, 0)
    if status:
        sys.exit(f"status {status}:\n{(folder / 'log.txt').read_text()[-3000:]}")


def result(run: pathlib.Path) -> dict:
    """All that a run has found, without times and dates."""
    metrics = json.loads((run / "metrics.json").read_text())
    found = {"metrics": _without_chance(metrics)}
    found["predictions"] = (run / "predictions.csv").read_bytes()
    for path in sorted(run.glob("*.keras")):
        with zipfile.ZipFile(path) as archive:
            found[f"{path.name}: weights"] = archive.read("model.weights.h5")
            config = json.loads(archive.read("config.json"))
            found[f"{path.name}: config"] = _without_chance(config)
    return found


def _without_chance(value):
    """Without times, names of folders, and the addresses by which Keras numbers its objects."""
    if isinstance(value, dict):
        left_out = ("seconds", "command", "shared_object_id")
        return {name: _without_chance(v) for name, v in value.items() if name not in left_out}
    return [_without_chance(each) for each in value] if isinstance(value, list) else value


def differences(one: dict, other: dict) -> list[str]:
    """What differs between two results, by name."""
    return sorted(name for name in {**one, **other} if one.get(name) != other.get(name))


def killed_and_resumed(
    task: str, folder: pathlib.Path, seconds: float, chance: random.Random
) -> tuple[dict, str]:
    """What a run has found that was killed at a moment before its end, and how far it had come."""
    command = [*_COMMANDS[task].split(), "--output", "run"]
    run = folder / "run"
    while True:
        shutil.rmtree(run, ignore_errors=True)
        process = start(task, command, folder)
        time.sleep(chance.uniform(0, seconds))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            break
    left = sorted(path.name for path in run.rglob("*")) if run.exists() else []
    process = start(task, ["--resume", "run"] if "run.json" in left else command, folder)
    finish(process, folder)
    return result(run), " ".join(left)


def main() -> None:
    """Compares, and ends with status 1 where a resumed run differs though whole ones do not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="%(default)s, over all trainings")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--every-epoch", action="store_true")
    options = parser.parse_args()

    for task in options.tasks:
        __import__(f"examples.train_{task}")
    import recipes.answer_ranker
    import recipes.next_word
    import recipes.string_reader
    import recipes.text_classifier  # noqa: F401
    from recipes.runs import checkpoints, training_run  # noqa: F401

    if options.every_epoch:
        checkpoints.SHARE_OF_TIME = float("inf")
    chance = random.Random(options.seed)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_data(folder)
        whole, seconds = {}, {}
        for task in options.tasks:
            both = []
            for output in ("one", "two"):
                started = time.perf_counter()
                command = [*_COMMANDS[task].split(), "--output", output]
                finish(start(task, command, folder), folder)
                seconds[task] = time.perf_counter() - started
                both.append(result(folder / output))
                shutil.rmtree(folder / output)
            whole[task] = both[0]
            unequal = differences(*both)
            verdict = f"differ in {unequal}" if unequal else "are equal bit for bit"
            print(f"{task}: two whole runs {verdict}; {seconds[task]:.1f} s each", flush=True)
        for number, task in zip(range(options.kills), itertools.cycle(options.tasks)):
            found, left = killed_and_resumed(task, folder, seconds[task], chance)
            unequal = differences(whole[task], found)
            wrong += bool(unequal)
            verdict = f"DIFFERS in {unequal}" if unequal else "equal"
            print(f"{number + 1} {task}: {verdict}; it had left {left or 'nothing'}", flush=True)
    print(f"{options.kills - wrong} of {options.kills} equal")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
