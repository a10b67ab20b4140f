"""A batch of no rows, such as a filter leaves: an empty array, reduced 0, a gradient of no rows."""

import backends
import keras
import numpy as np
import pytest
from backends import BACKEND, MODES, array
from cases import CLASSES, TIME
from keras import ops
from kinds import SOFTMAX, every_mode, function_of, one_per, only_tensorflow

import keras_ce
from keras_ce.layers import LinearCrossentropy
from keras_ce.losses import (
    FocalCrossentropy,
    InBatchCrossentropy,
    MarginRanking,
    in_batch_crossentropy,
)

REDUCTIONS = ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"]
each_loss = one_per("loss", "has_ids")
each_kind = one_per("has_ids", "takes_logits")
# As quick as it gets, and as compiled; graphs that do not know the batch have a test below.
BOTH_MODES = sorted({backends.QUICK_MODE, MODES[-1]})


def emptied(case, axis):
    """The case's arrays without rows, or without time steps."""
    return tuple(
        np.take(item, [], axis=axis).astype(item.dtype) for item in (case.y_true, case.y_pred)
    )


def check_values_and_gradients(case, mode):
    y_true, y_pred = emptied(case, 0)
    values, slopes = backends.gradient(
        lambda y_pred, y_true: case.function(y_true, y_pred), y_pred, y_true, mode=mode
    )
    assert values.shape == (0, TIME)
    assert values.dtype == "float32"
    assert slopes.shape == y_pred.shape


@each_loss
def test_values_and_gradients(case):
    check_values_and_gradients(case, backends.QUICK_MODE)


@each_kind
class TestEmptyBatches:
    @every_mode
    def test_values_and_gradients(self, case, mode):
        check_values_and_gradients(case, mode)

    def test_no_time_steps(self, case):
        y_true, y_pred = emptied(case, 1)
        run = backends.quick(case.function)
        assert tuple(run(y_true, y_pred).shape) == (4, 0)
        assert float(backends.quick(case.make())(y_true, y_pred)) == 0


# One loss for all: what happens to weights does not depend on its formula.
@pytest.mark.parametrize("mode", BOTH_MODES)
def test_every_reduction_and_weight(mode):
    losses = [FocalCrossentropy(from_logits=True, reduction=each) for each in REDUCTIONS]

    def all_of_them(y_pred, y_true, by_row, by_position):
        values = [loss(y_true, y_pred) for loss in losses]
        values += [loss(y_true, y_pred, by_row) for loss in losses]
        values += [losses[0](y_true, y_pred, by_position), losses[2](y_true, y_pred, 2.0)]
        return ops.stack([ops.sum(each) for each in values])

    y_pred, y_true = np.zeros((0, TIME, CLASSES), "float32"), np.zeros((0, TIME), "int32")
    weights = np.zeros((0,), "float32"), np.zeros((0, TIME), "float32")
    values, slopes = backends.gradient(all_of_them, y_pred, y_true, *weights, mode=mode)
    np.testing.assert_array_equal(values, 0)
    assert slopes.shape == y_pred.shape


@only_tensorflow
@one_per("loss")
def test_a_graph_that_does_not_know_the_batch(case):
    import tensorflow as tf

    loss = case.make()
    run = tf.function(
        lambda y_true, y_pred: loss(y_true, y_pred),
        input_signature=[
            tf.TensorSpec([None, *case.y_true.shape[1:]], case.y_true.dtype),
            tf.TensorSpec([None, None, CLASSES]),
        ],
    )
    assert run(*emptied(case, 0)) == 0
    np.testing.assert_allclose(run(case.y_true, case.y_pred), case.values.mean(), rtol=1e-5)


# In a TensorFlow graph that knows of the 0, the graph's optimizer divides by it: see below.
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "graph"])
def test_similarities_of_nobody(mode):
    ids, similarities = np.zeros(0, "int32"), np.zeros((0, 0), "float32")
    for labels in (ids, ids[:, None]):
        values, slopes = backends.gradient(
            lambda y_pred, y_true: in_batch_crossentropy(y_true, y_pred),
            similarities,
            labels,
            mode=mode,
        )
        assert values.shape == (0,)
        assert slopes.shape == (0, 0)
    for reduction in REDUCTIONS:
        loss = InBatchCrossentropy(reduction=reduction)
        for weights in (None, ids.astype("float32")):
            value, slopes = backends.gradient(
                lambda y_pred, y_true, loss=loss, weights=weights: loss(y_true, y_pred, weights),
                similarities,
                ids,
                mode=mode,
            )
            assert value.sum() == 0
            assert slopes.shape == (0, 0)


@only_tensorflow
def test_similarities_of_nobody_in_a_graph_that_does_not_know_the_batch():
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], "int32"), tf.TensorSpec([None, None])])
    def value_and_gradient(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = InBatchCrossentropy()(y_true, y_pred)
        return value, tape.gradient(value, y_pred)

    value, slopes = value_and_gradient(np.zeros(0, "int32"), np.zeros((0, 0), "float32"))
    assert value == 0
    assert slopes.shape == (0, 0)


@pytest.mark.parametrize(
    ("name", "mode"),
    [(name, backends.QUICK_MODE) for name in SOFTMAX] + [("FocalCrossentropy", MODES[-1])],
)
def test_many_classes(name, mode):
    """Where rows would go piece by piece."""
    options = {"from_logits": True}
    if name == "LogitAdjustedCrossentropy":
        options = {"class_prior": np.ones(600)}
    y_pred = np.zeros((0, 600), "float32")
    function = function_of(name)
    for labels in (np.zeros(0, "int32"), y_pred)[: 2 if name.startswith("Label") else 1]:
        values, slopes = backends.gradient(
            lambda y_pred, y_true: function(y_true, y_pred, **options), y_pred, labels, mode=mode
        )
        assert values.shape == (0,)
        assert slopes.shape == (0, 600)


@pytest.mark.parametrize("mode", BOTH_MODES)
def test_no_rows_and_no_lists_of_candidates(mode):
    for shape in ((0, 4), (0, 3, 4), (3, 0, 4)):
        for labels in (np.zeros(shape[:-1], "int32"), np.zeros(shape, "float32")):
            value, slopes = backends.gradient(
                lambda y_pred, y_true: MarginRanking(0.5)(y_true, y_pred),
                np.zeros(shape, "float32"),
                labels,
                mode=mode,
            )
            assert value == 0
            assert slopes.shape == shape


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "graph"])
def test_the_output_layer(mode):
    head = LinearCrossentropy(5, label_smoothing=0.1)
    head.build((None, 3))
    for shape in ((0,), (0, 2), (2, 0)):
        values, slopes = backends.gradient(
            lambda features, labels: head(features, labels),
            np.zeros((*shape, 3), "float32"),
            np.zeros(shape, "int32"),
            mode=mode,
        )
        assert values.shape == shape
        assert slopes.shape == (*shape, 3)
    if mode == "eager":
        head(np.zeros((0, 3), "float32"), np.zeros(0, "int32"))
        assert array(head.losses[0]) == 0


@only_tensorflow
def test_the_output_layer_in_a_graph_that_does_not_know_the_batch():
    import tensorflow as tf

    head = LinearCrossentropy(5)
    head.build((None, 3))

    @tf.function(input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([None], "int32")])
    def gradient(features, labels):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(head(features, labels))
        return tape.gradient(total, head.kernel.value)

    np.testing.assert_array_equal(gradient(np.zeros((0, 3), "f"), np.zeros(0, "int32")), 0)


def test_a_masked_batch_without_rows():
    y_pred = keras.layers.Masking(0.0)(ops.zeros((0, 2, 5)))
    loss = keras_ce.losses.LabelSmoothedCrossentropy(from_logits=True)
    assert float(loss(np.zeros((0, 2), "int32"), y_pred)) == 0


@pytest.mark.skipif(BACKEND == "jax", reason="Keras itself needs a row there")
def test_a_step_of_no_rows_leaves_the_weights():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    model.compile("sgd", FocalCrossentropy(from_logits=True), run_eagerly=True)
    before = model.get_weights()
    loss = model.train_on_batch(np.zeros((0, 3), "float32"), np.zeros(0, "int32"))
    assert array(ops.convert_to_tensor(loss)) == 0
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)
