"""`build_string_reader`: layout of the logits, saving, every option, arguments."""

import keras
import numpy as np
import pytest

from keras_ce.losses import GroupedSoftmaxCrossentropy
from recipes.string_reader import StringReaderModel, build_string_reader
from recipes.string_reader.layers import CharacterByCharacter, PictureContrast

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


def test_brightness_and_contrast_do_not_matter(model):
    """One gray channel is (x - mean) / deviation; a picture of one gray has no contrast."""
    images = pictures().astype("float32")
    mean, deviation = (f(images, axis=(1, 2, 3), keepdims=True) for f in (np.mean, np.std))
    found = keras.ops.convert_to_numpy(model.get_layer("contrast")(images))
    np.testing.assert_allclose(found, (images - mean) / deviation, atol=2e-3)
    np.testing.assert_allclose(logits(model, images / 2 + 50), logits(model, images), atol=2e-2)
    empty = keras.ops.convert_to_numpy(PictureContrast()(np.full((1, 4, 5, 1), 77.0)))
    assert np.abs(empty).max() < 1e-3


def test_a_colour_is_as_far_from_the_paper_as_its_parts_say():
    """Ink on one side, paper on the other: the last channel is the length of the first three."""
    images = np.full((1, 4, 6, 3), (200, 180, 240), "float32")
    images[:, :, 3:] = (20, 180, 60)
    found = keras.ops.convert_to_numpy(PictureContrast()(images))
    assert found.shape == (1, 4, 6, 4)
    np.testing.assert_allclose(
        found[..., 3], np.sqrt((found[..., :3] ** 2).sum(-1) + 1e-4), rtol=1e-5
    )
    np.testing.assert_allclose(found[..., 0], -found[:, :, ::-1, 0], atol=1e-5)
    assert (found[:, :, 3:, 0] < 0).all()


def test_positions_look_where_their_turn_is():
    """Columns that are characters in turn: position k sees the k-th of them, and how many are left.

    The reference counts by hand: sharp shares, 1 at the characters and 0 elsewhere.
    """
    is_character = np.array([[0, 1, 0, 1, 1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 1, 0]])
    features = np.random.default_rng(0).normal(size=(2, 10, 3)).astype("float32")
    shares = np.where(is_character, 20.0, -20.0)[..., None].astype("float32")
    layer = CharacterByCharacter(4)
    layer.build(features.shape, shares.shape)
    layer.sharpness.assign(60.0)
    found = keras.ops.convert_to_numpy(layer(features, shares))
    assert found.shape == layer.compute_output_shape(features.shape, shares.shape) == (2, 4, 4)
    for row in range(2):
        places = np.flatnonzero(is_character[row])
        np.testing.assert_allclose(found[row, : len(places), :3], features[row, places], atol=1e-3)
        left = np.tanh(2 * (len(places) - np.arange(4) - 0.5))
        np.testing.assert_allclose(found[row, :, 3], left, atol=1e-3)
    # Nothing but the count tells positions apart: further right they see the same.
    right = [np.roll(each, 1, axis=1) for each in (features, shares)]
    moved = keras.ops.convert_to_numpy(layer(*right))
    np.testing.assert_allclose(moved[:, :2], found[:, :2], atol=1e-3)
    np.testing.assert_allclose(moved[..., 3], found[..., 3], atol=1e-3)


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
    assert model.get_layer("columns_first").input.shape[1:3] == kept


def test_options_change_the_model():
    def summary(**options):
        model = build_string_reader((12, 30, 1), 2, 4, **{**SMALL, **options})
        return model.count_params(), len(model.layers)

    plain = summary()
    wider = summary(units=6, dropout=0.2)
    assert wider[0] > plain[0]
    assert wider[1] == plain[1] + 2
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


def test_half_precision_counts_as_whole_precision_does():
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        model = build_string_reader((64, 400, 1), 4, 3, filters=(4,), units=8)
    finally:
        keras.config.set_dtype_policy(before)
    for name in ("contrast", "positions"):
        assert model.get_layer(name).compute_dtype == "float32"
    random = np.random.default_rng(0)
    # A sum of these pixels is beyond what half a float can hold.
    pictures = random.integers(0, 256, (2, 64, 400, 1)).astype("float32")
    assert np.isfinite(keras.ops.convert_to_numpy(model(pictures)).astype("float32")).all()
