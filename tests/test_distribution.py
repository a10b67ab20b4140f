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
from keras import ops
from keras_ce._core import pairs as core
from keras_ce.layers import ContrastivePairs

generator = np.random.default_rng(0)
x, y = generator.normal(size=(2, 96, 4)).astype("float32")
ids = generator.integers(0, 20, 96).astype("int32")
weights = generator.uniform(0, 2, 96).astype("float32")
core.ELEMENTS_OF_A_TILE = 16 * 48

def outcome(symmetric):
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((4,)), keras.Input((4,)), keras.Input((), dtype="int32"), keras.Input(())]
    towers = [keras.layers.Dense(3)(item) for item in inputs[:2]]
    pairs = ContrastivePairs(0.5, symmetric)
    model = keras.Model(inputs, pairs(*towers, *inputs[2:]))
    model.compile(keras.optimizers.SGD(0.1))
    data = [x, y, ids, weights]
    history = model.fit(data, batch_size=48, epochs=2, shuffle=False, verbose=0).history
    return [history["loss"], [np.asarray(w).tolist() for w in model.weights]]

def products():
    # The numbers in the results of a step's matrix products on each device, how many loops there
    # are, and how many of them send the answers around.
    pairs = ContrastivePairs(0.5)
    step = jax.jit(jax.value_and_grad(lambda x, y: pairs(x, y).sum(), (0, 1)))
    distribution = keras.distribution.distribution()
    given = [item[:48] for item in (x, y)]
    if distribution is not None:
        layout = keras.distribution.TensorLayout(["batch", None], distribution.device_mesh)
        given = map(ops.convert_to_tensor, given)
        given = [keras.distribution.distribute_tensor(item, layout) for item in given]
    text = step.lower(*given).compile().as_text()
    found = re.findall(r"= f32\\[([0-9,]+)\\]\\S* dot\\(", text)
    sizes = [np.prod([int(size) for size in shape.split(",")]) for shape in found]
    computations = dict(re.findall(r"^%?(\\S+) [^\\n]*{\\n(.*?)^}", text, re.M | re.S))
    bodies = [computations[name] for name in re.findall(r"body=%?([^,\\s]+)", text)]
    return [float(sum(sizes)), len(bodies), sum("all-gather" in body for body in bodies)]

results = []
one = [outcome(False), outcome(True), products()]
devices = keras.distribution.list_devices()
assert len(devices) == 4, devices
keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
four = [outcome(False), outcome(True), products()]
print("RESULT" + json.dumps([one, four]))
"""


@pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution is JAX's")
def test_four_devices_give_the_pairs_of_one_and_share_the_work():
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    result = subprocess.run(
        [sys.executable, "-c", JAX_SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XLA_FLAGS": flags},
    )
    assert result.returncode == 0, result.stderr
    one, four = json.loads(result.stdout.partition("RESULT")[2])
    for mine, theirs in zip(four[:2], one[:2], strict=True):
        np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-6)
        for weight, expected in zip(mine[1], theirs[1], strict=True):
            np.testing.assert_allclose(weight, expected, rtol=1e-6, atol=1e-6)
    (numbers, _, _), (numbers_of_each, loops, gathering) = one[2], four[2]
    assert numbers_of_each <= 0.4 * numbers  # The gradient of the answers is whole on each.
    assert loops >= 2
    assert gathering == 0
