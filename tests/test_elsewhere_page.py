"""docs/elsewhere.md is true: both sides of each line are run, and give the same.

What tests do not install is compared with what it gave when tests/record_elsewhere.py ran it.
"""

import re

import elsewhere
import numpy as np
import pytest
import test_readme

TEXT = elsewhere.PAGE.read_text(encoding="utf-8")
LINES = elsewhere.lines(TEXT)
RECORDED = elsewhere.recorded()
SEED = 20270119  # not that of the recorded values


def agree(ours, theirs, has_gradient=True):
    """Values to 1e-5 of themselves, gradients to 1e-5 of the largest entry."""
    for mine, other in zip(ours, theirs, strict=True):
        assert np.shape(mine) == np.shape(other)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-6)
    largest = np.max(np.abs(theirs[1]))
    assert (largest > 0) == has_gradient
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5, atol=1e-5 * largest)


def of(*packages):
    chosen = [line for line in LINES if line.package in packages]
    return pytest.mark.parametrize("line", chosen, ids=str)


def assert_both_sides_agree(line):
    arrays = elsewhere.inputs(SEED)
    agree(elsewhere.ours(line, arrays), elsewhere.theirs(line, arrays), line.has_gradient)


@of("keras.losses", "tf.nn")
def test_line_of_keras_and_tensorflow(line):
    assert_both_sides_agree(line)


@of("torch.nn")
def test_line_of_torch(line):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    assert_both_sides_agree(line)


@of("optax")
@pytest.mark.filterwarnings("ignore")  # what other packages say while they load is not ours
def test_line_of_optax(line):
    pytest.importorskip("optax", reason="the extra `peers` is not installed")
    assert_both_sides_agree(line)


@of(*set(elsewhere.PACKAGES) - set(elsewhere.INSTALLED))
def test_line_of_recorded_values(line):
    arrays = {
        name: np.array(values, elsewhere.inputs(0)[name].dtype)
        for name, values in RECORDED["inputs"].items()
    }
    theirs = RECORDED["values"][line.package][line.theirs]
    agree(elsewhere.ours(line, arrays), [theirs["value"], theirs["gradient"]], line.has_gradient)


def test_no_value_is_recorded_for_nothing():
    written = {(line.package, line.theirs) for line in LINES}
    kept = {(package, call) for package, calls in RECORDED["values"].items() for call in calls}
    assert kept <= written


def test_every_package_has_lines_and_each_says_what_differs():
    assert {line.package for line in LINES} == set(elsewhere.PACKAGES)
    for line in LINES:
        assert line.difference, line


def test_names_are_those_of_the_first_table():
    rows = elsewhere.tables(TEXT)["The names in the lines"]
    shapes = {name: tuple(map(int, re.findall(r"\d+", shape))) for name, shape, _ in rows}
    assert shapes == {name: array.shape for name, array in elsewhere.inputs(0).items()}


def test_python_code_prints_what_is_shown(tmp_path, monkeypatch):
    test_readme.test_python_code_prints_what_is_shown(TEXT, tmp_path, monkeypatch)


def test_the_comparison_can_fail():
    right = [np.ones(3), np.ones((3, 2))]
    agree(right, right)
    for wrong in (
        [np.ones(3) * 1.0001, right[1]],
        [right[0], right[1] * 1.0001],
        [right[0].mean(), right[1]],
        [right[0], np.zeros((3, 2))],
    ):
        with pytest.raises(AssertionError):
            agree(wrong, right)
        with pytest.raises(AssertionError):
            agree(right, wrong)
