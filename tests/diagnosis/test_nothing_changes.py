"""`diagnose` leaves weights, optimizer, metrics, seeds, random state and data as they were."""

import random

import keras
import numpy as np
import pytest
from keras import layers, ops
from set_ups.models import ROWS, features, ids

import keras_ce


class NoisyAlways(layers.Layer):
    """Draws from its own seed at inference too, as the sampling of a variational model does."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(5)

    def call(self, inputs):
        return inputs + 0.01 * keras.random.normal(ops.shape(inputs), seed=self.seeds)


def trained_model():
    keras.utils.set_random_seed(4)
    inputs = keras.Input((8,))
    hidden = layers.BatchNormalization()(layers.Dense(6, "relu")(inputs))
    outputs = layers.Dense(3)(layers.Dropout(0.5)(NoisyAlways()(hidden)))
    model = keras.Model(inputs, outputs)
    # The graph cannot look into the loss, so that other weights are tried as well.
    model = keras.Sequential([keras.Input((8,)), model, layers.Lambda(lambda z: z * 1.0)])
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(features(), ids(3), batch_size=32, verbose=0, shuffle=False)
    return model


def state(model):
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [np.array(ops.convert_to_numpy(variable.value)) for variable in variables]


def assert_equal_states(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


class NoisyLoss(keras.losses.Loss):
    """Draws from a seed of its own, as label noise does."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(3)

    def call(self, y_true, y_pred):
        noise = 0.01 * keras.random.normal(ops.shape(y_pred), seed=self.seeds)
        return keras.losses.sparse_categorical_crossentropy(
            y_true, y_pred + noise, from_logits=True
        )


@pytest.mark.parametrize("is_function", [False, True])
def test_variables_of_a_loss_stay(is_function):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(3)])
    loss = NoisyLoss()
    model.compile("sgd", loss.__call__ if is_function else loss)
    before = np.array(ops.convert_to_numpy(loss.seeds.state.value))
    keras_ce.diagnose(model, features(), ids(3))
    np.testing.assert_array_equal(ops.convert_to_numpy(loss.seeds.state.value), before)
    model.fit(features(), ids(3), verbose=0)


def test_variables_data_and_random_state_stay():
    model = trained_model()
    x, y, weight = features(), ids(3), np.linspace(0, 1, ROWS)
    copies = x.copy(), y.copy(), weight.copy()
    before = state(model)
    settings = model.optimizer, model.loss, model.stop_training, model.compiled
    random.seed(1)
    np.random.seed(1)
    numbers = random.getstate(), np.random.get_state()[1].copy()
    report = keras_ce.diagnose(model, x, y, sample_weight=weight)
    assert report.output_rows == ROWS
    assert_equal_states(before, state(model))
    assert settings == (model.optimizer, model.loss, model.stop_training, model.compiled)
    assert random.getstate() == numbers[0]
    np.testing.assert_array_equal(np.random.get_state()[1], numbers[1])
    for array, copy in zip((x, y, weight), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_training_goes_on_as_without_it():
    weights = []
    for looks in (False, True):
        model = trained_model()
        if looks:
            keras_ce.diagnose(model, features(), ids(3))
        model.fit(features(), ids(3), batch_size=32, verbose=0)
        weights.append(model.get_weights())
    assert_equal_states(*weights)


def test_random_numbers_of_the_data_are_given_back():
    class Augmented(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            noise = np.random.normal(size=(16, 8)) + random.random()
            return noise.astype("float32"), np.arange(16) % 3

    model = trained_model_without_fit()
    random.seed(2)
    np.random.seed(2)
    expected = random.random(), np.random.uniform()
    random.seed(2)
    np.random.seed(2)
    keras_ce.diagnose(model, Augmented())
    assert (random.random(), np.random.uniform()) == expected


def trained_model_without_fit():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model
