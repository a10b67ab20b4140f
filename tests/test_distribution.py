"""Several devices give the loss and the weights of one. In a process of its own: TensorFlow and JAX
fix the number of devices when they start."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from backends import BACKEND

SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from keras_ce.layers import ContrastivePairs, LinearCrossentropy
from keras_ce.losses import (
    LabelSmoothedCrossentropy, MarginRanking, WeightedSigmoidCrossentropy
)

generator = np.random.default_rng(0)
x = generator.normal(size=(16, 4)).astype("float32")
ids = generator.integers(0, 3, 16)
rows = generator.integers(0, 2, (16, 3)).astype("float32")
weights = generator.uniform(0, 2, 16).astype("float32")
strategies = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), tf.distribute.get_strategy()
losses, y = {}, {}
for reduction in ("sum_over_batch_size", "sum", "mean"):
    of_reduction = {
        f"softmax_{reduction}": LabelSmoothedCrossentropy(
            0.1, from_logits=True, reduction=reduction
        ),
        f"sigmoid_{reduction}": WeightedSigmoidCrossentropy(
            2.0, from_logits=True, reduction=reduction
        ),
        f"ranking_{reduction}": MarginRanking(0.5, reduction=reduction),
    }
    losses.update(of_reduction)
    y.update(zip(of_reduction, (ids, rows, ids)))

results, outcomes = [], []
for strategy in strategies:
    keras.utils.set_random_seed(0)
    with strategy.scope():
        inputs = keras.Input((4,))
        outputs = {name: keras.layers.Dense(3, name=name)(inputs) for name in losses}
        model = keras.Model(inputs, outputs)
        model.compile(keras.optimizers.SGD(0.1), loss=losses)
    history = model.fit(
        x, y, sample_weight=dict.fromkeys(losses, weights), batch_size=8, epochs=2,
        shuffle=False, verbose=0,
    ).history
    outcomes.append(
        [[history[f"{name}_loss"] for name in losses],
         [w.numpy().tolist() for w in model.weights]]
    )
results.append(["losses", *outcomes])

outcomes = []
for strategy in strategies:
    keras.utils.set_random_seed(0)
    with strategy.scope():
        inputs, labels = keras.Input((4,)), keras.Input((), dtype="int32")
        head = LinearCrossentropy(3, report=("accuracy", "perplexity"))
        model = keras.Model([inputs, labels], head(inputs, labels))
        model.compile(keras.optimizers.SGD(0.1))
    history = model.fit([x, ids], batch_size=8, epochs=2, shuffle=False, verbose=0).history
    assert len(history) == 3
    outcomes.append([sum(history.values(), []), [w.numpy().tolist() for w in model.weights]])
results.append(["LinearCrossentropy", *outcomes])

def two_towers(symmetric):
    inputs = [keras.Input((4,)), keras.Input((4,)), keras.Input((), dtype="int32"), keras.Input(())]
    towers = [keras.layers.Dense(3)(item) for item in inputs[:2]]
    return keras.Model(inputs, ContrastivePairs(0.5, symmetric)(*towers, *inputs[2:]))

with strategies[0].scope():
    model = two_towers(False)
    model.compile("sgd")
data = [item[:8] for item in (x, x[::-1], ids, weights)]
try:
    model.fit(data, batch_size=8, verbose=0)
except ValueError as error:
    assert "sees its own answers only. Received: 2 replicas" in str(error), error
else:
    raise AssertionError("each replica saw its own answers only")
print("RESULT" + json.dumps(results))
"""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_row_14_two_replicas_give_the_loss_and_weights_of_one():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    outcomes = json.loads(result.stdout.partition("RESULT")[2])
    assert len(outcomes) == 2
    for name, (two_losses, two_weights), (losses, weights) in outcomes:
        np.testing.assert_allclose(two_losses, losses, rtol=1e-5, err_msg=name)
        assert len(weights) == (2 if name == "LinearCrossentropy" else 2 * 9)
        for mine, theirs in zip(two_weights, weights, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6, err_msg=name)


JAX_SCRIPT = """
import json, re
import jax, keras
import numpy as np
from keras_ce._core import linear
from keras_ce._core import pairs as core
from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Compilation
from keras_ce.layers import AngularMarginCrossentropy, ContrastivePairs, LinearCrossentropy

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
    result = subprocess.run(
        [sys.executable, "-c", JAX_SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XLA_FLAGS": flags},
    )
    assert result.returncode == 0, result.stderr
    results = json.loads(result.stdout.partition("RESULT")[2])
    expected, (operations, *_), (operations_of_pairs, *_), _ = results.pop("one")
    assert set(results) == {"data", "both"}
    for name, (found, head, pairs, in_loops) in results.items():
        for case, arrays in found.items():
            for mine, theirs in zip(arrays, expected[case], strict=True):
                np.testing.assert_allclose(
                    mine, theirs, rtol=1e-6, atol=1e-6, err_msg=f"{name} {case}"
                )
        assert head[0] <= 0.3 * operations
        assert head[1] == []  # Nobody gets another's features or kernel.
        assert in_loops == 0
        if name == "data":
            assert pairs[0] <= 0.3 * operations_of_pairs
            assert pairs[1] == [96 * 16]  # The answers, once.
