"""Tables of texts from file to file, with what a model says beside each row."""

import csv
import io
import json
import sys

import pytest

from recipes.runs.failures import UserError
from recipes.tables import row_by_row
from recipes.tables.table_writing import write_table
from recipes.tokens.vocabulary import split_tokens

COLUMNS = ("predicted", "probability")
TABLE = 'id,text,note\nA1,"two\nlines",keep\nA2,,empty\nA3,"=1+1, a sum",-5\n'
FOUND = [[("cat", 0.75), ("dog", 0.25)], [], [("dog", 1.0), ("cat", 0.0)]]


def read(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_every_row_and_column_stays(tmp_path):
    source = tmp_path / "in.csv"
    source.write_text(TABLE, encoding="utf-8")
    table = row_by_row.gather([], str(source), "text")
    assert table.texts == ["two\nlines", "", "=1+1, a sum"]
    said = table.write(tmp_path / "out.csv", COLUMNS, FOUND, 2)
    first, second, third = read(tmp_path / "out.csv")
    assert first == {
        **{"id": "A1", "text": "two\nlines", "note": "keep", "row": "1"},
        **{"predicted": "cat", "probability": "0.75"},
        **{"predicted_2": "dog", "probability_2": "0.25"},
    }
    assert (second["id"], second["row"], second["predicted"], second["probability_2"]) == (
        *("A2", "2"),
        *("", ""),
    )
    # A formula is marked, a number is not.
    assert (third["text"], third["note"]) == ("'=1+1, a sum", "-5")
    assert said.startswith("3 rows, with row, predicted, probability, predicted_2, probability_2: ")
    assert said.endswith(
        "without text: 1 (row 2); cells that look like formulas, now with an apostrophe: 1"
    )
    # Its own output goes in again, and no column is lost.
    again = row_by_row.gather([], str(tmp_path / "out.csv"), "text")
    again.write(tmp_path / "again.csv", COLUMNS, FOUND, 1)
    assert [row["new_predicted"] for row in read(tmp_path / "again.csv")] == ["cat", "", "dog"]
    assert [row["predicted"] for row in read(tmp_path / "again.csv")] == ["cat", "", "dog"]


def test_json_lines_are_for_programs(tmp_path):
    source = tmp_path / "in.jsonl"
    lines = [{"id": 1, "text": "a 😀"}, {"id": 2, "text": None}, {"id": 3, "text": "c"}]
    source.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    table = row_by_row.gather([], str(source), "text")
    first, second, _ = map(json.loads, table.json_lines(COLUMNS, FOUND))
    assert first["row"] == 1
    assert first["text"] == "a 😀"
    assert first["best"][1] == {"predicted": "dog", "probability": 0.25}
    assert second == {"row": 2, "text": "", "best": []}


@pytest.mark.parametrize("way", ["file", "standard input"])
def test_a_line_is_a_text_and_only_a_line_end_ends_it(tmp_path, monkeypatch, way):
    content = "one\x0cstill one\n\ntwo\u2028still two\u0085and on\n"
    (tmp_path / "in.txt").write_text(content, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO(content))
    file = str(tmp_path / "in.txt") if way == "file" else None
    table = row_by_row.gather([], file, "text")
    assert table.texts == ["one\x0cstill one", "", "two\u2028still two\u0085and on"]
    assert (table.header, table.numbers) == (["text"], [1, 2, 3])


@pytest.mark.parametrize(
    ("texts", "name", "content", "message"),
    [
        (["a", " "], None, "", "text 2 is empty; leave it out"),
        (["a"], "in.csv", TABLE, "there are texts and --input; give one of them"),
        ([], None, "", "there is no text; give texts as arguments, --input, or standard input"),
        ([], "in.csv", "id,body\n1,a\n", "has no column 'text'; it has .* choose with --text-col"),
        ([], "in.csv", "text\n", "has a header but no rows; expected a text in each"),
        ([], "in.csv", " \n", "is empty; expected a text on each line"),
        ([], "in.doc", "a\n", r"in\.doc is in no known format; expected a file ending in \.txt"),
    ],
)
def test_bad_texts_are_one_line(tmp_path, monkeypatch, texts, name, content, message):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    if name:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message) as raised:
        row_by_row.gather(texts, name and str(tmp_path / name), "text")
    assert "\n" not in str(raised.value)


def test_a_file_is_never_written_over(tmp_path):
    present = tmp_path / "in.csv"
    present.write_text(TABLE, encoding="utf-8")
    for name, message in (
        ("in.csv", r"in\.csv exists already; remove it, or name another"),
        ("none/out.csv", "the folder .*none does not exist; make it"),
        ("out.xlsx", r"--output writes a \.csv file; name one instead of .*out\.xlsx"),
    ):
        with pytest.raises(UserError, match=message):
            row_by_row.require_output(str(tmp_path / name))
    assert row_by_row.require_output(str(tmp_path / "out.csv")) == tmp_path / "out.csv"

    def stopped():
        yield FOUND[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        row_by_row.gather([], str(present), "text").write(
            tmp_path / "out.csv", COLUMNS, stopped(), 2
        )
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_no_cell_is_run_by_a_spreadsheet(tmp_path):
    harmful = ["=HYPERLINK(1)", "+1+cmd", "-1+1", "@SUM(1)", "\t=1", "\r=1", "- an item"]
    harmless = ["a=b", "-0.5", "+1e3", "", "'=1"]
    marked = write_table(tmp_path / "a.csv", ["=header"], [[cell] for cell in harmful + harmless])
    assert marked == len(harmful) + 1
    with open(tmp_path / "a.csv", newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file)
    assert header == ["'=header"]
    assert [row[0] if row else "" for row in rows] == [f"'{cell}" for cell in harmful] + harmless
    # Half an emoji has no UTF-8, and stops nothing.
    write_table(tmp_path / "b.csv", ["text"], [["half \ud83d"], [-3]])
    assert read(tmp_path / "b.csv") == [{"text": "half \\ud83d"}, {"text": "-3"}]
    with pytest.raises(UserError, match=r"cannot be written \(No such file"):
        write_table(tmp_path / "none" / "a.csv", ["text"], [])


def test_standard_input_that_is_no_text_is_one_line(monkeypatch):
    for read in (row_by_row.lines_of_standard_input, lambda: list(row_by_row.asked_for("? "))):
        # As Python opens it where no locale is set.
        given = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), "utf-8", "surrogateescape")
        monkeypatch.setattr(sys, "stdin", given)
        with pytest.raises(UserError, match="standard input is not UTF-8"):
            read()


def test_half_a_character_is_a_token_that_can_be_written():
    for kind in ("words", "cased", "characters", "stems"):
        "".join(split_tokens("caf\udce9 path", kind)).encode("utf-8")
