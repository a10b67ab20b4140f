"""What a run writes stands under its name whole, or not at all."""

import errno
import os

import pytest

from recipes.runs.failures import UserError
from recipes.runs.whole_files import whole_file
from recipes.tables.table_writing import write_table


def write_half(path, error):
    with whole_file(path) as new:
        new.write_text("half")
        raise error


def test_the_earlier_file_survives_a_full_disk(tmp_path):
    path = tmp_path / "numbers.json"
    path.write_text("earlier")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(UserError, match=r"numbers\.json cannot be written \(No space left"):
        write_half(path, full)
    assert path.read_text() == "earlier"
    assert os.listdir(tmp_path) == ["numbers.json"]


def test_the_name_is_the_new_file_only_when_all_is_written(tmp_path):
    path = tmp_path / "numbers.json"
    with whole_file(path) as new:
        new.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == ["numbers.json"]


def test_a_stopped_writer_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "numbers.json", KeyboardInterrupt())
    assert os.listdir(tmp_path) == []


def test_a_folder_that_vanished_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be written.*No such file") as caught:
        write_table(tmp_path / "gone" / "rows.csv", ["a"], [["1"]])
    assert "\n" not in str(caught.value)
