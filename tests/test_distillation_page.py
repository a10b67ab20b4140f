"""docs/distillation.md is true: its code prints what it shows, and README leads there."""

import pathlib

import pytest
import test_readme
from backends import default_backend_only

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "distillation.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


@default_backend_only
def test_python_code_prints_what_is_shown(text, tmp_path, monkeypatch):
    test_readme.test_python_code_prints_what_is_shown(text, tmp_path, monkeypatch)


def test_readme_leads_to_the_page():
    assert "](docs/distillation.md)" in test_readme.README.read_text(encoding="utf-8")
