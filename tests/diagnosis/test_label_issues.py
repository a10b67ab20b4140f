"""`find_label_issues` against the definition, worked out by hand, and on planted flips."""

import numpy as np
import pytest
from backends import default_backend_only, invalid
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_ce

pytestmark = default_backend_only

# Thresholds, the mean probability of the label: class 0 (0.9 + 0.8 + 0.6 + 0.1) / 4 = 0.6, class 1
# (0.7 + 0.9 + 0.2) / 3 = 0.6. Row 3 (label 0) reaches class 1 with 0.9, row 6 (label 1) class 0
# with 0.8: the joint is [[3, 1], [1, 2]], its rows sum to the numbers of labels.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1])
OF_CLASS_0 = np.array([0.9, 0.8, 0.6, 0.1, 0.3, 0.1, 0.8])
PROBABILITIES = np.stack([OF_CLASS_0, 1 - OF_CLASS_0], 1)


def test_the_definition_by_hand():
    # Their labels have probability 0.1 and 0.2.
    assert keras_ce.find_label_issues(LABELS, PROBABILITIES).tolist() == [3, 6]
    # The others by the probability of their label: 0.6, 0.7, 0.8, and two of 0.9.
    everything = keras_ce.find_label_issues(LABELS, PROBABILITIES, rank_all=True)
    assert everything.tolist() == [3, 6, 2, 4, 1, 0, 5]


def test_what_reaches_no_threshold_counts_nowhere():
    # Row 2 has label 0 and 0.55 for class 1, below the 0.8 that class 1 gives its own rows.
    of_class_1 = np.array([0.1, 0.1, 0.55, 0.8, 0.8])
    rows = np.stack([1 - of_class_1, of_class_1], 1)
    assert keras_ce.find_label_issues([0, 0, 0, 1, 1], rows).tolist() == []


def test_a_class_without_rows():
    rows = np.array([[0.6, 0.2, 0.2], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05]])
    assert keras_ce.find_label_issues([0, 1, 1, 0], rows).tolist() == []


def self_confidence(labels, probabilities):
    """The order that cleanlab has by default: the probability of the label alone."""
    return np.argsort(probabilities[np.arange(len(labels)), labels], kind="stable")


@pytest.mark.parametrize("load", [load_digits, load_wine, load_breast_cancer])
def test_planted_flips_come_first(load):
    x, labels = load(return_X_y=True)
    random = np.random.default_rng(0)
    flipped = random.choice(len(labels), round(0.05 * len(labels)), replace=False)
    given = labels.copy()
    classes = labels.max() + 1
    given[flipped] = (labels[flipped] + random.integers(1, classes, len(flipped))) % classes
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    probabilities = cross_val_predict(model, x, given, cv=5, method="predict_proba")

    def share(order):
        return np.isin(order[: len(flipped)], flipped).mean()

    everything = keras_ce.find_label_issues(given, probabilities, rank_all=True)
    assert share(everything) >= share(self_confidence(given, probabilities))
    assert share(everything) > 0.6
    issues = keras_ce.find_label_issues(given, probabilities)
    assert np.isin(issues, flipped).mean() > 0.5  # of all rows a twentieth


def test_bad_input():
    with invalid("probabilities", "at least one row", fix="np.stack", value=(7,)):
        keras_ce.find_label_issues(LABELS, OF_CLASS_0)
    with invalid("probabilities", "from 0 to 1", fix="softmax", position=(0, 0), value=9.0):
        keras_ce.find_label_issues(LABELS, PROBABILITIES * 10)
    with invalid("probabilities", "sum to 1", position=(0,), value=0.5):
        keras_ce.find_label_issues(LABELS, PROBABILITIES / 2)
    with invalid("labels", "from 0 to 1", position=(3,), value=2):
        keras_ce.find_label_issues([0, 0, 0, 2, 1, 1, 1], PROBABILITIES)
    with invalid("labels", "one for each row", fix="np.unique", value=["ham"]):
        keras_ce.find_label_issues(["ham"] * 7, PROBABILITIES)
