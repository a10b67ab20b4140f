"""`StringReader`: fitting, reading, files, scikit-learn, mistakes."""

import copy
import io
import pickle

import drawn_strings
import joblib
import keras
import numpy as np
import pytest
from backends import default_backend_only, step_quickly
from PIL import Image
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

from keras_ce.losses import WeightedSigmoidCrossentropy
from recipes.runs.failures import UserError
from recipes.string_reader import (
    StringReader,
    StringReaderModel,
    build_string_reader,
    data,
    training,
)
from recipes.string_reader.evaluation import readings

SMALL = {"filters": (8, 8), "units": 16, "dropout": 0.0, "batch_size": 16, "verbose": 0}
DRAWN = list(drawn_strings.strings(120))
IMAGES = [image for _, _, image in DRAWN]
ARRAY = np.stack(IMAGES)
STRINGS = [text for _, text, _ in DRAWN]
TEST_IMAGES = [image for _, _, image in drawn_strings.strings(40, seed=1)]
TEST_STRINGS = [text for _, text, _ in drawn_strings.strings(40, seed=1)]


@pytest.fixture(scope="module")
def reader():
    reader = StringReader(**SMALL, epochs=12, seed=3)
    assert reader.fit(IMAGES, STRINGS) is reader
    return reader


def test_it_learns_to_read(reader):
    assert reader.score(TEST_IMAGES, TEST_STRINGS) > 0.9
    scores = reader.evaluate(TEST_IMAGES, TEST_STRINGS)
    predicted = reader.predict(TEST_IMAGES)
    assert scores["string_accuracy"] == np.mean(predicted == TEST_STRINGS)
    assert scores["string_accuracy"] == reader.score(TEST_IMAGES, TEST_STRINGS)
    pairs = zip("".join(predicted), "".join(TEST_STRINGS), strict=True)
    assert scores["character_accuracy"] == np.mean([read == text for read, text in pairs])
    assert len(reader.history_["loss"]) == len(reader.history_["val_string_accuracy"]) == 12
    assert reader.history_["loss"][-1] < reader.history_["loss"][0]


def test_it_reads_every_form_of_picture(reader, tmp_path):
    IMAGES[0].save(tmp_path / "a.png")
    forms = [tmp_path / "a.png", str(tmp_path / "a.png"), IMAGES[0], ARRAY[0], ARRAY[0][..., None]]
    found = reader.read([*forms, IMAGES[0].convert("RGB")])
    assert {text for text, _ in found} == {STRINGS[0]}
    assert len({round(probability, 5) for _, probability in found}) == 1
    assert reader.predict(ARRAY[:3]).tolist() == STRINGS[:3]
    assert reader.read([]) == []


def test_probabilities_are_those_of_the_model(reader):
    logits = reader.model_.predict(ARRAY[:5, ..., None], verbose=0).astype("float64")
    expected = softmax(logits.reshape(5, 2, 3), axis=-1).max(axis=-1).prod(axis=-1)
    found = [probability for _, probability in reader.read(IMAGES[:5])]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_character_that_was_never_learned_is_read_wrong(reader):
    assert reader.evaluate(IMAGES[:1], [STRINGS[0][0] + "Q"]) == {
        "character_accuracy": 0.5,
        "string_accuracy": 0.0,
    }


def test_without_validation_data_it_sets_some_aside(monkeypatch):
    """The same pictures as `examples.train_string_reader`."""
    seen = []

    def stop(model, *sets, **settings):
        seen.extend(sets)
        raise InterruptedError

    monkeypatch.setattr(training, "train", stop)
    with pytest.raises(InterruptedError):
        StringReader(**SMALL).fit(ARRAY, STRINGS)
    expected = data.split_validation(data.given_images(IMAGES, STRINGS), "they")
    assert [each.names for each in seen] == [each.names for each in expected]
    assert len(seen[1]) == 12


def test_one_file_holds_all_of_it(reader, tmp_path):
    reader.save(tmp_path / "reader.keras")
    loaded = StringReader.load(tmp_path / "reader.keras")
    assert loaded.read(IMAGES[:4]) == reader.read(IMAGES[:4])
    settings = reader.get_params()
    assert loaded.get_params() == {**settings, "filters": list(settings["filters"])}
    model = keras.saving.load_model(tmp_path / "reader.keras", safe_mode=True)
    assert isinstance(model, StringReaderModel)
    assert (model.alphabet, model.loss_kind) == ("xyz", "grouped")


def test_a_model_of_the_builder_is_read_too(tmp_path):
    """And one whose logits say something else is refused."""
    model = build_string_reader((10, 16, 1), 2, 3, alphabet="xyz", filters=(4,), units=4)
    for name, loss in (("sigmoid", WeightedSigmoidCrossentropy(from_logits=True)), ("mse", "mse")):
        model.compile("adam", loss=loss)
        model.save(tmp_path / f"{name}.keras")
    logits = model.predict(ARRAY[:2, ..., None], verbose=0)
    assert StringReader.load(tmp_path / "sigmoid.keras").read(IMAGES[:2]) == readings(logits, "xyz")
    with pytest.raises(ValueError, match=r"mse\.keras was trained with mse, whose logits do not"):
        StringReader.load(tmp_path / "mse.keras")
    build_string_reader((10, 16, 1), 2, 3, filters=(4,)).save(tmp_path / "blank.keras")
    with pytest.raises(ValueError, match=r"blank\.keras holds a Keras model that is not a string"):
        StringReader.load(tmp_path / "blank.keras")


def test_a_damaged_file_is_one_line(reader, tmp_path):
    reader.save(tmp_path / "reader.keras")
    content = bytearray((tmp_path / "reader.keras").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "reader.keras").write_bytes(content)
    with pytest.raises(ValueError, match=r"reader\.keras is a damaged model file") as raised:
        StringReader.load(tmp_path / "reader.keras")
    assert "\n" not in str(raised.value)


def test_a_text_that_begins_like_an_archive_is_no_model(tmp_path):
    (tmp_path / "list.keras").write_text("PKW, trucks and buses")
    with pytest.raises(ValueError, match=r"list\.keras is not a \.keras model file"):
        StringReader.load(tmp_path / "list.keras")


def test_it_survives_pickle_joblib_and_copies(reader):
    file = io.BytesIO()
    joblib.dump(reader, file)
    file.seek(0)
    for other in (pickle.loads(pickle.dumps(reader)), joblib.load(file), copy.deepcopy(reader)):
        assert other.read(IMAGES[:2]) == reader.read(IMAGES[:2])
        assert other.history_ == reader.history_


def test_it_is_an_estimator(reader):
    fresh = clone(reader)
    assert fresh.get_params() == reader.get_params()
    assert clone(reader).set_params(epochs=1).epochs == 1
    for use in (lambda: fresh.predict(IMAGES), lambda: fresh.model_, lambda: fresh.save("x.keras")):
        with pytest.raises(NotFittedError, match="call `fit`"):
            use()


@default_backend_only
def test_scikit_learn_validates_and_searches_over_paths_and_arrays(tmp_path, monkeypatch):
    step_quickly(monkeypatch, StringReaderModel)
    paths = [tmp_path / name for name, _, _ in DRAWN]
    for path, image in zip(paths, IMAGES, strict=True):
        image.save(path)
    quick = StringReader(**{**SMALL, "filters": (4,), "batch_size": 40}, epochs=3)
    options = {"cv": [(np.arange(80), np.arange(80, 120))], "error_score": "raise"}
    (score,) = cross_val_score(quick, paths, STRINGS, **options)
    search = GridSearchCV(quick, {"loss": ["grouped", "sigmoid"]}, refit=False, **options)
    scores = search.fit(ARRAY, STRINGS).cv_results_["mean_test_score"]
    # The same seed, and pixels that are the same whatever they come from.
    assert 0 < score == scores[0]
    assert len(scores) == 2


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({"epochs": 0}, (IMAGES, STRINGS), "`epochs` must be a positive integer"),
        ({"batch_size": 1.5}, (IMAGES, STRINGS), "`batch_size` must be a positive integer"),
        ({"loss": "hinge"}, (IMAGES, STRINGS), "`loss` must be one of 'grouped', 'sigmoid', 'so"),
        ({"label_smoothing": 2}, (IMAGES, STRINGS), "`label_smoothing` must be a number from 0 to"),
        ({"learning_rate": 0}, (IMAGES, STRINGS), "`learning_rate` must be a number > 0"),
        ({"seed": 2**40}, (IMAGES, STRINGS), "`seed` must be an integer from 0 to 4294967295"),
        ({"filters": ()}, (IMAGES, STRINGS), "`filters` must be a sequence of positive integers"),
        ({"units": 10**9}, (IMAGES, STRINGS), "weights, which take .* GiB .* give smaller"),
        ({}, ("a.png", STRINGS), "expected a sequence of pictures"),
        ({}, ([], []), "expected at least one picture"),
        ({}, (IMAGES, STRINGS[:9]), "expected one string for each picture; received 120 images"),
        ({}, (IMAGES[:2], "xy"), "expected a sequence of strings, one for each picture"),
        ({}, (IMAGES[:2], [12, 13]), r"strings\[0\] must be a string; received 12 of type int"),
        ({}, (IMAGES[:4], STRINGS[:4]), "the training data has too few pictures to set some aside"),
        ({}, (IMAGES, ["", *STRINGS[1:]]), r"strings\[0\] is empty; give what the picture shows"),
        (
            {},
            (IMAGES, ["x∅", *STRINGS[1:]]),
            r"a string holds '∅', which stands for the end of sho",
        ),
        ({}, (IMAGES, ["xx"] * 120), "the only character is 'x'; give strings of at least two"),
        ({}, (IMAGES, STRINGS, (IMAGES[:2],)), r"`validation_data` must be \(images, strings\)"),
    ],
)
def test_a_mistake_is_one_line(settings, arguments, message):
    with pytest.raises(ValueError, match=message) as raised:
        StringReader(**{**SMALL, **settings}).fit(*arguments)
    assert "\n" not in str(raised.value)


def several_lengths(count, seed):
    """Strings of 1 to 3 characters in pictures of two sizes and of every kind of pixels."""
    random = np.random.default_rng(seed)
    for number in range(count):
        text = "".join(random.choice(list("xyz"), 1 + number % 3))
        image = drawn_strings.picture(text, random, width=24)
        image = image.convert(("L", "RGB", "RGBA", "P")[number % 4])
        if number % 5 == 0:
            image = Image.fromarray(np.asarray(image.convert("L")).astype("uint16") * 257)
        yield image.resize((48, 20)) if number % 7 == 0 else image, text


def test_strings_of_several_lengths_in_pictures_of_every_kind(tmp_path, capsys):
    images, texts = zip(*several_lengths(150, 0), strict=True)
    settings = {**SMALL, "units": 32, "epochs": 20, "verbose": 2, "diagnosis": False}
    reader = StringReader(**settings, learning_rate=5e-3).fit(images, texts)
    printed = capsys.readouterr().out
    assert "pictures of 2 sizes, from 24 x 10 to 48 x 20, are scaled and padded to " in printed
    assert reader.model_.alphabet == "xyz∅"
    others, written = zip(*several_lengths(60, 1), strict=True)
    found = reader.read(others)
    assert {len(text) for text, _ in found} == {1, 2, 3}
    assert reader.score(others, written) == np.mean(
        [a == b for (a, _), b in zip(found, written, strict=True)]
    )
    assert reader.score(others, written) > 0.8
    # As sure as right: calibrated with the blank ends, too.
    assert abs(np.mean([sure for _, sure in found]) - reader.score(others, written)) < 0.15
    reader.save(tmp_path / "reader.keras")
    assert StringReader.load(tmp_path / "reader.keras").read(others[:4]) == found[:4]
    with pytest.raises(ValueError, match=r"'xyzx', 4 characters; the reader reads strings of 1 to"):
        reader.score(others[:1], ["xyzx"])


@default_backend_only
def test_the_number_of_epochs_follows_that_of_the_pictures_and_a_line_says_if_they_are_too_few(
    monkeypatch, capsys
):
    step_quickly(monkeypatch, StringReaderModel)
    monkeypatch.setattr(training, "default_epochs", lambda pictures: 2 if pictures == 36 else 0)
    quick = {**SMALL, "filters": (2,), "units": 2, "diagnosis": False, "verbose": 2}
    reader = StringReader(**quick, learning_rate=0.05).fit(ARRAY[:40], STRINGS[:40])
    assert len(reader.history_["loss"]) == 2
    losses, accuracies = (reader.history_[f"val_{name}"] for name in ("loss", "string_accuracy"))
    said = "the validation scores were still rising after 2 epochs" in capsys.readouterr().out
    assert said == (losses[1] < 0.95 * losses[0] and max(accuracies) < 0.9)
    monkeypatch.setattr(training, "still_improves", lambda history: history is not None)
    reader.fit(ARRAY[:40], STRINGS[:40])
    assert "still rising after 2 epochs, at " in capsys.readouterr().out


def test_the_model_of_the_best_epoch_is_kept():
    """The validation strings are wrong: the more the reader learns, the worse it is on them."""
    quick = {**SMALL, "filters": (4,), "units": 8, "diagnosis": False, "epochs": 6}
    known = ARRAY[:80], STRINGS[:80]
    validation = ARRAY[80:], STRINGS[81:] + STRINGS[80:81]
    reader = StringReader(**quick, learning_rate=0.02).fit(*known, validation)
    losses = reader.history_["val_loss"]
    accuracies = reader.history_["val_string_accuracy"]
    assert reader.score(*validation) == pytest.approx(accuracies[int(np.argmin(losses))])
    assert np.argmin(losses) < 5, "no test of the best epoch if it is the last"


def test_strings_of_another_length_are_a_mistake(reader):
    with pytest.raises(ValueError, match=r"'xyz', 3 characters; the reader reads strings of 2"):
        reader.score(IMAGES[:1], ["xyz"])


@default_backend_only
def test_a_training_that_diverges_is_one_line(monkeypatch):
    step_quickly(monkeypatch, StringReaderModel)
    reader = StringReader(**{**SMALL, "filters": (4,), "epochs": 1, "learning_rate": 1e30})
    with pytest.raises(UserError, match="the training has diverged: .*; give a smaller learning_r"):
        reader.fit(IMAGES[:40], STRINGS[:40], (IMAGES[40:60], STRINGS[40:60]))
