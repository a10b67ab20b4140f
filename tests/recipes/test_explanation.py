"""`TextClassifier.explain`: the shares of words add up to the difference of logits."""

import io

import numpy as np
import pytest
import rich.console
from backends import step_quickly

from recipes.text_classifier import TextClassifier
from recipes.text_classifier.model import TextClassifierModel
from recipes.text_classifier.training import predict_logits

TEXTS = ["the dog barks", "a cat purrs", "the dog runs", "one cat sleeps"] * 5
LABELS = ["dog", "cat", "dog", "cat"] * 5
SMALL = {
    "embedding_dim": 8,
    "affix_buckets": 20,
    "convolution_filters": 4,
    "convolution_widths": (2,),
    "epochs": 4,
    "batch_size": 10,
    "verbose": 0,
    "diagnosis": False,
}


@pytest.fixture(scope="module")
def classifier():
    with pytest.MonkeyPatch.context() as patch:
        step_quickly(patch, TextClassifierModel)
        return TextClassifier(members=2, **SMALL).fit(TEXTS, LABELS)


def without_words(classifier, text):
    """The logits where each embedding and each n-gram is 0, by setting the weights."""
    model = classifier.model_
    kept = model.get_weights()
    for variable in model.variables:
        is_table = variable.name == "table" and "int" not in variable.dtype
        if variable.name in ("embeddings", "vectors") or is_table:
            variable.assign(np.zeros(variable.shape))
    logits = predict_logits(model, [text])[0]
    model.set_weights(kept)
    return logits


@pytest.mark.parametrize("text", ["the dog barks", "My cat, though, is no dog!", "dog"])
def test_shares_add_up_to_the_difference_of_logits(classifier, text):
    for number, label in enumerate(["cat", "dog"]):
        found = classifier.explain(text, label)
        logit = predict_logits(classifier.model_, [text])[0, number]
        baseline = without_words(classifier, text)[number]
        assert found.logit == pytest.approx(logit, abs=1e-4)
        assert found.baseline == pytest.approx(baseline, abs=1e-4)
        difference = logit - baseline
        assert found.shares.sum() + found.rest == pytest.approx(difference, rel=0.01, abs=1e-4)
        assert len(found.words) == len(found.shares)


def test_the_word_that_matters_has_the_largest_share(classifier):
    found = classifier.explain("my small dog")
    assert found.label == "dog"
    assert found.words == ["my", "small", "dog"]
    assert found.shares.argmax() == 2
    assert classifier.explain("my small dog", "cat").shares.argmin() == 2


def test_shown_in_colour_and_as_html(classifier):
    found = classifier.explain("<b> dog")
    console = rich.console.Console(
        file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(found)
    assert "\x1b[1;38;2;0;114;178mdog" in console.file.getvalue()
    assert "&lt;" in found.html()
    assert ">dog</span>" in found.html()
    assert str(found).splitlines()[1].startswith("< (")


def test_no_class(classifier):
    with pytest.raises(ValueError, match="'cow' is no class; expected one of .'cat', 'dog'."):
        classifier.explain("a dog", "cow")
