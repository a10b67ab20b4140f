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
from recipes.string_reader import StringReader, training as string_training

PROJECT = pathlib.Path(__file__).parents[2]
RESULTS = [
    "confusion.png",
    "history.png",
    "metrics.json",
    "model.keras",
    "model.png",
    "predictions.csv",
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


def rows_of(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def small_network():
    """The command line as it is, a network that trains in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        small = {"filters": (8, 8), "units": 16, "dropout": 0.0}
        patch.setattr(train_string_reader, "ARCHITECTURE", small)
        yield


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return drawn_strings.write_folder(tmp_path_factory.mktemp("drawn") / "pictures", 160)


@pytest.fixture(scope="module")
def run(pictures):
    """A finished run on drawn strings."""
    images, labels = pictures
    folder = images.parent / "run"
    train_string_reader.main(
        f"--images={images} --labels={labels} --test-last 40 --epochs 12 --batch-size 16 "
        f"--seed 3 --output={folder}".split()
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
    assert (metrics["loss"], metrics["epochs"], metrics["seed"]) == ("grouped", 12, 3)
    assert 0 < metrics["training_seconds"] <= metrics["seconds"]
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
    read_strings.main([str(run / "model.keras"), *files])
    printed = capsys.readouterr().out.splitlines()
    for row, file, line in zip(rows, files, printed, strict=True):
        text, probability, shown = line.split(maxsplit=2)
        assert (text, shown) == (row["predicted"], file)
        assert float(probability) == pytest.approx(float(row["probability"]), abs=2e-3)


@pytest.fixture
def losses_made(monkeypatch):
    """The arguments of every loss that a training asks for."""
    make_loss, made = string_training.make_loss, []

    def record(*arguments):
        made.append(arguments)
        return make_loss(*arguments)

    monkeypatch.setattr(string_training, "make_loss", record)
    monkeypatch.setitem(train_string_reader.ARCHITECTURE, "filters", (4,))
    return made


@default_backend_only
def test_an_archive_names_as_texts_another_loss_and_the_same_seed_twice(tmp_path, losses_made):
    drawn = {f"{text}_{name}": image for name, text, image in drawn_strings.strings(60)}
    archive = drawn_strings.write_tar(tmp_path / "strings.tar", drawn)
    predictions = []
    for name in ("first", "second"):
        train_string_reader.main(
            f"--images={archive} --loss=sigmoid --label-smoothing 0.2 --epochs 1 --batch-size 30 "
            f"--seed 7 --output={tmp_path / name}".split()
        )
        predictions.append(rows_of(tmp_path / name / "predictions.csv"))
    assert losses_made == [("sigmoid", 2, 3, 0.2)] * 2
    assert predictions[0] == predictions[1]
    metrics = metrics_of(tmp_path / "first")
    assert (metrics["loss"], metrics["label_smoothing"]) == ("sigmoid", 0.2)
    assert metrics["pictures"]["test"] == len(predictions[0]) == 6
    model = keras.saving.load_model(tmp_path / "first" / "model.keras", safe_mode=True)
    assert isinstance(model, StringReader)
    assert model.alphabet == "xyz"


@default_backend_only
def test_without_pictures_it_reads_composed_digits(tmp_path, monkeypatch, capsys, losses_made):
    compose = digit_strings.digit_strings
    monkeypatch.setattr(digit_strings, "digit_strings", lambda: compose(64, 16, 20))
    monkeypatch.chdir(tmp_path)
    train_string_reader.main(["--epochs=1", "--loss=softmax"])
    assert losses_made == [("softmax", 4, 10, 0.1)]
    folder = pathlib.Path("runs", "string_reader-1")
    assert sorted(path.name for path in folder.iterdir()) == RESULTS
    metrics = metrics_of(folder)
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


def test_a_mistake_leaves_no_folder_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"none does not exist; check the path"):
        train_string_reader.main(["--images", "none"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--epochs", "0", "expected a positive integer, received '0'"),
        ("--batch-size", "many", "expected a positive integer, received 'many'"),
        ("--test-last", "-3", "expected a positive integer, received '-3'"),
        ("--label-smoothing", "2", "expected a number from 0 to 1, received '2'"),
        ("--seed", "-1", "expected a non-negative integer, received '-1'"),
        ("--loss", "hinge", "invalid choice: 'hinge'"),
    ],
)
def test_options_are_checked(capsys, option, value, message):
    with pytest.raises(SystemExit) as exited:
        train_string_reader.parse([f"{option}={value}"])
    assert exited.value.code == 2
    assert message in capsys.readouterr().err


def bad_reading(run, folder, case):
    good = folder / "good.png"
    drawn_strings.picture("xy").save(good)
    if case == "missing model":
        return [folder / "none.keras", good], r"none\.keras does not exist; name a model\.keras"
    if case == "no model":
        return [good, good], r"good\.png is not a \.keras model file; name a model\.keras that"
    if case == "other model":
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.save(folder / "dense.keras")
        return [folder / "dense.keras", good], r"dense\.keras is a Keras model without alphabet;"
    if case == "missing picture":
        return [run / "model.keras", good, folder / "none.png"], r"none\.png does not exist; check"
    if case == "folder":
        return [run / "model.keras", folder], r"cannot be read \(Is a directory\); name a picture"
    if case == "no picture":
        (folder / "text.png").write_text("hello")
        return [run / "model.keras", folder / "text.png"], r"text\.png cannot be read \(not a PNG"
    if case == "another size":
        drawn_strings.picture("xy").resize((20, 10)).save(folder / "wide.png")
        return (
            [run / "model.keras", good, folder / "wide.png"],
            r"wide\.png is 20 x 10 pixels; the model reads pictures of 16 x 10: bring it to that",
        )
    raise AssertionError(case)


@pytest.mark.parametrize(
    "case",
    [
        "missing model",
        "no model",
        "other model",
        "missing picture",
        "folder",
        "no picture",
        "another size",
    ],
)
def test_a_bad_reading_is_one_line(run, tmp_path, capsys, case):
    arguments, message = bad_reading(run, tmp_path, case)
    with pytest.raises(UserError, match=message) as raised:
        read_strings.main([str(argument) for argument in arguments])
    assert "\n" not in str(raised.value)
    assert capsys.readouterr().out == ""
