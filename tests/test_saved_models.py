"""Saved models in a process that knows nothing of this one: one for all, since to start takes time.

This file is its script, too: `python test_saved_models.py FOLDER` prints what the models there are.
"""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from cases import CASES, CLASSES, EMBEDDING_CASES, TIME

import keras_ce
import recipes

PROJECT = pathlib.Path(__file__).parents[1]
WORDS = ["", "[unknown]", *(f"word{number}" for number in range(28))]
WITH_VOCABULARY = {"vocabulary": WORDS, "token_kind": "stems"}
NETWORK = {"embedding_dim": 8, "units": 5}
GENERATOR = np.random.default_rng(5)


def losses():
    """Model, inputs and labels for each loss of the catalogue."""
    for name in sorted({case.loss for case in CASES}):
        case = next(case for case in CASES if case.loss == name and case.takes_logits)
        model = keras.Sequential([keras.Input((TIME, CLASSES)), keras.layers.Dense(CLASSES)])
        model.compile("sgd", loss=case.make(dtype="float32", name=f"my_{name}"))
        yield name, model, [case.y_pred], case.y_true
    for case in EMBEDDING_CASES[::3]:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
        model.compile("sgd", loss=case.make(dtype="float32", name=f"my_{case.loss}"))
        yield case.loss, model, [case.y_pred], case.ids


def metrics():
    """The same for each metric."""
    sizes = [2, 5, 3]
    letters = keras_ce.metrics.GroupedAccuracy(sizes, mode="each", name="letters")
    calibration = keras_ce.metrics.ExpectedCalibrationError(4, from_logits=True, name="calibration")
    of_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    ids = GENERATOR.integers(0, 2, (64, 3))
    flat = np.concatenate([np.eye(size)[ids[:, g]] for g, size in enumerate(sizes)], -1)
    f1 = keras_ce.metrics.F1Score("weighted", from_logits=True, ignore_class=1, name="f1")
    kappa = keras_ce.metrics.CohenKappa("linear", num_classes=10, name="kappa")
    for metric, loss, labels in (
        (letters, "mse", flat),
        *((each, of_logits, ids[:, 0]) for each in (calibration, f1, kappa)),
    ):
        model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10)])
        model.compile(loss=loss, metrics=[metric])
        yield metric.name, model, [GENERATOR.normal(size=(64, 10)).astype("float32")], labels


def built_by_recipes():
    """Models of every builder, with inputs that end in padding."""
    tokens = [np.pad(GENERATOR.integers(1, 30, (3, 5)), ((0, 0), (0, 2))) for _ in range(3)]
    tokens = [each.astype("int32") for each in tokens]
    yield (
        "classifier",
        recipes.text_classifier.build_text_classifier(30, 3, **NETWORK),
        tokens[:1],
        None,
    )
    everything = recipes.text_classifier.build_text_classifier(
        30,
        3,
        **NETWORK,
        **WITH_VOCABULARY,
        pooling="max",
        bidirectional=True,
        convolution_widths=(2, 3),
        convolution_filters=6,
        affix_buckets=50,
        class_names=["a", "b", "c"],
        embedding_dropout=0.3,
        dropout=0.5,
    )
    yield "classifier_of_everything", everything, tokens[:1], None
    ranker = recipes.answer_ranker.build_answer_ranker(
        30,
        **{**NETWORK, "units": 0},
        **WITH_VOCABULARY,
        word_sum=True,
        word_weights=list(np.linspace(0.1, 1, 30)),
        length_pivot=2.0,
        word_dropout=0.2,
    )
    yield "trainer", ranker.trainer, tokens, None
    yield "question_encoder", ranker.question_encoder, tokens[:1], None
    yield "answer_encoder", ranker.answer_encoder, tokens[:1], None
    next_word = recipes.next_word.build_next_word(30, **NETWORK, **WITH_VOCABULARY)
    yield "next_word", next_word.predictor, tokens[:1], None
    reader = recipes.string_reader.build_string_reader((8, 16, 1), 2, 4, alphabet="abcd")
    yield "reader", reader, [GENERATOR.integers(0, 256, (3, 8, 16, 1)).astype("uint8")], None


def seen(model, inputs, labels):
    """What a model computes, and what it knows of itself."""
    x = inputs if len(inputs) > 1 else inputs[0]
    result = {"outputs": model.predict_on_batch(x).tolist()}
    for name in ("vocabulary", "class_names", "token_kind", "alphabet"):
        result[name] = getattr(model, name, None)
    if labels is not None:
        result["loss"] = getattr(model.loss, "name", model.loss)
        result["values"] = model.evaluate(x, labels, verbose=0, return_dict=True)
    return json.loads(json.dumps(result))


def test_a_new_process_loads_them(tmp_path):
    expected = {}
    for name, model, inputs, labels in (*losses(), *metrics(), *built_by_recipes()):
        expected[name] = seen(model, inputs, labels)
        model.save(tmp_path / f"{name}.keras")
        arrays = {f"x{number}": each for number, each in enumerate(inputs)}
        np.savez(tmp_path / f"{name}.npz", **arrays, **({} if labels is None else {"y": labels}))
    completed = subprocess.run(
        [sys.executable, __file__, tmp_path],
        cwd=PROJECT,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    found = json.loads(completed.stdout.splitlines()[-1])
    assert found.keys() == expected.keys()
    for name in found:
        outputs, values = found[name].pop("outputs"), found[name].pop("values", {})
        np.testing.assert_allclose(outputs, expected[name].pop("outputs"), atol=1e-6, err_msg=name)
        assert values == pytest.approx(expected[name].pop("values", {}), rel=1e-6), name
        assert found[name] == expected[name]
    assert found["AsymmetricSigmoidCrossentropy"]["loss"] == "my_AsymmetricSigmoidCrossentropy"
    assert found["classifier_of_everything"]["class_names"] == ["a", "b", "c"]
    assert found["answer_encoder"]["vocabulary"] == WORDS
    assert found["reader"]["alphabet"] == "abcd"


def main(folder):
    results = {}
    for path in folder.glob("*.keras"):
        model = keras.saving.load_model(path, safe_mode=True)
        data = np.load(path.with_suffix(".npz"))
        inputs = [data[name] for name in sorted(data) if name != "y"]
        results[path.stem] = seen(model, inputs, data.get("y"))
    print(json.dumps(results))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
