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
from recipes.runs.abstention import least_accuracy
from recipes.runs.failures import UserError
from recipes.string_reader import StringReader, StringReaderModel, data

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
    assert metrics["pictures"] == {"training": 108, "validation": 12, "test": 40}
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
    monkeypatch.setattr(digit_strings, "digit_strings", lambda training: compose(64, 16, 20))
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
def test_without_pictures_it_draws_letters(tmp_path, monkeypatch, capsys):
    step_quickly(monkeypatch, StringReaderModel)
    monkeypatch.setattr(data, "_DRAWN_TO_TEST_WITH", 12)
    train(f"--letters --lengths 2-4 --pictures 60 --epochs 1 --output {tmp_path / 'run'}")
    metrics = metrics_of(tmp_path / "run")
    assert metrics["pictures"] == {"training": 54, "validation": 6, "test": 12}
    assert metrics["alphabet"].endswith("∅")
    rows = rows_of(tmp_path / "run" / "predictions.csv")
    assert {len(row["text"]) for row in rows} == {2, 3, 4}
    assert {len(row["predicted"]) for row in rows} <= {1, 2, 3, 4}
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == RESULTS
    assert "strings of letters, drawn with the fonts of matplotlib" in (
        (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    )
    assert "strings: 2 to 4 characters, " in capsys.readouterr().out


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
    """A folder with pictures, one of another size and one that is none; and a damaged archive."""
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
    r"in/4.png cannot be read (not a PNG or JPEG)",
    r"none.png does not exist; check the path",
    r"all.tar is damaged or cut off; fetch or make it again",
]
STRINGS = ["xy", "zx", "xy", None, "yy", None, "xz", "xz", None]


def test_a_picture_that_cannot_be_read_stops_no_other(run, mixed, tmp_path, monkeypatch, capsys):
    """Printed, as JSON and into a file: the others are read, and all are named."""
    monkeypatch.chdir(mixed.parent)
    names = [f"in/{number}.png" for number in range(1, 6)]
    names += ["none.png", "all.tar/0.png", "all.tar/1.png", "all.tar"]
    printed = {}
    capsys.readouterr()
    for form in ("--verbose", "--json", f"--output={tmp_path / 'strings.csv'}"):
        options = [] if form == "--verbose" else [form]
        with pytest.raises(UserError, match="^3 pictures cannot be read; they are named above$"):
            read([*options, run, "in", "none.png", "all.tar"])
        printed[form[2:6]], errors = capsys.readouterr()
        assert errors.splitlines() == PROBLEMS
    assert [line.split()[:3:2] for line in printed["verb"].splitlines()] == [
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


def test_only_what_it_is_sure_enough_of(run, pictures, tmp_path, capsys):
    """The promise is proved by the run's own test pictures, the reference counts there."""
    images, _ = pictures
    rows = sorted(rows_of(run / "predictions.csv"), key=lambda row: -float(row["probability"]))
    files = [str(images / row["file"]) for row in rows]
    capsys.readouterr()
    read([run, *files, "--json", "--at-least", "0.8"])
    printed, said = capsys.readouterr()
    threshold = float(said.split("strings from a probability of ")[1].split(" ")[0])
    assert "on: at least 0.8 of them are right, at a confidence of 0.95" in said
    records = [json.loads(line) for line in printed.splitlines()]
    given = [record["string"] is not None for record in records]
    assert given == [float(row["probability"]) >= threshold - 1e-4 for row in rows]
    right = sum(row["text"] == row["predicted"] for row in rows[: sum(given)])
    assert least_accuracy(right, sum(given), 0.95) >= 0.8
    with pytest.raises(UserError, match="takes at least 299 labelled examples, all right, to pro"):
        read([run, *files, "--at-least", "0.99"])


def test_a_string_that_it_is_not_sure_of_is_marked(run, mixed, monkeypatch, capsys):
    monkeypatch.setattr(
        StringReader, "read", lambda self, images: [("xy", 0.49 + number / 50) for number in (0, 1)]
    )
    capsys.readouterr()
    read([run, mixed / "1.png", mixed / "2.png"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("  (not sure)") for line in lines] == [True, False]


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
