"""`build_next_word`: losses and logits, padding, training, saving, arguments."""

import keras
import numpy as np
import pytest

import keras_ce
from recipes.next_word import NextWordModels, build_next_word
from recipes.next_word.model import _what_followed

VOCABULARY = ["", "[unknown]", *(f"word{number}" for number in range(28))]
SMALL = {"embedding_dim": 6, "units": 5, "vocabulary": VOCABULARY, "token_kind": "cased"}
VARIANTS = {
    "plain": {},
    "everything": {
        "embedding_dropout": 0.2,
        "dropout": 0.5,
        "label_smoothing": 0.1,
        "word_counts": list(range(30)),
        "word_vectors": np.random.default_rng(2).normal(size=(3, 30, 6)),
    },
}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request):
    return VARIANTS[request.param]


@pytest.fixture(scope="module")
def model(variant):
    keras.utils.set_random_seed(3)
    return build_next_word(30, **SMALL, **variant)


def call(model, *ids):
    arrays = [np.asarray(each, dtype="int32") for each in ids]
    return np.asarray(model.predict_on_batch(arrays if len(arrays) > 1 else arrays[0]))


def call_floats(model, *inputs):
    return np.asarray(model.predict_on_batch(list(inputs)))


def random_ids(rows=4, columns=7, seed=5):
    return np.random.default_rng(seed).integers(1, 30, size=(rows, columns))


def log_softmax(logits):
    logits = logits.astype("float64")
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def test_losses_are_the_crossentropy_of_the_logits(model, variant):
    tokens, following = random_ids(seed=1), random_ids(seed=2)
    logs = log_softmax(call(model.predictor, tokens))
    assert logs.shape == (4, 7, 30)
    smoothing = variant.get("label_smoothing", 0)
    of_word = np.take_along_axis(logs, following[..., None], axis=-1)[..., 0]
    expected = -(1 - smoothing) * of_word - smoothing * logs.mean(axis=-1)
    np.testing.assert_allclose(call(model.trainer, tokens, following), expected, rtol=1e-5)


def test_padding_changes_nothing(model):
    tokens, following = random_ids(seed=1), random_ids(seed=2)
    losses, logits = call(model.trainer, tokens, following), call(model.predictor, tokens)
    wider = [np.pad(ids, ((0, 0), (0, 4))) for ids in (tokens, following)]
    padded = call(model.trainer, *wider)
    np.testing.assert_allclose(padded[:, :7], losses, rtol=1e-5)
    np.testing.assert_array_equal(padded[:, 7:], 0)
    np.testing.assert_allclose(call(model.predictor, wider[0])[:, :7], logits, atol=1e-5)


def test_a_word_never_sees_what_comes_after_it(model):
    tokens = random_ids()
    logits = call(model.predictor, tokens)
    changed = tokens.copy()
    changed[:, 4] = 1 + changed[:, 4] % 29
    differences = np.abs(call(model.predictor, changed) - logits).max(axis=(0, 2))
    np.testing.assert_array_equal(differences[:4], 0)
    assert (differences[4:] > 1e-5).all()


def test_fitting_the_trainer_without_targets_trains_the_predictor():
    keras.utils.set_random_seed(1)
    model = build_next_word(30, **SMALL)
    tokens, following = random_ids(8), random_ids(8, seed=2)
    following[0, 3:] = 0
    before = model.predictor.get_weights()
    losses = call(model.trainer, tokens, following)
    model.trainer.compile(keras.optimizers.Adam(0.05))
    first, *_, last = model.trainer.fit(
        (tokens, following), batch_size=8, epochs=12, verbose=0
    ).history["loss"]
    # The mean over the positions that are not padding.
    assert first == pytest.approx(losses[following > 0].mean(), rel=1e-5)
    assert last < 0.8 * first
    after = model.predictor.get_weights()
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))
    assert model.predictor.get_layer("next_word") is model.trainer.get_layer("next_word")


def test_word_counts_are_what_an_untrained_model_predicts():
    counts = np.arange(30)
    model = build_next_word(30, **SMALL, word_counts=counts)
    table = model.predictor.get_layer("next_word_vectors")
    table.set_weights([np.zeros((30, 6))])
    found = np.exp(log_softmax(call(model.predictor, [[3, 4]])))[0]
    np.testing.assert_allclose(found, [(counts + 1) / (counts + 1).sum()] * 2, rtol=1e-5)


def test_word_vectors_are_what_an_untrained_model_predicts_by():
    keras.utils.set_random_seed(1)
    last, older, following = vectors = np.random.default_rng(1).normal(0, 0.3, size=(3, 30, 6))
    model = build_next_word(30, **SMALL, word_vectors=vectors, word_counts=[1] * 30)
    logits = call(model.predictor, [[3, 4, 5, 6]])[0]
    # All words are as frequent: what is left of the logits are the features.
    features = np.linalg.lstsq(np.c_[following, np.ones(30)], logits.T, rcond=None)[0][:6].T
    # The word of a place came after the place before it: the first has itself alone to copy.
    np.testing.assert_allclose(features[0], last[3] + 1.5 * following[3], atol=1e-4)
    copied = features[1] - last[4] - older[3]
    shares, *_ = np.linalg.lstsq(following[[3, 4]].T, copied, rcond=None)
    np.testing.assert_allclose(shares @ following[[3, 4]], copied, atol=1e-4)
    assert shares.sum() == pytest.approx(1.5, rel=1e-4)
    assert (shares > 0.01).all()


def test_what_followed_a_like_place_is_copied():
    state, vectors = keras.Input((None, 3)), keras.Input((None, 2))
    model = keras.Model([state, vectors], _what_followed(state, vectors, "copy"))
    # Places 0 and 3 are alike, 1 and 4 too, and all else is not.
    kernel = np.array([[30.0, 0.0], [0.0, 30.0], [-30.0, -30.0]])
    model.get_layer("copy_place").set_weights([kernel, np.zeros(2)])
    states = np.eye(3, dtype="float32")[[0, 1, 2, 0, 1]][None]
    of_words = np.random.default_rng(1).normal(size=(1, 5, 2)).astype("float32")
    found = call_floats(model, states, of_words)[0]
    # The word of position 1 came after place 0, that of position 2 after place 1.
    np.testing.assert_allclose(found[3:], of_words[0, [1, 2]], rtol=1e-5)


def test_the_kernel_of_the_output_layer_is_the_table_that_words_are_copied_from(model, tmp_path):
    model.predictor.save(tmp_path / "model.keras")
    for each in (model.predictor, keras.saving.load_model(tmp_path / "model.keras")):
        table = each.get_layer("next_word_vectors")
        assert each.get_layer("next_word").tied_to is table
        # Those of the last word, of the one before it, and of the next one: no kernel beside them.
        assert sum(tuple(weight.shape) == table.embeddings.shape for weight in each.weights) == 3


def test_both_models_survive_saving(model, tmp_path):
    tokens, following = random_ids(seed=1), random_ids(seed=2)
    for name, inputs in (("trainer", (tokens, following)), ("predictor", (tokens,))):
        saved = getattr(model, name)
        saved.save(tmp_path / f"{name}.keras")
        loaded = keras.saving.load_model(tmp_path / f"{name}.keras", safe_mode=True)
        np.testing.assert_allclose(call(loaded, *inputs), call(saved, *inputs), atol=1e-6)
        assert loaded.vocabulary == tuple(VOCABULARY)
        assert loaded.token_kind == "cased"


def test_defaults():
    model = build_next_word()
    assert isinstance(model, NextWordModels)
    assert [tuple(shape) for shape in model.trainer.input_shape] == [(None, None)] * 2
    assert model.trainer.output_shape == (None, None)
    assert model.predictor.output_shape == (None, None, 30_000)
    assert isinstance(model.trainer.get_layer("next_word"), keras_ce.layers.LinearCrossentropy)
    assert model.trainer.get_layer("last_word_vectors").output_dim == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary_size": 1}, r"`vocabulary_size` must be an integer of at least 2"),
        ({"embedding_dim": 0}, r"`embedding_dim` must be a positive integer"),
        ({"units": 0}, r"`units` must be a positive integer"),
        ({"dropout": 1.0}, r"`dropout` must be a number from 0 up to"),
        ({"embedding_dropout": -0.1}, r"`embedding_dropout` must be a number from 0 up to"),
        ({"label_smoothing": 1.5}, r"`label_smoothing` must be .*1\.5"),
        ({"vocabulary": ["", "?"]}, r"`vocabulary` must be a sequence of 30000 strings"),
        ({"vocabulary": "abc"}, r"`vocabulary` must be a sequence .*vocabulary='abc'"),
        (
            {"word_vectors": np.ones((3, 30_000, 63))},
            r"= \(3, 30000, 64\)\. .*\(3, 30000, 63\)",
        ),
        ({"word_counts": [1, 2]}, r"`word_counts` must be a sequence of 30000 numbers"),
        (
            {"vocabulary_size": 2, "word_counts": [1, -1]},
            r"`word_counts` must be .* >= 0.*\[1, -1\]",
        ),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_next_word(**arguments)
