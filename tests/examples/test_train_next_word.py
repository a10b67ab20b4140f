"""`examples.train_next_word`: a whole run, its numbers, bad input."""

import csv
import json
import math
import random
import re

import keras
import numpy as np
import pytest
from run_files import OF_EVERY_RUN

from examples import train_next_word
from recipes.next_word import NextWord, NextWordModel, data
from recipes.runs.failures import UserError
from recipes.tokens import vocabulary

RESULTS = OF_EVERY_RUN
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
    arguments = [*files, *small, f"--output={output}", *more]
    train_next_word.main(train_next_word.parse(arguments))


@pytest.fixture(scope="module", autouse=True)
def small_network():
    """The command line as it is, a network that trains in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        defaults = NextWord.__init__.__kwdefaults__
        small = {"embedding_dim": 8, "units": 8}
        patch.setattr(NextWord.__init__, "__kwdefaults__", {**defaults, **small})
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
    assert isinstance(model, NextWordModel)
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
    assert "vocabulary: 22 words" in out
    assert "perplexity of the validation texts: " in out
    assert "unknown, and count as one word" in out
    beaten = "does not beat the trigrams" in out
    assert beaten == (metrics["perplexity"] > metrics["baseline"]["perplexity"])


def test_without_arguments_there_are_30_000_words_of_pythons_own_sources():
    training, validation, test = data.read_texts()
    model = NextWord()
    words = vocabulary.build_vocabulary(
        training, model.tokens, size=model.vocabulary_size, minimum_count=model.minimum_count
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
        return ["--train", folder / "once.txt"], r"no word comes 2 times in the training texts"
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
def test_bad_input_is_one_line(tmp_path, monkeypatch, case):
    arguments, message = bad_input(tmp_path, case)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        train_next_word.main(train_next_word.parse([str(argument) for argument in arguments]))
    assert "\n" not in str(raised.value)
    # Nothing is lost, and nothing is left behind.
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not [*tmp_path.glob("runs/*")]


def test_a_python_without_its_sources_is_one_line(tmp_path, monkeypatch):
    from recipes.corpora import standard_library

    monkeypatch.setattr(standard_library, "_STANDARD_LIBRARY", tmp_path)
    with pytest.raises(UserError, match=r"no sources of its standard library.*--train FILE"):
        train_next_word.main(train_next_word.parse([]))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--epochs=0", r"`epochs` must be a positive integer"),
        ("--learning-rate=0", r"`learning_rate` must be a number > 0"),
        ("--learning-rate=inf", r"`learning_rate` must be a number > 0"),
        ("--label-smoothing=-0.1", r"`label_smoothing` must be a number from 0 to 1"),
        ("--vocabulary-size=2", r"`vocabulary_size` must be an integer of at least 3"),
        ("--seed=1099511627776", r"`seed` must be an integer from 0 to 4294967295"),
    ],
)
def test_settings_are_checked_before_anything_is_read(tmp_path, monkeypatch, option, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        train_next_word.main(train_next_word.parse([option, "--train=none.txt"]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--sequence-length=long", "invalid int value: 'long'"),
        ("--tokens=stems", "invalid choice: 'stems'"),
    ],
)
def test_a_mistyped_option_is_answered_at_once(capsys, option, message):
    with pytest.raises(SystemExit) as exited:
        train_next_word.parse([option])
    assert exited.value.code == 2
    assert message in capsys.readouterr().err
