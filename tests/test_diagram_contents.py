"""What `plot_model` draws: compared with what the model computes, and read back from the file."""

import functools
import re
import xml.etree.ElementTree as ElementTree

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ce

pygraphviz = pytest.importorskip("pygraphviz")

from benchmarks.diagram_models import MODELS  # noqa: E402
from benchmarks.diagrams import by_keras, by_us, computed, drawn, keras_outputs, model_of  # noqa: E402


@functools.cache
def built(name):
    return MODELS[name]()


def text_of(model, folder, extension="dot", **options):
    path = folder / f"model.{extension}"
    keras_ce.plot_model(model, path, **options)
    return path.read_text(encoding="utf-8")


def labels_of(model, folder, **options):
    """The words of each box, in the order of the calls."""
    graph = pygraphviz.AGraph(string=text_of(model, folder, **options))
    nodes = sorted(graph.nodes(), key=lambda node: int(node[1:]))
    labels = [str(node.attr["label"]) for node in nodes]
    return [" ".join(re.sub("<[^>]*>", " ", label).split()) for label in labels]


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("name", MODELS)
def test_arrows_are_those_of_the_computation(name):
    made = built(name)
    model = model_of(made)
    has_inner = any(isinstance(layer, keras.Model) for layer in model.layers)
    for expanded in (False, True) if has_inner else (True,):
        expected = computed(made, expanded)
        for hide_masks in (False, True):
            text = by_us(made, expand_nested=expanded, hide_masks=hide_masks)
            assert drawn(text, expected) == expected


def test_the_comparison_finds_what_keras_draws_wrong():
    made = MODELS["A nested model whose names are not in alphabetical order, called with a dict"]()
    expected = computed(made, True)
    found = drawn(by_keras(made, True), expected, keras_outputs(made, True))
    assert expected.outputs == {"": {"y"}}
    assert found.outputs == {"": {"x"}}


@pytest.fixture
def siamese():
    """One layer on two sizes of pictures, one model on both results."""
    small, large = keras.Input((8, 8, 1), name="small"), keras.Input((9, 9, 1), name="large")
    shared = layers.Conv2D(2, 3, name="shared")
    pool = layers.GlobalAveragePooling2D(name="pool")
    tower = keras.Sequential([keras.Input((2,)), layers.Dense(5, name="inside")], name="tower")
    return keras.Model(
        [small, large],
        layers.Subtract(name="minus")([tower(pool(shared(small))), tower(pool(shared(large)))]),
    )


class TestCalls:
    def test_each_is_a_box_with_its_shapes_and_a_tag(self, siamese, tmp_path):
        labels = labels_of(siamese, tmp_path, show_shapes=True)
        assert "Conv2D (None, 8, 8, 1) → (None, 6, 6, 2) layer A, call 1 of 2" in labels
        assert "Conv2D (None, 9, 9, 1) → (None, 7, 7, 2) layer A, call 2 of 2" in labels
        assert "1: (None, 5) 2: (None, 5) Subtract → (None, 5)" in labels

    def test_boxes_of_one_layer_share_a_colour_of_their_own(self, siamese, tmp_path):
        graph = pygraphviz.AGraph(string=text_of(siamese, tmp_path))
        colours = {}
        for node in graph.nodes():
            label = str(node.attr["label"])
            colour = re.search(r'bgcolor="([^"]*)"', label)[1]
            colours.setdefault(re.search(r"(layer .|Input|Subtract)", label)[1], set()).add(colour)
        assert set(colours) == {"layer A", "layer B", "layer C", "Input", "Subtract"}
        assert all(len(each) == 1 for each in colours.values())
        assert len(set.union(*colours.values())) == 5

    def test_one_box_with_all_shapes_on_request(self, siamese, tmp_path):
        labels = labels_of(siamese, tmp_path, show_shapes=True, show_calls=False)
        assert len(labels) == 6
        assert (
            "Conv2D (None, 8, 8, 1) or (None, 9, 9, 1) → (None, 6, 6, 2) or (None, 7, 7, 2)"
            in labels
        )

    def test_layers_inside_of_a_shared_model_have_its_tag(self, siamese, tmp_path):
        text = text_of(siamese, tmp_path, expand_nested=True)
        assert text.count("<b>tower</b> (Sequential), layer") == 2
        labels = labels_of(siamese, tmp_path, expand_nested=True)
        assert labels.count("Dense") == 2

    def test_names_of_several_inputs_are_always_shown(self, siamese, tmp_path):
        labels = labels_of(siamese, tmp_path)
        assert {"small InputLayer", "large InputLayer"} < set(labels)
        single = keras.Sequential([keras.Input((2,), name="alone"), layers.ReLU()])
        assert labels_of(single, tmp_path) == ["InputLayer", "ReLU"]


class TestArguments:
    def test_an_arrow_ends_at_the_argument_that_it_feeds(self, tmp_path):
        made = MODELS["Attention with query, value and key"]()
        lines = text_of(made, tmp_path, extension="mmd", show_layer_names=True).splitlines()
        names = dict(re.findall(r'(b\d+)\["<b>([^<]*)</b>', "\n".join(lines)))
        fed = {
            (names[source], argument, int(target[1:]))
            for source, argument, target in re.findall(
                r'(b\d+) -->\|"(\w+)"\| (b\d+)', "\n".join(lines)
            )
        }
        first, second = sorted({target for *_, target in fed})
        assert fed in (
            {("query", "query", a), ("value", "value", a), ("key", "key", a)}
            | {("value", "query", b), ("query", "value", b)}
            for a, b in ((first, second), (second, first))
        )

    def test_ports_of_dot_are_the_cells(self, tmp_path):
        a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
        model = keras.Model([a, b], layers.Subtract()([b, a]))
        graph = pygraphviz.AGraph(string=text_of(model, tmp_path))
        boxes = {re.search(r"<b>(\w)</b>|Sub", str(node.attr["label"]))[0]: node for node in graph}
        target = boxes["Sub"]
        assert re.findall(r'port="(\w+)"[^>]*><[^>]*>(\d)', str(target.attr["label"])) == [
            ("a0", "1"),
            ("a1", "2"),
        ]
        ends = {
            source: graph.get_edge(node, target).attr["headport"]
            for source, node in boxes.items()
            if source != "Sub"
        }
        assert ends == {"<b>b</b>": "a0:n", "<b>a</b>": "a1:n"}
        # Right angles do not end at a cell.
        assert graph.graph_attr["splines"] == "spline"

    def test_the_order_of_a_sum_says_nothing(self, tmp_path):
        a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
        model = keras.Model([a, b], layers.Add()([b, a]))
        assert labels_of(model, tmp_path)[2] == "Add"
        assert "splines=ortho" in text_of(model, tmp_path)


class TestNestedModels:
    @pytest.fixture
    def deep(self):
        given = keras.Input((2,))
        inner = keras.Sequential([keras.Input((2,)), layers.ReLU()], name="inner")
        middle = keras.Model(given, layers.Softmax()(inner(given)), name="middle")
        return keras.Sequential([keras.Input((2,)), middle])

    def test_levels(self, deep, tmp_path):
        assert labels_of(deep, tmp_path)[1:] == ["Functional"]
        one = labels_of(deep, tmp_path, max_depth=1)
        assert sorted(one[1:]) == ["InputLayer", "Sequential", "Softmax"]
        everything = labels_of(deep, tmp_path, expand_nested=True)
        assert sorted(everything[1:]) == ["InputLayer", "ReLU", "Softmax"]
        assert labels_of(deep, tmp_path, max_depth=2) == everything

    def test_names_of_any_characters_are_drawn_as_they_are(self, tmp_path):
        name = next(name for name in MODELS if name.startswith("Names that mean"))
        text = text_of(MODELS[name](), tmp_path, "svg", expand_nested=True, show_layer_names=True)
        root = ElementTree.fromstring(text)
        words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
        expected = {
            "a:b",
            "a->b",
            "d|{e}",
            "back\\slash",
            "c\\nd",
            'y "2"',
            "x:<1>",
            "a & b",
            "#[]",
        }
        assert expected <= {word.replace("\N{NO-BREAK SPACE}", " ") for word in words}


class TestRepeats:
    def blocks(self, activations, shared=None):
        given = tensor = keras.Input((4,))
        for activation in activations:
            dense = shared or layers.Dense(4, activation=activation)
            tensor = layers.Add()([tensor, dense(tensor) * 2.0])
        return keras.Model(given, layers.Softmax()(tensor))

    def rows(self, model, folder):
        graph = pygraphviz.AGraph(string=text_of(model, folder, fold_repeats=True))
        blocks = [str(each.graph_attr["label"]) for each in graph.subgraphs_iter()]
        return [int(re.search(r"<b>(\d+) times in a row</b>", each)[1]) for each in blocks]

    def test_alike_blocks_are_drawn_once(self, tmp_path):
        model = self.blocks(["relu"] * 5)
        assert self.rows(model, tmp_path) == [5]
        labels = labels_of(model, tmp_path, fold_repeats=True)
        assert labels == ["InputLayer", "Dense", "Multiply", "Add", "Softmax"]
        arrows = re.findall(r"(b\d) -> (b\d)", text_of(model, tmp_path, fold_repeats=True))
        assert sorted(arrows) == [
            ("b0", "b1"),
            ("b0", "b3"),
            ("b1", "b2"),
            ("b2", "b3"),
            ("b3", "b4"),
        ]

    def test_all_are_drawn_unless_asked(self, tmp_path):
        assert labels_of(self.blocks(["relu"] * 5), tmp_path).count("Dense") == 5

    def test_others_are_not(self, tmp_path):
        assert self.rows(self.blocks(["relu", "relu", "tanh", "tanh", "tanh"]), tmp_path) == [2, 3]
        assert self.rows(self.blocks(["relu", "tanh", "relu", "tanh"]), tmp_path) == [2]
        assert self.rows(self.blocks(["relu", "tanh", "sigmoid"]), tmp_path) == []

    def test_nor_is_what_shares_its_weights(self, tmp_path):
        shared = layers.Dense(4)
        assert self.rows(self.blocks([None] * 3, shared), tmp_path) == []

    def test_nor_are_other_constants(self, tmp_path):
        given = tensor = keras.Input((4,))
        for factor in (2.0, 2.0, 3.0):
            tensor = layers.ReLU()(tensor * factor)
        assert self.rows(keras.Model(given, layers.Softmax()(tensor)), tmp_path) == [2]

    def test_the_blocks_of_resnet50(self, tmp_path):
        model = built("ResNet50 of keras.applications")
        # Of 3, 4, 6 and 3 blocks all but the first of each stage.
        assert self.rows(model, tmp_path) == [2, 3, 5, 2]


class TestMasks:
    def test_they_are_dotted(self, tmp_path):
        text = text_of(MODELS["Embedding with a mask, and LSTM"](), tmp_path)
        assert text.count("[style=dotted]") == 1
        assert "NotEqual" in text

    def test_hidden_ones_leave_a_dotted_arrow_from_what_they_are_made_of(self, tmp_path):
        made = MODELS["A mask made by hand, for an LSTM and a product"]()
        text = text_of(made, tmp_path, "mmd", show_layer_names=True, hide_masks=True)
        for plumbing in ("NotEqual", "ExpandDims", "Cast", "Multiply"):
            assert plumbing not in text
        numbers = {name: box for box, name in re.findall(r'(b\d+)\["<b>([^<]*)</b>', text)}
        text_box, mean = numbers["text"], numbers["mean"]
        assert f"{text_box} -.-> {mean}" in text
        assert f"{numbers['embedding']} --> {mean}" in text
        assert f'{text_box} -.->|"mask"| {numbers["lstm"]}' in text

    def test_what_something_else_reads_stays(self, tmp_path):
        made = MODELS["A mask that is counted as well"]()
        assert {"NotEqual", "Cast"} <= set(labels_of(made, tmp_path, hide_masks=True))


def test_parameters_and_their_share(siamese, tmp_path):
    labels = labels_of(siamese, tmp_path, show_parameters=True)
    # 3 * 3 * 2 + 2 of the convolution, 2 * 5 + 5 of the tower.
    assert "Conv2D layer A, call 1 of 2 20 parameters, 57.1 %" in labels
    assert "Conv2D layer A, call 2 of 2 the same 20 parameters" in labels
    assert "Sequential layer C, call 1 of 2 15 parameters, 42.9 %" in labels


def test_parameters_of_two_layers_count_once(tmp_path):
    class Tied(layers.Layer):
        """The transposed kernel of another layer, and a bias."""

        def __init__(self, other):
            super().__init__()
            self.other = other
            self.bias = self.add_weight(shape=(3,))

        def call(self, inputs):
            return ops.matmul(inputs, ops.transpose(self.other.kernel)) + self.bias

    given = keras.Input((3,))
    first = layers.Dense(3, use_bias=False)
    hidden = first(given)
    outputs = Tied(first)(hidden)
    labels = labels_of(keras.Model(given, outputs), tmp_path, show_parameters=True)
    assert labels[1] == "Dense 9 parameters, 75.0 %"
    assert labels[2] == "Tied 3 parameters, 25.0 %, and 9 of another layer"


def test_outputs_are_named_where_there_are_several(tmp_path):
    made = MODELS["A dict of inputs and a dict of outputs"]()
    assert {"Dense output of_b", "Add output both"} < set(labels_of(made, tmp_path))


def test_the_dtype_of_a_layer_of_mixed_precision(tmp_path):
    class Doubled(layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight(shape=(input_shape[-1],))

        def call(self, inputs):
            return inputs * self.factor

    given = keras.Input((3,))
    outputs = Doubled(dtype="mixed_float16")(given)
    assert outputs.dtype == "float16"
    labels = labels_of(keras.Model(given, outputs), tmp_path, show_dtype=True)
    assert labels == ["InputLayer float32", "Doubled float16"]


def test_the_style_of_keras(siamese, tmp_path):
    text = text_of(siamese, tmp_path, style="keras", show_shapes=True, show_dtype=True)
    assert 'bgcolor="black"' in text
    assert "Output shape: <b>(None, 5)</b>" in text
    assert "Output dtype: <b>float32</b>" in text
    assert 'bgcolor="black"' not in text_of(siamese, tmp_path)


class TestSubclassedModels:
    def test_one_that_works_on_symbolic_inputs_is_drawn(self, tmp_path):
        made, _ = MODELS["A subclassed model of a dict"]()
        assert sorted(labels_of(made, tmp_path)) == [
            "Add output both",
            "Dense layer A, call 1 of 2",
            "Dense layer A, call 2 of 2",
            "Dense output u",
            "u InputLayer",
            "v InputLayer",
        ]

    def test_another_is_one_box(self, tmp_path):
        class Branching(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = layers.Dense(2)

            def call(self, inputs):
                return self.dense(inputs if float(ops.sum(inputs)) > 0 else -inputs)

        model = Branching()
        model(np.ones((1, 3)))
        assert labels_of(model, tmp_path) == ["Branching"]

    def test_a_call_of_its_own_in_a_functional_class_is_what_is_drawn(self, tmp_path):
        class Doubled(keras.Model):
            def call(self, inputs):
                return ops.sin(super().call(inputs))

        a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
        labels = labels_of(Doubled([a, b], layers.Subtract()([a, b])), tmp_path)
        assert labels[:2] == ["a InputLayer", "b InputLayer"]
        assert labels[-2:] == ["1 2 Subtract", "Sin"]


def test_drawing_leaves_the_model_as_it_was(siamese, tmp_path):
    before = keras.utils.model_to_dot(siamese).to_string(), siamese.to_json()
    text_of(siamese, tmp_path, expand_nested=True)
    assert (keras.utils.model_to_dot(siamese).to_string(), siamese.to_json()) == before


def test_drawing_leaves_the_names_of_what_comes_next(tmp_path):
    made = built("A nested model whose names are not in alphabetical order, called with a dict")

    def numbers():
        tensor = keras.Input((1,))
        model = keras.Model(tensor, layers.Identity()(tensor))
        names = [model.name, *(layer.name for layer in model.layers)]
        return [int(re.search(r"\d*$", name)[0] or 0) for name in names]

    before = numbers()
    text_of(made, tmp_path, expand_nested=True)
    assert numbers() == [number + 1 for number in before]


def test_a_page_holds_the_picture(siamese, tmp_path):
    text = text_of(siamese, tmp_path, "html", show_layer_names=True)
    assert text.startswith("<!doctype html>")
    assert text.count("<svg") == 1
    assert ">shared</text>" in text


def test_mermaid_has_blocks_and_dotted_arrows(tmp_path):
    made = MODELS["A Sequential text encoder with its mask inside, of two texts"]()
    lines = text_of(made, tmp_path, "mmd", expand_nested=True, rankdir="LR").splitlines()
    assert lines[0] == "flowchart LR"
    blocks = [line for line in lines if line.startswith("subgraph")]
    assert blocks == [
        f'subgraph s{number}["encoder (Sequential), layer A, call {number + 1} of 2"]'
        for number in range(2)
    ]
    assert lines.count("end") == 2
    assert sum(" -.->" in line for line in lines) == 2


class TestLargePictures:
    @pytest.fixture
    def tall(self):
        return keras.Sequential([keras.Input((2,)), *(layers.ReLU() for _ in range(120))])

    def test_more_pixels_than_graphviz_draws_are_fewer_in_silence(self, tall, tmp_path, capfd):
        path = tmp_path / "model.png"
        keras_ce.plot_model(tall, path, dpi=700)
        height = int.from_bytes(path.read_bytes()[20:24], "big")
        assert 30_000 < height < 32_768
        assert capfd.readouterr().err == ""

    def test_too_few_to_be_read_are_refused(self, tall, tmp_path, monkeypatch):
        monkeypatch.setattr(keras_ce.diagrams._graphviz, "_LEAST_DPI", 500)
        path = tmp_path / "model.png"
        with pytest.raises(ValueError, match=r"dpi=500 or more\. Received: .*Write '\.svg'"):
            keras_ce.plot_model(tall, path, dpi=700)
        assert not path.exists()

    def test_curved_arrows_around_many_blocks_end(self, tmp_path):
        given = tensor = keras.Input((2,))
        for _ in range(25):
            tensor = layers.Add()([tensor, layers.ReLU()(tensor)])
        keras_ce.plot_model(keras.Model(given, tensor), tmp_path / "model.svg", splines="curved")
