"""Windows, scores, trigrams, word vectors and the mixture of a next-word model's training."""

import collections
import math

import numpy as np
import pytest

from recipes.next_word import build_next_word, evaluation, training
from recipes.next_word.evaluation import score_texts
from recipes.next_word.training import order_of_windows, train, windows, windows_of
from recipes.runs.failures import UserError
from recipes.tokens import word_vectors
from recipes.tokens.trigrams import TrigramModel


def test_windows_give_every_word_once_after_the_word_before_it():
    texts = [np.arange(2, 12), np.array([20]), np.arange(30, 34)]
    found = windows(texts, 4)
    assert [window.tolist() for window in found] == [
        [1, 2, 3, 4, 5],
        [5, 6, 7, 8, 9],
        [9, 10, 11],
        [1, 20],
        [1, 30, 31, 32, 33],
    ]


def test_epochs_go_through_all_windows_before_one_comes_again(monkeypatch):
    texts = [np.arange(2, 42), np.arange(50, 90)]
    models = build_next_word(90, embedding_dim=2, units=2)
    given = {}

    def fit(inputs, **options):
        given.update(options, inputs=inputs)
        return type("History", (), {"history": {"val_loss": [1.0]}})

    def order(seed):
        monkeypatch.setattr(models.trainer, "fit", fit)
        settings = {"batch_size": 2, "sequence_length": 4, "learning_rate": 0.1, "patience": 1}
        train(models, texts, texts, epochs=5, words_per_epoch=32, seed=seed, verbose=0, **settings)
        return given["inputs"]

    tokens, following = order(seed=1)
    assert (given["steps_per_epoch"], given["batch_size"], given["shuffle"]) == (4, 2, False)
    assert tokens.shape == following.shape == (5 * 4 * 2, 8)
    np.testing.assert_array_equal(tokens[:, 1:4], following[:, :3])
    np.testing.assert_array_equal(following[:, 4:], 0)
    every = {*range(2, 42), *range(50, 90)}
    for half in np.split(following[:, :4], 2):
        assert collections.Counter(half.ravel().tolist()) == dict.fromkeys(every, 1)
    np.testing.assert_array_equal(order(seed=1)[0], tokens)
    assert (order(seed=2)[0] != tokens).any()


SETTINGS = {"sequence_length": 4, "learning_rate": 1e-12, "patience": 9, "verbose": 0}


@pytest.mark.parametrize("most", [training.MOST_WORDS_LAID_OUT, 1])
def test_an_epoch_goes_on_where_the_last_one_ended(monkeypatch, most):
    monkeypatch.setattr(training, "MOST_WORDS_LAID_OUT", most)
    texts = [np.arange(2, 42), np.arange(50, 90)]
    models = build_next_word(90, embedding_dim=2, units=2, word_counts=list(range(1, 91)))
    ids, following, _ = windows_of(texts, 2, 4)
    losses = np.asarray(models.trainer.predict_on_batch([ids, following]))[:, :4].mean(axis=1)
    # 20 windows, 6 in an epoch; whatever the limit, all of them come once.
    laid_out = 5 if most > 1 else 4
    order = order_of_windows(len(ids), laid_out * 6, seed=1)
    expected = losses[np.resize(order, 5 * 6)].reshape(5, 6).mean(axis=1)
    history = train(
        models, texts, texts, epochs=5, words_per_epoch=24, batch_size=2, seed=1, **SETTINGS
    )
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)


def test_validation_takes_batches_of_the_same_size(monkeypatch):
    taken = []
    loss = training.ValidationLoss
    monkeypatch.setattr(
        training,
        "ValidationLoss",
        lambda windows, **options: taken.append(windows) or loss(windows, **options),
    )
    texts = [np.arange(2, 4)] * 40
    models = build_next_word(5, embedding_dim=2, units=2)
    train(models, texts, texts, epochs=1, words_per_epoch=9, batch_size=2, seed=1, **SETTINGS)
    assert taken[0].batch_size == windows_of(texts, 2, 4).batch_size == 4


def test_a_training_that_diverges_is_one_line():
    texts = [np.arange(2, 42)]
    models = build_next_word(50, embedding_dim=2, units=2)
    settings = SETTINGS | {"learning_rate": 1e30}
    with pytest.raises(UserError, match="diverged.*smaller learning_rate"):
        train(models, texts, texts, epochs=1, words_per_epoch=40, batch_size=2, seed=1, **settings)


def brute_force_kneser_ney(texts, size, discount):
    """P(word | two before), from the definitions and dictionaries."""
    triples = collections.Counter()
    for text in texts:
        padded = [1, 1, *text]
        triples.update(zip(padded, padded[1:], padded[2:], strict=False))

    def smoothed(counts, context, lower):
        followers = {key[-1]: n for key, n in counts.items() if key[:-1] == context}
        total = sum(followers.values())
        if not total:
            return lower
        spare = discount * len(followers) / total
        return [
            max(followers.get(word, 0) - discount, 0) / total + spare * lower[word]
            for word in range(size)
        ]

    pairs = collections.Counter((b, c) for _, b, c in triples)
    words = collections.Counter((c,) for _, c in pairs)
    uniform = [0, *[1 / (size - 1)] * (size - 1)]
    of_word = smoothed(words, (), uniform)
    return lambda a, b: smoothed(triples, (a, b), smoothed(pairs, (b,), of_word))


@pytest.fixture(scope="module")
def counted():
    random_numbers = np.random.default_rng(4)
    texts = [random_numbers.zipf(1.4, 30).clip(max=11) for _ in range(6)]
    return texts, brute_force_kneser_ney(texts, 14, 0.7)


def test_trigrams_against_the_definition(counted):
    texts, expected = counted
    model = TrigramModel(texts, 14, 0.7)
    every = np.arange(14)
    contexts = [(1, 1), (1, 2), (2, 1), (11, 3), (12, 1), (1, 12), (13, 13)]
    best_words = model.best_words(*np.array(contexts).T, 5)
    for (older, last), best in zip(contexts, best_words, strict=True):
        of_words = expected(older, last)
        assert sum(of_words) == pytest.approx(1)
        found = model.probabilities(np.full(14, older), np.full(14, last), every)
        np.testing.assert_allclose(found, of_words, rtol=1e-12)
        ranked = sorted(of_words, reverse=True)[:5]
        np.testing.assert_allclose([of_words[word] for word in best], ranked, rtol=1e-12)


def test_scores_against_softmax():
    predictor = build_next_word(14, embedding_dim=3, units=4).predictor
    predictor.set_weights([8 * weights for weights in predictor.get_weights()])
    texts = [np.random.default_rng(seed).integers(1, 14, 3 + 4 * seed) for seed in range(3)]
    scores = score_texts(predictor, texts, sequence_length=5, number=4)
    rows = []
    for window in windows(texts, 5):
        # One more position: Keras warns of a softmax over one.
        padded = np.pad(window[:-1], (0, 1))[None]
        logits = predictor.predict_on_batch(padded)[0, :-1].astype("float64")
        rows.extend(np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True))
    rows = np.array(rows)
    np.testing.assert_array_equal(scores.words, np.concatenate(texts))
    right = rows[np.arange(len(rows)), scores.words]
    np.testing.assert_allclose(scores.losses, -np.log(right), rtol=1e-4, atol=1e-5)
    # By their probabilities: words that are all but equally probable may change places.
    largest = -np.sort(-rows, axis=-1)[:, :4]
    of_best = np.take_along_axis(rows, scores.best, axis=-1)
    np.testing.assert_allclose(of_best, largest, rtol=1e-4)
    np.testing.assert_allclose(scores.probabilities, of_best, rtol=1e-4)


def test_the_baseline_is_chosen_on_validation_and_scored_on_test(counted):
    texts, _ = counted
    scores = evaluation.score_trigrams(texts[:4], texts[4:5], texts[5:], 14)
    perplexities = {}
    for discount in evaluation.DISCOUNTS:
        conditional = brute_force_kneser_ney(texts[:4], 14, discount)
        for name, text in (("validation", texts[4]), ("test", texts[5])):
            padded = [1, 1, *text]
            rows = [conditional(*padded[place : place + 2]) for place in range(len(text))]
            perplexities[discount, name] = np.exp(
                -np.mean([math.log(row[word]) for row, word in zip(rows, text, strict=True)])
            )
            top = [np.argmax(row) == word for row, word in zip(rows, text, strict=True)]
            if discount == scores.metrics["discount"] and name == "test":
                assert scores.metrics["accuracy"] == pytest.approx(np.mean(top), abs=0.1)
    best = min(evaluation.DISCOUNTS, key=lambda each: perplexities[each, "validation"])
    assert scores.metrics["discount"] == best
    assert scores.metrics["perplexity"] == pytest.approx(perplexities[best, "test"])
    assert scores.metrics["hit_at_5"] >= scores.metrics["accuracy"]


def test_word_vectors_say_how_much_more_often_than_by_chance_a_word_follows():
    # 2 and 3 come before 4 or 5, 6 and 7 before 8 or 9; what comes first decides what comes third.
    draw = np.random.default_rng(0).integers
    texts = [np.array([base + draw(2), base + 2 + draw(2), base + 8]) for base in [2, 6] * 100]
    # Whatever the tables hold is in so many vectors.
    vectors = word_vectors.vectors_of_words(texts, 15, 14, seed=1)
    assert vectors.shape == (3, 15, 14)
    for table, distance, share in ((vectors[0], 1, 1.0), (vectors[1], 2, word_vectors.OLDER)):
        begun = [np.concatenate([[1] * distance, text]) for text in texts]
        pairs = np.concatenate([np.stack([t[:-distance], t[distance:]], 1) for t in begun])
        found = table @ vectors[2].T
        for context, word in {(2, 4), (6, 9), (3, 4)} if distance == 1 else {(2, 10), (7, 14)}:
            together = ((pairs[:, 0] == context) & (pairs[:, 1] == word)).sum()
            alone = (pairs[:, 0] == context).sum(), (pairs[:, 1] == word).sum()
            ratio = together * len(pairs) / np.prod(alone)
            expected = share * np.log1p(ratio) * together / (together + 1)
            assert found[context, word] == pytest.approx(expected, rel=1e-6)
        assert abs(found[2, 9]) < 1e-9
    np.testing.assert_allclose(vectors[0][[0, 12]], 0, atol=1e-9)
    np.testing.assert_array_equal(word_vectors.vectors_of_words(texts, 15, 14, seed=1), vectors)


def test_batches_of_short_texts_hold_more_of_them():
    texts = [np.arange(2, 10)] * 9
    assert windows_of(texts, 2, 8).batch_size == 2
    assert windows_of(texts, 2, 32).batch_size == 8
    assert windows_of(texts, 2, 512).batch_size == 9  # No window twice in a batch.


def test_the_weight_of_the_mixture_comes_from_validation():
    # The network is right on the validation texts, the baseline on the test texts.
    validation = np.log([1 / 0.9] * 4), np.full(4, 0.1)
    test = np.log([1 / 0.2] * 3), np.full(3, 0.8)
    found = evaluation.combined(validation, test)
    assert found["network_weight"] == 1
    assert found["perplexity"] == pytest.approx(5)
    half = np.log([1 / 0.9, 1 / 0.1]), np.array([0.1, 0.9])
    found = evaluation.combined(half, test)
    assert found["network_weight"] == pytest.approx(0.5)
    assert found["perplexity"] == pytest.approx(2)
