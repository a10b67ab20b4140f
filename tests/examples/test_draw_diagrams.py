"""`examples.draw_diagrams`: a picture of every recipe, and one clear line where there is none."""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

import programs
import pytest
from backends import default_backend_only

import recipes
from examples import draw_diagrams
from recipes.runs import failures

PROJECT = pathlib.Path(__file__).parents[2]


def read(path):
    return path.read_text(encoding="utf-8") if path.exists() else ""


@default_backend_only
def test_every_recipe_is_drawn(tmp_path, capsys):
    draw_diagrams.main(draw_diagrams.parse(["--output", str(tmp_path / "diagrams")]))
    printed = capsys.readouterr().out
    names = [path.stem for path in (tmp_path / "diagrams").glob("*.png")]
    for room in pathlib.Path(recipes.__file__).parent.iterdir():
        builds = re.findall(r"^def build_(\w+)", read(room / "model.py"), re.MULTILINE)
        for recipe in builds:
            assert any(name.startswith(recipe) for name in names), recipe
    for name in names:
        png = tmp_path / "diagrams" / f"{name}.png"
        svg = tmp_path / "diagrams" / f"{name}.svg"
        assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert ElementTree.fromstring(svg.read_text(encoding="utf-8")).tag.endswith("svg")
        assert str(png) in printed
        assert str(svg) in printed
    classifier = (tmp_path / "diagrams" / "text_classifier.svg").read_text(encoding="utf-8")
    for layer in ("Embedding", "LSTM", "Dense"):
        assert layer in classifier


@default_backend_only
def test_without_output_each_run_has_a_new_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw_diagrams.main(draw_diagrams.parse([]))
    draw_diagrams.main(draw_diagrams.parse([]))
    folders = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(folders) == 2
    printed = capsys.readouterr().out
    for folder in folders:
        assert (tmp_path / "runs" / folder / "text_classifier.png").stat().st_size > 1000
        assert folder in printed


@default_backend_only
def test_a_folder_in_use_is_refused_and_left_alone(tmp_path, monkeypatch):
    precious = tmp_path / "text_classifier.png"
    precious.write_text("precious")
    said = programs.ends(monkeypatch, "draw_diagrams", "--output", tmp_path)
    assert said.startswith("error: ")
    assert "already holds a run" in said
    assert "\n" not in said
    assert precious.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [precious]


def test_without_graphviz_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    empty = tmp_path / "no programs here"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    with pytest.raises(failures.UserError, match="pip install pygraphviz") as caught:
        draw_diagrams.main(draw_diagrams.parse(["--output", str(tmp_path / "diagrams")]))
    assert "\n" not in str(caught.value)
