import keras
import numpy as np
import pytest
from backends import BACKEND, array, invalid

from keras_ce.layers import OrdinalLogits
from keras_ce.losses import OrdinalCrossentropy, ordinal_probabilities

GENERATOR = np.random.default_rng(34)


def layer(kernel, steps, **options):
    head = OrdinalLogits(len(steps) + 1, **options)
    head.build((None, len(kernel)))
    head.set_weights([np.reshape(kernel, (-1, 1)), np.array(steps)])
    return head


def test_a_score_less_ordered_thresholds():
    kernel, steps = GENERATOR.normal(size=3), GENERATOR.normal(size=4)
    features = GENERATOR.normal(size=(2, 5, 3)).astype("float32")
    logits = array(layer(kernel, steps)(features))
    thresholds = [steps[0]]
    for step in steps[1:]:
        thresholds.append(thresholds[-1] + np.log1p(np.exp(step)))
    for place in np.ndindex(2, 5):
        score = sum(x * w for x, w in zip(features[place], kernel, strict=True))
        np.testing.assert_allclose(
            logits[place], [score - threshold for threshold in thresholds], atol=1e-5
        )


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_no_weights_bring_the_thresholds_out_of_order(dtype):
    head = layer([1.0], [5.0, -200.0, 3.0, -9.0, -0.1], dtype=dtype)
    logits = array(head(GENERATOR.normal(size=(50, 1))))
    assert np.all(np.diff(logits, axis=-1) <= 0)
    assert np.all(array(ordinal_probabilities(logits)) >= 0)
    assert np.all(np.diff(array(head.thresholds)) >= 0)


@pytest.mark.parametrize("number", [2, 3, 10])
def test_a_score_of_0_begins_with_equal_probabilities(number):
    head = OrdinalLogits(number)
    logits = head(np.zeros((1, 4), "float32"))
    assert tuple(logits.shape) == (1, number - 1)
    np.testing.assert_allclose(array(ordinal_probabilities(logits)), 1 / number, rtol=1e-5)


def test_a_saved_model_predicts_the_same(tmp_path):
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, OrdinalLogits(2, name="head")(keras.layers.Masking()(inputs)))
    model.compile("sgd", OrdinalCrossentropy())
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    features = GENERATOR.normal(size=(2, 4, 3)).astype("float32")
    np.testing.assert_array_equal(array(again(features)), array(model(features)))
    assert again.get_layer("head").get_config()["num_classes"] == 2
    assert model.output_shape == (None, None, 1)


def test_a_mask_is_passed_on():
    features = GENERATOR.normal(size=(2, 3, 2)).astype("float32")
    features[0, 1:] = 0
    head = layer([1.0, 2.0], [0.0, 1.0])
    logits = head(keras.layers.Masking()(features))
    values = OrdinalCrossentropy(reduction="none")(np.zeros((2, 3), "int32"), logits)
    assert (array(values) == 0).tolist() == [[False, True, True], [False, False, False]]


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no float64 unless it is switched on")
def test_float64_stays_float64():
    head = layer([0.1], [0.3, 0.7], dtype="float64")
    logits = array(head(np.array([[1.0]])))
    expected = 0.1 - np.array([0.3, 0.3 + np.log1p(np.exp(0.7))])
    np.testing.assert_allclose(logits[0], expected, rtol=1e-14)


def test_wrong_arguments():
    for value in (1, 0, 2.5, True, None):
        with invalid("num_classes", value=value):
            OrdinalLogits(value)
    with pytest.raises(ValueError, match="a known last dimension"):
        OrdinalLogits(3).build((None, None))
