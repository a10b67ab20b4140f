"""docs/more_than_two_arguments.md is true: its code prints what it shows, its links work."""

import pathlib
import re

import backends
import keras
import test_readme

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "more_than_two_arguments.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_python_code_prints_what_is_shown(tmp_path, monkeypatch):
    backends.step_quickly(monkeypatch, keras.Model)
    test_readme.test_python_code_prints_what_is_shown(TEXT, tmp_path, monkeypatch)


def test_links_lead_somewhere():
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
    targets = [
        target for target in re.findall(r"\]\(([^)]+)\)", TEXT) if not target.startswith("https:")
    ]
    assert len(targets) > 3
    for target in targets:
        path, _, anchor = target.partition("#")
        assert not path or (PAGE.parent / path).is_file(), target
        assert not anchor or anchor in anchors, target
