"""Sizes of 1, where two meanings look alike: one class, one group, one candidate, one row."""

import backends
import keras
import numpy as np
import pytest
from backends import BACKEND, COMPILED_MODES, array
from keras import ops
from kinds import SOFTMAX, every_mode, function_of, invalid, only_tensorflow, raises_in

import keras_ce
from keras_ce.layers import LinearCrossentropy
from keras_ce.losses import (
    GroupedSoftmaxCrossentropy,
    InBatchCrossentropy,
    MarginRanking,
    WeightedSigmoidCrossentropy,
    grouped_softmax_crossentropy,
    in_batch_crossentropy,
    label_smoothed_crossentropy,
    margin_ranking,
)

SIGMOID_LOSS = "WeightedSigmoidCrossentropy"
every_softmax_loss = pytest.mark.parametrize("name", SOFTMAX)

# Shapes of labels and predictions, and the class axis.
ONE_CLASS = [
    ((4,), (4, 1), -1),
    ((4, 1), (4, 1), -1),
    ((4, 1), (4, 1), 1),
    ((1,), (1, 1), -1),
    ((1, 1), (1, 1), -1),
    ((4, 3), (4, 3, 1), -1),
    ((4, 3, 1), (4, 3, 1), -1),
    ((4, 1, 1), (4, 1, 1), -1),
    ((4, 3), (4, 1, 3), 1),
    ((4, 3, 1), (4, 1, 3), 1),
    ((4, 1, 3), (4, 1, 3), 1),
    ((4, 1, 3), (4, 1, 3), -2),
    ((4, 1, 1), (4, 1, 1), 1),
    ((4, 2, 1, 3), (4, 2, 1, 3), 2),
    ((4, 2, 3), (4, 2, 3, 1), -1),
]


def yes_or_no(*shape):
    return (np.arange(np.prod(shape, dtype=int)) % 2).astype("float32").reshape(shape)


# --- a softmax over one class ---


@every_softmax_loss
class TestOneClass:
    def test_is_an_error_for_ids_and_rows_along_every_axis(self, name):
        function, arguments = function_of(name), SOFTMAX[name]
        loss_class = getattr(keras_ce.losses, name)
        for labels, y_pred, axis in ONE_CLASS:
            for options in ({}, {"from_logits": True}):
                if options and name == "LogitAdjustedCrossentropy":
                    continue
                options = {**arguments, **options, "axis": axis}
                for dtype in ("float32", "int32"):
                    given = yes_or_no(*labels).astype(dtype), np.ones(y_pred, "float32")
                    with pytest.raises(ValueError, match=SIGMOID_LOSS):
                        function(*given, **options)
                    with pytest.raises(ValueError, match=SIGMOID_LOSS):
                        loss_class(**options)(*given)

    def test_is_an_error_for_one_single_row(self, name):
        for labels in ((), (1,)):
            with pytest.raises(ValueError, match=SIGMOID_LOSS):
                function_of(name)(yes_or_no(*labels), np.ones(1, "float32"), **SOFTMAX[name])

    # It is raised at the trace, before anything is compiled.
    @pytest.mark.parametrize("mode", COMPILED_MODES[-1:])
    def test_is_an_error_when_compiled(self, name, mode):
        for labels, y_pred, axis in ONE_CLASS[:2] + ONE_CLASS[8:12]:
            loss = getattr(keras_ce.losses, name)(**SOFTMAX[name], axis=axis)
            given = yes_or_no(*labels), np.ones(y_pred, "float32")
            raises_in(mode, loss, *given, match=SIGMOID_LOSS)

    @only_tensorflow
    def test_is_an_error_in_a_graph_of_unknown_batches(self, name):
        import tensorflow as tf

        loss = getattr(keras_ce.losses, name)(**SOFTMAX[name])
        for labels in ([None], [None, 1], [None, None]):
            run = tf.function(
                lambda y_true, y_pred: loss(y_true, y_pred),
                input_signature=[tf.TensorSpec(labels), tf.TensorSpec([None, 1])],
            )
            with pytest.raises(ValueError, match=SIGMOID_LOSS):
                run.get_concrete_function()

    def test_is_an_error_with_weights_and_an_ignored_class(self, name):
        given = yes_or_no(4, 1), np.ones((4, 1), "float32")
        loss = getattr(keras_ce.losses, name)(**SOFTMAX[name], ignore_class=-1)
        for weights in (None, np.zeros(4, "float32"), np.ones((4, 1), "float32")):
            with pytest.raises(ValueError, match=SIGMOID_LOSS):
                loss(*given, weights)

    @only_tensorflow
    def test_is_never_a_silent_zero_where_a_graph_does_not_know_the_classes(self, name):
        import tensorflow as tf

        if name == "LogitAdjustedCrossentropy":
            pytest.skip("a prior needs a known number of classes")
        loss = getattr(keras_ce.losses, name)(reduction="none")
        for labels in ([None], [None, 1]):
            run = tf.function(
                lambda y_true, y_pred: loss(y_true, y_pred),
                input_signature=[tf.TensorSpec(labels), tf.TensorSpec([None, None])],
            )
            shape = (4,) if len(labels) == 1 else (4, 1)
            try:
                values = run(tf.zeros(shape), tf.ones((4, 1)))
            except (ValueError, tf.errors.InvalidArgumentError):
                continue
            assert np.all(np.isnan(values))


# The error of one loss, as above, and what Keras makes of it.
@pytest.mark.parametrize(
    "options",
    [{"run_eagerly": True}]
    + ([] if BACKEND == "torch" else [{"jit_compile": False}, {"jit_compile": True}]),
    ids=str,
)
@pytest.mark.parametrize("labels", [(8,), (8, 1)])
def test_one_class_is_an_error_in_fit(labels, options):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", keras_ce.losses.LabelSmoothedCrossentropy(), **options)
    with pytest.raises(ValueError, match=SIGMOID_LOSS):
        model.fit(np.ones((8, 3), "float32"), yes_or_no(*labels), verbose=0)


# --- arguments of length 1 ---


@pytest.mark.parametrize("sizes", [[1], [1, 2], [3, 1], [1, 1, 1], (2, 1), np.array([2, 1])])
def test_a_group_of_one_class(sizes):
    at = list(sizes).index(1)
    y_pred = np.ones((2, sum(sizes)), "float32")
    for make in (
        lambda: GroupedSoftmaxCrossentropy(sizes),
        lambda: grouped_softmax_crossentropy(np.ones_like(y_pred), y_pred, sizes),
    ):
        with invalid("group_sizes", position=(at,), value=1) as caught:
            make()
        assert SIGMOID_LOSS in caught.value.fix


def test_no_group_at_all():
    for sizes in ([], (), np.array([], "int32")):
        with invalid("group_sizes"):
            GroupedSoftmaxCrossentropy(sizes)


@every_mode
@pytest.mark.parametrize("labels", [(4,), (4, 1)])
def test_a_list_of_one_candidate(labels, mode):
    message = "at least two candidates"
    given = np.zeros(labels, "float32"), np.ones((4, 1), "float32")
    raises_in(mode, margin_ranking, *given, match=message)
    raises_in(mode, MarginRanking(0.5), *given, match=message)
    nested = np.zeros((4, *labels[1:], 1), "float32")
    raises_in(mode, margin_ranking, nested, np.ones((4, 3, 1), "float32"), match="`y_")


def test_one_single_candidate_without_a_batch():
    for labels in (0, [0], [1.5]):
        with pytest.raises(ValueError, match="at least two candidates"):
            margin_ranking(labels, np.ones(1, "float32"))


def test_an_output_layer_of_one_class():
    with invalid("num_classes", value=1) as caught:
        LinearCrossentropy(1)
    assert SIGMOID_LOSS in caught.value.fix


@pytest.mark.parametrize("value", [[0.5], (1,), np.array([2.0]), np.array([2], "int64")])
@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("LabelSmoothedCrossentropy", "prior"),
        ("LabelSmoothedCrossentropy", "class_weight"),
        ("FocalCrossentropy", "class_weight"),
        ("LogitAdjustedCrossentropy", "class_prior"),
    ],
)
def test_numbers_for_one_class(name, argument, value):
    y_pred = np.ones((2, 2), "float32")
    with invalid(argument):
        getattr(keras_ce.losses, name)(**{argument: value})
    with invalid(argument):
        function_of(name)([0, 1], y_pred, **{argument: value})


@pytest.mark.parametrize("key", [0, "0"])
def test_counts_of_one_class_by_id(key):
    with invalid("class_prior"):
        keras_ce.losses.LogitAdjustedCrossentropy({key: 5})


@pytest.mark.parametrize("pos_weight", [3.0, [3.0], np.array([3.0]), {0: 3.0}, np.float32(3)])
def test_one_yes_or_no_output_may_have_a_list_of_one_weight(pos_weight):
    logits = np.array([[0.5], [-1.0]], "float32")
    loss = WeightedSigmoidCrossentropy(pos_weight, from_logits=True, reduction="none")
    expected = [3 * np.log1p(np.exp(-0.5)), np.log1p(np.exp(-1.0))]
    for labels in ([1, 0], [[1], [0]]):
        np.testing.assert_allclose(array(loss(labels, logits)), expected, rtol=1e-5)


# --- one row ---


@every_mode
@pytest.mark.parametrize("labels", [(1,), (1, 1)])
def test_one_row_has_nobody_to_lose_to(labels, mode):
    ids, similarities = np.full(labels, 7, "int32"), np.array([[0.3]], "float32")
    for loss in (in_batch_crossentropy, InBatchCrossentropy()):
        value, slope = backends.gradient(
            lambda y_pred, y_true, loss=loss: loss(y_true, y_pred), similarities, ids, mode=mode
        )
        np.testing.assert_array_equal(value, 0)
        np.testing.assert_array_equal(slope, [[0]])


@only_tensorflow
def test_one_row_in_a_graph_of_unknown_batches():
    import tensorflow as tf

    run = tf.function(
        lambda y_true, y_pred: InBatchCrossentropy()(y_true, y_pred),
        input_signature=[tf.TensorSpec([None, None], "int32"), tf.TensorSpec([None, None])],
    )
    assert run([[3]], [[0.5]]) == 0


# --- one position, one time step, one group: not what one class is ---

LOGITS = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
IDS = np.array([1, 0, 4, 2], "int32")
ROWS = np.eye(5, dtype="float32")[IDS]


@every_softmax_loss
def test_one_time_step_is_no_class(name):
    options = {**SOFTMAX[name]}
    if name == "LogitAdjustedCrossentropy":
        options["class_prior"] = [1.0, 2.0, 3.0, 4.0, 5.0]
    else:
        options["from_logits"] = True
    function = function_of(name)
    expected = array(function(IDS, LOGITS, **options))
    for rows in (slice(0, 4), slice(2, 3)):  # a batch of one row, too
        ids, labels, logits = IDS[rows], ROWS[rows], LOGITS[rows]
        wanted = expected[rows]
        steps = logits[:, None]
        for given in (ids[:, None], ids[:, None, None], labels[:, None]):
            np.testing.assert_allclose(
                array(function(given, steps, **options))[:, 0], wanted, rtol=1e-6
            )
        columns = logits[..., None]  # class axis 1, one pixel
        for given in (ids[:, None], ids[:, None, None], labels[..., None]):
            values = array(function(given, columns, **options, axis=1))
            np.testing.assert_allclose(values[:, 0], wanted, rtol=1e-6)


def test_one_group_is_no_class():
    expected = array(label_smoothed_crossentropy(IDS, LOGITS, 0.0, from_logits=True))
    for labels, logits in (
        (IDS[:, None], LOGITS),
        (ROWS, LOGITS),
        (IDS[:, None, None], LOGITS[:, None]),
        (ROWS[:, None], LOGITS[:, None]),
    ):
        values = array(grouped_softmax_crossentropy(labels, logits, [5], from_logits=True))
        np.testing.assert_allclose(values.ravel(), expected, rtol=1e-6)
    # Labels without an axis of groups would be those of another loss.
    with pytest.raises(ValueError, match="`y_true` must be flat rows"):
        grouped_softmax_crossentropy(IDS, LOGITS, [5], from_logits=True)


def test_one_list_is_no_candidate():
    expected = array(margin_ranking(IDS, LOGITS, 0.5))
    for labels in (IDS[:, None], IDS[:, None, None], ROWS[:, None]):
        values = array(margin_ranking(labels, LOGITS[:, None], 0.5))
        np.testing.assert_allclose(values[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(array(margin_ranking([1], LOGITS[0], 0.5)), expected[0], rtol=1e-6)


def test_one_position_of_the_output_layer():
    head = LinearCrossentropy(5, use_bias=False)
    head.build((None, 5))
    head.set_weights([np.eye(5)])
    expected = array(label_smoothed_crossentropy(IDS, LOGITS, 0.0, from_logits=True))
    for labels, features in (
        (IDS[:, None], LOGITS),
        (IDS[:, None], LOGITS[:, None]),
        (IDS[:, None, None], LOGITS[:, None]),
    ):
        np.testing.assert_allclose(array(head(features, labels)).ravel(), expected, rtol=1e-5)
        one = array(head(features[:1], labels[:1])).ravel()
        np.testing.assert_allclose(one, expected[:1], rtol=1e-5)


def test_weights_of_one_row_or_one_step():
    loss = keras_ce.losses.LabelSmoothedCrossentropy(0.0, from_logits=True, reduction="none")
    plain = array(loss(IDS, LOGITS))
    weights = np.array([1.0, 0.5, 0.0, 3.0], "float32")
    for shape in ((4,), (4, 1), (4, 1, 1)):
        values = array(loss(IDS[:, None], LOGITS[:, None], weights.reshape(shape)))
        np.testing.assert_allclose(values[:, 0], plain * weights, rtol=1e-6)
    for shape in ((4,), (4, 1)):
        values = array(loss(IDS, LOGITS, weights.reshape(shape)))
        np.testing.assert_allclose(values, plain * weights, rtol=1e-6)
    for shape in ((), (1,), (1, 1)):
        values = array(loss(IDS[None], LOGITS[None], np.full(shape, 2.0, "float32")))
        np.testing.assert_allclose(values[0], 2 * plain, rtol=1e-6)


class Repeated(keras.layers.Layer):
    """Repeats the one time step, and passes on its mask, which has no longer one per position."""

    def __init__(self, number, axis):
        super().__init__()
        self.supports_masking = True
        self.number, self.axis = number, axis

    def call(self, inputs):
        return ops.repeat(inputs, self.number, self.axis)


@pytest.mark.parametrize(("batch", "axis"), [(1, 1), (2, 1), (1, 0)])
def test_a_mask_of_one_entry_is_a_mask(batch, axis):
    """(1, 1) for positions (1, 4) is as wrong as (2, 1) for (2, 4)."""
    masked = keras.layers.Masking(99.0)(ops.ones((batch, 1, 5)))
    y_pred = Repeated(4, axis)(masked)
    loss = keras_ce.losses.LabelSmoothedCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match="mask of `y_pred` must have one entry per position"):
        loss(np.zeros(tuple(y_pred.shape)[:2], "int32"), y_pred)
    right = keras.layers.Masking(1.0)(ops.ones((1, 1, 5)))  # the one position is masked
    assert float(loss([[0]], right)) == 0
