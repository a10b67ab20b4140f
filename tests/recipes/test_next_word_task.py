"""`NextWord`: fitting, predicting, files, scikit-learn, mistakes."""

import copy
import pickle
import random

import keras
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from recipes.next_word import NextWord, NextWordModel, data, training

SMALL = {"embedding_dim": 8, "units": 8, "batch_size": 16, "verbose": 0}
SUBJECTS = ["The dog", "My cat", "A horse", "Our cow", "Nobody"]
ACTIONS = ["eats hay", "drinks cold water", "runs a race", "sleeps"]


def texts(count, seed):
    chosen = random.Random(seed)
    return [
        f"{chosen.choice(SUBJECTS)} {chosen.choice(ACTIONS)}, and {chosen.choice(SUBJECTS)} "
        f"{chosen.choice(ACTIONS)}; name{seed}x{number} too."
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def model():
    settings = {"words_per_epoch": 1500, "sequence_length": 16, "learning_rate": 0.02}
    model = NextWord(**SMALL, **settings, epochs=6, seed=3)
    assert model.fit(texts(200, 0), validation_data=texts(30, 1)) is model
    return model


def test_it_learns_what_follows(model):
    scores = model.evaluate(texts(40, 2))
    assert scores["perplexity"] == model.perplexity(texts(40, 2)) < 4
    assert scores["perplexity"] == pytest.approx(np.exp(scores["nll"]))
    assert 0.5 < scores["accuracy"] < scores["hit_at_5"] <= 1
    assert scores["unknown_share"] > 0
    assert model.next_words("Nobody drinks cold", k=1)[0][0] == "water"
    assert len(model.history_["loss"]) == len(model.history_["val_perplexity"])


def test_next_words_are_the_most_probable_known_ones(model):
    ids = [1, model.vocabulary_.index("The"), model.vocabulary_.index("dog")]
    row = np.zeros((1, 8), "int32")
    row[0, :3] = ids
    expected = softmax(model.model_.predict_on_batch(row)[0, 2].astype("float64"))
    found = model.next_words("The dog", k=len(model.vocabulary_) - 2)
    assert {word for word, _ in found} == {*model.vocabulary_[2:]}
    for word, probability in found:
        assert probability == pytest.approx(expected[model.vocabulary_.index(word)], rel=1e-5)
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    assert model.next_words("The dog", k=3) == found[:3]


def test_only_as_many_words_count_as_in_training(model):
    begun = "sleeps " * 16
    assert model.next_words("water " * 5 + begun) == model.next_words(begun)
    assert len(model.next_words("")) == 5


def test_without_validation_data_it_sets_a_twentieth_aside(monkeypatch):
    """The same texts as `examples.train_next_word`."""
    seen = []

    def stop(models, *sets, **settings):
        seen.extend(sets)
        raise InterruptedError

    monkeypatch.setattr(training, "train", stop)
    known = texts(60, 5)
    for given in ((known,), data.split_validation(known, "they")):
        with pytest.raises(InterruptedError):
            NextWord(**SMALL).fit(*given)
    assert [len(each) for each in seen] == [57, 3, 57, 3]
    for own, other in zip(seen[0] + seen[1], seen[2] + seen[3], strict=True):
        np.testing.assert_array_equal(own, other)


def test_one_file_holds_all_of_it(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = NextWord.load(tmp_path / "model.keras")
    assert loaded.next_words("My cat") == model.next_words("My cat")
    assert loaded.perplexity(texts(9, 4)) == model.perplexity(texts(9, 4))
    assert loaded.get_params() == model.get_params()
    assert (loaded.vocabulary_, loaded.history_) == (model.vocabulary_, model.history_)
    inside = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert isinstance(inside, NextWordModel)
    assert (inside.vocabulary, inside.token_kind) == (model.vocabulary_, "cased")


def test_it_is_an_estimator(model):
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert other.next_words("My cat") == model.next_words("My cat")
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    with pytest.raises(NotFittedError, match="call `fit`"):
        fresh.next_words("My cat")


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({"tokens": "stems"}, texts(60, 1), "`tokens` must be one of 'cased', 'words', 'charac"),
        (
            {"vocabulary_size": 2},
            texts(60, 1),
            "`vocabulary_size` must be an integer of at least 3",
        ),
        ({"units": 10**9}, texts(60, 1), "weights, which take .* GiB .* give smaller"),
        ({"words_per_epoch": 0}, texts(60, 1), "`words_per_epoch` must be a positive integer"),
        ({"label_smoothing": -0.1}, texts(60, 1), "`label_smoothing` must be a number from 0 to 1"),
        ({"seed": 2**40}, texts(60, 1), "`seed` must be an integer from 0 to 4294967295"),
        ({}, "one text", "`texts` must be a sequence of strings"),
        ({}, [], "there is no text; give at least one"),
        ({}, ["a", 7], "text 2 is no string but 7; leave it out"),
        ({}, ["one"], "the training data has too few texts to set some aside"),
        ({}, [f"a{n} b{n}" for n in range(50)], "no word comes 2 times in the training texts"),
    ],
)
def test_a_mistake_is_one_line(settings, given, message):
    with pytest.raises(ValueError, match=message) as raised:
        NextWord(**{**SMALL, **settings}).fit(given)
    assert "\n" not in str(raised.value)


def test_mistakes_of_a_fitted_model_are_one_line(model):
    for text, k, message in (
        (["a", "list"], 5, "expected a string; received"),
        ("The", 0, "`k` must be a positive integer"),
        ("The", 99, "`k` must be at most 20, the number of known words. Received: k=99"),
    ):
        with pytest.raises(ValueError, match=message):
            model.next_words(text, k)
    with pytest.raises(ValueError, match="the given texts have no words"):
        model.perplexity(["...", "?!"])
