"""Many classes: pieces of rows, compiled where the backend can."""

import numpy as np
import pytest
from backends import BACKEND, MODES, gradient

from keras_ce._core.backends import backend
from keras_ce._core.backends.passes import Compilation
from keras_ce.losses import (
    FocalCrossentropy,
    LabelSmoothedCrossentropy,
    SymmetricCrossentropy,
)

NUMBER, CLASSES = 40, 1030  # the last piece of rows is a small one
GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(NUMBER, CLASSES)).astype("float32") * 3
IDS = GENERATOR.integers(0, CLASSES, NUMBER).astype("int32")
LOGITS[np.arange(0, NUMBER, 3), IDS[::3]] += 60  # losses far below 1e-7
LOGITS[5] = 0
LOGITS[6, :2] = 70  # two classes on top
LOGITS[7, 3] = -np.inf
ROWS = GENERATOR.random((NUMBER, CLASSES)).astype("float32") / 400
ROWS[7, 3] = 0
ROWS[::2] = np.eye(CLASSES, dtype="float32")[IDS[::2]]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Pieces of three rows."""
    monkeypatch.setattr(Compilation, "ELEMENTS_OF_ROWS_AT_ONCE", 3 * CLASSES)
    monkeypatch.setattr(Compilation, "ELEMENTS_WORTH_NO_MATRIX", 3 * CLASSES)
    monkeypatch.setattr(Compilation, "CLASSES_WORTH_NO_MATRIX", CLASSES)
    monkeypatch.setattr(Compilation, "ELEMENTS_OF_A_COMPILED_PIECE", 3 * CLASSES)


def crossentropy(rows):
    """Value and gradient against label rows, from the definition, in float64."""
    shifted = LOGITS.astype("float64") - LOGITS.max(-1, keepdims=True)
    total = np.exp(shifted).sum(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        terms = np.where(rows == 0, 0, rows * (np.log(total) - shifted))
    return terms.sum(-1), np.exp(shifted) / total * rows.sum(-1, keepdims=True) - rows


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("labels", [IDS, ROWS], ids=["ids", "rows"])
def test_crossentropy(labels, mode):
    rows = np.eye(CLASSES)[IDS] if labels is IDS else ROWS.astype("float64")
    values, slopes = crossentropy(rows)
    loss = LabelSmoothedCrossentropy(0, from_logits=True, reduction="none")
    value, slope = gradient(lambda y_pred, y_true: loss(y_true, y_pred), LOGITS, labels, mode=mode)
    is_small = values < 1e-12  # the float64 sum over all classes loses these
    assert np.all((value[is_small] > 0) & (value[is_small] < 2e-12))
    np.testing.assert_allclose(value[~is_small], values[~is_small], rtol=5e-6)
    np.testing.assert_allclose(slope, slopes, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_smoothing(mode):
    logits = np.where(np.isinf(LOGITS), 0, LOGITS)
    rows = 0.8 * np.eye(CLASSES)[IDS] + 0.2 / CLASSES
    shifted = logits.astype("float64")
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    loss = LabelSmoothedCrossentropy(0.2, from_logits=True, reduction="none")
    value, slope = gradient(lambda y_pred, y_true: loss(y_true, y_pred), logits, IDS, mode=mode)
    np.testing.assert_allclose(value, -(rows * shifted).sum(-1), rtol=5e-6)
    np.testing.assert_allclose(slope, np.exp(shifted) - rows, atol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [FocalCrossentropy(from_logits=True), SymmetricCrossentropy(from_logits=True)],
    ids=lambda loss: loss.name,
)
def test_pieces_and_compiled_kernels_change_nothing(loss, monkeypatch):
    def losses(y_pred, y_true):
        return loss.call(y_true, y_pred)

    found = gradient(losses, LOGITS, ROWS, mode=MODES[:2][-1])
    monkeypatch.setattr(Compilation, "ELEMENTS_OF_ROWS_AT_ONCE", LOGITS.size)
    value, slope = gradient(losses, LOGITS, ROWS)
    np.testing.assert_allclose(found[0], value, rtol=1e-5)
    np.testing.assert_allclose(found[1], slope, atol=1e-6)


@pytest.mark.parametrize("invalid", [-1, np.nan, np.inf])
@pytest.mark.parametrize("mode", MODES)
def test_an_invalid_row_is_nan_and_teaches_nothing(mode, invalid):
    from keras_ce import set_value_checks

    rows = ROWS.copy()
    rows[4, 9] = invalid
    loss = LabelSmoothedCrossentropy(0.1, from_logits=True, reduction="none")
    logits = np.where(np.isinf(LOGITS), 0, LOGITS)
    set_value_checks(False)
    try:
        value, slope = gradient(
            lambda y_pred, y_true: loss(y_true, y_pred), logits, rows, mode=mode
        )
    finally:
        set_value_checks(True)
    assert np.flatnonzero(np.isnan(value)).tolist() == [4]
    assert not np.any(slope[4])
    assert np.all(np.isfinite(slope))


@pytest.mark.parametrize("labels", [IDS, ROWS], ids=["ids", "rows"])
def test_second_derivatives(labels):
    """How the gradient changes in one direction."""
    logits = np.where(np.isinf(LOGITS), 0, LOGITS)
    loss = LabelSmoothedCrossentropy(0.1, from_logits=True, reduction="sum")
    direction = GENERATOR.normal(size=LOGITS.shape).astype("float32")
    p = np.exp(logits.astype("float64"))
    p /= p.sum(-1, keepdims=True)
    mass = 1 if labels is IDS else 0.9 * ROWS.sum(-1, keepdims=True) + 0.1
    expected = mass * p * (direction - (p * direction).sum(-1, keepdims=True))

    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function
        def change(logits):
            with tf.GradientTape() as outer:
                outer.watch(logits)
                with tf.GradientTape() as inner:
                    inner.watch(logits)
                    value = loss(labels, logits)
                along = tf.reduce_sum(inner.gradient(value, logits) * direction)
            return outer.gradient(along, logits)

        found = change(tf.constant(logits)).numpy()
    elif BACKEND == "jax":
        import jax

        slope = jax.grad(lambda logits: loss(labels, logits))
        found = jax.jit(jax.grad(lambda logits: (slope(logits) * direction).sum()))(logits)
        forwards = jax.jit(lambda logits: jax.jvp(slope, (logits,), (direction,))[1])(logits)
        np.testing.assert_allclose(forwards, expected, atol=2e-6)
    else:
        import torch

        point = torch.tensor(logits, requires_grad=True)
        (slope,) = torch.autograd.grad(loss(labels, point), point, create_graph=True)
        (found,) = torch.autograd.grad((slope * torch.tensor(direction)).sum(), point)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere a trace knows every size")
@pytest.mark.parametrize("number", [0, 1, 3, 4, 40])
def test_any_number_of_positions(number):
    import tensorflow as tf

    loss = LabelSmoothedCrossentropy(0, from_logits=True, reduction="none")
    unknown = [tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, CLASSES], tf.float32)]
    values = tf.function(loss, input_signature=unknown)(IDS[:number], LOGITS[:number])
    expected, _ = crossentropy(np.eye(CLASSES)[IDS])
    np.testing.assert_allclose(values, expected[:number], rtol=5e-6, atol=1e-7)


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX tells what a program takes")
@pytest.mark.parametrize("smoothing", [0, 0.1])
@pytest.mark.parametrize(("labels", "matrices"), [(IDS, 0.5), (ROWS, 1.5)], ids=["ids", "rows"])
def test_memory(labels, matrices, smoothing):
    import jax

    logits, labels = (np.concatenate([array] * 8) for array in (LOGITS, labels))
    assert logits.size > Compilation.ELEMENTS_WORTH_A_MATRIX
    loss = LabelSmoothedCrossentropy(smoothing, from_logits=True)
    step = jax.jit(jax.value_and_grad(lambda logits: loss(labels, logits)))
    memory = step.lower(logits).compile().memory_analysis()
    assert memory.temp_size_in_bytes < logits.nbytes * matrices


@pytest.mark.skipif(BACKEND != "torch", reason="torch has pieces in its gradient, too")
class TestPiecesOfTorch:
    def test_forward_and_backward_see_three_rows_at_a_time(self, monkeypatch):
        seen = []
        exponentials = backend.exponentials

        def watched(rows, peak):
            if rows.shape[-1] == CLASSES:  # not those of the labels alone
                seen.append(rows.shape[0])
            return exponentials(rows, peak)

        monkeypatch.setattr(backend, "exponentials", watched)
        loss = LabelSmoothedCrossentropy(from_logits=True)
        gradient(lambda y_pred, y_true: loss(y_true, y_pred), LOGITS, IDS)
        assert seen == 2 * (13 * [3] + [1])

    def test_vmap_over_the_batch(self):
        import torch

        loss = LabelSmoothedCrossentropy(0, from_logits=True)
        logits = torch.tensor(np.stack([LOGITS, LOGITS[::-1].copy()]))
        ids = torch.tensor(np.stack([IDS, IDS[::-1].copy()]))

        def total(y_pred, y_true):
            return loss.call(y_true, y_pred).sum()

        slopes = torch.func.vmap(torch.func.grad(total))(logits, ids)
        _, expected = crossentropy(np.eye(CLASSES)[IDS])
        np.testing.assert_allclose(slopes[0].numpy(), expected, atol=1e-6)
        np.testing.assert_allclose(slopes[1].numpy(), expected[::-1], atol=1e-6)
