"""Labels of every type, shape and rank; where an error says that a wrong one stands."""

import backends
import keras
import numpy as np
import pytest
from backends import BACKEND, COMPILED_MODES, QUICK, array
from cases import ANY_FINITE_LABEL, CASES, CLASSES, SIGMOID
from keras import ops
from kinds import SOFTMAX, function_of, invalid, one_per, only_tensorflow, tensor

import keras_ce
from keras_ce.layers import LinearCrossentropy
from keras_ce.losses import (
    InBatchCrossentropy,
    LabelSmoothedCrossentropy,
    MarginRanking,
    grouped_softmax_crossentropy,
    in_batch_crossentropy,
    margin_ranking,
)

GENERATOR = np.random.default_rng(8)
every_softmax_loss = pytest.mark.parametrize("name", SOFTMAX)


def softmax_arguments(name, from_logits=True):
    if name == "LogitAdjustedCrossentropy":
        return {"class_prior": [1.0, 2.0, 3.0, 4.0, 5.0]}
    return {"from_logits": from_logits}


def logits(*shape):
    return GENERATOR.normal(size=shape).astype("float32")


# --- where it stands ---


class TestPositionsOfGroups:
    """In the user's own array, not in that of a group."""

    @pytest.mark.parametrize("as_tensor", [False, True])
    def test_ids(self, as_tensor):
        for label in (5, 3, -1):
            labels = np.array([[1, 2], [0, label]])
            given = tensor(labels) if as_tensor else labels
            with invalid("y_true", (1, 1), label) as caught:
                grouped_softmax_crossentropy(given, logits(2, 5), [2, 3], from_logits=True)
            assert "0 to 2" in caught.value.expected
            assert "ignore_class" not in str(caught.value)
        with invalid("y_true", (0, 0), 2) as caught:
            grouped_softmax_crossentropy([[2, 0]], logits(1, 5), [2, 3], from_logits=True)
        assert "0 to 1" in caught.value.expected

    def test_ids_of_time_steps(self):
        labels = np.zeros((2, 3, 4), "int64")
        for position, label in (((1, 2, 3), 7), ((0, 1, 2), 2), ((1, 0, 0), -2)):
            wrong = labels.copy()
            wrong[position] = label
            with invalid("y_true", position, label):
                grouped_softmax_crossentropy(wrong, logits(2, 3, 9), [2, 2, 2, 3], from_logits=True)

    @pytest.mark.parametrize("label", [2**40, -(2**40), 2**31, 2**62])
    def test_an_id_beyond_int32_shows_itself(self, label):
        with invalid("y_true", (0, 1), label) as caught:
            grouped_softmax_crossentropy([[0, label]], logits(1, 5), [2, 3], from_logits=True)
        assert "ignore_class" not in str(caught.value)

    @pytest.mark.parametrize("column", range(5))
    @pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
    def test_rows(self, column, value):
        rows = np.tile(np.array([1, 0, 0, 0, 1], "float32"), (2, 3, 1))
        rows[1, 2, column] = value
        with invalid("y_true", (1, 2, column)) as caught:
            grouped_softmax_crossentropy(rows, logits(2, 3, 5), [2, 3], from_logits=True)
        np.testing.assert_equal(caught.value.value, value)

    def test_the_rows_of_the_issue(self):
        with invalid("y_true", (0, 4), -1):
            grouped_softmax_crossentropy([[1, 0, 0, 0, -1]], logits(1, 5), [2, 3], from_logits=True)

    @pytest.mark.parametrize("sizes", [[2, 3], [3, 2], [5]])
    @pytest.mark.parametrize("column", range(5))
    def test_probabilities(self, column, sizes):
        y_pred = np.full((2, 5), 0.25, "float32")
        y_pred[1, column] = 1.5
        with invalid("y_pred", (1, column), 1.5):
            grouped_softmax_crossentropy(np.zeros((2, len(sizes)), "int32"), y_pred, sizes)

    def test_a_group_of_zeros(self):
        y_pred = np.full((2, 9), 0.25, "float32")
        y_pred[1, 4:6] = 0
        with invalid("y_pred", (1, 4), 0):
            grouped_softmax_crossentropy(np.zeros((2, 4), "int32"), y_pred, [2, 2, 2, 3])


@every_softmax_loss
class TestPositionsAlongEveryAxis:
    SHAPES = (
        *[((2, 5), 1), ((2, 5), -1), ((2, 5, 3), 1), ((2, 5, 3), -2), ((2, 3, 5), 2)],
        *[((2, 5, 3, 4), 1), ((2, 3, 5, 4), 2), ((2, 3, 4, 5), -1)],
    )

    def test_rows(self, name):
        for shape, axis in self.SHAPES:
            position = tuple(size - 1 for size in shape)
            for dtype, value in (("float32", -0.5), ("float64", np.nan), ("int32", -3)):
                labels = np.full(shape, 1, dtype)
                labels[position] = value
                with invalid("y_true", position) as caught:
                    function_of(name)(labels, logits(*shape), axis=axis, **softmax_arguments(name))
                np.testing.assert_equal(caught.value.value, value)

    def test_ids(self, name):
        for shape, axis in self.SHAPES:
            positions = list(shape)
            del positions[axis]
            position = tuple(size - 1 for size in positions)
            for label in (7, -1, 2**40):
                labels = np.zeros(positions, "int64")
                labels[position] = label
                for given, own in ((labels, position), (labels[..., None], (*position, 0))):
                    with invalid("y_true", own, label):
                        function_of(name)(
                            given, logits(*shape), axis=axis, **softmax_arguments(name)
                        )

    def test_probabilities(self, name):
        if name == "LogitAdjustedCrossentropy":
            pytest.skip("takes logits alone")
        for shape, axis in self.SHAPES:
            position = tuple(size - 1 for size in shape)
            positions = list(shape)
            del positions[axis]
            y_pred = np.full(shape, 0.2, "float32")
            y_pred[position] = 1.5
            with invalid("y_pred", position, 1.5) as caught:
                function_of(name)(np.zeros(positions, "int32"), y_pred, axis=axis)
            assert "from_logits=True" in caught.value.fix


@pytest.mark.parametrize("labels", [[[0], [9]], np.array([[0], [9]])])
def test_a_trailing_axis_is_part_of_the_position(labels):
    for name in SOFTMAX:
        with invalid("y_true", (1, 0), 9):
            function_of(name)(labels, logits(2, 5), **softmax_arguments(name))
    with invalid("y_true", (1, 0), 9):
        margin_ranking(labels, logits(2, 5))
    head = LinearCrossentropy(5)
    with invalid("labels", (1, 0), 9):
        head(logits(2, 3), np.asarray(labels))
    with invalid("y_true", (1, 0), 2**40):
        in_batch_crossentropy(np.array([[0], [2**40]]), logits(2, 2))


def test_a_mask_of_yes_or_no_has_the_position_of_the_users_array():
    for name in SIGMOID:
        labels = np.zeros((2, 3), "float32")
        labels[1, 2] = 2.0
        for given, position in ((labels, (1, 2)), (labels[..., None], (1, 2, 0))):
            with invalid("y_true", position, 2.0):
                function_of(name)(given, logits(2, 3, 1))


@pytest.mark.parametrize("label", [-1, 2**40, 5, 255, -100])
def test_a_right_candidate_is_never_to_be_ignored_by_a_class(label):
    for labels, position in (([0, label], (1,)), ([[0], [label]], (1, 0))):
        with invalid("y_true", position, label) as caught:
            margin_ranking(np.array(labels), logits(2, 5))
        assert "ignore_class" not in str(caught.value)
        assert "index of the right candidate" in caught.value.expected


@pytest.mark.parametrize("labels", [[-1, -1], [[-1], [1]], np.array([1.0, -1.0])])
def test_labels_of_torchs_margin_ranking_loss(labels):
    """There, 1 and -1 say which of two is right: here 0 and 1 do."""
    with pytest.raises(keras_ce.InvalidValuesError) as caught:
        MarginRanking(0.1)(labels, logits(2, 2))
    error = caught.value
    assert (error.argument, error.value) == ("y_true", -1)
    assert "index of the right candidate" in error.expected
    for word in ("torch", "-1", "first", "second", "0 and 1"):
        assert word in error.fix


# --- ids that no signed integer holds ---


def unsigned():
    yield np.array([1, 2**32 - 1], "uint32")
    yield np.array([1, 2**64 - 1], "uint64")
    yield np.array([1, 2**63], "uint64")
    yield np.array([1, 2**31], "uint32")
    if BACKEND == "jax":
        yield tensor(np.array([1, 2**32 - 1], "uint32"))
        yield tensor(np.array([1, 2**31], "uint32"))
    if BACKEND == "tensorflow":
        yield tensor(np.array([1, 2**64 - 1], "uint64"))
        yield tensor(np.array([1, 2**32 - 1], "uint32"))
        yield tensor(np.array([1, 2**63], "uint64"))
    if BACKEND == "torch":
        import torch

        yield torch.tensor([1, 2**32 - 1], dtype=torch.uint32)
        yield torch.tensor([1, 2**63 - 1], dtype=torch.uint64)
        yield torch.from_numpy(np.array([1, 2**64 - 1], "uint64"))


UNSIGNED = list(unsigned())


@pytest.mark.parametrize(
    "labels", UNSIGNED, ids=lambda labels: f"{type(labels).__name__} {labels.dtype}"
)
class TestUnsigned:
    """2**32 - 1 is not -1, which `ignore_class` would take out in silence."""

    def test_is_invalid_and_not_ignored(self, labels):
        value = int(np.asarray(array(labels) if ops.is_tensor(labels) else labels)[1])
        for name in SOFTMAX:
            for ignore_class in (-1, None):
                options = {**softmax_arguments(name), "ignore_class": ignore_class}
                with invalid("y_true", (1,), value):
                    function_of(name)(labels, logits(2, 5), **options)
                with invalid("y_true", (1,), value):
                    getattr(keras_ce.losses, name)(**options)(labels, logits(2, 5))
        # No Keras layer takes uint64 on torch; on JAX it is another type before the layer sees it.
        if BACKEND == "tensorflow" or str(labels.dtype) != "uint64":
            with invalid("labels", (1,), value):
                LinearCrossentropy(5, ignore_class=-1)(logits(2, 3), labels)
        with invalid("y_true", (1,), value):
            in_batch_crossentropy(labels, logits(2, 2))
        with invalid("y_true", (1,), value):
            margin_ranking(labels, logits(2, 5))

    @pytest.mark.parametrize("mode", COMPILED_MODES)
    def test_is_nan_when_compiled(self, labels, mode):
        if not ops.is_tensor(labels):
            if BACKEND == "jax" and labels.dtype == "uint64":
                pytest.skip("JAX knows no uint64 and wraps it before anybody sees it")
            labels = tensor(labels)
        if mode == "xla" and "uint32" in str(labels.dtype):
            labels = ops.cast(labels, "int64")
        loss = LabelSmoothedCrossentropy(from_logits=True, ignore_class=-1, reduction="none")
        values = backends.call(loss, labels, logits(2, 5), mode=mode)
        np.testing.assert_array_equal(np.isnan(values), [False, True])

    def test_is_nan_without_checks(self, labels):
        with keras_ce.value_checks(False):
            loss = LabelSmoothedCrossentropy(from_logits=True, ignore_class=-1, reduction="none")
            values = array(loss(labels, logits(2, 5)))
        np.testing.assert_array_equal(np.isnan(values), [False, True])


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "uint32", "uint64"])
def test_right_ids_of_every_type_count_and_an_ignored_one_does_not(dtype):
    ids = np.array([1, 0, 1, 0])
    y_pred = logits(4, 5)
    loss = LabelSmoothedCrossentropy(from_logits=True, ignore_class=0, reduction="none")
    expected = array(loss(ids, y_pred))
    given = [ids.astype(dtype)]
    if not (BACKEND == "torch" and dtype in ("uint16", "uint32", "uint64")):
        given.append(tensor(ids.astype(dtype)))
    for labels in given:
        np.testing.assert_array_equal(array(loss(labels, y_pred)), expected)
        values = array(InBatchCrossentropy(reduction="none")(labels, y_pred[:, :4]))
        np.testing.assert_array_equal(
            values, array(InBatchCrossentropy(reduction="none")(ids, y_pred[:, :4]))
        )


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("int8", -1),
        ("int8", -128),
        ("uint8", 255),
        ("int16", -1),
        ("uint16", 65535),
        ("float16", -1),
        ("float32", -1),
        ("float32", 2.0**32 - 1),
        ("float64", 2.0**32 - 1),
    ],
)
@pytest.mark.parametrize("as_tensor", [False, True])
def test_narrow_ids_keep_their_sign(dtype, value, as_tensor):
    """An int8 of -1 is what `ignore_class=-1` ignores, a uint8 of 255 is not."""
    labels = np.array([1, value]).astype(dtype)
    if as_tensor:
        if BACKEND == "torch" and dtype == "uint16":
            pytest.skip("Keras makes no such tensor on torch")
        labels = tensor(labels)
    loss = LabelSmoothedCrossentropy(from_logits=True, ignore_class=-1, reduction="none")
    if value == -1:
        assert array(loss(labels, logits(2, 5)))[1] == 0
    else:
        with invalid("y_true", (1,)):
            loss(labels, logits(2, 5))


# --- variables ---


def variables(values, dtype):
    values = np.asarray(values).astype(dtype)
    yield keras.Variable(values, dtype=dtype, trainable=False)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        yield tf.Variable(values)
    if BACKEND == "torch":
        import torch

        yield torch.nn.Parameter(torch.tensor(values), requires_grad=False)


@one_per("loss", "has_ids", "takes_logits")
def test_variables_are_tensors(case):
    expected = array(case.function(case.y_true, case.y_pred))
    for y_pred in variables(case.y_pred, "float32"):
        np.testing.assert_allclose(array(case.function(case.y_true, y_pred)), expected, rtol=1e-6)
        value = case.make()(case.y_true, y_pred)
        assert float(value) == pytest.approx(expected.mean(), rel=1e-5)
        for y_true in variables(case.y_true, case.y_true.dtype):
            value = case.make()(y_true, y_pred, np.ones(len(expected), "float32"))
            assert float(value) == pytest.approx(expected.mean(), rel=1e-5)
            with invalid_in_a_variable(case):
                wrong = np.array(case.y_true)
                wrong[1, 2] = (
                    99 if case.has_ids else -99 if case.loss not in ANY_FINITE_LABEL else np.nan
                )
                case.function(next(variables(wrong, case.y_true.dtype)), y_pred)


def invalid_in_a_variable(case):
    position = (1, 2)
    if case.loss == "GroupedSoftmaxCrossentropy" or not case.has_ids:
        position = (1, 2, 0)
    return invalid("y_true", position)


@pytest.mark.parametrize("y_true", [[0, 1], np.array([[0], [1]])])
def test_variables_of_scores_and_similarities(y_true):
    scores = logits(2, 2)
    for loss in (MarginRanking(), InBatchCrossentropy()):
        expected = float(loss(y_true, scores))
        for each in variables(scores, "float32"):
            assert float(loss(y_true, each)) == pytest.approx(expected, rel=1e-6)
        for each in variables(y_true, "int32"):
            assert float(loss(each, scores)) == pytest.approx(expected, rel=1e-6)


@only_tensorflow
def test_gradients_reach_a_variable():
    import tensorflow as tf

    scores = tf.Variable(logits(2, 5))
    for function in (margin_ranking, function_of("FocalCrossentropy")):
        options = {} if function is margin_ranking else {"from_logits": True}
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(function([0, 1], scores, **options))
        assert np.any(tape.gradient(value, scores))


# --- ranks ---


@only_tensorflow
class TestUnknownRank:
    """TensorFlow forgets the rank of labels that come with one axis more or less."""

    @one_per("loss", "has_ids")
    def test_names_the_labels(self, case):
        import tensorflow as tf

        for loss in (case.function, case.make()):
            run = tf.function(
                lambda y_true, y_pred, loss=loss: loss(y_true, y_pred),
                input_signature=[
                    tf.TensorSpec(None, case.y_true.dtype),
                    tf.TensorSpec([None, None, CLASSES], "float32"),
                ],
            )
            with pytest.raises(ValueError, match="`y_true`"):
                run.get_concrete_function()

    def test_names_the_labels_of_other_inputs(self):
        import tensorflow as tf

        for loss in (in_batch_crossentropy, InBatchCrossentropy()):
            run = tf.function(
                lambda y_true, y_pred, loss=loss: loss(y_true, y_pred),
                input_signature=[tf.TensorSpec(None, "int32"), tf.TensorSpec([None, None])],
            )
            with pytest.raises(ValueError, match="`y_true`"):
                run.get_concrete_function()
        head = LinearCrossentropy(5)
        head.build((None, 3))
        run = tf.function(
            lambda features, labels: head(features, labels),
            input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec(None, "int32")],
        )
        with pytest.raises(ValueError, match="`labels`"):
            run.get_concrete_function()

    @one_per("loss")
    def test_names_predictions_and_weights(self, case):
        import tensorflow as tf

        for shapes, name in (
            ((case.y_true.shape, None, ()), "y_pred"),
            ((case.y_true.shape, case.y_pred.shape, None), "sample_weight"),
        ):
            dtypes = (case.y_true.dtype, "float32", "float32")
            run = tf.function(
                lambda y_true, y_pred, weight: case.make()(y_true, y_pred, weight),
                input_signature=[tf.TensorSpec(*each) for each in zip(shapes, dtypes, strict=True)],
            )
            with pytest.raises(ValueError, match=f"`{name}`"):
                run.get_concrete_function()

    def test_a_second_fit_with_labels_of_another_rank(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
        model.compile("sgd", LabelSmoothedCrossentropy(from_logits=True), jit_compile=False)
        x, ids = np.ones((4, 3), "float32"), np.zeros(4, "int32")
        for labels in (ids, ids[:, None]):
            message = ""
            try:
                model.fit(x, labels, verbose=0)
            except ValueError as error:  # where TensorFlow has forgotten the rank
                message = str(error)
            assert not message or ("`y_true`" in message and "rank" in message)
        with pytest.raises(ValueError, match="`y_true`"):
            model.fit(x, np.zeros((4, 1, 1), "int32"), verbose=0)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_ids_with_and_without_a_trailing_axis_train_alike(shape):
    x = GENERATOR.normal(size=(4, 3)).astype("float32")
    weights = None
    losses = []
    for labels in (np.array([1, 0, 4, 2]), np.array([1, 0, 4, 2]).reshape(shape)):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, use_bias=False)])
        weights = model.get_weights() if weights is None else weights
        model.set_weights(weights)
        model.compile("sgd", LabelSmoothedCrossentropy(from_logits=True), **QUICK)
        losses.append(model.fit(x, labels, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


YES_OR_NO = [(4,), (4, 3), (4, 3, 2), (2, 2, 3, 2)]


@pytest.mark.parametrize("shape", YES_OR_NO, ids=str)
@pytest.mark.parametrize("name", SIGMOID)
class TestYesOrNoMasks:
    """(B, H, W) for an output (B, H, W, 1)."""

    def test_equal_labels_with_the_axis(self, name, shape):
        labels = GENERATOR.integers(0, 2, shape)
        y_pred = GENERATOR.uniform(0.1, 0.9, (*shape, 1)).astype("float32")
        function, loss = function_of(name), getattr(keras_ce.losses, name)
        expected = array(function(labels[..., None].astype("float32"), y_pred))
        assert expected.shape == shape
        for given in (labels, labels.astype(bool), labels.tolist(), tensor(labels)):
            np.testing.assert_array_equal(array(function(given, y_pred)), expected)
            value = float(loss()(given, y_pred))
            assert value == pytest.approx(expected.mean(), rel=1e-5)
        weights = GENERATOR.uniform(size=shape).astype("float32")
        value = loss(reduction="none")(labels, y_pred, weights)
        np.testing.assert_allclose(array(value), expected * weights, rtol=1e-5)
        missing = np.where(labels == 1, -1, labels)
        value = array(loss(ignore_label=-1, reduction="none")(missing, y_pred))
        np.testing.assert_array_equal(value, np.where(labels == 1, 0, expected))

    def test_no_other_shape_is_one(self, name, shape):
        y_pred = np.full((*shape, 1), 0.5, "float32")
        two = np.full((*shape, 2), 0.5, "float32")
        function = function_of(name)
        for labels, given in (
            (np.zeros(shape), two),
            (np.zeros((*shape, 2)), y_pred),
            (np.zeros((*shape, 1, 1)), y_pred),
            (np.zeros((*shape[:-1], shape[-1] + 1)), y_pred),
            (np.zeros((1, *shape)), y_pred),
            (np.zeros(shape[1:]), y_pred),
        ):
            if np.shape(labels) in (shape, (*shape, 1)) and given is y_pred:
                continue
            with pytest.raises(ValueError, match="`y_true` must"):
                function(labels, given)


@pytest.mark.parametrize("name", SIGMOID)
def test_yes_or_no_masks_in_fit(name):
    model = keras.Sequential([keras.Input((4, 3, 2)), keras.layers.Conv2D(1, 1)])
    options = {} if name.startswith("Multi") else {"from_logits": True}
    model.compile("sgd", getattr(keras_ce.losses, name)(**options), **QUICK)
    x = GENERATOR.normal(size=(2, 4, 3, 2)).astype("float32")
    labels = GENERATOR.integers(0, 2, (2, 4, 3))
    first = model.evaluate(x, labels, verbose=0)
    assert model.evaluate(x, labels[..., None], verbose=0) == pytest.approx(first, rel=1e-6)
    assert np.isfinite(model.fit(x, labels, verbose=0).history["loss"][0])


@every_softmax_loss
@pytest.mark.parametrize("shape", YES_OR_NO, ids=str)
def test_maps_of_ids(name, shape):
    ids = GENERATOR.integers(0, 5, shape)
    y_pred = logits(*shape, 5)
    function, options = function_of(name), softmax_arguments(name)
    expected = array(function(ids.ravel(), y_pred.reshape(-1, 5), **options)).reshape(shape)
    for labels in (ids, ids[..., None], ids.tolist(), tensor(ids[..., None])):
        np.testing.assert_allclose(array(function(labels, y_pred, **options)), expected, rtol=1e-6)
    first = np.moveaxis(y_pred, -1, 1)
    for labels in (ids, ids[..., None]):
        values = array(function(labels, first, axis=1, **options))
        np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_every_case_has_a_kind_here():
    assert {case.loss for case in CASES} >= {*SOFTMAX, *SIGMOID}
