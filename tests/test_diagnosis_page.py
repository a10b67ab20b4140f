"""docs/diagnosis.md is true: its code prints what it shows, and no code is left out."""

import pathlib
import re

import pytest
import test_readme
from backends import default_backend_only
from set_ups.tables import MISTAKES

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "diagnosis.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


@default_backend_only
def test_python_code_prints_what_is_shown(text, tmp_path, monkeypatch):
    test_readme.test_python_code_prints_what_is_shown(text, tmp_path, monkeypatch)


@pytest.mark.parametrize("code", sorted({case.code for case in MISTAKES}))
def test_every_code_has_an_entry_with_an_example(text, code):
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    (entry,) = [body for heading, body in sections.items() if f"`{code}`" in heading]
    assert "```python" in entry
    if not code.endswith("-fails"):
        assert "**Symptom.**" in entry
        assert "**Why.**" in entry
