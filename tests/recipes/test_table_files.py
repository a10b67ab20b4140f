"""One table of texts, written in many ways: the same texts come in, or one line says why not."""

import csv
import gzip
import io
import json

import numpy
import pytest

from recipes.answer_ranker.question_files import read_answers, read_questions
from recipes.next_word import data as next_word_data
from recipes.runs.failures import UserError
from recipes.tables import table_files
from recipes.tables.labelled_texts import read_labelled_texts
from recipes.text_classifier import data
from recipes.text_classifier.data import checked_labels
from recipes.tokens.texts import checked_texts

TEXTS = {
    "english": ["it works, mostly", 'she said "no" twice', "a great film", "never; again", "don't"],
    "chinese": [
        "这部电影很好看",
        "我不喜欢这个故事, 太长",
        '他说"很好"',
        "演员演得不错",
        "浪费时间",
    ],
    "japanese": [
        "とても面白い映画",
        "二度と見たくない",
        "音楽がよかった",
        "カタカナのテスト",
        "普通です",
    ],
    "western": [
        "C’était très agréable",
        "Über alle Maßen – schlecht",
        "“naïve” señor",
        "Ça va",
        "€ 5",
    ],
    "russian": ["Очень понравился", "Ужасная скука", "Хорошая музыка", "Плохой сюжет", "Нормально"],
}
LABELS = ["pos", "neg", "pos", "neg", "pos"]


def rows_of(language, count=200):
    return [
        (f"{TEXTS[language][number % 5]} {number}", LABELS[number % 5]) for number in range(count)
    ]


def as_csv(rows, delimiter=",", **options):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, **options)
    writer.writerows([("text", "label"), *rows])
    return buffer.getvalue()


def as_lines(rows, delimiter):
    return "".join(f"{text}{delimiter}{label}\r\n" for text, label in [("text", "label"), *rows])


def as_json_lines(rows):
    return "\n".join(json.dumps({"label": label, "text": text}) for text, label in rows)


WAYS = {
    "UTF-8": ("a.csv", "english", lambda rows: as_csv(rows).encode()),
    "UTF-8 with a mark": ("a.csv", "chinese", lambda rows: as_csv(rows).encode("utf-8-sig")),
    "UTF-16": ("a.csv", "chinese", lambda rows: as_csv(rows, "\t").encode("utf-16")),
    "UTF-16 without a mark": ("a.csv", "western", lambda rows: as_csv(rows).encode("utf-16-be")),
    "GB18030": ("a.csv", "chinese", lambda rows: as_csv(rows).encode("gb18030")),
    "KOI8-R": ("a.csv", "russian", lambda rows: as_csv(rows).encode("koi8_r")),
    "Shift-JIS": ("a.csv", "japanese", lambda rows: as_csv(rows).encode("shift_jis")),
    "cp1252": ("a.csv", "western", lambda rows: as_csv(rows, ";").encode("cp1252")),
    "cp1251": ("a.csv", "russian", lambda rows: as_csv(rows).encode("cp1251")),
    "semicolons": ("a.csv", "english", lambda rows: as_csv(rows, ";").encode()),
    "Excel's own line": ("a.csv", "english", lambda rows: ("sep=;\n" + as_csv(rows, ";")).encode()),
    "tabs in .csv": ("a.csv", "english", lambda rows: as_csv(rows, "\t").encode()),
    "tabs": ("a.tsv", "english", lambda rows: as_lines(rows, "\t").encode()),
    "all quoted": ("a.tsv", "english", lambda rows: as_csv(rows, "\t", quoting=1).encode()),
    "bars": ("a.csv", "western", lambda rows: as_lines(rows, "|").encode()),
    "JSON lines": ("a.jsonl", "chinese", lambda rows: as_json_lines(rows).encode()),
    "a JSON list": (
        "a.json",
        "chinese",
        lambda rows: b"[" + as_json_lines(rows).replace("\n", ",\n").encode() + b"]",
    ),
    "gzip": ("a.csv.gz", "japanese", lambda rows: gzip.compress(as_csv(rows).encode("cp932"))),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_texts_come_in(tmp_path, capsys, way):
    name, language, write = WAYS[way]
    rows = rows_of(language)
    (tmp_path / name).write_bytes(write(rows))
    found = read_labelled_texts(tmp_path / name)
    assert list(zip(found.texts, found.labels, strict=True)) == rows
    said = capsys.readouterr().err
    is_said = way in {
        "UTF-16 without a mark",
        "GB18030",
        "KOI8-R",
        "Shift-JIS",
        "cp1252",
        "cp1251",
        "gzip",
    }
    assert ("is not UTF-8: read as " in said) == is_said
    assert said.count("\n") == is_said


def test_an_encoding_is_found_in_long_files_too(tmp_path):
    # What is looked at ends with a line, not within a character.
    for shift in range(2):
        rows = [("x" * shift + "这部电影演员不错" * 7_000, "pos"), *rows_of("chinese", 50)]
        (tmp_path / "a.csv").write_bytes(as_csv(rows).encode("gb18030"))
        found = read_labelled_texts(tmp_path / "a.csv")
        assert list(zip(found.texts, found.labels, strict=True)) == rows


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_no_row_is_lost_to_a_quotation_mark(tmp_path, name, delimiter):
    rows = [
        ('"Once upon a time', "pos"),
        ("a great film", "neg"),
        ('it "works', "pos"),
        ('the end"', "neg"),
        ('"fine" indeed', "pos"),
    ]
    (tmp_path / name).write_text(as_lines(rows, delimiter), encoding="utf-8")
    found = read_labelled_texts(tmp_path / name)
    assert list(zip(found.texts, found.labels, strict=True)) == rows
    rows = rows[:1] + rows[3:4]  # a closing mark after a row that would be swallowed
    (tmp_path / name).write_text(as_lines(rows, delimiter), encoding="utf-8")
    assert len(read_labelled_texts(tmp_path / name)) == 2


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_lines_of_a_cell_that_could_be_rows_are_a_cell_of_a_proper_table(tmp_path, delimiter):
    text = f"Hello{delimiter}world\nbye"
    row = f'"{text}"{delimiter}pos\n'
    for header, more in (('"text"{}"label"\n', ""), ("text{}label\n", '"a{}b"{}neg\n')):
        content = header.format(delimiter) + row + more.format(delimiter, delimiter)
        (tmp_path / "a.csv").write_text(content, encoding="utf-8")
        found = read_labelled_texts(tmp_path / "a.csv")
        assert (found.texts[0], found.labels[0]) == (text, "pos")


def test_an_empty_line_is_a_cell_of_a_table_of_one_column(tmp_path):
    (tmp_path / "a.csv").write_text("text\nfirst\n\nthird\n\n", encoding="utf-8")
    rows = table_files.read_table(tmp_path / "a.csv").select(["text"])
    assert rows == [("row 1", ["first"]), ("row 2", [""]), ("row 3", ["third"])]


def test_cells_of_several_lines_and_any_length(tmp_path, capsys):
    rows = [
        ("two\nlines", "a"),
        ('three,\n"quoted"\n\nlines', "b"),
        ("long " * 40_000 + "end,", "a"),
        ("hello, world\nagain", "b"),
    ]
    for name, delimiter in (("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")):
        (tmp_path / name).write_text(as_csv(rows, delimiter), encoding="utf-8", newline="")
        found = read_labelled_texts(tmp_path / name)
        assert list(zip(found.texts, found.labels, strict=True)) == rows
    assert "row 4: one row of several lines, each of which" in capsys.readouterr().err


def test_a_text_ends_at_the_end_of_its_line_only(tmp_path):
    lines = ["one\x0cpage", "next\x85line", "line\u2028separator"]
    (tmp_path / "a.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert read_answers(tmp_path / "a.txt", "answer") == (lines, None)
    assert next_word_data._read(str(tmp_path / "a.txt"), None) == lines


def test_half_a_character_is_replaced(tmp_path):
    rows = [("cut \ud83d", "a"), ("whole \ud83d\ude00", "b\udc00")]
    (tmp_path / "a.jsonl").write_text(as_json_lines(rows), encoding="utf-8")
    found = read_labelled_texts(tmp_path / "a.jsonl")
    assert found.texts == checked_texts([text for text, _ in rows]) == ["cut \ufffd", "whole 😀"]
    assert found.labels == checked_labels(["a", "b\udc00"], 2).tolist() == ["a", "b\ufffd"]
    found.split(0.5, "test")


def test_rows_without_a_label_are_counted_and_may_be_left_out(tmp_path, capsys):
    labels = ["a", "", "NaN", "n/a", "null", "None", "b", "#N/A", "<NA>"]
    rows = [(f"text {number}", label) for number, label in enumerate(labels)]
    file = tmp_path / "a.csv"
    file.write_text(as_csv(rows), encoding="utf-8")
    with pytest.raises(UserError, match=r"rows 2, 3, 4, 5, 8 and 1 more: the label is missing; f"):
        read_labelled_texts(file)
    assert read_labelled_texts(file, skip_unlabelled=True).labels == ["a", "None", "b"]
    assert "left out without a label: rows 2, 3, 4, 5, 8 and 1 more" in capsys.readouterr().err
    with pytest.raises(UserError, match="label 2 is missing .so are 1 more"):
        checked_labels(numpy.array(["a", None, float("nan")], dtype=object), 3)
    with pytest.raises(UserError, match="text 2 is no string but None .so are 1 more"):
        checked_texts(["a", None, float("nan")])


def test_a_number_is_one_label_however_it_is_written(tmp_path):
    file = tmp_path / "a.jsonl"
    lines = [f'{{"text": "a", "label": {label}}}' for label in ("1", "1.0", "true", '"1"')]
    file.write_text("\n".join(lines), encoding="utf-8")
    assert read_labelled_texts(file).labels == ["1"] * 4
    file = tmp_path / "a.csv"
    file.write_text("text,label\na,1.0\nb,2.0\nc,2\n", encoding="utf-8")
    assert read_labelled_texts(file).labels == ["1", "2", "2"]
    file.write_text("text,label\na,cafe\u0301\nb,caf\u00e9\n", encoding="utf-8")
    assert len(set(read_labelled_texts(file).labels)) == 1


def test_folders_of_texts(tmp_path):
    for name, text in (("pos/1.txt", "good\nfilm"), ("pos/2.txt", "fine"), ("neg/1.txt", "bad")):
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_text(text, encoding="utf-8")
    (tmp_path / "files" / "pos" / "._1.txt").write_bytes(b"\0\1")
    found = read_labelled_texts(tmp_path / "files")
    assert (found.texts, found.labels) == (["bad", "good\nfilm", "fine"], ["neg", "pos", "pos"])
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "pos.txt").write_text("good\n\nfine\n", encoding="utf-8")
    found = read_labelled_texts(tmp_path / "lines")
    assert (found.texts, found.labels) == (["good", "fine"], ["pos", "pos"])


def test_what_is_left_out_of_a_folder_is_named(tmp_path, capsys):
    for name in ("pos/1.txt", "neg/2.TXT", "neg/deeper/3.txt", "read me.txt", "neg/4.pdf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert read_labelled_texts(tmp_path).texts == ["neg/2.TXT", "pos/1.txt"]
    said = capsys.readouterr().err
    assert said.endswith("a label: files neg/4.pdf, neg/deeper/3.txt, read me.txt\n")


def test_options_force_what_is_else_found(tmp_path, capsys):
    file = tmp_path / "a.csv"
    file.write_bytes("text;label|text,label\nnaïve;a|b,c\n".encode("cp1252"))
    found = read_labelled_texts(
        file, encoding="cp1251", delimiter=";", label_column="label|text,label"
    )
    assert (found.texts, found.labels) == (["naпve"], ["a|b,c"])
    assert capsys.readouterr().err == ""
    pairs = "question;answer;label\nWho – you?;me;1\n"
    file.write_bytes(pairs.encode("cp1252"))
    assert read_questions(file, encoding="cp1252", delimiter=";")[0].text == "Who – you?"


GOOD = "text,label\ngood,a\n"


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.csv", "text,label,label\na,b,c\n", {}, "two columns 'label'; rename or remove one"),
        (
            "a.csv",
            GOOD + ' \n"","",""\n , \nok,b\n',
            {},
            "rows 2, 3, 4: the text is empty; fill it in",
        ),
        ("a.jsonl", '{"text": "a", "text": "b"}', {}, "line 1 has two values 'text'; rename or"),
        ("a.csv", "NOTE:first text,label\n", {}, "no column 'text'; it has 'NOTE:first text'"),
        ("a.csv", "text;label\na;b;c\n", {}, "row 1: more fields than the 2 of the header; put"),
        ("a.csv", GOOD, {"fine_labels": True}, "--fine-labels says nothing about .*a.csv; leave"),
        ("a.csv", GOOD, {"encoding": "utf-99"}, "there is no encoding 'utf-99'; expected a name"),
        ("a.csv", GOOD, {"delimiter": "::"}, "`delimiter` must be one character, or tab. Rec"),
        ("a.csv", "text,label\nï,a\n", {"encoding": "ascii"}, "line 2: not ascii; name another"),
        ("a.jsonl", '{"text": "a", "label": "b"}', {"delimiter": ";"}, "--delimiter says nothing"),
        ("a.label", "HUM:ind who?", {"delimiter": ";"}, "--delimiter says nothing about .*a.label"),
        ("a.label", "HUM:ind who?", {"text_column": "x"}, "--text-column or --label-column says"),
        ("a.jsonl", '{"text": "a", "label": {"b": 1}}', {}, r"line 1: the label is \{'b': 1\}"),
        ("a.jsonl", '{"text": {"a": 1}, "label": "b"}', {}, r"line 1: the text is \{'a': 1\}"),
        ("a.json", '{\n "text": "a",\n "label": "b"\n}', {}, "line 1: not valid JSON .* or a list"),
        ("a.json", "[" * 100_000, {}, "JSON nested too deep; give the texts as plain strings"),
        ("a.csv", b"PK\x03\x04" + b"\0" * 90, {}, "is a zip archive or a spreadsheet, no text; un"),
        ("a.csv", b"\xff\xfet\0e", {}, "line 1: not utf-16; name another encoding"),
        ("a.csv", bytes(range(1, 256)) * 9, {}, "is neither UTF-8 nor in another known encoding"),
        (
            "a.csv",
            ("text,label\n" + "好电影,a\n" * 9).encode() + b"\xe5\xa5,b\n",
            {},
            "line 11: a character is damaged, the others are UTF-8; mend the line",
        ),
        (
            "a.csv",
            "text,label\ncafé,a\nnaïve,b\n".encode() + b"caf\xc3,b\n",
            {},
            "line 4: a character is damaged",
        ),
        ("a.csv", 'a,text,label\nc\rd,"x, y",neg\n', {}, "row 1: new-line character seen"),
        ("a.jsonl", '{"text": 1' + "0" * 5000 + "}", {}, "line 1: not valid JSON"),
        ("a.parquet", b"PAR1", {"encoding": "utf-8"}, "--encoding says nothing about .*a.parquet"),
        ("a.parquet", b"PAR1", {}, "Parquet"),
        ("empty", None, {}, "empty is a folder without texts; expected a folder for each label"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, name, content, options, message):
    file = tmp_path / name
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as raised:
        read_labelled_texts(file, **options)
    assert "\n" not in str(raised.value)


def test_options_of_a_table_need_one():
    for option in ({"encoding": "cp1252"}, {"fine_labels": True}, {"text_column": "body"}):
        with pytest.raises(UserError, match="needs --train: it says how to read a file"):
            data.read_texts(**option)


def test_parquet_is_read_where_pandas_is(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"text": ["a", None, "c"], "label": [1, 2, None], "l": [[1], [], [2]]})
    frame.to_parquet(tmp_path / "a.parquet")
    table = table_files.read_table(tmp_path / "a.parquet")
    assert table.select(["text", "label", "l"]) == [
        ("row 1", ["a", "1", "[1]"]),
        ("row 2", ["", "2", "[]"]),
        ("row 3", ["c", "", "[2]"]),
    ]
    texts = pandas.Series(["a", "b"], index=[5, 7])
    assert checked_texts(texts) == ["a", "b"]
    with pytest.raises(UserError, match="label 2 is missing"):
        checked_labels(pandas.Series(["x", None], index=[5, 7]), 2)
