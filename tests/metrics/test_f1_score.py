"""F1 of exclusive classes and of several labels per row, against scikit-learn and a loop."""

import json
import math

import backends
import confusion_reference
import keras
import numpy as np
import pytest
import sklearn.metrics
from keras import ops
from metric_steps import step

import keras_ce
from keras_ce.metrics import F1Score

each_average = pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
CLASSES = 4


def value(metric):
    return backends.array(metric.result()).astype("float64")


def quickly(labels, predictions, weights=None, **options):
    """The value of one batch of valid positions."""
    metric = F1Score(num_classes=predictions.shape[-1], **options)
    backends.update(metric, labels, predictions, weights)
    return value(metric)


def entries(shape=(50,), seed=0):
    """Rows of several labels, and probabilities of which most are right."""
    generator = np.random.default_rng(seed)
    labels = generator.random((*shape, CLASSES)) < [0.5, 0.3, 0.2, 0.1]
    p = 0.6 * generator.random((*shape, CLASSES)) + 0.35 * labels
    return labels.astype("int32"), p.astype("float32")


def logits_of(p):
    return np.log(p) - np.log1p(-p)


def reference(labels, is_predicted, average, weights=None, is_kept=None):
    """One entry after another, (N, C)."""
    number, size = labels.shape
    weights = np.ones(number) if weights is None else weights
    hits, misses, false = np.zeros(size), np.zeros(size), np.zeros(size)
    for n in range(number):
        for k in range(size):
            if is_kept is not None and not is_kept[n, k]:
                continue
            hits[k] += weights[n] * (labels[n, k] and is_predicted[n, k])
            misses[k] += weights[n] * (labels[n, k] and not is_predicted[n, k])
            false[k] += weights[n] * (not labels[n, k] and is_predicted[n, k])
    if average == "micro":
        hits, misses, false = ([each.sum()] for each in (hits, misses, false))
    scores = []
    for right, missed, wrong in zip(hits, misses, false, strict=True):
        precision = confusion_reference.quotient(right, right + wrong)
        recall = confusion_reference.quotient(right, right + missed)
        scores.append(confusion_reference.quotient(2 * precision * recall, precision + recall))
    if average == "weighted":
        return np.average(scores, weights=hits + misses) if (hits + misses).any() else 0.0
    return scores if average is None else np.mean(scores)


def of_sklearn(labels, predictions, average, weights=None):
    known = {} if np.ndim(labels) == 2 else {"labels": range(CLASSES)}
    return sklearn.metrics.f1_score(
        labels, predictions, average=average, sample_weight=weights, zero_division=0, **known
    )


def close(result, expected):
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@each_average
class TestExclusive:
    @pytest.mark.parametrize("are_weighted", [False, True])
    def test_scikit_learn(self, average, are_weighted):
        generator = np.random.default_rng(1)
        ids = generator.integers(0, CLASSES - 1, 60).astype("int32")  # One class has no label.
        scores = (generator.normal(size=(60, CLASSES)) + np.eye(CLASSES)[ids]).astype("float32")
        weights = generator.random(60).astype("float32") if are_weighted else None
        result = quickly(ids, scores, weights, average=average)
        close(result, of_sklearn(ids, scores.argmax(-1), average, weights))

    def test_nothing_but_one_class(self, average):
        scores = np.eye(CLASSES, dtype="float32")[[0] * 60]
        for label in (0, 1):
            ids = np.full(60, label, "int32")
            close(
                quickly(ids, scores, average=average), of_sklearn(ids, np.zeros(60, int), average)
            )


@each_average
class TestSeveralLabels:
    def test_value(self, average):
        labels, p = entries()
        weights = np.random.default_rng(1).random(50).astype("float32")
        for of_rows in (None, weights):
            exact = reference(labels, p > 0.3, average, of_rows)
            close(exact, of_sklearn(labels, p > 0.3, average, of_rows))
            close(quickly(labels, p, of_rows, average=average, threshold=0.3), exact)

    def test_rank_three(self, average):
        labels, p = entries((6, 5))
        weights = np.random.default_rng(1).random((6, 5)).astype("float32")
        flat = [each.reshape(30, -1) for each in (labels, p)]
        exact = reference(flat[0], flat[1] > 0.5, average, weights.ravel())
        close(quickly(labels, p, weights, average=average, threshold=0.5), exact)
        of_rows = np.repeat(weights[:, 0], 5)
        exact = reference(flat[0], flat[1] > 0.5, average, of_rows)
        close(quickly(labels, p, weights[:, 0], average=average, threshold=0.5), exact)

    @pytest.mark.parametrize(("threshold", "label"), [(0.3, -1), (0.5, "nan")])
    def test_ignored_entries_do_not_count(self, average, threshold, label):
        labels, p = entries()
        is_kept = np.random.default_rng(1).random(labels.shape) < 0.7
        is_kept[:5] = False
        exact = reference(labels, p > threshold, average, None, is_kept)
        marked = np.where(is_kept, labels, math.nan if label == "nan" else label).astype("float32")
        p = np.where(is_kept, p, math.nan).astype("float32")
        options = {"average": average, "threshold": threshold, "ignore_label": label}
        close(quickly(marked, p, **options), exact)

    def test_nothing_labelled_and_nothing_predicted(self, average):
        labels, p = entries()
        for nothing in ({"labels": 0 * labels}, {"p": 0 * p}, {"labels": 0 * labels, "p": 0 * p}):
            both = {"labels": labels, "p": p, **nothing}
            exact = reference(both["labels"], both["p"] > 0.5, average)
            close(quickly(both["labels"], both["p"], average=average, threshold=0.5), exact)

    def test_an_empty_batch(self, average):
        metric = F1Score(average, threshold=0.5)
        metric.update_state(np.zeros((0, CLASSES)), np.zeros((0, CLASSES), "float32"))
        assert not value(metric).any()

    def test_one_output_is_the_f1_of_yes(self, average):
        labels, p = (each[:, 0] for each in entries())
        exact = sklearn.metrics.f1_score(labels, p > 0.5)
        close(quickly(labels, p[:, None], average=average, threshold=0.5).item(), exact)
        close(quickly(labels[:, None], p[:, None], average=average, threshold=0.5).item(), exact)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("from_logits", [False, True])
def test_thresholds_of_soft_labels(threshold, from_logits):
    labels, p = entries()
    exact = reference(labels, p > threshold, None)
    soft = 0.8 * labels.astype("float32") + 0.1
    options = {"average": None, "threshold": threshold, "from_logits": from_logits}
    close(quickly(soft, logits_of(p) if from_logits else p, **options), exact)


def test_the_threshold_itself_is_no():
    for p, options in (([[0.5, 0.75]], {}), ([[0.0, 1.0]], {"from_logits": True})):
        metric = F1Score("micro", threshold=0.5, **options)
        metric.update_state([[0, 1]], p)
        assert value(metric) == 1.0


def test_truth_values_are_entries():
    metric = F1Score("micro", threshold=0.5)
    metric.update_state(np.array([[True, False, True]]), np.array([[True, True, False]]))
    assert value(metric) == 0.5
    metric = F1Score("micro", threshold=0.5)
    metric.update_state(np.array([[True, False, True]]), np.array([[1, 1, 0]]))
    assert value(metric) == 0.5


class TestInvalid:
    @pytest.mark.parametrize("label", [-1.0, 2.0, math.nan])
    def test_a_label(self, label):
        labels, p = entries((3,))
        labels = labels.astype("float32")
        labels[1, 2] = label
        with backends.invalid("y_true", "from 0 to 1", position=(1, 2), value=label):
            F1Score(threshold=0.5).update_state(labels, p)

    @pytest.mark.parametrize("mode", backends.MODES)
    def test_compiled_or_unchecked_they_are_nan(self, mode):
        labels, p = entries((3,))
        labels = labels.astype("float32")
        labels[1, 2] = -1.0
        weights = ops.convert_to_tensor(np.array([1, 0, 1], "float32"))
        labels, p = (ops.convert_to_tensor(each) for each in (labels, p))
        with keras_ce.value_checks(mode != "eager"):
            for weight, is_nan in ((None, True), (weights, False)):
                metric = F1Score(threshold=0.5, num_classes=CLASSES)
                step(metric, mode)(labels, p, weight)
                assert np.isnan(value(metric)) == is_nan

    @pytest.mark.parametrize("prediction", [-0.1, 1.5, math.nan])
    def test_a_probability(self, prediction):
        labels, p = entries((3,))
        p[1, 2] = prediction
        metric = F1Score(threshold=0.5)
        with backends.invalid("y_pred", fix="`from_logits=True`", position=(1, 2)):
            metric.update_state(labels, p)
        with keras_ce.value_checks(False):
            metric.update_state(labels, p)
        assert np.isnan(value(metric))

    def test_a_logit_that_is_no_number_is_nan(self):
        metric = F1Score(threshold=0.5, from_logits=True)
        metric.update_state([[1, 0]], [[math.nan, 1.0]])
        assert np.isnan(value(metric))

    def test_labels_of_another_shape(self):
        with pytest.raises(ValueError, match=r"`y_true` must have the shape of `y_pred`.*Received"):
            F1Score(threshold=0.5).update_state([0, 1], np.zeros((2, 3), "float32"))


class TestArguments:
    @pytest.mark.parametrize("average", ["binary", "Macro", True, 0])
    def test_average(self, average):
        with backends.invalid("average", '"macro" or "micro" or "weighted"', value=average):
            F1Score(average)

    @pytest.mark.parametrize("threshold", [0, 1, 1.0, -0.1, True, math.nan, "0.5"])
    def test_threshold(self, threshold):
        with backends.invalid("threshold", "between 0 and 1, both excluded", value=threshold):
            F1Score(threshold=threshold)

    def test_what_does_not_go_together(self):
        with pytest.raises(ValueError, match="`ignore_class` needs exclusive .*Received: ignore_c"):
            F1Score(threshold=0.5, ignore_class=-1)
        with pytest.raises(ValueError, match="`ignore_label` leaves out .*Received: ignore_label"):
            F1Score(ignore_label=-1)

    def test_config(self):
        metric = F1Score("micro", 0.25, ignore_label="nan", num_classes=1)
        config = json.loads(json.dumps(metric.get_config()))
        assert config == {
            "average": "micro",
            "threshold": 0.25,
            "from_logits": False,
            "ignore_class": None,
            "ignore_label": "nan",
            "num_classes": 1,
            "name": "f1_score",
            "dtype": "float32",
        }
        assert F1Score.from_config(config).get_config() == metric.get_config()


class TestBesideKeras:
    """What the docstring says of `keras.metrics.F1Score`."""

    @each_average
    @pytest.mark.parametrize("threshold", [None, 0.5])
    def test_the_same_of_ordinary_batches(self, average, threshold):
        labels, p = entries()
        if threshold is None:
            labels = np.eye(CLASSES)[labels.sum(-1) % CLASSES]
        metric = keras.metrics.F1Score(average, threshold)
        metric.update_state(labels.astype("float32"), p)
        ours = quickly(labels.astype("float32"), p, average=average, threshold=threshold)
        np.testing.assert_allclose(ours, value(metric), rtol=1e-4)

    @pytest.mark.parametrize("row", [[0.5, 0.5], [0.0, 0.0]])
    def test_equal_scores_and_rows_of_zeros(self, row):
        one = np.array([row], "float32")
        keras_metric = keras.metrics.F1Score()
        keras_metric.update_state(np.array([[1.0, 0.0]]), one)
        found = {0.5: [1, 0], 0.0: [0, 0]}[row[0]]
        np.testing.assert_allclose(value(keras_metric), found, atol=1e-6)
        # Keras predicts both classes of 0.5: its second class has a false alarm.
        if row[0]:
            np.testing.assert_allclose(backends.array(keras_metric.false_positives.value), [0, 1])
        np.testing.assert_allclose(quickly(np.array([0], "int32"), one, average=None), [1, 0])


class TestInTraining:
    @pytest.mark.parametrize(("options", "count"), backends.options_and_rows(), ids=str)
    def test_fit_with_several_labels(self, options, count):
        labels, p = entries((count,))
        identity = keras.layers.Dense(CLASSES, kernel_initializer="identity", use_bias=False)
        model = keras.Sequential([keras.Input((CLASSES,)), identity])
        weights = np.random.default_rng(8).random(count).astype("float32")
        model.compile(
            optimizer=keras.optimizers.SGD(0.0),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[F1Score(None, threshold=0.6, from_logits=True, name="plain")],
            weighted_metrics=[F1Score(threshold=0.6, from_logits=True, name="weighted")],
            **options,
        )
        history = model.fit(
            logits_of(p), labels, sample_weight=weights, batch_size=32, epochs=2, verbose=0
        ).history
        close(history["plain"], [reference(labels, p > 0.6, None)] * 2)
        close(history["weighted"], [reference(labels, p > 0.6, "macro", weights)] * 2)
