"""Against sums over all classes in float64, which never see the layer's pieces."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from backends import BACKEND, COMPILED_MODES, MODES, array, gradient, invalid
from keras import ops

import keras_ce
from keras_ce._core import linear
from keras_ce._core.backends.passes import Compilation
from keras_ce.layers import LinearCrossentropy

NUMBER, WIDTH, CLASSES = 12, 5, 23
GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.normal(size=(NUMBER, WIDTH)).astype("float32")
KERNEL = GENERATOR.normal(size=(WIDTH, CLASSES)).astype("float32")
BIAS = GENERATOR.normal(size=CLASSES).astype("float32")
IDS = GENERATOR.integers(0, CLASSES, NUMBER).astype("int32")
IDS[:3] = 0, CLASSES - 1, 7  # first piece, last piece, first column of a piece
UPSTREAM = GENERATOR.uniform(0.5, 2, NUMBER).astype("float32")
UPSTREAM[4] = 0


@pytest.fixture(autouse=True)
def pieces_of_seven_columns(monkeypatch):
    """Three whole pieces and one of two columns."""
    monkeypatch.setattr(linear, "NARROWEST_PIECE", 7)
    monkeypatch.setattr(linear, "WIDTH_FOR_ANY_BATCH", 7)
    monkeypatch.setattr(Compilation, "ELEMENTS_OF_A_PIECE", 1)
    linear._passes.cache_clear()
    yield
    linear._passes.cache_clear()


def layer(kernel=KERNEL, bias=BIAS, **options):
    head = LinearCrossentropy(CLASSES, use_bias=bias is not None, **options)
    head.build((None, WIDTH))
    head.set_weights([kernel] if bias is None else [kernel, bias])
    return head


def reference(features, kernel, bias, ids, label_smoothing=0.0, upstream=UPSTREAM):
    """Losses, and the gradients of their sum weighted by `upstream`."""
    features, kernel, bias = (item.astype("float64") for item in (features, kernel, bias))
    logits = features @ kernel + bias
    logits -= logits.max(-1, keepdims=True)
    powers = np.exp(logits)
    labels = np.eye(CLASSES)[ids] * (1 - label_smoothing) + label_smoothing / CLASSES
    losses = -(labels * (logits - np.log(powers.sum(-1, keepdims=True)))).sum(-1)
    slopes = (powers / powers.sum(-1, keepdims=True) - labels) * upstream[:, None]
    return losses, (slopes @ kernel.T, features.T @ slopes, slopes.sum(0))


def loss_and_gradients(head, features, labels, upstream, mode="eager"):
    """Losses, and the gradients of their weighted sum by features and all weights."""
    weights = [variable.value for variable in head.trainable_variables]
    sizes = [int(np.prod(weight.shape)) for weight in weights]

    def run(flat, labels, upstream):
        parts, start = [], features.size
        for weight, size in zip(weights, sizes, strict=True):
            parts.append(ops.reshape(flat[start : start + size], weight.shape))
            start += size
        with keras.StatelessScope(list(zip(head.trainable_variables, parts, strict=True))):
            losses = head(ops.reshape(flat[: features.size], features.shape), labels)
        # The losses as they are, with the gradient of their weighted sum.
        return losses * upstream

    flat = np.concatenate([features.ravel(), *(array(weight).ravel() for weight in weights)])
    losses, slopes = gradient(run, flat, labels, upstream, mode=mode)
    slopes = np.split(slopes, np.cumsum([features.size, *sizes])[:-1])
    return losses, [
        slope.reshape(shape)
        for slope, shape in zip(slopes, [features.shape, *(w.shape for w in weights)], strict=True)
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_losses_and_gradients_with_a_weight_for_each_position(label_smoothing, mode):
    head = layer(label_smoothing=label_smoothing)
    losses, slopes = loss_and_gradients(head, FEATURES, IDS, UPSTREAM, mode)
    values, expected = reference(FEATURES, KERNEL, BIAS, IDS, label_smoothing)
    np.testing.assert_allclose(losses, values * UPSTREAM, rtol=1e-5)
    for slope, exact in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, exact, atol=3e-6)


def test_tiny_losses_are_exact():
    bias = np.zeros(CLASSES, "float32")
    features = np.zeros((1, WIDTH), "float32")
    bias[9] = 40
    losses, slopes = loss_and_gradients(layer(bias=bias), features, np.array([9]), np.ones(1, "f"))
    others = (CLASSES - 1) * np.exp(-40.0)
    np.testing.assert_allclose(losses, [others], rtol=5e-6)
    assert slopes[2][9] == pytest.approx(-others, rel=1e-5)
    assert slopes[2][3] == pytest.approx(np.exp(-40.0), rel=1e-5)


def test_logits_hundreds_apart():
    # Whose exponentials float32 cannot hold.
    kernel = 60 * KERNEL
    losses, slopes = loss_and_gradients(layer(kernel), FEATURES, IDS, UPSTREAM)
    values, expected = reference(FEATURES, kernel, BIAS, IDS)
    assert values.max() > 300
    np.testing.assert_allclose(losses, values * UPSTREAM, rtol=1e-5, atol=1e-30)
    for slope, exact in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())


def test_a_class_at_minus_infinity_is_out_of_reach():
    bias = BIAS.copy()
    bias[:8] = -np.inf  # all of the first piece
    ids = np.maximum(IDS, 8)
    losses, slopes = loss_and_gradients(layer(bias=bias), FEATURES, ids, UPSTREAM)
    shifted = FEATURES.astype("float64") @ KERNEL[:, 8:] + BIAS[8:]
    values = np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(NUMBER), ids - 8]
    np.testing.assert_allclose(losses, values * UPSTREAM, rtol=1e-5)
    assert np.all(slopes[2][:8] == 0)
    assert np.isfinite(slopes[0]).all()


def test_logits_are_those_of_dense_with_the_same_weights():
    dense = keras.layers.Dense(CLASSES)
    dense.build((None, WIDTH))
    head = layer()
    dense.set_weights(head.get_weights())
    np.testing.assert_array_equal(array(head(FEATURES)), array(dense(FEATURES)))
    assert head.losses == []


def test_adds_the_mean_that_the_loss_of_the_catalogue_would_give():
    head = layer(label_smoothing=0.1, ignore_class=7)
    features = FEATURES.reshape(3, 4, WIDTH)
    ids, weights = IDS.reshape(3, 4), UPSTREAM.reshape(3, 4)
    loss = keras_ce.losses.LabelSmoothedCrossentropy(
        0.1, from_logits=True, ignore_class=7, reduction="mean_with_sample_weight"
    )
    for sample_weight in (None, weights, weights[:, :1], weights[:, 0]):
        losses = array(head(features, ids, sample_weight))
        expected = loss(ids, array(head(features)), sample_weight)
        head(features, ids[..., None], sample_weight)
        assert array(head.losses[0]) == pytest.approx(float(array(expected)), rel=1e-5)
        assert losses.shape == (3, 4)
        assert losses.ravel()[2] == 0  # IDS[2] is 7


def test_without_a_bias():
    head = layer(bias=None)
    losses, slopes = loss_and_gradients(head, FEATURES, IDS, UPSTREAM)
    values, expected = reference(FEATURES, KERNEL, np.zeros(CLASSES), IDS)
    np.testing.assert_allclose(losses, values * UPSTREAM, rtol=1e-5)
    np.testing.assert_allclose(slopes[1], expected[1], atol=3e-6)
    assert len(slopes) == 2


def test_positions_without_weight_may_hold_anything():
    features, ids = FEATURES.copy(), IDS.copy()
    features[1], ids[2], ids[3] = np.nan, 99, -1
    head = layer(ignore_class=-1)
    weights = np.ones(NUMBER, "float32")
    weights[1:3] = 0
    losses = array(head(features, ids, weights))
    values, _ = reference(FEATURES, KERNEL, BIAS, IDS)
    np.testing.assert_allclose(losses[4:], values[4:], rtol=1e-5)
    assert np.all(losses[1:4] == 0)
    kept = [0, *range(4, NUMBER)]
    assert array(head.losses[0]) == pytest.approx(values[kept].mean(), rel=1e-5)


def test_nothing_counts():
    head = layer(ignore_class=3)
    losses, slopes = loss_and_gradients(head, FEATURES, np.full(NUMBER, 3), UPSTREAM)
    assert np.all(losses == 0)
    assert all(np.all(slope == 0) for slope in slopes)
    head(FEATURES, np.full(NUMBER, 3))
    assert float(array(head.losses[0])) == 0


@pytest.mark.parametrize(("label", "hint"), [(CLASSES, "subtract 1"), (-1, "ignore_class=-1")])
def test_an_invalid_label_is_an_error(label, hint):
    ids = IDS.copy()
    ids[5] = label
    expected = f"integers from 0 to {CLASSES - 1}"
    with invalid("labels", expected, fix=hint, position=(5,), value=label):
        layer()(FEATURES, ids)
    with invalid("labels", expected, fix=hint, position=(5, 0), value=label):
        layer()(FEATURES, ids[:, None])
    with invalid("labels", expected, fix=hint, position=(1, 1), value=label):
        layer()(FEATURES.reshape(3, 4, WIDTH), ids.reshape(3, 4))


@pytest.mark.parametrize("mode", COMPILED_MODES)
def test_an_invalid_label_is_nan_without_gradient_when_compiled(mode):
    ids = IDS.copy()
    ids[5] = CLASSES
    losses, slopes = loss_and_gradients(layer(), FEATURES, ids, UPSTREAM, mode)
    assert np.isnan(losses[5])
    assert np.isfinite(np.delete(losses, 5)).all()
    upstream = UPSTREAM.copy()
    upstream[5] = 0
    expected = reference(FEATURES, KERNEL, BIAS, IDS, upstream=upstream)[1]
    for slope, exact in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, exact, atol=3e-6)


def test_dense_labels_and_unknown_widths_are_errors():
    with pytest.raises(ValueError, match="class ids. Received: dense rows"):
        layer()(FEATURES, np.eye(CLASSES)[IDS])
    with pytest.raises(ValueError, match="known last dimension"):
        LinearCrossentropy(3).build((None, None))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("num_classes", 0, "an integer >="),
        ("num_classes", 1, "an integer >= 2"),
        ("num_classes", 4.0, "an integer >="),
        ("label_smoothing", 1.5, "from 0 to 1"),
        ("ignore_class", 2**31, "between -2**31 and 2**31"),
        ("use_bias", 1, "True or False"),
    ],
)
def test_bad_arguments(name, value, expected):
    with invalid(name, expected, value=value):
        LinearCrossentropy(**{"num_classes": 4, name: value})


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_adds_up_in_float32(policy):
    head = layer(dtype=policy)
    half = ops.cast(FEATURES, policy.removeprefix("mixed_"))
    losses = head(half, IDS)
    assert keras.backend.standardize_dtype(losses.dtype) == "float32"
    assert keras.backend.standardize_dtype(head(half).dtype) == policy.removeprefix("mixed_")
    values, _ = reference(array(half), KERNEL, BIAS, IDS)
    np.testing.assert_allclose(array(losses), values, rtol=1e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no float64 unless it is switched on")
def test_float64_is_kept():
    head = layer(dtype="float64")
    weights = UPSTREAM.astype("float64") + 1
    losses = head(FEATURES.astype("float64"), IDS, weights)
    values, _ = reference(FEATURES, KERNEL, BIAS, IDS)
    np.testing.assert_allclose(array(losses), values, rtol=1e-12)
    mean = np.average(values, weights=weights)
    assert float(array(head.losses[0])) == pytest.approx(mean, rel=1e-12)


def test_features_of_another_dtype_are_cast():
    losses = layer()(FEATURES.astype("float64"), IDS)
    assert keras.backend.standardize_dtype(losses.dtype) == "float32"
    np.testing.assert_allclose(array(losses), array(layer()(FEATURES, IDS)))


def test_float_labels_stay_exact_under_mixed_precision():
    head = LinearCrossentropy(3000, dtype="mixed_bfloat16")
    ids = np.array([2999, 257, 1001])  # bfloat16 has none of them
    losses = array(head(FEATURES[:3], ids.astype("float32")))
    np.testing.assert_allclose(losses, array(head(FEATURES[:3], ids)))


def sequence_models(**options):
    """Tokens and the labels of each position, padded by token 0."""
    tokens = keras.Input((None,), dtype="int32")
    labels = keras.Input((None,), dtype="int32")
    features = keras.layers.Embedding(11, WIDTH, mask_zero=True)(tokens)
    head = LinearCrossentropy(CLASSES, **options)
    return keras.Model([tokens, labels], head(features, labels)), keras.Model(
        tokens, head(features)
    )


def test_a_model_of_unknown_dimensions_is_fitted_without_loss_and_targets():
    keras.utils.set_random_seed(0)
    trainer, predictor = sequence_models()
    assert trainer.output_shape == (None, None)
    assert predictor.output_shape == (None, None, CLASSES)
    tokens = GENERATOR.integers(1, 11, (10, 6))
    tokens[::2, 4:] = 0  # padded
    labels = np.where(tokens == 0, 99, (2 * tokens) % CLASSES)  # anything, under the mask
    logits = predictor.predict(tokens, verbose=0).astype("float64")
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    nats = -np.take_along_axis(logits, labels[..., None] % CLASSES, -1)[..., 0]
    trainer.compile(keras.optimizers.SGD(0.0))
    found = trainer.evaluate([tokens, labels], verbose=0)
    assert found == pytest.approx(nats[tokens > 0].mean(), rel=1e-5)
    trainer.compile(keras.optimizers.Adam(0.1))
    history = trainer.fit([tokens, labels], batch_size=4, epochs=15, verbose=0).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    guesses = predictor.predict(tokens, verbose=0).argmax(-1)
    assert (guesses == labels)[tokens > 0].mean() > 0.9


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_sample_weights_are_an_input_of_a_fitted_model(policy):
    features = keras.Input((WIDTH,))
    labels, weights = keras.Input((), dtype="int32"), keras.Input(())
    head = LinearCrossentropy(CLASSES, dtype=policy)
    inner = keras.layers.Dense(WIDTH, dtype=policy, kernel_initializer="identity")(features)
    trainer = keras.Model([features, labels, weights], head(inner, labels, weights))
    head.set_weights([KERNEL, BIAS])
    trainer.compile(keras.optimizers.SGD(0.1))
    data = [FEATURES, IDS, UPSTREAM]

    half = array(ops.cast(FEATURES, policy.removeprefix("mixed_"))).astype("float64")
    share = UPSTREAM / UPSTREAM.sum()
    losses, (_, kernel_gradient, bias_gradient) = reference(half, KERNEL, BIAS, IDS, 0.0, share)
    assert trainer.evaluate(data, verbose=0) == pytest.approx(np.sum(losses * share), rel=1e-5)
    trainer.fit(data, batch_size=NUMBER, verbose=0)
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(KERNEL - kernel, 0.1 * kernel_gradient, atol=1e-6)
    np.testing.assert_allclose(BIAS - bias, 0.1 * bias_gradient, atol=1e-6)


def test_a_saved_model_gives_the_same(tmp_path):
    trainer, predictor = sequence_models(label_smoothing=0.1, ignore_class=3)
    tokens = GENERATOR.integers(1, 11, (4, 6))
    labels = GENERATOR.integers(0, CLASSES, (4, 6))
    for model, inputs in ((trainer, [tokens, labels]), (predictor, tokens)):
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        np.testing.assert_allclose(
            again.predict(inputs, verbose=0), model.predict(inputs, verbose=0)
        )
    head = again.layers[-1]
    assert head.get_config()["label_smoothing"] == 0.1
    assert head.get_config()["ignore_class"] == 3


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow refuses, as the next test shows")
def test_second_derivatives():
    head = layer(label_smoothing=0.1)

    def squared_gradient(features):
        if BACKEND == "jax":
            import jax

            slopes = jax.grad(lambda features: head(features, IDS).sum())(features)
        else:
            import torch

            losses = head(features, torch.tensor(IDS)).sum()
            (slopes,) = torch.autograd.grad(losses, features, create_graph=True)
        return (slopes**2).sum()

    _, found = gradient(squared_gradient, FEATURES)
    step = 1e-4
    for position in ((0, 0), (3, 2), (11, 4)):
        sides = []
        for sign in (1, -1):
            moved = FEATURES.astype("float64")
            moved[position] += sign * step
            ones = np.ones(NUMBER)
            slopes = reference(moved, KERNEL, BIAS, IDS, 0.1, ones)[1][0]
            sides.append((slopes**2).sum())
        assert found[position] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-4)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the others differentiate twice")
def test_second_derivatives_are_refused():
    import tensorflow as tf

    features = tf.constant(FEATURES)
    with tf.GradientTape() as outer:
        outer.watch(features)
        with tf.GradientTape() as inner:
            inner.watch(features)
            losses = layer()(features, IDS)
        slopes = inner.gradient(losses, features)
    with pytest.raises(NotImplementedError, match="cannot differentiate this gradient once more"):
        outer.gradient(slopes, features)


MEMORY_SCRIPT = """
import numpy as np, sys
sys.path.insert(0, "tests")
from backends import array, gradient
from keras_ce.layers import LinearCrossentropy

def megabytes(name):
    (line,) = (line for line in open("/proc/self/status") if line.startswith(name))
    return int(line.split()[1]) / 1024

head = LinearCrossentropy(32_768)
def step(number):
    features = np.random.default_rng(0).normal(size=(number, 16)).astype("float32")
    labels = np.arange(number) % 32_768
    gradient(lambda features: head(features, labels), features, mode="eager")
step(32)  # compiles, and starts what starts once
before = megabytes("VmRSS")
step(2048)
print("RESULT", megabytes("VmHWM") - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_never_holds_positions_times_classes(request):
    completed = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        cwd=request.config.rootpath,
    )
    assert completed.returncode == 0, completed.stderr
    grown = float(completed.stdout.partition("RESULT")[2])
    logits = 2048 * 32_768 * 4 / 2**20
    assert grown < logits / 3
