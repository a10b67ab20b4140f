"""What two replicas of `tf.distribute` and one device compute, as JSON: for test_distribution.py.

A process of its own, because TensorFlow fixes the number of devices when it starts.
"""

import json
import sys

import cases
import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_ce
from keras_ce.layers import AngularMarginCrossentropy, ContrastivePairs, LinearCrossentropy
from keras_ce.losses import (
    GroupedSoftmaxCrossentropy,
    InBatchCrossentropy,
    LabelSmoothedCrossentropy,
    SupervisedContrastive,
    TripletMargin,
)
from keras_ce.metrics import (
    BalancedAccuracy,
    CohenKappa,
    ExpectedCalibrationError,
    F1Score,
    GroupedAccuracy,
    HammingLoss,
    MatthewsCorrelation,
)

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
REPLICAS, ONE = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), tf.distribute.get_strategy()

# The last batch of an epoch has one row, which leaves one replica none; that of an evaluation has
# two and one. (Keras wants as many for each replica in the first batch that it sees.)
ROWS, BATCH, BATCH_OF_EVALUATION, TIME, WIDTH = 13, 6, 10, cases.TIME, 4
REDUCTIONS = "sum_over_batch_size", "mean_with_sample_weight", "sum"
generator = np.random.default_rng(0)
x = generator.normal(size=(ROWS, TIME, WIDTH)).astype("float32")
x[:3] = 0  # masked: the first replica counts nothing in the first batch
x[5, 1:] = 0
weights = generator.uniform(0, 3, (ROWS, TIME)).astype("float32")
weights[10:] = 0
ids = generator.integers(0, cases.CLASSES, (ROWS, TIME)).astype("int32")
ids[3:7, 0] = 4
rows = generator.integers(0, cases.CASES[0].y_true.shape[0], ROWS)


def trained(build, data, y=None, sample_weight=None, evaluates=True, **options):
    """The logs of two epochs and of an evaluation, and the weights, on two replicas and one."""
    outcomes = []
    for strategy in (REPLICAS, ONE):
        model = compiled(strategy, build, **options)
        weighted = {"sample_weight": sample_weight, "verbose": 0}
        logs = model.fit(data, y, batch_size=BATCH, epochs=2, shuffle=False, **weighted).history
        if evaluates:
            evaluated = model.evaluate(
                data, y, batch_size=BATCH_OF_EVALUATION, return_dict=True, **weighted
            )
            logs = {name: [*logs[name], evaluated[name]] for name in logs}
        outcomes.append([logs, [weight.numpy().tolist() for weight in model.weights]])
    return outcomes


def compiled(strategy, build, make_metrics=None, **options):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = build()
        metrics = make_metrics and make_metrics()
        model.compile(keras.optimizers.SGD(0.1), weighted_metrics=metrics, **options)
    return model


def of_losses():
    """One case of each loss, and each reduction of one of them."""
    of_loss = {case.loss: case for case in reversed(cases.CASES) if case.takes_logits}
    losses, y = {}, {}
    for number, (name, case) in enumerate(of_loss.items()):
        losses[name] = case.make(reduction=REDUCTIONS[number % len(REDUCTIONS)])
        y[name] = case.y_true[rows]
    for reduction in REDUCTIONS:
        name = f"softmax_{reduction}"
        losses[name] = LabelSmoothedCrossentropy(
            0.1, from_logits=True, class_weight={3: 2.0}, ignore_class=4, reduction=reduction
        )
        y[name] = ids

    def build():
        inputs = keras.Input((TIME, WIDTH))
        masked = layers.Masking()(inputs)
        outputs = {name: layers.Dense(cases.CLASSES, name=name)(masked) for name in losses}
        outputs["unmasked"] = layers.Dense(cases.CLASSES, name="unmasked")(inputs)
        return keras.Model(inputs, outputs)

    loss = losses | {"unmasked": LabelSmoothedCrossentropy(0.1, from_logits=True)}
    y = y | {"unmasked": ids}
    return trained(build, x, y, dict.fromkeys(loss, weights), evaluates=False, loss=loss)


def of_no_reduction():
    def build():
        return keras.Sequential([keras.Input((WIDTH,)), layers.Dense(cases.CLASSES)])

    loss = LabelSmoothedCrossentropy(0.1, from_logits=True, reduction="none")
    return trained(build, x[:12, 0], ids[:12, 0], evaluates=False, loss=loss)


def of_metrics():
    of_group = generator.integers(0, 2, (ROWS, TIME, 2)).astype("int32")

    def make_metrics():
        of_classes = [
            F1Score(from_logits=True),
            MatthewsCorrelation(),
            CohenKappa(weights="linear"),
            BalancedAccuracy(ignore_class=4),
            HammingLoss(),
            ExpectedCalibrationError(from_logits=True),
        ]
        return {"a": of_classes, "b": [GroupedAccuracy([2, 3], mode="each")]}

    def build():
        inputs = keras.Input((TIME, WIDTH))
        masked = layers.Masking()(inputs)
        outputs = {name: layers.Dense(cases.CLASSES, name=name)(masked) for name in ("a", "b")}
        return keras.Model(inputs, outputs)

    loss = {
        "a": LabelSmoothedCrossentropy(0.1, from_logits=True),
        "b": GroupedSoftmaxCrossentropy([2, 3], from_logits=True),
    }
    outcomes = []
    for strategy in (REPLICAS, ONE):
        model = compiled(strategy, build, make_metrics, loss=loss)
        logs = model.evaluate(
            x,
            {"a": ids, "b": of_group},
            sample_weight={"a": weights, "b": weights},
            batch_size=BATCH_OF_EVALUATION,
            return_dict=True,
            verbose=0,
        )
        outcomes.append([logs, []])
    return outcomes


def of_layers():
    """Layers that add to the loss, beside a loss of the model and a regularizer."""

    def build():
        inputs = [
            keras.Input((TIME, WIDTH)),
            keras.Input((TIME,), dtype="int32"),
            keras.Input((TIME,)),
        ]
        masked = layers.Masking()(inputs[0])
        features = layers.Dense(6, kernel_regularizer=keras.regularizers.L2(0.01))(masked)
        added = [
            LinearCrossentropy(
                cases.CLASSES,
                label_smoothing=0.1,
                ignore_class=4,
                z_loss=1e-2,
                class_weight={3: 2.0},
                report=("accuracy", "top_5_accuracy", "perplexity"),
                name="head",
            )(features, *inputs[1:]),
            AngularMarginCrossentropy(
                cases.CLASSES, scale=4.0, report=("perplexity",), name="angular"
            )(features, *inputs[1:]),
        ]
        logits = layers.Dense(cases.CLASSES, name="logits")(features)
        return keras.Model(inputs, {"logits": logits, "added": added})

    loss = LabelSmoothedCrossentropy(0.1, from_logits=True, ignore_class=4)
    return trained(
        build,
        [x, ids, weights],
        {"logits": ids},
        {"logits": weights},
        loss={"logits": loss, "added": [None, None]},
    )


def of_pairs():
    """Every question meets the answers of both replicas."""
    inputs_of = [x[:, 0] + 1, x[::-1, 0], ids[:, 0], weights[:, 0]]

    def build():
        inputs = [
            keras.Input((WIDTH,)),
            keras.Input((WIDTH,)),
            keras.Input((), dtype="int32"),
            keras.Input(()),
        ]
        towers = [
            layers.Dense(3)(inputs[0]),
            layers.Dense(3)(layers.Masking()(inputs[1])),
        ]
        plain = [layers.Dense(3)(item) for item in inputs[:2]]
        losses = [
            ContrastivePairs(2.0)(*plain),
            ContrastivePairs(2.0, symmetric=True)(*towers, *inputs[2:]),
        ]
        return keras.Model(inputs, losses)

    return trained(build, inputs_of)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, number):
        batch = slice(number * BATCH, (number + 1) * BATCH)
        return x[batch], ids[batch]


def of_inputs():
    """The losses of one device, and those of replicas that read other kinds of data."""

    def build():
        return keras.Sequential([keras.Input((TIME, WIDTH)), layers.Dense(cases.CLASSES)])

    dataset = tf.data.Dataset.from_tensor_slices((x, ids)).batch(BATCH)
    loss = LabelSmoothedCrossentropy(0.1, from_logits=True, ignore_class=4)
    return [
        compiled(strategy, build, loss=loss).fit(data, shuffle=False, verbose=0).history["loss"]
        for strategy, data in ((ONE, dataset), (REPLICAS, dataset), (REPLICAS, Batches()))
    ]


def refused():
    """The messages of what sees the rows of one replica only, and of eager replicas."""
    messages = []
    similarities = layers.Lambda(lambda rows: rows @ keras.ops.transpose(rows))
    for loss, last, options in (
        (InBatchCrossentropy(), similarities, {}),
        (SupervisedContrastive(), layers.Identity(), {}),
        (TripletMargin(), layers.Identity(), {}),
        (LabelSmoothedCrossentropy(0.1), layers.Softmax(), {"run_eagerly": True}),
    ):
        with REPLICAS.scope():
            model = keras.Sequential([keras.Input((WIDTH,)), layers.Dense(4), last])
            model.compile("sgd", loss=loss, **options)
        try:
            model.fit(x[:4, 0], np.arange(4), batch_size=4, verbose=0)
        except ValueError as error:
            messages.append(str(error))
    return messages


WHAT = {
    "losses": of_losses,
    "none": of_no_reduction,
    "metrics": of_metrics,
    "layers": of_layers,
    "pairs": of_pairs,
    "inputs": of_inputs,
    "refused": refused,
}


if __name__ == "__main__":
    results = {}
    for name in sys.argv[1:] or WHAT:
        # XLA compiles each loss for each replica and each number of rows: minutes.
        keras_ce.set_compilation(name == "none")
        results[name] = WHAT[name]()
    print("RESULT" + json.dumps(results))
