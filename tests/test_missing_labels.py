"""Entries whose labels are missing: the loss is that of the others, by a loop over them."""

import backends
import keras
import numpy as np
import pytest
import references
from backends import MODES, QUICK, array
from kinds import function_of, invalid, only_tensorflow

import keras_ce
from keras_ce.losses import WeightedSigmoidCrossentropy

ARGUMENTS = {
    "AsymmetricSigmoidCrossentropy": {"gamma_positive": 1.0, "gamma_negative": 3.0, "clip": 0.1},
    "MultiLabelSoftmaxCrossentropy": {},
    "WeightedSigmoidCrossentropy": {"pos_weight": 2.5, "label_smoothing": 0.2},
}
GENERATOR = np.random.default_rng(21)
SHAPE = (4, 3, 6)
MARKS = [-1, -1.0, 0.5, 0, "nan", float("nan"), np.float32("nan"), 99]
every_loss = pytest.mark.parametrize("name", ARGUMENTS)


def number_of(mark):
    return float("nan") if mark == "nan" else float(mark)


def is_missing(labels, mark):
    return np.isnan(labels) if np.isnan(number_of(mark)) else labels == number_of(mark)


def arguments_of(name, from_logits):
    options = {} if name.startswith("Multi") else {"from_logits": from_logits}
    return {**ARGUMENTS[name], **options}


def batch(mark, from_logits):
    """Labels of which a third is missing, and all of one row; predictions that may be anything."""
    labels = GENERATOR.choice([0.0, 1.0, 0.25], size=SHAPE)
    if number_of(mark) == 0:
        labels = np.maximum(labels, 0.25)
    missing = GENERATOR.uniform(size=SHAPE) < 0.35
    missing[2, 1] = True
    missing[0, 0] = False
    labels[missing] = number_of(mark)
    y_pred = GENERATOR.normal(size=SHAPE) * 2 if from_logits else GENERATOR.uniform(0, 1, SHAPE)
    return labels.astype("float32"), y_pred.astype("float32")


def reference(name, labels, y_pred, mark, **arguments):
    """Values and gradients of each position, from the entries that are left."""
    loss = getattr(references, function_of(name).__name__)
    values, slopes = np.zeros(SHAPE[:-1]), np.zeros(SHAPE)
    for position in np.ndindex(values.shape):
        kept = ~is_missing(labels[position], mark)
        if kept.any():
            row = y_pred[position][kept].astype("float64")
            label = [float(each) for each in labels[position][kept]]
            values[position] = references.value(loss, label, row, **arguments)
            slopes[position][kept] = references.slope(loss, label, row, **arguments)
    return values, slopes


def takes_it(name, from_logits):
    return from_logits or not name.startswith("Multi")


KINDS = [(name, each) for name in ARGUMENTS for each in (True, False) if takes_it(name, each)]
every_kind = pytest.mark.parametrize(("name", "from_logits"), KINDS)


@every_kind
@pytest.mark.parametrize("mark", [-1.0, "nan"])
@pytest.mark.parametrize("mode", MODES)
def test_values_and_gradients(name, from_logits, mark, mode):
    labels, y_pred = batch(mark, from_logits)
    arguments = arguments_of(name, from_logits)
    values, slopes = backends.gradient(
        lambda y_pred, y_true: function_of(name)(y_true, y_pred, **arguments, ignore_label=mark),
        y_pred,
        labels,
        mode=mode,
    )
    expected, expected_slopes = reference(name, labels, y_pred, mark, **arguments)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=1e-4, atol=2e-6)
    assert np.all(slopes[is_missing(labels, mark)] == 0)


@every_loss
@pytest.mark.parametrize("mark", MARKS, ids=repr)
def test_every_mark_and_type(name, mark):
    labels, y_pred = batch(mark, True)
    arguments = arguments_of(name, True)
    expected, _ = reference(name, labels, y_pred, mark, **arguments)
    run = backends.quick(
        lambda y_true, y_pred: function_of(name)(y_true, y_pred, **arguments, ignore_label=mark)
    )
    for dtype in ("float32", "float16", "float64"):
        values = array(run(labels.astype(dtype), y_pred))
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    if isinstance(mark, int):
        whole = np.where(is_missing(labels, mark), mark, labels > 0.5).astype("int64")
        exact = np.where(is_missing(labels, mark), mark, labels > 0.5).astype("float32")
        np.testing.assert_array_equal(array(run(whole, y_pred)), array(run(exact, y_pred)))


@every_loss
@pytest.mark.parametrize("mode", sorted({backends.QUICK_MODE, MODES[-1]}))
def test_predictions_of_missing_entries_may_be_anything(name, mode):
    labels, y_pred = batch(-1, True)
    arguments = {**arguments_of(name, True), "ignore_label": -1}
    run = backends.gradient_of(
        lambda y_pred, y_true: function_of(name)(y_true, y_pred, **arguments), mode
    )
    values, slopes = run(y_pred, labels)
    for anything in (np.nan, np.inf, -np.inf, 1e38):
        wild = np.where(labels == -1, anything, y_pred).astype("float32")
        again, again_slopes = run(wild, labels)
        np.testing.assert_allclose(again, values, rtol=1e-6)
        np.testing.assert_allclose(again_slopes, slopes, atol=1e-7)
        assert np.all(again_slopes[labels == -1] == 0)


@every_kind
def test_a_row_of_nothing_else_is_no_position(name, from_logits):
    labels, y_pred = batch("nan", from_logits)
    arguments = arguments_of(name, from_logits)
    expected, _ = reference(name, labels, y_pred, "nan", **arguments)
    assert np.isnan(labels[2, 1]).all()
    number = expected.size - np.isnan(labels).all(-1).sum()
    weights = GENERATOR.uniform(0.5, 2, SHAPE[:-1]).astype("float32")
    counted = ~np.isnan(labels).all(-1)
    make = getattr(keras_ce.losses, name)
    for reduction, given, divisor in (
        ("sum_over_batch_size", None, number),
        ("sum_over_batch_size", weights, number),
        ("mean_with_sample_weight", weights, weights[counted].sum()),
        ("sum", weights, 1),
    ):
        loss = make(**arguments, ignore_label="nan", reduction=reduction)
        total = (expected * (1 if given is None else given)).sum()
        value = float(backends.quick(loss)(labels, y_pred, given))
        assert value == pytest.approx(total / divisor, rel=1e-5)


@every_loss
def test_nothing_but_missing_labels_costs_nothing(name):
    loss = getattr(keras_ce.losses, name)(**ARGUMENTS[name], ignore_label="nan")
    for anything in (0.5, np.nan):
        value, slopes = backends.gradient(
            lambda y_pred, y_true: loss(y_true, y_pred),
            np.full((2, 5), anything, "float32"),
            np.full((2, 5), np.nan, "float32"),
        )
        assert value == 0
        np.testing.assert_array_equal(slopes, 0)


@every_loss
def test_what_is_not_marked_is_still_invalid(name):
    y_pred = np.full((2, 3), 0.5, "float32")
    function = function_of(name)
    for mark, value in ((-1, np.nan), ("nan", -1.0), (-1, -2.0), (0.5, 2.0), (None, np.nan)):
        marked = 0.0 if mark is None else number_of(mark)
        labels = np.array([[0, 1, marked], [value, 0, 1]], "float32")
        with invalid("y_true", (1, 0)):
            function(labels, y_pred, ignore_label=mark)
        with keras_ce.value_checks(False):
            values = array(function(labels, y_pred, ignore_label=mark))
        np.testing.assert_array_equal(np.isnan(values), [False, True])


def test_weights_of_their_own_for_each_class():
    labels, y_pred = batch(-1, True)
    weights = GENERATOR.uniform(0.5, 2, SHAPE[-1])
    loss = WeightedSigmoidCrossentropy(weights, from_logits=True, ignore_label=-1, reduction="none")
    kept = labels != -1
    z = y_pred.astype("float64")
    entries = weights * labels * np.log1p(np.exp(-z)) + (1 - labels) * np.log1p(np.exp(z))
    number = np.maximum(kept.sum(-1), 1)
    expected = np.where(kept, entries, 0).sum(-1) / number
    np.testing.assert_allclose(array(loss(labels, y_pred)), expected, rtol=1e-5)


@every_loss
def test_the_mark_is_saved(name):
    for mark in (-1, "nan", float("nan"), None):
        loss = getattr(keras_ce.losses, name)(ignore_label=mark)
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert again.ignore_label == loss.ignore_label
        assert again.ignore_label == ("nan" if mark is not None and mark != -1 else mark)


@every_loss
def test_a_mark_that_is_none(name):
    for mark in ("NaN", "none", "-1", float("inf"), True, [0], 1j):
        with invalid("ignore_label"):
            getattr(keras_ce.losses, name)(ignore_label=mark)


@only_tensorflow
@every_loss
def test_a_graph_that_does_not_know_its_sizes(name):
    import tensorflow as tf

    labels, y_pred = batch("nan", True)
    arguments = arguments_of(name, True)
    loss = getattr(keras_ce.losses, name)(**arguments, ignore_label="nan", reduction="none")
    run = tf.function(
        lambda y_true, y_pred: loss(y_true, y_pred),
        input_signature=[tf.TensorSpec([None, None, None])] * 2,
    )
    expected, _ = reference(name, labels, y_pred, "nan", **arguments)
    np.testing.assert_allclose(run(labels, y_pred), expected, rtol=1e-5, atol=1e-6)


@every_loss
def test_a_model_learns_from_what_is_left(name):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    loss = getattr(keras_ce.losses, name)(**arguments_of(name, True), ignore_label="nan")
    model.compile(keras.optimizers.Adam(0.1), loss, **QUICK)
    x = GENERATOR.normal(size=(16, 4)).astype("float32")
    labels = (x[:, :3] > 0).astype("float32")
    labels[GENERATOR.uniform(size=labels.shape) < 0.5] = np.nan
    before, *_, after = model.fit(x, labels, epochs=4, verbose=0).history["loss"]
    assert np.isfinite(before)
    assert after < before
