"""The linear model of n-grams: its features, its share, and the same numbers inside the model."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_union

import recipes
from recipes.runs.temperature import best_factors, best_temperature
from recipes.text_classifier import build_text_classifier
from recipes.text_classifier.ngrams import (
    fit_linear_model,
    ngram_ids,
    text_ngrams,
    tfidf,
    with_linear_model,
)
from recipes.text_classifier.training import predict_logits
from recipes.tokens.vocabulary import split_tokens

TEXTS = ["The cat sat.", "the the dog", "a CAT", "猫が 座る", "the bird sat here", "cats"]
LABELS = [0, 1, 0, 2, 1, 0]
SETTINGS = {"token_kind": "words", "size": 10_000, "class_weight": None, "seed": 0}


def runs(items, longest):
    """Every run of items, written with what stands around it."""
    return [
        tuple(items[start : start + length])
        for length in range(1, longest + 1)
        for start in range(len(items) - length + 1)
    ]


def token_runs(text, kind):
    return runs(["", *split_tokens(text, kind), ""], 2)


def stem_runs(text):
    return token_runs(text, "stems")


def character_runs(text):
    return runs(f" {' '.join(split_tokens(text, 'words'))} ", 5)


def test_features_are_those_of_scikit_learn():
    """The products of all texts: in what order the n-grams stand is a matter of their hashes."""
    for kind, analyzers in (
        ("words", [lambda text: token_runs(text, "words"), stem_runs, character_runs]),
        ("characters", [lambda text: token_runs(text, "characters")]),
    ):
        expected = make_union(*(TfidfVectorizer(analyzer=each, binary=True) for each in analyzers))
        expected = expected.fit_transform(TEXTS)
        model = fit_linear_model(TEXTS, LABELS, **{**SETTINGS, "token_kind": kind})
        found = tfidf([text_ngrams(text, kind) for text in TEXTS], model.hashes, model.rarity)
        assert found.shape == expected.shape
        np.testing.assert_allclose(
            (found @ found.T).toarray(), (expected @ expected.T).toarray(), atol=1e-12
        )


def test_a_hash_is_the_same_for_good():
    """Files hold them."""
    tokens, stems, characters = text_ngrams("a cat", "words")
    assert tokens.tolist() == [181225086, 320065242, 484277932, 1246968333, 1321526716, 1327217884]
    assert len(characters) == 4 + 6 + 5 + 4 + 3
    assert characters[:3].tolist() == [202224693, 442894951, 531824061]
    assert tokens.dtype == "int32"
    # What is a word, a stem or a character has a hash of its own.
    assert len({*tokens, *stems, *characters}) == 6 + 6 + 22


def test_long_texts_are_cut_short():
    long = "ab " * 5_000
    cut = text_ngrams("ab " * 200, "words")
    for found, expected in zip(text_ngrams(long, "words"), cut, strict=True):
        assert set(found) >= set(expected)
        assert len(found) < 40
    one_word = text_ngrams("".join(chr(0x4E00 + number) for number in range(9_000)), "words")
    assert len(one_word[2]) == 5 * 2_000 - 10


def test_it_learns_and_keeps_the_most_frequent():
    model = fit_linear_model(TEXTS, LABELS, **SETTINGS)
    assert model.logits(TEXTS).argmax(axis=1).tolist() == LABELS
    small = fit_linear_model(TEXTS, LABELS, **{**SETTINGS, "size": 5})
    assert len(small.hashes) == 5
    counts = np.unique(
        np.concatenate([block for text in TEXTS for block in text_ngrams(text, "words")]),
        return_counts=True,
    )
    smallest = sorted(counts[1])[-5]
    assert all(counts[1][counts[0] == each] >= smallest for each in small.hashes)
    assert (np.diff(small.hashes) > 0).all()


def test_two_classes_have_two_logits():
    model = fit_linear_model(TEXTS, [0, 1, 0, 1, 1, 0], **SETTINGS)
    found = model.logits(TEXTS)
    assert found.shape == (6, 2)
    assert found.argmax(axis=1).tolist() == [0, 1, 0, 1, 1, 0]


def test_class_weights_count():
    texts, labels = ["a cat", "a cat", "a cat", "the dog"], [0, 0, 1, 2]
    for weights, expected in ((None, 0), ([1.0, 5.0, 1.0], 1)):
        model = fit_linear_model(texts, labels, **{**SETTINGS, "class_weight": weights})
        assert model.logits(texts[:1]).argmax() == expected


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    vocabulary = ["", "[unknown]", "the", "cat", "sat"]
    return build_text_classifier(
        5,
        3,
        embedding_dim=4,
        units=4,
        vocabulary=vocabulary,
        class_names=list("abc"),
        token_kind="words",
    )


def test_the_model_adds_both_up(network, tmp_path):
    linear = fit_linear_model(TEXTS, LABELS, **SETTINGS)
    model = with_linear_model(network, linear, 2.5)
    texts = [*TEXTS, "unseen", "!", "the cat sat " * 30]
    expected = predict_logits(network, texts) + 2.5 * linear.logits(texts)
    np.testing.assert_allclose(predict_logits(model, texts), expected, atol=2e-5)
    np.testing.assert_array_equal(
        predict_logits(model.network(), texts), predict_logits(network, texts)
    )
    assert network.network() is network
    assert len(model.trainable_weights) == len(network.trainable_weights)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(predict_logits(loaded, texts), predict_logits(model, texts))


def test_ids_are_padded_to_few_widths():
    hashes = np.unique(np.concatenate(text_ngrams("the cat sat", "words")))
    ids = ngram_ids(hashes, ["the cat", "zzz", "the cat sat"], "words")
    assert ids.shape == (3, 3, 64)
    assert hashes[ids[2, 0][ids[2, 0] > 0] - 1].tolist() == (
        text_ngrams("the cat sat", "words")[0].tolist()
    )
    assert (ids[1, 0] > 0).sum() == 1  # the text's ends
    long = ["".join(chr(0x4E00 + number) for number in range(size)) for size in (10, 40)]
    every = np.unique(np.concatenate(text_ngrams(long[1], "characters")))
    assert ngram_ids(every, long, "characters").shape == (2, 1, 128)


def test_factors_are_the_best_there_are():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 500)
    right = np.eye(3)[labels]
    several = [right * size + random.normal(size=(500, 3)) for size in (1.0, 2.0, 0.0)]
    found = best_factors(several, labels.tolist())

    def loss(factors):
        logits = sum(factor * each for factor, each in zip(factors, several, strict=True))
        log_probability = log_softmax(logits, axis=1)
        # And one example that is a third of each class.
        return -(log_probability[np.arange(500), labels].mean() + log_probability.mean() / 500)

    assert 0.05 <= found[2] < 0.2 < found[0] < found[1]
    for index in range(2):
        for change in (0.97, 1.03):
            others = [*found]
            others[index] *= change
            assert loss(found) < loss(others)
    (alone,) = best_factors(several[:1], labels.tolist())
    assert alone == pytest.approx(1 / best_temperature(several[0], labels.tolist()), rel=1e-2)
    # All are right: as sure as 500 and a third of one can be, of 501.
    (factor,) = best_factors([right], labels.tolist())
    sureness = np.exp(factor) / (np.exp(factor) + 2)
    assert sureness == pytest.approx((500 + 1 / 3) / 501, abs=1e-5)


def test_arguments_of_the_layer_are_checked():
    layer = recipes.text_classifier.NgramLogits
    with pytest.raises(ValueError, match="`size` must be a positive integer. Received: size=0"):
        layer(0, 3)
    with pytest.raises(ValueError, match="`num_classes` must be an integer of at least 2"):
        layer(5, 1)
