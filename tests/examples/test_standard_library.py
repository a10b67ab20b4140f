"""The corpus of the standard library's docstrings."""

import collections
import sys

import pytest
from backends import default_backend_only

from recipes.corpora import standard_library
from recipes.corpora.standard_library import (
    Docstring,
    family_texts,
    name_and_docstring_pairs,
    source_texts,
    walk_docstrings,
)
from recipes.runs.failures import UserError

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


def test_source_texts_are_the_files_as_they_stand_without_tables_of_characters(tmp_path):
    for name in ("email", "encodings", "test"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\n# Fran\xe7ais\n")
    (tmp_path / "empty.py").write_text("\n", encoding="utf-8")
    (tmp_path / "kept_as_data.py").write_bytes(b"\xff\xfe")
    assert source_texts(tmp_path) == {
        "email/module.py": SOURCE,
        "latin.py": "# coding: latin-1\n# Français\n",
    }
    with pytest.raises(UserError, match="no sources of its standard library"):
        source_texts(tmp_path / "nothing here")


PARAMETERS = '''
class HTTPServer2:
    """Serves pages over HTTP."""

    def __init__(self, host, /, *, port=80, **options):
        pass

    @classmethod
    def load_all(cls, file, *names):
        """Loads all that is named."""

    def _hidden(self):
        """Not for the public."""

class Plain:
    """Has no constructor here."""

def again(text):
    """Serves pages over HTTP."""
'''


def test_a_question_is_a_name_with_its_parameters_in_words(tmp_path):
    (tmp_path / "pages.py").write_text(PARAMETERS, encoding="utf-8")
    found = {docstring.name: docstring.parameters for docstring in walk_docstrings(tmp_path)}
    assert found == {
        "HTTPServer2": ("host", "port", "options"),
        "HTTPServer2.load_all": ("file", "names"),
        "HTTPServer2._hidden": (),
        "Plain": (),
        "again": ("text",),
    }
    assert name_and_docstring_pairs(3, tmp_path) == [
        ("http server 2 host port options", "Serves pages over HTTP."),
        ("load all file names", "Loads all that is named."),
        ("plain", "Has no constructor here."),
    ]
    assert name_and_docstring_pairs(5, tmp_path) == [
        ("load all file names", "Loads all that is named."),
    ]


def test_a_python_without_sources_names_the_way_out(tmp_path):
    with pytest.raises(UserError, match=r"no sources of its standard library.* with --train FILE"):
        list(walk_docstrings(tmp_path))


@default_backend_only
def test_the_running_python_has_seven_families_and_thousands_of_pairs(monkeypatch):
    imported = set(sys.modules)
    docstrings = list(walk_docstrings())
    monkeypatch.setattr(standard_library, "walk_docstrings", lambda *_: docstrings)  # takes seconds
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

    pairs = name_and_docstring_pairs()
    assert len(pairs) > 4000
    answers = [answer for _, answer in pairs]
    assert len(set(answers)) == len(answers)
    assert all(question.strip() for question, _ in pairs)
