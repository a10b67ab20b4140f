"""TripletMargin: mining, distances, ties and kinks; its contract has a file of its own.

The reference is a loop over anchors, positives and negatives in float64.
"""

import backends
import numpy as np
import pytest
from backends import BACKEND, MODES, QUICK_MODE, invalid

import keras_ce
from keras_ce._core import embeddings
from keras_ce.losses import TripletMargin, triplet_margin

MINING = ("all", "semi-hard", "hard")
DISTANCES = ("euclidean", "squared", "cosine")
_generator = np.random.default_rng(10)
IDS = np.array([4, -1, 4, 9, -1, 4, -1, 4, 7, 7, -1], "int32")
"""9 is alone."""
ROWS = _generator.normal(size=(11, 19)).astype("float32")
# The eager and the compiled rules; each is a program of its own, and XLA takes seconds for one.
both_modes = pytest.mark.parametrize("mode", sorted({QUICK_MODE, MODES[-1]}))
every_mining = pytest.mark.parametrize("mining", MINING)
every_distance = pytest.mark.parametrize("distance", DISTANCES)


def distance_of(a, b, distance):
    if distance == "cosine":
        lengths = np.sqrt(a @ a) * np.sqrt(b @ b)
        return 1 - (a @ b / lengths if lengths else 0)
    squares = (a - b) @ (a - b)
    return squares if distance == "squared" else np.sqrt(squares)


def triplets_of(i, ids, d, mining):
    """The triplets (positive, negative, weight) of an anchor with distances d."""
    positives = [p for p in range(len(ids)) if p != i and ids[p] == ids[i]]
    negatives = [n for n in range(len(ids)) if ids[n] != ids[i]]
    if not positives or not negatives:
        return []
    if mining == "hard":
        return [(max(positives, key=d.get), min(negatives, key=d.get), 1.0)]
    found = []
    for p in positives:
        mined = negatives
        if mining == "semi-hard":
            beyond = [n for n in negatives if d[n] > d[p]]
            mined = [min(beyond, key=d.get) if beyond else max(negatives, key=d.get)]
        found += [(p, n, 1 / len(positives) / len(mined)) for n in mined]
    return found


def reference(ids, rows, margin, mining, distance):
    """The loss of each row, and the gradient of their sum."""
    rows = np.asarray(rows, "float64")
    values, slopes = np.zeros(len(ids)), np.zeros_like(rows)
    for i in range(len(ids)):
        d = {j: distance_of(rows[i], rows[j], distance) for j in range(len(ids))}
        for p, n, weight in triplets_of(i, ids, d, mining):
            hinge = d[p] - d[n] + margin
            if hinge > 0:
                values[i] += weight * hinge
                for other, sign in ((p, weight), (n, -weight)):
                    slopes[i] += sign * derivative(rows[i], rows[other], distance)
                    slopes[other] += sign * derivative(rows[other], rows[i], distance)
    return values, slopes


def derivative(a, b, distance):
    """Of the distance, by a."""
    if distance == "cosine":
        lengths = np.sqrt(a @ a), np.sqrt(b @ b)
        if 0 in lengths:
            return np.zeros_like(a)
        a, b = a / lengths[0], b / lengths[1]
        return -(b - (a @ b) * a) / lengths[0]
    if distance == "squared":
        return 2 * (a - b)
    length = np.sqrt((a - b) @ (a - b))
    return (a - b) / length if length else np.zeros_like(a)


def run(ids, rows, mode=QUICK_MODE, **arguments):
    return backends.gradient(
        lambda y_pred, y_true: triplet_margin(y_true, y_pred, **arguments), rows, ids, mode=mode
    )


def compare(ids, rows, mode=QUICK_MODE, tolerance=1e-6, **arguments):
    arguments = {"margin": 0.2, "mining": "semi-hard", "distance": "euclidean", **arguments}
    values, slopes = run(ids, rows, mode, **arguments)
    expected, expected_slopes = reference(ids, rows, **arguments)
    largest = np.max(np.abs(rows))
    largest = {"squared": largest**2, "cosine": 1.0}.get(arguments["distance"], largest)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=4 * tolerance * largest)
    scale = np.max(np.abs(expected_slopes))
    np.testing.assert_allclose(slopes, expected_slopes, atol=1e-5 * scale, rtol=0)
    return values, slopes


# --- arguments ---


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        *(("margin", value, "a positive number") for value in (0, -1, True, "0.2", None)),
        ("margin", float("inf"), "a positive number"),
        *(("mining", value, '"semi-hard"') for value in ("semihard", None, 1, True)),
        *(("distance", value, '"squared"') for value in ("l2", None, 2)),
    ],
)
def test_row_18_arguments_are_validated(argument, value, expected):
    for loss in (TripletMargin, lambda **given: triplet_margin(IDS, ROWS, **given)):
        with invalid(argument, expected, value=value):
            loss(**{argument: value})


def test_defaults():
    expected, _ = reference(IDS, ROWS, 0.2, "semi-hard", "euclidean")
    np.testing.assert_allclose(backends.array(triplet_margin(IDS, ROWS)), expected, atol=2e-6)


# --- value and gradient ---


@pytest.mark.parametrize("mining", ["all", "semi-hard"])
@pytest.mark.parametrize("at_once", [1, 3])
def test_few_positives_at_once(mining, at_once, monkeypatch):
    """As in large batches, the last of several steps may have fewer: here are four of an id."""
    monkeypatch.setattr(embeddings, "TRIPLETS_AT_ONCE", at_once * len(IDS) ** 2)
    # A margin of its own, so that nothing was traced before.
    values, _ = compare(IDS, ROWS, mining=mining, margin=0.9 + at_once / 100)
    assert np.sum(values > 0) >= 4


@every_mining
@every_distance
def test_value_and_gradient(mining, distance):
    values, _ = compare(IDS, ROWS, mining=mining, distance=distance, margin=0.9)
    assert np.sum(values > 0) >= 4


@pytest.mark.skipif(BACKEND == "torch", reason="torch does not compile here")
@pytest.mark.parametrize("mining", ["all", "semi-hard"])
def test_without_compilation_of_its_own(mining):
    keras_ce.set_compilation(False)
    try:
        # Its passes are kept: a margin of its own makes new ones.
        compare(IDS, ROWS, "eager", mining=mining, margin=0.91)
    finally:
        keras_ce.set_compilation(True)


def test_rows_close_to_each_other_and_far_from_0_keep_their_digits():
    """|a|^2 + |b|^2 - 2ab would have nothing left of these distances."""
    rows = ROWS / 2**8 + 1000
    rows = rows.astype("float32")
    for mining in MINING:
        compare(IDS, rows, tolerance=1e-9, mining=mining, margin=0.004)


@every_distance
@pytest.mark.parametrize("scale", [2.0**-90, 2.0**40, 2.0**62])
def test_very_large_and_very_small_embeddings(distance, scale):
    if distance == "squared" and scale != 2.0**40:
        pytest.skip("float32 does not hold the squares")
    margin = {"squared": scale**2, "cosine": 1.0}.get(distance, scale)
    for mining in ("all", "hard"):
        values, slopes = run(
            IDS, ROWS * np.float32(scale), margin=margin, mining=mining, distance=distance
        )
        expected, expected_slopes = reference(IDS, ROWS, 1.0, mining, distance)
        unit = {"squared": scale, "cosine": 1 / scale}.get(distance, 1.0)
        np.testing.assert_allclose(values / margin, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(slopes / unit, expected_slopes, atol=3e-5)


@every_mining
def test_equal_rows_have_distance_0_and_no_gradient(mining):
    """Positives and negatives that are copies, and zero rows."""
    rows = ROWS.copy()
    rows[2], rows[1], rows[8], rows[9] = rows[0], rows[0], 0, 0
    for distance in DISTANCES:
        _, slopes = compare(IDS, rows, mining=mining, distance=distance, margin=0.5)
        assert np.all(np.isfinite(slopes))
        if distance == "cosine":
            np.testing.assert_array_equal(slopes[[8, 9]], 0)


LINE = np.array([[0.0], [1.0], [2.0], [-2.0], [2.0], [5.0]], "float32")
"""From row 0: a positive at 1, negatives at 2 (three of them) and at 5."""


@both_modes
def test_the_first_of_equal_distances_is_mined(mode):
    ids = np.array([0, 0, 1, 2, 3, 4], "int32")  # 1, 2, 3 and 4 are alone
    for mining in ("semi-hard", "hard"):
        values, slopes = run(ids, LINE, mode, margin=1.5, mining=mining)
        # Row 0: 1 - 2 + 1.5 with row 2; row 1: 1 - 1 + 1.5 with row 2 if hard, else 1 - 3 + 1.5.
        expected = {"semi-hard": [0.5, 0.0], "hard": [0.5, 1.5]}[mining]
        np.testing.assert_allclose(values, [*expected, 0, 0, 0, 0], atol=1e-6)
        assert slopes[2, 0] < 0
        np.testing.assert_array_equal(slopes[3:], 0)
    # Two positives at the same distance: the first one alone is pulled.
    rows = np.array([[0.0], [1.0], [-1.0], [3.0]], "float32")
    _, slopes = backends.gradient(
        lambda y_pred, y_true: triplet_margin(y_true, y_pred, 4.0, "hard")[0],
        rows,
        np.array([0, 0, 0, 1], "int32"),
        mode=mode,
    )
    np.testing.assert_array_equal(slopes[:, 0], [0, 1, 0, -1])


def test_a_negative_as_far_as_the_positive_is_not_beyond_it():
    ids = np.array([0, 0, 1, 2], "int32")
    rows = np.array([[0.0], [1.0], [-1.0], [1.25]], "float32")
    values, _ = run(ids, rows, margin=0.5)
    np.testing.assert_allclose(values[0], 1 - 1.25 + 0.5, rtol=1e-6)
    # Without any beyond, the farthest: here that very one.
    values, _ = run(ids[:3], rows[:3], margin=0.5)
    np.testing.assert_allclose(values[0], 0.5, rtol=1e-6)


@every_mining
def test_a_triplet_exactly_at_the_margin_has_no_gradient(mining):
    ids = np.array([0, 0, 1], "int32")
    rows = np.array([[0.0], [0.5], [1.5]], "float32")
    for margin, is_active in ((1.0, False), (1.25, True)):
        value, slopes = backends.gradient(
            lambda y_pred, y_true, margin=margin: triplet_margin(y_true, y_pred, margin, mining)[0],
            rows,
            ids,
        )
        assert value == margin - 1.0
        assert np.any(slopes != 0) == is_active


def test_one_label_and_one_row_each_are_ignored():
    for ids in (np.zeros(11, "int32"), np.arange(11, dtype="int32")):
        for mining in MINING:
            values, slopes = run(ids, ROWS, mining=mining)
            np.testing.assert_array_equal(values, 0)
            np.testing.assert_array_equal(slopes, 0)


def test_row_12_the_largest_id_beside_rows_that_are_left_out():
    """Rows that are no candidates come last where the labels are put in order."""
    ids = np.where(IDS == 4, 2**31 - 1, IDS).astype("int32")
    weights = np.ones(11, "float32")
    weights[[0, 3, 4]] = 0
    rows = ROWS.copy()
    rows[[0, 3, 4]] = np.nan
    kept = weights > 0
    for mining in ("all", "semi-hard"):
        loss = backends.quick(TripletMargin(0.9, mining, reduction="none"))
        values = backends.array(loss(ids, rows, weights))
        expected, _ = reference(IDS[kept], ROWS[kept], 0.9, mining, "euclidean")
        np.testing.assert_allclose(values[kept], expected, atol=1e-5)
        np.testing.assert_array_equal(values[~kept], 0)


@pytest.mark.skipif(BACKEND != "torch", reason="torch says how much memory it takes")
@every_mining
def test_memory_of_a_large_batch(mining):
    """A few matrices of all pairs, and never one of all triplets or of all differences."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    number = 256
    rows = torch.tensor(_generator.normal(size=(number, 64)).astype("float32"), requires_grad=True)
    ids = torch.arange(number) % 32
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        triplet_margin(ids, rows, mining=mining).sum().backward()
    most = now = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    assert 0 < most < 12 * 4 * number**2
