"""The report: the worst first, readable, and of use to scripts."""

import json

import pytest

from keras_ce.diagnosis import DiagnosisError, Finding, Report

NOTE = Finding("imbalance", "note", "One class in ten.", "Write class_weight.")
WARNING = Finding("initial-loss", "warning", "Loss 9.", "Scale [the] inputs.", "size")
ERROR = Finding("label-kind", "error", "Labels are texts.", "Map them to ids.", "colour")


@pytest.fixture
def report():
    return Report([NOTE, WARNING, ERROR], 5000, 640)


def test_the_worst_comes_first(report):
    assert report.findings == [ERROR, WARNING, NOTE]
    assert report.errors == [ERROR]


def test_print_is_a_table(report):
    text = str(report)
    places = [text.index(part) for part in ("label-kind", "(colour)", "Labels are texts.")]
    assert places[0] < text.index("initial-loss") < text.index("imbalance")
    assert "-> Scale [the] inputs." in text  # not taken for the markup of rich
    assert text.endswith("1 error, 1 warning, 1 note in 5,000 rows, 640 outputs")
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text


def test_nothing_found():
    report = Report([], 64, 64)
    assert str(report) == "nothing found in 64 rows"
    assert report.errors == []
    report.raise_if_errors()


def test_errors_are_raised_warnings_are_not(report):
    with pytest.raises(DiagnosisError, match=r"^label-kind \(colour\): Labels are texts\. Map"):
        report.raise_if_errors()
    Report([NOTE, WARNING], 5, 5).raise_if_errors()
    assert issubclass(DiagnosisError, ValueError)


def test_to_dict_is_ready_for_json(report):
    values = json.loads(json.dumps(report.to_dict()))
    assert values["rows"] == 5000
    assert values["output_rows"] == 640
    assert values["findings"][0] == {
        "code": "label-kind",
        "severity": "error",
        "message": "Labels are texts.",
        "fix": "Map them to ids.",
        "output": "colour",
    }


def test_repr_is_short(report):
    assert repr(report) == (
        "<Report of 5000 rows: error: label-kind, warning: initial-loss, note: imbalance>"
    )
    assert repr(Report([], 3, 3)) == "<Report of 3 rows: nothing found>"


def test_rich_shows_the_same(report, capsys):
    import rich

    rich.print(report)
    assert "Labels are texts." in capsys.readouterr().out
