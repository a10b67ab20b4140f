"""Against sums over all classes in float64, which never see the layer's pieces."""

import subprocess
import sys

import backends
import keras
import numpy as np
import pytest
from backends import (
    BACKEND,
    COMPILED_MODES,
    MODES,
    QUICK,
    QUICK_MODE,
    array,
    gradient,
    invalid,
)
from keras import ops
from linear_logits import (
    reference as loop,
    small_pieces,  # noqa: F401
)

import keras_ce
from keras_ce._core import linear
from keras_ce.layers import LinearCrossentropy

pytestmark = pytest.mark.usefixtures("small_pieces")
NUMBER, WIDTH, CLASSES = 12, 5, 23
GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.normal(size=(NUMBER, WIDTH)).astype("float32")
KERNEL = GENERATOR.normal(size=(WIDTH, CLASSES)).astype("float32")
BIAS = GENERATOR.normal(size=CLASSES).astype("float32")
IDS = GENERATOR.integers(0, CLASSES, NUMBER).astype("int32")
IDS[:3] = 0, CLASSES - 1, 7  # first piece, last piece, first column of a piece
UPSTREAM = GENERATOR.uniform(0.5, 2, NUMBER).astype("float32")
UPSTREAM[4] = 0


def layer(kernel=KERNEL, bias=BIAS, **options):
    head = LinearCrossentropy(CLASSES, use_bias=bias is not None, **options)
    head.build((None, WIDTH))
    head.set_weights([kernel] if bias is None else [kernel, bias])
    return head


def reference(features, kernel, bias, ids, label_smoothing=0.0, upstream=UPSTREAM, **options):
    """Losses, and the gradients of their sum weighted by `upstream`."""
    losses, slopes = loop(features, kernel, bias, ids, label_smoothing=label_smoothing, **options)
    slopes *= upstream[:, None]
    kernel, features = kernel.astype("float64"), features.astype("float64")
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
        ("prior", [0.0] * 4, "sum is positive"),
        ("logit_soft_cap", -1.0, "a positive number"),
        ("z_loss", -1.0, "a non-negative number"),
        ("tied_to", "embedding", "None, or an `Embedding`"),
    ],
)
def test_bad_arguments(name, value, expected):
    with invalid(name, expected, value=value):
        LinearCrossentropy(**{"num_classes": 4, name: value})


def rounded(values, policy):
    """As the compute dtype of a policy holds them."""
    return array(ops.cast(values, policy.removeprefix("mixed_")))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_multiplies_in_half_and_adds_up_in_float32(policy):
    head = layer(dtype=policy)
    half = ops.cast(FEATURES, policy.removeprefix("mixed_"))
    losses = head(half, IDS)
    assert keras.backend.standardize_dtype(losses.dtype) == "float32"
    assert keras.backend.standardize_dtype(head(half).dtype) == policy.removeprefix("mixed_")
    values, _ = reference(array(half), rounded(KERNEL, policy), BIAS, IDS)
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

    half, share = rounded(FEATURES, policy), UPSTREAM / UPSTREAM.sum()
    losses, (_, kernel_gradient, bias_gradient) = reference(
        half, rounded(KERNEL, policy), BIAS, IDS, 0.0, share
    )
    assert trainer.evaluate(data, verbose=0) == pytest.approx(np.sum(losses * share), rel=1e-5)
    trainer.fit(data, batch_size=NUMBER, verbose=0)
    kernel, bias = head.get_weights()
    # In half precision, the gradient of the logits is rounded for the products.
    atol = {"float32": 1e-6, "mixed_float16": 1e-4, "mixed_bfloat16": 4e-4}[policy]
    np.testing.assert_allclose(KERNEL - kernel, 0.1 * kernel_gradient, atol=atol)
    np.testing.assert_allclose(BIAS - bias, 0.1 * bias_gradient, atol=atol)


def test_a_saved_model_gives_the_same(tmp_path):
    options = {"prior": list(range(CLASSES)), "class_weight": {2: 0.5}, "z_loss": 0.1}
    trainer, predictor = sequence_models(
        label_smoothing=0.1, ignore_class=3, logit_soft_cap=5.0, **options
    )
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
    assert {name: head.get_config()[name] for name in options} == options


# --- what training differentiates: the added loss, its gradient computed with it ---


def trained(head, features, labels, function, mode=QUICK_MODE, weights=None):
    """`function(losses, added)` of a call in training, and its gradients as above."""
    variables = head.trainable_variables
    parts = [np.asarray(features), *(array(each.value) for each in variables)]
    if weights is not None:
        parts.append(np.asarray(weights, "float32"))
    ends = np.cumsum([part.size for part in parts])

    def run(flat, labels):
        starts = [0, *ends[:-1]]
        tensors = [
            ops.reshape(flat[start:end], part.shape)
            for start, end, part in zip(starts, ends, parts, strict=True)
        ]
        own = tensors.pop() if weights is not None else None
        mapping = list(zip(variables, tensors[1:], strict=True))
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            losses = head(tensors[0], labels, own, training=True)
        return function(losses, scope.losses[0])

    flat = np.concatenate([part.ravel() for part in parts]).astype("float32")
    value, slopes = gradient(run, flat, labels, mode=mode)
    slopes = np.split(slopes, ends[:-1])
    return value, [slope.reshape(part.shape) for slope, part in zip(slopes, parts, strict=True)]


TRAINED = [
    {},
    {"label_smoothing": 0.2, "ignore_class": 7},
    {"logit_soft_cap": 1.5},
    {"z_loss": 0.2, "class_weight": {0: 3.0, 7: 0.0}},
    {"label_smoothing": 0.2, "prior": list(range(CLASSES)), "logit_soft_cap": 2.0, "z_loss": 0.1},
]


def expected_of(options, upstream, features=FEATURES, ids=IDS):
    """The losses, and the gradients for the upstream of each."""
    return reference(features, KERNEL, BIAS, ids, upstream=upstream, **options)


@pytest.mark.parametrize(
    ("options", "mode"),
    [*((TRAINED[1], mode) for mode in MODES), *((each, QUICK_MODE) for each in TRAINED)],
)
def test_the_added_loss_and_its_gradient_in_training(options, mode):
    """With a scale as mixed precision has it, and weights, of which one is 0 and one learned."""
    added, slopes = trained(
        layer(**options), FEATURES, IDS, lambda _, added: 1024 * added, mode, UPSTREAM
    )
    is_counted = options.get("ignore_class") != IDS
    share = UPSTREAM * is_counted / (UPSTREAM * is_counted).sum()
    losses, expected = expected_of(options, 1024 * share)
    mean = (losses * share).sum()
    assert added == pytest.approx(1024 * mean, rel=1e-5)
    for slope, exact in zip(slopes[:3], expected, strict=True):
        np.testing.assert_allclose(slope, exact, atol=5e-6 * 1024)
    of_weights = 1024 * (losses - mean) * is_counted / (UPSTREAM * is_counted).sum()
    of_weights[4] = slopes[3][4]  # of weight 0: it may hold anything
    np.testing.assert_allclose(slopes[3], of_weights, atol=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_both_outputs_at_once(mode):
    options = {"label_smoothing": 0.1, "z_loss": 0.1}
    value, slopes = trained(
        layer(**options),
        FEATURES,
        IDS,
        lambda losses, added: 3 * added + ops.sum(losses * ops.convert_to_tensor(UPSTREAM)),
        mode,
    )
    losses, expected = expected_of(options, UPSTREAM + 3 / NUMBER)
    assert value == pytest.approx((losses * (UPSTREAM + 3 / NUMBER)).sum(), rel=1e-5)
    for slope, exact in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, exact, atol=1e-5)


@pytest.mark.parametrize("number", [1, 3, 11])
def test_any_number_of_positions(number):
    _, slopes = trained(layer(), FEATURES[:number], IDS[:number], lambda _, added: added)
    _, expected = expected_of({}, np.full(number, 1 / number), FEATURES[:number], IDS[:number])
    for slope, exact in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, exact, atol=2e-6)


@pytest.mark.parametrize("mode", COMPILED_MODES)
def test_an_invalid_label_in_training_when_compiled(mode):
    ids = IDS.copy()
    ids[5] = CLASSES
    added, slopes = trained(layer(), FEATURES, ids, lambda _, added: added, mode)
    assert np.isnan(added)
    upstream = np.full(NUMBER, 1 / NUMBER)
    upstream[5] = 0
    _, expected = expected_of({}, upstream)
    for slope, exact in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, exact, atol=2e-6)


def test_tiny_losses_in_training():
    bias = np.zeros(CLASSES, "float32")
    bias[9] = 40
    features = np.zeros((1, WIDTH), "float32")
    added, slopes = trained(layer(bias=bias), features, np.array([9]), lambda _, added: added)
    others = (CLASSES - 1) * np.exp(-40.0)
    np.testing.assert_allclose(added, others, rtol=5e-6)
    assert slopes[2][9] == pytest.approx(-others, rel=1e-5)
    assert slopes[2][3] == pytest.approx(np.exp(-40.0), rel=1e-5)


def test_few_rows_against_many_classes(monkeypatch):
    """Nothing is kept then: each piece is computed twice."""
    monkeypatch.setattr(linear, "FEWEST_ROWS_OF_A_TILE", 4)
    _, slopes = trained(layer(), FEATURES, IDS, lambda _, added: added)
    _, expected = expected_of({}, np.full(NUMBER, 1 / NUMBER))
    for slope, exact in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, exact, atol=2e-6)


def test_a_frozen_kernel_gets_no_gradient_and_stays():
    features, labels = keras.Input((WIDTH,)), keras.Input((), dtype="int32")
    dense = keras.layers.Dense(WIDTH, kernel_initializer="identity")
    head = LinearCrossentropy(CLASSES)
    model = keras.Model([features, labels], head(dense(features), labels))
    head.set_weights([KERNEL, BIAS])
    head.trainable = False
    model.compile(keras.optimizers.SGD(0.1), **QUICK)
    model.fit([FEATURES, IDS], batch_size=NUMBER, verbose=0)
    np.testing.assert_array_equal(head.get_weights()[0], KERNEL)
    _, (of_features, _, _) = expected_of({}, np.full(NUMBER, 1 / NUMBER))
    exact = np.eye(WIDTH) - 0.1 * FEATURES.T @ of_features
    np.testing.assert_allclose(dense.get_weights()[0], exact, atol=1e-6)
    kind = linear.Logits(FEATURES, KERNEL, IDS, trains_kernel=False).parts()[0]
    assert kind.for_each_input(["features", "bias"]) == ("features", None, "bias")


def test_two_heads_in_one_model():
    features, labels = keras.Input((WIDTH,)), keras.Input((), dtype="int32")
    heads = LinearCrossentropy(CLASSES), LinearCrossentropy(CLASSES, label_smoothing=0.3)
    model = keras.Model([features, labels], [head(features, labels) for head in heads])
    for head in heads:
        head.set_weights([KERNEL, BIAS])
    model.compile(keras.optimizers.SGD(0.1), **QUICK)
    losses = model.fit([FEATURES, IDS], batch_size=NUMBER, verbose=0).history["loss"]
    share = np.full(NUMBER, 1 / NUMBER)
    results = [expected_of({"label_smoothing": each}, share) for each in (0.0, 0.3)]
    assert losses[0] == pytest.approx(sum(losses.mean() for losses, _ in results), rel=1e-5)
    for head, (_, expected) in zip(heads, results, strict=True):
        np.testing.assert_allclose(head.get_weights()[0], KERNEL - 0.1 * expected[1], atol=1e-6)


def test_the_same_head_twice():
    head = layer()
    halves = FEATURES[:6], FEATURES[6:]
    kernel, bias = head.trainable_variables

    def run(weights):
        with keras.StatelessScope(
            [(kernel, weights), (bias, bias.value)], collect_losses=True
        ) as scope:
            head(halves[0], IDS[:6], training=True)
            first = scope.losses[0]
            head(halves[1], IDS[6:], training=True)
        return first + 2 * scope.losses[-1]

    _, slope = gradient(run, KERNEL)
    upstream = np.repeat([1 / 6, 2 / 6], 6)
    np.testing.assert_allclose(slope, expected_of({}, upstream)[1][1], atol=3e-6)


def squared_gradient(function):
    """The gradient of the squared gradient of `function(features)`."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        features = tf.constant(FEATURES)
        with tf.GradientTape() as outer:
            outer.watch(features)
            with tf.GradientTape() as inner:
                inner.watch(features)
                value = function(features)
            total = tf.reduce_sum(inner.gradient(value, features) ** 2)
        return array(outer.gradient(total, features))
    if BACKEND == "jax":
        import jax

        return np.asarray(
            jax.grad(lambda features: (jax.grad(function)(features) ** 2).sum())(FEATURES)
        )
    import torch

    features = torch.tensor(FEATURES, requires_grad=True)
    (slope,) = torch.autograd.grad(function(features), features, create_graph=True)
    return array(torch.autograd.grad((slope**2).sum(), features)[0])


@pytest.mark.parametrize("training", [False, True])
def test_second_derivatives(training):
    head = layer(label_smoothing=0.1)

    def both(features):
        with keras.StatelessScope(collect_losses=True) as scope:
            losses = head(features, IDS, training=training)
        return scope.losses[0] * NUMBER + ops.sum(losses)

    found = squared_gradient(both)
    step = 1e-5
    for position in ((0, 0), (3, 2), (11, 4)):
        sides = []
        for sign in (1, -1):
            moved = FEATURES.astype("float64")
            moved[position] += sign * step
            slopes = reference(moved, KERNEL, BIAS, IDS, 0.1, np.full(NUMBER, 2.0))[1][0]
            sides.append((slopes**2).sum())
        assert found[position] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-3)


# --- the best classes ---


@pytest.mark.parametrize(
    ("options", "mode", "ks"),
    [({}, MODES[-1], (1, 5, 7, CLASSES)), ({"logit_soft_cap": 1.5}, MODES[0], (5,))],
)
def test_top_k(options, mode, ks):
    head = layer(**options)
    for k in ks:
        values, ids = (
            backends.call(
                lambda features, k=k, of=of: head.top_k(features, k)[of], FEATURES, mode=mode
            )
            for of in (0, 1)
        )
        logits = array(head(FEATURES)).astype("float64")
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        order = np.argsort(-logits, -1)[:, :k]
        np.testing.assert_array_equal(ids, order)
        np.testing.assert_allclose(
            values, np.take_along_axis(logits, order, -1), rtol=1e-5, atol=1e-6
        )
    values, ids = head.top_k(FEATURES.reshape(2, 6, WIDTH), 3)
    assert array(ids).shape == (2, 6, 3)
    with invalid("k", "from 1 to 23", value=24):
        head.top_k(FEATURES, 24)
    with invalid("k", "an integer >= 1", value=0):
        head.top_k(FEATURES, 0)


# --- tied to an embedding ---


def tied_models(embedding, **options):
    tokens = keras.Input((4,), dtype="int32")
    labels = keras.Input((4,), dtype="int32")
    features = keras.layers.Dense(WIDTH, kernel_initializer="identity")(embedding(tokens))
    head = LinearCrossentropy(CLASSES, tied_to=embedding, name="head", **options)
    return keras.Model([tokens, labels], head(features, labels)), keras.Model(
        tokens, head(features)
    )


@pytest.mark.parametrize("kind", [keras.layers.Embedding, keras.layers.ReversibleEmbedding])
def test_a_tied_head_learns_from_both_uses(kind):
    embedding = kind(CLASSES, WIDTH, name="table")
    trainer, predictor = tied_models(embedding, use_bias=False)
    embedding.set_weights([KERNEL.T])
    assert len(trainer.trainable_weights) == 3
    tokens, labels = IDS.reshape(3, 4), (IDS.reshape(3, 4) + 1) % CLASSES
    features, flat = KERNEL.T[IDS], labels.ravel()
    np.testing.assert_allclose(
        array(predictor(tokens)), (features @ KERNEL).reshape(3, 4, CLASSES), rtol=1e-4, atol=1e-5
    )
    trainer.compile(keras.optimizers.SGD(0.1), **QUICK)
    trainer.fit([tokens, labels], batch_size=3, verbose=0)
    share = np.full(NUMBER, 1 / NUMBER)
    _, (of_features, of_kernel, _) = reference(features, KERNEL, 0 * BIAS, flat, 0.0, share)
    expected = of_kernel.T
    np.add.at(expected, IDS, of_features)
    np.testing.assert_allclose(KERNEL.T - embedding.get_weights()[0], 0.1 * expected, atol=1e-6)


def test_a_tied_head_is_saved_and_loaded_as_one_weight(tmp_path):
    trainer, predictor = tied_models(keras.layers.Embedding(CLASSES, WIDTH, name="table"))
    tokens = IDS.reshape(3, 4)
    for model, inputs in ((trainer, [tokens, tokens]), (predictor, tokens)):
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        np.testing.assert_allclose(
            again.predict(inputs, verbose=0), model.predict(inputs, verbose=0), rtol=1e-6
        )
        assert again.get_layer("head").tied_to is again.get_layer("table")
        assert again.count_params() == model.count_params()
        again.get_layer("table").set_weights([2 * KERNEL.T])
        assert not np.allclose(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_a_tied_head_without_its_model():
    embedding = keras.layers.Embedding(CLASSES, WIDTH, name="table")
    head = LinearCrossentropy(CLASSES, tied_to=embedding)
    config = head.get_config()
    with pytest.raises(ValueError, match="does not hold the layer 'table'.*Give the layer"):
        LinearCrossentropy.from_config(config)
    again = LinearCrossentropy.from_config({**config, "tied_to": embedding})
    assert again.tied_to is embedding
    head(FEATURES)
    assert embedding.built
    with pytest.raises(ValueError, match="as many numbers as a vector of `tied_to`"):
        LinearCrossentropy(CLASSES, tied_to=embedding).build((None, WIDTH + 1))
    with invalid("tied_to", f"of {CLASSES + 1} vectors", fix=f"It has {CLASSES}"):
        LinearCrossentropy(CLASSES + 1, tied_to=embedding)
    apart = keras.layers.ReversibleEmbedding(CLASSES, WIDTH, tie_weights=False)
    with invalid("tied_to", fix="a second kernel"):
        LinearCrossentropy(CLASSES, tied_to=apart)


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
