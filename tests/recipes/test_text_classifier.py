"""`build_text_classifier`: padding, saving, training, arguments."""

import keras
import numpy as np
import pytest
from backends import BACKEND, QUICK

import keras_ce
from recipes.text_classifier import (
    AffixEmbedding,
    build_text_classifier,
)
from recipes.tokens.model import MaskedPooling1D

VOCABULARY = ["", "[unknown]", *(f"word{number}" for number in range(28))]
SMALL = {"embedding_dim": 8, "units": 5, "convolution_filters": 6}
VARIANTS = {
    "last": {},
    "bidirectional last": {"bidirectional": True},
    "mean": {"pooling": "mean", "dropout": 0.5},
    "max": {"pooling": "max", "bidirectional": True},
    "convolutions and last": {"convolution_widths": (3,)},
    "convolutions alone": {"convolution_widths": (2, 3), "units": 0},
    "everything": {
        "pooling": "max",
        "bidirectional": True,
        "convolution_widths": (2, 3),
        "affix_buckets": 50,
        "vocabulary": VOCABULARY,
        "class_names": ["a", "b", "c"],
        "token_kind": "words",
        "embedding_dropout": 0.3,
        "dropout": 0.5,
    },
}


@pytest.fixture(params=VARIANTS, scope="module")
def model(request):
    keras.utils.set_random_seed(3)
    return build_text_classifier(30, 3, **{**SMALL, **VARIANTS[request.param]})


def logits(model, ids):
    # On JAX each call would compile its LSTM anew.
    predict = model.predict_on_batch if BACKEND == "jax" else model
    return keras.ops.convert_to_numpy(predict(np.asarray(ids, dtype="int32")))


def random_ids(rows, columns):
    return np.random.default_rng(5).integers(1, 30, size=(rows, columns))


def test_padding_changes_nothing(model):
    ids = random_ids(4, 6)
    expected = logits(model, ids)
    assert expected.shape == (4, 3)
    np.testing.assert_allclose(logits(model, np.pad(ids, ((0, 0), (0, 7)))), expected, atol=1e-6)
    # A short text in a batch of long ones gives what it gives alone.
    batch = ids.copy()
    batch[2, 2:] = 0
    np.testing.assert_allclose(logits(model, batch)[2:3], logits(model, ids[2:3, :2]), atol=1e-6)


def test_another_token_changes_the_logits(model):
    ids = random_ids(1, 6)
    other = ids.copy()
    other[0, -1] = 2 + (other[0, -1] - 1) % 28
    assert np.abs(logits(model, ids) - logits(model, other)).max() > 1e-5


def test_a_row_of_padding_alone_is_finite(model):
    ids = random_ids(2, 4)
    ids[1] = 0
    result = logits(model, ids)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result[1:], logits(model, np.zeros((1, 9))), atol=1e-6)


# "everything" is bidirectional, has convolutions and takes the maximum.
@pytest.mark.parametrize("name", ["last", "mean", "convolutions alone", "everything"])
def test_a_training_step_keeps_everything_finite(name):
    ids = random_ids(6, 5)
    ids[0] = 0
    keras.utils.set_random_seed(3)
    trained = build_text_classifier(30, 3, **{**SMALL, **VARIANTS[name]})
    before = trained.get_weights()
    trained.compile(
        keras.optimizers.Adam(0.01),
        keras_ce.losses.LabelSmoothedCrossentropy(0.1, from_logits=True),
        **QUICK,
    )
    trained.fit(ids, np.arange(6) % 3, verbose=0)
    after = trained.get_weights()
    assert all(np.isfinite(weights).all() for weights in after)
    changed = [np.any(a != b) for a, b in zip(before, after, strict=True)]
    tables = [weights.dtype.kind == "i" for weights in before]
    assert changed == [not is_table for is_table in tables]


def test_defaults_are_those_of_the_study_notes():
    model = build_text_classifier()
    assert model.input_shape == (None, None)
    assert model.output_shape == (None, 10)
    assert model.get_layer("embedding").get_config()["input_dim"] == 10_000
    assert model.get_layer("embedding").get_config()["output_dim"] == 128
    assert model.get_layer("lstm").units == 64


def test_half_precision_keeps_padding_apart():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build_text_classifier(30, 3, **SMALL, **VARIANTS["everything"])
    finally:
        keras.config.set_dtype_policy("float32")
    ids = random_ids(2, 4)
    padded = np.pad(ids, ((0, 0), (0, 4)))
    padded[1] = 0
    result = logits(model, padded)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result[0], logits(model, ids)[0], atol=2e-2)


@pytest.mark.parametrize("mode", ["mean", "max"])
def test_masked_pooling_against_a_loop(mode):
    inputs = np.random.default_rng(1).normal(size=(3, 5, 2)).astype("float32") - 3
    mask = np.array([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
    found = keras.ops.convert_to_numpy(MaskedPooling1D(mode)(inputs, mask=mask))
    for row in range(3):
        for feature in range(2):
            valid = [inputs[row, time, feature] for time in range(5) if mask[row, time]]
            expected = 0.0
            if valid:
                expected = max(valid) if mode == "max" else sum(valid) / len(valid)
            assert found[row, feature] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("mode", ["foo", None, "MAX"])
def test_masked_pooling_knows_its_modes(mode):
    with pytest.raises(ValueError, match=r"`mode` must be one of 'sum', 'mean', 'max'"):
        MaskedPooling1D(mode)


def test_words_that_end_alike_share_a_vector():
    layer = AffixEmbedding(["", "[unknown]", "biology", "geology", "cat"], 1000, 4, longest=3)
    layer.build(None)
    table = keras.ops.convert_to_numpy(layer.table)
    vectors = keras.ops.convert_to_numpy(layer.vectors)
    found = keras.ops.convert_to_numpy(layer(np.array([[0, 1, 2]], dtype="int32")))
    assert not table[:2].any()
    assert not found[0, :2].any()
    affixes = [vectors[affix] for affix in table[2] if affix]
    np.testing.assert_allclose(found[0, 2], sum(affixes) / len(affixes) ** 0.5, atol=1e-6)
    biology, geology, cat = (set(row[row > 0]) for row in table[2:])
    assert len(biology) == len(geology) == 6
    assert len(biology & geology) == 3  # "y>", "gy>", "ogy>"
    assert not biology & cat


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary": "abc"}, "`vocabulary` must be a sequence of strings"),
        ({"vocabulary": [0, 1]}, "`vocabulary` must be a sequence of strings"),
        ({"buckets": 1}, "`buckets` must be an integer of at least 2. Received: buckets=1"),
        ({"output_dim": 0}, "`output_dim` must be a positive integer"),
        ({"longest": 0.5}, "`longest` must be a positive integer"),
    ],
)
def test_affix_arguments_are_checked(arguments, message):
    good = {"vocabulary": ["", "[unknown]", "cat"], "buckets": 9, "output_dim": 2}
    with pytest.raises(ValueError, match=message):
        AffixEmbedding(**good | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, r"`units` must be a positive integer. Received: units=0\."),
        ({"units": -1, "convolution_widths": (2,)}, r"`units` must be a non-negative integer"),
        ({"units": True}, r"`units` must be a positive integer. Received: units=True\."),
        ({"embedding_dim": 1.5}, r"`embedding_dim` must be a positive .* embedding_dim=1\.5"),
        ({"vocabulary_size": 1}, r"`vocabulary_size` must be an integer of at least 2"),
        ({"num_classes": -3}, r"`num_classes` must be an integer of at least 2.* num_classes=-3"),
        ({"bidirectional": 1}, r"`bidirectional` must be True or False. Received: bidirect"),
        ({"pooling": "sum"}, r"`pooling` must be one of 'last', 'mean', 'max'. .*pooling='sum'"),
        ({"dropout": 1}, r"`dropout` must be a number from 0 up to.* Received: dropout=1\."),
        ({"embedding_dropout": "x"}, r"`embedding_dropout` must be a number.*='x'"),
        ({"convolution_widths": 3}, r"`convolution_widths` must be a sequence.*widths=3"),
        ({"convolution_widths": (2, 0)}, r"`convolution_widths\[1\]` must be a positive integer"),
        ({"convolution_filters": 0}, r"`convolution_filters` must be a positive integer"),
        ({"affix_buckets": -1}, r"`affix_buckets` must be a non-negative integer"),
        ({"affix_buckets": 1}, r"`affix_buckets` must be 0 \(no affixes\) or at least 2"),
        ({"affix_buckets": 9}, r"`affix_buckets` needs `vocabulary`"),
        ({"longest_affix": 0}, r"`longest_affix` must be a positive integer"),
        ({"vocabulary": ["", "?"]}, r"`vocabulary` must be a sequence of 10000 strings"),
        ({"vocabulary": range(10000)}, r"`vocabulary` must be a sequence of 10000 strings"),
        ({"units": 10**9}, r"the model would have [\d,]+ weights, which take [\d,]+ GiB"),
        ({"class_names": "abc"}, r"`class_names` must be a sequence of 10 .*class_names='abc'"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_text_classifier(**arguments)
