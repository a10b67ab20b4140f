"""The contract for similarities (B, B): what tests/test_contract.py checks of the other losses."""

import json

import backends
import keras
import numpy as np
import pytest
import references
from backends import BACKEND, COMPILED_MODES, MODES, invalid
from keras import ops

import keras_ce
from keras_ce.losses import (
    InBatchCrossentropy,
    in_batch_crossentropy,
    label_smoothed_crossentropy,
)

BATCH, TEMPERATURE = 5, 0.2
_generator = np.random.default_rng(11)
SIMILARITIES = _generator.uniform(-1, 1, (BATCH, BATCH)).astype("float32")
UNIQUE = np.arange(BATCH, dtype="int32")
REPEATED = np.array([7, 3, 7, -2, 3], "int32")
every_mode = pytest.mark.parametrize("mode", MODES)
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"]


def reference(ids, similarities, temperature=TEMPERATURE):
    """Values (B,) and the gradients (B, B) of each row's value with respect to its row."""
    values, slopes = [], []
    ids = [int(item) for item in np.reshape(ids, -1)]
    for index, row in enumerate(similarities):

        def loss(index, row, **arguments):
            return references.in_batch_crossentropy(ids, index, row, **arguments)

        values.append(references.value(loss, index, row, temperature=temperature))
        slopes.append(references.slope(loss, index, row, temperature=temperature))
    return np.array(values), np.array(slopes)


def run(ids, similarities, temperature=TEMPERATURE, mode="eager", dtype=None):
    return backends.gradient(
        lambda y_pred, y_true: in_batch_crossentropy(y_true, y_pred, temperature),
        similarities,
        ids,
        mode=mode,
        dtype=dtype,
    )


def close_gradient(actual, expected):
    largest = np.max(np.abs(expected), axis=-1, keepdims=True)
    return np.all(np.abs(actual - expected) <= 1e-6 * np.maximum(1, largest))


@pytest.fixture
def unchecked():
    keras_ce.set_value_checks(False)
    yield
    keras_ce.set_value_checks(True)


# --- arguments and shapes ---


@pytest.mark.parametrize(
    "temperature", [0, -0.05, True, float("nan"), float("inf"), "0.05", None, [0.05]]
)
def test_row_18_arguments_are_validated(temperature):
    with invalid("temperature", "a positive number", value=temperature):
        InBatchCrossentropy(temperature)
    with invalid("temperature", "a positive number", value=temperature):
        in_batch_crossentropy(UNIQUE, SIMILARITIES, temperature)


@pytest.mark.parametrize("shape", [(BATCH, BATCH + 1), (1, BATCH), (BATCH,), (2, BATCH, BATCH)])
def test_similarities_that_are_not_square_are_refused(shape):
    message = r"`y_pred` must hold similarities of shape \(batch, batch\). Received: y_pred.shape="
    with pytest.raises(ValueError, match=message):
        in_batch_crossentropy(UNIQUE, np.zeros(shape, "float32"))


@pytest.mark.parametrize("shape", [(BATCH + 1,), (), (BATCH, BATCH), (1, BATCH), (BATCH, 1, 1)])
def test_row_15_labels_of_other_shapes_are_refused(shape):
    message = r"`y_true` must hold one id per row of `y_pred`, of shape \(5,\) or \(5, 1\)"
    for loss in (in_batch_crossentropy, InBatchCrossentropy()):
        with pytest.raises(ValueError, match=message):
            loss(np.zeros(shape, "int32"), SIMILARITIES)


# --- value and gradient ---


@every_mode
@pytest.mark.parametrize("ids", [UNIQUE, REPEATED[:, None]], ids=["unique", "repeated"])
def test_value_and_gradient(ids, mode):
    expected, expected_slopes = reference(ids, SIMILARITIES)
    values, slopes = run(ids, SIMILARITIES, mode=mode)
    assert values.dtype == "float32"
    assert values.shape == (BATCH,)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert close_gradient(slopes, expected_slopes)


@every_mode
@pytest.mark.parametrize(
    "similarities",
    [
        # The right answer ahead by 0.1 to 6.9 at temperature 0.1: losses of e^-1 to e^-69.
        np.diag([0.1, 1.0, 3.0, 5.0, 6.9]) + 0.8,
        np.diag([-6.0, -1e4, 0.0, 1e4, 900.0]),
        SIMILARITIES * 1e4,
    ],
    ids=["tiny", "diagonal", "huge"],
)
def test_row_16_tiny_and_huge_losses(similarities, mode):
    similarities = similarities.astype("float32")
    expected, expected_slopes = reference(REPEATED, similarities, 0.1)
    values, slopes = run(REPEATED, similarities, 0.1, mode=mode)
    is_normal = expected > 1e-30
    np.testing.assert_allclose(values[is_normal], expected[is_normal], rtol=1e-5)
    assert np.all(values[~is_normal] <= 1.1e-30)
    assert close_gradient(slopes, expected_slopes)


@every_mode
def test_a_row_that_lies_far_from_0_keeps_its_digits(mode):
    """1,000 / 0.3 rounds to a multiple of 0.0002; what a row has in common goes first."""
    similarities = SIMILARITIES + np.float32(1000)
    values, slopes = run(REPEATED, similarities, 0.3, mode=mode)
    expected, expected_slopes = reference(REPEATED, similarities, 0.3)
    np.testing.assert_allclose(values, expected, rtol=2e-6)
    assert close_gradient(slopes, expected_slopes)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_similarities_are_computed_in_float32(dtype):
    rounded = backends.array(ops.cast(ops.convert_to_tensor(SIMILARITIES), dtype))
    expected, expected_slopes = run(REPEATED, rounded)
    values, slopes = run(REPEATED, SIMILARITIES, dtype=dtype)
    assert values.dtype == "float32"
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=2**-8, atol=1e-3)


def test_float64_similarities_stay_float64():
    if BACKEND == "jax":
        pytest.skip("JAX has no float64 unless it is switched on")
    values, slopes = run(REPEATED, SIMILARITIES.astype("float64"))
    expected, expected_slopes = reference(REPEATED, SIMILARITIES)
    assert values.dtype == slopes.dtype == "float64"
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=1e-10, atol=1e-12)


def test_with_ids_of_its_own_it_is_softmax_cross_entropy_over_the_batch():
    expected = label_smoothed_crossentropy(UNIQUE, SIMILARITIES / 0.25, 0, from_logits=True)
    values = in_batch_crossentropy(UNIQUE, SIMILARITIES, 0.25)
    np.testing.assert_allclose(backends.array(values), backends.array(expected), rtol=2e-6)
    far_apart = np.array([-(2**31) + 1, 0, 2**31 - 1, 2**24, 2**24 + 1])  # all of int32, exactly
    values = in_batch_crossentropy(far_apart, SIMILARITIES, 0.25)
    np.testing.assert_allclose(backends.array(values), backends.array(expected), rtol=2e-6)


def test_the_default_temperature():
    values = backends.array(in_batch_crossentropy(UNIQUE, SIMILARITIES))
    np.testing.assert_allclose(values, reference(UNIQUE, SIMILARITIES, 0.05)[0], rtol=1e-5)


# --- ids ---


@every_mode
def test_another_answer_to_the_same_question_leaves_the_denominator(mode):
    """Columns 0 and 2 answer question 7: row 0 does not see column 2, whatever it holds."""
    values, slopes = run(REPEATED, SIMILARITIES, mode=mode)
    changed = SIMILARITIES.copy()
    changed[0, 2] = changed[2, 0] = 1e4
    changed[4, 1] = np.inf
    changed_values, changed_slopes = run(REPEATED, changed, mode=mode)
    np.testing.assert_array_equal(changed_values, values)
    np.testing.assert_array_equal(changed_slopes, slopes)
    is_left_out = (REPEATED[:, None] == REPEATED) & ~np.eye(BATCH, dtype=bool)
    np.testing.assert_array_equal(slopes == 0, is_left_out)
    without, _ = run(UNIQUE, SIMILARITIES, mode=mode)
    assert np.all(values[[0, 1, 2, 4]] < without[[0, 1, 2, 4]])
    np.testing.assert_allclose(values[3], without[3], rtol=1e-6)


def test_one_question_only_has_nothing_to_lose_to():
    values, slopes = run(np.full(BATCH, 3), SIMILARITIES)
    np.testing.assert_array_equal(values, 0)
    np.testing.assert_array_equal(slopes, 0)


def test_ids_of_every_type():
    ids = np.array([7, 3, 7, 2, 3])
    expected = backends.array(in_batch_crossentropy(ids, SIMILARITIES))
    for dtype in ("uint8", "int16", "uint32", "int64", "uint64", "float16", "float32", "float64"):
        values = in_batch_crossentropy(ids.astype(dtype), SIMILARITIES)
        np.testing.assert_array_equal(backends.array(values), expected)
    values = in_batch_crossentropy(ids.tolist(), SIMILARITIES.tolist())
    np.testing.assert_allclose(backends.array(values), expected, rtol=1e-6)


def test_row_12_ids_stay_exact_in_a_half_precision_loss():
    """In bfloat16 256 and 257 are one id, and each would leave the other's denominator."""
    ids = ops.convert_to_tensor(np.array([256, 257, 512, 513, 514], "int32"))
    half = InBatchCrossentropy(TEMPERATURE, dtype="bfloat16")(ids, SIMILARITIES)
    assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"
    expected = reference(UNIQUE, SIMILARITIES)[0].mean()
    np.testing.assert_allclose(backends.array(half), expected, rtol=2**-8)


INVALID = [1.5, float("nan"), float("inf"), 2.0**31, -(2.0**31), 1e10]


@pytest.mark.parametrize("label", INVALID)
def test_row_3_a_label_that_is_no_integer_raises(label):
    labels = REPEATED.astype("float32")
    labels[3] = label
    for given, position in [
        (labels, (3,)),
        (labels[:, None], (3, 0)),
        (ops.convert_to_tensor(labels), (3,)),
    ]:
        with invalid("y_true", "integers within int32", position=position, value=labels[3]):
            in_batch_crossentropy(given, SIMILARITIES)
    labels[2] = np.nan  # does not count
    with invalid("y_true", "integers within int32", position=(3,), value=labels[3]):
        InBatchCrossentropy()(labels, SIMILARITIES, np.array([1, 1, 0, 1, 1], "float32"))


@pytest.mark.parametrize("label", [2**31, -(2**31), 2**40])
def test_row_3_an_integer_beyond_int32_raises(label):
    labels = REPEATED.astype("int64")
    labels[1] = label
    with invalid("y_true", fix="return_inverse=True", position=(1,), value=label):
        in_batch_crossentropy(labels, SIMILARITIES)


def check_nan_without_gradient(mode):
    """Whatever is no integer is nobody's id: the answers of such rows stay candidates."""
    expected, expected_slopes = reference(UNIQUE, SIMILARITIES)
    is_invalid = np.array([True, False, True, True, False])
    for wrong in ([np.nan, 1.5, 2.0**31], [np.nan, np.nan, -(2.0**31)]):
        labels = UNIQUE.astype("float32")
        labels[is_invalid] = wrong
        values, slopes = run(labels, SIMILARITIES, mode=mode)
        np.testing.assert_array_equal(np.isnan(values), is_invalid)
        np.testing.assert_array_equal(slopes[is_invalid], 0)
        np.testing.assert_allclose(values[~is_invalid], expected[~is_invalid], rtol=1e-5)
        assert close_gradient(slopes[~is_invalid], expected_slopes[~is_invalid])


@pytest.mark.parametrize("mode", COMPILED_MODES)
def test_row_3_an_invalid_label_is_nan_without_gradient_when_compiled(mode):
    check_nan_without_gradient(mode)


def test_row_3_an_invalid_label_is_nan_without_gradient_when_unchecked(unchecked):
    check_nan_without_gradient("eager")


# --- weights, masks, reductions ---


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("column", [False, True])
def test_every_reduction(reduction, column):
    weights = np.array([0.5, 0.0, 2.0, 1.0, 3.0], "float32")
    expected, _ = reference(REPEATED, SIMILARITIES)
    loss = InBatchCrossentropy(TEMPERATURE, reduction=reduction)
    divisor = {"sum": 1, "mean_with_sample_weight": weights.sum()}.get(reduction, BATCH)
    value = backends.array(loss(REPEATED, SIMILARITIES, weights[:, None] if column else weights))
    assert value.shape == ()
    np.testing.assert_allclose(value, (expected * weights).sum() / divisor, rtol=1e-5)
    value = backends.array(loss(REPEATED, SIMILARITIES))
    np.testing.assert_allclose(value, expected.sum() / (1 if reduction == "sum" else BATCH), 1e-5)


@pytest.mark.parametrize("reduction", ["none", None])
def test_no_reduction(reduction):
    weights = np.array([0.5, 0.0, 2.0, 1.0, 3.0], "float32")
    loss = InBatchCrossentropy(TEMPERATURE, reduction=reduction)
    values = backends.array(loss(REPEATED, SIMILARITIES, weights))
    np.testing.assert_allclose(values, reference(REPEATED, SIMILARITIES)[0] * weights, rtol=1e-5)


def test_weights_of_other_shapes_are_refused():
    for shape in [(BATCH + 1,), (BATCH, BATCH), (1, BATCH)]:
        with pytest.raises(ValueError, match="`sample_weight` must be a scalar, or have one"):
            InBatchCrossentropy()(UNIQUE, SIMILARITIES, np.ones(shape, "float32"))


@every_mode
def test_a_row_of_weight_0_leaves_the_loss_but_its_answer_stays_a_candidate(mode):
    weights = np.array([1, 1, 0, 1, 1], "float32")
    loss = InBatchCrossentropy(TEMPERATURE, reduction="none")
    values, slopes = backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred, weights), SIMILARITIES, UNIQUE, mode=mode
    )
    expected, expected_slopes = reference(UNIQUE, SIMILARITIES)
    assert values[2] == 0
    np.testing.assert_array_equal(slopes[2], 0)
    others = weights > 0
    np.testing.assert_allclose(values[others], expected[others], rtol=1e-5)
    assert close_gradient(slopes[others], expected_slopes[others])
    assert np.all(slopes[others, 2] > 0)  # pushed away from the answer of row 2


@every_mode
def test_row_11_a_row_of_weight_0_may_hold_anything(mode):
    weights = np.array([1, 1, 0, 1, 1], "float32")
    similarities = SIMILARITIES.copy()
    similarities[2] = np.nan
    loss = InBatchCrossentropy(TEMPERATURE)
    expected, expected_slopes = reference(UNIQUE, SIMILARITIES)
    others = weights > 0
    labels = UNIQUE.astype("float32")
    labels[2] = np.nan
    value, slopes = backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred, weights), similarities, labels, mode=mode
    )
    np.testing.assert_allclose(value, expected[others].sum() / BATCH, rtol=1e-5)
    np.testing.assert_array_equal(slopes[2], 0)
    np.testing.assert_allclose(slopes[others], expected_slopes[others] / BATCH, atol=1e-6)


def test_no_weight_at_all_is_zero_with_zero_gradient():
    for reduction in REDUCTIONS:
        loss = InBatchCrossentropy(reduction=reduction)
        value, slopes = backends.gradient(
            lambda y_pred, y_true, loss=loss: loss(y_true, y_pred, np.zeros(BATCH, "float32")),
            np.full_like(SIMILARITIES, np.nan),
            UNIQUE,
        )
        assert value == 0
        np.testing.assert_array_equal(slopes, 0)


class MarksRows(keras.layers.Layer):
    """Leaves a mask on the rows, as a layer over padded questions would."""

    def __init__(self, mask):
        super().__init__()
        self.supports_masking = True
        self.mask = mask

    def compute_mask(self, inputs, previous_mask):
        return ops.convert_to_tensor(self.mask)

    def call(self, inputs):
        return inputs


def test_masked_rows_leave_the_denominator_and_stay_candidates():
    mask = np.array([True, True, False, True, False])
    similarities = SIMILARITIES.copy()
    similarities[~mask] = np.nan
    y_pred = MarksRows(mask)(ops.convert_to_tensor(similarities))
    value = InBatchCrossentropy(TEMPERATURE)(UNIQUE, y_pred)
    expected, _ = reference(UNIQUE, SIMILARITIES)
    np.testing.assert_allclose(backends.array(value), expected[mask].mean(), rtol=1e-5)


# --- form, graphs, training ---


def test_row_17_config_is_complete():
    loss = InBatchCrossentropy(np.float32(0.25), reduction="sum", name="mine", dtype="float16")
    config = json.loads(json.dumps(loss.get_config()))
    assert config == {"temperature": 0.25, "reduction": "sum", "name": "mine", "dtype": "float16"}
    restored = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(restored) is InBatchCrossentropy
    assert restored.get_config() == loss.get_config()
    assert float(restored(UNIQUE, SIMILARITIES)) == float(loss(UNIQUE, SIMILARITIES))


@pytest.mark.parametrize("labels_shape", [[None], [None, 1], [None, None]])
def test_unknown_batch_in_a_graph(labels_shape):
    if BACKEND != "tensorflow":
        pytest.skip("only TensorFlow traces unknown dimensions")
    import tensorflow as tf

    loss = InBatchCrossentropy(TEMPERATURE)
    traced = tf.function(
        lambda y_true, y_pred, weights: loss(y_true, y_pred, weights),
        input_signature=[
            tf.TensorSpec(labels_shape, "int32"),
            tf.TensorSpec([None, None], "float32"),
            tf.TensorSpec([None], "float32"),
        ],
    )
    for size in (BATCH, 3):
        weights = np.arange(size, dtype="float32")
        ids, similarities = REPEATED[:size], SIMILARITIES[:size, :size]
        value = traced(np.reshape(ids, (-1, 1)[: len(labels_shape)]), similarities, weights)
        expected = (reference(ids, similarities)[0] * weights).mean()
        np.testing.assert_allclose(value, expected, rtol=1e-5)


class Similarities(keras.layers.Layer):
    """Cosines of every question with every answer of the batch."""

    def call(self, questions, answers):
        return ops.matmul(
            ops.normalize(questions, axis=-1), ops.transpose(ops.normalize(answers, axis=-1))
        )


def test_row_9_fit_two_towers():
    """Two outputs meet in one matrix, since a Keras loss never sees both."""
    generator = np.random.default_rng(4)
    questions = generator.normal(size=(24, 6)).astype("float32")
    answers = questions @ generator.normal(size=(6, 8)).astype("float32")
    data = {"question": questions, "answer": answers}
    ids = np.arange(24)
    weights = np.ones(24, "float32")
    weights[5] = 0
    inputs = [keras.Input((6,), name="question"), keras.Input((8,), name="answer")]
    keras.utils.set_random_seed(3)
    towers = [keras.layers.Dense(4)(item) for item in inputs]
    model = keras.Model(inputs, Similarities()(*towers))
    model.compile(keras.optimizers.Adam(0.05), loss=InBatchCrossentropy())
    before = model.evaluate(data, ids, batch_size=8, verbose=0)
    model.fit(data, ids, sample_weight=weights, batch_size=8, epochs=8, verbose=0)
    after = model.evaluate(data, ids, batch_size=8, verbose=0)
    assert after < before / 2


def test_a_saved_model_keeps_its_temperature(tmp_path):
    inputs = [keras.Input((6,)), keras.Input((6,))]
    model = keras.Model(inputs, keras.layers.Dot(-1)(inputs))
    model.compile("sgd", loss=InBatchCrossentropy(0.5))
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").loss.temperature == 0.5
