"""README.md is true: its code runs, prints what it shows, and its links lead somewhere.

The convention for ```python blocks: they are run from top to bottom in one namespace, and a
statement that prints shows its output as the comment at its end:

    print(round(float(loss), 4))  # 0.6368

Words must be equal, numbers to one unit of the last digit shown (backends round differently).
"""

import ast
import contextlib
import io
import pathlib
import re
import tokenize

import keras
import pytest

PROJECT = pathlib.Path(__file__).parents[1]
README = PROJECT / "README.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@pytest.fixture(scope="module")
def text() -> str:
    return README.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, each with the line number of its first line."""
    return [
        (text.count("\n", 0, match.start(2)) + 1, match[2])
        for match in FENCE.finditer(text)
        if match[1] == language
    ]


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next heading of the same level or above."""
    without_code = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    match = re.search(rf"^(#+) {re.escape(heading)}$", without_code, re.MULTILINE)
    assert match, f'README.md has no heading "{heading}"'
    end = re.search(rf"^#{{1,{len(match[1])}}} ", without_code[match.end() :], re.MULTILINE)
    lines = text.split("\n")
    first = without_code.count("\n", 0, match.start()) + 1
    last = len(lines)
    if end:
        last = without_code.count("\n", 0, match.end() + end.start())
    return "\n".join(lines[first:last])


def statements(code: str) -> list[tuple[ast.stmt, str | None]]:
    """The statements of a block, each with the comment at its end."""
    comments = {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type == tokenize.COMMENT
    }
    return [(statement, comments.get(statement.end_lineno)) for statement in ast.parse(code).body]


def without_recipes(python_blocks: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The blocks that neither import from `recipes` nor go on with what such a block has made."""
    kept, left_out = [], set()
    for block in python_blocks:
        names = [node for node in ast.walk(ast.parse(block[1])) if isinstance(node, ast.Name)]
        made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        if "from recipes" in block[1] or (used - made) & left_out:
            left_out |= made
        else:
            left_out -= made
            kept.append(block)
    return kept


def prints(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Name)
        and statement.value.func.id == "print"
    )


def assert_same_output(shown: str, printed: str, line: int) -> None:
    message = f"README.md line {line} shows {shown!r}, and its code printed {printed!r}"
    assert NUMBER.sub("#", shown) == NUMBER.sub("#", printed), message
    for ours, theirs in zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True):
        decimals = re.search(r"\.(\d+)", ours)
        exponent = re.search(r"e([+-]?\d+)", ours)
        unit = 10.0 ** (
            (int(exponent[1]) if exponent else 0) - (len(decimals[1]) if decimals else 0)
        )
        # A count or a class id is not rounded: integers are equal.
        tolerance = 1.01 * unit if decimals or exponent else 0.0
        assert abs(float(ours) - float(theirs)) <= tolerance, message


def test_python_code_prints_what_is_shown(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    python_blocks = blocks(text, "python")
    assert python_blocks, "README.md has no ```python block"
    if keras.backend.backend() != "tensorflow":
        # A training of each recipe, which tests/recipes has on every backend.
        python_blocks = without_recipes(python_blocks)
    namespace: dict[str, object] = {"__name__": "readme"}
    compared = 0
    for first_line, code in python_blocks:
        for statement, shown in statements(code):
            line = first_line + statement.lineno - 1
            module = ast.Module([statement], type_ignores=[])
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(module, f"README.md, block at line {first_line}", "exec"), namespace)
            if prints(statement):
                assert shown, f"README.md line {line} prints, and does not show what"
                assert_same_output(shown, printed.getvalue().strip(), line)
                compared += 1
    assert compared > 0


def test_code_with_a_printed_number_comes_before_line_20(text):
    first_blocks = blocks(text, "python")
    assert first_blocks, "README.md has no ```python block"
    first_line, code = first_blocks[0]
    shown = [
        (first_line + statement.end_lineno - 1, comment)
        for statement, comment in statements(code)
        if prints(statement) and NUMBER.search(comment or "")
    ]
    assert shown, "README's first code prints no number"
    assert shown[0][0] < 20
    assert ".compile(" in code


def test_quick_start_is_two_lines(text):
    shell_blocks = blocks(section(text, "Quick start"), "sh")
    assert len(shell_blocks) == 1, 'under "Quick start" stands exactly one ```sh block'
    lines = shell_blocks[0][1].splitlines()
    assert len(lines) == 2
    # Each works on its own from a fresh clone, also where the system's Python is locked.
    for line in lines:
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install ")
        assert not line.endswith("\\")
    assert lines[0].endswith(" -m examples.train_text_classifier")
    assert lines[1].endswith(" -m pytest")


def test_links_and_pictures_exist(text):
    prose = FENCE.sub("", text)
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)", prose)
    targets += re.findall(r"(?:src|href)=\"([^\"]+)\"", prose)
    targets += re.findall(r"^\[[^\]]+\]:\s*(\S+)", prose, re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    anchors = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }
    broken = []
    for target in targets:
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        if path and not (PROJECT / path).exists():
            broken.append(target)
        if not path and anchor not in anchors:
            broken.append(target)
    assert not broken, f"README.md links to what is not there: {broken}"


def test_which_loss_is_a_table(text):
    rows = [line for line in section(text, "Which loss?").splitlines() if line.startswith("|")]
    assert len(rows) >= 3
    assert re.fullmatch(r"\|[\s:|-]+\|", rows[1])


class TestTheTestItself:
    """The comparison above can fail."""

    @pytest.mark.parametrize(
        ("shown", "printed"),
        [("0.6368", "0.6367"), ("loss 1.5e-09", "loss 1.52e-09"), ("7 of 10", "7 of 10")],
    )
    def test_equal(self, shown, printed):
        assert_same_output(shown, printed, 1)

    @pytest.mark.parametrize(
        ("shown", "printed"),
        [("0.6368", "0.6371"), ("7", "8"), ("loss 0.5", "accuracy 0.5"), ("0.5", "nan"), ("1", "")],
    )
    def test_different(self, shown, printed):
        with pytest.raises(AssertionError, match=r"README\.md line 1 shows"):
            assert_same_output(shown, printed, 1)

    def test_comments_and_sections_are_found(self):
        code = 'x = 1  # one\nprint(\n    "# no comment"\n)  # 0.5\n'
        assert [comment for _, comment in statements(code)] == ["one", "0.5"]
        text = "# A\n## Quick start\n```sh\n# not a heading\nls\n```\n## Next\n```sh\nno\n```\n"
        assert blocks(section(text, "Quick start"), "sh") == [(2, "# not a heading\nls\n")]
