"""`examples.train_string_reader` and `examples.read_strings`, by their command lines."""

import csv
import json
import pathlib

import drawn_strings
import numpy as np
import programs
import pytest
from backends import default_backend_only, step_quickly
from run_files import OF_EVERY_RUN

from examples import read_strings, train_string_reader
from recipes.images import digit_strings
from recipes.runs.failures import UserError
from recipes.string_reader import StringReader, StringReaderModel

PROJECT = pathlib.Path(__file__).parents[2]
RESULTS = sorted([*OF_EVERY_RUN, "confusion.png", "samples.png"])


def train(command_line):
    train_string_reader.main(train_string_reader.parse(command_line.split()))


def read(arguments):
    read_strings.main(read_strings.parse([str(argument) for argument in arguments]))


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
    read([run, *files])
    printed = capsys.readouterr().out.splitlines()
    for row, file, line in zip(rows, files, printed, strict=True):
        text, probability, shown = line.split(maxsplit=2)
        assert (text, shown) == (row["predicted"], file)
        assert float(probability) == pytest.approx(float(row["probability"]), abs=2e-3)


@default_backend_only
def test_an_archive_names_as_texts_and_another_loss(tmp_path, monkeypatch):
    step_quickly(monkeypatch, StringReaderModel)
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
    step_quickly(monkeypatch, StringReaderModel)
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


def test_the_program_says_one_line_and_loses_nothing(pictures, run, monkeypatch, capsys):
    before = {path: path.read_bytes() for path in run.iterdir()}
    images, labels = pictures
    said = programs.ends(
        monkeypatch,
        "train_string_reader",
        *(f"--images={images}", f"--labels={labels}", f"--output={run}"),
    )
    assert said.startswith("error: the output folder")
    assert "already holds a run" in said
    assert "\n" not in said
    assert capsys.readouterr() == ("", "")
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


@pytest.fixture(scope="module")
def mixed(pictures, tmp_path_factory):
    """A folder with pictures that can be read and three that cannot, and a damaged archive."""
    folder = tmp_path_factory.mktemp("mixed") / "in"
    folder.mkdir()
    for number, text in ((1, "xy"), (2, "zx"), (5, "yy")):
        drawn_strings.picture(text).save(folder / f"{number}.png")
    drawn_strings.picture("xy").resize((20, 10)).save(folder / "3.png")
    (folder / "4.png").write_text("hello")
    drawn = {f"{number}.png": drawn_strings.picture("xz") for number in range(3)}
    archive = drawn_strings.write_tar(folder.parent / "all.tar", drawn)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: whole.index(b"2.png") + 99])
    return folder


PROBLEMS = [
    r"in/3.png is 20 x 10 pixels; the model reads pictures of 16 x 10: bring it to that size",
    r"in/4.png cannot be read (not a PNG or JPEG)",
    r"none.png does not exist; check the path",
    r"all.tar is damaged or cut off; fetch or make it again",
]
STRINGS = ["xy", "zx", None, None, "yy", None, "xz", "xz", None]


def test_a_picture_that_cannot_be_read_stops_no_other(run, mixed, tmp_path, monkeypatch, capsys):
    """Printed, as JSON and into a file: the others are read, and all are named."""
    monkeypatch.chdir(mixed.parent)
    names = [f"in/{number}.png" for number in range(1, 6)]
    names += ["none.png", "all.tar/0.png", "all.tar/1.png", "all.tar"]
    printed = {}
    capsys.readouterr()
    for form in ("--verbose", "--json", f"--output={tmp_path / 'strings.csv'}"):
        options = [] if form == "--verbose" else [form]
        with pytest.raises(UserError, match="^4 pictures cannot be read; they are named above$"):
            read([*options, run, "in", "none.png", "all.tar"])
        printed[form[2:6]], errors = capsys.readouterr()
        assert errors.splitlines() == PROBLEMS
    assert [line.split()[::2] for line in printed["verb"].splitlines()] == [
        [text, name] for text, name in zip(STRINGS, names, strict=True) if text
    ]
    records = [json.loads(line) for line in printed["json"].splitlines()]
    assert [(each["picture"], each["string"]) for each in records] == [
        *zip(names, STRINGS, strict=True)
    ]
    assert [each["problem"] for each in records if not each["string"]] == PROBLEMS
    rows = rows_of(tmp_path / "strings.csv")
    assert list(rows[0]) == ["picture", "string", "probability"]
    assert [(row["picture"], row["string"]) for row in rows] == [
        (name, text or "") for name, text in zip(names, STRINGS, strict=True)
    ]
    for row, record in zip(rows, records, strict=True):
        expected = f"{record['probability']:.4f}" if record["string"] else ""
        assert row["probability"] == expected
    assert printed["outp"] == f"9 pictures: {tmp_path / 'strings.csv'}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png"], r"none\.png does not exist; check"),
        (["4.png"], r"4\.png cannot be read \(not a PNG"),
        (["empty"], r"empty holds no picture; expected PNG or JPEG files"),
        (["1.png", "--output=1.png"], r"--output writes a \.csv file; name one instead of 1\.png"),
        (["1.png", "--output=old.csv"], r"old\.csv exists already; remove it, or name another"),
        (["1.png", "--output=no/new.csv"], r"the folder no does not exist; make it, or name"),
    ],
)
def test_a_mistake_in_reading_is_one_line(run, mixed, monkeypatch, arguments, message):
    monkeypatch.chdir(mixed)
    pathlib.Path("empty").mkdir(exist_ok=True)
    pathlib.Path("old.csv").write_text("mine")
    with pytest.raises(UserError, match=message) as raised:
        read([run / "model.keras", *arguments])
    assert "\n" not in str(raised.value)
    assert pathlib.Path("old.csv").read_text() == "mine"


def test_a_folder_without_a_model_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"model\.keras does not exist; name a file that StringRea"):
        read([tmp_path, "1.png"])
