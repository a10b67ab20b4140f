"""The information measures, against decimals of 50 digits."""

import decimal
import functools
import json
import math
import pathlib
from decimal import Decimal

import backends
import hypothesis
import keras
import numpy as np
import pytest
from backends import invalid
from hypothesis import strategies
from keras import ops

import keras_ce
from keras_ce import information
from keras_ce.information import (
    cross_entropy,
    entropy,
    kl_divergence,
    perplexity,
    self_information,
)

decimal.getcontext().prec = 50

DOCUMENTS = json.loads(
    (pathlib.Path(__file__).parent / "vectors" / "documents.json").read_text(encoding="utf-8")
)
# JAX has no float64 unless it is told so before anything else.
FLOATS = ["float32"] if backends.BACKEND == "jax" else ["float32", "float64"]
TOLERANCE = {"float32": 3e-6, "float64": 1e-14}
PAIRS = [cross_entropy, kl_divergence, perplexity]
ALL = [lambda p, q, **options: entropy(p, **options), *PAIRS]


def exact(row):
    return [Decimal(float(each)) for each in row]


def exact_entropy(p):
    return -sum(a * a.ln() for a in exact(p) if a > 0)


def exact_cross_entropy(p, q):
    pairs = list(zip(exact(p), exact(q), strict=True))
    if any(a > 0 and b == 0 for a, b in pairs):
        return Decimal("Infinity")
    return -sum(a * b.ln() for a, b in pairs if a > 0)


def exact_divergence(p, q):
    """Of the two rows divided by their sums, which rounding takes off 1."""
    p, q = exact(p), exact(q)
    p, q = [a / sum(p) for a in p], [b / sum(q) for b in q]
    if any(a > 0 and b == 0 for a, b in zip(p, q, strict=True)):
        return Decimal("Infinity")
    return sum(a * (a / b).ln() for a, b in zip(p, q, strict=True) if a > 0)


def softmax(logits, dtype="float64"):
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(dtype)


def rows_of_every_scale(shape, scales, seed, dtype="float32"):
    return np.concatenate([rows(shape, scale, seed, dtype) for scale in scales])


def rows(shape, scale=2.0, seed=0, dtype="float32"):
    return softmax(scale * np.random.default_rng(seed).normal(size=shape), dtype)


def value(tensor):
    return backends.array(tensor)


def every_measure(p, q):
    """The values of ALL in one program."""
    return ops.stack([measure(p, q) for measure in ALL])


class TestStudyNotes:
    def numbers(self, what):
        return next(each for each in DOCUMENTS if each["what"] == what)

    def test_self_information(self):
        notes = self.numbers("self-information in nats")
        result = value(self_information(notes["inputs"]["probabilities"]))
        np.testing.assert_allclose(result, notes["exact"], rtol=1e-6)
        np.testing.assert_allclose(result, notes["printed"], atol=5e-3)

    def test_entropy(self):
        notes = self.numbers("entropy in nats")
        result = float(value(entropy(notes["inputs"]["probabilities"])))
        assert result == pytest.approx(notes["exact"], rel=1e-6)
        # The notes print 0.804, because they multiply terms that they have rounded before.
        rounded = sum(p * each for p, each in zip([0.7, 0.2, 0.1], [0.36, 1.61, 2.3], strict=True))
        assert notes["printed"] == pytest.approx(rounded, abs=5e-4)
        assert abs(result - notes["printed"]) > 2e-3

    @pytest.mark.parametrize("animals", ["cat, dog, horse", "cat, dog, pig"])
    def test_cross_entropy(self, animals):
        notes = self.numbers(f"categorical cross-entropy of one softmax prediction ({animals})")
        label, probabilities = notes["inputs"]["label"], notes["inputs"]["probabilities"]
        for measure in (cross_entropy, kl_divergence):  # The entropy of a one-hot row is 0.
            result = float(value(measure(label, probabilities)))
            assert result == pytest.approx(notes["exact"], rel=1e-6)


@pytest.mark.parametrize("mode", backends.QUICK_MODES)
@pytest.mark.parametrize("dtype", FLOATS)
class TestValue:
    def test_self_information(self, mode, dtype):
        p = np.array([1e-37, 1e-20, 1e-3, 0.1, 0.5, 0.9, 0.999999, 1.0], dtype)
        result = backends.call(self_information, p, mode=mode)
        expected = [float(-each.ln()) for each in exact(p)]
        assert result.dtype == dtype
        np.testing.assert_allclose(result, expected, rtol=TOLERANCE[dtype])
        assert not np.signbit(result).any()

    def test_of_distributions(self, mode, dtype):
        # No subnormal numbers, which count as 0.
        p, q = (
            np.maximum(rows_of_every_scale((40, 7), (0.1, 3.0, 20.0), seed, dtype), 1e-35)
            for seed in (1, 2)
        )
        pairs = list(zip(p, q, strict=True))
        results = backends.call(every_measure, p, q, mode=mode)
        assert results.dtype == dtype
        for name, result, expected in zip(
            ["entropy", "cross_entropy", "kl_divergence", "perplexity"],
            results,
            [
                [exact_entropy(a) for a in p],
                [exact_cross_entropy(a, b) for a, b in pairs],
                [exact_divergence(a, b) for a, b in pairs],
                [exact_cross_entropy(a, b).exp() for a, b in pairs],
            ],
            strict=True,
        ):
            # Perplexity turns the absolute error of the cross-entropy into a relative one.
            factor = 80 if name == "perplexity" else 1
            np.testing.assert_allclose(
                result,
                [float(each) for each in expected],
                rtol=factor * TOLERANCE[dtype],
                err_msg=name,
            )

    def test_divergence_near_equality_keeps_its_digits(self, mode, dtype):
        # Powers of 2, so that both rows sum to 1 exactly.
        steps = [2.0**-7, 2.0**-13, 2.0**-20]
        p = np.array([[0.25 + step, 0.25, 0.5 - step] for step in steps], dtype)
        q = np.array([[0.25, 0.25 + step, 0.5 - step] for step in steps], dtype)
        assert all(sum(exact(row)) == 1 for row in [*p, *q])
        expected = [float(exact_divergence(*pair)) for pair in zip(p, q, strict=True)]
        result = backends.call(kl_divergence, p, q, mode=mode)
        assert min(expected) > 0
        np.testing.assert_allclose(result, expected, rtol=TOLERANCE[dtype])

    def test_divergence_is_never_negative_and_zero_only_at_equality(self, mode, dtype):
        p = rows((200, 11), 3.0, 3, dtype)
        upwards = np.nextafter(p, np.array(1, dtype))
        assert (backends.call(kl_divergence, p, p, mode=mode) == 0).all()
        result = backends.call(kl_divergence, p, upwards, mode=mode)
        assert (result > 0).all()
        plain = np.sum(p * np.log(p / upwards), axis=-1)
        assert (plain < 0).any(), "the plain sum is negative somewhere"

    def test_zeros(self, mode, dtype):
        p = np.array([[0, 1, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]], dtype)
        q = np.array([[0, 1, 0], [0, 0.5, 0.5], [0.25, 0.0, 0.75]], dtype)
        entropies, crossed, divergences, perplexities = backends.call(
            every_measure, p, q, mode=mode
        )
        log2 = math.log(2)
        np.testing.assert_allclose(entropies, [0, log2, log2], rtol=1e-6)
        last = 0.5 * math.log(4) + 0.5 * math.log(4 / 3)
        np.testing.assert_allclose(crossed, [0, math.inf, last], rtol=1e-6)
        np.testing.assert_allclose(divergences, [0, math.inf, last - log2], rtol=1e-6)
        np.testing.assert_allclose(perplexities, [1, math.inf, math.exp(last)], rtol=1e-6)
        assert not np.signbit(entropies).any()
        assert not np.signbit(crossed).any()
        infinite = backends.call(self_information, np.array([0.0, 1.0], dtype), mode=mode)
        assert infinite.tolist() == [math.inf, 0.0]

    def test_extremes_do_not_overflow(self, mode, dtype):
        tiny = np.finfo("float32").tiny
        p, q = np.array([1, 0], dtype), np.array([tiny, 1], dtype)
        expected = -math.log(tiny)
        _, crossed, divergence, perplexed = backends.call(every_measure, p, q, mode=mode)
        assert crossed == pytest.approx(expected, rel=1e-6)
        assert divergence == pytest.approx(expected, rel=1e-6)
        assert perplexed == pytest.approx(1 / tiny, rel=1e-4)
        assert backends.call(kl_divergence, q, p[::-1].copy(), mode=mode) == math.inf

    def test_below_the_normal_numbers_is_zero_on_every_backend(self, mode, dtype):
        subnormal = float(np.finfo(dtype).smallest_subnormal) * 100
        p, q = np.array([0.5, 0.5], dtype), np.array([subnormal, 1], dtype)
        _, crossed, divergence, _ = backends.call(every_measure, p, q, mode=mode)
        assert crossed == divergence == math.inf
        assert backends.call(entropy, q, mode=mode) == 0
        assert backends.call(self_information, q, mode=mode)[0] == math.inf


class TestBase:
    @pytest.mark.parametrize("base", [2, 10, 1.5, math.e, np.float32(3), 0.5])
    def test_unit(self, base):
        p, q = rows((5, 4), seed=1), rows((5, 4), seed=2)
        unit = math.log(float(base))
        for measure, *arguments in [
            (self_information, p),
            (entropy, p),
            (cross_entropy, p, q),
            (kl_divergence, p, q),
        ]:
            np.testing.assert_allclose(
                value(measure(*arguments, base=base)),
                value(measure(*arguments)) / unit,
                rtol=1e-6,
            )

    def test_bits(self):
        assert float(value(entropy([0.5, 0.25, 0.125, 0.125], base=2))) == pytest.approx(1.75)
        assert float(value(self_information(1 / 1024, 2))) == pytest.approx(10)

    @pytest.mark.parametrize("base", [0, -2, math.nan, math.inf, True, "2"])
    def test_that_is_no_positive_number(self, base):
        for measure in (self_information, entropy):
            with invalid("base", "a positive number", value=base):
                measure([0.5, 0.5], base=base)
        for measure in (cross_entropy, kl_divergence):
            with invalid("base", "a positive number", value=base):
                measure([0.5, 0.5], [0.5, 0.5], base=base)

    @pytest.mark.parametrize("base", [1, 1.0])
    def test_one(self, base):
        with invalid("base", "other than 1", fix="Use 2 for bits", value=1):
            entropy([0.5, 0.5], base=base)


class TestInputs:
    def test_lists_become_tensors(self):
        for result in (self_information([1, 0]), entropy([0.5, 0.5]), perplexity([1], [1])):
            assert ops.is_tensor(result)
            assert keras.backend.standardize_dtype(result.dtype) == "float32"

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    @pytest.mark.parametrize("count", [2, 10, 300])
    def test_half_precision_is_computed_in_float32(self, dtype, count):
        p = ops.cast(ops.convert_to_tensor(rows((20, count), seed=4)), dtype)
        result = entropy(p)
        assert keras.backend.standardize_dtype(result.dtype) == "float32"
        expected = [float(exact_entropy(row)) for row in backends.array(p)]
        np.testing.assert_allclose(backends.array(result), expected, rtol=3e-6)

    def test_the_wider_dtype_counts(self):
        p, q = rows((4,), dtype="float64"), rows((4,), seed=1, dtype="float32")
        for measure in PAIRS:
            for result in (measure(p, q), measure(q, p)):
                assert keras.backend.standardize_dtype(result.dtype) == FLOATS[-1]

    def test_integers(self):
        assert float(value(cross_entropy(np.array([0, 1]), [0.5, 0.5]))) == pytest.approx(
            math.log(2)
        )

    @pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
    def test_axis(self, axis):
        p, q = rows((3, 4, 5), seed=1), rows((3, 4, 5), seed=2)
        moved = [np.moveaxis(each, -1, axis) for each in (p, q)]
        for measure in ALL:
            np.testing.assert_allclose(
                value(measure(*moved, axis=axis)), value(measure(p, q)), rtol=1e-6
            )

    @pytest.mark.parametrize("measure", PAIRS)
    def test_a_single_row_stands_beside_every_row(self, measure):
        p, q = rows((3, 4, 5), seed=1), rows((5,), seed=2)
        stretched = np.broadcast_to(q, p.shape)
        np.testing.assert_allclose(value(measure(p, q)), value(measure(p, stretched)), rtol=1e-6)
        np.testing.assert_allclose(value(measure(q, p)), value(measure(stretched, p)), rtol=1e-6)
        first = np.moveaxis(p, -1, 0)
        np.testing.assert_allclose(
            value(measure(first, q, axis=0)), value(measure(p, q)), rtol=1e-6
        )

    @pytest.mark.parametrize("measure", PAIRS)
    @pytest.mark.parametrize(
        "shapes", [((4,), (5,)), ((1, 4), (3, 4)), ((3, 4), (2, 3, 4)), ((3, 4), (5,))]
    )
    def test_shapes_that_do_not_fit(self, measure, shapes):
        p, q = (rows(shape) for shape in shapes)
        expected = r"`p` and `q` must have one shape, or .*Received.*p \(.*q \("
        with pytest.raises(ValueError, match=expected):
            measure(p, q)

    @pytest.mark.parametrize("axis", [2, -3, 0.0, True, None])
    def test_axis_that_is_none(self, axis):
        with pytest.raises(ValueError, match=r"`axis` must be an .*Received: axis="):
            entropy(rows((3, 4)), axis=axis)
        with pytest.raises(ValueError, match=r"`axis` must be an .*Received: axis="):
            kl_divergence(rows((3, 4)), rows((3, 4)), axis=axis)

    def test_scalars_have_no_axis(self):
        with pytest.raises(ValueError, match=r"`axis` must be an axis of `p`, .*p.shape=\(\)"):
            entropy(1.0)

    def test_no_numbers(self):
        with pytest.raises(ValueError, match="`q` must hold numbers"):
            cross_entropy([1.0], ["a"])


class TestNoDistribution:
    @pytest.mark.parametrize(
        ("row", "entry"),
        [
            ([0.5, 0.6, 0.1], None),
            ([0.33, 0.33, 0.33], None),
            ([0.0, 0.0, 0.0], None),
            ([1.5, -0.5, 0.0], 1),
            ([0.5, 0.5, math.nan], 2),
            ([0.5, 0.5, math.inf], None),
            ([2.0, 3.0, -1.0], 2),
        ],
    )
    def test_says_which_row_and_why(self, row, entry):
        """The position of the wrong entry, or of the row whose sum is wrong."""
        good, bad = rows((2, 2, 3)), rows((2, 2, 3))
        bad[1, 0] = row
        inside = () if entry is None else (entry,)
        value = np.sum(row, dtype="float32") if entry is None else row[entry]
        why = "The sum of this row" if entry is None else "An entry of this row"
        for name, measures in (("p", ALL), ("q", PAIRS)):
            for measure in measures:
                with pytest.raises(keras_ce.InvalidValuesError) as raised:
                    measure(*((bad, good) if name == "p" else (good, bad)))
                error = raised.value
                assert (error.argument, error.position) == (name, (1, 0, *inside))
                assert error.value == pytest.approx(value, nan_ok=True)
                assert "distributions along axis -1: numbers >= 0" in error.expected
                assert "(within 0.001)" in error.expected
                for hint in (why, "`keras.ops.softmax`", "divide each row by its sum", "`axis`"):
                    assert hint in error.fix
        with invalid("p", "along axis -1", fix=why, position=inside):
            entropy(row)
        for axis in (0, 1, -3, -2):
            # Rows have no place along the axis of the outcomes.
            place = (1, 0) if entry is None else tuple(np.insert((1, 0), axis % 3, entry).tolist())
            with invalid("p", f"along axis {axis}:", fix=why, position=place):
                entropy(np.moveaxis(bad, -1, axis), axis=axis)

    def test_rounding_is_forgiven(self):
        assert float(value(entropy([1.0000005, -5e-7]))) == pytest.approx(0, abs=2e-6)
        assert float(value(entropy([0.5004, 0.5004]))) == pytest.approx(math.log(2), abs=1e-3)
        assert float(value(entropy([1.0009, 0.0]))) == 0

    @pytest.mark.parametrize("entry", [-0.1, 1.1, math.nan, math.inf])
    def test_self_information(self, entry):
        with invalid(
            "p", "from 0 to 1", fix="`keras.ops.softmax`", position=(1,), value=np.float32(entry)
        ):
            self_information([0.5, entry])
        with invalid("p", "from 0 to 1", position=(0, 1), value=np.float32(entry)):
            self_information([[0.5, entry], [0.5, 0.5]])

    @pytest.mark.parametrize("mode", backends.MODES)
    def test_compiled_or_unchecked_is_nan_with_gradient_0(self, mode):
        good, bad = rows((3, 2)), rows((3, 2))
        bad[1] = [3.0, -1.0]
        bad[2] = [math.nan, math.inf]
        keras_ce.set_value_checks(mode != "eager")
        try:
            with_bad_p, slopes = gradients(bad, good, mode)
            for name in (f"{name} by p" for name in BY_P):
                result, slope = with_bad_p[name], slopes[name]
                assert np.isfinite(result).tolist() == [True, False, False], name
                assert np.isnan(result[1:]).all(), name
                assert (slope[1:] == 0).all(), name
                assert np.isfinite(slope[0]).all(), name
            with_bad_q, slopes = gradients(good, bad, mode)
            for name in (f"{name} by q" for name in BY_Q):
                assert np.isnan(with_bad_q[name]).tolist() == [False, True, True], name
                assert (slopes[name][1:] == 0).all(), name
        finally:
            keras_ce.set_value_checks(True)


BY_P = {
    "entropy": lambda p, q: entropy(p),
    "self_information": lambda p, q: ops.sum(self_information(p), axis=-1),
    "cross_entropy": cross_entropy,
    "kl_divergence": kl_divergence,
    "perplexity": perplexity,
}
BY_Q = {name: BY_P[name] for name in ("cross_entropy", "kl_divergence", "perplexity")}


@functools.cache
def every_gradient(mode):
    """One program for all of them: each measure gets rows of its own to be differentiated by."""

    def measures(own, p, q):
        values = [measure(own[row], q) for row, measure in enumerate(BY_P.values())]
        values += [measure(p, own[row]) for row, measure in enumerate(BY_Q.values(), len(BY_P))]
        return ops.stack(values)

    return backends.gradient_of(measures, mode)


def gradients(p, q, mode):
    """Value and gradient of each measure; the names are those of measure and argument."""
    own = np.stack([p] * len(BY_P) + [q] * len(BY_Q))
    names = [f"{name} by p" for name in BY_P] + [f"{name} by q" for name in BY_Q]
    values, slopes = every_gradient(mode)(own, p, q)
    return dict(zip(names, values, strict=True)), dict(zip(names, slopes, strict=True))


# A program of XLA takes TensorFlow seconds: the formulas and what is infinite are enough for it.
every_quick_mode = pytest.mark.parametrize("mode", backends.QUICK_MODES)
without_xla = pytest.mark.parametrize(
    "mode", [mode for mode in backends.QUICK_MODES if mode != "xla"]
)


class TestGradient:
    @every_quick_mode
    def test_formulas(self, mode):
        p, q = (
            np.maximum(rows_of_every_scale((30, 6), (0.5, 5.0, 30.0), seed), 1e-25)
            for seed in (1, 2)
        )
        wide_p, wide_q = p.astype("float64"), q.astype("float64")
        _, slopes = gradients(p, q, mode)
        for name, expected in {
            "entropy by p": -np.log(wide_p) - 1,
            "self_information by p": -1 / wide_p,
            "cross_entropy by p": -np.log(wide_q),
            "cross_entropy by q": -wide_p / wide_q,
            "kl_divergence by p": np.log(wide_p / wide_q),
            "kl_divergence by q": 1 - wide_p / wide_q,
        }.items():
            np.testing.assert_allclose(slopes[name], expected, rtol=3e-6, atol=1e-6, err_msg=name)

    @without_xla
    def test_perplexity(self, mode):
        p, q = rows((8, 5), seed=1), rows((8, 5), seed=2)
        wide_p, wide_q = p.astype("float64"), q.astype("float64")
        outer = np.exp(-np.sum(wide_p * np.log(wide_q), axis=-1, keepdims=True))
        _, slopes = gradients(p, q, mode)
        np.testing.assert_allclose(slopes["perplexity by p"], -outer * np.log(wide_q), rtol=1e-5)
        np.testing.assert_allclose(slopes["perplexity by q"], -outer * wide_p / wide_q, rtol=1e-5)

    @without_xla
    def test_divergence_near_equality(self, mode):
        # Not powers of 2: their ratio would be exact.
        q = np.array([0.3, 0.3, 0.4], "float32")
        p = q + np.array([2.0**-20, 0, -(2.0**-20)], "float32")
        wide_p, wide_q = p.astype("float64"), q.astype("float64")
        _, slopes = gradients(p, q, mode)
        np.testing.assert_allclose(
            slopes["kl_divergence by p"], np.log1p((wide_p - wide_q) / wide_q), rtol=1e-5
        )
        np.testing.assert_allclose(
            slopes["kl_divergence by q"], (wide_q - wide_p) / wide_q, rtol=1e-5
        )

    @without_xla
    def test_with_respect_to_logits_is_that_of_the_usual_sum(self, mode):
        logits = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
        q = rows((4, 5), seed=1)
        p = softmax(logits.astype("float64"))
        usual = np.log(p / q.astype("float64")) + 1
        expected = p * (usual - np.sum(p * usual, axis=-1, keepdims=True))
        _, slope = backends.gradient(
            lambda logits, q: kl_divergence(ops.softmax(logits), q), logits, q, mode=mode
        )
        np.testing.assert_allclose(slope, expected, atol=1e-6)

    @every_quick_mode
    def test_at_zeros_it_is_the_exact_one_or_0(self, mode):
        p = np.array([0.0, 0.0, 0.25, 0.75], "float32")
        q = np.array([0.0, 0.5, 0.25, 0.25], "float32")
        log3, log4 = math.log(3), math.log(4)
        _, slopes = gradients(p, q, mode)
        for name, expected in {
            "entropy by p": [0, 0, log4 - 1, -math.log(0.75) - 1],
            "self_information by p": [0, 0, -4, -4 / 3],
            "cross_entropy by p": [0, math.log(2), log4, log4],
            "cross_entropy by q": [0, 0, -1, -3],
            "kl_divergence by p": [0, 0, 0, log3],
            "kl_divergence by q": [1, 1, 0, -2],
            "perplexity by p": [0, 4 * math.log(2), 4 * log4, 4 * log4],
            "perplexity by q": [0, 0, -4, -12],
        }.items():
            np.testing.assert_allclose(slopes[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)

    @every_quick_mode
    def test_infinite_rows_leave_finite_gradients(self, mode):
        p = np.array([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]], "float32")
        q = np.array([[0.0, 0.5, 0.5], [0.25, 0.25, 0.5]], "float32")
        values, slopes = gradients(p, q, mode)
        for name in [f"{name} by {argument}" for name in BY_Q for argument in "pq"]:
            result, slope = values[name], slopes[name]
            assert result[0] == math.inf, name
            assert np.isfinite(result[1]), name
            assert np.isfinite(slope).all(), name
            assert slope[0, 0] == 0, name
            assert slope[1].any(), name

    @pytest.mark.parametrize("mode", [backends.QUICK_MODE])
    def test_one_row_at_a_time(self, mode):
        p, q = rows((3, 4), seed=1), rows((3, 4), seed=2)
        if backends.BACKEND == "jax":
            import jax

            vmap = jax.vmap
        elif backends.BACKEND == "torch":
            import torch

            vmap = torch.func.vmap
        else:
            import tensorflow as tf

            def vmap(measure):
                return lambda *each: tf.vectorized_map(lambda pair: measure(*pair), each)

        for measure in ALL:
            result = vmap(measure)(ops.convert_to_tensor(p), ops.convert_to_tensor(q))
            np.testing.assert_allclose(value(result), value(measure(p, q)), rtol=1e-5)

    @without_xla
    def test_one_hot_rows(self, mode):
        p = np.array([[1.0, 0.0]], "float32")
        _, slope = backends.gradient(entropy, p, mode=mode)
        assert slope.tolist() == [[-1.0, 0.0]]
        _, slope = backends.gradient(self_information, p, mode=mode)
        assert slope.tolist() == [[-1.0, 0.0]]


@strategies.composite
def pairs(draw):
    """Two rows of one size, with zeros, of very different or almost the same numbers."""
    size = draw(strategies.sampled_from([1, 2, 5, 12]))  # JAX compiles anew for every shape.
    entry = strategies.one_of(strategies.just(0.0), strategies.floats(1e-6, 1.0))
    p = np.array(draw(strategies.lists(entry, min_size=size, max_size=size)))
    hypothesis.assume(p.sum() > 0)
    if draw(strategies.booleans()):
        factors = strategies.lists(strategies.floats(0.999, 1.001), min_size=size, max_size=size)
        q = p * draw(factors)
    else:
        q = np.array(draw(strategies.lists(entry, min_size=size, max_size=size)))
        hypothesis.assume(q.sum() > 0)
    return (p / p.sum()).astype("float32"), (q / q.sum()).astype("float32")


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(pairs())
def test_drawn(pair):
    p, q = pair
    crossed, divergence = exact_cross_entropy(p, q), exact_divergence(p, q)
    assert float(value(entropy(p))) == pytest.approx(float(exact_entropy(p)), rel=3e-6, abs=1e-7)
    assert float(value(cross_entropy(p, q))) == pytest.approx(float(crossed), rel=3e-6, abs=1e-7)
    assert float(value(perplexity(p, q))) == pytest.approx(float(crossed.exp()), rel=1e-5)
    result = float(value(kl_divergence(p, q)))
    # Rounding takes the sums of the rows off 1; the square of that is the error.
    assert result == pytest.approx(float(divergence), rel=3e-6, abs=1e-13)
    assert result >= 0


def test_public_names():
    assert set(information.__all__) == {
        "cross_entropy",
        "entropy",
        "kl_divergence",
        "perplexity",
        "self_information",
    }
    assert keras_ce.information is information


@pytest.mark.skipif(backends.BACKEND != "torch", reason="torch has a check of its own")
@pytest.mark.parametrize("measure", PAIRS)
def test_second_derivatives(measure):
    import torch

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 3, dtype=torch.float64, generator=generator)
    logits[1, 0] = logits[0, 0] + 0.1 * logits[1, 1]  # So near that the series takes over.

    def of_logits(first, second):
        return measure(torch.softmax(first, -1), torch.softmax(second, -1))

    inputs = [each.clone().requires_grad_() for each in logits]
    assert torch.autograd.gradcheck(of_logits, inputs)
    assert torch.autograd.gradgradcheck(of_logits, inputs)


@pytest.mark.skipif(backends.BACKEND != "tensorflow", reason="TensorFlow has unknown shapes")
def test_unknown_shapes():
    import tensorflow as tf

    p, q = rows((3, 4), seed=1), rows((3, 4), seed=2)
    for measure in ALL:
        traced = tf.function(
            measure, input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([None, 4])]
        )
        np.testing.assert_allclose(value(traced(p, q)), value(measure(p, q)), rtol=1e-5)
