"""What the metrics share: sums that lose no row, empty batches, dtypes of labels."""

import math

import backends
import keras
import numpy as np
import pytest
from keras import ops
from metric_steps import step

import keras_ce
from keras_ce.metrics import ExpectedCalibrationError, GroupedAccuracy
from keras_ce.metrics._weighted_sums import exact_sums

METRICS = {
    "accuracy": lambda: GroupedAccuracy([2, 3]),
    "letters": lambda: GroupedAccuracy([2, 3], mode="each"),
    "calibration": lambda: ExpectedCalibrationError(3),
}
each_metric = pytest.mark.parametrize("name", METRICS)
each_mode = pytest.mark.parametrize("mode", backends.MODES)


def value(metric):
    return float(ops.convert_to_numpy(metric.result()))


def sums(metric):
    """The sums of all batches, as float64."""
    return sum(backends.array(variable.value).astype("float64") for variable in metric.variables)


def batch(name, count, seed=0):
    """Labels and probabilities that fit a metric; some rows are right, some wrong."""
    generator = np.random.default_rng(seed)
    rows = generator.dirichlet([0.5] * 5, count).astype("float32")
    if name == "calibration":
        return generator.integers(0, 5, count).astype("int32"), rows
    return generator.integers(0, [2, 3], (count, 2)).astype("int32"), rows


def certain(name, is_right):
    """A batch of one row, as tensors: right or wrong, without any doubt."""
    labels = np.array([1 - is_right]) if name == "calibration" else np.array([[1 - is_right, 0]])
    rows = np.array([[1, 0, 0, 0, 0]] if name == "calibration" else [[1, 0, 1, 0, 0]])
    return ops.convert_to_tensor(labels.astype("int32")), ops.cast(rows, "float32")


def own_tensor(array):
    """As a tensor of the backend; Keras itself makes no torch tensor of uint64."""
    if backends.BACKEND == "torch":
        import torch

        return torch.from_numpy(array)
    return ops.convert_to_tensor(array)


class TestSums:
    @each_metric
    @each_mode
    def test_single_rows_count_after_two_to_the_24(self, name, mode):
        metric = METRICS[name]()
        metric.sums.assign(ops.full(metric.sums.shape, 2.0**24))
        update = step(metric, mode)
        for is_right in (False, True, False):
            update(*certain(name, is_right))
        expected = {"accuracy": [1, 3], "letters": [4, 3], "calibration": [0, 0, -2, 3]}
        np.testing.assert_array_equal(sums(metric) - 2**24, expected[name])
        metric.reset_state()
        assert not sums(metric).any()
        assert value(metric) == 0.0

    @each_metric
    @each_mode
    def test_small_weights_count_beside_a_large_sum(self, name, mode):
        # The state of one float32 would not move: 60 is less than half a unit in its last place.
        metric = METRICS[name]()
        update = step(metric, mode)
        one = name == "calibration"  # Its error is that of the wrong rows.
        update(*certain(name, not one), ops.convert_to_tensor(np.array([2**30], "float32")))
        small = ops.convert_to_tensor(np.array([60], "float32"))
        for _ in range(50):
            update(*certain(name, one), small)
        few = 50 * 60 * (0.5 if name == "letters" else 0.0)  # One letter of two is right.
        expected = (2**30 + few) / (2**30 + 50 * 60)
        assert 1 - value(metric) == pytest.approx(1 - expected, abs=1.3e-7)

    @each_metric
    def test_the_split_into_batches_does_not_show(self, name):
        labels, rows = batch(name, 9000)
        states, results = [], []
        for stops in ([9000], [1, 4096, 8193, 9000]):
            metric = METRICS[name]()
            for start, stop in zip([0, *stops[:-1]], stops, strict=True):
                backends.update(metric, labels[start:stop], rows[start:stop])
            states.append(sums(metric))
            results.append(value(metric))
        assert results[0] == results[1]
        np.testing.assert_allclose(states[0], states[1], rtol=1e-10, atol=1e-9)
        assert states[0][-1] == 9000

    @pytest.mark.parametrize("weights", ["ones", "thirds", "any", "wide", "signed", "none"])
    def test_of_one_batch(self, weights):
        generator = np.random.default_rng(3)
        numbers = {
            "ones": np.ones(2**17 + 5),
            "thirds": np.full(2**17 + 5, 1 / 3),
            "any": generator.random(9999),
            "wide": np.exp(generator.uniform(-40, 40, 9999)),
            "signed": generator.normal(size=9999) * 1e5,
            "none": np.zeros(0),
        }[weights].astype("float32")
        bins = generator.integers(0, 3, numbers.size).astype("int32")
        whole = backends.call(lambda values: ops.stack(exact_sums(values)), numbers)
        of_bins = backends.call(
            lambda values, bins: ops.stack(exact_sums(values, bins, 3)), numbers, bins
        )
        exact = [math.fsum(numbers[bins == k].tolist()) for k in range(3)]
        atol = 1e-10 * math.fsum(np.abs(numbers).tolist())
        np.testing.assert_allclose(of_bins.astype("float64").sum(axis=0), exact, rtol=0, atol=atol)
        found = whole.astype("float64").sum()
        assert found == pytest.approx(math.fsum(numbers.tolist()), rel=0, abs=atol)
        if weights == "ones":
            assert found == numbers.size

    def test_a_batch_that_no_float32_could_count(self):
        ones = np.ones(2**24 + 3, "float32")
        terms = backends.call(lambda values: ops.stack(exact_sums(values)), ones)
        assert terms.astype("float64").sum() == ones.size

    def test_a_bin_that_no_float32_could_count(self):
        ones = np.ones(2**24 + 3, "float32")
        terms = backends.call(
            lambda values, bins: ops.stack(exact_sums(values, bins, 2, are_ones=True)),
            ones,
            np.zeros(ones.size, "int32"),
        )
        np.testing.assert_array_equal(terms.astype("float64").sum(axis=0), [ones.size, 0])

    @pytest.mark.parametrize("number", [0, 5, 9999])
    def test_of_columns(self, number):
        generator = np.random.default_rng(3)
        values = generator.random((number, 3)).astype("float32")
        for numbers, are_ones in ((values, False), (np.round(values), True)):
            terms = backends.call(
                lambda values, are_ones=are_ones: ops.stack(exact_sums(values, are_ones=are_ones)),
                numbers,
            )
            exact = [math.fsum(column) for column in numbers.T.tolist()]
            np.testing.assert_allclose(terms.astype("float64").sum(axis=0), exact, rtol=1e-10)


class TestEmptyBatches:
    @each_metric
    @pytest.mark.parametrize("are_rows", [False, True])
    def test_change_nothing(self, name, are_rows):
        labels, rows = batch(name, 40)
        metric = METRICS[name]()
        metric.update_state(np.zeros((0, 5)) if are_rows else labels[:0], rows[:0])
        assert value(metric) == 0.0
        metric.update_state(labels, rows)
        before = sums(metric)
        metric.update_state(labels[:0], rows[:0], sample_weight=np.zeros(0, "float32"))
        np.testing.assert_array_equal(sums(metric), before)

    def test_of_binary_predictions(self):
        metric = ExpectedCalibrationError()
        metric.update_state(np.zeros((0, 1), "int32"), np.zeros((0, 1), "float32"))
        assert value(metric) == 0.0


class TestDtypesOfLabels:
    """They mean the same class whatever their dtype is, or none."""

    @each_metric
    @pytest.mark.parametrize("as_tensor", [False, True])
    @pytest.mark.parametrize("dtype", ["int8", "uint8", "uint32", "uint64", "float16", "bool"])
    def test_valid(self, name, dtype, as_tensor):
        labels, rows = batch(name, 40)
        labels %= 2
        expected = METRICS[name]()
        expected.update_state(labels, rows)
        given = labels.astype(dtype)
        metric = METRICS[name]()
        metric.update_state(own_tensor(given) if as_tensor else given, rows)
        np.testing.assert_array_equal(sums(metric), sums(expected))

    @each_metric
    @pytest.mark.parametrize("as_tensor", [False, True])
    @pytest.mark.parametrize(
        "label",
        [
            np.int8(-1),
            np.uint8(255),
            np.uint32(2**32 - 1),
            np.uint32(2**31),
            np.uint64(2**64 - 1),
            np.int64(2**32),
            np.float32(0.5),
            np.float32(math.inf),
        ],
        ids=lambda label: f"{label.dtype}",
    )
    def test_invalid(self, name, label, as_tensor):
        labels, rows = batch(name, 3)
        given = np.zeros(labels.shape, label.dtype)
        position = (1,) if name == "calibration" else (1, 0)
        given[position] = label
        if as_tensor:
            given = own_tensor(given)
        # JAX without 64 bits makes other numbers of these before anybody can see them.
        seen = backends.array(given) if as_tensor else given
        if as_tensor and seen.dtype != label.dtype:
            pytest.skip(f"{backends.BACKEND} has no {label.dtype}")
        with backends.invalid(
            "y_true", "class ids", position=position, value=label.item()
        ) as error:
            METRICS[name]().update_state(given, rows)
        assert error.value.fix.endswith(".")
        with keras_ce.value_checks(False):
            metric = METRICS[name]()
            metric.update_state(given, rows)
            assert math.isnan(value(metric))
        weights = np.array([1, 0, 1], "float32")
        metric = METRICS[name]()
        metric.update_state(given, rows, sample_weight=weights)
        assert 0 <= value(metric) <= 1


@each_metric
def test_the_variables_are_the_whole_state(name):
    labels, rows = batch(name, 40)
    metric = METRICS[name]()
    metric.update_state(labels, rows)
    copy = type(metric).from_config(metric.get_config())
    for target, source in zip(copy.variables, metric.variables, strict=True):
        target.assign(source)
    assert value(copy) == value(metric)
    assert [keras.backend.standardize_dtype(each.dtype) for each in copy.variables] == [
        "float32",
        "float32",
    ]
