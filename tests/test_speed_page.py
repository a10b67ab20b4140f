"""docs/speed.md is true: its code prints what it shows, its links lead somewhere."""

import pathlib
import re

import test_readme

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "speed.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_python_code_prints_what_is_shown(tmp_path, monkeypatch):
    test_readme.test_python_code_prints_what_is_shown(TEXT, tmp_path, monkeypatch)


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)#?([^)]*)\)", TEXT)
    assert len(targets) == 1
    for target, heading in targets:
        headings = re.findall(r"^#+ (.*)", (PAGE.parent / target).read_text("utf-8"), re.MULTILINE)
        assert heading in [title.lower().replace(" ", "-") for title in headings]


def test_named_switches_exist():
    import keras_ce

    for name in re.findall(r"keras_ce\.(\w+)\(", TEXT):
        assert callable(getattr(keras_ce, name)), name
