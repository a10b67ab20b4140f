"""What the metrics of a confusion matrix share, each of them against loops over a matrix."""

import json
import math

import backends
import confusion_reference
import keras
import numpy as np
import pytest
from confusion_reference import METRICS, make
from keras import ops
from metric_steps import step

import keras_ce
from keras_ce import metrics

CLASSES = 4
each_metric = pytest.mark.parametrize("name", METRICS)
each_mode = pytest.mark.parametrize("mode", backends.MODES)
# Each kind of counts once: the scores are made of the same ones.
few_metrics = pytest.mark.parametrize("name", ["f1_of_each", "hamming", "linear_kappa"])
two_metrics = pytest.mark.parametrize("name", ["hamming", "matthews"])


def value(metric):
    return backends.array(metric.result()).astype("float64")


def sums(metric):
    """The sums of all batches, as float64."""
    return sum(backends.array(variable.value).astype("float64") for variable in metric.variables)


def batch(shape=(60,), seed=0):
    """Class ids and logits, of which most are right."""
    generator = np.random.default_rng(seed)
    ids = generator.choice(CLASSES, shape, p=[0.4, 0.3, 0.2, 0.1])
    logits = generator.normal(size=(*shape, CLASSES)) + 1.5 * np.eye(CLASSES)[ids]
    return ids.astype("int32"), logits.astype("float32")


def quickly(name, y_true, y_pred, weights=None, **options):
    """The value of one batch of valid positions."""
    metric = make(name, num_classes=CLASSES, **options)
    backends.update(metric, y_true, y_pred, weights)
    return value(metric)


def close(result, expected):
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def expected(name, ids, logits, weights=None):
    return confusion_reference.expected(name, ids, logits.argmax(-1), CLASSES, weights)


class TestValue:
    @each_metric
    def test_ids_rows_logits_probabilities(self, name):
        ids, logits = batch()
        exact = expected(name, ids, logits)
        assert np.min(exact) > 0.1
        assert np.max(exact) < 0.99
        probabilities = backends.array(ops.softmax(logits))
        predicted = logits.argmax(-1).astype("int32")
        close(quickly(name, ids, logits), exact)
        close(quickly(name, ids, predicted), exact)
        if name in ("hamming", "linear_kappa"):  # The scores see nothing but counts.
            close(quickly(name, np.eye(CLASSES, dtype="float32")[ids], probabilities), exact)
            close(quickly(name, ids[:, None], logits, from_logits=True), exact)
            close(quickly(name, ids, predicted[:, None]), exact)

    @two_metrics
    @pytest.mark.parametrize("shape", [(), (5,), (5, 1), (5, 5), (5, 5, 1), (1, 5)])
    def test_weights_of_rank_three(self, name, shape):
        # 5 x 5: a square is where a wrong broadcast would not be noticed.
        ids, logits = batch((5, 5), seed=1)
        weights = np.random.default_rng(2).random(shape).astype("float32")
        aligned = weights.reshape(5, 1) if shape in [(5,), (5, 1)] else weights
        aligned = np.broadcast_to(aligned.reshape(aligned.shape[:2]), (5, 5))
        close(quickly(name, ids, logits, weights), expected(name, ids, logits, aligned))

    @few_metrics
    def test_ids_of_any_rank_with_weights(self, name):
        ids, logits = batch((3, 4, 5), seed=1)
        weights = np.random.default_rng(2).random((3, 4, 5)).astype("float32")
        predicted = logits.argmax(-1).astype("int32")
        close(quickly(name, ids, predicted, weights), expected(name, ids, logits, weights))

    @few_metrics
    def test_ignored_positions_do_not_count(self, name):
        ids, logits = batch()
        kept = ids != 2
        exact = expected(name, ids[kept], logits[kept])
        close(quickly(name, ids, logits, ignore_class=2), exact)
        marked = np.where(kept, ids, -1).astype("int32")
        logits[~kept] = math.nan
        close(quickly(name, marked, logits, ignore_class=-1), exact)
        predicted = np.where(kept, np.nan_to_num(logits).argmax(-1), 99).astype("int32")
        close(quickly(name, marked, predicted, ignore_class=-1), exact)

    @few_metrics
    def test_weight_zero_cannot_poison(self, name):
        ids, logits = batch()
        exact = expected(name, ids[5:], logits[5:])
        weights = np.ones(60, "float32")
        weights[:5] = 0
        ids[:2], logits[2:5] = [-7, 99], math.nan
        close(quickly(name, ids, logits, weights), exact)

    @each_metric
    def test_a_class_that_never_occurs_and_one_that_is_never_predicted(self, name):
        ids, logits = batch()
        ids[ids == 3] = 0
        logits[:, 1] = -9
        exact = expected(name, ids, logits)
        close(quickly(name, ids, logits), exact)
        logits[:, 3] = -9  # and nothing of class 3 at all
        close(quickly(name, ids, logits), expected(name, ids, logits))

    @each_metric
    def test_all_labels_and_predictions_of_one_class(self, name):
        ids, logits = np.full(60, 1, "int32"), batch()[1]
        logits[:, 1] = 99
        result = quickly(name, ids, logits)
        close(result, expected(name, ids, logits))
        if "kappa" in name or name == "matthews":
            assert result == 0.0  # It is undefined.
        ids = batch()[0]
        close(quickly(name, ids, logits), expected(name, ids, logits))

    @each_metric
    def test_all_wrong(self, name):
        ids, _ = batch()
        logits = np.eye(CLASSES, dtype="float32")[(ids + 1) % CLASSES]
        close(quickly(name, ids, logits), expected(name, ids, logits))

    @each_metric
    def test_config(self, name):
        options = {"from_logits": True, "ignore_class": -1, "num_classes": 3}
        metric = make(name, **options, name="mine", dtype="float16")
        config = json.loads(json.dumps(metric.get_config()))
        assert config.items() >= {**options, "name": "mine", "dtype": "float16"}.items()
        restored = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(metric)
        )
        assert type(restored) is type(metric)
        assert restored.get_config() == metric.get_config() == config
        assert config.items() >= METRICS[name][1].items()


@few_metrics
class TestNumberOfClasses:
    def test_the_first_predictions_settle_the_number_of_classes(self, name):
        ids, logits = batch()
        metric = make(name)
        assert not np.any(value(metric))
        for rows in (slice(0, 30), slice(30, 60)):
            metric.update_state(ids[rows], logits[rows])
        close(value(metric), expected(name, ids, logits))
        metric.reset_state()
        assert not np.any(value(metric))
        metric.update_state(ids[:30], logits[:30])
        close(value(metric), expected(name, ids[:30], logits[:30]))


@few_metrics
class TestEmpty:
    def test_before_the_first_batch(self, name):
        shape = (CLASSES,) if name == "f1_of_each" else ()
        result = value(make(name, num_classes=CLASSES))
        assert result.shape == shape
        assert not result.any()
        assert value(make(name)).shape == ((0,) if name == "f1_of_each" else ())

    def test_an_empty_batch_changes_nothing(self, name):
        ids, logits = batch()
        metric = make(name)
        metric.update_state(ids[:0], logits[:0])
        assert not value(metric).any()
        metric.update_state(ids, logits)
        before = sums(metric)
        metric.update_state(ids[:0], logits[:0], sample_weight=np.zeros(0, "float32"))
        np.testing.assert_array_equal(sums(metric), before)
        metric.update_state(ids, logits, sample_weight=0.0)
        np.testing.assert_array_equal(sums(metric), before)


class TestExactCounts:
    @few_metrics
    @each_mode
    def test_single_rows_count_after_two_to_the_24(self, name, mode):
        metric = make(name, num_classes=CLASSES)
        metric.sums.assign(ops.full(metric.sums.shape, 2.0**24))
        update = step(metric, mode)
        for label, prediction in [(0, 0), (0, 1), (3, 1)]:
            logits = np.eye(CLASSES, dtype="float32")[[prediction]]
            ids = np.array([label], "int32")
            update(ops.convert_to_tensor(ids), ops.convert_to_tensor(logits))
        counts = {
            "labels": [2, 0, 0, 1],
            "entries": [2, 0, 0, 1],
            "predictions": [1, 2, 0, 0],
            "hits": [1, 0, 0, 0],
            "errors": [1, 0, 0, 1],
            "distances": [1, 1, 1, 0],
        }
        rows = [counts[each] for each in type(metric).counted]
        np.testing.assert_array_equal(sums(metric) - 2**24, [*np.concatenate(rows), 3])

    def test_entries_count_after_two_to_the_24(self):
        metric = metrics.F1Score(threshold=0.5, num_classes=2)
        metric.sums.assign(ops.full(metric.sums.shape, 2.0**24))
        for _ in range(3):
            backends.update(metric, np.array([[1, 0]], "int32"), np.array([[0.9, 0.8]], "float32"))
        np.testing.assert_array_equal(sums(metric) - 2**24, [3, 0, 3, 3, 3, 0, 3])

    @two_metrics
    def test_the_split_into_batches_does_not_show(self, name):
        ids, logits = batch((9000,))
        weights = np.random.default_rng(3).random(9000).astype("float32")
        found = []
        for stops in ([9000], [3000, 6000, 9000]):
            metric = make(name, num_classes=CLASSES)
            for start, stop in zip([0, *stops[:-1]], stops, strict=True):
                rows = slice(start, stop)
                backends.update(metric, ids[rows], logits[rows], weights[rows])
            found.append(sums(metric))
        np.testing.assert_allclose(found[0], found[1], rtol=1e-10)
        assert found[0][-1] == pytest.approx(weights.astype("float64").sum(), rel=1e-10)

    def test_rare_classes_keep_their_digits(self):
        # Of 2**30 positions all but a few are of class 0: s**2 - sum of squares is 0 in float32.
        counts = np.array([[2**30, 3.0], [2.0, 5.0]])
        labels, predictions, hits = counts.sum(1), counts.sum(0), np.diag(counts)
        near = [np.trace(counts), counts.sum() - np.trace(counts)]
        for metric, parts, exact in (
            (
                metrics.MatthewsCorrelation(num_classes=2),
                [labels, predictions, hits],
                confusion_reference.matthews(counts),
            ),
            (
                metrics.CohenKappa(num_classes=2),
                [labels, predictions, near],
                confusion_reference.kappa(counts),
            ),
        ):
            state = np.array([*np.concatenate(parts), counts.sum()])
            high = state.astype("float32")
            metric.sums.assign(high)
            metric.rests.assign((state - high).astype("float32"))
            assert value(metric) == pytest.approx(exact, rel=1e-5)


class TestManyClasses:
    @pytest.mark.parametrize("name", METRICS)
    def test_no_matrix_of_them(self, name):
        number = 10**6  # A matrix would have 4 TB.
        metric = make(name, num_classes=number)
        true = np.array([5, number - 1, 7, 7], "int32")
        predicted = np.array([5, number - 1, 7, 8], "int32")
        metric.update_state(true, predicted)
        result = value(metric)
        total = {"macro_f1": (1 + 1 + 2 / 3) / number, "weighted_f1": (2 + 4 / 3) / 4}
        if name in total:
            assert result == pytest.approx(total[name], rel=1e-5)
        elif name == "f1_of_each":
            np.testing.assert_allclose(result[[5, 6, 7, 8, -1]], [1, 0, 2 / 3, 0, 1], rtol=1e-6)
        elif name in ("micro_f1", "balanced"):
            assert result == pytest.approx({"micro_f1": 0.75, "balanced": 2.5 / 3}[name])
        elif name == "hamming":
            assert result == 0.25
        else:
            # The same classes, numbered anew in their order, where distances do not matter.
            counts = confusion_reference.matrix([0, 3, 1, 1], [0, 3, 1, 2], 4)
            if name in ("matthews", "kappa"):
                assert result == pytest.approx(METRICS[name][2](counts), rel=1e-5)
            else:
                assert result == pytest.approx(1.0, abs=1e-5)  # Next to the chance of a million.


BAD_IDS = [-1, CLASSES, 0.5, math.nan, 2**31, 2**40]


def seen(name, y_true, y_pred, weights=None, mode="eager", **options):
    metric = make(name, num_classes=CLASSES, **options)
    step(metric, mode)(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred), weights)
    return value(metric)


class TestInvalid:
    @two_metrics
    @pytest.mark.parametrize("label", BAD_IDS)
    @pytest.mark.parametrize("are_ids", [False, True])
    def test_a_label_is_an_error(self, name, label, are_ids):
        labels = np.array([[1, 1, 0], [0, label, 0]])
        predicted = np.zeros((2, 3), "int32")
        y_pred = predicted if are_ids else np.eye(CLASSES, dtype="float32")[predicted]
        metric = make(name, num_classes=CLASSES)
        with backends.invalid("y_true", f"from 0 to {CLASSES - 1}", position=(1, 1), value=label):
            metric.update_state(labels, y_pred)
        assert not sums(metric).any()
        with keras_ce.value_checks(False):
            metric.update_state(labels, y_pred)
        assert np.isnan(value(metric)).all()
        metric.reset_state()
        metric.update_state(labels, y_pred, sample_weight=np.array([1.0, 0.0]))
        close(value(metric), METRICS[name][2](confusion_reference.matrix([1, 1, 0], [0] * 3, 4)))

    @two_metrics
    @pytest.mark.parametrize("prediction", [-1, CLASSES, 2**31, 2**40])
    def test_a_predicted_id_is_an_error(self, name, prediction):
        y_pred = np.array([[0, 1, prediction]])
        metric = make(name, num_classes=CLASSES)
        with backends.invalid(
            "y_pred",
            f"from 0 to {CLASSES - 1}, because num_classes={CLASSES}",
            fix="`num_classes`",
            position=(0, 2),
            value=prediction,
        ):
            metric.update_state([[0, 1, 2]], y_pred)
        with keras_ce.value_checks(False):
            metric.update_state([[0, 1, 2]], y_pred)
        assert np.isnan(value(metric)).all()

    @pytest.mark.parametrize(
        ("row", "column"), [([0, 0, 0, 0], 0), ([1, 0, -1, 0], 2), ([1, math.nan, 0, 0], 1)]
    )
    def test_a_label_row_is_an_error(self, row, column):
        labels = np.eye(CLASSES)[[0, 1, 2]]
        labels[1] = row
        with backends.invalid("y_true", position=(1, column), value=float(row[column])):
            metrics.F1Score().update_state(labels, np.eye(CLASSES)[:3])

    @few_metrics
    @each_mode
    def test_compiled_or_unchecked_they_are_nan(self, name, mode):
        ids, logits = batch((6,))
        weights = ops.convert_to_tensor(np.array([1, 1, 0, 1, 1, 1], "float32"))
        with keras_ce.value_checks(mode != "eager"):
            close(seen(name, ids, logits, mode=mode), expected(name, ids, logits))
            kept = np.arange(6) != 2
            exact = expected(name, ids[kept], logits[kept])
            for bad in (-1, CLASSES):
                ids[2] = bad
                assert np.isnan(seen(name, ids, logits, mode=mode)).all()
                close(seen(name, ids, logits, weights, mode), exact)
            ids[2] = 0
            logits[2, 1] = math.nan
            assert np.isnan(seen(name, ids, logits, mode=mode)).all()
            close(seen(name, ids, logits, weights, mode), exact)

    @few_metrics
    def test_a_weight_that_is_no_number_is_nan(self, name):
        ids, logits = batch((6,))
        for bad in (math.nan, math.inf):
            weights = np.array([1, 1, bad, 1, 1, 1], "float32")
            assert np.isnan(quickly(name, ids, logits, weights)).all()


class TestOneOutput:
    """Predictions (..., 1) are those of two classes."""

    @pytest.mark.parametrize("from_logits", [False, True])
    @two_metrics
    def test_value(self, name, from_logits):
        generator = np.random.default_rng(4)
        ids = generator.integers(0, 2, 60).astype("int32")
        p = np.clip(0.5 * generator.random(60) + 0.4 * ids, 0, 1).astype("float32")
        p[:2] = 0.5  # class 0
        y_pred = np.log(p) - np.log1p(-p) if from_logits else p
        metric = make(name, from_logits=from_logits, num_classes=2)
        backends.update(metric, ids[:, None], y_pred[:, None].astype("float32"))
        close(value(metric), confusion_reference.expected(name, ids, np.where(p > 0.5, 1, 0), 2))

    def test_logits_taken_for_probabilities_are_found(self):
        with backends.invalid(
            "y_pred", "from_logits=False", fix="`from_logits=True`", position=(1, 0), value=3.0
        ):
            metrics.BalancedAccuracy().update_state([0, 1], [[0.2], [3.0]])
        with keras_ce.value_checks(False):
            metric = metrics.BalancedAccuracy()
            metric.update_state([0, 1], [[0.2], [3.0]])
            assert math.isnan(value(metric))
        metric = metrics.BalancedAccuracy()
        metric.update_state([0, 1], [[0.2], [3.0]], sample_weight=[1.0, 0.0])
        assert value(metric) == 1.0


class TestShapes:
    @pytest.mark.parametrize("shape", [(), (4,)])
    def test_scores_without_a_batch_axis(self, shape):
        with pytest.raises(ValueError, match=r"expects `y_pred` with a batch axis.*Received"):
            metrics.F1Score().update_state(np.zeros(()), np.zeros(shape, "float32"))

    def test_ids_without_a_number_of_classes(self):
        with pytest.raises(ValueError, match=r"needs `num_classes` where .*Received: "):
            metrics.CohenKappa().update_state([0, 1], np.array([0, 1]))

    @pytest.mark.parametrize("shapes", [((4,), (3,)), ((4, 2), (4,)), ((4,), (4, 3))])
    def test_ids_that_do_not_fit(self, shapes):
        labels, predictions = (np.zeros(shape, "int32") for shape in shapes)
        with pytest.raises(ValueError, match=r"`y_true` and `y_pred` must have one shape"):
            metrics.CohenKappa(num_classes=3).update_state(labels, predictions)

    def test_another_number_of_classes(self):
        metric = metrics.MatthewsCorrelation(num_classes=3)
        with pytest.raises(ValueError, match="must have the 3 classes of `num_classes`. Received"):
            metric.update_state([0, 1], np.zeros((2, 4), "float32"))
        metric = metrics.MatthewsCorrelation()
        metric.update_state([0, 1], np.zeros((2, 4), "float32"))
        with pytest.raises(ValueError, match="must have the 4 classes of the batches before. Rec"):
            metric.update_state([0, 1], np.zeros((2, 3), "float32"))

    @pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 4), (4, 3, 2)])
    def test_weights_that_fit_nothing(self, shape):
        with pytest.raises(ValueError, match=r"`sample_weight` must be a scalar, or .*Received"):
            metrics.F1Score().update_state(
                np.zeros((4, 3)), np.zeros((4, 3, 2), "float32"), np.ones(shape)
            )

    def test_rows_have_no_class_to_ignore(self):
        with pytest.raises(ValueError, match="`ignore_class` needs class ids as labels"):
            metrics.F1Score(ignore_class=0).update_state(np.eye(3), np.eye(3))


class TestArguments:
    @each_metric
    @pytest.mark.parametrize("number", [1, 0, 2.0, True, "3"])
    def test_num_classes(self, name, number):
        with backends.invalid("num_classes", "an integer >= 2", value=number):
            make(name, num_classes=number)

    @few_metrics
    def test_the_others(self, name):
        with backends.invalid("from_logits", "True or False", value=1):
            make(name, from_logits=1)
        with backends.invalid("ignore_class", "an integer", value=0.5):
            make(name, ignore_class=0.5)

    # JAX has no float64 unless it is told so before anything else.
    @pytest.mark.parametrize(
        "dtype", ["float16", "bfloat16"] + ["float64"] * (backends.BACKEND != "jax")
    )
    @two_metrics
    def test_dtypes(self, name, dtype):
        ids, logits = batch((3000,))
        half = ops.cast(ops.convert_to_tensor(logits), dtype)
        metric = make(name, num_classes=CLASSES, dtype=dtype)
        backends.update(metric, ids, half)
        assert keras.backend.standardize_dtype(metric.result().dtype) == dtype
        exact = expected(name, ids, backends.array(half))
        np.testing.assert_allclose(value(metric), exact, rtol=1e-2 if "16" in dtype else 1e-9)


class TestInTraining:
    PLAIN = ("f1_of_each", "matthews")
    WEIGHTED = ("hamming", "balanced", "quadratic_kappa")

    @pytest.mark.parametrize(("options", "count"), backends.options_and_rows(), ids=str)
    def test_fit_and_evaluate(self, options, count):
        ids, logits = batch((count,), seed=6)
        weights = np.random.default_rng(8).random(count).astype("float32")
        # It hands its inputs on, and a learning rate of 0 keeps it so.
        identity = keras.layers.Dense(CLASSES, kernel_initializer="identity", use_bias=False)
        model = keras.Sequential([keras.Input((CLASSES,)), identity])
        model.compile(
            optimizer=keras.optimizers.SGD(0.0),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[make(name, from_logits=True, name=name) for name in self.PLAIN],
            weighted_metrics=[make(name, num_classes=CLASSES, name=name) for name in self.WEIGHTED],
            **options,
        )
        results = model.evaluate(
            logits, ids, sample_weight=weights, batch_size=32, return_dict=True, verbose=0
        )
        history = model.fit(
            logits, ids, sample_weight=weights, batch_size=32, epochs=2, verbose=0
        ).history
        for name in (*self.PLAIN, *self.WEIGHTED):
            exact = expected(name, ids, logits, weights if name in self.WEIGHTED else None)
            close(results[name], exact)
            close(history[name], [exact] * 2)

    def test_masked_positions_leave_the_metrics(self):
        tokens = np.array([[1, 2, 0, 0], [2, 0, 0, 0], [1, 1, 2, 0]])
        ids = np.where(tokens > 0, np.array([[0, 1, 1, 0]]), 99)
        embedding = keras.layers.Embedding(3, 3, mask_zero=True)
        model = keras.Sequential([keras.Input((4,), dtype="int32"), embedding])
        table = np.array([[0, 0, 9], [1, 2, 0], [2, 1, -1]], "float32")
        embedding.set_weights([table])
        model.compile(
            loss=lambda y_true, y_pred: ops.mean(y_pred, axis=-1),
            metrics=[make(name, name=name) for name in self.PLAIN],
            **backends.QUICK,
        )
        results = model.evaluate(tokens, ids, return_dict=True, verbose=0)
        kept = tokens > 0
        predicted = table[tokens[kept]].argmax(-1)
        for name in self.PLAIN:
            close(results[name], confusion_reference.expected(name, ids[kept], predicted, 3))

    def test_a_saved_model_measures_the_same(self, tmp_path):
        ids, logits = batch((40,))
        model = keras.Sequential([keras.Input((CLASSES,)), keras.layers.Dense(CLASSES)])
        model.compile(
            "sgd",
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[make(name, from_logits=True, name=name) for name in self.WEIGHTED],
            **backends.QUICK,
        )
        before = model.evaluate(logits, ids, return_dict=True, verbose=0)
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        after = again.evaluate(logits, ids, return_dict=True, verbose=0)
        assert before.keys() == after.keys() > set(self.WEIGHTED)
        for name in self.WEIGHTED:
            close(after[name], before[name])
