"""What holds for every input, on inputs that hypothesis draws."""

import backends
import numpy as np
import pytest
import references
from cases import BATCH, CASES, CLASSES, SHAPE, TIME, gradient_of
from hypothesis import given, settings, strategies as st

FROM_LOGITS = [case for case in CASES if case.takes_logits]
# As many as the other tests have: what they compile or look up serves here too.
ROWS = BATCH * TIME
drawn = settings(max_examples=6, deadline=None, derandomize=True)

scales = st.sampled_from([1e-3, 1.0, 10.0, 90.0, 1e3, 1e4])
entries = st.integers(-(2**20), 2**20).map(lambda entry: entry / 2**20)
tables = st.lists(
    st.lists(entries, min_size=CLASSES, max_size=CLASSES), min_size=ROWS, max_size=ROWS
)


def labels_of(case, seeds):
    flat = case.y_true.reshape(-1, *case.y_true.shape[2:])
    return flat[[seed % len(flat) for seed in seeds]]


@pytest.mark.parametrize("case", FROM_LOGITS, ids=lambda case: case.name)
@drawn
@given(table=tables, scale=scales, seeds=st.lists(st.integers(0, 99), min_size=ROWS, max_size=ROWS))
def test_value_and_gradient_are_the_reference(case, table, scale, seeds):
    rows, labels = np.array(table, "float32") * np.float32(scale), labels_of(case, seeds)
    values, slopes = gradient_of(case, backends.MODES[-1])(
        rows.reshape(SHAPE), labels.reshape(case.y_true.shape)
    )
    values, slopes = values.reshape(-1), slopes.reshape(-1, CLASSES)
    for row, label, value, slope in zip(rows, labels, values, slopes, strict=True):
        label = int(label) if case.has_ids else [float(item) for item in label]
        expected = references.value(case.reference, label, row, **case.arguments)
        if expected > case.smallest:
            assert value == pytest.approx(expected, rel=case.tolerance, abs=case.absolute)
        expected = references.slope(case.reference, label, row, **case.arguments)
        assert slope == pytest.approx(expected, rel=0, abs=1e-6 * max(1, *np.abs(expected)))


@pytest.mark.parametrize(
    "case",
    [case for case in FROM_LOGITS if case.loss == "LabelSmoothedCrossentropy"],
    ids=lambda case: case.name,
)
@drawn
@given(table=tables, scale=scales, shift=st.integers(-64, 64), seed=st.integers(0, 99))
def test_softmax_losses_ignore_a_common_shift(case, table, scale, shift, seed):
    # Multiples of 1/16 below 2^14: the shifted logits are exact too.
    rows = np.round(np.array(table) * min(scale, 1e3) * 16) / 16
    labels = labels_of(case, [seed] * ROWS)
    values = [
        backends.array(case.function(labels, (rows + offset).astype("float32")))
        for offset in (0, shift)
    ]
    np.testing.assert_array_equal(*values)
    assert np.all(values[0] >= 0)


# By rank, equal scores count in the order of the candidates.
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.loss == "MarginRanking" and "weighting" not in case.arguments],
    ids=lambda case: case.name,
)
@drawn
@given(table=tables, order=st.permutations(range(CLASSES)), seed=st.integers(0, 99))
def test_ranking_ignores_the_order_of_the_candidates(case, table, order, seed):
    rows, labels = np.array(table, "float32"), labels_of(case, [seed] * ROWS)
    order = list(order)
    moved = np.argsort(order)[labels] if case.has_ids else labels[:, order]
    np.testing.assert_allclose(
        backends.array(case.function(moved, rows[:, order])),
        backends.array(case.function(labels, rows)),
        rtol=1e-6,
        atol=1e-7,
    )
