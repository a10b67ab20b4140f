import backends
import keras
import numpy as np
import pytest
import sklearn.metrics
from backends import BACKEND, QUICK, QUICK_MODES, array, invalid

from keras_ce.losses import (
    ListwiseCrossentropy,
    label_smoothed_crossentropy,
    listwise_crossentropy,
)

GENERATOR = np.random.default_rng(33)
PADDING = -1.0


def reference(relevance, scores, temperature=1.0, ignore_label=None):
    """Value and gradient of one list, candidate by candidate."""
    kept = [place for place, r in enumerate(relevance) if r != ignore_label]
    total = sum(relevance[place] for place in kept)
    value, slope = 0.0, np.zeros(len(scores))
    if total == 0:
        return value, slope
    peak = max(scores[place] for place in kept)
    powers = {place: np.exp((scores[place] - peak) / temperature) for place in kept}
    for place in kept:
        p = powers[place] / sum(powers.values())
        if relevance[place]:
            value -= relevance[place] * np.log(p) / total
        slope[place] = (p - relevance[place] / total) / temperature
    return value, slope


def lists(*shape):
    scores = (GENERATOR.normal(size=shape) * 2).astype("float32")
    relevance = GENERATOR.integers(0, 4, shape).astype("float32")
    relevance[..., 0] = 2
    relevance[..., 1:][GENERATOR.uniform(size=(*shape[:-1], shape[-1] - 1)) < 0.3] = PADDING
    return scores, relevance


@pytest.mark.parametrize("mode", QUICK_MODES)
@pytest.mark.parametrize("temperature", [1.0, 0.05])
def test_against_a_loop_over_the_candidates(temperature, mode):
    scores, relevance = lists(2, 3, 7)
    relevance[1, 1] = 0
    relevance[0, 2] = PADDING
    scores[relevance == PADDING] = np.nan
    values, slopes = backends.gradient(
        lambda y_pred, y_true: listwise_crossentropy(y_true, y_pred, temperature, PADDING),
        scores,
        relevance,
        mode=mode,
    )
    for place in np.ndindex(2, 3):
        expected, expected_slope = (
            reference(
                relevance[place].astype("float64"),
                scores[place].astype("float64"),
                temperature,
                PADDING,
            )
            if np.any(relevance[place] > 0)
            else (0.0, np.zeros(7))
        )
        assert values[place] == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(slopes[place], expected_slope, atol=1e-6 / temperature)


def test_padding_stays_out_however_soft_the_list():
    """At this temperature all scores are alike, the lowest number that padding has too."""
    scores, relevance = lists(4, 5)
    run = backends.quick(listwise_crossentropy)
    values = array(run(relevance, scores, 3e38, PADDING))
    np.testing.assert_allclose(values, np.log((relevance != PADDING).sum(-1)), rtol=1e-6)


def test_one_relevant_candidate_is_a_softmax():
    scores = GENERATOR.normal(size=(4, 5)).astype("float32") * 20
    ids = np.array([0, 4, 2, 2])
    values = array(backends.quick(listwise_crossentropy)(3.0 * np.eye(5)[ids], scores))
    expected = backends.quick(label_smoothed_crossentropy)(ids, scores, 0, from_logits=True)
    np.testing.assert_allclose(values, array(expected), rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 3.0])
def test_it_is_never_below_minus_the_logarithm_of_ndcg(temperature):
    """A softmax is at most 1 / rank, and NDCG of linear gains at least the mean of these."""
    scores, relevance = lists(12, 7)
    relevance[:, 1] = 1  # scikit-learn has no NDCG of one candidate
    scores[:6] += 3 * relevance[:6]  # good orders, where the two are near each other
    run = backends.quick(listwise_crossentropy)
    values = array(run(relevance, scores, temperature, PADDING))
    for value, s, r in zip(values, scores, relevance, strict=True):
        is_kept = r != PADDING
        ndcg = sklearn.metrics.ndcg_score(r[None, is_kept], s[None, is_kept])
        assert value >= -np.log(ndcg) - 1e-6


@pytest.mark.parametrize("mode", QUICK_MODES)
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 3.0, 2.0]])
def test_lists_without_a_relevant_candidate_leave_the_divisor(weights, mode):
    scores, relevance = lists(4, 5)
    relevance[2] = PADDING
    relevance[3] = [0, 0, PADDING, 0, PADDING]
    scores[2:] = np.nan
    loss = ListwiseCrossentropy(ignore_label=PADDING)
    value, slopes = backends.gradient(
        lambda y_pred, y_true: loss(
            y_true, y_pred, None if weights is None else np.array(weights, "float32")
        ),
        scores,
        relevance,
        mode=mode,
    )
    expected = [
        reference(relevance[row].astype("float64"), scores[row].astype("float64"), 1.0, PADDING)[0]
        for row in range(2)
    ]
    assert value == pytest.approx(np.dot(expected, (weights or [1, 1])[:2]) / 2, rel=1e-5)
    np.testing.assert_array_equal(slopes[2:], 0)


def test_nothing_relevant_costs_nothing():
    value, slopes = backends.gradient(
        lambda y_pred: ListwiseCrossentropy()(np.zeros((2, 3), "float32"), y_pred),
        np.full((2, 3), np.nan, "float32"),
    )
    assert value == 0
    np.testing.assert_array_equal(slopes, 0)


@pytest.mark.parametrize("value", [-0.5, np.nan, np.inf, -1.0])
def test_what_is_no_relevance(value):
    scores, relevance = np.zeros((2, 3), "float32"), np.zeros((2, 3), "float32")
    relevance[1, 2] = value  # beside nothing but zeros
    with invalid("y_true", "relevances >= 0", position=(1, 2), value=value):
        listwise_crossentropy(relevance, scores)
    if value < 0 and np.isfinite(value):
        with invalid("y_true", fix=f"`ignore_label={value:g}`", position=(1, 2), value=value):
            listwise_crossentropy(relevance, scores)


def test_relevances_of_an_infinite_sum():
    relevance = np.full((1, 3), 3e38, "float32")
    with invalid("y_true", "finite sum", position=(0, 0)):
        listwise_crossentropy(relevance, np.zeros((1, 3), "float32"))


def test_an_index_is_refused_and_the_right_loss_named():
    for labels in ([0, 1], [[0], [1]]):
        with pytest.raises(ValueError, match=r"`y_true` must hold the relevance.*LabelSmoothed"):
            listwise_crossentropy(labels, np.zeros((2, 3), "float32"))
    with pytest.raises(ValueError, match="at least two candidates"):
        listwise_crossentropy(np.ones((2, 1)), np.zeros((2, 1), "float32"))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow alone traces unknown sizes")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_graph_that_does_not_know_its_sizes(jit_compile):
    import tensorflow as tf

    loss = ListwiseCrossentropy(ignore_label=PADDING)
    run = tf.function(
        lambda y_true, y_pred: loss(y_true, y_pred),
        input_signature=[tf.TensorSpec([None, None])] * 2,
        jit_compile=jit_compile,
    )
    scores, relevance = lists(3, 6)
    expected = array(loss(relevance, scores))
    np.testing.assert_allclose(run(relevance, scores), expected, rtol=1e-6)


def test_a_model_of_padded_lists_learns():
    scores = keras.layers.TimeDistributed(keras.layers.Dense(1))
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, keras.layers.Reshape((-1,))(scores(inputs)))
    model.compile(keras.optimizers.Adam(0.1), ListwiseCrossentropy(ignore_label=PADDING), **QUICK)
    x = GENERATOR.normal(size=(8, 6, 3)).astype("float32")
    relevance = np.argsort(np.argsort(x[..., 0], -1), -1).astype("float32")
    relevance[::2, 4:] = PADDING
    before, *_, after = model.fit(x, relevance, epochs=4, verbose=0).history["loss"]
    assert after < before
