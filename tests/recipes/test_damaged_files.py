"""Whatever stands in a file, it is read or refused in one line; and no row of a table is lost."""

import csv
import string

import pytest
from hypothesis import given, settings, strategies as st

from benchmarks.mutated_files import good_files, mutated
from recipes.runs.failures import UserError
from recipes.tables.labelled_texts import read_labelled_texts
from recipes.tables.row_by_row import read_rows

GOOD = good_files()
FEW = settings(max_examples=25, deadline=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def is_read(path, content, read):
    path.write_bytes(content)
    message = None
    try:
        read(path)
    except UserError as error:
        message = str(error)
    assert message is None or ("\n" not in message and len(message) > 20), message
    return message is None


@pytest.mark.parametrize("kind", GOOD)
def test_damage_is_read_or_refused_in_one_line(folder, kind):
    good, read = GOOD[kind]
    assert is_read(folder / kind, good, read)

    @FEW
    @given(st.integers(0, 2**32))
    def of_seed(seed):
        is_read(folder / kind, mutated(good, kind, seed), read)

    of_seed()


@pytest.mark.parametrize("kind", GOOD)
def test_any_bytes_are_read_or_refused_in_one_line(folder, kind):
    _, read = GOOD[kind]

    @FEW
    @given(st.binary(max_size=200))
    def of_bytes(content):
        is_read(folder / kind, content, read)

    of_bytes()


# What a table can hold: any character but halves of pairs, and those that no file of text has.
TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), min_size=1
).filter(str.strip)


@FEW
@given(
    rows=st.lists(st.tuples(TEXT, st.sampled_from(string.ascii_lowercase)), min_size=2),
    delimiter=st.sampled_from(",;\t"),
)
def test_no_row_is_lost(folder, rows, delimiter):
    path = folder / "rows.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *rows])
    found = read_labelled_texts(path, delimiter=delimiter, encoding="utf-8")
    assert found.labels == [label for _, label in rows]
    assert [text.split() for text in found.texts] == [text.split() for text, _ in rows]
    table = read_rows(path, "text", "--text-column", delimiter=delimiter, encoding="utf-8")
    assert [row[0] for row in table.rows] == [text for text, _ in rows]
    assert table.numbers == list(range(1, len(rows) + 1))
