"""`build_string_reader`: layout of the logits, saving, every option, arguments."""

import keras
import numpy as np
import pytest

from keras_ce.losses import GroupedSoftmaxCrossentropy
from recipes.string_reader import StringReaderModel, build_string_reader

SMALL = {"filters": (4, 6), "units": 5}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return build_string_reader(
        (12, 30, 1), 3, 4, alphabet="abcd", loss_kind="sigmoid", dropout=0.5, **SMALL
    )


def pictures(count=2, shape=(12, 30, 1)):
    return np.random.default_rng(1).integers(0, 256, size=(count, *shape)).astype("uint8")


def logits(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


def test_logits_are_finite_flat_and_not_normalised(model):
    result = logits(model, pictures())
    assert result.shape == (2, 12)
    assert np.isfinite(result).all()
    assert model.output_shape == (None, 12)
    assert not np.allclose(np.exp(result).reshape(2, 3, 4).sum(-1), 1)


def test_values_are_scaled_inside(model):
    images = pictures()
    scaled = model.get_layer("minus_one_to_one")(images)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(scaled), images / 127.5 - 1.0, atol=1e-6, rtol=0
    )
    np.testing.assert_array_equal(logits(model, images), logits(model, images.astype("float32")))


def test_each_position_has_its_own_branch(model):
    """Only its own logits depend on the weights of a position's branch."""
    images = pictures()
    before = logits(model, images).reshape(2, 3, 4)
    layer = model.get_layer("character_1")
    weights = layer.get_weights()
    layer.set_weights([weights[0], weights[1] + 1])
    after = logits(model, images).reshape(2, 3, 4)
    layer.set_weights(weights)
    np.testing.assert_allclose(after[:, 1], before[:, 1] + 1, atol=1e-5)
    np.testing.assert_array_equal(after[:, [0, 2]], before[:, [0, 2]])


def test_a_picture_does_not_change_those_beside_it(model):
    images = pictures(3)
    np.testing.assert_allclose(
        logits(model, images)[1:2], logits(model, images[1:2]), atol=1e-5, rtol=1e-5
    )


def test_saved_and_loaded(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert isinstance(loaded, StringReaderModel)
    assert (loaded.alphabet, loaded.loss_kind) == ("abcd", "sigmoid")
    np.testing.assert_array_equal(logits(loaded, pictures()), logits(model, pictures()))


@pytest.mark.parametrize("length", [1, 3])
def test_a_clone_knows_its_characters_and_its_loss(length):
    options = {"alphabet": "abcd", "loss_kind": "softmax"}
    model = build_string_reader((12, 30, 1), length, 4, **options, **SMALL)
    clone = keras.models.clone_model(model)
    assert isinstance(clone, StringReaderModel)
    assert (clone.alphabet, clone.loss_kind) == ("abcd", "softmax")
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(logits(clone, pictures()), logits(model, pictures()))


def test_learns_a_string_of_one_character():
    """Bright at the left or at the right: two characters at one position, one flat group."""
    keras.utils.set_random_seed(0)
    images = np.zeros((32, 8, 16, 1), "uint8")
    images[::2, :, :8] = 200
    images[1::2, :, 8:] = 200
    ids = np.arange(32)[:, None] % 2
    model = build_string_reader((8, 16, 1), 1, 2, **SMALL)
    model.compile(
        keras.optimizers.Adam(0.01), loss=GroupedSoftmaxCrossentropy([2], from_logits=True)
    )
    model.fit(images, ids, epochs=30, batch_size=32, verbose=0)
    predicted = model.predict(images, verbose=0).argmax(-1)
    # In 30 steps: batch normalisation's averages must be quick for few pictures.
    assert (predicted == ids[:, 0]).all()


@pytest.mark.parametrize(
    ("shape", "length", "smaller", "stride", "kept"),
    [
        ((42, 152, 3), 4, None, 2, (2, 19)),
        ((192, 512, 3), 6, 4, 2, (3, 32)),
        ((200, 100, 1), 4, 2, 2, (6, 25)),
        ((5, 3, 1), 3, None, 1, (2, 3)),
    ],
)
def test_rows_are_pooled_and_columns_kept(shape, length, smaller, stride, kept):
    model = build_string_reader(shape, length, 3, filters=(2, 2, 2, 2), units=2)
    pooled = [layer.pool_size[0] for layer in model.layers if layer.name == "smaller"]
    assert pooled == ([smaller] if smaller else [])
    assert model.get_layer("convolution_0").strides[0] == stride
    assert model.get_layer("features").input.shape[1:3] == kept


def test_options_change_the_model():
    def summary(**options):
        model = build_string_reader((12, 30, 1), 2, 4, **{**SMALL, **options})
        return model.count_params(), len(model.layers)

    plain = summary()
    wider = summary(units=6, dropout=0.2)
    assert wider[0] > plain[0]
    assert wider[1] == plain[1] + 4
    assert summary(filters=(4, 6, 6))[1] > plain[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (12, 30)}, r"`image_shape` must be \(height, width, channels\), for ex"),
        ({"image_shape": (12, 0, 1)}, r"`image_shape\[1\]` must be a positive integer. Received"),
        ({"image_shape": "big"}, r"`image_shape` must be a sequence of positive integers. Rec"),
        ({"image_shape": 12}, r"`image_shape` must be a sequence of positive integers. Received"),
        ({"filters": ()}, r"`filters` must be a sequence of positive integers. Received: filt"),
        ({"filters": (4, 2.5)}, r"`filters\[1\]` must be a positive integer. Received: filters"),
        ({"length": 0}, r"`length` must be a positive integer. Received: length=0"),
        ({"length": True}, r"`length` must be a positive integer. Received: length=True"),
        ({"alphabet_size": -1}, r"`alphabet_size` must be a positive integer. Received: alph"),
        ({"units": 0}, r"`units` must be a positive integer. Received: units=0"),
        ({"dropout": 1}, r"`dropout` must be a number from 0 up to, but not including, 1"),
        ({"alphabet": "abc"}, r"`alphabet` must be a string of 4 characters.*alphabet='abc'"),
        ({"alphabet": ["a", "b", "c", "d"]}, r"`alphabet` must be a string of 4 characters"),
        ({"loss_kind": "hinge"}, r"`loss_kind` must be one of '', 'grouped', 'sigmoid', 'softmax'"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        build_string_reader(
            **{"image_shape": (12, 30, 1), "length": 3, "alphabet_size": 4, **options}
        )


def test_without_alphabet_it_is_empty():
    model = build_string_reader((6, 8, 1), 2, 3, **SMALL)
    assert (model.alphabet, model.loss_kind) == ("", "")
