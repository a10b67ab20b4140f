"""Against a loop over all classes in float64, with angles from arccos."""

import keras
import numpy as np
import pytest
from backends import BACKEND, COMPILED_MODES, MODES, QUICK, QUICK_MODE, array, gradient, invalid
from keras import ops

from keras_ce.layers import AngularMarginCrossentropy

NUMBER, WIDTH, CLASSES = 12, 4, 9
GENERATOR = np.random.default_rng(0)
FEATURES = 3 * GENERATOR.normal(size=(NUMBER, WIDTH)).astype("float32")
KERNEL = GENERATOR.normal(size=(WIDTH, CLASSES)).astype("float32")
IDS = GENERATOR.integers(0, CLASSES, NUMBER).astype("int32")
# Two labels at more than pi - margin, whatever the margin, and two that are close.
FEATURES[0], FEATURES[1] = -2 * KERNEL[:, IDS[0]], -KERNEL[:, IDS[1]] + 0.05
FEATURES[2], FEATURES[3] = KERNEL[:, IDS[2]] + 0.1, KERNEL[:, IDS[3]] - 0.2
UPSTREAM = GENERATOR.uniform(0.5, 2, NUMBER).astype("float32")
UPSTREAM[4] = 0
SCALE = 8.0
MARGINS = {"arc": 0.5, "cosine": 0.35}
both_kinds = pytest.mark.parametrize("kind", ["arc", "cosine"])


def layer(kernel=KERNEL, scale=SCALE, **options):
    head = AngularMarginCrossentropy(kernel.shape[1], scale=scale, **options)
    head.build((None, WIDTH))
    head.set_weights([kernel])
    return head


def reference(features, kernel, ids, kind="arc", margin=None, scale=SCALE):
    """The loss of each position."""
    margin = MARGINS[kind] if margin is None else margin
    losses = []
    for row, label in zip(np.asarray(features, "float64"), ids, strict=True):
        logits = []
        for number, column in enumerate(np.asarray(kernel, "float64").T):
            cosine = row @ column / np.sqrt((row @ row) * (column @ column))
            if number == label and kind == "cosine":
                cosine = cosine - margin
            elif number == label:
                angle = np.arccos(np.clip(cosine, -1, 1))
                is_far = angle + margin > np.pi
                cosine = cosine - margin * np.sin(margin) if is_far else np.cos(angle + margin)
            logits.append(scale * cosine)
        others = np.delete(logits, label) - logits[label]
        losses.append(np.logaddexp(0, np.logaddexp.reduce(others)))
    return np.array(losses)


def slopes_of(features, kernel, upstream=UPSTREAM, **options):
    """The gradients of the weighted sum of the losses, by differences in float64."""
    step = 1e-6
    slopes = []
    for values, at in ((features, 0), (kernel, 1)):
        slope = np.zeros(values.shape)
        for position in np.ndindex(values.shape):
            sides = []
            for sign in (1, -1):
                inputs = [features.astype("float64"), kernel.astype("float64")]
                inputs[at][position] += sign * step
                sides.append((reference(*inputs, IDS, **options) * upstream).sum())
            slope[position] = (sides[0] - sides[1]) / (2 * step)
        slopes.append(slope)
    return slopes


def loss_and_gradients(head, features, labels, upstream=UPSTREAM, mode=QUICK_MODE):
    """Weighted losses, and the gradients of their sum by features and kernel."""
    variable, size = head.trainable_variables[0], features.size
    kernel = array(variable.value)

    def run(flat, labels, upstream):
        with keras.StatelessScope([(variable, ops.reshape(flat[size:], kernel.shape))]):
            return head(ops.reshape(flat[:size], features.shape), labels) * upstream

    flat = np.concatenate([features.ravel(), kernel.ravel()])
    losses, slopes = gradient(run, flat, labels, upstream, mode=mode)
    return losses, slopes[:size].reshape(features.shape), slopes[size:].reshape(kernel.shape)


@both_kinds
@pytest.mark.parametrize("mode", MODES)
def test_losses_and_gradients_with_a_factor_for_each_position(mode, kind):
    found = loss_and_gradients(layer(kind=kind), FEATURES, IDS, mode=mode)
    np.testing.assert_allclose(
        found[0], reference(FEATURES, KERNEL, IDS, kind) * UPSTREAM, rtol=1e-5
    )
    for slope, exact in zip(found[1:], slopes_of(FEATURES, KERNEL, kind=kind), strict=True):
        np.testing.assert_allclose(slope, exact, atol=2e-5)


@both_kinds
def test_another_margin_and_the_default_scale(kind):
    head = AngularMarginCrossentropy(CLASSES, 0.2, kind=kind)
    assert head.scale == 64
    head.build((None, WIDTH))
    head.set_weights([KERNEL])
    expected = reference(FEATURES, KERNEL, IDS, kind, 0.2, 64)
    np.testing.assert_allclose(array(head(FEATURES, IDS)), expected, rtol=2e-5, atol=1e-30)


@both_kinds
def test_without_a_margin_it_is_the_cross_entropy_of_the_logits(kind):
    head = layer(kind=kind, margin=0.0)
    logits = array(head(FEATURES)).astype("float64")
    losses = np.log(np.exp(logits).sum(-1)) - logits[np.arange(NUMBER), IDS]
    np.testing.assert_allclose(array(head(FEATURES, IDS)), losses, rtol=1e-5)
    lengths = np.linalg.norm(FEATURES, axis=1)[:, None] * np.linalg.norm(KERNEL, axis=0)
    np.testing.assert_allclose(logits, SCALE * (FEATURES @ KERNEL) / lengths, atol=1e-5)


def test_logits_have_no_margin():
    np.testing.assert_array_equal(
        array(layer(margin=0.5)(FEATURES)), array(layer(margin=0.1, kind="cosine")(FEATURES))
    )


@both_kinds
@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_are_finite_where_the_cosine_is_1_or_minus_1(sign, kind):
    kernel = np.eye(WIDTH, dtype="float32")
    features = sign * 3 * kernel
    head = layer(kernel, kind=kind)
    losses, *slopes = loss_and_gradients(head, features, np.arange(WIDTH), np.ones(WIDTH, "f"))
    np.testing.assert_allclose(losses, reference(features, kernel, range(WIDTH), kind), rtol=1e-5)
    for slope in slopes:
        assert np.isfinite(slope).all()
        assert np.abs(slope).max() < 100
    assert np.abs(slopes[0] - np.diag(np.diag(slopes[0]))).max() > 0 or sign == 1


def test_features_and_columns_of_zeros_have_cosine_0_and_no_gradient():
    kernel, features = KERNEL.copy(), FEATURES.copy()
    kernel[:, 5], features[1] = 0, 0
    losses, of_features, of_kernel = loss_and_gradients(layer(kernel), features, IDS)
    assert np.isfinite(losses).all()
    np.testing.assert_array_equal(of_features[1], 0)
    np.testing.assert_array_equal(of_kernel[:, 5], 0)
    kept = np.arange(NUMBER) != 1
    tiny = kernel.copy()
    tiny[0, 5] = 1e-30  # a direction in the way that the reference needs
    features[1] = 1
    cosines = array(layer(kernel)(features))
    np.testing.assert_array_equal(cosines[:, 5], 0)
    assert np.isfinite(reference(features, tiny, IDS)[kept]).all()


def test_ignored_masked_and_weightless_positions_may_hold_anything():
    features, ids = FEATURES.copy(), IDS.copy()
    features[5], features[6], ids[7], ids[8] = np.nan, np.inf, -1, 99
    weights = np.linspace(0.5, 2, NUMBER).astype("float32")
    weights[[5, 8]] = 0
    mask = np.arange(NUMBER) != 6
    head = layer(ignore_class=-1)
    losses = array(head(features, ids, weights, features_mask=ops.convert_to_tensor(mask)))
    kept = np.isin(np.arange(NUMBER), [5, 6, 7, 8], invert=True)
    expected = reference(FEATURES, KERNEL, IDS)
    np.testing.assert_allclose(losses[kept], expected[kept], rtol=1e-5)
    np.testing.assert_array_equal(losses[~kept], 0)
    mean = np.average(expected[kept], weights=weights[kept])
    assert float(array(head.losses[0])) == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize(("label", "hint"), [(CLASSES, "subtract 1"), (-1, "ignore_class=-1")])
def test_an_invalid_label_is_an_error(label, hint):
    ids = IDS.copy()
    ids[5] = label
    with invalid("labels", f"from 0 to {CLASSES - 1}", fix=hint, position=(5,), value=label):
        layer()(FEATURES, ids)


@pytest.mark.parametrize("mode", COMPILED_MODES)
def test_an_invalid_label_is_nan_without_gradient_when_compiled(mode):
    ids = IDS.copy()
    ids[5] = CLASSES
    losses, of_features, of_kernel = loss_and_gradients(layer(), FEATURES, ids, mode=mode)
    np.testing.assert_array_equal(np.isnan(losses), np.arange(NUMBER) == 5)
    upstream = UPSTREAM.copy()
    upstream[5] = 0
    for slope, exact in zip(
        (of_features, of_kernel), slopes_of(FEATURES, KERNEL, upstream), strict=True
    ):
        np.testing.assert_allclose(slope, exact, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("num_classes", 1, "an integer >= 2"),
        ("margin", -0.1, "a number from 0 to 3.14159"),
        ("margin", True, "a number from 0 to 3.14159"),
        ("scale", 0, "a positive number"),
        ("kind", "sphere", '"arc" or "cosine"'),
        ("ignore_class", 2**31, "between -2**31 and 2**31"),
    ],
)
def test_bad_arguments(name, value, expected):
    with invalid(name, expected, value=value):
        AngularMarginCrossentropy(**{"num_classes": 4, name: value})


def test_an_arc_of_more_than_a_half_turn_is_refused():
    AngularMarginCrossentropy(4, 3.2, kind="cosine")
    with invalid("margin", "a number from 0 to 3.14159", value=3.2):
        AngularMarginCrossentropy(4, 3.2)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_float32(policy):
    half = ops.cast(FEATURES, policy.removeprefix("mixed_"))
    head = layer(dtype=policy)
    losses = head(half, IDS)
    assert keras.backend.standardize_dtype(losses.dtype) == "float32"
    assert keras.backend.standardize_dtype(head(half).dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(array(losses), reference(array(half), KERNEL, IDS), rtol=1e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no float64 unless it is switched on")
def test_float64_is_kept():
    losses = layer(dtype="float64")(FEATURES.astype("float64"), IDS)
    np.testing.assert_allclose(array(losses), reference(FEATURES, KERNEL, IDS), rtol=1e-12)


def models(**options):
    features, labels = keras.Input((WIDTH,)), keras.Input((), dtype="int32")
    head = AngularMarginCrossentropy(CLASSES, scale=SCALE, **options)
    return keras.Model([features, labels], head(features, labels)), keras.Model(
        features, head(features)
    )


def test_a_model_is_fitted_without_loss_and_targets():
    trainer, predictor = models()
    assert trainer.output_shape == (None,)
    assert predictor.output_shape == (None, CLASSES)
    trainer.layers[-1].set_weights([KERNEL])
    trainer.compile(keras.optimizers.SGD(0.1), **QUICK)
    found = trainer.evaluate([FEATURES, IDS], batch_size=NUMBER, verbose=0)
    assert found == pytest.approx(reference(FEATURES, KERNEL, IDS).mean(), rel=1e-5)
    trainer.fit([FEATURES, IDS], batch_size=NUMBER, verbose=0)
    moved = KERNEL - trainer.layers[-1].get_weights()[0]
    expected = slopes_of(FEATURES, KERNEL, np.full(NUMBER, 1 / NUMBER))[1]
    np.testing.assert_allclose(moved, 0.1 * expected, atol=2e-6)


def test_a_saved_model_gives_the_same(tmp_path):
    trainer, _ = models(kind="cosine", margin=0.25, ignore_class=3)
    trainer.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    config = again.layers[-1].get_config()
    assert (config["kind"], config["margin"], config["scale"]) == ("cosine", 0.25, SCALE)
    data = [ops.convert_to_tensor(item) for item in (FEATURES, IDS)]
    np.testing.assert_array_equal(array(again(data)), array(trainer(data)))
