"""Several devices give the loss and the weights of one. In a process of its own: TensorFlow and JAX
fix the number of devices when they start."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from backends import BACKEND

HERE = pathlib.Path(__file__).parent


def results_of(command, **environment):
    """What a process printed after RESULT."""
    result = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.partition("RESULT")[2])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_row_14_two_replicas_give_the_logs_and_weights_of_one():
    outcomes = results_of([str(HERE / "on_two_replicas.py")])
    refused, (expected, *found) = outcomes.pop("refused"), outcomes.pop("inputs")
    assert len(found) == 2
    for losses in found:
        close(losses, expected, "tf.data and PyDataset")
    assert set(outcomes) == {"losses", "none", "metrics", "layers", "pairs"}
    for name, ((logs_of_two, of_two), (logs, weights)) in outcomes.items():
        assert set(logs_of_two) == set(logs)
        for log, values in logs.items():
            # Of any loss without a reduction Keras logs the mean times the number of replicas.
            values = np.multiply(values, 2 if name == "none" else 1)
            close(logs_of_two[log], values, f"{name} {log}")
            assert np.all(np.isfinite(values))
            assert np.any(values)
        for mine, theirs in zip(of_two, weights, strict=True):
            close(mine, theirs, f"{name} weights")
    in_batch, *of_embeddings, eager = refused
    assert "sees its own alone. Received: 2 replicas." in in_batch
    assert "keras_ce.layers.ContrastivePairs" in in_batch
    assert len(of_embeddings) == 2
    for message in of_embeddings:
        assert "sees its own alone. Received: 2 replicas." in message
        assert "`keras.distribution` on JAX" in message
    assert "Received: 2 replicas in eager execution" in eager


def close(mine, theirs, name):
    np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6, err_msg=name)


JAX_SCRIPT = """
import json, re
import jax, keras
import numpy as np
from keras_ce._core import linear
from keras_ce._core import pairs as core
from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Compilation
from keras_ce.layers import AngularMarginCrossentropy, ContrastivePairs, LinearCrossentropy
from keras_ce.losses import (
    InBatchCrossentropy, LabelSmoothedCrossentropy, SupervisedContrastive, TripletMargin
)

ROWS, WIDTH, CLASSES = 96, 16, 512
REPORT = "accuracy", "top_5_accuracy", "perplexity"
generator = np.random.default_rng(0)
x, y = generator.normal(size=(2, ROWS, WIDTH)).astype("float32")
ids = generator.integers(0, 20, ROWS).astype("int32")
labels = generator.integers(0, CLASSES, ROWS).astype("int32")
labels[:40] = 0  # whole devices without a position that counts
weights = generator.uniform(0, 2, ROWS).astype("float32")
def trained(inputs, losses, data, rate):
    model = keras.Model(inputs, losses)
    model.compile(keras.optimizers.SGD(rate))
    history = model.fit(data, batch_size=48, epochs=2, shuffle=False, verbose=0).history
    evaluated = model.evaluate(data, batch_size=48, verbose=0)
    logs = [history[name] for name in sorted(history)]
    return [np.asarray(item).tolist() for item in (*logs, evaluated, *model.weights)]

def of_heads():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((WIDTH,)), keras.Input((), dtype="int32"), keras.Input(())
    heads = [
        LinearCrossentropy(
            CLASSES, label_smoothing=0.1, ignore_class=0, z_loss=1e-3, name="head", report=REPORT
        ),
        LinearCrossentropy(
            CLASSES, label_smoothing=0.1, logit_soft_cap=3.0, class_weight={3: 2.0}, name="head_2",
            report=REPORT,
        ),
        AngularMarginCrossentropy(CLASSES, scale=4.0, name="head_3", report=REPORT),
    ]
    features = keras.layers.Dense(WIDTH)(inputs[0])
    losses = [head(features, *inputs[1:]) for head in heads]
    outcome = trained(inputs, losses, [x, labels, weights], 0.5)
    return outcome + [np.asarray(item).tolist() for item in heads[0].top_k(x, 5)]

def of_tied_head():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,), dtype="int32"), keras.Input((3,), dtype="int32")
    embedding = keras.layers.Embedding(CLASSES, WIDTH, name="table")
    head = LinearCrossentropy(CLASSES, tied_to=embedding, name="head")
    words = labels.reshape(-1, 3)
    return trained(inputs, head(embedding(inputs[0]), inputs[1]), [words, words[::-1]], 0.5)

def of_pairs():
    keras.utils.set_random_seed(0)
    inputs = [
        keras.Input((WIDTH,)), keras.Input((WIDTH,)), keras.Input((), dtype="int32"),
        keras.Input(()),
    ]
    towers = [keras.layers.Dense(3)(item) for item in inputs[:2]]
    losses = [ContrastivePairs(2.0, symmetric)(*towers, *inputs[2:]) for symmetric in (False, True)]
    return trained(inputs, losses, [x, y, ids, weights], 0.05)

def of_losses():
    # What counts positions of its own, and what compares the rows of a batch.
    keras.utils.set_random_seed(0)
    inputs = keras.Input((WIDTH,))
    first, second, third, fourth = (keras.layers.Dense(8)(inputs) for _ in range(4))
    outputs = [first, second, third, keras.ops.matmul(third, keras.ops.transpose(fourth))]
    losses = [
        LabelSmoothedCrossentropy(0.1, from_logits=True, ignore_class=0),
        SupervisedContrastive(), TripletMargin(mining="semi-hard"), InBatchCrossentropy(),
    ]
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.01), losses)
    classes = np.minimum(labels, 7)
    targets = [classes, ids, ids, ids]
    history = model.fit(x, targets, batch_size=48, epochs=2, shuffle=False, verbose=0).history
    logs = [history[name] for name in sorted(history)]
    return [np.asarray(item).tolist() for item in (*logs, *model.weights)]

def compiled(function, *arrays):
    # Per device: the operations of one step, and the numbers in what an all-gather hands over.
    distribution = keras.distribution.distribution()
    if distribution is not None:
        arrays = [
            jax.device_put(item, distribution.get_data_layout(item.shape).backend_layout)
            for item in arrays
        ]
    step = jax.jit(function).lower(*arrays).compile()
    text = step.as_text()
    gathered = [line for line in text.splitlines() if " all-gather(" in line]
    shapes = [re.search(r"= \\w+\\[([0-9,]*)\\]", line).group(1) for line in gathered]
    in_loops = sum("/while/" in line for line in gathered)
    sizes = [int(np.prod([int(size) for size in shape.split(",") if size])) for shape in shapes]
    return [step.cost_analysis()["flops"], sizes, in_loops]

def step_of_head():
    head = LinearCrossentropy(CLASSES, name="head")
    head.build((None, WIDTH))
    weights = [weight.value for weight in head.trainable_weights]

    def loss(weights, features, labels):
        mapping = list(zip(head.trainable_weights, weights))
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True):
            head(features, labels, training=True)
            return sum(head.losses)

    step = jax.value_and_grad(loss, (0, 1))
    return compiled(lambda features, labels: step(weights, features, labels), x, labels)

def step_of_pairs():
    pairs = ContrastivePairs(0.5)
    return compiled(jax.value_and_grad(lambda x, y: pairs(x, y).sum(), (0, 1)), x, y)

def in_tiles_of(pairs, head, piece):
    core.ELEMENTS_OF_A_TILE = pairs
    Compilation.ELEMENTS_OF_A_TILE, backend.ELEMENTS_OF_LOGITS_AT_ONCE = head, piece
    core._passes.cache_clear()
    linear._passes.cache_clear()

def everything():
    in_tiles_of(2**22, 2**24, 2**20)  # one
    steps = step_of_head(), step_of_pairs()
    in_tiles_of(4 * ROWS, 4 * 128, 4 * 128)
    found = {"heads": of_heads(), "tied": of_tied_head(), "pairs": of_pairs()}
    found["losses"] = of_losses()
    return [found, *steps, step_of_head()[2] + step_of_pairs()[2]]

def model_parallel(*shape):
    devices = keras.distribution.list_devices()
    mesh = keras.distribution.DeviceMesh(shape, ("batch", "model"), devices)
    layouts = keras.distribution.LayoutMap(mesh)
    layouts["head.*kernel"], layouts["head.*bias"] = (None, "model"), ("model",)
    layouts["table/embeddings"] = ("model", None)
    return keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")

results = {"one": everything()}
assert len(keras.distribution.list_devices()) == 4
distributions = {
    "data": keras.distribution.DataParallel(devices=keras.distribution.list_devices()),
    "both": model_parallel(2, 2),
}
for name, distribution in distributions.items():
    keras.distribution.set_distribution(distribution)
    results[name] = everything()
print("RESULT" + json.dumps(results))
"""


@pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution is JAX's")
def test_four_devices_give_the_numbers_of_one_and_share_the_work():
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    results = results_of(["-c", JAX_SCRIPT], XLA_FLAGS=flags)
    expected, (operations, *_), (operations_of_pairs, *_), _ = results.pop("one")
    assert set(results) == {"data", "both"}
    for name, (found, head, pairs, in_loops) in results.items():
        for case, arrays in found.items():
            for mine, theirs in zip(arrays, expected[case], strict=True):
                close(mine, theirs, f"{name} {case}")
        assert head[0] <= 0.3 * operations
        assert head[1] == []  # Nobody gets another's features or kernel.
        assert in_loops == 0
        if name == "data":
            assert pairs[0] <= 0.3 * operations_of_pairs
            assert pairs[1] == [96 * 16]  # The answers, once.
