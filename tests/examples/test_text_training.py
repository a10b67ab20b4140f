"""Training with early stopping, calibration, and logits in the order of the texts."""

import keras
import numpy as np
import pytest

from keras_ce.losses import LabelSmoothedCrossentropy
from recipes.runs.temperature import best_temperature, divide_logits
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import build_text_classifier
from recipes.text_classifier.training import TextBatches, predict_logits, token_ids, train
from recipes.tokens.length_groups import predict_by_length

WORDS = [f"word{number}" for number in range(28)]
SETTINGS = {
    "loss": LabelSmoothedCrossentropy(0.1, from_logits=True),
    "learning_rate": 0.02,
    "patience": 2,
}


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    return build_text_classifier(
        30,
        2,
        embedding_dim=4,
        units=0,
        convolution_widths=(1,),
        convolution_filters=8,
        vocabulary=["", "[unknown]", *WORDS],
        class_names=["low", "high"],
        token_kind="words",
    )


@pytest.fixture
def data():
    """Texts of words from the first half of the vocabulary, and from the second."""
    random = np.random.default_rng(0)
    numbers = [14 * (row % 2) + random.integers(0, 14, size=1 + row % 9) for row in range(60)]
    return LabelledTexts(
        [" ".join(WORDS[number] for number in row) for row in numbers], [0, 1] * 30
    )


def batches(model, data, seed=None):
    return TextBatches(token_ids(model, data.texts), data.labels, 8, seed)


@pytest.mark.parametrize("epochs", [2, 30])
def test_the_best_weights_are_kept(model, data, epochs):
    training = LabelledTexts(data.texts[:40], data.labels[:40])
    # Wrong labels for validation: its loss rises sooner or later.
    validation = LabelledTexts(data.texts[40:], [1 - label for label in data.labels[40:]])
    history = train(
        model, batches(model, training, 1), batches(model, validation), epochs=epochs, **SETTINGS
    )
    losses = history["val_loss"]
    assert len(losses) <= epochs
    if epochs == 30:
        assert len(losses) < 30
        assert np.argmin(losses) == len(losses) - 3
    loss, _ = model.evaluate(batches(model, validation), verbose=0)
    assert loss == pytest.approx(min(losses), abs=1e-5)


def test_without_validation_every_epoch_is_trained(model, data):
    history = train(model, batches(model, data, 1), epochs=25, **SETTINGS)
    assert sorted(history) == ["accuracy", "loss"]
    assert len(history["loss"]) == 25
    _, accuracy = model.evaluate(batches(model, data), verbose=0)
    assert accuracy > 0.95


def test_the_loss_that_is_given_is_trained_with(model, data):
    # Class 1 counts for nothing: the network need not know it.
    loss = LabelSmoothedCrossentropy(0.1, from_logits=True, class_weight=[1.0, 0.0])
    train(model, batches(model, data, 1), epochs=25, **{**SETTINGS, "loss": loss})
    assert (predict_logits(model, data.texts).argmax(axis=1) == 0).all()


def test_temperature_is_found_and_applied(model, data):
    random = np.random.default_rng(2)
    sure = random.normal(size=(4000, 3)).astype("float32") * 2
    probabilities = np.exp(sure) / np.exp(sure).sum(axis=1, keepdims=True)
    labels = [int(random.choice(3, p=row / row.sum())) for row in probabilities.astype("float64")]
    assert best_temperature(sure, labels) == pytest.approx(1, abs=0.1)
    assert best_temperature(sure * 4, labels) == pytest.approx(4, rel=0.1)
    sequences = token_ids(model, data.texts)
    before = predict_by_length(model, sequences)
    divide_logits(model, 0.5, ["logits"])
    np.testing.assert_allclose(
        predict_by_length(model, sequences), before * 2, rtol=1e-5, atol=1e-6
    )


def test_logits_come_in_the_order_of_the_texts(model, data):
    sequences = token_ids(model, data.texts)
    found = predict_by_length(model, sequences, batch_size=7)
    assert found.shape == (60, 2)
    for row in (0, 7, 31, 59):
        alone = predict_by_length(model, [sequences[row]])
        np.testing.assert_allclose(found[row : row + 1], alone, atol=1e-6)
