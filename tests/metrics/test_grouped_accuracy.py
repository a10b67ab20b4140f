"""Accuracy of groups, against a loop."""

import json
import math

import backends
import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies
from keras import ops
from metric_steps import step

import keras_ce
from keras_ce.metrics import GroupedAccuracy

SIZES = [2, 5, 3]


def reference(ids, scores, sizes, mode="all", weights=None):
    """One position after another, one group after another; `ids` (N, G), `scores` (N, sum)."""
    weights = [1.0] * len(ids) if weights is None else weights
    total = 0.0
    for labels, row, weight in zip(ids, scores, weights, strict=True):
        rights, start = [], 0
        for label, size in zip(labels, sizes, strict=True):
            group = list(row[start : start + size])
            rights.append(group.index(max(group)) == label)
            start += size
        value = all(rights) if mode == "all" else sum(rights) / len(rights)
        total += float(weight) * value
    return total / math.fsum(weights)


def flat(ids, sizes):
    """One-hot rows side by side."""
    rows = [np.eye(size, dtype="float32")[ids[..., g]] for g, size in enumerate(sizes)]
    return np.concatenate(rows, axis=-1)


def predictions(shape=(200,), sizes=SIZES, seed=0):
    generator = np.random.default_rng(seed)
    ids = np.stack([generator.integers(0, size, shape) for size in sizes], axis=-1)
    scores = generator.normal(size=(*shape, sum(sizes))) + 2.0 * flat(ids, sizes)
    return ids.astype("int32"), scores.astype("float32")


def value(metric):
    return float(ops.convert_to_numpy(metric.result()))


def measured(labels, scores, sizes=SIZES, mode="all", weights=None):
    metric = GroupedAccuracy(sizes, mode)
    metric.update_state(labels, scores, sample_weight=weights)
    return value(metric)


def quickly(labels, scores, sizes=SIZES, mode="all", weights=None):
    """The same for valid labels."""
    metric = GroupedAccuracy(sizes, mode)
    backends.update(metric, labels, scores, weights)
    return value(metric)


@pytest.mark.parametrize("mode", ["all", "each"])
class TestValue:
    @pytest.mark.parametrize("sizes", [[2, 5, 3], [10] * 4, [7], [2, 2]])
    def test_ids_and_flat_rows(self, mode, sizes):
        ids, scores = predictions(sizes=sizes)
        expected = reference(ids, scores, sizes, mode)
        assert 0 < expected < 1
        rows = flat(ids, sizes)
        assert quickly(ids, scores, sizes, mode) == pytest.approx(expected, rel=1e-6)
        assert quickly(rows, scores, sizes, mode) == pytest.approx(expected, rel=1e-6)

    def test_any_dtype_of_labels(self, mode):
        ids, scores = predictions()
        expected = reference(ids, scores, SIZES, mode)
        for dtype in ("int64", "uint8", "float32", "float64"):
            result = quickly(ids.astype(dtype), scores, mode=mode)
            assert result == pytest.approx(expected, rel=1e-6)
        for dtype in ("int32", "bool"):
            result = quickly(flat(ids, SIZES).astype(dtype), scores, mode=mode)
            assert result == pytest.approx(expected, rel=1e-6)

    def test_soft_rows_count_as_their_largest_entry(self, mode):
        ids, scores = predictions()
        soft = 0.8 * flat(ids, SIZES) + 0.05
        expected = reference(ids, scores, SIZES, mode)
        assert quickly(soft, scores, mode=mode) == pytest.approx(expected, rel=1e-6)

    def test_axes_of_positions(self, mode):
        ids, scores = predictions((4, 3, 5))
        expected = reference(ids.reshape(60, -1), scores.reshape(60, -1), SIZES, mode)
        assert quickly(ids, scores, mode=mode) == pytest.approx(expected, rel=1e-6)
        assert quickly(flat(ids, SIZES), scores, mode=mode) == pytest.approx(expected, rel=1e-6)

    def test_many_batches_are_one(self, mode):
        ids, scores = predictions()
        metric = GroupedAccuracy(SIZES, mode=mode)
        for start, stop in [(0, 1), (1, 100), (100, 101), (101, 200)]:
            backends.update(metric, ids[start:stop], scores[start:stop])
        expected = reference(ids, scores, SIZES, mode)
        assert value(metric) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("shape", [(), (4,), (4, 1), (4, 4), (4, 4, 1), (1, 4)])
    def test_weights(self, mode, shape):
        # 4 x 4: a square is where a wrong broadcast would not be noticed.
        ids, scores = predictions((4, 4), seed=1)
        weights = np.random.default_rng(2).random(shape).astype("float32")
        of_rows = weights.reshape(4, 1) if shape in [(4,), (4, 1)] else weights
        of_positions = np.broadcast_to(of_rows.reshape(of_rows.shape[:2]), (4, 4)).reshape(-1)
        expected = reference(ids.reshape(16, -1), scores.reshape(16, -1), SIZES, mode, of_positions)
        result = quickly(ids, scores, mode=mode, weights=weights)
        assert result == pytest.approx(expected, rel=1e-6)

    def test_weight_zero_cannot_poison(self, mode):
        scores = [[0.1, 0.9, 0.3, 0], [math.nan, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, math.nan]]
        ids = [[1, 0], [0, 0], [7, -1], [0, 0]]
        result = quickly(ids, scores, [2, 2], mode, weights=[1.0, 0.0, 0.0, 0.0])
        assert result == 1.0
        assert quickly(ids, scores, [2, 2], mode, weights=[0.0] * 4) == 0.0

    # JAX has no float64 unless it is told so before anything else.
    @pytest.mark.parametrize(
        "dtype", ["float16", "bfloat16"] + ["float64"] * (backends.BACKEND != "jax")
    )
    def test_dtypes(self, mode, dtype):
        ids, scores = predictions((5000,))
        half = ops.cast(ops.convert_to_tensor(scores), dtype)
        seen = backends.array(half)
        expected = reference(ids, seen, SIZES, mode)
        assert quickly(ids, half, mode=mode) == pytest.approx(expected, rel=1e-6)
        narrow = GroupedAccuracy(SIZES, mode, dtype=dtype)
        backends.update(narrow, ids, half)
        wide = "float64" if dtype == "float64" else "float32"
        assert {variable.dtype for variable in narrow.variables} == {wide}
        assert keras.backend.standardize_dtype(narrow.result().dtype) == dtype
        assert float(ops.cast(narrow.result(), "float32")) == pytest.approx(expected, rel=5e-3)

    @hypothesis.settings(max_examples=25, deadline=None)
    @hypothesis.given(
        # JAX compiles anew for every shape.
        sizes=strategies.sampled_from([[6], [2, 4, 2], [5, 2, 6, 2, 3]]),
        are_flat=strategies.booleans(),
        are_ties=strategies.booleans(),
        seed=strategies.integers(0, 2**31),
    )
    def test_drawn(self, mode, sizes, are_flat, are_ties, seed):
        ids, scores = predictions((20,), sizes, seed)
        scores = np.round(scores) if are_ties else scores
        generator = np.random.default_rng(seed)
        weights = generator.integers(0, 3, 20) * generator.random(20)
        hypothesis.assume(weights.sum() > 0)
        labels = flat(ids, sizes) if are_flat else ids
        expected = reference(ids, scores, sizes, mode, weights)
        result = quickly(labels, scores, sizes, mode, weights)
        assert result == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_hand_computed():
    # The first string has both letters right, the second one of two.
    scores = [[0.1, 0.9, 0.2, 0.7, 0.1], [0.8, 0.2, 0.6, 0.3, 0.1]]
    ids = [[1, 1], [0, 2]]
    assert measured(ids, scores, [2, 3], "all") == 0.5
    assert measured(ids, scores, [2, 3], "each") == 0.75
    one_argmax = keras.metrics.CategoricalAccuracy()
    one_argmax.update_state(flat(np.array(ids), [2, 3]), np.array(scores))
    assert value(one_argmax) == 1.0  # What it says of the two.


def test_every_group_counts_the_same_in_each():
    # Not every class: the large group would count four times as much.
    assert measured([[0, 0]], [[1, 0, 0, 0, 0, 0, 0, 1]], [2, 6], "each") == 0.5


def test_the_first_of_equal_scores_is_predicted_of_negative_zeros_too():
    assert measured([[0, 0, 0]], [[-0.0, 0.0, 0.0, -0.0, 2.0, 2.0]], [2, 2, 2]) == 1.0


def test_minus_infinity_is_a_score():
    assert measured([[1, 0]], [[-math.inf, 0.0, math.inf, -math.inf]], [2, 2]) == 1.0


def test_reset():
    metric = GroupedAccuracy([2])
    assert value(metric) == 0.0
    metric.update_state([[0]], [[1.0, 0.0]])
    assert value(metric) == 1.0
    metric.reset_state()
    assert value(metric) == 0.0
    metric.update_state([[1]], [[1.0, 0.0]])
    assert value(metric) == 0.0


def compiled_value(labels, scores, sizes=SIZES, mode="all", weights=None, how="eager"):
    """The result after one batch in a mode."""
    metric = GroupedAccuracy(sizes, mode)
    labels, scores = ops.convert_to_tensor(labels), ops.convert_to_tensor(scores)
    step(metric, how)(labels, scores, weights)
    return value(metric)


BAD_IDS = [-1, 2, 0.5, math.nan, math.inf, 2**31, 2**40]


class TestInvalidLabels:
    @pytest.mark.parametrize("label", BAD_IDS)
    def test_an_id_is_an_error(self, label):
        labels = np.array([[1, 4], [label, 0]])
        with backends.invalid(
            "y_true",
            "from 0 to 1, in group 0",
            fix="`sample_weight` 0",
            position=(1, 0),
            value=label,
        ):
            measured(labels, np.zeros((2, 7)), [2, 5])
        assert measured(labels, np.eye(7)[[1, 0]], [2, 5], "each", weights=[1.0, 0.0]) == 0.5

    def test_an_id_of_another_group_is_an_error(self):
        with backends.invalid("y_true", "from 0 to 1, in group 0", position=(0, 0), value=4):
            measured([[4, 1]], np.zeros((1, 7)), [2, 5])
        assert measured([[1, 4]], np.eye(7)[[1]], [2, 5], "each") == 0.5

    @pytest.mark.parametrize(
        ("row", "column"), [([0, 0], 0), ([-1, 0], 0), ([1, math.nan], 1), ([math.inf, 0], 0)]
    )
    @pytest.mark.parametrize("group", [0, 1, 2])
    def test_a_row_is_an_error(self, row, column, group):
        # Two groups of 2 are one run; the one of 3 is another.
        labels = np.zeros((2, 1, 7), "float32")
        labels[..., [0, 2, 4]] = 1
        labels[1, 0, 2 * group : 2 * group + 2] = row
        position = (1, 0, 2 * group + column)
        with backends.invalid(
            "y_true", fix="`sample_weight` 0", position=position, value=float(row[column])
        ):
            measured(labels, np.zeros((2, 1, 7)), [2, 2, 3])
        result = measured(labels, np.zeros((2, 1, 7)), [2, 2, 3], weights=[1.0, 0.0])
        assert result == 1.0

    @pytest.mark.parametrize("mode", ["all", "each"])
    @pytest.mark.parametrize("how", backends.MODES)
    def test_compiled_or_unchecked_they_are_nan(self, mode, how):
        ids, scores = predictions((6,))
        expected = reference(ids, scores, SIZES, mode)
        with keras_ce.value_checks(how != "eager"):
            assert compiled_value(ids, scores, SIZES, mode, how=how) == pytest.approx(expected)
            for bad in (-1, 5, 100):
                ids[2, 1] = bad
                assert math.isnan(compiled_value(ids, scores, SIZES, mode, how=how))
            weights = np.array([1, 1, 0, 1, 1, 1], "float32")
            kept = weights > 0
            result = compiled_value(ids, scores, SIZES, mode, ops.convert_to_tensor(weights), how)
            assert result == pytest.approx(reference(ids[kept], scores[kept], SIZES, mode))
            rows = np.zeros((6, 10), "float32")
            assert math.isnan(compiled_value(rows, scores, SIZES, mode, how=how))

    @pytest.mark.parametrize("mode", ["all", "each"])
    def test_nan_scores_are_nan(self, mode):
        assert math.isnan(measured([[0, 0]], [[1, 0, math.nan, 0, 0, 0, 0]], [2, 5], mode))


class TestShapes:
    @pytest.mark.parametrize("shape", [(7,), (4, 6), (4, 3, 8)])
    def test_scores_that_do_not_fit(self, shape):
        with pytest.raises(ValueError, match=r"`y_pred`.*Received: .*y_pred.shape="):
            measured(np.zeros((4, 2)), np.zeros(shape), [2, 5])

    @pytest.mark.parametrize("shape", [(), (4,), (2,), (4, 3), (5, 2), (4, 7, 1), (4, 2, 1)])
    def test_labels_that_do_not_fit(self, shape):
        with pytest.raises(ValueError, match=r"`y_true` must .*Received: y_true.shape="):
            measured(np.zeros(shape), np.zeros((4, 7)), [2, 5])

    def test_labels_of_one_group_have_their_axis_too(self):
        with pytest.raises(ValueError, match=r"`y_true` must .*Received: y_true.shape="):
            measured([0, 1], [[1, 0], [0, 1]], [2])
        assert measured([[0], [0]], [[1, 0], [0, 1]], [2]) == 0.5

    @pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 4), (4, 3, 2)])
    def test_weights_that_fit_nothing(self, shape):
        with pytest.raises(ValueError, match=r"`sample_weight` must be a scalar, or .*Received"):
            measured(np.zeros((4, 3, 1)), np.zeros((4, 3, 2)), [2], weights=np.ones(shape))


class TestArguments:
    @pytest.mark.parametrize("sizes", [[], 10, None, "10", {2: 3}])
    def test_group_sizes(self, sizes):
        with backends.invalid("group_sizes", "a non-empty sequence of integers", value=sizes):
            GroupedAccuracy(sizes)

    @pytest.mark.parametrize("size", [1, 0, -1, 2.0, True, None, "3"])
    def test_sizes(self, size):
        with backends.invalid_argument(
            {"group_sizes": [4, size]}, "group_sizes[1]", "an integer >="
        ):
            GroupedAccuracy([4, size])

    @pytest.mark.parametrize("mode", ["any", None, True, 1, "All"])
    def test_mode(self, mode):
        with backends.invalid("mode", '"all" or "each"', value=mode):
            GroupedAccuracy([2], mode=mode)

    def test_config(self):
        metric = GroupedAccuracy(np.array([2, 5]), mode="each", name="letters", dtype="float16")
        config = json.loads(json.dumps(metric.get_config()))
        assert config == {
            "group_sizes": [2, 5],
            "mode": "each",
            "name": "letters",
            "dtype": "float16",
        }
        assert GroupedAccuracy.from_config(config).get_config() == metric.get_config()
        restored = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(metric)
        )
        assert type(restored) is GroupedAccuracy
        assert restored.get_config() == metric.get_config()

    def test_defaults(self):
        metric = GroupedAccuracy((2, 3))
        assert (metric.group_sizes, metric.mode) == ([2, 3], "all")
        assert (metric.name, metric.dtype) == ("grouped_accuracy", "float32")


class TestInTraining:
    @pytest.mark.parametrize("are_flat", [True, False])
    @pytest.mark.parametrize(("options", "count"), backends.options_and_rows(), ids=str)
    def test_fit_and_evaluate(self, options, count, are_flat):
        ids, scores = predictions((count,))
        labels = flat(ids, SIZES) if are_flat else ids
        weights = np.random.default_rng(8).random(count).astype("float32")
        # It hands its inputs on, and a learning rate of 0 keeps it so.
        identity = keras.layers.Dense(10, kernel_initializer="identity", use_bias=False)
        model = keras.Sequential([keras.Input((10,)), identity])
        model.compile(
            optimizer=keras.optimizers.SGD(0.0),
            loss=lambda y_true, y_pred: ops.mean(y_pred, axis=-1),
            metrics=[GroupedAccuracy(SIZES, name="plain")],
            weighted_metrics=[GroupedAccuracy(SIZES, mode="each", name="weighted")],
            **options,
        )
        expected = {
            "plain": reference(ids, scores, SIZES),
            "weighted": reference(ids, scores, SIZES, "each", weights),
        }
        results = model.evaluate(
            scores, labels, sample_weight=weights, batch_size=32, return_dict=True, verbose=0
        )
        history = model.fit(
            scores, labels, sample_weight=weights, batch_size=32, epochs=2, verbose=0
        ).history
        for name, exact in expected.items():
            assert results[name] == pytest.approx(exact, rel=1e-5)
            assert history[name] == pytest.approx([exact] * 2, rel=1e-5)

    @pytest.mark.parametrize("mode", ["all", "each"])
    def test_masked_positions_leave_the_metric(self, mode):
        tokens = np.array([[1, 2, 0, 0], [2, 0, 0, 0], [1, 1, 2, 0]])
        ids = np.where(tokens[..., None] > 0, np.array([[[0, 1], [1, 1], [1, 0], [0, 0]]]), 99)
        embedding = keras.layers.Embedding(3, 4, mask_zero=True)
        model = keras.Sequential([keras.Input((4,), dtype="int32"), embedding])
        table = np.array([[0, 0, 9, 0], [1, 2, 3, 4], [2, 1, -1, 5]], "float32")
        embedding.set_weights([table])
        model.compile(
            loss=lambda y_true, y_pred: ops.mean(y_pred, axis=-1),
            metrics=[GroupedAccuracy([2, 2], mode=mode, name="accuracy")],
        )
        results = model.evaluate(tokens, ids, return_dict=True, verbose=0)
        kept = tokens > 0
        expected = reference(ids[kept], table[tokens[kept]], [2, 2], mode)
        assert 0 < expected < 1
        assert results["accuracy"] == pytest.approx(expected, rel=1e-6)
