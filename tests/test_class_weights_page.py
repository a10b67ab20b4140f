"""docs/class_weights.md is true: its code prints what it shows, its numbers are those of torch."""

import pathlib
import re

import backends
import keras
import numpy as np
import pytest
import test_readme

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "class_weights.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_python_code_prints_what_is_shown(tmp_path, monkeypatch):
    backends.step_quickly(monkeypatch, keras.Model)
    test_readme.test_python_code_prints_what_is_shown(TEXT, tmp_path, monkeypatch)


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert targets
    for target in targets:
        assert (PAGE.parent / target).is_file(), target


def test_the_other_denominator_is_that_of_torch():
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    shown = re.search(r"as_in_torch\(.*# ([0-9.]+)", TEXT)[1]
    logits = torch.tensor([[2.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    ids = torch.tensor([0, 0, 0, 1])
    loss = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 1.0]))
    assert round(float(loss(logits, ids)), 4) == float(shown)


def test_weights_multiply_probabilities():
    """The minimum of the weighted loss of one row with label probabilities p is p w / sum p w."""
    from keras import ops

    from keras_ce.losses import label_smoothed_crossentropy

    p, w = np.array([0.7, 0.2, 0.1], "float32"), np.array([1.0, 5.0, 2.0], "float32")

    def value(q):
        logits = np.log(q).astype("float32")
        loss = label_smoothed_crossentropy(p, logits, 0, from_logits=True, class_weight=w)
        return float(ops.convert_to_numpy(loss))

    best = p * w / np.sum(p * w)
    generator = np.random.default_rng(5)
    for _ in range(20):
        other = best * generator.uniform(0.9, 1.1, 3)
        assert value(best) <= value(other / other.sum())
    assert value(best) < value(p)
