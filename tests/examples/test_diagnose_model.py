"""`examples.diagnose_model`, and what the training examples make of a diagnosis."""

import csv
import json
import pathlib

import keras
import numpy as np
import programs
import pytest
from keras import layers
from PIL import Image

import keras_ce
from examples import diagnose_model, train_text_classifier
from recipes.runs import before_training
from recipes.runs.failures import UserError
from recipes.tables import model_data

PROJECT = pathlib.Path(__file__).parents[2]
FEATURES = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
LABELS = np.arange(30) % 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A healthy model, one with an error, one that was never compiled, and data."""
    folder = tmp_path_factory.mktemp("diagnosis")
    for name, activation in (("healthy", None), ("softmax", "softmax")):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation)])
        loss = keras_ce.losses.LabelSmoothedCrossentropy(from_logits=True)
        model.compile("sgd", loss)
        model.save(folder / f"{name}.keras")
    keras.Sequential([keras.Input((4,)), layers.Dense(3)]).save(folder / "plain.keras")
    np.savez(folder / "data.npz", x=FEATURES, y=LABELS)
    write_csv(
        folder / "data.csv", [[*row, label] for row, label in zip(FEATURES, LABELS, strict=True)]
    )
    return folder


def write_csv(path, rows, header=("a", "b", "c", "d", "class")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def run(folder, *arguments):
    diagnose_model.main(
        diagnose_model.parse([str(folder / arguments[0]), *map(str, arguments[1:])])
    )


@pytest.mark.parametrize("data", [["data.npz"], ["data.csv", "--label-column", "class"]])
def test_a_healthy_model(folder, capsys, data):
    run(folder, "healthy.keras", "--data", folder / data[0], *data[1:])
    assert capsys.readouterr().out == "nothing found in 30 rows\n"


def test_an_error_is_shown_and_ends_with_status_1(folder, monkeypatch, capsys):
    softmax = folder / "softmax.keras"
    said = programs.ends(monkeypatch, "diagnose_model", softmax, "--data", folder / "data.npz")
    assert said == f"error: {softmax} is not ready to train: see the errors above"
    assert "double-softmax" in capsys.readouterr().out


def test_json(folder, capsys):
    with pytest.raises(UserError, match="not ready to train"):
        run(folder, "softmax.keras", "--data", folder / "data.npz", "--json")
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "double-softmax"


def test_a_loss_of_the_command_line(folder, capsys):
    data = folder / "data.npz"
    with pytest.raises(UserError, match="not ready to train"):
        run(folder, "plain.keras", "--data", data, "--loss", "SparseCategoricalCrossentropy")
    assert "logits-as-probabilities" in capsys.readouterr().out
    run(folder, "plain.keras", "--data", data, "--loss", "FocalCrossentropy", "--from-logits")
    assert capsys.readouterr().out == "nothing found in 30 rows\n"


def test_texts_and_holes_in_a_table_are_findings(folder, tmp_path, capsys):
    rows = [["1", "2", "", "4", "red"]] * 20
    path = write_csv(tmp_path / "holes.csv", rows)
    with pytest.raises(UserError):
        run(folder, "healthy.keras", "--data", path, "--label-column", "class")
    printed = capsys.readouterr().out
    assert "label-kind" in printed
    assert "non-finite" in printed


def test_several_inputs_and_outputs(tmp_path, capsys):
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    both = layers.concatenate([left, right])
    outputs = [layers.Dense(3, name="kind")(both), layers.Dense(1, name="size")(both)]
    model = keras.Model([left, right], outputs)
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", {"kind": sparse, "size": "mse"})
    model.save(tmp_path / "two.keras")
    parts = {"x_left": FEATURES[:, :2], "x_right": FEATURES[:, 2:]}
    np.savez(tmp_path / "two.npz", **parts, y_kind=LABELS + 1, y_size=FEATURES[:, :1])
    with pytest.raises(UserError):
        run(tmp_path, "two.keras", "--data", tmp_path / "two.npz", "--json")
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["code"], finding["output"]) == ("label-out-of-range", "kind")


def write_pictures(folder, classes=("cat", "dog"), number=12):
    """Gray pictures of 4 x 4 pixels, the second class twice as bright."""
    generator = np.random.default_rng(0)
    for brightness, name in enumerate(classes, 1):
        (folder / name).mkdir(parents=True)
        for place in range(number):
            pixels = generator.integers(0, 100 * brightness, (4, 4)).astype("uint8")
            Image.fromarray(pixels).save(folder / name / f"{place}.png")
    return folder


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_in_a_folder_for_each_class(tmp_path, capsys, channels):
    model = keras.Sequential(
        [keras.Input((4, 4, channels)), layers.Rescaling(1 / 255), layers.Flatten()]
    )
    model.add(layers.Dense(2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    model.save(tmp_path / "model.keras")
    pictures = write_pictures(tmp_path / "pictures")
    run(tmp_path, "model.keras", "--data", pictures)
    assert capsys.readouterr().out == "nothing found in 24 rows\n"
    data = model_data.read_data(pictures, [], channels)
    dataset = keras.utils.image_dataset_from_directory(
        pictures,
        image_size=(4, 4),
        color_mode="grayscale" if channels == 1 else "rgb",
        shuffle=False,
        verbose=False,
    )
    expected = [[each.numpy() for each in batch] for batch in dataset]
    np.testing.assert_array_equal(data["y"], np.concatenate([y for _, y in expected]))
    np.testing.assert_array_equal(data["x"], np.concatenate([x for x, _ in expected]))
    write_pictures(pictures, ["eel"])  # a class that the model lacks
    with pytest.raises(UserError, match="not ready to train"):
        run(tmp_path, "model.keras", "--data", pictures)
    assert "label-out-of-range" in capsys.readouterr().out


def bad_data(folder, case):
    """Arguments with one mistake, and what the one line has to say."""
    if case == "missing model":
        return ["none.keras", "--data", folder / "data.npz"], r"none\.keras does not exist; name"
    if case == "no model":
        return ["data.npz", "--data", folder / "data.npz"], "is not a .keras model file; name"
    if case == "missing data":
        return ["healthy.keras", "--data", folder / "no.npz"], r"no\.npz does not exist; check"
    if case == "broken npz":
        (folder / "broken.npz").write_bytes(b"PK but no archive")
        return ["healthy.keras", "--data", folder / "broken.npz"], "cannot be read as NumPy's .npz"
    if case == "no labels":
        np.savez(folder / "x.npz", x=FEATURES)
        return ["healthy.keras", "--data", folder / "x.npz"], "must hold arrays x and y.*it has x"
    if case == "no picture":
        (folder / "empty").mkdir(exist_ok=True)
        return ["healthy.keras", "--data", folder / "empty"], "empty holds no readable picture"
    if case == "broken picture":
        broken = write_pictures(folder / "broken", number=1)
        (broken / "cat" / "x.png").write_bytes(b"no picture")
        return ["healthy.keras", "--data", broken], r"broken: cat/x\.png cannot be read .*; mend"
    if case == "picture without class":
        loose = write_pictures(folder / "loose", number=1)
        (loose / "dog" / "0.png").rename(loose / "y.png")
        return ["healthy.keras", "--data", loose], r"y\.png lies in no folder of a class; expected"
    if case == "unknown format":
        return ["healthy.keras", "--data", folder / "data.xls"], "is in no known format; expected"
    if case == "missing column":
        return [
            "healthy.keras",
            "--data",
            folder / "data.csv",
        ], "no column 'label'.*'class': choose"
    if case == "no number":
        path = write_csv(folder / "text.csv", [["one", 2, 3, 4, 0]])
        return [
            "healthy.keras",
            "--data",
            path,
            "--label-column=class",
        ], r"text\.csv, row 1: expected a number in column 'a', received 'one'"
    if case == "empty":
        (folder / "empty.csv").write_text("\n")
        return ["healthy.keras", "--data", folder / "empty.csv"], "is empty; expected one row"
    if case == "header alone":
        path = write_csv(folder / "header.csv", [])
        return ["healthy.keras", "--data", path, "--label-column=class"], "a header but no rows"
    if case == "only labels":
        path = write_csv(folder / "only.csv", [[1]], header=("class",))
        return ["healthy.keras", "--data", path, "--label-column=class"], "no column beside 'class'"
    if case == "rows that differ":
        np.savez(folder / "rows.npz", x=FEATURES, y=LABELS[:7])
        return ["healthy.keras", "--data", folder / "rows.npz"], "same number of rows"
    if case == "not compiled":
        return ["plain.keras", "--data", folder / "data.npz"], "the model is not compiled"
    if case == "unknown loss":
        data = ["--data", folder / "data.npz", "--loss", "Crossentropy"]
        return ["plain.keras", *data], "there is no loss 'Crossentropy'; expected the name"
    if case == "no logits":
        data = ["--data", folder / "data.npz", "--loss", "MeanSquaredError", "--from-logits"]
        return ["plain.keras", *data], "MeanSquaredError cannot be made from the command line"
    raise AssertionError(case)


@pytest.mark.parametrize(
    "case",
    [
        "missing model",
        "no model",
        "missing data",
        "broken npz",
        "no labels",
        "no picture",
        "broken picture",
        "picture without class",
        "unknown format",
        "missing column",
        "no number",
        "empty",
        "header alone",
        "only labels",
        "rows that differ",
        "not compiled",
        "unknown loss",
        "no logits",
    ],
)
def test_bad_input_is_one_line(folder, case):
    arguments, message = bad_data(folder, case)
    with pytest.raises(UserError, match=message) as raised:
        run(folder, *arguments)
    assert "\n" not in str(raised.value)


class TestBeforeTraining:
    def test_errors_stop_and_are_shown(self, folder, capsys):
        model = keras.saving.load_model(folder / "softmax.keras")
        with pytest.raises(UserError, match=r"found errors \(double-softmax\).*--no-diagnosis"):
            before_training.stop_on_errors(model, FEATURES, LABELS)
        assert "-> Remove the activation" in capsys.readouterr().out

    def test_what_is_healthy_goes_on_in_silence(self, folder, capsys):
        model = keras.saving.load_model(folder / "healthy.keras")
        before_training.stop_on_errors(model, FEATURES, LABELS)
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("option", [[], ["--no-diagnosis"]])
    def test_a_training_asks_unless_told_not_to(self, option, tmp_path, monkeypatch):
        class AskedError(Exception):
            pass

        def asked(model, x, y=None, *, verbose=1):
            raise AskedError

        class TrainedError(Exception):
            pass

        def trained(*arguments, **options):
            raise TrainedError

        monkeypatch.setattr(before_training, "stop_on_errors", asked)
        monkeypatch.setattr(keras.Model, "fit", trained)
        rows = [(f"word{number % 7} {number}", number % 2) for number in range(40)]
        path = write_csv(tmp_path / "texts.csv", rows, header=("text", "label"))
        with pytest.raises(TrainedError if option else AskedError):
            train_text_classifier.main(
                train_text_classifier.parse(
                    [f"--train={path}", f"--output={tmp_path / 'run'}", "--epochs=1", *option]
                )
            )
        assert not (tmp_path / "run").exists()


def test_pictures_of_two_sizes_are_said_and_not_scaled(tmp_path):
    for name, size in (("a", (5, 4)), ("b", (6, 4))):
        (tmp_path / name).mkdir()
        Image.new("L", size).save(tmp_path / name / "one.png")
    message = r"b/one\.png is 6 x 4 pixels and others are 5 x 4; bring all to one size"
    with pytest.raises(UserError, match=message):
        model_data.read_data(tmp_path, ["label"])
