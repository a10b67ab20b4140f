import backends
import cases
import keras
import numpy as np
import pytest
from backends import invalid, invalid_argument
from cases import BATCH, CLASSES, TIME

from keras_ce.losses import LabelSmoothedCrossentropy, label_smoothed_crossentropy

LOGITS = cases.logits(BATCH, TIME, CLASSES)
IDS = cases.ids(BATCH, TIME)


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        ({"label_smoothing": 7}, "label_smoothing", "from 0 to 1"),
        ({"label_smoothing": -0.1}, "label_smoothing", "from 0 to 1"),
        ({"label_smoothing": float("nan")}, "label_smoothing", "from 0 to 1"),
        ({"label_smoothing": True}, "label_smoothing", "from 0 to 1"),
        ({"label_smoothing": "0.1"}, "label_smoothing", "from 0 to 1"),
        ({"from_logits": 1}, "from_logits", "True or False"),
        ({"prior": [0.5, -0.5]}, "prior[1]", "a non-negative number"),
        ({"prior": {0: 1.0, 3: -0.5}}, "prior[3]", "a non-negative number"),
        ({"prior": [0.0, 0.0]}, "prior", "sum is positive"),
        ({"prior": {2: 0.0}}, "prior", "sum is positive"),
        ({"prior": 0.5}, "prior", "a sequence with one number per class"),
        ({"prior": []}, "prior", "at least two classes"),
        ({"class_weight": [1.0, float("inf")]}, "class_weight[1]", "a non-negative number"),
        ({"class_weight": {0: -1.0}}, "class_weight[0]", "a non-negative number"),
        ({"class_weight": {"2": -1.0}}, "class_weight['2']", "a non-negative number"),
        ({"ignore_class": 1.5}, "ignore_class", "an integer"),
        ({"axis": None}, "axis", "an integer"),
    ],
)
def test_row_18_arguments_are_validated(arguments, name, expected):
    with invalid_argument(arguments, name, expected):
        LabelSmoothedCrossentropy(**arguments)
    with invalid_argument(arguments, name, expected):
        label_smoothed_crossentropy(IDS, LOGITS, **arguments)


@pytest.mark.parametrize("name", ["prior", "class_weight"])
@pytest.mark.parametrize("key", ["cat", "-1", -1, 0.5, float("nan"), None, True, 2**31])
def test_keys_must_be_class_ids(name, key):
    given = {0: 1.0, key: 1.0}
    with invalid(name, "class ids, integers >= 0", fix=f"key {key!r}", value=given):
        LabelSmoothedCrossentropy(**{name: given})


@pytest.mark.parametrize("name", ["prior", "class_weight"])
def test_two_keys_must_not_mean_one_class(name):
    given = {1: 1.0, "1": 2.0}
    with invalid(name, "once for each class", fix="Class 1 has two", value=given):
        LabelSmoothedCrossentropy(**{name: given})


@pytest.mark.parametrize("name", ["prior", "class_weight"])
def test_lists_must_match_the_classes(name):
    loss = LabelSmoothedCrossentropy(from_logits=True, **{name: [1.0, 2.0]})
    message = f"`{name}` must have one number per class. Received: 2 numbers for 5 classes"
    with pytest.raises(ValueError, match=message):
        loss(IDS, LOGITS)


def test_a_weight_for_a_class_that_does_not_exist():
    loss = LabelSmoothedCrossentropy(from_logits=True, class_weight={CLASSES: 2.0})
    with pytest.raises(ValueError, match="`class_weight` has a number for class 5, but .* 0 to 4"):
        loss(IDS, LOGITS)


def test_keys_of_class_weight_may_be_strings_and_missing_ids_count_one():
    as_list = LabelSmoothedCrossentropy(from_logits=True, class_weight=[1, 2, 1, 0.5, 1])
    as_dict = LabelSmoothedCrossentropy(from_logits=True, class_weight={"1": 2, 3: 0.5})
    assert float(as_dict(IDS, LOGITS)) == float(as_list(IDS, LOGITS))


@pytest.mark.parametrize(
    ("axis", "mode"),
    [(axis, "eager") for axis in (1, -2, 2, -1)] + [(1, mode) for mode in backends.COMPILED_MODES],
)
def test_row_22_any_class_axis(axis, mode):
    expected, expected_slopes = backends.gradient(
        lambda y_pred, y_true: label_smoothed_crossentropy(y_true, y_pred, from_logits=True),
        LOGITS, IDS,
    )  # fmt: skip
    y_pred = np.moveaxis(LOGITS, -1, axis)
    rows = np.moveaxis(np.eye(CLASSES, dtype="float32")[IDS], -1, axis)
    for labels in (IDS, IDS[..., None], rows):
        values, slopes = backends.gradient(
            lambda y_pred, y_true: label_smoothed_crossentropy(
                y_true, y_pred, from_logits=True, axis=axis
            ),
            y_pred, labels, mode=mode,
        )  # fmt: skip
        np.testing.assert_allclose(values, expected, rtol=1e-5)
        np.testing.assert_allclose(np.moveaxis(slopes, axis, -1), expected_slopes, atol=1e-6)
    loss = LabelSmoothedCrossentropy(from_logits=True, axis=axis)
    weights = np.arange(BATCH, dtype="float32")
    total = (expected * weights[:, None]).sum() / expected.size
    np.testing.assert_allclose(backends.array(loss(IDS, y_pred, weights)), total, rtol=1e-5)


def test_axes_that_cannot_hold_classes():
    with invalid("axis", "an axis of `y_pred`, whose shape is (4, 3, 5)", value=3):
        label_smoothed_crossentropy(IDS, LOGITS, axis=3)
    with pytest.raises(
        ValueError, match="expects `y_pred` with a batch axis before the class axis"
    ):
        LabelSmoothedCrossentropy(axis=0)(IDS, LOGITS)


@pytest.mark.parametrize(
    ("ignore_class", "mode"),
    [(ignored, "eager") for ignored in (-1, -100, 255, 2, 0)]
    + [(2, mode) for mode in backends.COMPILED_MODES],
)
def test_ignored_positions_leave_loss_and_denominator(ignore_class, mode):
    is_ignored = np.arange(BATCH * TIME).reshape(BATCH, TIME) % 3 == 1
    others = np.where(ignore_class == IDS, 1, IDS)
    labels = np.where(is_ignored, ignore_class, others).astype("int32")
    y_pred = np.where(is_ignored[..., None], np.nan, LOGITS).astype("float32")
    plain = backends.array(label_smoothed_crossentropy(others, LOGITS, from_logits=True))
    loss = LabelSmoothedCrossentropy(from_logits=True, ignore_class=ignore_class)
    value, slopes = backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred), y_pred, labels, mode=mode
    )
    np.testing.assert_allclose(value, plain[~is_ignored].mean(), rtol=1e-5)
    assert np.all(slopes[is_ignored] == 0)
    assert np.all(slopes[~is_ignored] != 0)
    weights = np.linspace(1, 2, BATCH, dtype="float32")
    value = backends.array(loss(labels, y_pred, weights))
    total = (plain * weights[:, None])[~is_ignored].sum() / (~is_ignored).sum()
    np.testing.assert_allclose(value, total, rtol=1e-5)
    everything = np.full_like(labels, ignore_class)
    assert float(loss(everything, y_pred)) == 0


def test_ignore_class_needs_ids():
    rows = np.eye(CLASSES, dtype="float32")[IDS]
    with pytest.raises(ValueError, match="`ignore_class` needs class ids as labels"):
        label_smoothed_crossentropy(rows, LOGITS, from_logits=True, ignore_class=-1)
    with pytest.raises(ValueError, match="`ignore_class` needs class ids as labels"):
        label_smoothed_crossentropy(rows.tolist(), LOGITS, from_logits=True, ignore_class=-1)


def test_messages_know_the_usual_mistakes():
    for label, hint in [(5, "count from 1, subtract 1"), (-1, "give `ignore_class=-1`"),
                        (255, "give `ignore_class=255`"), (7, "more classes")]:  # fmt: skip
        with invalid("y_true", "integers from 0 to 4", fix=hint, position=(1,), value=label):
            label_smoothed_crossentropy([0, label], LOGITS[0, :2], from_logits=True)
    with invalid(
        "y_pred", "from 0 to 1", fix="from_logits=True", position=(0, 1), value=np.float32(3.7)
    ):
        label_smoothed_crossentropy([0], [[0.2, 3.7]])
    with invalid(
        "y_pred", "row sums are positive", fix="nothing but zeros", position=(1, 0), value=0
    ):
        label_smoothed_crossentropy([0, 1], [[0.2, 0.8], [0.0, 0.0]])
    with invalid("y_true", ">= 0", fix="`sample_weight` 0", position=(0, 1), value=-2):
        label_smoothed_crossentropy([[0.0, -2.0]], [[0.2, 0.8]])
    with pytest.raises(
        ValueError, match="`y_true` must hold numbers. Received: values of type <U3"
    ):
        label_smoothed_crossentropy(["cat", "dog"], [[0.2, 0.8], [0.1, 0.9]])


def test_rows_4_rows_of_zeros_have_no_loss_and_no_gradient():
    values, slopes = backends.gradient(
        lambda y_pred, y_true: label_smoothed_crossentropy(y_true, y_pred, 0, from_logits=True),
        LOGITS[0], np.zeros_like(LOGITS[0]),
    )  # fmt: skip
    assert np.all(values == 0)
    assert np.all(slopes == 0)


def test_row_1_a_confidently_wrong_probability_keeps_its_gradient():
    row = np.array([[1.0, 1e-12, 1e-25]], "float32")
    _, slopes = backends.gradient(
        lambda y_pred, y_true: label_smoothed_crossentropy(y_true, y_pred, 0), row, np.array([2])
    )
    np.testing.assert_allclose(slopes[0], [1, 1, -1e25], rtol=1e-6)
    keras_loss = keras.losses.SparseCategoricalCrossentropy()
    _, slopes = backends.gradient(
        lambda y_pred, y_true: keras_loss(y_true, y_pred), row, np.array([2])
    )
    assert np.all(np.abs(slopes[0]) < 1e8)  # Keras's own: 0 on JAX and torch, clipped on TF


def test_row_16_small_losses_keep_their_digits():
    row = np.array([[0.0, -20.0, -21.0]], "float32")
    exact = np.log1p(np.exp(-20.0) + np.exp(-21.0))
    value = backends.array(label_smoothed_crossentropy([0], row, 0, from_logits=True))
    np.testing.assert_allclose(value, [exact], rtol=1e-6)
    with_keras = keras.losses.sparse_categorical_crossentropy(np.array([0]), row, from_logits=True)
    assert abs(backends.array(with_keras)[0] - exact) > 0.1 * exact


def test_row_13_a_perfect_prediction_is_zero_in_half_precision():
    loss = LabelSmoothedCrossentropy(0, dtype="float16")
    y_pred = keras.ops.convert_to_tensor([[1.0, 0.0]], "float16")
    assert float(loss([0], y_pred)) == 0


def test_row_7_smoothing_and_class_weights_for_ids_agree_with_torch():
    torch = pytest.importorskip("torch")
    weights = [0.5, 2.0, 1.0, 3.0, 0.0]
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(LOGITS.reshape(-1, CLASSES)), torch.tensor(IDS.reshape(-1).astype("int64")),
        torch.tensor(weights), reduction="none", label_smoothing=0.2,
    )  # fmt: skip
    values = label_smoothed_crossentropy(IDS, LOGITS, 0.2, from_logits=True, class_weight=weights)
    np.testing.assert_allclose(
        backends.array(values).reshape(-1), expected.numpy(), rtol=1e-5, atol=1e-6
    )


def test_row_6_class_weights_on_two_outputs_over_time_and_in_validation():
    inputs = keras.Input((TIME, CLASSES))
    outputs = [keras.layers.Dense(CLASSES, name=name)(inputs) for name in ("first", "second")]
    model = keras.Model(inputs, outputs)
    loss = LabelSmoothedCrossentropy(from_logits=True, class_weight={1: 3.0})
    model.compile("sgd", loss={"first": loss, "second": loss})
    targets = {"first": IDS, "second": IDS}
    history = model.fit(
        LOGITS, targets, epochs=1, verbose=0, validation_data=(LOGITS, targets)
    ).history
    assert np.isfinite(history["loss"][0])
    assert np.isfinite(history["val_loss"][0])


@pytest.mark.parametrize("mass", [0.0, 1e-30, 1e-6])
@pytest.mark.parametrize("mode", backends.MODES)
def test_any_mass_on_a_class_at_minus_infinity_is_an_infinite_loss(mass, mode):
    loss = LabelSmoothedCrossentropy(0, from_logits=True, reduction="none")
    rows, logits = np.array([[1.0, mass]], "float32"), np.array([[0.0, -np.inf]], "float32")
    (value,) = backends.call(loss, rows, logits, mode=mode)
    assert value == (np.inf if mass else 0)


@pytest.mark.parametrize("mode", backends.MODES)
@pytest.mark.parametrize("dense", [False, True], ids=["ids", "rows"])
def test_a_gradient_keeps_its_digits_where_the_label_is_all_but_certain(dense, mode):
    """p - 1 of the label is the sum of the other p, which is no difference of numbers near 1."""
    logits = np.array([[22.0, 0.0, 1.0, -3.0], [0.5, 40.0, 0.0, 2.0]], "float32")
    ids = np.array([0, 1])
    labels = np.eye(4, dtype="float32")[ids] if dense else ids
    _, slopes = backends.gradient(
        lambda y_pred, y_true: label_smoothed_crossentropy(y_true, y_pred, 0, from_logits=True),
        logits,
        labels,
        mode=mode,
    )
    for row, label, found in zip(logits.astype("float64"), ids, slopes, strict=True):
        p = np.exp(row) / np.exp(row).sum()
        expected = p.copy()
        expected[label] = -np.delete(p, label).sum()
        np.testing.assert_allclose(found, expected, rtol=1e-5)
