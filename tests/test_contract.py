"""Every promise of the contract, over every loss of the catalogue, on the backend that runs."""

import json

import backends
import keras
import numpy as np
import pytest
from backends import BACKEND, COMPILED_MODES, MODES, QUICK, QUICK_MODE, invalid
from cases import (
    ANY_FINITE_LABEL,
    BATCH,
    CASES,
    CLASSES,
    LOGITS_ONLY,
    SHAPE,
    SIGMOID,
    TIME,
    gradient_of,
)
from keras import ops
from kinds import NOT_BY_POSITION

import keras_ce
import keras_ce.losses

LOSSES = sorted({case.loss for case in CASES})
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def first_of(*features):
    """The first case of each combination of features, the first cases first."""
    found = {tuple(getattr(case, name) for name in features): case for case in reversed(CASES)}
    return list(reversed(found.values()))


def one_per(*features):
    return pytest.mark.parametrize("case", first_of(*features), ids=lambda case: case.name)


def in_modes(cases_of_mode):
    """Pairs of mode and case, from the cases of each mode."""
    return pytest.mark.parametrize(
        ("mode", "case"),
        [
            pytest.param(mode, case, id=f"{case.name}-{mode}")
            for mode, cases in cases_of_mode.items()
            for case in cases
        ],
    )


KIND_OF_A_LOSS = ("loss", "has_ids", "takes_logits")
# What the base classes do does not depend on a loss's formula: one case of a kind will do.
each_loss = one_per("loss", "has_ids")
each_input = one_per("loss", "takes_logits")
each_kind = one_per("has_ids", "takes_logits")
every_compiled_mode = pytest.mark.parametrize("mode", COMPILED_MODES)


@pytest.fixture
def unchecked():
    keras_ce.set_value_checks(False)
    yield
    keras_ce.set_value_checks(True)


def close_gradient(actual, expected):
    """Within 1e-6 of the position's largest gradient, or of 1."""
    largest = np.max(np.abs(expected), axis=-1, keepdims=True)
    return np.all(np.abs(actual - expected) <= 1e-6 * np.maximum(1, largest))


def test_every_loss_has_a_case():
    catalogue = {name for name in keras_ce.losses.__all__ if name[0].isupper()}
    assert catalogue - NOT_BY_POSITION == set(LOSSES)


# --- value and gradient ---


# Arguments are numbers in a program, whoever compiles it: every case in the quickest mode, and in
# the others each kind of labels and predictions of each loss.
@in_modes(
    dict.fromkeys(MODES, first_of(*KIND_OF_A_LOSS)) | {QUICK_MODE: CASES},
)
def test_value_and_gradient(case, mode):
    values, slopes = gradient_of(case, mode)(case.y_pred, case.y_true)
    assert values.dtype == "float32"
    assert values.shape == case.shape
    np.testing.assert_allclose(values, case.values, rtol=case.tolerance, atol=case.absolute)
    assert close_gradient(slopes, case.slopes)


# Each half precision is a program of its own: a quick one for each loss, and, since all losses
# begin with the same cast, a compiled one for each kind.
@pytest.mark.parametrize(
    ("mode", "dtype", "case"),
    [
        pytest.param(mode, dtype, case, id=f"{case.name}-{mode}-{dtype}")
        for mode, dtype, cases in (
            (QUICK_MODE, "float16", first_of("loss", "has_ids")),
            (MODES[-1], "bfloat16", first_of("has_ids", "takes_logits")),
        )
        for case in cases
    ],
)
def test_half_precision_predictions_are_computed_in_float32(case, mode, dtype):
    run = gradient_of(case, mode)
    rounded = backends.array(ops.cast(ops.convert_to_tensor(case.y_pred), dtype))
    expected, expected_slopes = run(rounded, case.y_true)
    values, slopes = run(case.y_pred, case.y_true, dtype=dtype)
    assert values.dtype == "float32"
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=2**-8, atol=1e-3)


@every_case
def test_float64_predictions_stay_float64(case):
    if BACKEND == "jax":
        pytest.skip("JAX has no float64 unless it is switched on")
    values, slopes = gradient_of(case)(case.y_pred.astype("float64"), case.y_true)
    assert values.dtype == slopes.dtype == "float64"
    np.testing.assert_allclose(values, case.values, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(slopes, case.slopes, rtol=1e-10, atol=1e-12)


def logit_rows():
    """Rows whose losses go down to 1e-35 and up to 2e4, with ties and offsets."""
    generator = np.random.default_rng(7)
    scales = (1e-3, 0.1, 1, 3, 30, 100, 300, 1e3, 5e3)
    rows = [generator.normal(size=CLASSES) * scale for scale in scales]
    for gap in (1.0, 5.0, 9.3, 18.0, 20.7, 40.0, 66.0, 79.9):
        row = generator.normal(size=CLASSES)
        row[2] = row.max() + gap
        rows += [row, row + 100.7, row - 33.3]
    rows += [np.full(CLASSES, 3.3), np.array([1e4, -1e4, 0, 1e4, 9999.5]), np.zeros(CLASSES)]
    return np.array(rows, "float32")


# With the programs of `test_value_and_gradient`.
@in_modes(
    {
        mode: [case for case in cases if case.takes_logits]
        for mode, cases in {MODES[-1]: first_of(*KIND_OF_A_LOSS), QUICK_MODE: CASES}.items()
    }
)
def test_tiny_and_huge_losses_from_logits(case, mode):
    rows = logit_rows()
    for label_position in [(0, 0), (1, 2), (3, 1)]:
        labels = np.broadcast_to(case.y_true[label_position], case.y_true.shape)
        # In batches of the shape that is compiled already.
        pairs = [gradient_of(case, mode)(batch, labels) for batch in rows.reshape(-1, *SHAPE)]
        values, slopes = map(np.concatenate, zip(*pairs, strict=True))
        values, slopes = values.reshape(-1), slopes.reshape(-1, CLASSES)
        expected, expected_slopes = case.expected(label_position, rows)
        is_normal = expected > case.smallest
        np.testing.assert_allclose(
            values[is_normal], expected[is_normal], rtol=case.tolerance, atol=case.absolute
        )
        assert np.all(values[~is_normal] <= 1.1 * case.smallest + case.absolute)
        assert close_gradient(slopes, expected_slopes)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.loss == "LabelSmoothedCrossentropy" and case.takes_logits],
    ids=lambda case: case.name,
)
class TestInfiniteLogits:
    """-inf without label mass is 0 log 0 = 0; with label mass it is +inf."""

    def test_minus_infinity(self, case):
        row = case.y_pred[0, 0].copy()
        row[3] = -np.inf
        for label in range(CLASSES):
            labels = (
                np.array([label]) if case.has_ids else np.eye(CLASSES, dtype="float32")[[label]]
            )
            values, slopes = gradient_of(case, QUICK_MODE)(row[None], labels)
            smoothing = case.arguments.get("label_smoothing", 0.1)
            prior = case.arguments.get("prior")
            weights = case.arguments.get("class_weight")
            weight = 1.0
            if weights is not None:
                weight = weights.get(3, 1.0) if isinstance(weights, dict) else weights[3]
            shared = smoothing if prior is None else smoothing * prior[3]
            mass = weight * ((1 - smoothing) * (label == 3) + shared)
            assert np.isposinf(values[0]) if mass else np.isfinite(values[0])
            assert np.all(np.isfinite(slopes))


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.takes_logits], ids=lambda case: case.name
)
class TestProbabilities:
    """A probability below 1e-30 counts as 1e-30, in value and gradient; nothing overflows."""

    def test_no_gradient_is_infinite(self, case):
        rows = np.array(
            [
                [1, 0, 0, 0, 0],
                [1e-30, 1, 1e-30, 0, 0],
                [1e-38, 0.5, 0.5, 1e-20, 1e-29],
                [1e-6, 1e-12, 1e-24, 1, 2e-30],
                [0, 0, 0, 0, 1],
            ],
            "float32",
        )
        if case.loss == "GroupedSoftmaxCrossentropy":
            rows[rows == 0] = 1e-20  # a group of nothing but zeros is no distribution
        scaled_sum = case.make(reduction="sum")
        run_scaled = backends.gradient_of(
            lambda y_pred, y_true: scaled_sum(y_true, y_pred, 1e7), QUICK_MODE
        )
        for label_position in [(0, 0), (1, 2), (2, 1), (3, 2)]:
            labels = np.stack([case.y_true[label_position]] * len(rows))
            expected, expected_slopes = case.expected(label_position, rows)
            values, slopes = gradient_of(case, QUICK_MODE)(rows, labels)
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-30)
            # At the clamp itself the reference's central difference takes half of each side.
            is_inside = (rows > 1.001e-30) & (rows < 1)
            is_below = rows < 0.999e-30
            largest = np.maximum(1, np.max(np.abs(expected_slopes), -1, keepdims=True))
            error = np.abs(slopes - expected_slopes) / largest
            # p^q of a p near 1e-30 has the relative error of q log p.
            assert np.all(error[is_inside] <= 5e-6)
            assert np.all(slopes[is_below] == 0)
            _, slopes = run_scaled(rows, labels)
            assert np.all(np.isfinite(slopes))


# --- labels ---


@each_loss
class TestLabels:
    def test_a_single_row_gives_a_scalar(self, case):
        value = backends.quick(case.function)(case.y_true[1, 1], case.y_pred[1, 1])
        assert tuple(value.shape) == ()
        np.testing.assert_allclose(backends.array(value), case.values[1, 1], rtol=1e-5)

    def test_ids_of_every_type_and_with_a_trailing_one(self, case):
        if not case.has_ids:
            pytest.skip("the case has no ids")
        expected = backends.array(case.function(case.y_true, case.y_pred))
        for dtype in (
            "uint8",
            "int8",
            "int16",
            "uint16",
            "uint32",
            "int64",
            "uint64",
            "float32",
            "float64",
            "float16",
        ):
            labels = case.y_true.astype(dtype)
            np.testing.assert_array_equal(
                backends.array(case.function(labels, case.y_pred)), expected
            )
            if dtype not in ("uint16", "uint32", "uint64"):
                labels = ops.convert_to_tensor(labels)
                np.testing.assert_array_equal(
                    backends.array(case.function(labels, case.y_pred)), expected
                )
        trailing = backends.array(case.function(case.y_true[..., None], case.y_pred))
        np.testing.assert_array_equal(trailing, expected)
        as_lists = case.function(case.y_true.tolist(), case.y_pred.tolist())
        np.testing.assert_allclose(backends.array(as_lists), expected, rtol=1e-6)

    def test_one_hot_rows_equal_ids(self, case):
        if not case.has_ids or case.loss == "OrdinalCrossentropy":
            pytest.skip("the case has no ids, or the loss takes no rows")
        rows = np.eye(CLASSES, dtype="float32")[case.y_true]
        for labels in (rows, rows.astype("int32"), rows.astype(bool)):
            np.testing.assert_allclose(
                backends.array(case.function(labels, case.y_pred)),
                case.values,
                rtol=1e-5,
            )

    def test_other_shapes_are_refused(self, case):
        wrong = [
            (BATCH,),
            (BATCH, TIME + 1),
            (BATCH, 1, CLASSES),
            (BATCH, TIME, CLASSES + 1),
            (1, TIME, CLASSES),
            (BATCH, TIME, CLASSES, 1),
            (),
        ]
        if case.loss in (*SIGMOID, "DistillationCrossentropy", "ListwiseCrossentropy"):
            wrong += [(BATCH, TIME), (BATCH, TIME, 1)]
        for shape in wrong:
            with pytest.raises(ValueError, match="`y_true` must"):
                case.function(np.zeros(shape, "int32"), case.y_pred)

    def test_unknown_batch_and_time_in_a_graph(self, case):
        if BACKEND != "tensorflow":
            pytest.skip("only TensorFlow traces unknown dimensions")
        import tensorflow as tf

        loss = case.make(reduction="none")
        labels_shape = [None] * (case.y_true.ndim - 1)
        labels_shape += [None] if case.has_ids else [case.y_true.shape[-1]]
        run = tf.function(
            lambda y_true, y_pred, weights: loss(y_true, y_pred, weights),
            input_signature=[
                tf.TensorSpec(labels_shape, case.y_true.dtype),
                tf.TensorSpec([None, None, CLASSES], "float32"),
                tf.TensorSpec([None], "float32"),
            ],
        )
        weights = np.arange(BATCH, dtype="float32")
        values = run(case.y_true, case.y_pred, weights)
        np.testing.assert_allclose(values, case.values * weights[:, None], rtol=1e-5)

    def test_two_outputs_are_not_one_tensor(self, case):
        outputs = [ops.convert_to_tensor(case.y_pred)] * 2
        with pytest.raises(
            ValueError, match=r"`y_pred` must be one tensor\. Received: a list of 2"
        ):
            case.function(case.y_true, outputs)


@pytest.mark.parametrize(
    "case",
    list({case.loss: case for case in reversed(CASES) if case.has_ids}.values()),
    ids=lambda case: case.name,
)
class TestIds:
    def test_row_3_and_12_ids_stay_exact_in_half_precision_losses(self, case):
        classes = 300
        row = np.linspace(-2, 2, classes, dtype="float32")[None]
        arguments = {
            name: value
            for name, value in case.arguments.items()
            if name not in ("prior", "class_weight")
        }
        if "class_prior" in arguments:
            arguments["class_prior"] = [1.0] * classes
        if case.loss not in LOGITS_ONLY:
            arguments["from_logits"] = True
        make = getattr(keras_ce.losses, case.loss)
        half = make(**arguments, dtype="bfloat16")
        full = make(**arguments)
        for label in (257, 299):
            labels = ops.convert_to_tensor(np.array([label], "int32"))
            value = half(labels, row)
            assert keras.backend.standardize_dtype(value.dtype) == "bfloat16"
            np.testing.assert_allclose(
                backends.array(value), backends.array(full(labels, row)), rtol=2**-8
            )

    @pytest.mark.parametrize("label", [CLASSES, -1, -100, 2**31, 2**32 + 1, 2**62, -(2**40)])
    def test_row_3_ids_out_of_range_raise(self, case, label):
        label = case.num_ids if label == CLASSES else label
        labels = case.y_true.astype("int64")
        labels[2, 1] = label
        with invalid("y_true", position=(2, 1), value=label):
            case.function(labels, case.y_pred)
        with invalid("y_true", position=(2, 1, 0), value=label):
            case.function(labels[..., None], case.y_pred)
        if -(2**31) <= label < 2**31 or BACKEND != "jax":
            with invalid("y_true", position=(2, 1), value=label):
                case.make()(ops.convert_to_tensor(labels), case.y_pred)

    @pytest.mark.parametrize("label", [1.5, float("nan"), float("inf"), 1e10])
    def test_what_is_no_integer_raises(self, case, label):
        labels = case.y_true.astype("float32")
        labels[3, 0] = label
        for given in (labels, ops.convert_to_tensor(labels)):
            with invalid("y_true", "integer", position=(3, 0), value=np.float32(label)):
                case.function(given, case.y_pred)


# --- invalid values ---


def with_one_invalid_position(case):
    """Labels and predictions of the case, invalid at position 2 of each row.

    And the argument, where in a row of it the first invalid value stands, and the value.
    """
    labels = case.y_true.copy()
    labels = labels.astype("float32") if not case.has_ids else labels
    if case.has_ids:
        for value in (case.num_ids, -3):
            wrong = labels.copy()
            wrong[:, 2] = value
            yield wrong, case.y_pred, ("y_true", (2,), value)
    else:
        values = [np.nan, np.inf]
        values += [] if case.loss in ANY_FINITE_LABEL else [-0.5]
        values += [1.5] if case.loss in SIGMOID else []
        for value in values:
            wrong = labels.copy()
            wrong[:, 2, -1] = value
            yield wrong, case.y_pred, ("y_true", (2, labels.shape[-1] - 1), value)
    if not case.takes_logits:
        for value in (-0.1, 1.1, np.nan, np.inf):
            wrong = case.y_pred.copy()
            wrong[:, 2, 3] = value
            yield labels, wrong, ("y_pred", (2, 3), np.float32(value))
        if case.loss not in SIGMOID:
            zeros = case.y_pred.copy()
            zeros[:, 2] = 0
            yield labels, zeros, ("y_pred", (2, 0), 0)


def check_nan_without_gradient(case, mode):
    run = gradient_of(case, mode)
    for labels, y_pred, _ in with_one_invalid_position(case):
        values, slopes = run(y_pred, labels)
        assert np.all(np.isnan(values[:, 2]))
        assert np.all(slopes[:, 2] == 0)
        np.testing.assert_allclose(values[:, :2], case.values[:, :2], rtol=1e-5)
        assert close_gradient(slopes[:, :2], case.slopes[:, :2])


@each_input
class TestInvalidValues:
    def test_raise_in_eager_execution(self, case):
        for labels, y_pred, (argument, place, value) in with_one_invalid_position(case):
            with invalid(argument, position=(0, *place), value=value):
                case.function(labels, y_pred)
            tensors = ops.convert_to_tensor(labels), ops.convert_to_tensor(y_pred)
            # What has no weight is not looked at.
            for given in ((labels, y_pred), tensors):
                with invalid(argument, position=(1, *place), value=value):
                    case.make()(*given, np.array([0, 1, 1, 1], "float32"))

    @every_compiled_mode
    def test_row_3_are_nan_without_gradient_when_compiled(self, case, mode):
        check_nan_without_gradient(case, mode)

    def test_are_nan_without_gradient_when_unchecked(self, case, unchecked):
        check_nan_without_gradient(case, "eager")


# Every loss as quick as it gets, and each kind as eager and as compiled as it gets: that a position
# reaches no other when compiled is shown for every loss above.
@in_modes(
    dict.fromkeys(["eager", MODES[-1]], first_of("has_ids", "takes_logits"))
    | {QUICK_MODE: first_of("loss", "takes_logits")},
)
class TestExemptPositions:
    def test_row_11_exempt_positions_may_hold_anything(self, case, mode):
        loss = case.make(reduction="sum")
        weights = np.ones((BATCH, TIME), "float32")
        weights[:, 2] = 0
        run = backends.gradient_of(lambda y_pred, y_true: loss(y_true, y_pred, weights), mode)
        for labels, _, _ in with_one_invalid_position(case):
            y_pred = case.y_pred.copy()
            y_pred[:, 2] = np.nan
            value, slopes = run(y_pred, labels)
            np.testing.assert_allclose(value, case.values[:, :2].sum(), rtol=1e-5)
            assert np.all(slopes[:, 2] == 0)
            assert close_gradient(slopes[:, :2], case.slopes[:, :2])


# --- weights, masks, reductions ---


def reduced(values, weights, is_counted, reduction):
    """The reduction from its definition, position by position."""
    total, count, mass = 0.0, 0, 0.0
    for position in np.ndindex(values.shape):
        if is_counted[position]:
            total += values[position] * weights[position]
            count += 1
            mass += weights[position]
    if reduction == "sum":
        return total
    if count == 0:
        return 0.0
    return total / (mass if reduction == "mean_with_sample_weight" else count)


REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"]


def masked(y_pred, mask):
    """`y_pred` with a Keras mask, as a layer leaves it: Masking marks rows of one value."""
    y_pred = np.where(mask[..., None], y_pred, 99.0).astype("float32")
    layer = keras.layers.Masking(99.0)
    # Masking zeroes what it masks; the loss must not look at that anyway.
    return layer(ops.convert_to_tensor(y_pred))


@each_loss
class TestWeights:
    @pytest.mark.parametrize("reduction", REDUCTIONS)
    def test_every_reduction(self, case, reduction):
        generator = np.random.default_rng(3)
        per_position = generator.uniform(0, 2, (BATCH, TIME)).astype("float32")
        per_position[2] = 0
        per_row = generator.uniform(0, 2, BATCH).astype("float32")
        loss = case.make(reduction=reduction)
        everything = np.ones((BATCH, TIME), bool)
        for weights, full in [
            (None, np.ones((BATCH, TIME))),
            (2.5, np.full((BATCH, TIME), 2.5)),
            (per_position, per_position),
            (per_position[..., None], per_position),
            (per_row, np.repeat(per_row[:, None], TIME, 1)),
            (per_row[:, None].tolist(), np.repeat(per_row[:, None], TIME, 1)),
        ]:
            value = backends.array(loss(case.y_true, case.y_pred, weights))
            expected = reduced(case.values, full, everything, reduction)
            assert value.shape == ()
            np.testing.assert_allclose(value, expected, rtol=1e-5)

    @pytest.mark.parametrize("reduction", ["none", None])
    def test_no_reduction(self, case, reduction):
        weights = np.array([0.0, 1.0, 2.0, 3.0], "float32")
        values = case.make(reduction=reduction)(case.y_true, case.y_pred, weights)
        np.testing.assert_allclose(
            backends.array(values), case.values * weights[:, None], rtol=1e-5
        )

    def test_row_5_row_weights_weigh_rows_when_batch_equals_time(self, case):
        rows = slice(0, TIME)
        weights = np.array([1.0, 0.0, 5.0], "float32")
        value = backends.quick(case.make())(case.y_true[rows], case.y_pred[rows], weights)
        expected = (case.values[rows] * weights[:, None]).sum() / TIME**2
        np.testing.assert_allclose(backends.array(value), expected, rtol=1e-5)

    def test_other_shapes_are_refused(self, case):
        for shape in [(BATCH + 1,), (TIME,), (BATCH, TIME + 1), (BATCH, TIME, CLASSES)]:
            with pytest.raises(ValueError, match="`sample_weight` must be a scalar, or have one"):
                case.make()(case.y_true, case.y_pred, np.ones(shape, "float32"))

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    def test_masked_positions_leave_the_denominator(self, case, reduction):
        if not case.takes_logits:
            pytest.skip("Masking marks rows by a value that is no probability")
        mask = np.ones((BATCH, TIME), bool)
        mask[0, 1:] = mask[3] = False
        weights = np.linspace(0, 2, BATCH * TIME, dtype="float32").reshape(BATCH, TIME)
        labels = case.y_true.copy()
        labels[3] = 77  # what is masked may hold anything
        value = case.make(reduction=reduction)(labels, masked(case.y_pred, mask), weights)
        expected = reduced(case.values, weights, mask, reduction)
        np.testing.assert_allclose(backends.array(value), expected, rtol=1e-5)

    def test_a_mask_of_another_shape_is_refused(self, case):
        y_pred = masked(case.y_pred, np.ones((BATCH, TIME), bool))
        pooled = PassesMaskOn(ops.max(y_pred, axis=1))(y_pred)
        with pytest.raises(ValueError, match="mask of `y_pred` must have one entry per position"):
            case.make()(case.y_true[:, 0], pooled)

    def test_nothing_counted_is_zero_with_zero_gradient(self, case):
        weights = np.zeros((BATCH, TIME), "float32")
        losses = [case.make(reduction=reduction) for reduction in REDUCTIONS]
        own = np.full((len(losses), *case.y_pred.shape), np.nan, "float32")
        values, slopes = backends.gradient(
            lambda own, y_true: ops.stack(
                [loss(y_true, own[row], weights) for row, loss in enumerate(losses)]
            ),
            own,
            case.y_true,
        )
        np.testing.assert_array_equal(values, 0)
        np.testing.assert_array_equal(slopes, 0)

    def test_needs_a_batch_axis(self, case):
        with pytest.raises(ValueError, match="expects `y_pred` with a batch axis"):
            case.make()(case.y_true[0, 0], case.y_pred[0, 0])


class PassesMaskOn(keras.layers.Layer):
    """Returns a given tensor with the mask of its input."""

    def __init__(self, output):
        super().__init__()
        self.supports_masking = True
        self.output_tensor = [output]

    def call(self, inputs):
        return self.output_tensor[0]


# --- form ---


@pytest.mark.parametrize("name", LOSSES)
class TestForm:
    def test_row_17_config_is_complete(self, name):
        case = next(case for case in CASES if case.loss == name)
        loss = case.make(reduction="sum", name="mine", dtype="float16")
        config = json.loads(json.dumps(loss.get_config()))
        assert config["dtype"] == "float16"
        assert config["reduction"] == "sum"
        assert config["name"] == "mine"
        assert config.keys() >= case.arguments.keys()
        again = type(loss).from_config(config)
        assert again.get_config() == loss.get_config()
        restored = keras.losses.deserialize(keras.losses.serialize(loss))
        assert type(restored) is type(loss)
        assert restored.get_config() == loss.get_config()
        assert float(restored(case.y_true, case.y_pred)) == float(loss(case.y_true, case.y_pred))

    def test_unknown_options_are_refused(self, name):
        case = next(case for case in CASES if case.loss == name)
        with pytest.raises(TypeError, match="smothing"):
            case.make(smothing=1)
        with pytest.raises(ValueError, match="reduction"):
            case.make(reduction="average")


# --- training ---


def dense_model(case):
    keras.utils.set_random_seed(1)
    outputs = [keras.layers.Dense(CLASSES)]
    if not case.takes_logits:
        outputs += [keras.layers.Softmax()]
    return keras.Sequential([keras.Input((None, CLASSES)), *outputs])


@one_per("loss")
def test_fit_lowers_the_loss(case):
    model = dense_model(case)
    model.compile(keras.optimizers.Adam(0.05), loss=case.make(), **QUICK)
    # One batch per epoch: the loss of an epoch is the one before its step.
    before, *_, after = model.fit(case.y_pred, case.y_true, epochs=4, verbose=0).history["loss"]
    assert np.isfinite(before)
    assert after < before


@each_kind
def test_fit_in_mixed_precision(case):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = dense_model(case)
        model.compile("sgd", loss=case.make())
        history = model.fit(case.y_pred, case.y_true, epochs=1, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history.history["loss"][0])


SECOND_DERIVATIVES = (
    "asymmetric",
    "distillation",
    "focal-ids",
    "focal-rows",
    "grouped-ids",
    "listwise",
    "multi-label-softmax",
    "ordinal",
    "plain-rows",
    "sigmoid",
    "smoothed-ids",
    "symmetric-rows",
)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name in SECOND_DERIVATIVES],
    ids=lambda case: case.name,
)
@pytest.mark.parametrize("are_equal", [False, True])
def test_second_derivatives(case, are_equal):
    """The gradient of |gradient|^2 / 2 against central differences of the reference gradient.

    Logits of 0 and all equal are where a model starts.
    """
    row = case.y_pred[0, 0][None] * (0 if are_equal else 1)
    label = case.y_true[0, 0][None]

    if BACKEND == "tensorflow":
        import tensorflow as tf

        point = tf.Variable(row)
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                total = tf.reduce_sum(case.function(label, point))
            size = tf.reduce_sum(inner.gradient(total, point) ** 2) / 2
        result = outer.gradient(size, point).numpy()
    elif BACKEND == "jax":
        import jax

        def size(point):
            slope = jax.grad(lambda point: case.function(label, point).sum())(point)
            return (slope**2).sum() / 2

        result = np.asarray(jax.jit(jax.grad(size))(jax.numpy.asarray(row)))
    else:
        import torch

        point = torch.tensor(row, requires_grad=True)
        total = case.function(label, point).sum()
        (slope,) = torch.autograd.grad(total, point, create_graph=True)
        (result,) = torch.autograd.grad((slope**2).sum() / 2, point)
        result = result.numpy()

    step = 1e-3
    expected = []
    for index in range(CLASSES):
        ends = []
        for sign in (1, -1):
            moved = row.astype("float64")
            moved[0, index] += sign * step
            slopes = backends_free_slopes(case, moved[0])
            ends.append((slopes**2).sum() / 2)
        expected.append((ends[0] - ends[1]) / (2 * step))
    np.testing.assert_allclose(result[0], expected, rtol=1e-3, atol=1e-6)


def backends_free_slopes(case, row):
    import references

    return np.array(references.slope(case.reference, case.label((0, 0)), row, **case.arguments))
