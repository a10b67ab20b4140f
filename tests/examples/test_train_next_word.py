"""`examples.train_next_word`: a whole run, its windows, its numbers, its baseline, bad input."""

import collections
import csv
import json
import math
import random
import re

import keras
import numpy as np
import pytest

from examples import train_next_word
from recipes.next_word import (
    baseline as next_word_baseline,
    build_next_word,
    data as next_word_texts,
    evaluation as next_word_report,
)
from recipes.next_word.training import NextWordBatches, score_texts, windows
from recipes.runs.failures import UserError
from recipes.tokens import vocabulary, word_vectors
from recipes.tokens.model import TokenModel

RESULTS = ["history.png", "metrics.json", "model.keras", "model.png", "predictions.csv"]
SUBJECTS = ["The dog", "My cat", "A horse", "Our cow", "Nobody"]
ACTIONS = ["eats hay", "drinks cold water", "runs a race", "sleeps"]
FIRST_RUN = ["--epochs=6", "--words-per-epoch=1500", "--label-smoothing=0.05"]


def write_texts(path, count, seed):
    chosen = random.Random(seed)
    lines = [
        f"{chosen.choice(SUBJECTS)} {chosen.choice(ACTIONS)}, and {chosen.choice(SUBJECTS)} "
        f"{chosen.choice(ACTIONS)}; name{seed}x{number} too."
        for number in range(count)
    ]
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return path


def train(folder, output, *more):
    files = [f"--{name}={folder / name}.txt" for name in ("train", "validation", "test")]
    small = ["--batch-size=16", "--sequence-length=16", "--seed=3", "--learning-rate=0.02"]
    train_next_word.main([*files, *small, f"--output={output}", *more])


@pytest.fixture(scope="module", autouse=True)
def small_network():
    """The command line as it is, a network that trains in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        small = {"embedding_dim": 8, "units": 8, "features_dim": 8}
        patch.setattr(train_next_word, "ARCHITECTURE", {**train_next_word.ARCHITECTURE, **small})
        yield


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    for seed, (name, count) in enumerate((("train", 200), ("validation", 30), ("test", 40))):
        write_texts(folder / f"{name}.txt", count, seed)
    return folder


@pytest.fixture(scope="module")
def run(texts):
    """A finished run on the generated texts."""
    train(texts, texts / "run", *FIRST_RUN)
    return texts / "run"


@pytest.fixture(scope="module")
def metrics(run):
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def test_a_run_leaves_its_results_and_learns(run, metrics):
    assert sorted(path.name for path in run.iterdir()) == RESULTS
    for name in RESULTS:
        if name.endswith(".png"):
            assert (run / name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert metrics["vocabulary_size"] == 22
    assert metrics["perplexity"] < 4
    assert metrics["accuracy"] > 0.5
    assert metrics["hit_at_5"] > 0.95
    assert metrics["baseline"]["perplexity"] < 3
    assert metrics["baseline"]["accuracy"] > 0.5
    assert metrics["combined"]["perplexity"] <= metrics["perplexity"]
    assert 0 <= metrics["combined"]["network_weight"] <= 1


def test_the_numbers_are_those_of_the_saved_model(run, texts, metrics):
    model = keras.saving.load_model(run / "model.keras", safe_mode=True)
    assert isinstance(model, TokenModel)
    assert model.token_kind == "cased"
    assert {"The", "My", "hay", "Nobody"} < set(model.vocabulary)
    id_of = {word: index for index, word in enumerate(model.vocabulary) if index > 1}
    lines = (texts / "test.txt").read_text(encoding="utf-8").split("\n")
    sequences = [[id_of.get(word, 1) for word in re.findall(r"\w+", line)] for line in lines[:40]]
    width = max(map(len, sequences))
    tokens = np.zeros((40, width), dtype="int32")
    for row, sequence in zip(tokens, sequences, strict=True):
        row[: len(sequence)] = [1, *sequence[:-1]]
    logits = np.asarray(model.predict_on_batch(tokens)).astype("float64")
    losses, ranks = [], []
    for row, sequence in zip(logits, sequences, strict=True):
        for scores, word in zip(row, sequence, strict=False):
            losses.append(math.log(np.exp(scores).sum()) - scores[word])
            ranks.append((scores > scores[word]).sum())
    assert metrics["words"]["test"] == len(losses) == sum(map(len, sequences))
    assert metrics["nll"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert metrics["perplexity"] == pytest.approx(math.exp(np.mean(losses)), rel=1e-5)
    assert metrics["accuracy"] == pytest.approx(np.mean(np.array(ranks) < 1))
    assert metrics["hit_at_5"] == pytest.approx(np.mean(np.array(ranks) < 5))
    # One new name in every line.
    assert metrics["unknown_share"] == pytest.approx(40 / len(losses))

    with open(run / "predictions.csv", newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(losses)
    for row, loss in zip(rows, losses, strict=True):
        assert float(row["probability"]) == pytest.approx(math.exp(-loss), abs=1e-4)
    top = [row["guess_1"] == row["word"] for row in rows]
    assert np.mean(top) == pytest.approx(metrics["accuracy"])
    assert [row["word"] for row in rows[:2]] == re.findall(r"\w+", lines[0])[:2]
    assert [row["context"] for row in rows[:3]] == [
        "",
        rows[0]["word"],
        " ".join(row["word"] for row in rows[:2]),
    ]


def test_the_same_command_gives_the_same_numbers(texts, metrics, tmp_path, capsys):
    train(texts, tmp_path / "again", *FIRST_RUN)
    again = json.loads((tmp_path / "again" / "metrics.json").read_text(encoding="utf-8"))
    for name in ("nll", "accuracy", "combined", "epochs"):
        assert again[name] == metrics[name]
    out = capsys.readouterr().out
    assert "vocabulary: 22 of at most 50000" in out
    assert "perplexity of the validation texts: " in out
    assert "unknown, and count as one word" in out
    beaten = "does not beat the trigrams" in out
    assert beaten == (metrics["perplexity"] > metrics["baseline"]["perplexity"])


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


def test_epochs_go_through_all_windows_before_one_comes_again():
    texts = [np.arange(2, 42), np.arange(50, 90)]
    batches = NextWordBatches(texts, 2, 4, words_per_epoch=32, seed=1)
    again = NextWordBatches(texts, 2, 4, words_per_epoch=32, seed=1)
    seen = collections.Counter()
    for epoch in range(5):
        assert len(batches) == 4
        for index in range(4):
            ((tokens, following),) = batches[index]
            np.testing.assert_array_equal(again[index][0][0], tokens)
            assert tokens.shape == following.shape == (2, 8)
            np.testing.assert_array_equal(tokens[:, 1:4], following[:, :3])
            np.testing.assert_array_equal(following[:, 4:], 0)
            seen.update(following[:, :4].ravel().tolist())
        if epoch == 1:
            assert max(seen.values()) == 1
        batches.on_epoch_end()
        again.on_epoch_end()
    assert set(seen.values()) == {2}
    assert set(seen) == {*range(2, 42), *range(50, 90)}


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
    model = next_word_baseline.TrigramModel(texts, 14, 0.7)
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
        logits = predictor.predict_on_batch(window[None, :-1])[0].astype("float64")
        rows.extend(np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True))
    rows = np.array(rows)
    np.testing.assert_array_equal(scores.words, np.concatenate(texts))
    right = rows[np.arange(len(rows)), scores.words]
    np.testing.assert_allclose(scores.losses, -np.log(right), rtol=1e-4, atol=1e-5)
    ranked = np.argsort(-rows, axis=-1)[:, :4]
    np.testing.assert_array_equal(scores.best, ranked)
    expected = np.take_along_axis(rows, ranked, axis=-1)
    np.testing.assert_allclose(scores.probabilities, expected, rtol=1e-4)


def test_the_baseline_is_chosen_on_validation_and_scored_on_test(counted):
    texts, _ = counted
    scores = next_word_baseline.score_trigrams(texts[:4], texts[4:5], texts[5:], 14)
    perplexities = {}
    for discount in next_word_baseline.DISCOUNTS:
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
    best = min(next_word_baseline.DISCOUNTS, key=lambda each: perplexities[each, "validation"])
    assert scores.metrics["discount"] == best
    assert scores.metrics["perplexity"] == pytest.approx(perplexities[best, "test"])
    assert scores.metrics["hit_at_5"] >= scores.metrics["accuracy"]


def test_words_that_the_same_words_follow_have_close_vectors():
    # 2 and 3 come before 4 or 5, 6 and 7 before 8 or 9.
    draw = np.random.default_rng(0).integers
    texts = [np.array([base + draw(2), base + 2 + draw(2)]) for base in [2, 6] * 100]
    vectors = word_vectors.vectors_of_words(texts, 10, 4, seed=1)
    assert vectors.shape == (10, 4)
    assert (vectors**2).sum(axis=1).mean() == pytest.approx(1)
    cosine = keras.utils.normalize(vectors) @ keras.utils.normalize(vectors).T
    assert cosine[2, 3] > 0.8
    assert cosine[6, 7] > 0.8
    assert abs(cosine[2, 6]) < 0.2
    np.testing.assert_allclose(vectors[[0, 4, 9]], 0, atol=1e-9)
    np.testing.assert_array_equal(word_vectors.vectors_of_words(texts, 10, 4, seed=1), vectors)


def test_the_weight_of_the_mixture_comes_from_validation():
    # The network is right on the validation texts, the baseline on the test texts.
    validation = np.log([1 / 0.9] * 4), np.full(4, 0.1)
    test = np.log([1 / 0.2] * 3), np.full(3, 0.8)
    found = next_word_report.combined(validation, test)
    assert found["network_weight"] == 1
    assert found["perplexity"] == pytest.approx(5)
    half = np.log([1 / 0.9, 1 / 0.1]), np.array([0.1, 0.9])
    found = next_word_report.combined(half, test)
    assert found["network_weight"] == pytest.approx(0.5)
    assert found["perplexity"] == pytest.approx(2)


def test_without_arguments_there_are_30_000_words_of_pythons_own_sources():
    options = train_next_word.parse([])
    training, validation, test = next_word_texts.read_texts(options)
    words = vocabulary.build_vocabulary(
        training,
        options.tokens,
        size=options.vocabulary_size,
        minimum_count=train_next_word.MINIMUM_COUNT,
    )
    assert len(words) >= 30_000
    assert not {*test} & {*training, *validation}
    assert not {*validation} & {*training}
    assert any("DEFAULT_BUFFER_SIZE" in text for text in (*training, *validation, *test))


def bad_input(folder, case):
    """Arguments with one mistake, and what the one line has to say."""
    good = write_texts(folder / "good.txt", 60, 1)
    arguments = ["--train", good]
    if case == "missing file":
        return ["--train", folder / "none.txt"], r"none\.txt does not exist; check the path"
    if case == "folder":
        return ["--train", folder], r"cannot be read \(Is a directory\); name a readable file"
    if case == "empty file":
        (folder / "empty.txt").write_text(" \n\n", encoding="utf-8")
        return [*arguments, "--test", folder / "empty.txt"], r"empty\.txt is empty; expected one"
    if case == "no words":
        (folder / "marks.txt").write_text("...\n?!\n", encoding="utf-8")
        return [*arguments, "--test", folder / "marks.txt"], r"the test texts have no words; give"
    if case == "too few texts":
        (folder / "few.txt").write_text("one text alone\n", encoding="utf-8")
        return ["--train", folder / "few.txt"], r"few\.txt has too few texts to set some aside"
    if case == "nothing comes twice":
        lines = (f"only{number} once{number}\n" for number in range(50))
        (folder / "once.txt").write_text("".join(lines), encoding="utf-8")
        return ["--train", folder / "once.txt"], r"no word comes twice in the training texts"
    if case == "test without train":
        return ["--test", good], r"--test and --validation need --train"
    if case == "output is a file":
        return [*arguments, "--output", good], r"output folder .*good\.txt cannot be written"
    if case == "output holds a run":
        return [*arguments, "--output", folder], r"already holds a run \(good\.txt\)"
    raise AssertionError(case)


@pytest.mark.parametrize(
    "case",
    [
        "missing file",
        "folder",
        "empty file",
        "no words",
        "too few texts",
        "nothing comes twice",
        "test without train",
        "output is a file",
        "output holds a run",
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, case):
    arguments, message = bad_input(tmp_path, case)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        train_next_word.main([str(argument) for argument in arguments])
    assert "\n" not in str(raised.value)
    assert capsys.readouterr().out == ""
    # Nothing is lost, and nothing is left behind.
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not (tmp_path / "runs").exists()


def test_a_python_without_its_sources_is_one_line(tmp_path, monkeypatch):
    from recipes.corpora import standard_library

    monkeypatch.setattr(standard_library, "_STANDARD_LIBRARY", tmp_path)
    with pytest.raises(UserError, match=r"no sources of its standard library.*--train FILE"):
        train_next_word.main([])


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--epochs", "0", "expected a positive integer, received '0'"),
        ("--sequence-length", "long", "expected a positive integer, received 'long'"),
        ("--learning-rate", "0", "expected a number above 0, received '0'"),
        ("--learning-rate", "inf", "expected a number above 0, received 'inf'"),
        ("--label-smoothing", "-0.1", "expected a number from 0 to 1, received '-0.1'"),
        ("--vocabulary-size", "2", "--vocabulary-size: expected at least 3"),
        ("--tokens", "stems", "invalid choice: 'stems'"),
    ],
)
def test_options_are_checked(capsys, option, value, message):
    with pytest.raises(SystemExit) as exited:
        train_next_word.parse([f"{option}={value}"])
    assert exited.value.code == 2
    assert message in capsys.readouterr().err
