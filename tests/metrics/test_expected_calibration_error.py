"""Expected calibration error, against a loop in float64."""

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
from keras_ce.metrics import ExpectedCalibrationError


def reference(labels, probabilities, num_bins=15, weights=None):
    """Guo et al. 2017, equation 3, one prediction after another.

    `labels` are ids and `probabilities` rows of at least two classes, or single numbers if binary.
    """
    weights = [1.0] * len(labels) if weights is None else weights
    upper_edges = [np.float32((k + 1) / num_bins) for k in range(num_bins)]
    bins = [[] for _ in range(num_bins)]
    for label, row, weight in zip(labels, probabilities, weights, strict=True):
        row = [np.float32(entry) for entry in np.atleast_1d(row)]
        if len(row) == 1:
            row = [np.float32(1) - row[0], row[0]]
        predicted = row.index(max(row))
        confidence = row[predicted]
        k = 0
        while k < num_bins - 1 and confidence > upper_edges[k]:
            k += 1
        bins[k].append((float(weight), float(confidence), float(predicted == label)))
    total = math.fsum(weight for members in bins for weight, _, _ in members)
    error = 0.0
    for members in bins:
        in_bin = math.fsum(weight for weight, _, _ in members)
        if in_bin > 0:
            mean_confidence = math.fsum(w * c for w, c, _ in members) / in_bin
            accuracy = math.fsum(w * right for w, _, right in members) / in_bin
            error += in_bin / total * abs(accuracy - mean_confidence)
    return error


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def predictions(count=500, num_classes=7, seed=0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=2.0, size=(count, num_classes))
    labels = np.where(
        generator.random(count) < 0.6,
        logits.argmax(axis=-1),
        generator.integers(0, num_classes, count),
    )
    return labels.astype("int32"), logits.astype("float32")


def value(metric):
    return float(ops.convert_to_numpy(metric.result()))


def measured(labels, scores, weights=None, **options):
    metric = ExpectedCalibrationError(**options)
    backends.update(metric, labels, scores, weights)
    return value(metric)


class TestValue:
    @pytest.mark.parametrize("num_bins", [1, 2, 10, 15, 100])
    def test_probabilities(self, num_bins):
        labels, logits = predictions()
        probabilities = softmax(logits)
        expected = reference(labels, probabilities, num_bins)
        assert measured(labels, probabilities, num_bins=num_bins) == pytest.approx(
            expected, rel=1e-5
        )

    def test_logits(self):
        labels, logits = predictions(num_classes=3)
        expected = reference(labels, softmax(logits.astype("float64")), 15)
        assert measured(labels, logits, from_logits=True) == pytest.approx(expected, rel=1e-5)

    def test_hand_computed(self):
        # Bins of 10: 0.9 right, 0.7 right and 0.6 wrong: (0.1 + 0.3 + 0.6) / 3.
        rows = [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]]
        assert measured([0, 1, 1], rows, num_bins=10) == pytest.approx(1 / 3, rel=1e-6)

    def test_errors_of_one_bin_cancel_and_those_of_two_add(self):
        rows = [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]]
        assert measured([0, 0, 0, 1], rows, num_bins=4) == 0.0
        rows = [[1.0, 0.0], [0.5, 0.5]]
        assert measured([1, 0], rows, num_bins=2) == pytest.approx((1 + 0.5) / 2)
        assert measured([1, 0], rows, num_bins=1) == pytest.approx(abs(0.5 - 0.75))

    def test_a_confidence_on_an_edge_lies_in_the_lower_bin(self):
        # 0.5 belongs to (0, 0.5]: with 0.6 in the same bin the errors would cancel.
        rows = [[0.5, 0.3, 0.2], [0.6, 0.2, 0.2]]
        assert measured([0, 1], rows, num_bins=2) == pytest.approx((0.5 + 0.6) / 2)
        # Likewise every other edge that is not a binary fraction.
        for k in range(4, 15):
            edge = np.float32(k / 15)
            above = np.nextafter(edge, np.float32(1))
            rest = (1 - edge) / 6
            rows = np.array([[edge] + [rest] * 6, [above] + [rest] * 6], "float32")
            assert measured([0, 1], rows) == pytest.approx(((1 - edge) + above) / 2, rel=1e-6)

    def test_certain_predictions(self):
        assert measured([0, 0], [[1.0, 0.0], [0.0, 1.0]]) == 0.5
        assert measured([0, 0], [[900.0, 0.0], [0.0, 900.0]], from_logits=True) == 0.5

    def test_one_hot_labels_and_trailing_one(self):
        labels, logits = predictions()
        probabilities = softmax(logits)
        expected = measured(labels, probabilities)
        assert measured(np.eye(7)[labels], probabilities) == expected
        assert measured(labels[:, None], probabilities) == expected
        assert measured(labels.astype("float32"), probabilities) == expected
        assert measured(labels.astype("uint8"), probabilities) == expected

    def test_time_axis(self):
        labels, logits = predictions(count=600)
        probabilities = softmax(logits)
        expected = reference(labels, probabilities)
        ids, rows = labels.reshape(20, 30), probabilities.reshape(20, 30, 7)
        assert measured(ids, rows) == pytest.approx(expected, rel=1e-5)
        assert measured(ids[..., None], rows) == pytest.approx(expected, rel=1e-5)
        assert measured(np.eye(7)[ids], rows) == pytest.approx(expected, rel=1e-5)

    def test_narrow_labels_with_more_classes_than_they_can_count(self):
        rows = softmax(np.random.default_rng(1).normal(size=(40, 300)).astype("float32"))
        labels = rows.argmax(axis=-1) % 200
        expected = reference(labels, rows)
        assert measured(labels.astype("uint8"), rows) == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_half_precision_predictions_are_summed_in_float32(self, dtype):
        labels, logits = predictions(count=5000)
        half = ops.cast(ops.convert_to_tensor(softmax(logits)), dtype)
        rows = ops.convert_to_numpy(ops.cast(half, "float32"))
        expected = reference(labels, rows)
        metric = ExpectedCalibrationError()
        backends.update(metric, labels, half)
        assert value(metric) == pytest.approx(expected, rel=1e-5)
        narrow = ExpectedCalibrationError(dtype=dtype)
        backends.update(narrow, labels, half)
        assert keras.backend.standardize_dtype(narrow.result().dtype) == dtype
        assert {variable.dtype for variable in narrow.variables} == {"float32"}
        assert float(ops.cast(narrow.result(), "float32")) == pytest.approx(expected, rel=5e-3)

    @hypothesis.settings(max_examples=30, deadline=None)
    @hypothesis.given(
        # JAX compiles anew for every shape.
        count=strategies.sampled_from([1, 40]),
        num_classes=strategies.sampled_from([1, 2, 6]),
        num_bins=strategies.sampled_from([1, 15, 40]),
        scale=strategies.sampled_from([0.0, 0.1, 3.0, 1e4]),
        seed=strategies.integers(0, 2**31),
    )
    def test_drawn(self, count, num_classes, num_bins, scale, seed):
        generator = np.random.default_rng(seed)
        logits = scale * generator.normal(size=(count, max(num_classes, 2)))
        rows = softmax(logits).astype("float32")
        rows = rows[:, :1] if num_classes == 1 else rows
        labels = generator.integers(0, max(num_classes, 2), count)
        weights = generator.integers(0, 3, count) * generator.random(count)
        hypothesis.assume(weights.sum() > 0)
        expected = reference(labels, rows, num_bins, weights)
        result = measured(labels, rows, weights, num_bins=num_bins)
        assert result == pytest.approx(expected, rel=1e-4, abs=1e-6)
        assert -1e-6 <= result <= 1 + 1e-6


class TestBinary:
    def test_probabilities(self):
        generator = np.random.default_rng(3)
        probabilities = generator.random((200, 1)).astype("float32")
        labels = (generator.random(200) < probabilities[:, 0] ** 4).astype("int32")
        expected = reference(labels, probabilities)
        assert expected > 0.05
        assert measured(labels, probabilities) == pytest.approx(expected, rel=1e-5)
        assert measured(labels[:, None], probabilities) == pytest.approx(expected, rel=1e-5)
        columns = np.concatenate([1 - probabilities, probabilities], axis=-1)
        assert measured(labels, columns) == pytest.approx(expected, rel=1e-5)

    def test_logits(self):
        logits = np.array([[-3.0], [-0.1], [0.2], [4.0]], "float32")
        labels = [0, 1, 1, 0]
        expected = reference(labels, 1 / (1 + np.exp(-logits.astype("float64"))))
        assert measured(labels, logits, from_logits=True) == pytest.approx(expected, rel=1e-5)

    def test_one_half_predicts_class_0(self):
        assert measured([0], [[0.5]]) == 0.5
        assert measured([0, 0], [[0.5], [0.25]], num_bins=1) == pytest.approx(1 - 0.625)
        assert measured([1, 0], [[0.5], [0.25]], num_bins=1) == pytest.approx(0.625 - 0.5)


class TestBatches:
    def test_many_batches_are_one(self):
        labels, logits = predictions()
        probabilities = softmax(logits)
        metric = ExpectedCalibrationError()
        for start, stop in [(0, 1), (1, 250), (250, 251), (251, 500)]:
            backends.update(metric, labels[start:stop], probabilities[start:stop])
        expected = reference(labels, probabilities)
        assert value(metric) == pytest.approx(expected, rel=1e-5)
        mean_of_batches = np.mean(
            [reference(labels[i : i + 50], probabilities[i : i + 50]) for i in range(0, 500, 50)]
        )
        assert abs(mean_of_batches - expected) > 0.01

    def test_reset(self):
        metric = ExpectedCalibrationError()
        assert value(metric) == 0.0
        metric.update_state([1], [[0.9, 0.1]])
        assert value(metric) == pytest.approx(0.9)
        metric.reset_state()
        assert value(metric) == 0.0
        metric.update_state([0], [[0.8, 0.2]])
        assert value(metric) == pytest.approx(0.2)


class TestWeights:
    def test_weights_of_rows(self):
        labels, logits = predictions()
        probabilities = softmax(logits)
        weights = np.random.default_rng(5).random(500).astype("float32")
        weights[::7] = 0.0
        expected = reference(labels, probabilities, 15, weights)
        assert measured(labels, probabilities, weights) == pytest.approx(expected, rel=1e-5)
        assert measured(labels, probabilities, weights[:, None]) == pytest.approx(
            expected, rel=1e-5
        )

    def test_a_weight_counts_as_repetitions(self):
        rows = np.array([[0.9, 0.1], [0.3, 0.7], [0.35, 0.65]], "float32")
        labels = np.array([0, 0, 1])
        times = [3, 1, 2]
        assert measured(labels, rows, np.array(times, "float32")) == pytest.approx(
            measured(np.repeat(labels, times), np.repeat(rows, times, axis=0)), rel=1e-6
        )

    @pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 4), (4, 4, 1)])
    def test_weights_of_rows_never_run_along_time(self, shape):
        # 4 x 4: a square is where a wrong broadcast would not be noticed.
        labels, logits = predictions(count=16)
        probabilities = softmax(logits)
        weights = np.random.default_rng(6).random(shape).astype("float32")
        per_position = np.broadcast_to(weights.reshape(4, -1), (4, 4)).reshape(-1)
        expected = reference(labels, probabilities, 15, per_position)
        result = measured(labels.reshape(4, 4), probabilities.reshape(4, 4, 7), weights)
        assert result == pytest.approx(expected, rel=1e-5)

    def test_positions_of_weight_zero_cannot_poison(self):
        rows = [[0.9, 0.1], [float("nan"), 2.0], [0.5, 0.5]]
        assert measured([0, 0, 7], rows, [1.0, 0.0, 0.0]) == pytest.approx(0.1, rel=1e-5)

    def test_all_weights_zero(self):
        assert measured([0, 1], [[0.9, 0.1], [0.9, 0.1]], [0.0, 0.0]) == 0.0

    @pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 4), (4, 3, 2)])
    def test_weights_that_fit_nothing(self, shape):
        with pytest.raises(
            ValueError, match=r"`sample_weight` must be a scalar, or have one weight .*Received"
        ):
            measured(np.zeros((4, 3)), np.full((4, 3, 2), 0.5), np.ones(shape))


def looked_at(labels, scores, weights=None, **options):
    """The result where invalid values raise."""
    metric = ExpectedCalibrationError(**options)
    metric.update_state(labels, scores, sample_weight=weights)
    return value(metric)


class TestInvalidValues:
    """An error in eager execution; NaN where nobody looks; nothing where they do not count."""

    def refused(self, labels, scores, argument, position, wrong, **options):
        with backends.invalid(argument, fix=".", position=position, value=wrong):
            looked_at(labels, scores, **options)
        with keras_ce.value_checks(False):
            assert math.isnan(looked_at(labels, scores, **options))
        weights = np.ones(len(scores), "float32")
        weights[position[0]] = 0
        assert 0 <= looked_at(labels, scores, weights, **options) <= 1

    @pytest.mark.parametrize("label", [-1, 2, 0.5, math.nan, 2**32 + 1])
    def test_labels(self, label):
        labels, rows = np.array([0, label]), [[0.9, 0.1], [0.2, 0.8]]
        self.refused(labels, rows, "y_true", (1,), label)
        self.refused(labels, rows, "y_true", (1,), label, from_logits=True)
        self.refused(labels, [[0.9], [0.2]], "y_true", (1,), label)
        self.refused(labels[:, None], [[0.9], [0.2]], "y_true", (1, 0), label)

    @pytest.mark.parametrize(
        ("row", "column"),
        [([0.0, 0.0, 0.0], 0), ([0.0, math.nan, 1.0], 1), ([1.0, 0.0, -1.0], 2)],
    )
    def test_one_hot_rows(self, row, column):
        labels, scores = np.array([[0, 1, 0], row]), [[0.7, 0.2, 0.1]] * 2
        self.refused(labels, scores, "y_true", (1, column), row[column])

    @pytest.mark.parametrize(
        ("row", "column"),
        [([3.25, -2.0], 0), ([0.9, -0.5], 1), ([0.5, math.nan], 1), ([1.5, 0.0], 0), ([0, 0], 0)],
    )
    def test_logits_taken_as_probabilities(self, row, column):
        self.refused([0, 0], [[0.9, 0.1], row], "y_pred", (1, column), row[column])

    @pytest.mark.parametrize("score", [1.5, -0.5, math.nan])
    def test_binary_logits_taken_as_probabilities(self, score):
        self.refused([0, 0], [[0.9], [score]], "y_pred", (1, 0), score)

    def test_time_axis(self):
        labels, scores = np.zeros((2, 3, 1)), np.full((2, 3, 4), 0.25, "float32")
        labels[1, 2] = 4
        with backends.invalid("y_true", "class ids", fix=".", position=(1, 2, 0), value=4):
            looked_at(labels, scores)
        scores[1, 0, 3] = 2
        with backends.invalid("y_pred", "probabilities", position=(1, 0, 3), value=2):
            looked_at(labels * 0, scores)

    def test_rounding_is_forgiven(self):
        for label, row in ((0, [1.0000005, -5e-7]), (1, [1.0000005]), (0, [-5e-7])):
            assert looked_at([label], [row]) == pytest.approx(0.0, abs=1e-6)

    def test_nan_logits(self):
        assert math.isnan(looked_at([0], [[math.nan, 1.0]], from_logits=True))

    @pytest.mark.parametrize("mode", backends.COMPILED_MODES)
    @pytest.mark.parametrize("width", [1, 2])
    @pytest.mark.parametrize("are_rows", [False, True])
    def test_compiled(self, mode, width, are_rows):
        if are_rows and width == 1:
            pytest.skip("binary predictions have no rows")
        metric = ExpectedCalibrationError()
        update = step(metric, mode)

        def compiled(labels, scores, weights=(1, 1)):
            metric.reset_state()
            update(np.array(labels, "float32"), np.array(scores, "float32"), np.float32(weights))
            return value(metric)

        def as_labels(ids):
            return np.eye(2)[ids] if are_rows else ids

        right, sure = as_labels([0, 1]), [[0.75, 0.25], [0.25, 0.75]]
        sure = [row[-width:] for row in sure]
        assert compiled(right, sure) == pytest.approx(0.25)
        for label in ([0, 0], [-1, 1], [1, math.nan]) if are_rows else (-1, 2, 0.5, math.nan):
            labels = np.array(right, "float32")
            labels[1] = label
            assert math.isnan(compiled(labels, sure))
            assert compiled(labels, sure, (1, 0)) == pytest.approx(0.25)
        for row in ([3, -2], [0.5, math.nan], [math.inf, 1.5], [0, -1]):
            scores = [sure[0], row[-width:]]
            assert math.isnan(compiled(right, scores))
            assert compiled(right, scores, (1, 0)) == pytest.approx(0.25)


class TestShapes:
    @pytest.mark.parametrize(
        ("labels", "scores"),
        [
            ((4,), (4,)),
            ((4,), (5, 3)),
            ((4, 2), (4, 3)),
            ((4, 3), (4, 1)),
            ((), (4, 3)),
            ((4, 3, 3), (4, 3)),
            ((4, 5), (4, 6, 3)),
        ],
    )
    def test_that_do_not_fit(self, labels, scores):
        with pytest.raises(ValueError, match=r"`y_(true|pred)`.*Received: y_"):
            measured(np.zeros(labels), np.full(scores, 0.5))


class TestArguments:
    @pytest.mark.parametrize("num_bins", [0, -3, 2.5, 15.0, True, "15", None])
    def test_num_bins(self, num_bins):
        with backends.invalid("num_bins", "an integer >= 1", value=num_bins):
            ExpectedCalibrationError(num_bins=num_bins)

    @pytest.mark.parametrize("from_logits", [1, 0, None, "yes"])
    def test_from_logits(self, from_logits):
        with backends.invalid("from_logits", "True or False", value=from_logits):
            ExpectedCalibrationError(from_logits=from_logits)

    def test_defaults(self):
        metric = ExpectedCalibrationError()
        assert (metric.num_bins, metric.from_logits) == (15, False)
        assert metric.name == "expected_calibration_error"
        assert metric.dtype == "float32"

    def test_config(self):
        metric = ExpectedCalibrationError(
            np.int64(7), from_logits=True, name="calibration", dtype="float16"
        )
        config = json.loads(json.dumps(metric.get_config()))
        assert config == {
            "num_bins": 7,
            "from_logits": True,
            "name": "calibration",
            "dtype": "float16",
        }
        again = ExpectedCalibrationError.from_config(config)
        assert again.get_config() == metric.get_config()
        restored = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(metric)
        )
        assert type(restored) is ExpectedCalibrationError
        assert restored.get_config() == metric.get_config()
        registered = keras.saving.get_registered_name(ExpectedCalibrationError)
        assert registered == "keras_ce>ExpectedCalibrationError"


class TestInTraining:
    @pytest.mark.parametrize(("options", "count"), backends.options_and_rows(), ids=str)
    def test_fit_and_evaluate(self, options, count):
        labels, logits = predictions(count, num_classes=3)
        weights = np.random.default_rng(8).random(count).astype("float32")
        # It hands its inputs on, and a learning rate of 0 keeps it so.
        identity = keras.layers.Dense(3, kernel_initializer="identity", use_bias=False)
        model = keras.Sequential([keras.Input((3,)), identity])
        model.compile(
            optimizer=keras.optimizers.SGD(0.0),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[ExpectedCalibrationError(5, from_logits=True, name="plain")],
            weighted_metrics=[ExpectedCalibrationError(from_logits=True, name="weighted")],
            **options,
        )
        results = model.evaluate(
            logits, labels, sample_weight=weights, batch_size=32, return_dict=True, verbose=0
        )
        rows = softmax(logits)
        assert results["plain"] == pytest.approx(reference(labels, rows, 5), rel=1e-5)
        assert results["weighted"] == pytest.approx(reference(labels, rows, 15, weights), rel=1e-5)
        history = model.fit(
            logits, labels, sample_weight=weights, batch_size=32, epochs=2, verbose=0
        ).history
        for name, expected in (("plain", 5), ("weighted", 15)):
            per_row = weights if name == "weighted" else None
            assert history[name] == pytest.approx(
                [reference(labels, rows, expected, per_row)] * 2, rel=1e-5
            )

    def test_masked_positions_leave_the_metric(self):
        tokens = np.array([[1, 2, 0, 0], [2, 0, 0, 0], [1, 1, 2, 0]])
        labels = np.where(tokens > 0, np.array([[0, 1, 2, 0]]), 99)
        embedding = keras.layers.Embedding(3, 3, mask_zero=True)
        model = keras.Sequential([keras.Input((4,), dtype="int32"), embedding])
        table = np.array([[0, 0, 9], [1, 2, 3], [2, 1, -1]], "float32")
        embedding.set_weights([table])
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=99),
            metrics=[ExpectedCalibrationError(from_logits=True, name="calibration")],
        )
        results = model.evaluate(tokens, labels, return_dict=True, verbose=0)
        kept = tokens > 0
        expected = reference(labels[kept], softmax(table)[tokens[kept]])
        assert results["calibration"] == pytest.approx(expected, rel=1e-5)
