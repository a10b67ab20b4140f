"""Against a loop over positions and classes in float64, which never sees pieces or tiles."""

import keras
import numpy as np
import pytest
from backends import (
    BACKEND,
    COMPILED_MODES,
    MODES,
    QUICK_MODE,
    array,
    gradient_of,
    invalid,
)
from keras import ops
from linear_logits import reference, small_pieces  # noqa: F401

from keras_ce._core import linear
from keras_ce.losses import linear_crossentropy

pytestmark = pytest.mark.usefixtures("small_pieces")

NUMBER, WIDTH, CLASSES = 13, 5, 23  # a prime number of positions
GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.normal(size=(NUMBER, WIDTH)).astype("float32")
KERNEL = GENERATOR.normal(size=(WIDTH, CLASSES)).astype("float32")
BIAS = GENERATOR.normal(size=CLASSES).astype("float32")
IDS = GENERATOR.integers(0, CLASSES, NUMBER).astype("int32")
IDS[:4] = 0, CLASSES - 1, 6, 7  # first and last piece; columns that two pieces have
UPSTREAM = GENERATOR.uniform(-2, 2, NUMBER).astype("float32")
UPSTREAM[4] = 0
PRIOR = GENERATOR.uniform(0, 1, CLASSES)
PRIOR[3] = 0
WEIGHTS = GENERATOR.uniform(0, 2, CLASSES)
WEIGHTS[[5, IDS[6]]] = 0

OPTIONS = [
    {},
    {"label_smoothing": 0.2},
    {"label_smoothing": 1},
    {"logit_soft_cap": 1.5},
    {"z_loss": 0.3},
    {"class_weight": WEIGHTS.tolist()},
    {"label_smoothing": 0.3, "prior": PRIOR.tolist(), "ignore_class": 7},
    {
        "label_smoothing": 0.1,
        "prior": PRIOR.tolist(),
        "class_weight": {0: 2.5, 6: 0.5},
        "ignore_class": 7,
        "logit_soft_cap": 2.0,
        "z_loss": 0.01,
    },
]
every_options = pytest.mark.parametrize("options", OPTIONS, ids=lambda each: "-".join(each) or "-")


def values_and_slopes(
    features, kernel, bias, ids, upstream=None, mode=QUICK_MODE, dtype="float32", **options
):
    """Losses and the gradients of their sum weighted by `upstream`, by all three."""
    parts = [np.asarray(item) for item in (features, kernel, bias)]
    ends = np.cumsum([item.size for item in parts])
    upstream = np.ones(np.shape(ids), dtype) if upstream is None else upstream

    def run(flat, ids, upstream):
        start, tensors = 0, []
        for item, end in zip(parts, ends, strict=True):
            tensors.append(ops.reshape(flat[start:end], item.shape))
            start = end
        return linear_crossentropy(ids, *tensors, **options) * upstream

    flat = np.concatenate([item.ravel() for item in parts]).astype(dtype)
    values, slopes = gradient_of(run, mode)(flat, ids, upstream)
    slopes = np.split(slopes, ends[:-1])
    return values, [part.reshape(item.shape) for part, item in zip(slopes, parts, strict=True)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("class_axis", [-1, 0])
def test_all_options_at_once(class_axis, mode):
    check_values_and_gradients(OPTIONS[-1], class_axis, mode)


@every_options
def test_values_and_gradients(options):
    check_values_and_gradients(options, -(OPTIONS.index(options) % 2), QUICK_MODE)


def check_values_and_gradients(options, class_axis, mode):
    kernel = KERNEL if class_axis else KERNEL.T
    values, slopes = values_and_slopes(
        FEATURES, kernel, BIAS, IDS, UPSTREAM, mode, class_axis=class_axis, **options
    )
    losses, of_logits = reference(FEATURES, KERNEL, BIAS, IDS, **options)
    of_logits *= UPSTREAM[:, None]
    expected = of_logits @ KERNEL.T, FEATURES.T @ of_logits, of_logits.sum(0)
    np.testing.assert_allclose(values, losses * UPSTREAM, rtol=1e-5, atol=1e-6)
    slopes[1] = slopes[1] if class_axis else slopes[1].T
    for slope, exact in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, exact, rtol=2e-6, atol=5e-6)


def test_any_shape_of_positions_and_no_bias():
    expected, _ = reference(FEATURES[:12], KERNEL, np.zeros(CLASSES), IDS[:12])
    for shape in ((2, 6), (12, 1), (1, 2, 6)):
        features, ids = FEATURES[:12].reshape(*shape, WIDTH), IDS[:12].reshape(shape)
        for labels in (ids, ids[..., None]):
            losses = array(linear_crossentropy(labels, features, KERNEL))
            np.testing.assert_allclose(losses, expected.reshape(shape), rtol=1e-5)
    one = linear_crossentropy(int(IDS[0]), FEATURES[0], KERNEL)
    assert array(one).shape == ()
    assert float(array(one)) == pytest.approx(expected[0], rel=1e-5)
    nothing = linear_crossentropy(np.zeros((2, 0), "int32"), np.zeros((2, 0, WIDTH), "f"), KERNEL)
    assert array(nothing).shape == (2, 0)


@pytest.mark.parametrize("smallest", [1e-9, 1e-16])
def test_small_losses_are_exact(smallest):
    """And their gradients, also where logits are large."""
    features = np.zeros((2, WIDTH), "float32")
    for level in (0.0, 1000.0):
        bias = np.full(CLASSES, level, "float32")
        bias[9] += np.float32(np.round(-np.log(smallest)))
        others = (CLASSES - 1) * np.exp(level - bias[9].astype("float64"))
        values, slopes = values_and_slopes(features, KERNEL, bias, np.array([9, 9]))
        np.testing.assert_allclose(values, np.log1p([others, others]), rtol=5e-6)
        assert slopes[2][9] == pytest.approx(-2 * others, rel=1e-5)
        assert slopes[2][3] == pytest.approx(2 * others / (CLASSES - 1), rel=1e-5)


def test_logits_hundreds_apart():
    # Whose exponentials float32 cannot hold.
    for options in ({}, {"label_smoothing": 0.1}):
        values, slopes = values_and_slopes(FEATURES, 60 * KERNEL, BIAS, IDS, UPSTREAM, **options)
        losses, of_logits = reference(FEATURES, 60 * KERNEL, BIAS, IDS, **options)
        assert losses.max() > 100
        np.testing.assert_allclose(values, losses * UPSTREAM, rtol=1e-5, atol=1e-30)
        exact = FEATURES.T @ (of_logits * UPSTREAM[:, None])
        np.testing.assert_allclose(slopes[1], exact, atol=1e-5 * np.abs(exact).max())


def test_classes_out_of_reach():
    bias = BIAS.copy()
    bias[:8] = -np.inf  # all of the first piece
    ids = np.maximum(IDS, 8)
    ids[0] = 2
    values, slopes = values_and_slopes(FEATURES, KERNEL, bias, ids)
    expected, _ = reference(FEATURES[1:], KERNEL[:, 8:], BIAS[8:], ids[1:] - 8)
    assert values[0] == np.inf
    np.testing.assert_allclose(values[1:], expected, rtol=1e-5)
    assert np.all(slopes[2][[0, 1, *range(3, 8)]] == 0)
    assert np.isfinite(slopes[0][1:]).all()
    assert np.all(
        array(linear_crossentropy(ids, FEATURES, KERNEL, bias, label_smoothing=0.1)) == np.inf
    )
    prior = np.ones(CLASSES)
    prior[:8] = 0
    values = linear_crossentropy(ids, FEATURES, KERNEL, bias, label_smoothing=0.1, prior=prior)
    options = {"label_smoothing": 0.1}
    expected, _ = reference(FEATURES[1:], KERNEL[:, 8:], BIAS[8:], ids[1:] - 8, **options)
    np.testing.assert_allclose(array(values)[1:], expected, rtol=1e-5)


def test_ignored_positions_may_hold_anything():
    features, ids = FEATURES.copy(), IDS.copy()
    features[[1, 5]], ids[[1, 5, 12]] = np.nan, -3
    values, slopes = values_and_slopes(features, KERNEL, BIAS, ids, ignore_class=-3)
    losses, of_logits = reference(FEATURES, KERNEL, BIAS, IDS)
    losses[[1, 5, 12]], of_logits[[1, 5, 12]] = 0, 0
    np.testing.assert_allclose(values, losses, rtol=1e-5)
    np.testing.assert_allclose(slopes[1], FEATURES.T @ of_logits, atol=5e-6)
    np.testing.assert_array_equal(slopes[0][[1, 5, 12]], 0)
    values, slopes = values_and_slopes(features, KERNEL, BIAS, 0 * ids, ignore_class=0)
    assert np.all(values == 0)
    assert all(np.all(slope == 0) for slope in slopes)


def test_an_invalid_label_is_an_error():
    ids = IDS.copy()
    ids[5] = CLASSES
    expected = f"integers from 0 to {CLASSES - 1}"
    with invalid("y_true", expected, fix="subtract 1", position=(5,), value=CLASSES):
        linear_crossentropy(ids, FEATURES, KERNEL)
    with invalid("y_true", expected, position=(5, 0), value=CLASSES):
        linear_crossentropy(ids[:, None], FEATURES, KERNEL)


@pytest.mark.parametrize("mode", COMPILED_MODES)
def test_an_invalid_label_is_nan_without_gradient_when_compiled(mode):
    ids = IDS.copy()
    ids[5] = -1
    values, slopes = values_and_slopes(FEATURES, KERNEL, BIAS, ids, mode=mode)
    losses, of_logits = reference(FEATURES, KERNEL, BIAS, IDS)
    of_logits[5] = 0
    assert np.isnan(values[5])
    np.testing.assert_allclose(np.delete(values, 5), np.delete(losses, 5), rtol=1e-5)
    np.testing.assert_allclose(slopes[1], FEATURES.T @ of_logits, atol=5e-6)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("label_smoothing", 1.5, "from 0 to 1"),
        ("prior", [0.0] * CLASSES, "sum is positive"),
        ("ignore_class", 2**31, "between -2**31 and 2**31"),
        ("logit_soft_cap", 0, "a positive number"),
        ("z_loss", -0.1, "a non-negative number"),
        ("class_axis", 0.0, "an integer"),
    ],
)
def test_bad_arguments(name, value, expected):
    with invalid(name, expected, value=value):
        linear_crossentropy(IDS, FEATURES, KERNEL, **{name: value})


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="A kernel .C, D. needs `class_axis` 0"):
        linear_crossentropy(IDS, FEATURES, KERNEL.T)
    with pytest.raises(ValueError, match="`kernel` must be a matrix"):
        linear_crossentropy(IDS, FEATURES, KERNEL[0])
    with pytest.raises(ValueError, match="`kernel` must be a matrix"):
        linear_crossentropy(IDS, FEATURES, KERNEL, class_axis=2)
    with pytest.raises(ValueError, match="one number for each of 23 classes"):
        linear_crossentropy(IDS, FEATURES, KERNEL, BIAS[:5])
    with pytest.raises(ValueError, match="class ids. Received: dense rows"):
        linear_crossentropy(np.eye(CLASSES)[IDS], FEATURES, KERNEL)
    with pytest.raises(ValueError, match="one number per class"):
        linear_crossentropy(IDS, FEATURES, KERNEL, class_weight=[1.0, 2.0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_added_up_in_float32(dtype):
    half = [ops.cast(item, dtype) for item in (FEATURES, KERNEL)]
    losses = linear_crossentropy(IDS, *half, BIAS, label_smoothing=0.1, z_loss=0.1)
    assert keras.backend.standardize_dtype(losses.dtype) == "float32"
    options = {"label_smoothing": 0.1, "z_loss": 0.1}
    expected, of_logits = reference(*map(array, half), BIAS, IDS, **options)
    np.testing.assert_allclose(array(losses), expected, rtol=1e-5)

    def run(features, ids):  # factors that half precision does not hold
        return linear_crossentropy(ids, features, half[1], BIAS, **options) * 1e-9

    _, slope = gradient_of(run)(FEATURES, IDS, dtype=dtype)
    exact = 1e-9 * of_logits @ array(half[1]).astype("float64").T
    if dtype == "bfloat16":
        np.testing.assert_allclose(slope, exact, atol=0.02 * np.abs(exact).max())


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no float64 unless it is switched on")
def test_float64_is_kept():
    features, kernel, bias = (item.astype("float64") for item in (FEATURES, KERNEL, BIAS))
    for options in OPTIONS:
        values, slopes = values_and_slopes(
            features, kernel, bias, IDS, UPSTREAM.astype("float64"), dtype="float64", **options
        )
        losses, of_logits = reference(features, kernel, bias, IDS, **options)
        np.testing.assert_allclose(values, losses * UPSTREAM, rtol=1e-12, atol=1e-13)
        exact = features.T @ (of_logits * UPSTREAM[:, None])
        np.testing.assert_allclose(slopes[1], exact, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("number", [32_769, 65_537])
def test_many_positions_when_compiled(number, monkeypatch):
    """JAX 0.10.2 has given wrong sums from 32,769 rows on."""
    monkeypatch.setattr(linear, "NARROWEST_PIECE", 128)
    monkeypatch.setattr(linear, "ROWS_WORTH_LEAVING_OUT", 256)
    features = GENERATOR.normal(size=(number, 4)).astype("float32")
    ids = np.arange(number) % 7
    kernel, bias = KERNEL[:4, :7], BIAS[:7]
    for ignore_class in (None, 3):
        values, slopes = values_and_slopes(
            features, kernel, bias, ids, mode=MODES[-1], ignore_class=ignore_class
        )
        logits = features.astype("float64") @ kernel + bias
        p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        is_counted = ids != ignore_class
        expected = -np.log(p[np.arange(number), ids]) * is_counted
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
        of_logits = (p - np.eye(7)[ids]) * is_counted[:, None]
        np.testing.assert_allclose(slopes[0], of_logits @ kernel.T, atol=1e-5)
        exact = features.T @ of_logits
        # Sums of so many products, which a matrix product adds up one by one.
        np.testing.assert_allclose(slopes[1], exact, atol=5e-5 * np.abs(exact).max())


def second_derivatives(function):
    """The gradient of the squared gradient of `function(features)`, summed."""
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

        def squared(features):
            return (jax.grad(function)(features) ** 2).sum()

        return np.asarray(jax.grad(squared)(FEATURES))
    import torch

    features = torch.tensor(FEATURES, requires_grad=True)
    (slope,) = torch.autograd.grad(function(features), features, create_graph=True)
    return array(torch.autograd.grad((slope**2).sum(), features)[0])


@pytest.mark.parametrize("options", [OPTIONS[1], OPTIONS[-1]], ids=["smoothing", "all"])
def test_second_derivatives(options):
    found = second_derivatives(
        lambda features: ops.sum(
            linear_crossentropy(IDS, features, KERNEL, BIAS, **options)
            * ops.convert_to_tensor(UPSTREAM)
        )
    )
    step = 1e-5
    for position in ((0, 0), (3, 2), (11, 4)):
        sides = []
        for sign in (1, -1):
            moved = FEATURES.astype("float64")
            moved[position] += sign * step
            _, of_logits = reference(moved, KERNEL, BIAS, IDS, **options)
            slopes = (of_logits * UPSTREAM[:, None]) @ KERNEL.T.astype("float64")
            sides.append((slopes**2).sum())
        exact = (sides[0] - sides[1]) / (2 * step)
        assert found[position] == pytest.approx(exact, rel=1e-3, abs=1e-4)
