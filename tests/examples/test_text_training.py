"""Training with early stopping, and logits in the order of the texts."""

import keras
import numpy as np
import pytest

from examples.text_training import TextBatches, predict_logits, train
from recipes.text_classifier import build_text_classifier


@pytest.fixture(scope="module")
def sequences():
    random = np.random.default_rng(0)
    return [random.integers(2, 30, size=1 + row % 9).tolist() for row in range(60)]


@pytest.mark.parametrize("epochs", [2, 30])
def test_the_best_weights_are_kept(sequences, epochs):
    keras.utils.set_random_seed(1)
    model = build_text_classifier(
        30, 2, embedding_dim=4, units=0, convolution_widths=(1,), convolution_filters=8
    )
    labels = [int(sequence[0] % 2) for sequence in sequences]
    # Wrong labels for validation: its loss rises sooner or later.
    wrong = [1 - label for label in labels[40:]]
    validation = TextBatches(sequences[40:], wrong, 32)
    history = train(
        model,
        TextBatches(sequences[:40], labels[:40], 8, seed=1),
        validation,
        epochs=epochs,
        label_smoothing=0.1,
        class_weight=None,
        learning_rate=0.02,
        patience=2,
    )
    losses = history["val_loss"]
    assert len(losses) <= epochs
    if epochs == 30:
        assert len(losses) < 30
        assert np.argmin(losses) == len(losses) - 3
    loss, _ = model.evaluate(validation, verbose=0)
    assert loss == pytest.approx(min(losses), abs=1e-5)


def test_logits_come_in_the_order_of_the_texts(sequences):
    model = build_text_classifier(30, 3, embedding_dim=4, units=3)
    found = predict_logits(model, sequences, batch_size=7)
    assert found.shape == (60, 3)
    for row in (0, 7, 31, 59):
        alone = predict_logits(model, [sequences[row]])
        np.testing.assert_allclose(found[row : row + 1], alone, atol=1e-6)
