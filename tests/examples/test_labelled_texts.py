"""Reading labelled texts, and splitting them by a hash."""

import collections

import pytest

from recipes.runs.failures import UserError
from recipes.tables.labelled_texts import LabelledTexts, read_labelled_texts
from recipes.text_classifier import data


@pytest.mark.parametrize("name", ["train.label", "train.txt", "train"])
def test_trec_is_known_by_its_lines(tmp_path, name):
    file = tmp_path / name
    file.write_bytes("HUM:ind Who was Galileo ?\r\nLOC:city Where is Malmö ?\n".encode("latin-1"))
    assert read_labelled_texts(file) == LabelledTexts(
        ["Who was Galileo ?", "Where is Malmö ?"], ["HUM", "LOC"], ["1", "2"]
    )
    assert read_labelled_texts(file, fine_labels=True).labels == ["HUM:ind", "LOC:city"]


def test_trec_with_another_line_names_it(tmp_path):
    file = tmp_path / "train.label"
    file.write_text("HUM:ind Who was Galileo ?\nsomething else\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"train\.label, line 2: expected 'COARSE:fine text'"):
        read_labelled_texts(file)


def test_csv_keeps_every_word_as_it_is_written(tmp_path):
    file = tmp_path / "texts.csv"
    file.write_text(
        '\ufefftext,label,more\n"two\nlines, ""quoted""",01,x\nNA,None,\n', encoding="utf-8"
    )
    expected = LabelledTexts(['two\nlines, "quoted"', "NA"], ["01", "None"], ["1", "2"])
    assert read_labelled_texts(file) == expected


def test_tsv_with_named_columns(tmp_path):
    file = tmp_path / "texts.TSV"
    file.write_text("kind\tbody\n2\thello, world\n10\tbye\n", encoding="utf-8")
    found = read_labelled_texts(file, text_column="body", label_column="kind")
    assert found == LabelledTexts(["hello, world", "bye"], ["2", "10"], ["1", "2"])


def test_json_lines(tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": " a ", "label": 1}\n\n{"label": "x", "text": "b"}', encoding="utf-8")
    assert read_labelled_texts(file) == LabelledTexts(["a", "b"], ["1", "x"], ["1", "3"])
    file.write_text('{"text": null, "label": 1}', encoding="utf-8")
    with pytest.raises(UserError, match="line 1: the text is empty"):
        read_labelled_texts(file)
    file.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(UserError, match=r"record 1: expected an object like \{\.\.\.\}"):
        read_labelled_texts(file)
    file.write_text('{"text": "a"}', encoding="utf-8")
    with pytest.raises(UserError, match="has no column 'label'; it has 'text'"):
        read_labelled_texts(file)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("hello,a\nhello, world,a\n", r"row 2: more fields than the 2 of the header; put texts"),
        ("hello\n", r"row 1: the label is missing"),
    ],
)
def test_a_broken_table_is_one_line(tmp_path, rows, message):
    file = tmp_path / "texts.csv"
    file.write_text("text,label\n" + rows, encoding="utf-8")
    with pytest.raises(UserError, match=r"texts\.csv, " + message):
        read_labelled_texts(file)


def test_split_follows_the_texts_alone():
    texts = [f"text number {number}" for number in range(1000)]
    data = LabelledTexts(texts, ["a", "b"] * 500)
    backwards = LabelledTexts(texts[::-1], ["b", "a"] * 500)
    kept, split_off = data.split(0.1, "test")
    assert len(split_off) == 100
    assert collections.Counter(kept.texts + split_off.texts) == collections.Counter(texts)
    label_of_text = dict(zip(data.texts, data.labels, strict=True))
    assert [label_of_text[text] for text in split_off.texts] == split_off.labels
    assert sorted(backwards.split(0.1, "test")[1].texts) == sorted(split_off.texts)
    other = data.split(0.1, "validation")[1]
    assert len(set(other.texts) & set(split_off.texts)) < 40


def test_equal_texts_stay_together_and_no_label_is_lost():
    texts = [f"text {number % 50}" for number in range(100)] + ["the only one"]
    data = LabelledTexts(texts, ["common"] * 100 + ["rare"])
    for salt in map(str, range(30)):
        kept, split_off = data.split(0.5, salt)
        assert not set(kept.texts) & set(split_off.texts)
        assert "rare" in kept.labels
        assert len(kept) + len(split_off) == 101


@pytest.mark.parametrize("digits", [18, 19, 5000])
def test_labels_are_integers_where_an_array_holds_them(tmp_path, digits):
    file = tmp_path / "texts.csv"
    rows = [f"text {number},{'9' * digits if number % 2 else 2}\n" for number in range(40)]
    file.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    training, _, _ = data.read_texts(str(file))
    number = int if digits == 18 else str
    assert {*training.labels} == {number("9" * digits), number(2)}


def test_trec_files(shared_data):
    train = read_labelled_texts(shared_data / "trec6" / "train_5500.label")
    test = read_labelled_texts(shared_data / "trec6" / "TREC.test")
    assert (len(train), len(test)) == (5452, 500)
    assert (
        sorted(set(train.labels))
        == sorted(set(test.labels))
        == ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]
    )
    assert train.texts[0] == "How did serfdom develop in and then leave Russia ?"


class TestSeveralLabels:
    def test_a_cell_is_cut_at_the_separator(self, tmp_path):
        file = tmp_path / "texts.csv"
        file.write_text("text,label\na, x | y\nb,y\nc,\nd,y||x|y\n", encoding="utf-8")
        found = read_labelled_texts(file, label_separator="|")
        assert found.labels == [("x", "y"), ("y",), (), ("x", "y")]
        assert found.are_several
        assert read_labelled_texts(file, label_separator="|", skip_unlabelled=True).rows == list(
            "124"
        )
        with pytest.raises(UserError, match="row 3: the label is missing"):
            read_labelled_texts(file)
        file.write_text("text,label\na,x|y\nb,n/a\n", encoding="utf-8")
        with pytest.raises(UserError, match="row 2: the label is missing"):
            read_labelled_texts(file, label_separator="|")

    @pytest.mark.parametrize("part", ["n/a", "NaN", "null"])
    def test_what_is_no_label_is_none_in_a_cell_of_several(self, tmp_path, part):
        file = tmp_path / "texts.csv"
        file.write_text(f"text,label\na,x|y\nb,x| {part}\n", encoding="utf-8")
        with pytest.raises(UserError, match=f"row 2: the list of labels has '{part}' in it; expe"):
            read_labelled_texts(file, label_separator="|")

    def test_lists_in_json_are_labels(self, tmp_path):
        file = tmp_path / "texts.jsonl"
        lines = ['{"text": "a", "label": [2, 1]}', '{"text": "b", "label": []}']
        file.write_text("\n".join(lines), encoding="utf-8")
        assert read_labelled_texts(file).labels == [("1", "2"), ()]
        lines.append('{"text": "c", "label": "1|3"}')
        file.write_text("\n".join(lines), encoding="utf-8")
        assert read_labelled_texts(file, label_separator="|").labels[2] == ("1", "3")

    @pytest.mark.parametrize(
        ("label", "options", "message"),
        [
            ('"x"', {}, "line 2: the label is 'x', and other rows have lists of labels; give a li"),
            ("[[1]]", {}, r"line 2: the list of labels has \[1\] in it; expected strings or numb"),
            ('["x", null]', {}, "line 2: the list of labels has None in it"),
            ('["x", " "]', {}, "line 2: the list of labels has ' ' in it"),
            ('{"x": 1}', {"label_separator": "|"}, "line 2: the label is {'x': 1}, and other rows"),
            ("null", {}, "line 2: the label is missing"),
            ("[1]", {"label_separator": ""}, "--label-separator is empty; give what stands betw"),
        ],
    )
    def test_others_are_one_line(self, tmp_path, label, options, message):
        file = tmp_path / "texts.jsonl"
        lines = ['{"text": "a", "label": ["x"]}', f'{{"text": "b", "label": {label}}}']
        file.write_text("\n".join(lines), encoding="utf-8")
        with pytest.raises(UserError, match=message) as raised:
            read_labelled_texts(file, **options)
        assert "\n" not in str(raised.value)

    def test_other_formats_have_no_separator(self, tmp_path):
        file = tmp_path / "train.label"
        file.write_text("HUM:ind Who was Galileo ?\n", encoding="utf-8")
        with pytest.raises(UserError, match="--label-separator says nothing about"):
            read_labelled_texts(file, label_separator="|")

    def test_no_label_is_lost_by_a_split(self):
        labels = [("common",), (), ("common", "rare")] * 30 + [("rarest", "common")]
        data = LabelledTexts([f"text {number}" for number in range(91)], labels)
        for salt in map(str, range(30)):
            kept, split_off = data.split(0.5, salt)
            assert {label for each in kept.labels for label in each} == {"common", "rare", "rarest"}
            assert len(kept) + len(split_off) == 91
            assert len(split_off) >= 44
