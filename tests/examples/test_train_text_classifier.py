"""`examples.train_text_classifier` and `examples.classify_text`, by their command lines."""

import csv
import io
import json
import logging
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import warnings
import zipfile

import keras
import numpy as np
import pytest
from backends import default_backend_only
from run_files import OF_EVERY_RUN

import examples
import recipes.text_classifier.networks
from examples import classify_text, train_text_classifier
from recipes.runs import run_folder
from recipes.runs.abstention import threshold_of_run
from recipes.runs.failures import UserError
from recipes.text_classifier import (
    TextClassifier,
    TextClassifierModel,
    build_text_classifier,
    data,
    evaluation,
)

PROJECT = pathlib.Path(__file__).parents[2]
RESULTS = sorted([*OF_EVERY_RUN, "confusion.png", "coverage.png", "suspicious.csv"])
SUBJECTS = ["the dog", "my cat", "a horse", "our cow", "the old sheep", "one goat"]
ACTIONS = {
    "food": ["eats hay", "drinks water", "likes bread", "chews on grass", "wants some milk"],
    "sport": ["runs a race", "jumps high", "swims far", "climbs the hill", "wins a match"],
    "rest": ["sleeps well", "dreams of home", "lies down", "rests in bed", "closes both eyes"],
}


def sentences(count, seed):
    chosen = random.Random(seed)
    for _ in range(count):
        label = chosen.choice(sorted(ACTIONS))
        yield f"{chosen.choice(SUBJECTS)} {chosen.choice(ACTIONS[label])} {seed}", label


def write_csv(path, rows, header=("text", "label")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def run_example(name, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", f"examples.{name}", *map(str, arguments)],
        cwd=PROJECT,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def train(arguments):
    if isinstance(arguments, str):
        arguments = arguments.split()
    train_text_classifier.main(train_text_classifier.parse([str(each) for each in arguments]))


def classify(*arguments):
    classify_text.main(classify_text.parse([str(argument) for argument in arguments]))


@pytest.fixture(scope="module", autouse=True)
def small_network():
    """The command line as it is, a network that trains in seconds."""
    small = {"embedding_dim": 16, "convolution_widths": (2,), "bidirectional": False}

    def build(*sizes, **options):
        return build_text_classifier(*sizes, **{**options, **small, "convolution_filters": 16})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes.text_classifier.networks, "build_text_classifier", build)
        yield


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    write_csv(folder / "train.csv", sentences(240, 1))
    write_csv(folder / "test.csv", sentences(60, 2))
    return folder


@pytest.fixture(scope="module")
def run(texts):
    """A finished run on the generated texts."""
    folder = texts / "run"
    train(
        f"--train={texts / 'train.csv'} --test={texts / 'test.csv'} --output={folder} "
        "--epochs 8 --batch-size 16 --lstm-units 8 --class-weight balanced --seed 3"
    )
    return folder


def test_a_run_leaves_its_results_and_learns(run):
    assert sorted(path.name for path in run.iterdir()) == RESULTS
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["accuracy"] > 0.9
    assert metrics["macro_f1"] > 0.9
    assert 0 < metrics["nll"] < 0.6
    assert 0 <= metrics["ece"] < 0.5
    assert metrics["baseline"]["accuracy"] > 0.9
    assert metrics["baseline"]["macro_f1"] > 0.9
    assert metrics["baseline"]["seconds"] >= 0
    assert metrics["texts"]["test"] == 60
    assert [promise["accuracy"] for promise in metrics["promises"]] == [0.9, 0.95, 0.99]
    assert metrics["promises"][0]["right"] > 0.9
    assert metrics["promises"][2]["threshold"] is None  # 60 texts cannot prove it
    assert metrics["settings"]["class_weight"] == "balanced"
    assert metrics["settings"]["units"] == 8
    for name in RESULTS:
        if name.endswith(".png"):
            assert (run / name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@default_backend_only
def test_loss_and_training_by_option(texts, run, tmp_path, capsys):
    remark = (
        "The lowest validation loss is that of the last epoch, number 2: more epochs (--epochs)"
    )
    train(
        f"--train={texts / 'train.csv'} --test={texts / 'test.csv'} --output={tmp_path / 'run'} "
        "--epochs 2 --loss generalized --q 0.5 --learning-rate 0.004 --dropout 0.25 --no-diagnosis"
    )
    assert remark in capsys.readouterr().out
    assert remark in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    settings = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    asked = {"loss": "generalized", "q": 0.5, "learning_rate": 0.004, "dropout": 0.25}
    assert asked.items() <= settings["settings"].items()
    # What the options are where nothing is asked for is what the task takes itself.
    defaults = vars(train_text_classifier.parse([]))
    of_task = TextClassifier().get_params()
    shared = defaults.keys() & of_task.keys()
    assert shared >= {*asked, "label_smoothing", "gamma", "strength"}
    assert {name: defaults[name] for name in shared} == {name: of_task[name] for name in shared}


@default_backend_only
def test_members_one_from_them_and_vectors_by_option(tmp_path, capsys):
    rows = [f"{word} {' '.join(['0.5', '-1'] * 8)}\n" for word in ("dog", "hay", "sleeps")]
    (tmp_path / "some.vec").write_text("".join(rows))
    few = write_csv(tmp_path / "few.csv", sentences(30, 1))
    for name, more in (("several", ""), ("one", "--distill")):
        train(
            f"--train={few} --test={few} --validation={few} --epochs 1 --no-diagnosis --members 2 "
            f"--vectors {tmp_path / 'some.vec'} --output={tmp_path / name} {more}"
        )
    capsys.readouterr()
    several, one = (
        TextClassifier.load(tmp_path / name / "model.keras") for name in ("several", "one")
    )
    for loaded, distill in ((several, False), (one, True)):
        assert (loaded.members, loaded.distill) == (2, distill)
        assert loaded.vectors == str(tmp_path / "some.vec")
    assert one.model_.get_layer("embedding").output.shape[-1] == 16
    assert len(several.model_.trainable_weights) == 2 * len(one.model_.trainable_weights)
    settings = json.loads((tmp_path / "one" / "metrics.json").read_text())["settings"]
    assert (settings["members"], settings["distill"]) == (2, True)
    classify(tmp_path / "several", "the dog eats hay")
    assert capsys.readouterr().out.count("\n") == 1


def test_epochs_that_were_enough_are_no_remark():
    assert evaluation.remarks_on_epochs([2], 3) == []
    assert evaluation.remarks_on_epochs([2, 1, 2], 3) == []
    (remark,) = evaluation.remarks_on_epochs([2], 2)
    assert remark.startswith("The lowest validation loss is that of the last epoch, number 2: more")
    (remark,) = evaluation.remarks_on_epochs([1, 3, 3, 2], 3)
    assert "the last epoch, number 3, for 2 of 4 networks: more epochs (--epochs)" in remark


def test_predictions_agree_with_metrics_and_with_the_saved_model(run, texts, capsys):
    with open(run / "predictions.csv", newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    right = np.mean([row["label"] == row["predicted"] for row in rows])
    assert right == pytest.approx(metrics["accuracy"])
    with open(texts / "test.csv", newline="", encoding="utf-8") as file:
        assert [(row["row"], row["text"], row["label"]) for row in rows] == [
            (str(number), row["text"], row["label"])
            for number, row in enumerate(csv.DictReader(file), 1)
        ]
    classify(run / "model.keras", *[row["text"] for row in rows])
    for row, line in zip(rows, capsys.readouterr().out.splitlines(), strict=True):
        name, probability, text = line.split(maxsplit=2)
        assert (name, text) == (row["predicted"], row["text"])
        assert float(probability) == pytest.approx(float(row["probability"]), abs=2e-3)


def test_classify_text_reads_standard_input(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("the dog eats hay\nmy cat sleeps well\n"))
    classify(run / "model.keras")
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[2]) for line in lines] == [
        ("food", "the dog eats hay"),
        ("rest", "my cat sleeps well"),
    ]


def test_classify_text_explains_its_answers(run, monkeypatch, capsys):
    classify(run, "--explain", "--top", "2", "the dog eats hay")
    answer, *explained = capsys.readouterr().out.splitlines()
    assert answer.endswith("the dog eats hay")
    classes = [answer.split()[0], answer.split()[2]]
    assert [line.split(":")[0] for line in explained[::2]] == classes
    assert [line.split() for line in explained[1::2]] == [["the", "dog", "eats", "hay"]] * 2
    assert "the words add +" in explained[0]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    classify(run, "--explain")
    assert "(no text)" in capsys.readouterr().out
    for other in (["--json"], ["--output", "new.csv"]):
        with pytest.raises(SystemExit):
            classify_text.parse([str(run), "--explain", *other])


def test_classify_text_goes_from_file_to_file(run, tmp_path, capsys):
    """The run folder stands for its model, and options may stand before it."""
    rows = [("7", "the dog eats hay"), ("8", ""), ("9", "my cat\nsleeps well")]
    file = write_csv(tmp_path / "new.csv", rows, header=("id", "body"))
    arguments = ["--input", file, "--text-column", "body", "--top", "2", run]
    classify(*arguments, "--output", tmp_path / "out.csv")
    assert capsys.readouterr().out.startswith(
        "3 rows, with row, predicted, probability, predicted_2"
    )
    with open(tmp_path / "out.csv", newline="", encoding="utf-8-sig") as table:
        found = list(csv.DictReader(table))
    assert [(row["id"], row["body"]) for row in found] == rows
    assert [(row["row"], row["predicted"]) for row in found] == [
        ("1", "food"),
        ("2", ""),
        ("3", "rest"),
    ]
    classify(*arguments, "--json")
    of_programs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for row, entry in zip(found, of_programs, strict=True):
        assert [each["predicted"] for each in entry["best"]] == [
            row[name] for name in ("predicted", "predicted_2") if row[name]
        ]
    assert of_programs[0]["best"][0]["probability"] == float(found[0]["probability"])
    classify(*arguments)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["food", "-", "rest"]
    with pytest.raises(UserError, match="`top` must be a positive integer. Received: top=0"):
        classify(run, "hello", "--top=0")


def test_classify_text_answers_only_where_it_keeps_a_promise(run, tmp_path, capsys):
    """The test texts of the run prove it: here 400 of a made-up one, with a promised 0.9."""
    texts = ["the dog eats hay", "zzz", "my cat sleeps well"]
    classify(run, *texts, "--json")
    lines = capsys.readouterr().out.splitlines()
    (first, unsure, last) = (json.loads(line)["best"][0] for line in lines)
    between = (unsure["probability"] + min(first["probability"], last["probability"])) / 2
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(run / "model.keras", folder)
    rows = [("food", "food", f"{between:.4f}")] * 300 + [("food", "rest", "0.0100")] * 100
    write_csv(folder / "predictions.csv", rows, header=("label", "predicted", "probability"))
    promise = ["--at-least", "0.9"]
    for model in (folder, folder / "model.keras"):
        classify(model, *texts, *promise)
        printed = capsys.readouterr()
        assert [line.split()[0] for line in printed.out.splitlines()] == ["food", "-", "rest"]
        start, threshold, end = re.split(r"(0\.\d{4})", printed.err)
        assert start == "answers from a probability of "
        assert float(threshold) == pytest.approx(between, abs=2e-4)
        assert end == " on: at least 0.9 of them are right, at a confidence of 0.95\n"
    classify(folder, *texts, *promise, "--json", "--top=2", "--confidence=0.99")
    lines = [json.loads(line)["best"] for line in capsys.readouterr().out.splitlines()]
    assert [len(best) for best in lines] == [2, 1, 2]
    assert lines[1] == [{"predicted": None, "probability": unsure["probability"]}]
    file = write_csv(tmp_path / "new.csv", [[text] for text in texts], header=["text"])
    classify(folder, *promise, "--top=2", f"--input={file}", f"--output={tmp_path / 'out.csv'}")
    with open(tmp_path / "out.csv", newline="", encoding="utf-8-sig") as table:
        found = list(csv.DictReader(table))
    assert [row["predicted"] for row in found] == ["food", "", "rest"]
    assert [bool(row["predicted_2"]) for row in found] == [True, False, True]
    for arguments, message in (
        ([folder, "--at-least=0.999"], "takes at least 2995 labelled examples"),
        ([folder, "--at-least=95"], "`accuracy` must be a number between 0 and 1, both excluded"),
        ([folder, *promise, "--confidence=1"], "`confidence` must be a number between 0 and 1"),
        ([folder, "--confidence=0.9"], "--confidence needs --at-least"),
    ):
        with pytest.raises(UserError, match=message):
            classify(*arguments, *texts)
    (folder / "predictions.csv").unlink()
    with pytest.raises(UserError, match=r"predictions\.csv does not exist, and a promised accura"):
        classify(folder, *texts, *promise)


def test_the_threshold_of_a_run_allows_for_rounding(tmp_path):
    """What is 0.99996 stands in the file as 1.0000."""
    header = ("label", "predicted", "probability")
    rows = [("2", "2", "1.0000")] * 100
    write_csv(tmp_path / "predictions.csv", rows, header)
    threshold = threshold_of_run(tmp_path, "label", 0.95, 0.95)
    assert threshold == pytest.approx(0.99995)
    write_csv(tmp_path / "predictions.csv", [*rows, ("2", "2", "sure")], header)
    with pytest.raises(UserError, match=r"predictions\.csv holds a probability that is no number"):
        threshold_of_run(tmp_path, "label", 0.95, 0.95)


@default_backend_only
def test_chinese_characters_from_json_lines(tmp_path):
    lines = [
        json.dumps({"句子": f"{subject}{action}{number}", "类": label}, ensure_ascii=False)
        for number in range(12)
        for subject in ("我", "他", "小狗")
        for action, label in (("吃饭", 1), ("喝水", 1), ("跑步", 2), ("游泳", 2))
    ]
    file = tmp_path / "texts.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    train(
        f"--train={file} --text-column 句子 --label-column 类 --tokens characters "
        f"--epochs 6 --batch-size 8 --output={tmp_path / 'run'}"
    )
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["accuracy"] > 0.9
    model = keras.saving.load_model(tmp_path / "run" / "model.keras", safe_mode=True)
    assert isinstance(model, TextClassifierModel)
    assert model.class_names == ("1", "2")
    assert {"吃", "游"} <= set(model.vocabulary)


def bad_training(folder, case):
    """Arguments with one mistake, and what the one line has to say."""
    good = write_csv(folder / "good.csv", sentences(40, 1))
    if case == "missing file":
        return ["--train", folder / "none.csv"], r"none\.csv does not exist; check the path"
    if case == "folder of other files":
        return ["--train", folder], r"is a folder without texts; expected a folder for each label"
    if case == "empty file":
        (folder / "empty.csv").write_text(" \n", encoding="utf-8")
        return ["--train", folder / "empty.csv"], r"empty\.csv is empty; expected one labelled"
    if case == "header alone":
        file = write_csv(folder / "header.csv", [])
        return ["--train", file], r"header\.csv has a header but no rows"
    if case == "missing column":
        file = write_csv(folder / "columns.csv", [("hello", "x")], header=("body", "label"))
        return ["--train", file], r"has no column 'text'; it has 'body', 'label': choose with"
    if case == "one class":
        file = write_csv(folder / "one.csv", [(f"text {n}", "only") for n in range(30)])
        return ["--train", file], r"one\.csv has one class only \('only'\); give texts of at"
    if case == "unseen label":
        file = write_csv(folder / "unseen.csv", [("hello there", "politics")])
        return ["--train", good, "--test", file], r"--test has labels that no .* has: politics;"
    if case == "empty text":
        file = write_csv(folder / "hole.csv", [("hello", "a"), ("  ", "b")])
        return ["--train", file], r"hole\.csv, row 2: the text is empty; fill it in or remove"
    if case == "empty label":
        file = write_csv(folder / "hole.csv", [("hello", "")])
        return ["--train", file], r"hole\.csv, row 1: the label is missing"
    if case == "unknown format":
        (folder / "notes.txt").write_text("hello\n", encoding="utf-8")
        return ["--train", folder / "notes.txt"], r"notes\.txt is in no known format; expected"
    if case == "broken json":
        (folder / "broken.jsonl").write_text('{"text": "a", "label": 1}\n{"te', encoding="utf-8")
        return ["--train", folder / "broken.jsonl"], r"broken\.jsonl, line 2: not valid JSON"
    if case == "too few texts":
        file = write_csv(folder / "few.csv", [("hello", "a"), ("good night", "b")])
        return ["--train", file], r"few\.csv has too few texts to set some aside"
    if case == "test without train":
        return ["--test", good], r"--test and --validation need --train"
    if case == "output is a file":
        return ["--train", good, "--output", good], r"output folder .*good\.csv cannot be written"
    if case == "output below a file":
        output = good / "deeper"
        return ["--train", good, "--output", output], r"cannot be written \(Not a directory\); name"
    if case == "output holds a run":
        (folder / "run").mkdir()
        (folder / "run" / "metrics.json").write_text("{}", encoding="utf-8")
        return [
            "--train",
            good,
            "--output",
            folder / "run",
        ], r"already holds a run \(metrics\.json\)"
    raise AssertionError(case)


BAD_TRAININGS = [
    "missing file",
    "folder of other files",
    "empty file",
    "header alone",
    "missing column",
    "one class",
    "unseen label",
    "empty text",
    "empty label",
    "unknown format",
    "broken json",
    "too few texts",
    "test without train",
    "output is a file",
    "output below a file",
    "output holds a run",
]


@pytest.mark.parametrize("case", BAD_TRAININGS)
def test_bad_training_input_is_one_line(tmp_path, monkeypatch, capsys, case):
    arguments, message = bad_training(tmp_path, case)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        train(arguments)
    assert "\n" not in str(raised.value)
    assert capsys.readouterr().out == ""
    # Nothing is lost, and nothing is left behind.
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not (tmp_path / "runs").exists()


@default_backend_only
def test_the_command_line_prints_the_one_line(tmp_path):
    arguments, _ = bad_training(tmp_path, "missing column")
    completed = run_example("train_text_classifier", *arguments)
    assert completed.returncode == 1
    assert completed.stdout == ""
    assert len(completed.stderr.splitlines()) == 1
    assert completed.stderr.startswith("error: ")


@pytest.mark.parametrize(("arguments", "status"), [("--help", 0), ("--epochs=many", 2)])
@default_backend_only
def test_help_and_mistyped_options_are_answered_without_keras(arguments, status):
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('keras' in sys.modules))\n"
        "from examples import train_text_classifier\n"
        "train_text_classifier.parse(sys.argv[1:])\n"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code, arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == status
    assert completed.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--epochs", "0", "`epochs` must be a positive integer. Received: epochs=0"),
        ("--tokens", "letters", "`tokens` must be one of 'words', 'stems', 'characters'"),
        ("--label-smoothing", "1.5", "`label_smoothing` must be a number from 0 up to"),
        ("--seed", "1099511627776", "`seed` must be an integer from 0 to 4294967295"),
        ("--lstm-units", "1000000000", "weights, which take .* give smaller units"),
        ("--class-weight", "heavy", "`class_weight` must be None, 'balanced'"),
        ("--loss", "hinge", "`loss` must be one of 'auto', 'smoothed', 'focal', 'logit-adjusted'"),
        ("--q", "2", "`q` must be a number above 0 and up to 1. Received: q=2.0"),
        ("--learning-rate", "0", "`learning_rate` must be a number > 0"),
        ("--dropout", "1", "`dropout` must be a number from 0 up to"),
    ],
)
def test_values_are_checked_by_the_task(tmp_path, option, value, message):
    file = write_csv(tmp_path / "good.csv", sentences(40, 1))
    with pytest.raises(UserError, match=message) as raised:
        train(["--train", file, "--output", tmp_path / "run", f"{option}={value}"])
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_numbers_as_labels_stand_in_numerical_order(tmp_path):
    rows = [
        (f"the {'cat' if number == 2 else 'dog'} {row}", number)
        for row in range(15)
        for number in (10, 2)
    ]
    file = write_csv(tmp_path / "numbers.csv", rows)
    training, _, test = data.read_texts(file)
    assert set(training.labels) == set(test.labels) == {2, 10}
    # Split off, a text still says which row of the file it is.
    assert [rows[int(row) - 1] for row in test.rows] == list(
        zip(test.texts, test.labels, strict=True)
    )
    file = write_csv(tmp_path / "names.csv", [(text, f"{number:02}") for text, number in rows])
    training, _, _ = data.read_texts(file)
    assert set(training.labels) == {"02", "10"}


def bad_model(folder, case):
    if case == "missing":
        return folder / "none.keras", ["hello"], r"none\.keras does not exist; name a file that"
    if case == "text file":
        (folder / "text.keras").write_text("hello", encoding="utf-8")
        return folder / "text.keras", ["hello"], r"text\.keras is not a \.keras model file; name"
    if case == "folder":
        return folder, ["hello"], r"model\.keras does not exist; name"
    if case == "other archive":
        with zipfile.ZipFile(folder / "other.keras", "w") as archive:
            archive.writestr("hello.txt", "hello")
        return (
            folder / "other.keras",
            ["hello"],
            r"other\.keras is not a \.keras model file; name",
        )
    if case == "other model":
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.save(folder / "dense.keras")
        return folder / "dense.keras", ["hello"], r"dense\.keras holds a Keras model without vocab"
    raise AssertionError(case)


@pytest.mark.parametrize("case", ["missing", "folder", "text file", "other archive", "other model"])
def test_a_bad_model_is_one_line(tmp_path, case):
    file, texts, message = bad_model(tmp_path, case)
    with pytest.raises(UserError, match=message) as raised:
        classify(file, *texts)
    assert "\n" not in str(raised.value)


def test_texts_to_classify_are_checked(run, monkeypatch):
    with pytest.raises(UserError, match=r"text 2 is empty; leave it out"):
        classify(run / "model.keras", "hello", " ")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(UserError, match="there is no text; give texts as arguments"):
        classify(run / "model.keras")


def test_numbered_folders_never_meet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [run_folder.create_run_folder(None, "example") for _ in range(3)]
    assert [str(folder) for folder in folders] == [
        os.path.join("runs", f"example-{number}") for number in (1, 2, 3)
    ]
    assert all(folder.is_dir() for folder in folders)


class TestRun:
    @default_backend_only
    def test_warnings_of_retracing_are_not_for_users_of_a_script(self, monkeypatch):
        logger = logging.getLogger("tensorflow")
        monkeypatch.setattr(logger, "level", logging.WARNING)
        examples.run(lambda _: logger.warning("5 calls triggered retracing"), None)
        assert logger.level == logging.ERROR

    def test_a_mistake_is_one_line_and_status_1(self):
        def main(_):
            raise UserError("two\nlines")

        with pytest.raises(SystemExit) as exited:
            examples.run(main, None)
        assert exited.value.code == "error: two lines"

    def test_a_reader_that_leaves_is_no_traceback(self, monkeypatch):
        """As `| head` does."""
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w", encoding="utf-8") as pipe:
            monkeypatch.setattr(sys, "stdout", pipe)
            with pytest.raises(SystemExit) as exited:
                examples.run(lambda _: print("a line"), None)
        assert exited.value.code == 141

    def test_half_a_character_is_printed(self, monkeypatch):
        output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", output)
        examples.run(lambda _: print("\ud83d é"), None)
        assert output.buffer.getvalue() == b"\\ud83d \\xe9\n"

    def test_an_unexpected_error_keeps_its_traceback(self):
        def main(_):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            examples.run(main, None)

    def test_a_warning_is_one_line(self, monkeypatch):
        monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
        examples.run(lambda _: None, None)
        written = warnings.formatwarning("look at this", UserWarning, "file.py", 3, "code()")
        assert written == "warning: look at this\n"
