"""Two replicas give the loss and the weights of one. In a process of its own: TensorFlow fixes
the number of devices when it starts."""

import json
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
from keras_ce.layers import LinearCrossentropy
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
        model = keras.Model([inputs, labels], LinearCrossentropy(3)(inputs, labels))
        model.compile(keras.optimizers.SGD(0.1))
    history = model.fit([x, ids], batch_size=8, epochs=2, shuffle=False, verbose=0).history
    outcomes.append([history["loss"], [w.numpy().tolist() for w in model.weights]])
results.append(["LinearCrossentropy", *outcomes])
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
