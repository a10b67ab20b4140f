"""The corpus of the standard library's docstrings."""

import collections
import sys

import pytest

from examples.failures import UserError
from examples.standard_library import Docstring, family_texts, walk_docstrings

SOURCE = '''"""Reads mail.

A second paragraph.
"""

class Box:
    """A box for
    letters."""

    async def open(self):
        """Opens it."""

    def silent(self):
        pass

def count():
    def inner():
        "Counts within."
'''


def test_walk_finds_modules_classes_and_functions(tmp_path):
    (tmp_path / "email").mkdir()
    (tmp_path / "email" / "__init__.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "latin.py").write_bytes(b'# coding: latin-1\n"""Fran\xe7ais, really."""\n')
    (tmp_path / "broken.py").write_text("def (", encoding="utf-8")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "module.py").write_text(SOURCE, encoding="utf-8")
    found = list(walk_docstrings(tmp_path))
    assert found == [
        Docstring("email", "", "module", "Reads mail.\n\nA second paragraph."),
        Docstring("email", "Box", "class", "A box for\nletters."),
        Docstring("email", "Box.open", "function", "Opens it."),
        Docstring("email", "count.inner", "function", "Counts within."),
        Docstring("latin", "", "module", "Français, really."),
    ]
    assert found[0].first_paragraph == "Reads mail."
    assert found[1].first_paragraph == "A box for letters."
    assert (found[0].family, found[4].family) == ("network", None)


def test_a_python_without_sources_names_the_way_out(tmp_path):
    with pytest.raises(UserError, match=r"no sources of its standard library.* with --train FILE"):
        list(walk_docstrings(tmp_path))


def test_the_running_python_has_seven_families():
    imported = set(sys.modules)
    texts, families = family_texts()
    assert not {"turtle", "antigravity", "idlelib"} & (set(sys.modules) - imported)
    assert len(texts) == len(families) == len(set(texts))
    counts = collections.Counter(families)
    assert set(counts) == {
        *("network", "files", "numbers", "markup", "concurrency", "development", "graphics")
    }
    assert len(texts) > 4000
    assert min(counts.values()) > 200
    assert max(counts.values()) / len(texts) < 0.4
    assert all(len(text.split()) >= 4 and "\n" not in text for text in texts)
