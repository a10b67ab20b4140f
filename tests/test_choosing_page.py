"""docs/choosing.md is true: its code prints what it shows, and no loss is left out."""

import pathlib
import re

import pytest
import test_readme

import keras_ce.losses

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "choosing.md"
LOSSES = [
    name for name in vars(keras_ce.losses) if isinstance(getattr(keras_ce.losses, name), type)
]


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_python_code_prints_what_is_shown(text, tmp_path, monkeypatch):
    test_readme.test_python_code_prints_what_is_shown(text, tmp_path, monkeypatch)


def test_links_lead_somewhere(text):
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert "choosing.png" in targets
    for target in targets:
        assert (PAGE.parent / target).is_file(), target


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_on_the_page_and_in_its_picture(text, name):
    assert f"`{name}" in text
    assert name in PAGE.with_suffix(".dot").read_text(encoding="utf-8")
