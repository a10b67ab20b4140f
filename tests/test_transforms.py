"""The losses inside what transforms functions: vmap, per-example gradients, compile, autograph."""

import pathlib
import sys

import backends
import keras
import numpy as np
import pytest
from backends import BACKEND, invalid
from cases import CASES, EMBEDDING_CASES
from kinds import one_per, only_tensorflow

import keras_ce

SOME = [
    case
    for case in CASES
    if case.name in ("smoothed-ids", "soft-rows", "sigmoid", "ranking-index", "plain-ids")
]
some_cases = pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)


class Endpoint(keras.layers.Layer):
    """A layer that calls a function of tensors, and says nothing of what it returns."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, first, second=None):
        return self.function(first) if second is None else self.function(first, second)


def check_of_any_batch(function, *arrays):
    """A model of a batch whose size is open gives the numbers of a call."""
    inputs = [keras.Input(item.shape[1:], dtype=str(item.dtype)) for item in arrays]
    model = keras.Model(inputs, Endpoint(function)(*inputs))
    actual = keras.ops.convert_to_numpy(model(list(arrays)))
    expected = keras.ops.convert_to_numpy(function(*arrays))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)


@one_per("loss", "has_ids")
def test_inside_a_layer_of_any_batch(case):
    check_of_any_batch(case.function, case.y_true, case.y_pred)


@one_per("loss", among=EMBEDDING_CASES)
def test_embeddings_inside_a_layer_of_any_batch(case):
    check_of_any_batch(case.function, case.ids, case.y_pred)


def test_tiles_inside_a_layer_of_any_batch():
    features, kernel = CASES[0].y_pred[0], CASES[0].y_pred[1]  # (3, 5), (3, 5)
    ids = np.array([0, 2, 1], "int32")

    def losses(ids, features):
        return keras_ce.losses.linear_crossentropy(
            ids, features, kernel, label_smoothing=0.1, ignore_class=0, class_axis=0
        )

    head = keras_ce.layers.LinearCrossentropy(7)
    head.build((None, 5))
    check_of_any_batch(losses, ids, features)
    check_of_any_batch(lambda features: head.top_k(features, 2)[0], features)
    check_of_any_batch(keras_ce.layers.ContrastivePairs(), features, kernel)


@some_cases
@pytest.mark.skipif(BACKEND != "jax", reason="jax.vmap is JAX's")
def test_vmap_and_grad_of_jax(case):
    import jax

    def loss(y_pred, y_true):
        return case.function(y_true, y_pred).sum()

    slopes = jax.jit(jax.vmap(jax.grad(loss)))(case.y_pred, case.y_true)
    np.testing.assert_allclose(slopes, case.slopes, atol=1e-6)
    values = jax.vmap(lambda y_pred: loss(y_pred, case.y_true))(np.stack([case.y_pred] * 2))
    np.testing.assert_allclose(values, [case.values.sum()] * 2, rtol=1e-5)


@one_per("loss", "has_ids", "takes_logits")
@pytest.mark.skipif(BACKEND != "jax", reason="forward mode is JAX's")
def test_forward_mode_of_jax(case):
    import jax

    direction = np.cos(np.arange(case.y_pred.size)).reshape(case.y_pred.shape).astype("float32")

    def total(y_pred):
        return case.function(case.y_true, y_pred).sum()

    # Compiled: each operation of an eager derivative would be compiled for itself.
    @jax.jit
    def both(y_pred):
        _, along = jax.jvp(total, (y_pred,), (direction,))
        _, slope = jax.linearize(total, y_pred)
        return along, slope(direction)

    expected = np.sum(case.slopes * direction, dtype="float64")
    scale = np.sum(np.abs(case.slopes * direction))
    for along in both(case.y_pred):
        np.testing.assert_allclose(along, expected, rtol=1e-5, atol=1e-6 * scale + 1e-12)


@some_cases
@pytest.mark.skipif(BACKEND != "torch", reason="torch.func is torch's")
def test_per_example_gradients_of_torch(case):
    import torch

    def loss(y_pred, y_true):
        return case.function(y_true, y_pred).sum()

    y_pred, y_true = torch.tensor(case.y_pred), torch.tensor(case.y_true)
    slopes = torch.func.grad(loss)(y_pred, y_true)
    np.testing.assert_allclose(slopes.numpy(), case.slopes, atol=1e-6)
    slopes = torch.func.vmap(torch.func.grad(loss))(y_pred, y_true)
    np.testing.assert_allclose(slopes.numpy(), case.slopes, atol=1e-6)

    # A Jacobian: many gradients of one batch at once.
    y_pred.requires_grad_()
    losses = case.function(y_true, y_pred)
    each = torch.eye(losses.numel()).reshape(-1, *losses.shape)
    (slopes,) = torch.autograd.grad(losses, y_pred, each, is_grads_batched=True)
    np.testing.assert_allclose(slopes.sum(0).numpy(), case.slopes, atol=1e-6)


@some_cases
@pytest.mark.filterwarnings("default")  # Dynamo warns about itself.
@pytest.mark.skipif(BACKEND != "torch", reason="torch.compile is torch's")
def test_torch_compiles_without_graph_breaks_when_unchecked(case):
    import torch

    keras_ce.set_value_checks(False)
    try:
        torch.compiler.reset()  # The cases share one function, which may be compiled eight times.
        compiled = torch.compile(case.function, fullgraph=True, backend="aot_eager")
        y_pred = torch.tensor(case.y_pred, requires_grad=True)
        values = compiled(torch.tensor(case.y_true), y_pred)
        values.sum().backward()
    finally:
        keras_ce.set_value_checks(True)
    np.testing.assert_allclose(backends.array(values), case.values, rtol=1e-5)
    np.testing.assert_allclose(y_pred.grad.numpy(), case.slopes, atol=1e-6)


@pytest.mark.parametrize("case", SOME[:2], ids=lambda case: case.name)
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(BACKEND != "torch", reason="torch.compile is torch's")
def test_torch_compiles_a_loss_object(case):
    """The class too, with its masks, weights and reduction."""
    import torch

    keras_ce.set_value_checks(False)
    try:
        compiled = torch.compile(case.make(), backend="aot_eager")
        value = compiled(torch.tensor(case.y_true), torch.tensor(case.y_pred))
    finally:
        keras_ce.set_value_checks(True)
    np.testing.assert_allclose(float(value), case.values.mean(), rtol=1e-5)


@some_cases
@pytest.mark.skipif(BACKEND != "torch", reason="torch keeps its graph only when told to")
def test_a_graph_of_torch_can_be_used_twice(case):
    import torch

    y_pred = torch.tensor(case.y_pred, requires_grad=True)
    total = case.function(torch.tensor(case.y_true), y_pred).sum()
    total.backward(retain_graph=True)
    total.backward()
    np.testing.assert_allclose(y_pred.grad.numpy(), 2 * case.slopes, atol=2e-6)


INVALID = [
    ("label_smoothed_crossentropy", [0, 9], [[0.2, 0.8], [0.3, 0.7]], ("y_true", (1,), 9)),
    (
        "label_smoothed_crossentropy",
        [0, 1],
        [[0.2, 0.8], [0.3, 1.7]],
        ("y_pred", (1, 1), np.float32(1.7)),
    ),
    (
        "weighted_sigmoid_crossentropy",
        [[0.0, 1.0], [0.0, 1.0]],
        [[0.2, 0.8], [0.3, 1.7]],
        ("y_pred", (1, 1), np.float32(1.7)),
    ),
]


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow has no gradient of a function")
@pytest.mark.parametrize(("name", "labels", "scores", "found"), INVALID)
def test_row_3_invalid_values_inside_a_bare_gradient(name, labels, scores, found):
    """JAX still has the numbers for the message; torch has none, and gives NaN and 0."""
    loss = getattr(keras_ce.losses, name)
    labels, scores = np.array(labels), np.array(scores, "float32")
    if BACKEND == "jax":
        import jax

        argument, position, value = found
        with invalid(argument, position=position, value=value):
            jax.grad(lambda scores: jax.numpy.sum(loss(labels, scores)))(scores)
        return
    import torch

    total = lambda scores: torch.nansum(loss(torch.tensor(labels), scores))  # noqa: E731
    slopes = torch.func.grad(total)(torch.tensor(scores))
    assert np.isfinite(slopes.numpy()).all()
    assert (slopes[1] == 0).all()
    assert (slopes[0] != 0).any()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.skipif(BACKEND != "jax", reason="only JAX says what it compiles")
def test_a_second_eager_call_compiles_nothing(case, caplog):
    import jax

    def step():
        jax.value_and_grad(lambda y_pred: case.function(case.y_true, y_pred).sum())(case.y_pred)

    with jax.log_compiles():
        jax.jit(lambda number: number + 1)(len(caplog.text))  # Compiled here: it is in the log.
        assert "Compiling" in caplog.text
        step()
        caplog.clear()
        step()
    assert "Compiling" not in caplog.text


@only_tensorflow
def test_autograph_rewrites_nothing_of_the_package():
    import tensorflow as tf

    loss = keras_ce.losses.FocalCrossentropy()
    metrics = [
        keras_ce.metrics.ExpectedCalibrationError(),
        keras_ce.metrics.BalancedAccuracy(num_classes=2),
    ]
    head = keras_ce.layers.LinearCrossentropy(2)
    head.build((None, 2))

    @tf.function
    def step(y_true, y_pred):
        for metric in metrics:
            metric.update_state(y_true, y_pred)
        head(y_pred, y_true)
        of_function = keras_ce.losses.focal_crossentropy(y_true, y_pred)
        results = sum(metric.result() for metric in metrics)
        return loss(y_true, y_pred) + of_function + keras_ce.information.entropy(y_pred) + results

    step(tf.constant([1, 0]), tf.constant([[0.2, 0.8], [0.6, 0.4]]))
    rewritten = "".join(
        pathlib.Path(module.__file__).read_text(encoding="utf-8")
        for name, module in list(sys.modules.items())
        if name.startswith("__autograph_generated_file")
    )
    assert "def tf__step(" in rewritten
    for name in ("checked", "__call__", "entropy", "update_state", "result", "call"):
        assert f"def tf__{name}(" not in rewritten
