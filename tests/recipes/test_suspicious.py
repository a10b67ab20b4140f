"""`recipes.text_classifier.suspicious`: planted flips are found, and named by their rows."""

import random

import pytest

from recipes.runs.report_page import page
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier.evaluation import features_of_linear_svm
from recipes.text_classifier.suspicious import FOLDS, SHOWN, find_suspicious, section_of_suspicious

WORDS = {
    "food": ["eats", "hay", "water", "bread", "grass", "milk"],
    "sport": ["runs", "race", "swims", "hill", "wins", "match"],
    "rest": ["sleeps", "home", "lies", "bed", "eyes", "night"],
}


def texts(labels, number=200):
    """Texts of which each tells its label, with the rows of a file."""
    chosen = random.Random(0)
    given = [labels[place % len(labels)] for place in range(number)]
    made = [" ".join(chosen.choices(WORDS[label], k=4)) for label in given]
    return LabelledTexts(made, given, [str(place + 1) for place in range(number)])


def flipped(data, share=0.05):
    """The same with another label at some rows, and these rows."""
    labels, names = list(data.labels), sorted(set(data.labels))
    rows = random.Random(1).sample(range(len(labels)), round(share * len(labels)))
    for row in rows:
        labels[row] = names[(names.index(labels[row]) + 1) % len(names)]
    return LabelledTexts(data.texts, labels, data.rows), rows


@pytest.mark.parametrize("labels", [["food", "sport", "rest"], ["food", "sport"]])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_planted_flips_are_found(labels, class_weight):
    data = texts(labels, 600)
    wrong, rows = flipped(data)
    planted = {data.rows[row] for row in rows}
    found = find_suspicious(wrong, features_of_linear_svm("words"), class_weight)
    right = [each for each in found if each.row in planted]
    assert len(right) >= 0.8 * len(planted)
    assert len(right) >= 0.8 * len(found)
    for each in right:
        place = data.rows.index(each.row)
        assert (each.text, each.label) == (data.texts[place], wrong.labels[place])
        assert each.suggested == data.labels[place]  # the one before the flip
        assert float(each.probability) < float(each.suggested_probability)
    likely = [float(each.probability) for each in found]
    assert likely == sorted(likely)


def test_labels_that_some_fold_would_lack_are_not_judged():
    data = texts(["food", "sport"], 60)
    few = LabelledTexts(["sleeps bed eyes"] * (FOLDS - 1), ["rest"] * (FOLDS - 1), ["x"] * 4)
    found = find_suspicious(data + few, features_of_linear_svm("words"), None)
    assert "x" not in {each.row for each in found}
    assert find_suspicious(few + few, features_of_linear_svm("words"), None) == []


def test_the_report_shows_the_first_and_says_how_they_were_found():
    wrong, _ = flipped(texts(["food", "sport", "rest"], 600))
    found = find_suspicious(wrong, features_of_linear_svm("words"), None)
    section = section_of_suspicious(found, len(wrong))
    shown = page("run", [section])
    assert f"{len(found)} of 600 training texts" in shown
    assert "5 folds" in shown
    assert found[0].text in shown
    assert shown.count("<tr>") == 1 + SHOWN < len(found)  # the file has all
    assert "None was found" in page("run", [section_of_suspicious([], 600)])
