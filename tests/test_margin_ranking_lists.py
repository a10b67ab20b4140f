"""MarginRanking of whole lists, against a loop over all pairs in float64."""

import backends
import keras
import numpy as np
import pytest
import sklearn.metrics
from backends import BACKEND, MODES, QUICK, array
from kinds import invalid, only_jax, only_tensorflow, only_torch, tensor

from keras_ce.losses import MarginRanking, margin_ranking

GENERATOR = np.random.default_rng(12)
PADDING = -1.0
MARGIN = 0.75


def ndcg_weights(scores, relevance, ignore_label):
    """The change of DCG that swapping each pair in the present order makes, from the definition."""
    places = [place for place in range(len(scores)) if relevance[place] != ignore_label]
    places.sort(key=lambda place: -scores[place])  # stable: ties in the order of the candidates
    rank = {place: number + 1 for number, place in enumerate(places)}

    def dcg(order):
        return sum((2.0 ** relevance[p] - 1) / np.log2(1 + order[p]) for p in order)

    weights = np.zeros((len(scores), len(scores)))
    for i in places:
        for j in places:
            swapped = {**rank, i: rank[j], j: rank[i]}
            weights[i, j] = abs(dcg(rank) - dcg(swapped))
    return weights


def reference(scores, relevance, margin=MARGIN, ignore_label=None, weighting=None):
    """Values and the gradients of their sum, pair by pair."""
    scores, relevance = np.asarray(scores, "float64"), np.asarray(relevance, "float64")
    values, slopes = np.zeros(scores.shape[:-1]), np.zeros(scores.shape)
    for position in np.ndindex(values.shape):
        s, r, slope = scores[position], relevance[position], np.zeros(scores.shape[-1])
        total, pairs = 0.0, 0
        weights = np.ones((len(s), len(s)))
        if weighting == "ndcg":
            weights = ndcg_weights(s, r, ignore_label)
        for i in range(len(s)):
            for j in range(len(s)):
                if ignore_label in (r[i], r[j]) or not r[i] > r[j]:
                    continue
                pairs += weights[i, j]
                lacking = margin - (s[i] - s[j])
                if lacking > 0:
                    total += weights[i, j] * lacking
                    slope[i] -= weights[i, j]
                    slope[j] += weights[i, j]
        values[position] = total / (pairs or 1)
        slopes[position] = slope / (pairs or 1)
    return values, slopes


def lists(*shape):
    """Scores and relevances with ties of both, pairs exactly at the margin, and padding."""
    scores = (GENERATOR.integers(-8, 8, shape) / 4).astype("float32")
    relevance = GENERATOR.integers(0, 4, shape).astype("float32")
    relevance[GENERATOR.uniform(size=shape) < 0.3] = PADDING
    return scores, relevance


def pieces_of(elements, monkeypatch):
    from keras_ce._core.backends.passes import Compilation

    monkeypatch.setattr(Compilation, "ELEMENTS_OF_A_PIECE", elements)


def ranking_of(relevance, scores, margin, ignore_label, **options):
    padding = {} if ignore_label is None else {"ignore_label": ignore_label}
    return margin_ranking(relevance, scores, margin, **padding, **options)


def check(scores, relevance, ignore_label, mode, function=None, **options):
    def run(y_pred, y_true):
        return ranking_of(y_true, y_pred, MARGIN, ignore_label, **options)

    value_and_gradient = function or backends.gradient_of(run, mode)
    values, slopes = value_and_gradient(scores, relevance)
    expected, expected_slopes = reference(scores, relevance, MARGIN, ignore_label, **options)
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(slopes, expected_slopes, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ignore_label", [None, PADDING])
# One candidate at a time; three of seven, so that the last two pieces overlap; all at once.
@pytest.mark.parametrize("elements", [1, 4 * 7 * 3, 2**20])
def test_by_pieces(elements, ignore_label, mode, monkeypatch):
    pieces_of(elements, monkeypatch)
    check(*lists(4, 7), ignore_label, mode)


@pytest.mark.parametrize("ignore_label", [None, PADDING])
@pytest.mark.parametrize("elements", [1, 50, 2**20])
def test_lists_of_lists(elements, ignore_label, monkeypatch):
    pieces_of(elements, monkeypatch)
    check(*lists(2, 3, 5), ignore_label, backends.QUICK_MODE)
    check(*lists(5), ignore_label, backends.QUICK_MODE)
    check(*lists(3, 2), ignore_label, backends.QUICK_MODE)


@pytest.mark.parametrize("mode", MODES)
def test_ties_and_the_margin_itself(mode):
    """Equal relevance makes no pair; a pair exactly at the margin has no gradient."""
    scores = np.array([[0.75, 0.0, 0.0], [0.5, 0.5, 0.5], [1.0, 0.25, -0.5]], "float32")
    relevance = np.array([[1.0, 0.0, 0.0], [2.0, 2.0, 2.0], [2.0, 1.0, 0.0]], "float32")
    values, slopes = backends.gradient(
        lambda y_pred, y_true: margin_ranking(y_true, y_pred, MARGIN), scores, relevance, mode=mode
    )
    np.testing.assert_array_equal(values, 0)
    np.testing.assert_array_equal(slopes, 0)
    check(scores, relevance, None, mode)


@only_tensorflow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("known", [(None, 7), (4, None), (None, None), (None, None, None)], ids=str)
@pytest.mark.parametrize("ignore_label", [None, PADDING])
def test_a_graph_that_does_not_know_its_sizes(known, ignore_label, jit_compile, monkeypatch):
    import tensorflow as tf

    if jit_compile and len(known) == 3:
        pytest.skip("one program of unknown sizes is enough for XLA")
    pieces_of(60, monkeypatch)

    labels = (*known[:-1], 7)  # else they might be indices with a trailing axis
    signature = [tf.TensorSpec(known), tf.TensorSpec(labels)]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def run(scores, relevance):
        with tf.GradientTape() as tape:
            tape.watch(scores)
            values = ranking_of(relevance, scores, MARGIN, ignore_label)
            total = tf.reduce_sum(values)
        return values, tape.gradient(total, scores)

    def value_and_gradient(scores, relevance):
        return [each.numpy() for each in run(scores, relevance)]

    shape = (4, 7) if len(known) == 2 else (2, 2, 7)
    check(*lists(*shape), ignore_label, None, value_and_gradient)


# --- what is held ---

LISTS, CANDIDATES = 16, 1000
WHOLE = LISTS * CANDIDATES**2
"""What all pairs of all lists would take; the largest piece may take a tenth of it."""


def long_lists():
    scores = GENERATOR.normal(size=(LISTS, CANDIDATES)).astype("float32")
    return scores, GENERATOR.integers(0, 3, (LISTS, CANDIDATES)).astype("float32")


@only_torch
@pytest.mark.parametrize("weighting", [None, "ndcg"])
@pytest.mark.parametrize("ignore_label", [None, 0.0])
def test_torch_holds_no_pairs_of_all_candidates(ignore_label, weighting):
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            result = function(*arguments, **(options or {}))
            for each in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(each, torch.Tensor):
                    self.elements = max(self.elements, each.numel())
            return result

    scores, relevance = map(torch.tensor, long_lists())
    scores.requires_grad_()
    with Largest() as largest:
        ranking_of(relevance, scores, 1.0, ignore_label, weighting=weighting).sum().backward()
    assert CANDIDATES < largest.elements <= WHOLE / 10
    assert torch.isfinite(scores.grad).all()


def arrays_of(jaxpr):
    """The sizes of everything that a JAX program computes, its loops included."""
    for equation in jaxpr.eqns:
        yield from (int(np.prod(each.aval.shape)) for each in equation.outvars)
        for value in equation.params.values():
            for each in value if isinstance(value, (tuple, list)) else [value]:
                inner = getattr(each, "jaxpr", each)
                if hasattr(inner, "eqns"):
                    yield from arrays_of(inner)


@only_jax
@pytest.mark.parametrize("weighting", [None, "ndcg"])
@pytest.mark.parametrize("ignore_label", [None, 0.0])
def test_jax_holds_no_pairs_of_all_candidates(ignore_label, weighting):
    import jax

    scores, relevance = long_lists()

    def total(scores):
        return ranking_of(relevance, scores, 1.0, ignore_label, weighting=weighting).sum()

    program = jax.make_jaxpr(jax.value_and_grad(total))(scores)
    assert CANDIDATES < max(arrays_of(program.jaxpr)) <= WHOLE / 10


@only_tensorflow
@pytest.mark.parametrize("weighting", [None, "ndcg"])
@pytest.mark.parametrize("ignore_label", [None, 0.0])
def test_tensorflow_holds_no_pairs_of_all_candidates(ignore_label, weighting):
    import tensorflow as tf

    scores, relevance = long_lists()

    @tf.function
    def gradient(scores):
        with tf.GradientTape() as tape:
            tape.watch(scores)
            total = tf.reduce_sum(
                ranking_of(relevance, scores, 1.0, ignore_label, weighting=weighting)
            )
        return tape.gradient(total, scores)

    sizes = []
    original = tf.nn.relu, tf.where

    def seen(operation):
        def run(*arguments, **options):
            result = operation(*arguments, **options)
            sizes.append(result.shape.num_elements())
            return result

        return run

    tf.nn.relu, tf.where = map(seen, original)
    try:
        gradient.get_concrete_function(tf.TensorSpec(scores.shape))
    finally:
        tf.nn.relu, tf.where = original
    known = [size for size in sizes if size is not None]
    assert CANDIDATES < max(known) <= WHOLE / 10


def test_long_lists_are_right():
    scores, relevance = long_lists()
    few = slice(0, 2), slice(0, 150)
    check(scores[few], relevance[few], None, backends.QUICK_MODE)


# --- padding ---


@pytest.mark.parametrize("ignore_label", [-1, -1.0, 0, 7.5])
def test_a_padded_list_is_the_shorter_list(ignore_label):
    scores, relevance = lists(5)
    relevance = np.abs(relevance) + (2 if ignore_label == 0 else 0)
    padded_scores = np.concatenate([scores, [1e30, np.nan, -5.0]]).astype("float32")
    padded = np.concatenate([relevance, [ignore_label] * 3]).astype("float32")
    # In between, too.
    order = GENERATOR.permutation(8)
    values, slopes = backends.gradient(
        lambda y_pred, y_true: margin_ranking(y_true, y_pred, MARGIN, None, ignore_label),
        padded_scores[order][None],
        padded[order][None],
        mode="eager",
    )
    expected, expected_slopes = reference(scores[None], relevance[None])
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    back = np.argsort(order)
    np.testing.assert_allclose(slopes[0][back][:5], expected_slopes[0], atol=1e-6)
    np.testing.assert_array_equal(slopes[0][back][5:], 0)


@pytest.mark.parametrize("mode", MODES)
def test_a_list_of_nothing_but_padding_is_no_position(mode):
    scores, relevance = lists(4, 5)
    relevance[2] = PADDING
    relevance[3] = 1.0  # one list without a pair, which is a position
    expected, _ = reference(scores, relevance, ignore_label=PADDING)
    weights = np.array([1.0, 0.5, 3.0, 2.0], "float32")
    for reduction, given, divisor in (
        ("sum_over_batch_size", None, 3),
        ("sum_over_batch_size", weights, 3),
        ("mean_with_sample_weight", weights, 3.5),
        ("sum", weights, 1),
    ):
        if mode == "xla" and given is not None:
            continue
        loss = MarginRanking(MARGIN, None, PADDING, reduction=reduction)
        value, slopes = backends.gradient(
            lambda y_pred, y_true, loss=loss, given=given: loss(y_true, y_pred, given),
            scores,
            relevance,
            mode=mode,
        )
        total = (expected * (1 if given is None else given)).sum()
        np.testing.assert_allclose(value, total / divisor, rtol=1e-5)
        np.testing.assert_array_equal(slopes[2:], 0)


def test_nothing_but_padding_costs_nothing():
    loss = MarginRanking(ignore_label=PADDING)
    value, slopes = backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred),
        np.full((2, 3), np.nan, "float32"),
        np.full((2, 3), PADDING, "float32"),
    )
    assert value == 0
    np.testing.assert_array_equal(slopes, 0)


def test_padding_needs_relevances():
    for labels in ([0, 1], [[0], [1]], np.array([-1, 0])):
        for ignore_label in (-1.0, 0):
            with pytest.raises(ValueError, match="`ignore_label` needs relevances"):
                margin_ranking(labels, np.ones((2, 3), "float32"), 0.1, None, ignore_label)
            with pytest.raises(ValueError, match="`ignore_label` needs relevances"):
                MarginRanking(ignore_label=ignore_label)(labels, np.ones((2, 3), "float32"))


@pytest.mark.parametrize("dtype", ["int32", "int64", "int8", "float64", "float16"])
def test_padding_in_relevances_of_every_type(dtype):
    scores, relevance = lists(3, 6)
    expected, _ = reference(scores, relevance, ignore_label=PADDING)
    for given in (relevance.astype(dtype), tensor(relevance.astype(dtype))):
        values = array(margin_ranking(given, scores, MARGIN, None, PADDING))
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_where_a_relevance_is_no_number(value):
    scores, relevance = lists(3, 6)
    relevance[1, 4] = value
    for ignore_label in (None, PADDING):
        with invalid("y_true", (1, 4)) as caught:
            ranking_of(relevance, scores, MARGIN, ignore_label)
        np.testing.assert_equal(caught.value.value, value)


def test_a_model_of_padded_lists_learns():
    scores = keras.layers.TimeDistributed(keras.layers.Dense(1))
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, keras.layers.Reshape((-1,))(scores(inputs)))
    model.compile(keras.optimizers.Adam(0.1), MarginRanking(0.5, ignore_label=PADDING), **QUICK)
    x = GENERATOR.normal(size=(8, 6, 3)).astype("float32")
    relevance = np.argsort(np.argsort(x[..., 0], -1), -1).astype("float32")
    relevance[::2, 4:] = PADDING
    before, *_, after = model.fit(x, relevance, epochs=4, verbose=0).history["loss"]
    assert after < before


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no float64 unless it is switched on")
def test_float64_scores(monkeypatch):
    pieces_of(20, monkeypatch)
    scores, relevance = lists(3, 6)
    values = array(margin_ranking(relevance, scores.astype("float64"), MARGIN, None, PADDING))
    expected, _ = reference(scores, relevance, ignore_label=PADDING)
    assert values.dtype == "float64"
    np.testing.assert_allclose(values, expected, rtol=1e-14)


# --- pairs weighted by what swapping them changes ---

NDCG = {"weighting": "ndcg"}


@pytest.mark.parametrize("mode", backends.QUICK_MODES)
@pytest.mark.parametrize("elements", [4 * 7 * 3, 2**20])
@pytest.mark.parametrize("ignore_label", [None, PADDING])
def test_ndcg_by_pieces(ignore_label, elements, mode, monkeypatch):
    pieces_of(elements, monkeypatch)
    scores, relevance = lists(4, 7)
    if ignore_label is None:
        relevance = np.abs(relevance)
    check(scores, relevance, ignore_label, mode, **NDCG)
    check(scores, np.where(relevance > 0, relevance / 3, relevance), ignore_label, mode, **NDCG)


def test_ndcg_of_lists_of_lists():
    for shape in ((2, 3, 5), (5,), (3, 2)):
        check(*lists(*shape), PADDING, backends.QUICK_MODE, **NDCG)


@pytest.mark.parametrize("mode", backends.QUICK_MODES)
def test_ndcg_of_an_index_is_relevance_1_against_0(mode):
    scores, _ = lists(4, 3, 6)
    index = GENERATOR.integers(0, 6, (4, 3))
    values, slopes = backends.gradient(
        lambda y_pred, y_true: margin_ranking(y_true, y_pred, MARGIN, "ndcg"),
        scores,
        index.astype("int32"),
        mode=mode,
    )
    expected, expected_slopes = reference(scores, np.eye(6)[index], **NDCG)
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(slopes, expected_slopes, atol=1e-6)


def test_ndcg_far_down_a_list_and_of_grades_that_hardly_differ():
    """Differences of discounts and gains that float32 does not hold: the weights still do."""
    number = 1000
    scores = np.linspace(3, 0, number, dtype="float32")[None]
    relevance = np.zeros((1, number), "float32")
    relevance[0, -3:] = [0, 1, 2]
    relevance[0, :-3] = PADDING
    relevance[0, 5] = 1
    check(scores, relevance, PADDING, backends.QUICK_MODE, **NDCG)
    relevance[0, -4:] = np.float32([7, 7.0001, 7.0003, 7.0004])
    relevance[0, 5] = PADDING
    check(scores, relevance, PADDING, backends.QUICK_MODE, **NDCG)
    relevance[0, -4:] = [30, 29, 1, 0]
    check(scores, relevance, PADDING, backends.QUICK_MODE, **NDCG)


def swap_changes(scores, relevance):
    """What scikit-learn's NDCG changes by when two candidates swap their scores: (n, n)."""
    gains = 2.0 ** relevance[None] - 1  # scikit-learn's own are linear
    changes = np.zeros((len(scores), len(scores)))
    for i, j in np.ndindex(changes.shape):
        swapped = scores.copy()
        swapped[[i, j]] = scores[[j, i]]
        changes[i, j] = sklearn.metrics.ndcg_score(gains, scores[None])
        changes[i, j] -= sklearn.metrics.ndcg_score(gains, swapped[None])
    return np.abs(changes)


@pytest.mark.parametrize("highest", [1, 4])
@pytest.mark.parametrize("kept", [7, 5])
def test_pairs_weigh_what_swapping_them_changes_ndcg_of_scikit_learn_by(kept, highest):
    """Every pair of the lists lacks some of the margin: all of the weights are in the gradient."""
    margin = 20.0
    scores = GENERATOR.permuted(np.tile(np.arange(7) / 4 - 1, (5, 1)), axis=1)
    relevance = GENERATOR.integers(0, highest + 1, (5, 7)).astype("float64")
    relevance[:, :2] = [0, highest]
    expected, expected_slopes = np.zeros(5), np.zeros((5, 7))
    for row, (s, r) in enumerate(zip(scores[:, :kept], relevance[:, :kept], strict=True)):
        weights = swap_changes(s, r) * (r[:, None] > r[None, :])
        weights /= weights.sum()
        expected[row] = (weights * (margin - (s[:, None] - s[None, :]))).sum()
        expected_slopes[row, :kept] = weights.sum(0) - weights.sum(1)
    relevance[:, kept:] = PADDING
    values, slopes = backends.gradient(
        lambda y_pred, y_true: margin_ranking(y_true, y_pred, margin, "ndcg", PADDING),
        scores.astype("float32"),
        relevance.astype("float32"),
    )
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_allclose(slopes, expected_slopes, atol=1e-6)


def test_the_top_of_a_list_counts_most():
    """Two neighbours in the wrong order cost more at the top; without weights the same."""
    relevance = np.array([3.0, 2.0, 1.0, 0.0])
    wrong_at_the_top, wrong_at_the_end = [8.0, 9.0, 2.0, 1.0], [9.0, 8.0, 1.0, 2.0]
    for weighting in (None, "ndcg"):
        top, end = (
            float(array(margin_ranking(relevance, scores, 0.1, weighting)))
            for scores in (wrong_at_the_top, wrong_at_the_end)
        )
        assert top == pytest.approx(end) if weighting is None else top > 5 * end


@pytest.mark.parametrize(
    ("value", "fix"), [(-1, "ignore_label=-1"), (31, "not counts"), (30.5, "")]
)
def test_ndcg_takes_relevances_from_0_to_30(value, fix):
    scores, relevance = np.zeros((2, 3), "float32"), np.zeros((2, 3), "float32")
    relevance[1, 0] = value
    with invalid("y_true", (1, 0), value) as caught:
        margin_ranking(relevance, scores, MARGIN, "ndcg")
    assert caught.value.expected == "relevances from 0 to 30"
    assert fix in caught.value.fix
    margin_ranking(relevance, scores, MARGIN)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "eager"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -2, 31])
def test_ndcg_compiled_is_nan_without_gradient(value, mode):
    scores, relevance = lists(3, 5)
    relevance[1] = [0, 1, value, 2, 0]
    values, slopes = backends.gradient(
        lambda y_pred, y_true: ranking_of(y_true, y_pred, MARGIN, PADDING, **NDCG),
        scores,
        relevance,
        mode=mode,
    )
    assert np.isnan(values).tolist() == [False, True, False]
    np.testing.assert_array_equal(slopes[1], 0)


def test_no_other_weighting():
    for wrong in ("NDCG", "map", 1, True):
        with pytest.raises(ValueError, match='`weighting` must be "ndcg"'):
            MarginRanking(weighting=wrong)
    with pytest.raises(ValueError, match="`ignore_label` needs relevances"):
        margin_ranking([0, 1], np.zeros((2, 3), "float32"), MARGIN, "ndcg", -1)
    assert MarginRanking(0.5, "ndcg").get_config()["weighting"] == "ndcg"
