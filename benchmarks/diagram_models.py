"""Models whose diagrams are compared with what they compute: small, and wired in every way."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import Input, Model, Sequential, layers, ops

MODELS: dict[str, Callable[[], Any]] = {}
APPLICATIONS = {
    "MobileNet": 32,
    "MobileNetV2": 32,
    "ResNet50": 32,
    "VGG16": 32,
    "Xception": 71,
}
"""Of `keras.applications`, with the width of a picture."""


def model(make: Callable[[], Any]) -> Callable[[], Any]:
    """Adds a model; the docstring says what it is."""
    MODELS[make.__doc__.rstrip(".")] = make
    return make


for _name, _width in APPLICATIONS.items():
    MODELS[f"{_name} of keras.applications"] = lambda name=_name, width=_width: getattr(
        keras.applications, name
    )(weights=None, input_shape=(width, width, 3), include_top=False, pooling="avg")


def features(name: str, size: int = 4) -> Any:
    """An input of numbers."""
    return Input((size,), name=name)


def tokens(name: str) -> Any:
    """An input of token ids; 0 is padding."""
    return Input((6,), dtype="int32", name=name)


def dense(name: str, units: int = 4) -> Any:
    """A layer that loses nothing."""
    return layers.Dense(units, name=name)


def two_towers(name: str = "towers", as_dict: bool = False, outputs: str = "sum") -> Any:
    """A model of two inputs that are not treated alike."""
    left, right = features("left"), features("right")
    first, second = dense(f"{name}_first")(left), dense(f"{name}_second")(dense("more")(right))
    given = {"left": left, "right": right} if as_dict else [left, right]
    joined = {
        "sum": lambda: layers.Add()([first, second]),
        "right": lambda: second,
        "each": lambda: [first, second],
        "dict": lambda: {"of_left": first, "of_right": second},
    }
    return Model(given, joined[outputs](), name=name)


def example(made: Any, generator: np.random.Generator) -> Any:
    """Random inputs in the structure that the model takes."""
    if isinstance(made, tuple):
        structure = made[1]
    else:
        structure = made.inputs[0] if isinstance(made, Sequential) else made.input

    def fill(tensor: Any) -> np.ndarray:
        shape = [2 if size is None else size for size in tensor.shape]
        if "int" in str(tensor.dtype):
            ids = generator.integers(1, 10, shape)
            ids[:, generator.integers(2, 5) :] = 0
            return ids.astype("int32")
        # Pictures are bright: what is left of others after the layers of a whole application, not
        # trained, can be too little for float32.
        scale = 255 if len(shape) == 4 else 1
        return (scale * generator.normal(size=shape)).astype("float32")

    return keras.tree.map_structure(fill, structure)


# Layers that are called more than once.


def unused(tensor: Any) -> None:
    """A call that no output comes from: without any, Keras 3.12 refuses the input."""
    dense("unused")(tensor)


@model
def siamese() -> Any:
    """Siamese: one layer for two inputs."""
    a, b, shared = features("a"), features("b"), dense("shared")
    return Model([a, b], layers.Subtract(name="minus")([shared(a), shared(b)]))


@model
def siamese_apart() -> Any:
    """Siamese with two outputs."""
    a, b, shared = features("a"), features("b"), dense("shared")
    return Model([a, b], [shared(a), shared(b)])


@model
def three_streams() -> Any:
    """Three inputs through the same layers, compared in two pairs."""
    inputs = [features(name) for name in ("question", "right", "wrong")]
    first, second, dot = dense("first"), dense("second"), layers.Dot(-1, name="dot")
    question, right, wrong = (second(first(each)) for each in inputs)
    return Model(inputs, [dot([question, right]), dot([question, wrong])])


@model
def twice_in_a_row() -> Any:
    """A layer called on what it gave."""
    a, shared = features("a"), dense("shared")
    return Model(a, shared(shared(a)))


@model
def twice_with_a_stop() -> Any:
    """A layer called on what it gave, and both results given out."""
    a, b, shared = features("a"), features("b"), dense("shared")
    once = shared(a)
    return Model([a, b], [once, shared(layers.Add(name="plus")([once, b]))])


@model
def other_shapes() -> Any:
    """A layer on pictures of two sizes."""
    small, large = Input((8, 8, 1), name="small"), Input((16, 16, 1), name="large")
    shared = layers.Conv2D(2, 3, name="shared")
    pool = layers.GlobalAveragePooling2D(name="pool")
    return Model([small, large], [pool(shared(small)), pool(shared(large))])


@model
def unused_elsewhere() -> Any:
    """Layers taken over from another model, on other inputs."""
    old, shared = features("old"), dense("shared")
    other = dense("other")
    Model(old, dense("not_here")(other(shared(old))))
    a, b = features("a"), features("b")
    return Model([a, b], [other(shared(a)), shared(b)])


@model
def part_of_a_model() -> Any:
    """A model between the layers of another."""
    a, b = features("a"), features("b")
    hidden = dense("hidden")(layers.Add(name="plus")([a, b]))
    whole = Model([a, b], dense("last")(hidden))
    return Model(whole.inputs, whole.get_layer("hidden").output)


@model
def other_picture_size() -> Any:
    """Layers of a model for pictures, called on larger ones."""
    small = Input((8, 8, 1), name="small")
    conv, more = layers.Conv2D(2, 3, name="conv"), layers.Conv2D(2, 3, name="more")
    Model(small, more(conv(small)))
    large, other = Input((16, 16, 1), name="large"), Input((16, 16, 1), name="other")
    return Model([large, other], [more(conv(large)), conv(other)])


# Nested models.


@model
def nested() -> Any:
    """A nested model, called with a list."""
    x, y = features("x"), features("y")
    return Model([x, y], dense("last")(two_towers()([x, y])))


@model
def nested_crossed() -> Any:
    """A nested model that gets the inputs in the other order, and uses one."""
    x, y = features("x"), features("y")
    return Model([x, y], two_towers(outputs="right")([y, x]))


@model
def nested_dict() -> Any:
    """A nested model of a dict, called with a dict."""
    x, y = features("x"), features("y")
    return Model([x, y], two_towers(as_dict=True, outputs="right")({"right": x, "left": y}))


@model
def nested_list_by_dict() -> Any:
    """A nested model of a list, called with a dict of names."""
    x, y = features("x"), features("y")
    inner = two_towers(outputs="right")
    return Model([x, y], inner({"right": x, "left": y}))


@model
def nested_unsorted_by_dict() -> Any:
    """A nested model whose names are not in alphabetical order, called with a dict."""
    z, a = features("z"), features("a")
    unused(a)
    inner = Model([z, a], dense("of_z")(z), name="inner")
    x, y = features("x"), features("y")
    return Model([x, y], inner({"a": x, "z": y}))


@model
def nested_keyword() -> Any:
    """A nested model, called with a keyword."""
    x, y = features("x"), features("y")
    return Model([x, y], two_towers(outputs="right")(inputs=[x, y]))


@model
def nested_twice() -> Any:
    """A nested model called twice, on different pairs."""
    x, y, z = features("x"), features("y"), features("z")
    inner = two_towers(outputs="right")
    return Model([x, y, z], [inner([x, y]), inner([y, z])])


@model
def nested_outputs() -> Any:
    """A nested model with an output of each input."""
    x, y = features("x"), features("y")
    return Model([x, y], two_towers(outputs="each")([x, y]))


@model
def nested_one_output() -> Any:
    """A nested model, one of whose outputs nobody takes."""
    x, y = features("x"), features("y")
    return Model([x, y], dense("last")(two_towers(outputs="each")([x, y])[1]))


@model
def nested_dict_outputs() -> Any:
    """A nested model with a dict of outputs."""
    x, y = features("x"), features("y")
    given = two_towers(outputs="dict")([x, y])
    return Model([x, y], {"first": given["of_left"], "second": given["of_right"]})


@model
def nested_twice_deep() -> Any:
    """A nested model inside of another, each called twice."""
    inner_input = features("inner_input")
    inner = Model(inner_input, dense("deep")(inner_input), name="inner")
    left, right = features("left"), features("right")
    middle = Model([left, right], [inner(right), inner(left)], name="middle")
    x, y, z = features("x"), features("y"), features("z")
    return Model([x, y, z], [*middle([x, y]), middle([y, z])[0]])


@model
def nested_passing() -> Any:
    """A nested model that gives an input back as it is."""
    a, b = features("a"), features("b")
    unused(b)
    inner = Model([a, b], [b, dense("inside")(a)], name="inner")
    x, y = features("x"), features("y")
    first, second = inner([x, y])
    return Model([x, y], [dense("of_first")(first), dense("of_second")(second)])


@model
def nested_names() -> Any:
    r"""Names that mean something elsewhere: a:b, <b>, a\nb, "quoted", ä & ö."""
    x, y = features("x:<1>"), features('y "2"')
    a, b = features("a & b"), features("ä;ö")
    inner = Model([a, b], dense("d|{e}")(layers.Subtract(name="a->b")([a, b])), name="a:b")
    last = Sequential([dense("c\\nd")], name="back\\slash")
    return Model([x, y], [last(inner([x, y])), dense("#[]")(x)])


@model
def nested_same_name() -> Any:
    """Two nested models of one name."""
    first, second = (
        Sequential([features("given"), dense("inside")], name="block") for _ in range(2)
    )
    x, y = features("x"), features("y")
    wrapped = Model(second.inputs, second.outputs, name="outer")
    inner = Sequential([features("given"), first], name="chain")
    return Model([x, y], [inner(x), wrapped(y)])


@model
def nested_sizes() -> Any:
    """A nested model on pictures of two sizes."""
    given = Input((None, None, 1), name="given")
    inner = Model(given, layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3, name="conv")(given)))
    small, large = Input((8, 8, 1), name="small"), Input((16, 16, 1), name="large")
    return Model([small, large], [inner(small), inner(large)])


@model
def nested_cast() -> Any:
    """A nested model that gets another dtype and one axis less."""
    a, b = Input((3, 1), name="a"), Input((4,), dtype="float32", name="b")
    inner = Model([a, b], [layers.Flatten(name="flat")(a), dense("of_b")(b)], name="inner")
    x, y = Input((4,), dtype="int32", name="x"), Input((3,), name="y")
    return Model([x, y], inner({"b": x, "a": y}))


# Sequential models.


@model
def sequential() -> Any:
    """Sequential."""
    return Sequential([features("given"), dense("first"), layers.ReLU(), dense("second")])


@model
def sequential_shared() -> Any:
    """A Sequential encoder of two inputs."""
    encoder = Sequential([features("given"), dense("first"), dense("second")], name="encoder")
    a, b = features("a"), features("b")
    return Model([a, b], [encoder(a), dense("last")(encoder(b))])


@model
def sequential_of_models() -> Any:
    """Sequential with a functional and a Sequential model inside."""
    given = features("given")
    skipping = Model(given, layers.Add(name="plus")([given, dense("inside")(given)]), name="skip")
    chain = Sequential([dense("one"), dense("two")], name="chain")
    return Sequential([features("input"), skipping, chain, dense("last")])


# Structures of inputs and outputs.


@model
def dict_inputs() -> Any:
    """A dict of inputs and a dict of outputs."""
    b, a = features("b"), features("a")
    return Model({"b": b, "a": a}, {"of_b": dense("d")(b), "both": layers.Add()([a, b])})


@model
def list_of_lists() -> Any:
    """Inputs in lists of lists."""
    a, b, c = features("a"), features("b"), features("c")
    return Model([[a, b], c], [layers.Concatenate()([c, a]), dense("of_b")(b)])


@model
def input_as_output() -> Any:
    """An input that is an output as well, and one that no output comes from."""
    a, b, c = features("a"), features("b"), features("c")
    unused(c)
    return Model([a, b, c], [a, layers.Add(name="plus")([a, b])])


@model
def output_on_the_way() -> Any:
    """An output that others go on from, and one given twice."""
    a, b = features("a"), features("b")
    first = dense("first")(a)
    second = layers.Add(name="plus")([dense("second")(first), b])
    return Model([a, b], [first, second, second])


@model
def several_arguments() -> Any:
    """Attention with query, value and key."""
    query, value, key = (Input((3, 4), name=name) for name in ("query", "value", "key"))
    attention = layers.MultiHeadAttention(2, 2, name="attention")
    return Model([query, value, key], [attention(query, value, key=key), attention(value, query)])


@model
def self_attention() -> Any:
    """A Transformer's block."""
    given, extra = Input((3, 4), name="given"), Input((3, 4), name="extra")
    attended = layers.MultiHeadAttention(2, 2, name="attention")(given, given)
    normed = layers.LayerNormalization(name="norm")(layers.Add(name="plus")([given, attended]))
    return Model([given, extra], [normed, layers.Dense(4, name="of_extra")(extra)])


@model
def operations() -> Any:
    """Operations of keras.ops and of Python, the same tensor twice."""
    a, b = features("a"), features("b")
    left = ops.concatenate([a * 2.0 - b, ops.sin(a)], axis=-1)
    return Model([a, b], [left, ops.matmul(b, ops.transpose(b)), (a * a)[:, :2]])


@model
def several_results() -> Any:
    """A layer with several results, its states for another."""
    a, b = Input((3, 4), name="a"), Input((3, 4), name="b")
    sequence, *state = layers.LSTM(4, return_sequences=True, return_state=True, name="encoder")(a)
    decoded = layers.LSTM(4, name="decoder")(b, initial_state=state)
    return Model([a, b], [decoded, layers.Flatten(name="flat")(sequence)])


# Masks.


@model
def masked() -> Any:
    """Embedding with a mask, and LSTM."""
    given = tokens("tokens")
    embedded = layers.Embedding(10, 4, mask_zero=True, name="embedding")(given)
    return Model(given, dense("last")(layers.LSTM(4, name="lstm")(embedded)))


@model
def masked_by_hand() -> Any:
    """A mask made by hand, for an LSTM and a product."""
    text, other = tokens("text"), features("other")
    mask = ops.not_equal(text, 0)
    embedded = layers.Embedding(10, 4, name="embedding")(text)
    read = layers.LSTM(4, name="lstm")(embedded, mask=mask)
    factor = ops.cast(ops.expand_dims(mask, -1), "float32")
    total = layers.GlobalAveragePooling1D(name="mean")(embedded * factor)
    return Model([text, other], [read, layers.Add(name="plus")([total, other])])


@model
def mask_of_another() -> Any:
    """A mask made of another input than what it masks."""
    text, lengths = Input((6, 4), name="values"), tokens("lengths")
    read = layers.GRU(4, name="gru")(text, mask=ops.greater(lengths, 0))
    return Model([text, lengths], [read, layers.Flatten(name="flat")(text)])


@model
def masked_shared() -> Any:
    """A shared masked encoder, two directions."""
    question, answer = tokens("question"), tokens("answer")
    embedding = layers.Embedding(10, 4, mask_zero=True, name="embedding")
    reader = layers.Bidirectional(layers.GRU(4), name="reader")
    first, second = reader(embedding(question)), reader(embedding(answer))
    return Model([question, answer], [first, layers.Dot(-1, name="dot")([first, second])])


@model
def masked_nested() -> Any:
    """A nested recurrent model that gets its mask from outside."""
    given = Input((6, 4), name="given")
    inner = Model(given, layers.LSTM(4, name="lstm")(given), name="inner")
    text, other = tokens("text"), features("other")
    embedded = layers.Embedding(10, 4, mask_zero=True, name="embedding")(text)
    return Model([text, other], [inner(embedded), dense("of_other")(other)])


@model
def masked_sequential() -> Any:
    """A Sequential text encoder with its mask inside, of two texts."""
    encoder = Sequential(
        [tokens("given"), layers.Embedding(10, 4, mask_zero=True), layers.LSTM(4, name="lstm")],
        name="encoder",
    )
    question, answer = tokens("question"), tokens("answer")
    return Model([question, answer], [encoder(question), encoder(answer)])


@model
def counted_mask() -> Any:
    """A mask that is counted as well."""
    text, other = tokens("text"), features("other")
    mask = ops.not_equal(text, 0)
    read = layers.LSTM(4, name="lstm")(layers.Embedding(10, 4, name="embedding")(text), mask=mask)
    count = ops.sum(ops.cast(mask, "float32"), axis=-1, keepdims=True)
    return Model([text, other], [read * count, dense("of_other")(other)])


# Recipes of this package.


@model
def answer_ranker() -> Any:
    """The answer ranker: question, right and wrong answer."""
    from recipes.answer_ranker.model import build_answer_ranker

    return build_answer_ranker(10, embedding_dim=4, units=3, word_sum=True).trainer


@model
def text_classifier() -> Any:
    """The text classifier."""
    from recipes.text_classifier import build_text_classifier

    return build_text_classifier(vocabulary_size=10, num_classes=3, embedding_dim=4, units=3)


# Subclassed models.


class Pair(Model):
    """Two layers of two arguments, one called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.last = dense("shared"), dense("last")

    def call(self, inputs: Any) -> Any:
        """Of a dict of `u` and `v`."""
        u, v = self.shared(inputs["u"]), self.shared(inputs["v"])
        return {"u": self.last(u), "both": u + v}


@model
def subclassed() -> Any:
    """A subclassed model of a dict."""
    made = Pair()
    made({"u": np.ones((1, 4)), "v": np.ones((1, 4))})
    return made, {"u": keras.KerasTensor((None, 4)), "v": keras.KerasTensor((None, 4))}


@model
def subclassed_nested() -> Any:
    """A subclassed model inside of a functional one."""
    x, y = features("x"), features("y")
    given = Pair()({"u": y, "v": x})
    return Model([x, y], [given["both"], given["u"]])
