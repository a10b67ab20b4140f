"""`plot_model`: real files, with and without a `dot` program."""

import importlib.util
import inspect
import pathlib
import shutil
import struct
import sys
import xml.etree.ElementTree as ElementTree

import keras
import pydot
import pytest

import keras_ce

# Stands in for a Graphviz installation: a program that answers as `dot` does, whatever it is sent.
FAKE_DOT = """#!{python}
import sys
text = sys.stdin.read()
assert sys.argv[1:] == ["-Tpng"], sys.argv
sys.stdout.write("drawn by the program: " + str("digraph" in text))
"""
FAILING_DOT = """#!{python}
import sys
sys.exit('Format: "png" not recognized. Use one of: canon dot')
"""

needs_pygraphviz = pytest.mark.skipif(
    importlib.util.find_spec("pygraphviz") is None, reason="pygraphviz is not installed"
)


@pytest.fixture
def model() -> keras.Model:
    inner_input = keras.Input((3,), name="inner_input")
    inner_output = keras.layers.Dense(5, activation="relu", name="inner_dense")(inner_input)
    inner = keras.Model(inner_input, inner_output, name="inner_model")
    inputs = keras.Input((4,), name="features")
    hidden = keras.layers.Dense(3, name="first_dense")(inputs)
    outputs = keras.layers.Dense(2, activation="tanh", name="last_dense")(inner(hidden))
    return keras.Model(inputs, outputs, name="outer_model")


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """A machine on which the program `dot` is not installed."""
    empty = tmp_path / "no programs here"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    assert shutil.which("dot") is None


@pytest.fixture
def no_pygraphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which pygraphviz is not installed."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)


def install_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, script: str) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    program = folder / "dot"
    program.write_text(script.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def png_size(path: pathlib.Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def svg_texts(path: pathlib.Path) -> list[str]:
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_arguments_are_those_of_keras():
    ours = inspect.signature(keras_ce.plot_model).parameters
    theirs = inspect.signature(keras.utils.plot_model).parameters
    # Keras takes **kwargs only to refuse them.
    expected = [
        (name, parameter.default)
        for name, parameter in theirs.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    if "splines" not in theirs:
        expected.append(("splines", "ortho"))  # Keras 3.12, the oldest allowed, has not got it yet
    given = [(name, parameter.default) for name, parameter in ours.items()]
    assert given[: len(expected)] == expected
    # Those that Keras has not got stand behind a star.
    own = list(ours.values())[len(expected) :]
    assert {parameter.kind for parameter in own} == {inspect.Parameter.KEYWORD_ONLY}


@needs_pygraphviz
@pytest.mark.usefixtures("no_dot")
class TestWithoutDotProgram:
    """Row 19 of the facts: Keras refuses to write anything here."""

    def test_keras_refuses_and_we_draw(self, model, tmp_path):
        with pytest.raises(ImportError, match="graphviz"):
            keras.utils.plot_model(model, tmp_path / "theirs.png")
        assert keras_ce.plot_model(model, tmp_path / "ours.png") is None
        width, height = png_size(tmp_path / "ours.png")
        assert width > 100
        assert height > width

    def test_svg_holds_layer_names_and_shapes(self, model, tmp_path):
        path = tmp_path / "model.svg"
        keras_ce.plot_model(model, path, show_layer_names=True, show_shapes=True, show_dtype=True)
        text = " ".join(svg_texts(path))
        for name in ("features", "first_dense", "inner_model", "last_dense"):
            assert name in text
        for shape in ("(None, 4)", "(None, 3)", "(None, 5)", "(None, 2)", "float32"):
            assert shape in text
        assert "inner_dense" not in text

    def test_layer_names_shapes_and_activations_are_off_at_first(self, model, tmp_path):
        path = tmp_path / "model.svg"
        keras_ce.plot_model(model, path)
        text = " ".join(svg_texts(path))
        assert "Dense" in text
        for absent in ("first_dense", "None", "tanh", "float32", "trainable"):
            assert absent not in text

    def test_nested_models_are_expanded(self, model, tmp_path):
        path = tmp_path / "model.svg"
        keras_ce.plot_model(
            model,
            path,
            show_layer_names=True,
            expand_nested=True,
            show_layer_activations=True,
            show_trainable=True,
        )
        text = " ".join(svg_texts(path))
        for part in ("inner_model", "inner_dense", "relu", "tanh", "trainable"):
            assert part in text

    def test_pdf(self, model, tmp_path):
        keras_ce.plot_model(model, tmp_path / "model.pdf")
        assert (tmp_path / "model.pdf").read_bytes().startswith(b"%PDF-")

    def test_extension_decides_whatever_its_case_and_none_is_png(self, model, tmp_path):
        keras_ce.plot_model(model, str(tmp_path / "model.PNG"))
        keras_ce.plot_model(model, tmp_path / "model")
        assert png_size(tmp_path / "model.PNG") == png_size(tmp_path / "model")

    def test_dpi_scales_the_picture(self, model, tmp_path):
        keras_ce.plot_model(model, tmp_path / "coarse.png", dpi=50)
        keras_ce.plot_model(model, tmp_path / "fine.png", dpi=100)
        coarse, fine = png_size(tmp_path / "coarse.png"), png_size(tmp_path / "fine.png")
        assert fine[0] == pytest.approx(2 * coarse[0], abs=3)
        assert fine[1] == pytest.approx(2 * coarse[1], abs=3)

    def test_rankdir_turns_the_picture(self, model, tmp_path):
        keras_ce.plot_model(model, tmp_path / "model.png", rankdir="LR")
        width, height = png_size(tmp_path / "model.png")
        assert width > height

    def test_names_that_are_markup_are_drawn_as_they_are(self, tmp_path):
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(2, activation=lambda x: x, name="höhe")]
        )
        path = tmp_path / "model.svg"
        keras_ce.plot_model(model, path, show_layer_names=True, show_layer_activations=True)
        text = " ".join(svg_texts(path))
        assert "<lambda>" in text
        assert "höhe" in text

    def test_sequential_model(self, tmp_path):
        sequential = keras.Sequential([keras.layers.Dense(2), keras.layers.ReLU()])
        sequential.build((None, 3))
        keras_ce.plot_model(sequential, tmp_path / "sequential.svg")
        assert svg_texts(tmp_path / "sequential.svg") == ["InputLayer", "Dense", "ReLU"]

    def test_unknown_format_writes_nothing(self, model, tmp_path):
        path = tmp_path / "model.bogus"
        with pytest.raises(ValueError, match=r"could not write the format 'bogus'.*'\.png'"):
            keras_ce.plot_model(model, path)
        assert not path.exists()


class TestWithDotProgram:
    def test_it_is_used(self, model, tmp_path, monkeypatch):
        install_dot(monkeypatch, tmp_path, FAKE_DOT)
        keras_ce.plot_model(model, tmp_path / "model.png")
        assert (tmp_path / "model.png").read_text() == "drawn by the program: True"

    def test_it_suffices(self, model, tmp_path, monkeypatch, no_pygraphviz):
        install_dot(monkeypatch, tmp_path, FAKE_DOT)
        keras_ce.plot_model(model, tmp_path / "model.png")
        assert (tmp_path / "model.png").exists()

    @needs_pygraphviz
    def test_one_that_cannot_draw_this_format_is_not_the_end(self, model, tmp_path, monkeypatch):
        install_dot(monkeypatch, tmp_path, FAILING_DOT)
        keras_ce.plot_model(model, tmp_path / "model.png")
        assert png_size(tmp_path / "model.png")[0] > 0

    def test_its_own_words_are_reported(self, model, tmp_path, monkeypatch, no_pygraphviz):
        install_dot(monkeypatch, tmp_path, FAILING_DOT)
        with pytest.raises(ValueError, match="Use one of: canon dot"):
            keras_ce.plot_model(model, tmp_path / "model.png")
        assert not (tmp_path / "model.png").exists()

    @pytest.mark.skipif(shutil.which("dot") is None, reason="the program dot is not installed")
    def test_the_real_one(self, model, tmp_path, no_pygraphviz):
        keras_ce.plot_model(model, tmp_path / "model.svg", show_layer_names=True)
        assert "first_dense" in " ".join(svg_texts(tmp_path / "model.svg"))


@pytest.mark.usefixtures("no_dot", "no_pygraphviz")
class TestWithoutGraphviz:
    def test_the_error_says_what_to_install(self, model, tmp_path):
        with pytest.raises(ImportError, match=r"pip install pygraphviz.*\.dot"):
            keras_ce.plot_model(model, tmp_path / "model.png")
        assert not (tmp_path / "model.png").exists()

    # pydot 4's reader of dot text uses names that pyparsing 3.3 deprecates.
    @pytest.mark.filterwarnings("ignore:.* deprecated - use:DeprecationWarning:pydot")
    @pytest.mark.parametrize("extension", ["dot", "gv"])
    def test_dot_text_needs_none(self, model, tmp_path, extension):
        path = tmp_path / f"model.{extension}"
        keras_ce.plot_model(
            model, path, show_layer_names=True, rankdir="LR", dpi=70, splines="curved"
        )
        (graph,) = pydot.graph_from_dot_file(str(path))
        assert len(graph.get_edges()) == 3
        labels = " ".join(node.get("label") or "" for node in graph.get_nodes())
        for name in ("features", "first_dense", "inner_model", "last_dense"):
            assert name in labels
        settings = graph.get_graph_defaults()[0]
        assert settings == {**settings, "rankdir": "LR", "dpi": "70", "splines": "curved"}

    def test_neither_does_mermaid_text(self, model, tmp_path):
        keras_ce.plot_model(model, tmp_path / "model.mmd")
        assert (tmp_path / "model.mmd").read_text().startswith("flowchart TB\n")


class TestRefusals:
    def test_unbuilt_model(self, tmp_path):
        unbuilt = keras.Sequential([keras.layers.Dense(2)], name="unbuilt")
        with pytest.raises(ValueError, match=r"must be built.*model='unbuilt'.*model\.build"):
            keras_ce.plot_model(unbuilt, tmp_path / "model.png")

    def test_no_model(self, tmp_path):
        with pytest.raises(TypeError, match=r"`model` must be a `keras.Model`.*of type list"):
            keras_ce.plot_model([], tmp_path / "model.png")

    def test_folder_that_does_not_exist(self, model, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no folder '.*absent'. Create it"):
            keras_ce.plot_model(model, tmp_path / "absent" / "model.png")

    def test_folder_in_place_of_a_file(self, model, tmp_path):
        with pytest.raises(IsADirectoryError, match=r"which is a folder"):
            keras_ce.plot_model(model, tmp_path)

    @pytest.mark.parametrize("to_file", [None, 3, ""])
    def test_no_path(self, model, to_file):
        with pytest.raises(TypeError, match=r"`to_file` must be the path of a file. Received"):
            keras_ce.plot_model(model, to_file)

    def test_rankdir(self, model, tmp_path):
        with pytest.raises(ValueError, match=r"`rankdir` must be one of .*rankdir='up'"):
            keras_ce.plot_model(model, tmp_path / "model.dot", rankdir="up")

    def test_splines(self, model, tmp_path):
        with pytest.raises(ValueError, match=r"`splines` must be one of .*splines='round'"):
            keras_ce.plot_model(model, tmp_path / "model.dot", splines="round")

    def test_style(self, model, tmp_path):
        with pytest.raises(ValueError, match=r"`style` must be one of .*style='dark'"):
            keras_ce.plot_model(model, tmp_path / "model.dot", style="dark")

    @pytest.mark.parametrize("max_depth", [-1, True, 1.0])
    def test_max_depth(self, model, tmp_path, max_depth):
        with pytest.raises(ValueError, match=r"`max_depth` must be None or an integer of at least"):
            keras_ce.plot_model(model, tmp_path / "model.dot", max_depth=max_depth)

    @pytest.mark.parametrize("dpi", [0, -1, True, "96", float("nan"), float("inf"), None])
    def test_dpi(self, model, tmp_path, dpi):
        with pytest.raises(ValueError, match=r"`dpi` must be a positive number. Received: dpi="):
            keras_ce.plot_model(model, tmp_path / "model.dot", dpi=dpi)


class FakeIPython:
    """The part of IPython that shows pictures."""

    class display:  # noqa: N801 - IPython's own name
        @staticmethod
        def Image(content):  # noqa: N802
            return ("Image", content)

        @staticmethod
        def SVG(content):  # noqa: N802
            return ("SVG", content)

        @staticmethod
        def HTML(content):  # noqa: N802
            return ("HTML", content.encode())


@needs_pygraphviz
@pytest.mark.parametrize(
    ("extension", "kind"),
    [("png", "Image"), ("svg", "SVG"), ("html", "HTML"), ("pdf", None), ("dot", None)],
)
def test_a_notebook_shows_the_picture(model, tmp_path, monkeypatch, extension, kind):
    monkeypatch.setitem(sys.modules, "IPython", FakeIPython)
    path = tmp_path / f"model.{extension}"
    shown = keras_ce.plot_model(model, path)
    assert shown == (None if kind is None else (kind, path.read_bytes()))
