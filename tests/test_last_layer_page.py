"""docs/last_layer.md is true: its code prints what it shows, its links lead somewhere."""

import importlib.util
import pathlib
import re

import pytest
import test_readme

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "last_layer.md"
TEXT = PAGE.read_text(encoding="utf-8")
NEEDS = re.compile(r"```python\n# requires: (\w+)\n.*?```", re.DOTALL)


def test_python_code_prints_what_is_shown(tmp_path, monkeypatch):
    test_readme.test_python_code_prints_what_is_shown(NEEDS.sub("", TEXT), tmp_path, monkeypatch)


def test_code_for_other_packages_prints_what_is_shown(tmp_path, monkeypatch):
    packages = [match[1] for match in NEEDS.finditer(TEXT)]
    assert packages == ["keras_hub"]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    test_readme.test_python_code_prints_what_is_shown(TEXT, tmp_path, monkeypatch)


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)#?([^)]*)\)", TEXT)
    assert len(targets) == 2
    for target, heading in targets:
        headings = re.findall(r"^#+ (.*)", (PAGE.parent / target).read_text("utf-8"), re.MULTILINE)
        assert heading in [title.lower().replace(" ", "-") for title in headings]


def test_named_options_exist():
    import inspect

    import keras_ce

    known = inspect.signature(keras_ce.layers.LinearCrossentropy).parameters
    (table,) = re.findall(r"\| option \|.*?\n\n", TEXT, re.DOTALL)
    named = set(re.findall(r"`(\w+)(?:=[^`]*)?`", table))
    assert named - {
        "sample_weight",
        "Embedding",
        "ReversibleEmbedding",
        "LabelSmoothedCrossentropy",
    } <= set(known)
