"""What the losses of exclusive classes share, each with its own arguments."""

import functools

import backends
import cases
import keras
import numpy as np
import pytest
from backends import invalid
from cases import BATCH, CLASSES, TIME
from keras import ops

from keras_ce.losses import (
    FocalCrossentropy,
    GeneralizedCrossentropy,
    LogitAdjustedCrossentropy,
    Poly1Crossentropy,
    SymmetricCrossentropy,
)

LOGITS = cases.logits(BATCH, TIME, CLASSES)
IDS = cases.ids(BATCH, TIME)
MODE = "jit" if backends.BACKEND == "jax" else "eager"  # the contract tests run all
PROBABILITIES = [FocalCrossentropy, GeneralizedCrossentropy, Poly1Crossentropy]
PROBABILITIES += [SymmetricCrossentropy]
every_loss = pytest.mark.parametrize(
    "cls", [*PROBABILITIES, LogitAdjustedCrossentropy], ids=lambda cls: cls.__name__
)
every_loss_of_probabilities = pytest.mark.parametrize(
    "cls", PROBABILITIES, ids=lambda cls: cls.__name__
)
gradient = functools.partial(backends.gradient, mode=MODE)


def make(cls, **options):
    if cls is LogitAdjustedCrossentropy:
        return cls([5.0, 1.0, 2.0, 1.0, 3.0], **options)
    return cls(from_logits=True, **options)


@every_loss
@pytest.mark.parametrize(
    ("name", "value", "expected", "fix"),
    [
        ("ignore_class", 1.5, "an integer", ""),
        ("ignore_class", True, "an integer", ""),
        ("ignore_class", -(2**31), "between -2**31 and 2**31", "another number"),
        ("ignore_class", 2**31, "between -2**31 and 2**31", "another number"),
        ("axis", None, "an integer", ""),
        ("axis", "-1", "an integer", ""),
        ("from_logits", 1, "True or False", ""),
    ],
)
def test_row_18_shared_arguments_are_validated(cls, name, value, expected, fix):
    arguments = {name: value}
    if cls is LogitAdjustedCrossentropy:
        if name == "from_logits":
            pytest.skip("the loss takes logits only")
        arguments["class_prior"] = [1.0] * CLASSES
    with invalid(name, expected, fix=fix, value=value):
        cls(**arguments)


@every_loss
def test_axes_that_cannot_hold_classes(cls):
    with pytest.raises(
        ValueError, match="expects `y_pred` with a batch axis before the class axis"
    ):
        make(cls, axis=0)(IDS, LOGITS)


@every_loss
def test_row_22_any_class_axis(cls):
    expected, expected_slopes = gradient(
        lambda y_pred, y_true: make(cls).call(y_true, y_pred), LOGITS, IDS
    )
    weights = np.arange(BATCH, dtype="float32")
    total = (expected * weights[:, None]).sum() / expected.size
    for axis in (1, -2):
        y_pred = np.moveaxis(LOGITS, -1, axis)
        rows = np.moveaxis(np.eye(CLASSES, dtype="float32")[IDS], -1, axis)
        loss = make(cls, axis=axis)
        for labels in (IDS, IDS[..., None], rows):
            values, slopes = backends.gradient(
                lambda y_pred, y_true, loss=loss: loss.call(y_true, y_pred),
                y_pred,
                labels,
                mode=MODE if axis == 1 and labels is IDS else "eager",
            )
            np.testing.assert_allclose(values, expected, rtol=1e-5)
            np.testing.assert_allclose(
                np.moveaxis(slopes, axis, -1), expected_slopes, rtol=1e-5, atol=1e-6
            )
        np.testing.assert_allclose(backends.array(loss(IDS, y_pred, weights)), total, rtol=1e-5)


@every_loss
@pytest.mark.parametrize("axis", [3, -4])
def test_row_18_an_axis_that_is_none(cls, axis):
    expected = "an axis of `y_pred`, whose shape is (4, 3, 5)"
    for run in (make(cls, axis=axis), make(cls, axis=axis).call):
        with invalid("axis", expected, value=axis):
            run(IDS, LOGITS)


def test_row_22_keras_knows_no_other_axis_for_ids():
    keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, axis=1)
    ours = Poly1Crossentropy(0, from_logits=True, axis=1)(IDS, np.moveaxis(LOGITS, -1, 1))
    expected = Poly1Crossentropy(0, from_logits=True)(IDS, LOGITS)
    np.testing.assert_allclose(backends.array(ours), backends.array(expected), rtol=1e-6)
    if backends.BACKEND != "torch":
        with pytest.raises(ValueError, match="axis|shape"):
            keras_loss(IDS, np.moveaxis(LOGITS, -1, 1))


@every_loss
@pytest.mark.parametrize("ignore_class", [-100, 2])
def test_ignored_positions_leave_loss_and_denominator(cls, ignore_class):
    is_ignored = np.arange(BATCH * TIME).reshape(BATCH, TIME) % 3 == 1
    others = np.where(ignore_class == IDS, 1, IDS)
    labels = np.where(is_ignored, ignore_class, others).astype("int32")
    y_pred = np.where(is_ignored[..., None], np.nan, LOGITS).astype("float32")
    plain = backends.array(backends.quick(make(cls).call)(others, LOGITS))
    loss = make(cls, ignore_class=ignore_class)
    weights = np.linspace(1, 2, BATCH, dtype="float32")
    value, slopes = backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred, weights), y_pred, labels, mode=MODE
    )
    total = (plain * weights[:, None])[~is_ignored].sum() / (~is_ignored).sum()
    np.testing.assert_allclose(value, total, rtol=1e-5)
    assert np.all(slopes[is_ignored] == 0)
    assert np.all(slopes[~is_ignored] != 0)


@every_loss
def test_everything_ignored_is_zero(cls):
    loss = make(cls, ignore_class=-1)
    value, slopes = gradient(
        lambda y_pred, y_true: loss(y_true, y_pred), LOGITS, np.full_like(IDS, -1)
    )
    assert value == 0
    assert np.all(slopes == 0)


@every_loss
def test_ignore_class_needs_ids(cls):
    rows = np.eye(CLASSES, dtype="float32")[IDS]
    with pytest.raises(ValueError, match="`ignore_class` needs class ids as labels"):
        make(cls, ignore_class=-1)(rows, LOGITS)


@every_loss_of_probabilities
def test_row_2_logits_taken_for_probabilities_are_refused(cls):
    y_pred = np.array([[3.7, -1.0, 0.2]], "float32")
    rows = np.array([[1.0, 0.0, 0.0]], "float32")
    with_keras = keras.losses.categorical_crossentropy(rows, y_pred)
    assert float(backends.array(with_keras)[0]) < 1e-6  # Keras: no loss, no word
    for labels in ([0], rows):
        with invalid("y_pred", fix="from_logits=True", position=(0, 0), value=np.float32(3.7)):
            cls().call(labels, y_pred)


@every_loss
def test_row_4_rows_of_zeros_have_no_gradient(cls):
    rows = np.zeros_like(LOGITS[0])
    values, slopes = gradient(
        lambda y_pred, y_true: make(cls).call(y_true, y_pred), LOGITS[0], rows
    )
    # Nothing to learn: Symmetric's reverse part costs 4 whatever is predicted.
    expected = 4 if cls is SymmetricCrossentropy else 0
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_allclose(slopes, 0, atol=1e-6)
    if backends.BACKEND == "tensorflow":
        _, slopes = gradient(
            lambda y_pred, y_true: keras.losses.categorical_crossentropy(
                y_true, y_pred, from_logits=True
            ),
            LOGITS[0],
            rows,
        )
        np.testing.assert_allclose(  # Keras: loss 0, and the weights move by softmax - y
            slopes, backends.array(ops.softmax(LOGITS[0])), atol=1e-6
        )


@every_loss
def test_row_7_ids_and_rows_for_every_loss(cls):
    rows = np.eye(CLASSES, dtype="float32")[IDS]
    by_ids = backends.array(backends.quick(make(cls).call)(IDS, LOGITS))
    np.testing.assert_allclose(
        by_ids, backends.array(backends.quick(make(cls).call)(rows, LOGITS)), rtol=1e-5
    )


@every_loss_of_probabilities
def test_row_13_a_perfect_prediction_in_half_precision(cls):
    y_pred = ops.convert_to_tensor([[1.0, 0.0]], "float16")
    rows = ops.convert_to_tensor([[1.0, 0.0]], "float16")
    for labels in ([0], rows):
        assert float(cls(dtype="float16")(labels, y_pred)) == 0


@every_loss
@pytest.mark.parametrize("label", [5, -100])
def test_row_3_labels_out_of_range(cls, label):
    """JAX through Keras: loss 0 or NaN for 5; torch through Keras: loss 0 for -100."""
    labels = np.array([[0, label, 1]])
    with invalid("y_true", "integers from 0 to 4", position=(0, 1), value=label):
        make(cls)(labels, LOGITS[:1])


@every_loss
@pytest.mark.parametrize("axis", [1, -2, 2])
def test_row_3_positions_are_those_of_the_users_array_for_any_axis(cls, axis):
    """The classes are moved to the end inside; nobody shall see that."""
    y_pred = np.moveaxis(LOGITS, -1, axis)
    rows = np.moveaxis(np.eye(CLASSES, dtype="float32")[IDS], -1, axis)
    # Row 0 holds something invalid as well, and does not count.
    weights = (np.arange(BATCH) > 0).astype("float32")
    loss = make(cls, axis=axis)

    ids = IDS.copy()
    ids[0, 0] = ids[1, 2] = -7
    with invalid("y_true", position=(1, 2), value=-7):
        loss(ids, y_pred, weights)
    with invalid("y_true", position=(1, 2, 0), value=-7):
        loss(ids[..., None], y_pred, weights)

    place = (1, 4, 2) if axis in (1, -2) else (1, 2, 4)
    wrong = rows.copy()
    wrong[0, 0, 0], wrong[place] = np.nan, -0.5
    for given in (wrong, ops.convert_to_tensor(wrong), wrong.tolist()):
        with invalid("y_true", ">= 0", position=place, value=-0.5):
            loss(given, y_pred, weights)
    if cls is LogitAdjustedCrossentropy:
        return

    loss = cls(axis=axis)
    y_pred = np.full_like(y_pred, 0.2)
    y_pred[0, 0, 0], y_pred[place] = np.nan, 3.7
    for labels in (IDS, rows):
        with invalid("y_pred", fix="from_logits=True", position=place, value=np.float32(3.7)):
            loss(labels, y_pred, weights)


@every_loss
def test_row_11_minus_infinity_with_no_label_mass(cls):
    """0 log 0 = 0: the class is out of the question, and the others keep their gradient."""
    logits = np.array([[1.0, -np.inf, 0.5, 2.0, -1.0]], "float32")
    without = np.array([[1.0, 0.5, 2.0, -1.0]], "float32")
    others = cls([5.0, 2.0, 1.0, 3.0]) if cls is LogitAdjustedCrossentropy else make(cls)
    value, slopes = gradient(lambda y_pred, y_true: make(cls).call(y_true, y_pred), logits, [0])
    expected, expected_slopes = gradient(
        lambda y_pred, y_true: others.call(y_true, y_pred), without, [0]
    )
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(slopes[:, [0, 2, 3, 4]], expected_slopes, rtol=1e-5, atol=1e-7)
    assert slopes[0, 1] == 0
    rows = np.eye(5, dtype="float32")[[0]]
    value, slopes = gradient(lambda y_pred, y_true: make(cls).call(y_true, y_pred), logits, rows)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(slopes[:, [0, 2, 3, 4]], expected_slopes, rtol=1e-5, atol=1e-7)
    assert slopes[0, 1] == 0


@every_loss
@pytest.mark.parametrize("dense", [False, True])
def test_minus_infinity_with_label_mass(cls, dense):
    """Infinite, but for the bounded generalized loss, which costs its most: 1 / q."""
    logits = np.array([[1.0, -np.inf, 0.5, 2.0, -1.0]], "float32")
    labels = np.eye(5, dtype="float32")[[1]] if dense else [1]
    value, slopes = gradient(lambda y_pred, y_true: make(cls).call(y_true, y_pred), logits, labels)
    expected = 1 / 0.7 if cls is GeneralizedCrossentropy else np.inf
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert np.all(np.isfinite(slopes))
