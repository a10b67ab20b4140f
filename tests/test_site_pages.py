"""The pages of the site are true, their links work, and a newcomer's questions are answered.

Pages with a promise of their own have a test of their own; here are all others.
"""

import pathlib
import re

import pytest
import test_readme
from backends import default_backend_only

DOCS = test_readme.PROJECT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "generated" not in page.parts)
ON_EVERY_BACKEND = ["limits.md", "many_classes.md", "metrics.md", "nan.md", "start.md"]
# What no backend computes, what tests/recipes has on every backend, and translations.
ON_THE_DEFAULT_BACKEND = [
    "answer_ranker.md",
    "diagrams.md",
    "gallery.md",
    "index.md",
    "next_word.md",
    "resume.md",
    "string_reader.md",
    "text_classifier.md",
    "zh/choosing.md",
    "zh/crossentropy.md",
    "zh/start.md",
]
FORMULA = re.compile(r"(?<=\n\n)\$\$\n([^$]+)\n\$\$(?=\n\n)|(?<![^\s(])\$([^$\n]+)\$(?![^\s.,:;)])")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)")


def links(page: pathlib.Path) -> list[str]:
    """What a page links to in the repository, pictures included."""
    prose = test_readme.FENCE.sub("", page.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(prose) if not re.match(r"[a-z][a-z+.-]*:", target)]


def anchors(page: pathlib.Path) -> set[str]:
    """The anchors of a page's headings, as code hosts and MyST name them."""
    prose = test_readme.FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("name", ON_EVERY_BACKEND)
def test_python_code_prints_what_is_shown(name, tmp_path, monkeypatch):
    run(name, tmp_path, monkeypatch)


@default_backend_only
@pytest.mark.parametrize("name", ON_THE_DEFAULT_BACKEND)
def test_python_code_of_tasks_and_translations_prints_what_is_shown(name, tmp_path, monkeypatch):
    run(name, tmp_path, monkeypatch)


def run(name: str, folder: pathlib.Path, patch: pytest.MonkeyPatch) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    test_readme.test_python_code_prints_what_is_shown(text, folder, patch)


def test_every_page_with_code_is_executed():
    """By this module, or by the test that is named after the page."""
    tests = pathlib.Path(__file__).parent
    for page in PAGES:
        name = page.relative_to(DOCS).as_posix()
        if test_readme.blocks(page.read_text(encoding="utf-8"), "python"):
            is_here = name in ON_EVERY_BACKEND + ON_THE_DEFAULT_BACKEND
            assert is_here or (tests / f"test_{page.stem}_page.py").exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_lead_somewhere(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_formulas_are_shown_by_code_hosts_too(page):
    """Their Markdown takes the backslash of a punctuation mark, and tags; a macro is forbidden."""
    prose = test_readme.FENCE.sub("", page.read_text(encoding="utf-8"))
    prose = re.sub(r"`[^`\n]*`", "", prose)
    assert "$" not in FORMULA.sub("", prose), "this is no formula to them"
    for formula in map("".join, FORMULA.findall(prose)):
        assert not re.search(r"\\[^A-Za-z\\]|\\operatorname|[<>]", formula), formula


def clicks() -> dict[pathlib.Path, int]:
    """How many links lead from README to each page."""
    found, waiting = {test_readme.README: 0}, [test_readme.README]
    for page in waiting:
        for target in links(page):
            linked = (page.parent / target.partition("#")[0]).resolve()
            if linked.suffix == ".md" and linked not in found:
                found[linked] = found[page] + 1
                waiting.append(linked)
    return found


# The question, the page, its heading, and what answers it there.
QUESTIONS = {
    "install for torch": (
        "start.md",
        "Install",
        r'"keras-ce\[recipes,torch\]".*KERAS_BACKEND=torch',
    ),
    "plain cross-entropy": (
        "start.md",
        "Plain cross-entropy",
        r"LabelSmoothedCrossentropy\(0, from_logits=True\)",
    ),
    "class weights with fit": (
        "start.md",
        "Class weights with `fit`",
        r"class_weight=\{2: 5\.0\}.*\.fit\(",
    ),
    "load a saved model": ("start.md", "Save and load a model", r"import keras_ce.*load_model\("),
    "classify a file": (
        "text_classifier.md",
        "Your own texts",
        r"examples\.classify_text \S+ --input \S+\.csv --output",
    ),
    "tf.nn.weighted_cross_entropy_with_logits": (
        "elsewhere.md",
        "`tf.nn`",
        r"weighted_cross_entropy_with_logits\(yes.*\| `weighted_sigmoid_crossentropy\(yes, z, 3\.0",
    ),
    "why is my loss NaN": ("nan.md", "Why is my loss NaN?", r"from_logits=True.*is missing"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_newcomer_finds_the_answer_within_two_clicks(question):
    name, heading, answer = QUESTIONS[question]
    assert clicks().get(DOCS / name, 99) <= 2
    section = test_readme.section((DOCS / name).read_text(encoding="utf-8"), heading)
    assert re.search(answer, section, re.DOTALL), f"{name} does not say it under {heading!r}"


def test_every_page_is_reached_from_readme():
    of_the_site = {"index.md", "changelog.md", "results.md"}
    assert {page for page in PAGES if page.name not in of_the_site} <= set(clicks())


def test_readme_has_one_screen_and_a_half():
    assert len(test_readme.README.read_text(encoding="utf-8").splitlines()) <= 100
