"""docs/several_devices.md is true: its script and its functions run, on several processes."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import test_distribution
import test_readme
from backends import BACKEND

PROJECT = pathlib.Path(__file__).parents[1]
TEXT = (PROJECT / "docs" / "several_devices.md").read_text(encoding="utf-8")
SCRIPT, OF_TENSORFLOW, OF_TORCH = (code for _, code in test_readme.blocks(TEXT, "python"))
EPOCHS = 12


def free_address():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return "{}:{}".format(*found.getsockname())


class Training:
    """The page's script in one process or several, each with one device."""

    def __init__(self, folder, parallel, number):
        self.folder, self.parallel, self.number = folder, parallel, number
        folder.mkdir(exist_ok=True)
        (folder / "train.py").write_text(SCRIPT, encoding="utf-8")

    def start(self):
        of_all = {
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": free_address(),
            "KERAS_DISTRIBUTION_NUM_PROCESSES": str(self.number),
        }
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        command = [sys.executable, "train.py", self.parallel, str(EPOCHS), "."]
        return [
            subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment
                | (of_all if self.number > 1 else {})
                | {"KERAS_DISTRIBUTION_PROCESS_ID": str(process)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for process in range(self.number)
        ]

    def ended(self):
        """The loss that the first process prints, and what the last checkpoint holds."""
        processes = self.start()
        outputs = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == self.number * [0], outputs
        # Gloo prints lines of its own.
        losses = [re.findall(r"^loss (.+)$", printed, re.MULTILINE) for printed, _ in outputs]
        assert losses[1:] == [[]] * (self.number - 1)
        return float(*losses[0]), self.checkpoint()

    def checkpoint(self):
        with np.load(self.folder / "checkpoint.npz") as file:
            return dict(file)


@pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution is JAX's")
def test_two_processes_give_the_numbers_of_one_also_after_one_was_killed(tmp_path):
    loss, expected = Training(tmp_path / "one", "data", 1).ended()

    # Each reads its own rows, until the second one is killed after an epoch or some.
    training = Training(tmp_path / "two", "data", 2)
    processes = training.start()
    while not (training.folder / "checkpoint.npz").exists():
        assert processes[1].poll() is None, processes[1].communicate()
        time.sleep(0.005)
    processes[1].kill()
    assert processes[1].wait() == -signal.SIGKILL
    processes[0].kill()
    for process in processes:
        process.communicate()
    assert 0 < training.checkpoint()["epochs"] < EPOCHS

    # Both go on, each with its own classes.
    training.parallel = "model"
    loss_of_two, state = training.ended()
    test_distribution.close(loss_of_two, loss, "loss")
    assert state.keys() == expected.keys()
    assert state["epochs"] == EPOCHS
    assert len(state) > 8  # kernels and biases, and how fast each of them moves
    for name, values in expected.items():
        test_distribution.close(state[name], values, name)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_the_model_of_replicas_learns():
    names = {}
    exec(OF_TENSORFLOW, names)
    x = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    history = names["model"].fit(x, np.array([0, 1, 2, 0]), epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]


LOOP = """
import json, os, sys
os.environ["KERAS_BACKEND"] = "torch"
import keras, torch
import numpy as np
from torch import distributed
from keras_ce.layers import LinearCrossentropy
from keras_ce.losses import LabelSmoothedCrossentropy

process, number = int(sys.argv[1]), int(sys.argv[2])
distributed.init_process_group("gloo", f"tcp://{sys.argv[3]}", rank=process, world_size=number)
keras.utils.set_random_seed(0)
inputs, labels = keras.Input((4,)), keras.Input((), dtype="int32")
features = keras.layers.Dense(4)(inputs)
losses = LinearCrossentropy(5, ignore_class=0)(features, labels)
model = keras.Model([inputs, labels], [keras.layers.Dense(5)(features), losses])
trained = torch.nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
plain = LabelSmoothedCrossentropy(0.1, from_logits=True, ignore_class=0, reduction="none")

random_numbers = np.random.default_rng(0)
x = random_numbers.normal(size=(3, 8, 4)).astype("float32")
y = random_numbers.integers(1, 5, (3, 8))
y[:, :3] = 0
y[1, :4] = 0  # the first of two processes counts nothing
rows = slice(process * 8 // number, (process + 1) * 8 // number)
means = []
for step in range(3):
    ids = torch.as_tensor(y[step, rows])
    logits, losses = trained([torch.as_tensor(x[step, rows]), ids])
    mean = global_mean(losses + plain(ids, logits), ids != 0)
    optimizer.zero_grad()
    mean.backward()
    optimizer.step()
    mean = mean.detach()
    distributed.all_reduce(mean)
    means.append(float(mean) / number)
print("RESULT" + json.dumps([means, [np.asarray(w).tolist() for w in model.get_weights()]]))
distributed.destroy_process_group()
"""


@pytest.mark.skipif(BACKEND != "torch", reason="DistributedDataParallel is torch's")
def test_two_processes_of_torch_give_the_numbers_of_one(tmp_path):
    (tmp_path / "loop.py").write_text(OF_TORCH + LOOP, encoding="utf-8")
    results = []
    for number in (1, 2):
        address = free_address()
        processes = [
            subprocess.Popen(
                [sys.executable, "loop.py", str(process), str(number), address],
                cwd=tmp_path,
                env=os.environ | {"PYTHONPATH": str(PROJECT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for process in range(number)
        ]
        outputs = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == number * [0], outputs
        results += [json.loads(output.partition("RESULT")[2]) for output, _ in outputs]
    of_one, *of_two = results
    for means, weights in of_two:
        test_distribution.close(means, of_one[0], "means")
        for mine, theirs in zip(weights, of_one[1], strict=True):
            test_distribution.close(mine, theirs, "weights")


def test_links_lead_somewhere():
    headings = [each.lower().replace(" ", "-") for each in re.findall(r"^#+ (.+)$", TEXT, re.M)]
    targets = re.findall(r"\]\(#([^)]+)\)", TEXT)
    assert len(targets) == 3
    assert set(targets) <= set(headings)
