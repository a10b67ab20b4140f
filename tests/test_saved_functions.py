"""Models that are compiled with a public function: saved, loaded and trained like any other."""

import keras
import numpy as np
import pytest
from backends import QUICK
from cases import EMBEDDING_CASES, LOGITS_ONLY
from kinds import NOT_BY_POSITION, function_of

import keras_ce

CLASSES = 5
# The others cannot do without an argument, which `compile` does not hand on.
ALONE = [
    name
    for name in keras_ce.losses.__all__
    if name[0].isupper() and name not in ("GroupedSoftmaxCrossentropy", "LogitAdjustedCrossentropy")
]
GENERATOR = np.random.default_rng(2)
X = GENERATOR.normal(size=(CLASSES, 4)).astype("float32")
SIGMOID = [name for name in ALONE if "Sigmoid" in name or name.startswith("Multi")]
ROWS = [*SIGMOID, "DistillationCrossentropy", "ListwiseCrossentropy"]


def labels_for(name):
    ids = np.array([4, 0, 1, 3, 2], "int32")
    if name in {case.loss for case in EMBEDDING_CASES}:
        ids %= 2
    return np.eye(CLASSES, dtype="float32")[ids] if name in ROWS else ids


def compiled_model(name, **options):
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(CLASSES)]
    if name not in (*LOGITS_ONLY, *NOT_BY_POSITION):
        layers.append(keras.layers.Activation("sigmoid" if name in SIGMOID else "softmax"))
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("sgd", function_of(name), **{**QUICK, **options})
    return model


def test_every_function_is_registered_under_the_package():
    for name in keras_ce.losses.__all__:
        public = getattr(keras_ce.losses, name)
        assert keras.saving.get_registered_name(public) == f"keras_ce>{name}"
        assert keras.saving.get_registered_object(f"keras_ce>{name}") is public
        if not name[0].isupper():
            again = keras.losses.deserialize(keras.losses.serialize(public))
            assert again is public


@pytest.mark.parametrize("name", ALONE)
class TestCompiledWithAFunction:
    def test_is_saved_and_loaded_and_goes_on_the_same(self, name, tmp_path):
        labels = labels_for(name)
        model = compiled_model(name)
        model.fit(X, labels, shuffle=False, verbose=0)
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        assert again.loss is function_of(name)
        expected = model.evaluate(X, labels, verbose=0)
        assert again.evaluate(X, labels, verbose=0) == pytest.approx(expected, rel=1e-6)
        first, second = (
            each.fit(X, labels, epochs=2, shuffle=False, verbose=0) for each in (model, again)
        )
        np.testing.assert_allclose(second.history["loss"], first.history["loss"], rtol=1e-6)

    def test_costs_what_the_class_costs(self, name):
        labels = labels_for(name)
        model = compiled_model(name)
        expected = getattr(keras_ce.losses, name)()(labels, model.predict(X, verbose=0))
        value = model.evaluate(X, labels, verbose=0)
        assert value == pytest.approx(float(expected), rel=1e-5)


def test_as_a_metric_and_in_a_list_of_losses(tmp_path):
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(CLASSES, "softmax", name=each)(inputs) for each in "ab"]
    model = keras.Model(inputs, outputs)
    functions = [function_of("FocalCrossentropy"), function_of("Poly1Crossentropy")]
    model.compile("sgd", functions, metrics=[[functions[0]], [functions[1]]], **QUICK)
    labels = [labels_for("FocalCrossentropy")] * 2
    expected = model.evaluate(X, labels, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    values = again.evaluate(X, labels, verbose=0, return_dict=True)
    assert values == pytest.approx(expected, rel=1e-6)
