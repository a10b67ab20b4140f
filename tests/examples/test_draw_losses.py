"""`examples.draw_losses`: a picture of every loss, and the pages that show them."""

import pathlib
import re

import pytest
from backends import default_backend_only

import keras_ce
from examples import draw_losses
from recipes.runs.failures import UserError

DOCS = pathlib.Path(__file__).parents[2] / "docs"
LOSSES = {name for name in vars(keras_ce.losses) if name[0].isupper()}
CHOSEN = ("FocalCrossentropy", "MarginRanking")


@pytest.fixture
def chosen(monkeypatch):
    every = draw_losses.pictures()
    few = {name: every[name] for name in CHOSEN}
    for _, _, curves, surface in few.values():
        curves["points"] = 5
        if surface is not None:
            surface["points"] = 5
    monkeypatch.setattr(draw_losses, "pictures", lambda: few)


@default_backend_only
def test_every_loss_has_a_picture_on_the_page_of_gradients():
    assert set(draw_losses.pictures()) == LOSSES
    sections = re.split(r"^## ", (DOCS / "gradients.md").read_text(encoding="utf-8"), flags=re.M)
    for name, (*_, surface) in draw_losses.pictures().items():
        (section,) = [each for each in sections if each.startswith(f"{name}\n")]
        shown = re.findall(r"\]\((losses/[^)]+)\)", section)
        files = [name] if surface is None else [name, f"{name}-surface"]
        assert shown == [f"losses/{file}.png" for file in files]
        assert all((DOCS / file).read_bytes().startswith(b"\x89PNG") for file in shown)


@default_backend_only
@pytest.mark.usefixtures("chosen")
def test_they_are_drawn(tmp_path, capsys):
    folder = tmp_path / "losses"
    draw_losses.main(draw_losses.parse(["--output", str(folder)]))
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["FocalCrossentropy.png", "MarginRanking-surface.png", "MarginRanking.png"]
    assert all((folder / file).read_bytes().startswith(b"\x89PNG") for file in files)
    assert sorted(capsys.readouterr().out.split()) == [str(folder / file) for file in files]


@default_backend_only
@pytest.mark.usefixtures("chosen")
def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "precious").write_text("precious")
    with pytest.raises(UserError, match="already holds"):
        draw_losses.main(draw_losses.parse(["--output", str(tmp_path)]))
