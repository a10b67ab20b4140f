"""`examples.train_string_reader` and `examples.read_strings`, by their command lines."""

import csv
import json
import os
import pathlib
import subprocess
import sys

import drawn_strings
import keras
import numpy as np
import pytest
from backends import default_backend_only

from examples import read_strings, train_string_reader
from recipes.images import digit_strings
from recipes.runs.failures import UserError
from recipes.string_reader import StringReader

PROJECT = pathlib.Path(__file__).parents[2]
RESULTS = [
    "confusion.png",
    "history.png",
    "metrics.json",
    "model.keras",
    "model.png",
    "predictions.csv",
    "report.html",
    "samples.png",
]


def run_example(name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"examples.{name}", *map(str, arguments)],
        cwd=PROJECT,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        check=False,
    )


def train(command_line):
    train_string_reader.main(train_string_reader.parse(command_line.split()))


def rows_of(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def small_network():
    """The command line as it is, a network that trains in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        defaults = StringReader.__init__.__kwdefaults__
        small = {"filters": (8, 8), "units": 16, "dropout": 0.0}
        patch.setattr(StringReader.__init__, "__kwdefaults__", {**defaults, **small})
        yield


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return drawn_strings.write_folder(tmp_path_factory.mktemp("drawn") / "pictures", 160)


@pytest.fixture(scope="module")
def run(pictures):
    """A finished run on drawn strings."""
    images, labels = pictures
    folder = images.parent / "run"
    train(
        f"--images={images} --labels={labels} --test-last 40 --epochs 12 --batch-size 16 "
        f"--seed 3 --output={folder}"
    )
    return folder


def test_a_run_leaves_its_results_and_learns(run):
    assert sorted(path.name for path in run.iterdir()) == RESULTS
    metrics = metrics_of(run)
    assert metrics["string_accuracy"] > 0.85
    assert metrics["string_accuracy"] <= metrics["character_accuracy"] <= 1
    assert metrics["baseline"]["string_accuracy"] > 0.85
    assert metrics["baseline"]["character_accuracy"] > 0.9
    assert metrics["baseline"]["seconds"] >= 0
    assert metrics["pictures"] == {"training": 114, "validation": 6, "test": 40}
    assert metrics["validation"]["string_accuracy"] > 0.6
    assert metrics["alphabet"] == "xyz"
    assert (metrics["settings"]["loss"], metrics["epochs"], metrics["seed"]) == ("grouped", 12, 3)
    assert metrics["seconds"] > 0
    for name in RESULTS:
        if name.endswith(".png"):
            assert (run / name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_predictions_agree_with_the_metrics_and_with_the_saved_model(run, pictures, capsys):
    images, labels = pictures
    rows, metrics = rows_of(run / "predictions.csv"), metrics_of(run)
    assert [(row["file"], row["text"]) for row in rows] == [
        (row["file"], row["text"]) for row in rows_of(labels)[-40:]
    ]
    whole = np.mean([row["text"] == row["predicted"] for row in rows])
    assert whole == pytest.approx(metrics["string_accuracy"])
    pairs = [pair for row in rows for pair in zip(row["text"], row["predicted"], strict=True)]
    assert np.mean([a == b for a, b in pairs]) == pytest.approx(metrics["character_accuracy"])
    # As sure as right, though trained with label smoothing.
    assert np.mean([float(row["probability"]) for row in rows]) > 0.9 * whole
    files = [str(images / row["file"]) for row in rows]
    capsys.readouterr()
    read_strings.main(read_strings.parse([str(run / "model.keras"), *files]))
    printed = capsys.readouterr().out.splitlines()
    for row, file, line in zip(rows, files, printed, strict=True):
        text, probability, shown = line.split(maxsplit=2)
        assert (text, shown) == (row["predicted"], file)
        assert float(probability) == pytest.approx(float(row["probability"]), abs=2e-3)


@default_backend_only
def test_an_archive_names_as_texts_and_another_loss(tmp_path):
    drawn = {f"{text}_{name}": image for name, text, image in drawn_strings.strings(60)}
    archive = drawn_strings.write_tar(tmp_path / "strings.tar", drawn)
    train(
        f"--images={archive} --loss=sigmoid --label-smoothing 0.2 --epochs 1 --batch-size 30 "
        f"--seed 7 --no-diagnosis --output={tmp_path / 'run'}"
    )
    settings = metrics_of(tmp_path / "run")["settings"]
    assert (settings["loss"], settings["label_smoothing"]) == ("sigmoid", 0.2)
    assert settings["diagnosis"] is False
    assert metrics_of(tmp_path / "run")["pictures"]["test"] == 6
    reader = StringReader.load(tmp_path / "run" / "model.keras")
    assert (reader.model_.alphabet, reader.model_.loss_kind) == ("xyz", "sigmoid")


@default_backend_only
def test_without_pictures_it_reads_composed_digits(tmp_path, monkeypatch, capsys):
    compose = digit_strings.digit_strings
    monkeypatch.setattr(digit_strings, "digit_strings", lambda: compose(64, 16, 20))
    monkeypatch.chdir(tmp_path)
    train("--epochs=1 --loss=softmax")
    folder = pathlib.Path("runs", "string_reader-1")
    assert sorted(path.name for path in folder.iterdir()) == RESULTS
    metrics = metrics_of(folder)
    assert metrics["settings"]["loss"] == "softmax"
    assert metrics["alphabet"] == "0123456789"
    assert metrics["pictures"] == {"training": 64, "validation": 16, "test": 20}
    assert all(len(row["predicted"]) == 4 for row in rows_of(folder / "predictions.csv"))
    printed = capsys.readouterr().out
    assert f"model, numbers and pictures: {folder}" in printed
    assert f"{metrics['string_accuracy']:.4f}" in printed


@default_backend_only
def test_the_command_line_prints_one_line_and_loses_nothing(pictures, run):
    before = {path: path.read_bytes() for path in run.iterdir()}
    images, labels = pictures
    completed = run_example(
        "train_string_reader", f"--images={images}", f"--labels={labels}", f"--output={run}"
    )
    assert completed.returncode == 1
    (line,) = completed.stderr.splitlines()
    assert line.startswith("error: the output folder")
    assert "already holds a run" in line
    assert completed.stdout == ""
    assert before == {path: path.read_bytes() for path in run.iterdir()}


@pytest.mark.parametrize(
    ("command_line", "message"),
    [
        ("--images none", r"none does not exist; check the path"),
        ("--epochs=0", r"`epochs` must be a positive integer. Received: epochs=0"),
        ("--label-smoothing=2", r"`label_smoothing` must be a number from 0 to 1. Received"),
        ("--seed 1099511627776", r"`seed` must be an integer from 0 to 4294967295. Received: seed"),
        ("--seed=-1", r"`seed` must be an integer from 0 to 4294967295. Received: seed=-1"),
    ],
)
def test_a_mistake_leaves_no_folder_behind(tmp_path, monkeypatch, capsys, command_line, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        train(command_line)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_a_mistyped_option_is_answered_at_once(capsys):
    with pytest.raises(SystemExit) as exited:
        train_string_reader.parse(["--loss=hinge"])
    assert exited.value.code == 2
    assert "invalid choice: 'hinge'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["good.png", "none.png"], r"none\.png does not exist; check"),
        (["."], r"cannot be read \(Is a directory\); name a picture"),
        (["good.png", "text.png"], r"text\.png cannot be read \(not a PNG"),
        (["wide.png"], r"wide\.png is 20 x 10 pixels; the model reads pictures of 16 x 10: bring"),
    ],
)
def test_a_bad_picture_is_one_line(run, tmp_path, capsys, images, message):
    drawn_strings.picture("xy").save(tmp_path / "good.png")
    drawn_strings.picture("xy").resize((20, 10)).save(tmp_path / "wide.png")
    (tmp_path / "text.png").write_text("hello")
    arguments = [run / "model.keras", *(tmp_path / name for name in images)]
    with pytest.raises(UserError, match=message) as raised:
        read_strings.main(read_strings.parse(list(map(str, arguments))))
    assert "\n" not in str(raised.value)
    assert capsys.readouterr().out == ""
