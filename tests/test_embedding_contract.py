"""The contract for losses that compare the rows of a batch, as tests/test_contract.py has it.

For embeddings (B, D) with one label each: what a row is to the others (anchor, positive, negative)
decides what a mask, a weight of 0 and an invalid label mean.
"""

import json

import backends
import keras
import numpy as np
import pytest
from backends import BACKEND, COMPILED_MODES, MODES, QUICK, QUICK_MODE, invalid
from cases import EMBEDDING_CASES, EmbeddingCase, gradient_of
from keras import ops
from kinds import every_mode, graph_of_unknown, only_tensorflow

import keras_ce

BATCH = len(EmbeddingCase.ids)
IS_IGNORED = np.array([False, False, True, False, False, False, False, True])
"""Rows with an id of their own."""
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"]
# For what each mode does alike: a compiled program of XLA takes seconds.
both_modes = pytest.mark.parametrize("mode", sorted({QUICK_MODE, MODES[-1]}))
every_case = pytest.mark.parametrize("case", EMBEDDING_CASES, ids=lambda case: case.name)
each_loss = pytest.mark.parametrize(
    "case",
    list({case.loss: case for case in reversed(EMBEDDING_CASES)}.values()),
    ids=lambda case: case.loss,
)


@pytest.fixture
def unchecked():
    keras_ce.set_value_checks(False)
    yield
    keras_ce.set_value_checks(True)


def close_gradient(actual, expected, tolerance=1e-5):
    """Within a part of the largest entry."""
    return np.all(np.abs(actual - expected) <= tolerance * np.max(np.abs(expected)))


def reduced(values, weights, is_counted, reduction):
    total = (values * weights)[is_counted].sum()
    divisor = {"sum": 1, "mean_with_sample_weight": weights[is_counted].sum()}
    return total / divisor.get(reduction, is_counted.sum())


# --- value and gradient ---


@every_mode
@every_case
def test_value_and_gradient(case, mode):
    values, slopes = gradient_of(case, mode)(case.y_pred, case.ids)
    assert values.dtype == "float32"
    assert values.shape == (BATCH,)
    np.testing.assert_allclose(values, case.values, rtol=1e-5, atol=2e-6)
    assert close_gradient(slopes, case.slopes)
    np.testing.assert_array_equal(values[IS_IGNORED], 0)
    assert np.all(values[~IS_IGNORED] > 0)


@every_case
def test_half_precision_is_computed_in_float32(case):
    rounded = backends.array(ops.cast(ops.convert_to_tensor(case.y_pred), "bfloat16"))
    expected, expected_slopes = gradient_of(case)(rounded, case.ids)
    values, slopes = gradient_of(case)(case.y_pred, case.ids, dtype="bfloat16")
    assert values.dtype == "float32"
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=2**-7, atol=1e-2)


@every_case
def test_float64_stays_float64(case):
    if BACKEND == "jax":
        pytest.skip("JAX has no float64 unless it is switched on")
    values, slopes = gradient_of(case)(case.y_pred.astype("float64"), case.ids)
    assert values.dtype == slopes.dtype == "float64"
    np.testing.assert_allclose(values, case.values, rtol=1e-12, atol=1e-14)
    assert close_gradient(slopes, case.slopes, 1e-12)


@every_case
def test_one_row_no_row_and_one_label_are_0(case):
    for number in (1, 0):
        values, slopes = gradient_of(case, QUICK_MODE)(case.y_pred[:number], case.ids[:number])
        np.testing.assert_array_equal(values, np.zeros(number))
        np.testing.assert_array_equal(slopes, np.zeros((number, 3)))
        assert float(backends.quick(case.make())(case.ids[:number], case.y_pred[:number])) == 0
    # All rows alone: there is nothing to be near to.
    values, slopes = gradient_of(case, QUICK_MODE)(case.y_pred, np.arange(BATCH, dtype="int32"))
    np.testing.assert_array_equal(values, 0)
    np.testing.assert_array_equal(slopes, 0)


@every_case
def test_rows_that_are_all_alike(case):
    """A collapse: finite, and no gradient where there is no direction."""
    for rows in (np.full_like(case.y_pred, 0.3), np.zeros_like(case.y_pred)):
        values, slopes = gradient_of(case, QUICK_MODE)(rows, case.ids)
        margin = case.arguments.get("margin", np.log(BATCH - 1))
        np.testing.assert_allclose(values, np.where(IS_IGNORED, 0, margin), rtol=1e-5)
        np.testing.assert_allclose(slopes, 0, atol=2e-6)


@every_case
def test_a_row_that_is_not_finite_is_not_hidden(case):
    for wrong in (np.nan, np.inf):
        rows = case.y_pred.copy()
        rows[4, 1] = wrong
        value = backends.quick(case.make())(case.ids, rows)
        assert np.isnan(float(value))


# --- labels ---


@each_loss
class TestLabels:
    def test_ids_of_every_type_and_with_a_trailing_one(self, case):
        ids = case.ids % 100
        expected = backends.array(case.function(ids, case.y_pred))
        for dtype in ("uint8", "int16", "uint32", "int64", "uint64", "float16", "float64"):
            values = case.function(ids.astype(dtype), case.y_pred)
            np.testing.assert_array_equal(backends.array(values), expected)
        for labels in (ids[:, None], ops.convert_to_tensor(ids[:, None])):
            np.testing.assert_array_equal(
                backends.array(case.function(labels, case.y_pred)), expected
            )
        as_lists = case.function(ids.tolist(), case.y_pred.tolist())
        np.testing.assert_allclose(backends.array(as_lists), expected, rtol=1e-6)

    def test_row_12_ids_stay_exact_in_a_half_precision_loss(self, case):
        """In bfloat16 these are two ids, and not four."""
        ids = np.array([256, 257, 512, 513, 256, 257, 512, 513], "int32")
        half = case.make(dtype="bfloat16")(ops.convert_to_tensor(ids), case.y_pred)
        assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"
        full = case.make()(ids, case.y_pred)
        np.testing.assert_allclose(backends.array(half), backends.array(full), rtol=2**-8)

    def test_other_shapes_are_refused(self, case):
        for shape in [(BATCH + 1,), (), (BATCH, 3), (1, BATCH), (BATCH, 1, 1)]:
            for loss in (case.function, case.make()):
                with pytest.raises(ValueError, match=r"`y_true` must hold one id per row of"):
                    loss(np.zeros(shape, "int32"), case.y_pred)
        for shape in [(BATCH,), (BATCH, 3, 1)]:
            with pytest.raises(ValueError, match=r"`y_pred` must hold embeddings of shape \(batch"):
                case.function(case.ids, np.zeros(shape, "float32"))

    @pytest.mark.parametrize("label", [1.5, float("nan"), float("inf"), 2.0**31, -(2.0**31)])
    def test_row_3_a_label_that_is_no_id_raises(self, case, label):
        labels = case.ids.astype("float32")
        labels[3], labels[7] = label, 5
        for given, position in [
            (labels, (3,)),
            (labels[:, None], (3, 0)),
            (ops.convert_to_tensor(labels), (3,)),
        ]:
            with invalid("y_true", "int32", fix="numpy.unique", position=position, value=label):
                case.function(given, case.y_pred)

    def check_nan_without_gradient(self, case, mode):
        """What is no id is left out, by the other rows as well."""
        labels = case.ids.astype("float64").astype("float32")
        labels[[3, 7]] = np.nan, 9
        values, slopes = gradient_of(case, mode)(case.y_pred, labels)
        candidates = tuple(row for row in range(BATCH) if row != 3)
        ids = np.where(np.arange(BATCH) == 7, 9, case.ids)
        expected, expected_slopes = case.losses_and_slopes(ids, candidates=candidates)
        counts = np.arange(BATCH) != 3
        assert np.isnan(values[3])
        np.testing.assert_allclose(values[counts], np.nan_to_num(expected)[counts], rtol=1e-5)
        np.testing.assert_array_equal(slopes[3], 0)
        assert close_gradient(slopes, expected_slopes[counts].sum(0))

    @pytest.mark.parametrize("mode", COMPILED_MODES)
    def test_row_3_an_invalid_label_is_nan_without_gradient_when_compiled(self, case, mode):
        self.check_nan_without_gradient(case, mode)

    def test_row_3_an_invalid_label_is_nan_without_gradient_when_unchecked(self, case, unchecked):
        self.check_nan_without_gradient(case, "eager")

    @only_tensorflow
    def test_unknown_batch_in_a_graph(self, case):
        loss = case.make()
        run = graph_of_unknown(loss, case.ids, case.y_pred, case.y_pred[:, 0], known=())
        known = graph_of_unknown(loss, case.ids, case.y_pred, case.y_pred[:, 0], known=[(1, 1)])
        for number in (BATCH, 0):
            inputs = case.ids[:number], case.y_pred[:number], np.ones(number, "float32")
            expected = float(loss(*inputs))
            for traced in (run, known):
                assert float(traced(*inputs)) == pytest.approx(expected, rel=1e-6)


# --- weights, masks, reductions ---


@each_loss
class TestWeights:
    @pytest.mark.parametrize("reduction", REDUCTIONS)
    def test_every_reduction(self, case, reduction):
        """Rows that have nothing to be compared with leave the divisor, weights of 0 do not."""
        loss = backends.quick(case.make(reduction=reduction))
        weights = np.array([0.5, 2.0, 3.0, 0.0, 1.0, 1.0, 0.25, 0.0], "float32")
        for given, full in [
            (None, np.ones(BATCH)),
            (weights, weights),
            (weights[:, None], weights),
        ]:
            value = backends.array(loss(case.ids, case.y_pred, given))
            assert value.shape == ()
            expected = reduced(case.values, full, ~IS_IGNORED, reduction)
            np.testing.assert_allclose(value, expected, rtol=1e-5)

    def test_no_reduction(self, case):
        weights = np.linspace(0, 2, BATCH, dtype="float32")
        values = case.make(reduction="none")(case.ids, case.y_pred, weights)
        np.testing.assert_allclose(
            backends.array(values), case.values * weights, rtol=1e-5, atol=1e-6
        )

    def test_other_shapes_are_refused(self, case):
        for shape in [(BATCH + 1,), (BATCH, 3), (1, BATCH)]:
            with pytest.raises(ValueError, match="`sample_weight` must be a scalar, or have one"):
                case.make()(case.ids, case.y_pred, np.ones(shape, "float32"))

    @both_modes
    def test_a_row_of_weight_0_is_no_anchor_and_stays_a_candidate(self, case, mode):
        weights = np.ones(BATCH, "float32")
        weights[[2, 3]] = 0
        loss = case.make(reduction="none")
        values, slopes = backends.gradient(
            lambda y_pred, y_true: loss(y_true, y_pred, weights), case.y_pred, case.ids, mode=mode
        )
        np.testing.assert_allclose(values, case.values * weights, rtol=1e-5)
        of_rows = case.losses_and_slopes()[1]
        expected = of_rows[weights > 0].sum(0)
        assert close_gradient(slopes, expected)
        assert np.any(expected[3] != 0)
        assert not close_gradient(slopes, of_rows.sum(0))

    @both_modes
    def test_row_11_a_row_of_weight_0_that_is_not_finite_is_left_out(self, case, mode):
        weights = np.ones(BATCH, "float32")
        weights[[3, 7]] = 0
        rows = case.y_pred.copy()
        rows[3], rows[7, 0] = np.nan, np.inf
        loss = case.make()
        value, slopes = backends.gradient(
            lambda y_pred, y_true: loss(y_true, y_pred, weights), rows, case.ids, mode=mode
        )
        candidates = (0, 1, 2, 4, 5, 6)
        expected, expected_slopes = case.losses_and_slopes(candidates=candidates)
        counted = [0, 1, 4, 5, 6]
        # Row 3 has positives, and stays in the divisor.
        np.testing.assert_allclose(value, expected[counted].sum() / 6, rtol=1e-5)
        assert close_gradient(slopes, expected_slopes[counted].sum(0) / 6)
        np.testing.assert_array_equal(slopes[[3, 7]], 0)

    def test_row_11_a_row_of_weight_0_with_a_label_that_is_none_is_left_out(self, case):
        weights = np.ones(BATCH, "float32")
        weights[3] = 0
        labels = case.ids.astype("float64")
        labels[3] = np.nan
        value = case.make()(labels, case.y_pred, weights)
        expected, _ = case.losses_and_slopes(candidates=(0, 1, 2, 4, 5, 6, 7))
        np.testing.assert_allclose(float(value), expected[[0, 1, 4, 5, 6]].sum() / 5, rtol=1e-5)

    @both_modes
    def test_a_masked_row_is_nothing_at_all(self, case, mode):
        mask = np.ones(BATCH, bool)
        mask[[3, 6]] = False
        loss = case.make()
        labels = case.ids.astype("float64").astype("float32")
        labels[[3, 7]] = np.nan, 9  # what is masked may hold anything
        for rows in (case.y_pred, np.where(mask[:, None], case.y_pred, np.float32("nan"))):
            value, slopes = backends.gradient(
                lambda y_pred, y_true: loss(y_true, MarksRows(mask)(y_pred)),
                rows,
                labels,
                mode=mode,
            )
            candidates = (0, 1, 2, 4, 5, 7)
            ids = np.where(np.arange(BATCH) == 7, 9, case.ids)
            expected, expected_slopes = case.losses_and_slopes(ids, candidates=candidates)
            counted = [0, 1, 4, 5]
            np.testing.assert_allclose(value, expected[counted].mean(), rtol=1e-5)
            assert close_gradient(slopes, expected_slopes[counted].mean(0))
            np.testing.assert_array_equal(slopes[[3, 6]], 0)

    def test_nothing_counted_is_0_with_gradient_0(self, case):
        for reduction in REDUCTIONS:
            loss = case.make(reduction=reduction)
            value, slopes = backends.gradient(
                lambda y_pred, y_true, loss=loss: loss(y_true, y_pred, np.zeros(BATCH, "float32")),
                np.full_like(case.y_pred, np.nan),
                case.ids,
            )
            assert value == 0
            np.testing.assert_array_equal(slopes, 0)


class MarksRows(keras.layers.Layer):
    """Leaves a mask on the rows, as a layer over padded texts would."""

    def __init__(self, mask):
        super().__init__()
        self.supports_masking = True
        self.mask = mask

    def compute_mask(self, inputs, previous_mask):
        return ops.convert_to_tensor(self.mask)

    def call(self, inputs):
        return inputs


# --- form, training ---


@each_loss
def test_row_17_config_is_complete(case):
    loss = case.make(reduction="sum", name="mine", dtype="float16")
    config = json.loads(json.dumps(loss.get_config()))
    assert config.items() >= {**case.arguments, "dtype": "float16", "name": "mine"}.items()
    restored = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(restored) is type(loss)
    assert restored.get_config() == loss.get_config()
    assert float(restored(case.ids, case.y_pred)) == float(loss(case.ids, case.y_pred))


@every_case
def test_fit_lowers_the_loss(case):
    generator = np.random.default_rng(4)
    labels = generator.integers(0, 3, 40)
    x = (np.eye(3)[labels] + generator.normal(size=(40, 3)) / 2).astype("float32")
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    model.compile(keras.optimizers.Adam(0.05), loss=case.make(), **QUICK)
    weights = np.ones(40, "float32")
    weights[5] = 0
    history = model.fit(x, labels, sample_weight=weights, batch_size=20, epochs=6, verbose=0)
    before, *_, after = history.history["loss"]
    assert np.isfinite(before)
    assert after < before


@pytest.mark.skipif(BACKEND != "jax", reason="these transformations are JAX's")
@every_case
def test_transformations_of_jax(case):
    import jax

    def total(y_pred):
        return case.function(case.ids, y_pred).sum()

    slopes = jax.jit(jax.vmap(jax.grad(total)))(np.stack([case.y_pred] * 2))
    assert close_gradient(slopes, np.stack([case.slopes] * 2))
    if case.arguments.get("mining", "semi-hard") != "hard" and case.loss == "TripletMargin":
        return  # a matrix of distances has a derivative in reverse mode alone
    direction = np.cos(np.arange(case.y_pred.size)).reshape(case.y_pred.shape).astype("float32")
    _, along = jax.jvp(total, (case.y_pred,), (direction,))
    np.testing.assert_allclose(along, np.sum(case.slopes * direction), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(BACKEND != "torch", reason="these transformations are torch's")
@every_case
def test_transformations_of_torch(case):
    import torch

    ids = torch.tensor(case.ids)

    def total(y_pred):
        return case.function(ids, y_pred).sum()

    keras_ce.set_value_checks(False)
    try:
        slopes = torch.func.vmap(torch.func.grad(total))(torch.tensor(np.stack([case.y_pred] * 2)))
    finally:
        keras_ce.set_value_checks(True)
    assert close_gradient(slopes.numpy(), np.stack([case.slopes] * 2))
    # A Jacobian: many gradients of one batch at once.
    y_pred = torch.tensor(case.y_pred, requires_grad=True)
    losses = case.function(ids, y_pred)
    (slopes,) = torch.autograd.grad(losses, y_pred, torch.eye(BATCH), is_grads_batched=True)
    assert close_gradient(slopes.numpy(), case.losses_and_slopes()[1])


@pytest.mark.skipif(BACKEND != "torch", reason="torch.compile is torch's")
@pytest.mark.filterwarnings("default")  # Dynamo warns about itself.
@every_case
def test_torch_compiles_without_graph_breaks_when_unchecked(case, unchecked):
    import torch

    torch.compiler.reset()  # The cases share one function, which may be compiled eight times.
    compiled = torch.compile(case.function, fullgraph=True, backend="aot_eager")
    y_pred = torch.tensor(case.y_pred, requires_grad=True)
    values = compiled(torch.tensor(case.ids), y_pred)
    values.sum().backward()
    np.testing.assert_allclose(backends.array(values), case.values, rtol=1e-5, atol=1e-6)
    assert close_gradient(y_pred.grad.numpy(), case.slopes)
