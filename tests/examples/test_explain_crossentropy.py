"""`examples.explain_crossentropy`: every number of the notes, the known functions, pictures."""

import json
import pathlib
import re

import backends
import keras
import numpy as np
import pytest
from keras import ops
from matplotlib.image import imread
from scipy.special import softmax

import keras_ce.losses
from examples import explain_crossentropy
from recipes.runs.failures import UserError
from recipes.study_notes import computed as notes_computed, known_functions, notes as study_notes
from recipes.study_notes.computed import ANSWERS

PROJECT = pathlib.Path(__file__).parents[2]
DOCUMENTS = json.loads(
    (PROJECT / "tests" / "vectors" / "documents.json").read_text(encoding="utf-8")
)
PICTURES = ["clipping", "information", "label_smoothing", "second_softmax", "squared_error"]


@pytest.fixture(scope="module", autouse=True)
def compiled_losses():
    """On JAX, an eager loss compiles operation by operation."""
    with pytest.MonkeyPatch.context() as patch:
        for name in vars(notes_computed):
            if name.endswith("_crossentropy"):
                patch.setattr(notes_computed, name, backends.quick(getattr(notes_computed, name)))
        yield


def numbers_of(values):
    return [] if values is None else np.ravel(values).tolist()


def test_no_number_of_the_notes_is_left_out_and_none_is_added():
    assert set(ANSWERS) == {entry["what"] for entry in DOCUMENTS}
    assert set(study_notes.TITLES) == {entry["document"] for entry in DOCUMENTS}
    notes = study_notes.read_notes()
    assert len(notes) == len(DOCUMENTS)
    assert [entry.document for entry in notes] == sorted(entry["document"] for entry in DOCUMENTS)


@pytest.mark.parametrize("entry", DOCUMENTS, ids=lambda entry: entry["what"][:40])
def test_every_number_of_the_notes(entry):
    result = ops.convert_to_numpy(ANSWERS[entry["what"]].compute(entry["inputs"]))
    np.testing.assert_allclose(result, entry["exact"], rtol=5e-6, atol=1e-7)
    printed = numbers_of(entry["printed"])
    agreements = [
        study_notes.agreement(number, float(value))
        for number, value in zip(printed, np.ravel(result), strict=bool(printed))
    ]
    # Where the notes are off, and only there, the example says why.
    if study_notes.OFF in agreements:
        assert ANSWERS[entry["what"]].reason
    if printed and study_notes.OFF not in agreements:
        assert not ANSWERS[entry["what"]].reason


@pytest.mark.parametrize(
    ("printed", "computed", "expected"),
    [
        (None, 1.0, study_notes.NOT_PRINTED),
        (0.36, 0.35667, study_notes.ALL_DIGITS),
        (0.36, 0.354, study_notes.OFF),
        (2.3, 2.302585, study_notes.ALL_DIGITS),
        (0.804, 0.8018, study_notes.OFF),
        (3.0996735, 3.0996737, study_notes.LAST_DIGIT),
        (3.0996735, 3.0996745, study_notes.OFF),
        (1.1920933e-07, 0.0, study_notes.OFF),
        (1.1920933e-07, 1.1920932e-07, study_notes.LAST_DIGIT),
        (1.1920933e-07, 1.19209334e-07, study_notes.ALL_DIGITS),
        (2, 2.4, study_notes.ALL_DIGITS),
        (2, 2.6, study_notes.OFF),
    ],
)
def test_agreement(printed, computed, expected):
    assert study_notes.agreement(printed, computed) == expected


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """What the program prints, and its folder."""
    folder = tmp_path_factory.mktemp("notes") / "run"
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("builtins.print", lambda *words: lines.append(" ".join(map(str, words))))
        explain_crossentropy.main(explain_crossentropy.parse(["--output", str(folder)]))
    return "\n".join(lines), folder


def test_every_number_is_printed_in_the_order_of_the_notes(explained):
    text, _ = explained
    place = 0
    for document, title in study_notes.TITLES.items():
        place = text.index(f"{title}\n===", place)
        for entry in DOCUMENTS:
            if entry["document"] != document:
                continue
            place = text.index(f"\n{entry['what']}\n  {ANSWERS[entry['what']].call}\n", place)
            block = text[place + 1 :].partition("\n\n")[0]
            shown = re.findall(r"^  notes +(\S+)   here +(\S+)", block, re.MULTILINE)
            exact, printed = numbers_of(entry["exact"]), numbers_of(entry["printed"])
            assert [here for _, here in shown] == [f"{float(here):.8g}" for _, here in shown], (
                "numbers, as many digits as float32 has"
            )
            np.testing.assert_allclose(
                [float(here) for _, here in shown], exact, rtol=5e-6, atol=1e-7
            )
            assert [notes for notes, _ in shown] == (
                [f"{number:.8g}" for number in printed] or ["-"] * len(exact)
            )
            assert ANSWERS[entry["what"]].lesson in block
            assert ("Where the notes are off:" in block) == bool(ANSWERS[entry["what"]].reason)


def test_the_summary_counts_what_was_shown(explained):
    text, _ = explained
    found = re.search(
        r"(\d+) numbers, (\d+) of them printed in the notes: (\d+) agree to all printed digits, "
        r"(\d+) but for the last .*, (\d+) do not",
        text,
    )
    total, printed, agree, last_digit, off = map(int, found.groups())
    assert total == sum(len(numbers_of(entry["exact"])) for entry in DOCUMENTS)
    assert printed == sum(len(numbers_of(entry["printed"])) for entry in DOCUMENTS)
    assert agree == len(re.findall(r"  all digits$", text, re.MULTILINE))
    assert last_digit == len(re.findall(r"  but for the last$", text, re.MULTILINE))
    assert off == len(re.findall(r"  no$", text, re.MULTILINE)) == 2
    assert agree + last_digit + off == printed
    assert agree >= 15


def test_the_pictures_are_drawn_and_named(explained):
    text, folder = explained
    assert sorted(path.stem for path in folder.iterdir()) == PICTURES
    for name in PICTURES:
        path = folder / f"{name}.png"
        assert re.search(rf"^{re.escape(str(path))}: \S", text, re.MULTILINE)
        pixels = imread(path)[::5, ::5]
        # Not a white sheet, and not a gray one.
        assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 20


def test_every_function_of_the_notes_is_printed(explained):
    text, _ = explained
    for equivalent in known_functions.EQUIVALENTS:
        assert "\n" + "\n  ".join(equivalent) in text
    names = [equivalent.name for equivalent in known_functions.EQUIVALENTS]
    assert sum(name.startswith("tf.nn.") for name in names) == 4
    assert sum(name.startswith("keras.losses.") for name in names) == 3


def of_tensorflow(name, **tensors):
    tensorflow = pytest.importorskip("tensorflow")
    return eval(name, {"tf": tensorflow}, tensors)


@pytest.mark.parametrize(
    "equivalent", known_functions.EQUIVALENTS, ids=lambda equivalent: equivalent.name.split("(")[0]
)
def test_each_function_is_what_ours_is_said_to_be(equivalent):
    random = np.random.default_rng(4)
    logits = random.normal(size=(5, 3)).astype("float32")
    ids = np.array([0, 2, 1, 1, 0])
    rows = np.eye(3, dtype="float32")[ids]
    ours = {**vars(keras_ce.losses), "ids": ids, "labels": rows, "logits": logits}
    if equivalent.name.startswith("keras.losses."):
        # As plain numbers: on TensorFlow, Keras takes the logits behind a softmax, even for a
        # binary cross-entropy.
        probabilities = softmax(logits, axis=-1)
        labels = ids if "Sparse" in equivalent.name else rows
        expected = eval(equivalent.name, {"keras": keras})(labels, probabilities)
        found = eval(equivalent.ours, ours)(labels, probabilities)
        np.testing.assert_allclose(backends.array(found), backends.array(expected), rtol=1e-5)
        return
    pos_weight = np.float32(2.5)
    if "sparse" not in equivalent.name and "softmax" not in equivalent.name:
        rows = (random.uniform(size=(5, 3)) < 0.5).astype("float32")
    expected = np.asarray(
        of_tensorflow(
            equivalent.name.replace("(labels, ", "(labels=labels, ")
            .replace("(ids, ", "(labels=ids, ")
            .replace(" logits", " logits=logits")
            .replace(" pos_weight", " pos_weight=pos_weight"),
            labels=rows,
            ids=ids,
            logits=logits,
            pos_weight=pos_weight,
        )
    )
    found = eval(equivalent.ours, {**ours, "labels": rows, "pos_weight": float(pos_weight)})
    if expected.ndim == 2:
        expected = expected.mean(axis=-1)
    np.testing.assert_allclose(backends.array(found), expected, rtol=1e-5)


def test_outside_a_clone_one_line_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(study_notes.read_notes, "__defaults__", (tmp_path / "none.json",))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"none\.json does not exist; run the examples in a whole"):
        explain_crossentropy.main(explain_crossentropy.parse([]))
    assert list(tmp_path.iterdir()) == []
