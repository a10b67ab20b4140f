"""Arguments: one number for each class, by class id or in turn, however many; and one number."""

import collections
import copy
import fractions
import functools
import importlib.util
import inspect
import json
import re
import sys
import time
import timeit
import types

import backends
import keras
import numpy as np
import pytest
from backends import COMPILED_MODES, array
from cases import CASES, CLASSES
from kinds import function_of, invalid, only_torch, tensor

import keras_ce
from keras_ce.layers import LinearCrossentropy
from keras_ce.losses import (
    FocalCrossentropy,
    LabelSmoothedCrossentropy,
    LogitAdjustedCrossentropy,
    MarginRanking,
    WeightedSigmoidCrossentropy,
    label_smoothed_crossentropy,
    logit_adjusted_crossentropy,
)

PER_CLASS = [
    ("LabelSmoothedCrossentropy", "prior", {"from_logits": True}),
    ("LabelSmoothedCrossentropy", "class_weight", {"from_logits": True}),
    ("FocalCrossentropy", "class_weight", {"from_logits": True}),
    ("LogitAdjustedCrossentropy", "class_prior", {}),
    ("WeightedSigmoidCrossentropy", "pos_weight", {"from_logits": True}),
]
every_argument = pytest.mark.parametrize(
    ("name", "argument", "options"),
    PER_CLASS,
    ids=[f"{name}-{each}" for name, each, _ in PER_CLASS],
)
MISSING = {"class_weight": 1.0, "pos_weight": 1.0, "prior": 0.0}
GENERATOR = np.random.default_rng(4)
LOGITS = GENERATOR.normal(size=(4, CLASSES)).astype("float32")
IDS = np.array([4, 0, 2, 1], "int32")


def labels_for(name, y_pred, ids=IDS):
    ids = np.resize(ids, len(y_pred)).astype("int32")
    if "Sigmoid" not in name:
        return ids
    return (ids[:, None] == np.arange(y_pred.shape[-1])).astype("float32")


def losses_of(name, argument, options, value, y_pred=LOGITS):
    """What the class and the function give for an argument: they must be the same."""
    labels = labels_for(name, y_pred)
    arguments = {**options, argument: value}
    loss = getattr(keras_ce.losses, name)(**arguments, reduction="none")
    values = array(loss(labels, y_pred))
    np.testing.assert_array_equal(array(function_of(name)(labels, y_pred, **arguments)), values)
    return values


# --- many classes ---

MANY, FEWER = 65_536, 16_384


def calls_during(function):
    """How many calls Python makes: a number that no other process on the machine changes."""
    count = 0

    def counted(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def seconds_of(function):
    """The quickest of three calls, after one in which JAX compiles its operations.

    In processor time of this thread and without garbage collection, so that what else the machine
    and this process do does not count.
    """
    function()
    return min(timeit.repeat(function, number=1, repeat=3, timer=time.thread_time))


@functools.cache
def predictions(num_classes):
    return tensor(GENERATOR.normal(size=(3, num_classes)).astype("float32"))


FORMS = {
    "list": lambda numbers: numbers.tolist(),
    "integers": lambda numbers: np.ceil(numbers).astype(int).tolist(),
    "tuple": lambda numbers: tuple(numbers.tolist()),
    "float64": lambda numbers: numbers,
    "float32": lambda numbers: numbers.astype("float32"),
    "int64": lambda numbers: np.ceil(numbers).astype("int64"),
    "tensor": lambda numbers: tensor(numbers.astype("float32")),
}


@pytest.mark.parametrize("form", FORMS)
@every_argument
def test_a_call_does_no_work_for_each_class_in_python(name, argument, options, form):
    counts, seconds = {}, {}
    for num_classes in (FEWER, MANY):
        numbers = FORMS[form](GENERATOR.uniform(0.5, 2, num_classes))
        y_pred = predictions(num_classes)
        labels = tensor(labels_for(name, np.empty((3, num_classes))))
        function = functools.partial(
            function_of(name), labels, y_pred, **options, **{argument: numbers}
        )
        loss = getattr(keras_ce.losses, name)(**options, **{argument: numbers})
        calls = {"function": function, "class": functools.partial(loss, labels, y_pred)}
        for kind, each in calls.items():
            seconds[kind] = seconds_of(each)
            counts.setdefault(kind, []).append(calls_during(each))
    for kind, (few, many) in counts.items():
        assert many <= 1.2 * few + 50, f"{kind}: {few} calls for {FEWER} classes, {many} for {MANY}"
        assert seconds[kind] < 1


@every_argument
def test_a_call_with_a_list_of_numpy_numbers_takes_no_second(name, argument, options):
    numbers = list(GENERATOR.uniform(0.5, 2, MANY).astype("float32"))
    labels = tensor(labels_for(name, np.empty((3, MANY))))
    run = functools.partial(
        function_of(name), labels, predictions(MANY), **options, **{argument: numbers}
    )
    assert seconds_of(run) < 1


@every_argument
def test_a_loss_converts_once(name, argument, options, monkeypatch):
    from keras_ce._core import per_class

    made = []
    to_array, constant = per_class.PerClass.array, per_class.backend.Constant

    def watched_array(self, num_classes):
        made.append("array")
        return to_array(self, num_classes)

    def watched_constant(values):
        made.append("constant")
        return constant(values)

    monkeypatch.setattr(per_class.PerClass, "array", watched_array)
    monkeypatch.setattr(per_class.backend, "Constant", watched_constant)
    numbers = GENERATOR.uniform(0.5, 2, CLASSES)
    loss = getattr(keras_ce.losses, name)(**options, **{argument: numbers})
    expected = array(loss(labels_for(name, LOGITS), LOGITS))
    assert 0 < made.count("constant") <= 3
    made.clear()
    for mode in backends.MODES:
        value = backends.call(loss, labels_for(name, LOGITS), LOGITS, mode=mode)
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert made == []


@pytest.mark.parametrize("mode", COMPILED_MODES)
@every_argument
def test_what_a_compiled_call_made_serves_every_other(name, argument, options, mode):
    """No tensor of a trace outlives it."""
    numbers = GENERATOR.uniform(0.5, 2, CLASSES)
    labels = labels_for(name, LOGITS)
    loss = getattr(keras_ce.losses, name)(**options, **{argument: numbers})
    first = backends.call(loss, labels, LOGITS, mode=mode)
    np.testing.assert_allclose(array(loss(labels, LOGITS)), first, rtol=1e-6)
    value, _ = backends.gradient(lambda y_pred, y_true: loss(y_true, y_pred), LOGITS, labels)
    np.testing.assert_allclose(value, first, rtol=1e-6)
    again = backends.call(lambda *given: loss(*given), labels, LOGITS, mode=mode)
    np.testing.assert_allclose(again, first, rtol=1e-6)


@only_torch
@pytest.mark.parametrize("first", ["inference_mode", "no_grad", "functional"])
@every_argument
def test_what_an_inference_made_serves_training(name, argument, options, first):
    import torch

    numbers = GENERATOR.uniform(0.5, 2, CLASSES)
    labels = labels_for(name, LOGITS)
    arguments = {**options, argument: numbers}
    fresh = getattr(keras_ce.losses, name)(**arguments)
    used = getattr(keras_ce.losses, name)(**arguments)
    if first == "functional":
        torch.func.grad(lambda y_pred: used.call(labels, y_pred).sum())(tensor(LOGITS))
    else:
        with getattr(torch, first)():
            used(labels, LOGITS)
    results = [
        backends.gradient(lambda y_pred, y_true, loss=loss: loss(y_true, y_pred), LOGITS, labels)
        for loss in (fresh, used)
    ]
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-6)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-6)


@every_argument
def test_a_loss_that_was_called_can_be_copied(name, argument, options):
    numbers = GENERATOR.uniform(0.5, 2, CLASSES)
    loss = getattr(keras_ce.losses, name)(**options, **{argument: numbers})
    expected = float(loss(labels_for(name, LOGITS), LOGITS))
    twin = copy.deepcopy(loss)
    assert float(twin(labels_for(name, LOGITS), LOGITS)) == pytest.approx(expected, rel=1e-6)
    assert twin.get_config() == loss.get_config()


@every_argument
def test_one_loss_serves_outputs_of_two_dtypes(name, argument, options):
    numbers = GENERATOR.uniform(0.5, 2, CLASSES)
    loss = getattr(keras_ce.losses, name)(**options, **{argument: numbers})
    labels = labels_for(name, LOGITS)
    single, double, half = (
        loss(labels, LOGITS.astype(each)) for each in ("float32", "float64", "float16")
    )
    assert float(single) == pytest.approx(float(double), rel=1e-6)
    assert float(half) == pytest.approx(float(double), rel=1e-2)


# --- numbers that have labels of their own ---


class Series:
    """What pandas has, as far as a loss may look: its order is not that of its labels."""

    def __init__(self, numbers_of):
        self._numbers_of = list(numbers_of)
        self.index = [key for key, _ in self._numbers_of]
        self.values = np.array([value for _, value in self._numbers_of])
        self.dtype, self.shape, self.ndim = self.values.dtype, self.values.shape, 1

    def items(self):
        return iter(self._numbers_of)

    def __len__(self):
        return len(self.index)

    def __iter__(self):
        return iter(self.values)

    def __getitem__(self, key):
        return self.values[self.index.index(key)]

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype or self.values.dtype)


def pandas_series(pairs):
    import pandas

    keys, numbers = zip(*pairs, strict=True)
    return pandas.Series(list(numbers), index=list(keys))


LABELLED = {
    "dict": dict,
    "texts": lambda pairs: {str(key): value for key, value in pairs},
    "numpy keys": lambda pairs: {np.int64(key): np.float32(value) for key, value in pairs},
    "floats as keys": lambda pairs: {float(key): value for key, value in pairs},
    "Counter": lambda pairs: collections.Counter(dict(pairs)),
    "OrderedDict": collections.OrderedDict,
    "proxy": lambda pairs: types.MappingProxyType(dict(pairs)),
    "UserDict": lambda pairs: collections.UserDict(dict(pairs)),
    "Series": Series,
    "Series of text keys": lambda pairs: Series([(str(key), value) for key, value in pairs]),
    "pandas": pandas_series,
}
every_labelled_form = pytest.mark.parametrize(
    "form",
    [
        pytest.param(
            form,
            marks=pytest.mark.skipif(
                form == "pandas" and importlib.util.find_spec("pandas") is None,
                reason="pandas is not installed; the stand-in is",
            ),
        )
        for form in LABELLED
    ],
)


@every_labelled_form
@every_argument
class TestByClassId:
    def test_by_frequency_is_not_by_position(self, name, argument, options, form):
        """As `value_counts()` sorts it."""
        pairs = [(3, 8), (1, 5), (0, 4), (4, 2), (2, 1)]
        in_turn = [4.0, 5.0, 1.0, 8.0, 2.0]
        given = LABELLED[form](pairs)
        expected = losses_of(name, argument, options, in_turn)
        np.testing.assert_allclose(losses_of(name, argument, options, given), expected, rtol=1e-6)

    def test_missing_ids(self, name, argument, options, form):
        given = LABELLED[form]([(3, 8), (1, 5)])
        if argument == "class_prior":
            with invalid(argument) as caught:
                getattr(keras_ce.losses, name)(given, **options)
            assert "lass 0" in str(caught.value)
            with invalid(argument):
                function_of(name)(IDS, LOGITS, given, **options)
            return
        in_turn = [5.0 if at == 1 else 8.0 if at == 3 else MISSING[argument] for at in range(5)]
        expected = losses_of(name, argument, options, in_turn)
        np.testing.assert_allclose(losses_of(name, argument, options, given), expected, rtol=1e-6)

    def test_an_id_that_is_no_class_of_the_model(self, name, argument, options, form):
        pairs = [(5, 1), (1, 2), (0, 3), (2, 1), (4, 1), (3, 2)]
        loss = getattr(keras_ce.losses, name)(**options, **{argument: LABELLED[form](pairs)})
        with pytest.raises(ValueError, match=f"`{argument}`"):
            loss(labels_for(name, LOGITS), LOGITS)

    def test_a_saved_config_means_the_same(self, name, argument, options, form):
        pairs = [(3, 8), (1, 5), (0, 4), (2, 1)]
        pairs += [(4, 2)] if argument == "class_prior" else []
        loss = getattr(keras_ce.losses, name)(**options, **{argument: LABELLED[form](pairs)})
        expected = float(loss(labels_for(name, LOGITS), LOGITS))
        config = json.loads(json.dumps(keras.losses.serialize(loss)))
        again = keras.losses.deserialize(config)
        assert float(again(labels_for(name, LOGITS), LOGITS)) == expected
        assert again.get_config() == loss.get_config()


@every_argument
class TestKeys:
    @pytest.mark.parametrize(
        "key",
        [
            1.7,
            np.float32(1.7),
            -1,
            "-1",
            "one",
            "",
            "1.7",
            "1.0",
            None,
            float("nan"),
            float("inf"),
            True,
            np.True_,
            (1,),
            b"1",
            2**31,
            "2147483648",
            10**400,
            "9" * 400,
            1j,
        ],
        ids=lambda key: repr(key)[:24],
    )
    def test_a_key_that_is_no_class_id(self, name, argument, options, key):
        for given in ({key: 5.0, 0: 1.0, 2: 1.0}, Series([(0, 1.0), (key, 5.0)])):
            with invalid(argument) as caught:
                getattr(keras_ce.losses, name)(**options, **{argument: given})
            assert repr(key)[:20] in str(caught.value)

    @pytest.mark.parametrize(
        "pairs",
        [
            [(1, 3), ("1", 5)],
            [("1", 5), (1, 3)],
            [(1, 3), (1, 3)],
            [(1.0, 3), ("1", 3)],
            [("1", 3), (" 1", 3)],
            [("1", 3), ("01", 3)],
        ],
        ids=str,
    )
    def test_two_numbers_for_one_class(self, name, argument, options, pairs):
        pairs = [(0, 1.0), *pairs, (2, 2.0)]
        forms = [Series(pairs)] + ([dict(pairs)] if len(dict(pairs)) == len(pairs) else [])
        for given in forms:
            with invalid(argument) as caught:
                getattr(keras_ce.losses, name)(**options, **{argument: given})
            assert "lass 1" in str(caught.value)

    @pytest.mark.parametrize(
        "value", [-1.0, float("nan"), float("inf"), True, "2", None, [1.0], 10**400], ids=repr
    )
    def test_a_value_that_is_no_number(self, name, argument, options, value):
        with invalid(argument, position=(1,)):
            getattr(keras_ce.losses, name)(
                **options, **{argument: {0: 1.0, 1: value, 2: 1.0, 3: 1.0, 4: 1.0}}
            )
        with invalid(argument, position=(1,)):
            getattr(keras_ce.losses, name)(**options, **{argument: [1.0, value, 1.0, 1.0, 1.0]})

    @pytest.mark.parametrize(
        "value",
        [
            "12345",
            b"12345",
            {1.0, 2.0, 3.0},
            frozenset([1.0, 2.0]),
            np.ones((2, 2)),
            [],
            {}.values(),
            {0: 1.0, 1: 1.0}.values(),
            (each for each in (1.0, 2.0)),
            object(),
            np.array(["a", "b"]),
            np.array([True, False]),
            [[1.0, 2.0], [3.0, 4.0]],
            np.array([1 + 1j, 2]),
        ],
        ids=lambda value: re.sub(r" at 0x\w+", "", repr(value))[:30],
    )
    def test_what_is_no_sequence_of_numbers(self, name, argument, options, value):
        with pytest.raises(keras_ce.InvalidValuesError) as caught:
            getattr(keras_ce.losses, name)(**options, **{argument: value})
        assert caught.value.argument.startswith(argument)


def test_a_prior_without_any_mass():
    for prior in ([0.0, 0.0], {}, {1: 0}, Series([(3, 0.0)])):
        with invalid("prior"):
            LabelSmoothedCrossentropy(prior=prior)


def test_the_wrong_number_of_numbers():
    for name, argument, options in PER_CLASS:
        loss = getattr(keras_ce.losses, name)(**options, **{argument: [1.0] * (CLASSES + 1)})
        with pytest.raises(ValueError, match=f"`{argument}` must have one number per class"):
            loss(labels_for(name, LOGITS), LOGITS)


def test_a_saved_model_means_the_same(tmp_path):
    loss = LabelSmoothedCrossentropy(
        from_logits=True,
        prior=Series([(3, 8), (1, 5)]),
        class_weight=collections.Counter({4: 3, 1: 2}),
    )
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(CLASSES)])
    model.compile("sgd", loss, run_eagerly=True)
    x = np.ones((4, 3), "float32")
    expected = model.evaluate(x, IDS, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert again.evaluate(x, IDS, verbose=0) == pytest.approx(expected, rel=1e-6)
    assert again.loss.class_weight == {4: 3.0, 1: 2.0}
    assert again.loss.prior == {3: 8.0, 1: 5.0}


def test_the_users_array_is_not_the_losss():
    weights, counts = np.ones(CLASSES), {0: 2.0}
    losses = [FocalCrossentropy(class_weight=each, from_logits=True) for each in (weights, counts)]
    expected = [float(loss(IDS, LOGITS)) for loss in losses]
    weights[:] = counts[0] = 99.0
    assert [float(loss(IDS, LOGITS)) for loss in losses] == expected
    fresh = [type(loss).from_config(loss.get_config()) for loss in losses]
    assert [float(loss(IDS, LOGITS)) for loss in fresh] == expected


# --- one number ---

NUMBERS = {
    "AsymmetricSigmoidCrossentropy": ["gamma_positive", "gamma_negative", "clip", "ignore_label"],
    "DistillationCrossentropy": ["temperature"],
    "FocalCrossentropy": ["gamma"],
    "GeneralizedCrossentropy": ["q"],
    "GroupedSoftmaxCrossentropy": ["label_smoothing"],
    "InBatchCrossentropy": ["temperature"],
    "LabelSmoothedCrossentropy": ["label_smoothing"],
    "ListwiseCrossentropy": ["temperature", "ignore_label"],
    "LogitAdjustedCrossentropy": ["strength"],
    "MarginRanking": ["margin", "ignore_label"],
    "MultiLabelSoftmaxCrossentropy": ["ignore_label"],
    "Poly1Crossentropy": ["epsilon"],
    "SupervisedContrastive": ["temperature"],
    "SymmetricCrossentropy": ["alpha", "beta"],
    "TripletMargin": ["margin"],
    "WeightedSigmoidCrossentropy": ["pos_weight", "label_smoothing", "ignore_label"],
}
NEEDED = {
    "GroupedSoftmaxCrossentropy": {"group_sizes": [2, 3]},
    "LogitAdjustedCrossentropy": {"class_prior": [1.0, 2.0, 3.0]},
}
every_number = pytest.mark.parametrize(
    ("name", "argument"), [(name, each) for name, given in NUMBERS.items() for each in given]
)
HUGE = [10**400, -(10**400), fractions.Fraction(10**400), fractions.Fraction(-(10**400), 3)]
NO_NUMBER = [float("nan"), float("inf"), -float("inf"), np.float32("inf"), True, np.False_, 1j, "1"]
NO_NUMBER += [b"1", object(), np.array(["a"])]


def refused(name, argument, value):
    with invalid(argument) as caught:
        getattr(keras_ce.losses, name)(**NEEDED.get(name, {}), **{argument: value})
    with invalid(argument):
        function_of(name)(
            [0], np.ones((1, 3), "float32"), **NEEDED.get(name, {}), **{argument: value}
        )
    return caught.value


def test_every_argument_is_in_these_tables():
    others = {"from_logits", "ignore_class", "axis", "class_weight", "prior", "class_prior"}
    others |= {"group_sizes", "options", "mining", "distance", "weighting"}
    for name in filter(lambda name: name[0].isupper(), keras_ce.losses.__all__):
        parameters = inspect.signature(getattr(keras_ce.losses, name)).parameters
        assert set(parameters) - others == set(NUMBERS.get(name, []))


@every_number
def test_an_integer_beyond_every_float(name, argument):
    for value in HUGE:
        error = refused(name, argument, value)
        assert error.value == value
        assert error.expected


@every_number
def test_what_is_no_number(name, argument):
    for value in NO_NUMBER:
        if argument == "ignore_label" and value != value:
            continue  # NaN labels can be missing.
        error = refused(name, argument, value) if argument != "pos_weight" else None
        if error is None:
            with pytest.raises(keras_ce.InvalidValuesError) as caught:
                WeightedSigmoidCrossentropy(value)
            assert caught.value.argument.startswith("pos_weight")


@pytest.mark.parametrize("value", [10**5000, -(10**5000)], ids=["positive", "negative"])
def test_an_integer_that_python_does_not_write_out(value):
    for name, argument in (("MarginRanking", "margin"), ("FocalCrossentropy", "ignore_class")):
        refused(name, argument, value)
    with invalid("class_weight", position=(1,)):
        FocalCrossentropy(class_weight={0: 1.0, 1: value})


@every_number
def test_numbers_of_every_type_are_taken(name, argument):
    for value in (fractions.Fraction(1, 2), np.float32(0.5), np.float64(0.5), np.array(0.5)):
        if isinstance(value, np.ndarray) and argument != "pos_weight":
            continue
        loss = getattr(keras_ce.losses, name)(**NEEDED.get(name, {}), **{argument: value})
        assert getattr(loss, argument) == 0.5
        assert type(getattr(loss, argument)) is float
        assert json.loads(json.dumps(loss.get_config()))[argument] == 0.5


SOFTMAX = ["FocalCrossentropy", "GeneralizedCrossentropy", "LabelSmoothedCrossentropy"]
SOFTMAX += ["LogitAdjustedCrossentropy", "Poly1Crossentropy", "SymmetricCrossentropy"]


@pytest.mark.parametrize("name", SOFTMAX)
class TestIntegers:
    @pytest.mark.parametrize(
        "value",
        [10**400, -(10**400), 2**31, -(2**31), 1.0, float("nan"), True, "1", [1], np.float64(2)],
        ids=lambda value: repr(value)[:20],
    )
    def test_ignore_class(self, name, value):
        refused(name, "ignore_class", value)

    @pytest.mark.parametrize("value", [1.0, True, "1", None, [1], float("nan")], ids=repr)
    def test_axis(self, name, value):
        refused(name, "axis", value)

    def test_an_axis_that_no_array_has(self, name):
        for value in (10**400, -(10**400), 2, -3):
            loss = getattr(keras_ce.losses, name)(**NEEDED.get(name, {}), axis=value)
            with invalid("axis", value=value):
                loss([0], np.ones((1, 3), "float32"))

    def test_numpy_integers(self, name):
        loss = getattr(keras_ce.losses, name)(
            **NEEDED.get(name, {}), axis=np.int64(1), ignore_class=np.int8(-1)
        )
        assert (loss.axis, loss.ignore_class) == (1, -1)
        assert json.loads(json.dumps(loss.get_config()))["ignore_class"] == -1


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), float("nan"), True, "0"], ids=lambda value: repr(value)[:12]
)
def test_numbers_of_the_output_layer(value):
    for argument in ("label_smoothing", "ignore_class"):
        with invalid(argument):
            LinearCrossentropy(4, **{argument: value})


def test_group_sizes_that_no_array_has():
    for sizes in ([10**400, 2], [2, -(10**400)], [2.0, 3], [True, 3], ["2", 3], "23", 5, {2: 3}):
        with pytest.raises(ValueError, match="`group_sizes"):
            keras_ce.losses.GroupedSoftmaxCrossentropy(sizes)(
                np.zeros((1, 2)), np.ones((1, 5), "float32")
            )


# --- what a loss says of itself ---


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_repr_shows_the_arguments(case):
    loss = case.make(reduction="sum")
    text = repr(loss)
    assert text.startswith(f"{case.loss}(")
    parameters = inspect.signature(type(loss)).parameters
    for name, value in case.arguments.items():
        if np.any(value != parameters[name].default):
            assert f"{name}=" in text
    again = eval(text, vars(keras_ce.losses))
    assert {**again.get_config(), "name": loss.name} == loss.get_config()
    assert repr(again) == text


def test_repr_without_arguments_and_by_class_id():
    assert repr(MarginRanking()) == "MarginRanking()"
    assert repr(MarginRanking(ignore_label=-1)) == "MarginRanking(ignore_label=-1.0)"
    assert repr(FocalCrossentropy(class_weight=Series([(2, 3)]))) == (
        "FocalCrossentropy(class_weight={2: 3.0})"
    )
    assert "ignore_label='nan'" in repr(WeightedSigmoidCrossentropy(ignore_label=float("nan")))
    assert repr(LogitAdjustedCrossentropy(np.array([1, 2]))) == (
        "LogitAdjustedCrossentropy(class_prior=[1.0, 2.0])"
    )


def test_errors_show_the_loss_of_a_prior_given_twice():
    with pytest.raises(TypeError, match="class_prior"):
        logit_adjusted_crossentropy(IDS, LOGITS, [1.0] * 5, class_prior=[1.0] * 5)
    with pytest.raises(TypeError, match="label_smoothing"):
        label_smoothed_crossentropy(IDS, LOGITS, 0.1, label_smoothing=0.2)
