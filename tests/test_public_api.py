"""Every loss has everything that a loss of the catalogue needs; this names what was forgotten."""

import ast
import compileall
import copy
import doctest
import importlib.metadata
import inspect
import os
import pathlib
import pickle
import re
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator

import keras
import numpy as np
import pytest
from backends import default_backend_only
from cases import CASES, EMBEDDING_CASES

import keras_ce
import keras_ce.information
import keras_ce.layers
import keras_ce.losses
import keras_ce.metrics

PROJECT = pathlib.Path(__file__).parents[1]
SOURCE_FOLDERS = ("keras_ce", "recipes", "examples", "tests", "benchmarks")
# In two parts, so that this file does not find itself.
PRIVATE_KERAS = "keras" + ".src"


def public_names(module: types.ModuleType) -> list[str]:
    """`__all__`, or all that a catalogue imports as itself."""
    names = [name for name, value in vars(module).items() if not inspect.ismodule(value)]
    return getattr(module, "__all__", [name for name in names if not name.startswith("_")])


CATALOGUE = public_names(keras_ce.losses)
LOSSES = [name for name in CATALOGUE if inspect.isclass(getattr(keras_ce.losses, name))]
FUNCTIONS_ALONE = ["linear_crossentropy"]  # a loss that takes more than labels and predictions
KERAS_OPTIONS = ("reduction", "name", "dtype")


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def own_parameters(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        and parameter.name not in KERAS_OPTIONS
    ]


def sections(docstring: str) -> dict[str, str]:
    """The sections of a Google-style docstring, by name."""
    parts = re.split(r"^([A-Z][a-z]+):$", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_catalogue_is_complete_and_in_order():
    functions = [name for name in CATALOGUE if name not in [*LOSSES, "ordinal_probabilities"]]
    assert LOSSES, "there is no loss in the catalogue"
    assert sorted(functions) == sorted([*map(snake_case, LOSSES), *FUNCTIONS_ALONE])
    assert len(set(CATALOGUE)) == len(CATALOGUE)
    files = {path.stem for path in (PROJECT / "keras_ce" / "losses").glob("[!_]*.py")}
    assert files == set(functions)


@pytest.mark.parametrize("name", LOSSES)
class TestEveryLoss:
    def test_lives_in_its_file_with_its_function(self, name):
        module = f"keras_ce.losses.{snake_case(name)}"
        assert getattr(keras_ce.losses, name).__module__ == module
        assert getattr(keras_ce.losses, snake_case(name)).__module__ == module

    def test_has_a_test_file(self, name):
        assert (PROJECT / "tests" / "losses" / f"test_{snake_case(name)}.py").is_file()

    def test_is_final_and_registered_under_the_package(self, name):
        loss = getattr(keras_ce.losses, name)
        assert issubclass(loss, keras.losses.Loss)
        assert getattr(loss, "__final__", False), f"{name} is not marked typing.final"
        assert keras.saving.get_registered_name(loss) == f"keras_ce>{name}"
        assert keras.saving.get_registered_object(f"keras_ce>{name}") is loss

    def test_stands_near_to_the_loss_of_keras(self, name):
        """At most two classes between: who reads a loss does not climb a tower."""
        ancestors = getattr(keras_ce.losses, name).__mro__
        between = ancestors[1 : ancestors.index(keras.losses.Loss)]
        assert len(between) <= 2, [each.__name__ for each in between]

    def test_shows_its_arguments(self, name):
        """As a user would write them."""
        loss = getattr(keras_ce.losses, name)
        examples = [case.arguments for case in CASES + EMBEDDING_CASES if case.loss == name]
        for arguments in examples or [{"temperature": 0.2}]:
            for reduction in ("sum_over_batch_size", "none"):
                shown = repr(loss(**arguments, reduction=reduction))
                again = eval(shown, {name: loss})
                expected = {**loss(**arguments).get_config(), "reduction": reduction, "name": ""}
                assert {**again.get_config(), "name": ""} == expected
                assert ("reduction='none'" in shown) == (reduction == "none")

    def test_function_takes_the_arguments_of_the_class(self, name):
        signature = inspect.signature(getattr(keras_ce.losses, snake_case(name)))
        labels, predictions, *own = own_parameters(signature)
        assert (labels.name, predictions.name) == ("y_true", "y_pred")
        expected = own_parameters(inspect.signature(getattr(keras_ce.losses, name)))
        assert [(each.name, each.default, each.kind) for each in own] == [
            (each.name, each.default, each.kind) for each in expected
        ]

    def test_docstring_has_its_sections_and_every_argument(self, name):
        loss = getattr(keras_ce.losses, name)
        # Not inspect.getdoc: that of the base class does not count.
        docstring = loss.__doc__ or ""
        first_line, *rest = docstring.strip().split("\n")
        assert first_line.endswith(".")
        assert not rest or not rest[0].strip(), "a docstring begins with one line"
        found = sections(docstring)
        arguments = own_parameters(inspect.signature(loss))
        needed = {"Raises", "Reference"} | ({"Args"} if arguments else set())
        assert needed <= set(found)
        assert {"Example", "Examples"} & set(found)
        for argument in arguments:
            assert re.search(rf"^\s+{argument.name}\b.*:", found["Args"], re.MULTILINE), (
                f"{argument.name} is not described"
            )
        assert getattr(keras_ce.losses, snake_case(name)).__doc__

    def test_is_in_the_tables(self, name):
        """In README's short table by its name, in that of the page with what it replaces."""
        for page, heading in (("README.md", "Which loss?"), ("docs/choosing.md", "All losses")):
            text = (PROJECT / page).read_text(encoding="utf-8")
            _, found, table = text.partition(f"\n## {heading}\n")
            assert found, f'{page} has no heading "{heading}"'
            table = re.split(r"^#+ ", table, flags=re.MULTILINE)[0]
            rows = [line for line in table.splitlines() if line.startswith("|")]
            assert any(f"`{name}" in row for row in rows), f"no row of {page} names `{name}`"


def documented_objects() -> Iterator[tuple[str, object]]:
    for module in (
        keras_ce,
        keras_ce.information,
        keras_ce.layers,
        keras_ce.losses,
        keras_ce.metrics,
    ):
        for name in public_names(module):
            found = getattr(module, name)
            if not inspect.ismodule(found):
                yield f"{module.__name__}.{name}", found


@pytest.mark.parametrize(("name", "documented"), list(documented_objects()))
def test_docstring_examples_are_true(name, documented, tmp_path, monkeypatch):
    assert documented.__doc__, f"{name} has no docstring"
    monkeypatch.chdir(tmp_path)
    names = {**vars(keras_ce.layers), **vars(keras_ce.losses), **vars(keras_ce.metrics)}
    names |= {"keras": keras, "keras_ce": keras_ce, "np": np}
    example = doctest.DocTestParser().get_doctest(documented.__doc__, names, name, None, 0)
    if "\nExample" in inspect.cleandoc(documented.__doc__):
        assert example.examples, f"the example of {name} has no line that begins with >>>"
    report: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=report.append)
    assert failed == 0, "".join(report)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in ("layers", "metrics")
        for name in public_names(getattr(keras_ce, kind))
    ],
)
def test_every_layer_and_metric_is_registered_and_has_a_test_file(kind, name):
    found = getattr(getattr(keras_ce, kind), name)
    assert keras.saving.get_registered_name(found) == f"keras_ce>{name}"
    assert found.__module__ == f"keras_ce.{kind}.{snake_case(name)}"
    assert (PROJECT / "tests" / kind / f"test_{snake_case(name)}.py").is_file()


def test_import_brings_nothing_but_keras_and_takes_no_time():
    script = (
        "import sys, time\n"
        "start = time.process_time()\n"
        "import keras\n"
        "of_keras = time.process_time() - start\n"
        "before, start = set(sys.modules), time.process_time()\n"
        "import keras_ce\n"
        "print((time.process_time() - start) / of_keras)\n"
        "import recipes.text_classifier\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names)))\n"
    )
    # As an installed package is: where Python may write no compiled files, it compiles each time.
    compileall.compile_dir(PROJECT / "keras_ce", quiet=2)
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    part_of_keras, *brought = printed.stdout.split()
    assert {"keras_ce", "recipes"} <= set(brought) <= {"keras_ce", "recipes", "keras"}
    # 0.011 on TensorFlow to 0.017 on JAX, whatever else the machine does: both take their share.
    assert float(part_of_keras) < 1 / 30


def source_files() -> list[pathlib.Path]:
    return [
        path.relative_to(PROJECT)
        for folder in SOURCE_FOLDERS
        for path in sorted((PROJECT / folder).rglob("*.py"))
    ]


def imported_modules(code: str) -> set[str]:
    """Every module and name that code imports, dotted, and every `keras.x` that it reaches for."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= {f"keras.{node.attr}"} if node.value.id == "keras" else set()
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # importlib.import_module, pytest's monkeypatch.setattr and such.
            found |= {node.value} if node.value.startswith(PRIVATE_KERAS) else set()
    return found


def imports_any(modules: set[str], *packages: str) -> bool:
    return any(
        module == package or module.startswith(f"{package}.")
        for module in modules
        for package in packages
    )


@pytest.mark.parametrize("path", source_files(), ids=str)
def test_imports(path):
    """Public Keras only, and one way: examples -> recipes -> keras_ce -> keras."""
    modules = imported_modules((PROJECT / path).read_text(encoding="utf-8"))
    assert not imports_any(modules, PRIVATE_KERAS)
    folder = path.parts[0]
    if folder == "keras_ce":
        assert not imports_any(modules, "recipes", "examples", "tests")
    if folder == "recipes":
        assert not imports_any(modules, "examples", "tests")
    if path.parts[:2] == ("keras_ce", "losses") and path.stem != "__init__":
        others = {f"keras_ce.losses.{snake_case(name)}" for name in LOSSES} - {
            f"keras_ce.losses.{path.stem}"
        }
        assert not imports_any(modules, *others), "a loss does not import another loss"


def private_names(code: str, package: str) -> set[str]:
    """Every private name of another package that code imports, or reaches for in what it imports.

    `keras_ce._core` is private to keras_ce, `recipes._x` to the recipes.
    """
    found: set[str] = set()
    known: dict[str, str] = {}
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.add(alias.name)
                first = alias.name.split(".")[0]
                known |= {alias.asname: alias.name} if alias.asname else {first: first}
        elif isinstance(node, ast.ImportFrom):
            dotted = {alias: f"{node.module}.{alias.name}" for alias in node.names}
            found |= set(dotted.values())
            known |= {alias.asname or alias.name: name for alias, name in dotted.items()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, *others = ast.unparse(node).split(".")
            if first in known and all(each.isidentifier() for each in others):
                found.add(".".join([known[first], *others]))
    return {
        name
        for name in found
        if name.split(".")[0] != package
        and name != "os._exit"  # public, its documentation says so
        and any(part.startswith("_") and not part.endswith("__") for part in name.split("."))
    }


@pytest.mark.parametrize(
    "path", [path for path in source_files() if path.parts[0] != "tests"], ids=str
)
def test_no_package_takes_what_is_private_to_another(path):
    code = (PROJECT / path).read_text(encoding="utf-8")
    assert private_names(code, path.parts[0]) == set()


@pytest.mark.parametrize(
    "code",
    [
        "import keras_ce._core",
        "from keras_ce import _core",
        "from keras_ce._core import checks",
        "from keras_ce._core.checks import number",
        "from keras_ce.losses._x import number",
        "from recipes._arguments import require_flag as flag",
        "import keras_ce\nkeras_ce._core.checks.number",
        "import keras_ce.losses as ours\nours._x",
        "from keras_ce import losses\nlosses._x(1)",
        "from keras_ce.metrics import ExpectedCalibrationError as Error\nError._bins",
    ],
)
def test_what_is_private_to_another_package_would_be_found(code):
    assert private_names(code, "examples")
    assert not private_names(code, "recipes" if "recipes" in code else "keras_ce")


@pytest.mark.parametrize(
    "code",
    [
        f"import {PRIVATE_KERAS}.backend",
        f"from {PRIVATE_KERAS} import backend",
        "from keras import src",
        f"import keras\n{PRIVATE_KERAS}.backend",
        f"importlib.import_module('{PRIVATE_KERAS}.backend')",
    ],
)
def test_private_keras_would_be_found(code):
    assert imports_any(imported_modules(code), PRIVATE_KERAS)


# --- the package itself ---


def test_the_package_lists_what_it_imports_on_demand():
    names = dir(keras_ce)
    assert "diagnose" in names
    assert set(keras_ce.__all__) < set(names)
    for name in keras_ce.__all__:
        assert getattr(keras_ce, name) is not None
    with pytest.raises(AttributeError, match="'keras_ce' has no attribute 'diagnosed'"):
        keras_ce.diagnosed  # noqa: B018


def test_the_version_is_that_of_the_distribution():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    if "version" in settings["project"].get("dynamic", []):
        # Written down once: hatchling reads the line.
        source = PROJECT / settings["tool"]["hatch"]["version"]["path"]
        assert source.samefile(keras_ce.__file__)
        line = re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE)
        (version,) = line.findall(source.read_text(encoding="utf-8"))
    else:
        version = settings["project"]["version"]
    assert keras_ce.__version__ == version
    assert importlib.metadata.version("keras-ce") == version, "install the package anew"


def test_an_invalid_value_is_an_error_with_fields():
    error = keras_ce.InvalidValuesError("y_true", 3, "ids below 3", (1, 0), "Subtract 1.")
    assert isinstance(error, ValueError)
    assert str(error) == (
        "`y_true` must hold ids below 3. Received: 3 at position (1, 0). Subtract 1."
    )
    # Between processes, say.
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is keras_ce.InvalidValuesError
        assert vars(again) == vars(error)
        assert str(again) == str(error)
    error = keras_ce.InvalidValuesError("margin", "1", "a number")
    assert (error.position, error.fix) == (None, "")
    assert str(error) == "`margin` must be a number. Received: margin='1'."


# --- the switch ---


def are_values_checked() -> bool:
    try:
        loss = keras_ce.losses.label_smoothed_crossentropy([9], [[0.0, 1.0]], from_logits=True)
    except keras_ce.InvalidValuesError:
        return True
    assert np.isnan(float(loss[0]))
    return False


@pytest.fixture
def checked():
    yield
    keras_ce.set_value_checks(True)


@pytest.mark.usefixtures("checked")
class TestValueChecks:
    @pytest.mark.parametrize("before", [True, False])
    @pytest.mark.parametrize("inside", [True, False])
    def test_a_block_leaves_the_switch_as_it_was(self, before, inside):
        keras_ce.set_value_checks(before)
        with keras_ce.value_checks(inside):
            assert are_values_checked() is inside
        assert are_values_checked() is before

    def test_blocks_nest(self):
        with keras_ce.value_checks(False):
            with keras_ce.value_checks(True):
                assert are_values_checked()
                with keras_ce.value_checks(False):
                    assert not are_values_checked()
                assert are_values_checked()
            assert not are_values_checked()
        assert are_values_checked()

    def test_one_object_serves_several_blocks(self):
        switch = keras_ce.value_checks(False)
        with switch:
            keras_ce.set_value_checks(True)
            with switch:
                assert not are_values_checked()
            assert are_values_checked()
        assert are_values_checked()
        with switch:
            assert not are_values_checked()
        assert are_values_checked()

    def test_an_error_passes_through_and_the_switch_is_back(self):
        def fails():
            with keras_ce.value_checks(False), keras_ce.value_checks(True):
                keras_ce.losses.label_smoothed_crossentropy([9], [[0.0, 1.0]], from_logits=True)

        with pytest.raises(keras_ce.InvalidValuesError):
            fails()
        assert are_values_checked()
        with pytest.raises(KeyboardInterrupt), keras_ce.value_checks(False):
            raise KeyboardInterrupt
        assert are_values_checked()

    @pytest.mark.parametrize("enabled", [0, 1, None, "no"])
    def test_takes_a_bool_and_changes_nothing_without(self, enabled):
        for switch in (keras_ce.value_checks, keras_ce.set_value_checks):
            with pytest.raises(TypeError, match="`enabled` must be True or False. Received: en"):
                switch(enabled)
        assert are_values_checked()


@default_backend_only
def test_without_a_backend_one_line_says_what_to_install():
    script = "import sys; sys.modules['tensorflow'] = None; import recipes"
    completed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    last = completed.stderr.splitlines()[-1]
    assert last.startswith("ImportError: the backend of Keras, tensorflow, is not installed: pip ")
    assert "During handling" not in completed.stderr


@default_backend_only
def test_the_tasks_need_no_pictures():
    blocked = "matplotlib", "pydot", "pygraphviz"
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
        "from recipes.answer_ranker import AnswerRanker\n"
        "from recipes.next_word import NextWord\n"
        "from recipes.string_reader import StringReader\n"
        "from recipes.text_classifier import TextClassifier\n"
    )
    completed = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
