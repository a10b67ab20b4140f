"""Runs a function on the backend of this process, with its gradient, eager or compiled.

And says what is invalid, by the fields of the error rather than by its sentence.
"""

import contextlib
import functools
import json

import keras
import numpy as np
import pytest

import keras_ce

BACKEND = keras.backend.backend()
MODES = {
    "tensorflow": ["eager", "graph", "xla"],
    "jax": ["eager", "jit"],
    "torch": ["eager"],
}[BACKEND]
COMPILED_MODES = [mode for mode in MODES if mode != "eager"]
# For what is to be the same in every mode. JAX compiles each operation of an eager call for
# itself: one function is faster.
QUICK_MODE = "jit" if BACKEND == "jax" else "eager"
QUICK_MODES = COMPILED_MODES if BACKEND == "jax" else MODES

# For `compile`: to compile takes longer than a few steps; on JAX it is the other way round.
QUICK = {"run_eagerly": BACKEND != "jax"}


def compile_quickly(monkeypatch):
    """Models compiled from here on take the options of `QUICK`."""
    quickly = functools.partialmethod(keras.Model.compile, **QUICK)
    monkeypatch.setattr(keras.Model, "compile", quickly)


# For what takes long and touches no tensor of a backend's own.
default_backend_only = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="the same on every backend: the default one stands for all"
)


def array(tensor):
    """A tensor, bfloat16 or not, as NumPy array."""
    if keras.backend.standardize_dtype(tensor.dtype) in ("bfloat16", "float16"):
        tensor = keras.ops.cast(tensor, "float32")
    if BACKEND == "torch":
        tensor = tensor.detach().cpu().numpy()
    return np.asarray(tensor)


def call(function, *inputs, mode=QUICK_MODE):
    """`function(*tensors)` of arrays, as NumPy array."""
    tensors = [keras.ops.convert_to_tensor(item) for item in inputs]
    return array(_compiled(function, mode)(*tensors))


def gradient(function, y_pred, *others, mode=QUICK_MODE, dtype=None):
    """Value of `function(y_pred, *others)` and the gradient of its sum with respect to y_pred."""
    return gradient_of(function, mode)(y_pred, *others, dtype=dtype)


def gradient_of(function, mode=QUICK_MODE):
    """The same as a function to call again: compiled once for all inputs of one shape."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def run(y_pred, *others):
            with tf.GradientTape() as tape:
                tape.watch(y_pred)
                value = function(y_pred, *others)
                total = tf.reduce_sum(value)
            return value, tape.gradient(total, y_pred)

    elif BACKEND == "jax":
        import jax

        # Not jax.grad, whose tracers hide the values that eager execution checks.
        def run(y_pred, *others):
            value, pullback = jax.vjp(lambda y_pred: function(y_pred, *others), y_pred)
            return value, pullback(jax.numpy.ones_like(value))[0]

    else:

        def run(y_pred, *others):
            y_pred = y_pred.clone().requires_grad_()
            value = function(y_pred, *others)
            value.sum().backward()
            return value, y_pred.grad

    run = _compiled(run, mode)

    def value_and_gradient(y_pred, *others, dtype=None):
        others = [keras.ops.convert_to_tensor(item) for item in others]
        value, slope = run(keras.ops.convert_to_tensor(y_pred, dtype=dtype), *others)
        return array(value), array(slope)

    return value_and_gradient


def _compiled(function, mode):
    if mode == "eager":
        return function
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=mode == "xla", autograph=True)


def update(metric, y_true, y_pred, sample_weight=None):
    """`metric.update_state(...)`, compiled on JAX: nothing raises at invalid values there."""
    batch = [
        np.asarray(item) if isinstance(item, list) else item
        for item in (y_true, y_pred, sample_weight)
    ]
    if BACKEND != "jax":
        metric.update_state(*batch)
        return
    step = _compiled_update(type(metric), json.dumps(metric.get_config()))
    values = step([variable.value for variable in metric.variables], *batch)
    for variable, value in zip(metric.variables, values, strict=True):
        variable.assign(value)


@functools.cache
def _compiled_update(metric_class, config):
    import jax

    return jax.jit(metric_class.from_config(json.loads(config)).stateless_update_state)


def options_and_rows():
    """Options of `compile`, and a number of rows for batches of 32, the last a short one."""
    # torch.compile needs a C++ compiler, which Keras does not ask for by itself either.
    compiled = [] if BACKEND == "torch" else [({"jit_compile": True}, 100)]
    if BACKEND == "jax":
        # Without jit_compile a step is eager, and compiles its operations for each size of batch.
        return [({"run_eagerly": True}, 64), *compiled]
    return [({"run_eagerly": True}, 100), ({"jit_compile": False}, 100), *compiled]


def quick(loss):
    """`loss(y_true, y_pred, ...)`, compiled on JAX: eager, it compiles operation by operation.

    For values alone: nothing raises at invalid ones.
    """
    if BACKEND != "jax":
        return loss
    import jax

    def run(y_true, y_pred, *arguments, **options):
        y_true, y_pred = (
            np.asarray(item) if isinstance(item, list) else item for item in (y_true, y_pred)
        )
        compiled = jax.jit(lambda y_true, y_pred: loss(y_true, y_pred, *arguments, **options))
        return compiled(y_true, y_pred)

    return run


@contextlib.contextmanager
def invalid(argument, expected="", *, fix="", position=None, value=...):
    """An `InvalidValuesError` is raised, with these fields; `expected` and `fix` are parts of them.

    The position is compared as a whole: it is the user's own, and None where the argument itself
    is the value.
    """
    with pytest.raises(keras_ce.InvalidValuesError) as raised:
        yield raised
    error = raised.value
    assert error.argument == argument, error
    assert expected in error.expected, error
    assert fix in error.fix, error
    assert error.position == position, error
    if value is not ...:
        np.testing.assert_equal(error.value, value)  # NaN is NaN here


def invalid_argument(arguments, name, expected):
    """`invalid` for one of these arguments, or for an entry of one, with the name "prior[1]"."""
    argument, _, place = name.partition("[")
    position = (int(place.strip("'\"]")),) if place else None
    return invalid(argument, expected, position=position, value=eval(name, {}, dict(arguments)))
