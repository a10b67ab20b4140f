"""What others put around a loss: activation checkpoints, hunters of NaN, exported models."""

import contextlib
import functools
import re

import backends
import keras
import numpy as np
import pytest
from backends import BACKEND, array
from cases import CASES, CLASSES, EMBEDDING_CASES
from kinds import SOFTMAX, function_of, one_per, only_jax, only_tensorflow, only_torch

import keras_ce
from keras_ce import information
from keras_ce._core import embeddings, linear
from keras_ce.layers import LinearCrossentropy
from keras_ce.losses import (
    InBatchCrossentropy,
    LabelSmoothedCrossentropy,
    MarginRanking,
    WeightedSigmoidCrossentropy,
)

GENERATOR = np.random.default_rng(33)
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_input = one_per("loss", "has_ids", "takes_logits")
FEATURES = GENERATOR.normal(size=(6, 4)).astype("float32")
IDS = np.array([4, 0, 1, 3, 2, 2], "int32")


OF_EMBEDDINGS = [case.make() for case in EMBEDDING_CASES]


def head(**options):
    layer = LinearCrossentropy(CLASSES, **options)
    layer.build((None, 4))
    layer.kernel.assign(np.random.default_rng(1).normal(size=(4, CLASSES)))
    return layer


# --- activation checkpoints ---


def test_keras_recomputes_a_loss():
    # Compiled where an eager step would not recompute anything.
    for case in CASES[:: 1 if BACKEND == "torch" else 7]:

        def run(y_pred, case=case):
            return case.function(case.y_true, y_pred)

        values, slopes = backends.gradient(keras.remat(run), case.y_pred)
        np.testing.assert_allclose(values, case.values, rtol=1e-5, atol=case.absolute)
        np.testing.assert_allclose(slopes, case.slopes, rtol=1e-5, atol=3e-6)


def test_keras_recomputes_what_is_before_the_loss():
    x = GENERATOR.normal(size=(6, 3)).astype("float32")
    histories = []
    for scope in (contextlib.nullcontext(), keras.RematScope(mode="full")):
        keras.utils.set_random_seed(2)
        with scope:
            inputs = keras.Input((3,))
            hidden = keras.layers.Dense(8, activation="relu")(inputs)
            model = keras.Model(inputs, keras.layers.Dense(CLASSES)(hidden))
        loss = keras_ce.losses.FocalCrossentropy(from_logits=True)
        model.compile("sgd", loss, **backends.QUICK)
        histories.append(model.fit(x, IDS, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-6)


@pytest.mark.skipif(BACKEND != "torch", reason="Keras loses what a layer adds to the loss there")
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_keras_recomputes_the_output_layer(label_smoothing):
    histories = []
    for scope in (contextlib.nullcontext(), keras.RematScope(mode="full")):
        keras.utils.set_random_seed(2)
        with scope:
            features, labels = keras.Input((4,)), keras.Input((), dtype="int32")
            layer = LinearCrossentropy(CLASSES, label_smoothing=label_smoothing)
            model = keras.Model([features, labels], layer(features, labels))
        model.compile("sgd", **backends.QUICK)
        histories.append(model.fit([FEATURES, IDS], epochs=3, verbose=0).history["loss"])
    assert histories[0][-1] < histories[0][0]
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-6)


@only_torch
class TestCheckpointsOfTorch:
    @every_case
    def test_a_loss_inside(self, case):
        import torch

        loss = case.make(reduction="none")
        for function in (case.function, loss):
            for use_reentrant in (False, True):
                y_pred = torch.tensor(case.y_pred, requires_grad=True)
                values = torch.utils.checkpoint.checkpoint(
                    lambda y_pred, function=function: function(case.y_true, y_pred),
                    y_pred,
                    use_reentrant=use_reentrant,
                )
                values.sum().backward()
                np.testing.assert_allclose(
                    array(values), case.values, rtol=1e-5, atol=case.absolute
                )
                np.testing.assert_allclose(array(y_pred.grad), case.slopes, rtol=1e-5, atol=3e-6)

    @every_case
    def test_saved_tensors_that_are_packed(self, case):
        """Each is packed and unpacked once, as those that wait on a disk would be."""
        import torch

        counts = {"packed": 0, "unpacked": 0}

        def pack(saved):
            counts["packed"] += 1
            return saved.detach().numpy().copy(), saved.dtype

        def unpack(packed):
            counts["unpacked"] += 1
            return torch.tensor(packed[0], dtype=packed[1])

        y_pred = torch.tensor(case.y_pred, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            values = case.function(case.y_true, y_pred)
            values.sum().backward()
        np.testing.assert_allclose(array(y_pred.grad), case.slopes, rtol=1e-5, atol=3e-6)
        assert counts["packed"] > 0
        assert counts["unpacked"] <= counts["packed"]

    def test_similarities_and_the_output_layer(self):
        import torch

        layer = head()

        def in_batch(rows):
            return InBatchCrossentropy(0.5)(np.arange(6), rows @ rows.T)

        def linear(rows):
            return layer(rows, IDS).mean()

        contexts = {
            "plain": contextlib.nullcontext,
            "cpu": torch.autograd.graph.save_on_cpu,
            "checkpoint": contextlib.nullcontext,
        }
        for function in (in_batch, linear):
            slopes = {}
            for name, context in contexts.items():
                rows = torch.tensor(FEATURES, requires_grad=True)
                layer.zero_grad()
                with context():
                    run = function
                    if name == "checkpoint":
                        run = functools.partial(
                            torch.utils.checkpoint.checkpoint, function, use_reentrant=False
                        )
                    run(rows).backward()
                slopes[name] = array(rows.grad)
                if function is linear:
                    slopes[name] = np.append(slopes[name], array(layer.kernel.value.grad))
            for name in ("cpu", "checkpoint"):
                np.testing.assert_allclose(slopes[name], slopes["plain"], atol=1e-7)
            assert np.any(slopes["plain"])


# --- data in which nothing is wrong, though much is 0, 1, or far from 0 ---


def healthy(case):
    """Predictions of the case: its own, and certain ones."""
    yield case.y_pred
    if case.takes_logits:
        yield (case.y_pred * 40).astype("float32")
    else:
        certain = np.eye(CLASSES, dtype="float32")[np.argmax(case.y_pred, -1)]
        if case.loss == "GroupedSoftmaxCrossentropy":
            certain = np.concatenate([certain[..., :1], 1 - certain[..., :1], certain[..., 2:]], -1)
            certain[..., 2:] = [0, 1, 0]
        yield certain


def calls(case):
    """The function, and the class with weights of which some are 0."""
    weights = np.array([1, 0, 2, 0.5], "float32")
    yield case.function
    loss = case.make()
    yield lambda y_true, y_pred: loss(y_true, y_pred, weights)


WIDE = 600
"""Classes enough for programs and pieces of their own."""


def wide_losses():
    """Losses of many classes: function of predictions, and predictions."""
    ids = np.array([3, 599, 0], "int32")
    rows = np.eye(WIDE, dtype="float32")[ids]
    logits = GENERATOR.normal(size=(3, WIDE)).astype("float32") * 3
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    for name in SOFTMAX:
        options = {"class_prior": np.arange(1, WIDE + 1)} if "Adjusted" in name else {}
        for labels in (ids, rows):
            for from_logits in (True, False):
                if "Adjusted" in name and not from_logits:
                    continue
                given = options if "Adjusted" in name else {"from_logits": from_logits}
                run = functools.partial(_call, function_of(name), labels, given)
                yield f"{name}-{labels.ndim}-{from_logits}", run, logits if from_logits else p


def _call(function, labels, options, y_pred):
    return function(labels, y_pred, **options)


every_wide_loss = pytest.mark.parametrize(
    ("name", "run", "y_pred"),
    [pytest.param(*each, id=each[0]) for each in wide_losses()],
)

MEASURES = {
    "self_information": lambda p: information.self_information(p),
    "entropy": lambda p: information.entropy(p),
    "cross_entropy": lambda p: information.cross_entropy(p, np.roll(P, 1, -1)),
    "kl_divergence": lambda p: information.kl_divergence(p, np.roll(P, 1, -1)),
    "perplexity": lambda p: information.perplexity(p, np.roll(P, 1, -1)),
}
P = GENERATOR.dirichlet(np.ones(4), 3).astype("float32")
ALMOST = np.array([[0, 0.5, 0.5, 0], [1, 0, 0, 0], [0.25] * 4], "float32")


# --- NaN hunters of TensorFlow ---


@contextlib.contextmanager
def check_numerics():
    import tensorflow as tf

    tf.debugging.enable_check_numerics()
    keras_ce.set_compilation(False)  # TensorFlow compiles nothing that it looks into.
    try:
        yield
    finally:
        keras_ce.set_compilation(True)
        tf.debugging.disable_check_numerics()


def tensorflow_gradient(run, *predictions, graph=False):
    import tensorflow as tf

    def value_and_gradient(y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            total = tf.reduce_sum(run(y_pred))
        return total, tape.gradient(total, y_pred)

    if graph:
        value_and_gradient = tf.function(value_and_gradient)
    for y_pred in predictions:
        value, slope = value_and_gradient(tf.constant(y_pred))
        assert np.isfinite(value)
        assert np.all(np.isfinite(slope))


@only_tensorflow
class TestCheckNumerics:
    def test_finds_what_is_wrong(self):
        import tensorflow as tf

        with check_numerics(), pytest.raises(tf.errors.InvalidArgumentError):
            tensorflow_gradient(tf.math.log, np.zeros(3, "float32"))

    @each_input
    def test_eager(self, case):
        with check_numerics():
            tensorflow_gradient(functools.partial(case.function, case.y_true), *healthy(case))

    @one_per("loss", "takes_logits")
    def test_in_a_graph(self, case):
        *_, call = calls(case)
        with check_numerics():
            run = functools.partial(call, case.y_true)
            tensorflow_gradient(run, *healthy(case), graph=True)

    @one_per("has_ids", "takes_logits")
    def test_in_fit(self, case):
        with check_numerics():
            model = keras.Sequential([keras.Input((None, CLASSES)), keras.layers.Dense(CLASSES)])
            if not case.takes_logits:
                model.add(keras.layers.Softmax())
            model.compile("sgd", case.make(), jit_compile=False)
            history = model.fit(case.y_pred, case.y_true, verbose=0).history
        assert np.isfinite(history["loss"][0])

    @every_wide_loss
    def test_many_classes(self, name, run, y_pred):
        with check_numerics():
            tensorflow_gradient(run, y_pred)

    @every_wide_loss
    def test_many_classes_in_a_graph(self, name, run, y_pred):
        if name not in ("LabelSmoothedCrossentropy-1-True", "FocalCrossentropy-2-False"):
            pytest.skip("two for all: they take the same way")
        with check_numerics():
            tensorflow_gradient(run, y_pred, graph=True)

    def test_the_output_layer(self):
        layer = head(label_smoothing=0.1)
        linear._passes.cache_clear()
        try:
            with check_numerics():
                for graph in (False, True):
                    tensorflow_gradient(lambda rows: layer(rows, IDS), FEATURES, graph=graph)
        finally:
            linear._passes.cache_clear()

    def test_other_inputs(self):
        similarities = FEATURES @ FEATURES.T
        scores = GENERATOR.normal(size=(3, 6)).astype("float32")
        relevance = np.array([[0, 1, 2, -1, -1, 0]] * 3, "float32")
        runs = [
            (lambda y_pred: InBatchCrossentropy(0.05)([0, 1, 0, 2, 3, 2], y_pred), similarities),
            (lambda y_pred: MarginRanking(1.0, ignore_label=-1)(relevance, y_pred), scores),
            *((functools.partial(loss, [0, 1, 0, 2, 3, 2]), FEATURES) for loss in OF_EMBEDDINGS),
        ]
        for passes in embeddings.KEPT:
            passes.cache_clear()
        try:
            with check_numerics():
                for run, given in runs:
                    for graph in (False, True):
                        tensorflow_gradient(run, given, graph=graph)
        finally:
            for passes in embeddings.KEPT:
                passes.cache_clear()

    @pytest.mark.parametrize("name", MEASURES)
    def test_information(self, name):
        with check_numerics():
            for graph in (False, True):
                tensorflow_gradient(MEASURES[name], P, graph=graph)
            if name in ("self_information", "entropy"):
                tensorflow_gradient(information.entropy, ALMOST)


@only_tensorflow
@one_per("loss", "takes_logits")
def test_a_graph_holds_no_constant_that_is_not_finite(case):
    import tensorflow as tf

    *_, call = calls(case)

    @tf.function
    def value_and_gradient(y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            total = tf.reduce_sum(call(case.y_true, y_pred))
        return total, tape.gradient(total, y_pred)

    graph = value_and_gradient.get_concrete_function(tf.constant(case.y_pred)).graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    constants = [tf.make_ndarray(node.attr["value"].tensor) for node in nodes if node.op == "Const"]
    assert constants
    for constant in constants:
        if constant.dtype.kind == "f":
            assert np.all(np.isfinite(constant))


# --- NaN hunters of JAX ---


@contextlib.contextmanager
def debugging(**flags):
    import jax

    before = {name: getattr(jax.config, name) for name in flags}
    try:
        for name, value in flags.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def jax_program(run):
    import jax

    return jax.value_and_grad(lambda y_pred: run(y_pred).sum())


def constants_of(jaxpr):
    """Every constant of a program and of those inside it."""
    for each in getattr(jaxpr, "consts", []):
        yield np.asarray(each)
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        for operand in equation.invars:
            if hasattr(operand, "val"):
                yield np.asarray(operand.val)
        for value in equation.params.values():
            for each in value if isinstance(value, (tuple, list)) else [value]:
                if hasattr(each, "eqns") or hasattr(each, "jaxpr"):
                    yield from constants_of(each)


def check_no_constant_of_jax(run, y_pred):
    import jax

    program = jax.make_jaxpr(jax_program(run))(y_pred)
    assert not re.findall(r"(?<![\w.])-?(?:nan|inf)\b", str(program))
    for constant in constants_of(program):
        if constant.dtype.kind == "f":
            assert np.all(np.isfinite(constant))


@only_jax
class TestHuntersOfJax:
    def test_find_what_is_wrong(self):
        import jax

        with debugging(jax_debug_nans=True), pytest.raises(FloatingPointError):
            jax.jit(jax.numpy.log)(-np.ones(3, "float32"))
        with pytest.raises(AssertionError):
            check_no_constant_of_jax(lambda x: jax.numpy.where(x > 0, x, np.inf), np.ones(3, "f"))

    @each_input
    def test_programs_hold_no_constant_that_is_not_finite(self, case):
        *_, call = calls(case)
        check_no_constant_of_jax(functools.partial(call, case.y_true), case.y_pred)

    @every_wide_loss
    def test_programs_of_many_classes(self, name, run, y_pred):
        check_no_constant_of_jax(run, y_pred)

    @pytest.mark.parametrize("name", MEASURES)
    def test_programs_of_information(self, name):
        check_no_constant_of_jax(MEASURES[name], P)

    @each_input
    def test_debug_nans_and_infs_in_jit(self, case):
        import jax

        with debugging(jax_debug_nans=True, jax_debug_infs=True):
            *_, call = calls(case)
            run = jax.jit(jax_program(functools.partial(call, case.y_true)))
            for y_pred in healthy(case):
                value, slope = run(y_pred)
                assert np.isfinite(value)
                assert np.all(np.isfinite(slope))

    @one_per("has_ids", "takes_logits")
    def test_debug_nans_and_infs_in_each_operation(self, case):
        with debugging(jax_debug_nans=True, jax_debug_infs=True):
            for y_pred in healthy(case):
                jax_program(functools.partial(case.function, case.y_true))(y_pred)

    def test_debug_nans_of_other_inputs(self):
        import jax

        layer = head(label_smoothing=0.1)
        with debugging(jax_debug_nans=True, jax_debug_infs=True):
            loss = InBatchCrossentropy(0.05)
            run = functools.partial(loss, np.array([0, 1, 0, 2, 3, 2]))
            jax.jit(jax_program(run))(FEATURES @ FEATURES.T)
            for loss in OF_EMBEDDINGS:
                run = functools.partial(loss, np.array([0, 1, 0, 2, 3, 2]))
                jax.jit(jax_program(run))(FEATURES)
            jax.jit(jax_program(lambda rows: layer(rows, IDS)))(FEATURES)
            for measure in MEASURES.values():
                jax.jit(jax_program(measure))(P)


# --- NaN hunters of torch ---


@only_torch
class TestHuntersOfTorch:
    def run(self, function, y_pred):
        import torch
        from torch.utils._python_dispatch import TorchDispatchMode

        class Finite(TorchDispatchMode):
            def __torch_dispatch__(self, operation, types, arguments=(), options=None):
                result = operation(*arguments, **(options or {}))
                # What is allocated holds anything until it is written to.
                if "empty" not in str(operation):
                    for each in result if isinstance(result, (tuple, list)) else [result]:
                        if isinstance(each, torch.Tensor) and each.is_floating_point():
                            assert torch.isfinite(each).all(), f"{operation} gives {each}"
                return result

        y_pred = torch.tensor(y_pred, requires_grad=True)
        with Finite(), torch.autograd.set_detect_anomaly(True):
            function(y_pred).sum().backward()

    @every_case
    def test_every_operation_is_finite(self, case):
        for y_pred in healthy(case):
            for call in calls(case):
                self.run(functools.partial(call, case.y_true), y_pred)

    @every_wide_loss
    def test_many_classes(self, name, run, y_pred):
        self.run(run, y_pred)

    @pytest.mark.parametrize("name", MEASURES)
    def test_information(self, name):
        self.run(MEASURES[name], P)

    def test_other_inputs(self):
        self.run(
            functools.partial(InBatchCrossentropy(0.05), [0, 1, 0, 2, 3, 2]), FEATURES @ FEATURES.T
        )
        for loss in OF_EMBEDDINGS:
            self.run(functools.partial(loss, [0, 1, 0, 2, 3, 2]), FEATURES)
        relevance = np.array([[0, 1, 2, -1, -1, 0]] * 3, "float32")
        self.run(
            functools.partial(MarginRanking(1.0, ignore_label=-1), relevance),
            FEATURES[:3, [0, 1, 2, 3, 0, 1]],
        )

    def test_the_output_layer(self):
        layer = head(label_smoothing=0.1)
        self.run(lambda rows: layer(rows, IDS), FEATURES)


# --- exported models ---


@only_tensorflow
class TestExport:
    @pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
    def test_a_trainer_and_its_predictor(self, label_smoothing, tmp_path):
        import tensorflow as tf

        features, labels = keras.Input((4,), name="f"), keras.Input((), dtype="int32", name="l")
        layer = LinearCrossentropy(CLASSES, label_smoothing=label_smoothing, ignore_class=-1)
        trainer = keras.Model([features, labels], layer(features, labels))
        predictor = keras.Model(features, layer(features))
        trainer.compile("sgd")
        trainer.fit([FEATURES, IDS], verbose=0)
        expected = array(trainer([FEATURES, IDS]))
        trainer.export(tmp_path / "trainer", verbose=False)
        again = tf.saved_model.load(str(tmp_path / "trainer"))
        np.testing.assert_allclose(again.serve([FEATURES, IDS]), expected, rtol=1e-5)
        few = again.serve([FEATURES[:2], IDS[:2]])  # another size of batch
        np.testing.assert_allclose(few, expected[:2], rtol=1e-5)
        predictor.export(tmp_path / "predictor", verbose=False)
        again = tf.saved_model.load(str(tmp_path / "predictor"))
        np.testing.assert_allclose(again.serve(FEATURES), array(predictor(FEATURES)), rtol=1e-5)

    def test_a_model_that_was_trained_by_losses_with_numbers_for_each_class(self, tmp_path):
        import tensorflow as tf

        losses = [
            LabelSmoothedCrossentropy(
                from_logits=True, prior=[1.0] * CLASSES, class_weight={1: 2.0}
            ),
            WeightedSigmoidCrossentropy([2.0] * CLASSES, from_logits=True),
        ]
        for number, loss in enumerate(losses):
            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(CLASSES)])
            model.compile("sgd", loss)
            labels = IDS if number == 0 else np.eye(CLASSES, dtype="float32")[IDS]
            model.fit(FEATURES, labels, verbose=0)
            model.export(tmp_path / str(number), verbose=False)
            again = tf.saved_model.load(str(tmp_path / str(number)))
            np.testing.assert_allclose(again.serve(FEATURES), array(model(FEATURES)), rtol=1e-5)

    @one_per("has_ids", "takes_logits")
    def test_a_module_that_holds_a_loss(self, case, tmp_path):
        """A loss in a `tf.Module`, as a training loop that is served would have it."""
        import tensorflow as tf

        module = tf.Module()
        module.loss_of = tf.function(
            functools.partial(case.make(), case.y_true),
            input_signature=[tf.TensorSpec(case.y_pred.shape)],
        )
        tf.saved_model.save(module, str(tmp_path))
        again = tf.saved_model.load(str(tmp_path))
        np.testing.assert_allclose(again.loss_of(case.y_pred), case.values.mean(), rtol=1e-5)
