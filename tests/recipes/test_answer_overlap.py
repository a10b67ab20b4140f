"""What an answer shares with its question: the features, and the weights learned for them."""

import dataclasses
import itertools
import math
import re

import numpy as np
import pytest

from recipes.answer_ranker.data import RankingQuestion
from recipes.answer_ranker.overlap import FEATURES, Overlap, learn_overlap, pairwise_weights

ANSWERS = ["the red cow", "the red barn", "a red cow, a dog", "the hen", "!"]
QUESTION = "the red cow barns"


def reference(question, answer):
    """The features of two texts of words, as their definitions have them."""

    def parts(text):
        words = re.findall(r"\w+|[^\w\s]", text)
        letters = [f"^{word}$" for word in words if word.isalnum()]
        trigrams = [word[place : place + 3] for word in letters for place in range(len(word) - 2)]
        return words, list(itertools.pairwise(words)), trigrams

    def rarity(kind, part):
        holding = sum(part in parts(text)[kind] for text in ANSWERS)
        holding = holding if holding >= 2 else 0  # what one answer alone holds is not counted
        return math.log(1 + (len(ANSWERS) - holding + 0.5) / (holding + 0.5))

    words = parts(answer)[0]
    relative = len(words) / np.mean([len(parts(text)[0]) for text in ANSWERS])
    row = [
        sum(
            rarity(0, word) * words.count(word) / (words.count(word) + k1 * (1 - b + b * relative))
            for word in set(parts(question)[0])
        )
        for k1, b in ((0.2, 0.25), (1.5, 0.75))
    ]
    row.append(math.log(1 + len(words)))
    for kind in range(3):
        asked, held = set(parts(question)[kind]), set(parts(answer)[kind])
        everything = sorted(asked | held)
        rarities = np.array([rarity(kind, part) for part in everything])
        of_question, of_answer = (
            np.array([part in some for part in everything]) * rarities for some in (asked, held)
        )
        both = of_question[of_answer > 0].sum()
        norm = np.linalg.norm(of_question) * np.linalg.norm(of_answer)
        row += [both / of_question.sum(), of_question @ of_answer / norm if norm else 0]
    return row


def test_features_against_their_definitions():
    overlap = Overlap.counted(ANSWERS, "words")
    found = overlap.features(QUESTION, [*ANSWERS, "a red cow"])
    assert found.shape == (6, len(FEATURES))
    expected = [reference(QUESTION, answer) for answer in (*ANSWERS, "a red cow")]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_letters_find_what_stems_do_not():
    overlap = Overlap.counted(ANSWERS, "stems")
    share, letters = (FEATURES.index(f"share_of_{kind}") for kind in ("tokens", "trigrams"))
    row, other = overlap.features("barnyard", ["the barn", "the hen"])
    assert row[share] == 0 == other[letters]
    assert row[letters] > 0.2
    # Of languages without spaces, neighbours say what words do elsewhere.
    chinese = Overlap.counted(["红色的牛", "牛的红色"], "characters")
    pairs = FEATURES.index("share_of_pairs")
    row, other = chinese.features("红色的牛？", ["红色的牛", "牛的红色"])
    assert row[pairs] > other[pairs] > 0
    assert row[share] == other[share]


def test_texts_without_words_have_features():
    for kind in ("words", "stems", "characters"):
        found = Overlap.counted(["!", "a"], kind).features("?", ["!", "a", "  "])
        assert np.isfinite(found).all()
    assert np.isfinite(Overlap.counted([], "words").features("a", ["a"])).all()


def test_weights_put_right_answers_first_and_each_question_counts_alike():
    random = np.random.default_rng(0)
    truth = np.array([2.0, -1.0, 0.0])
    features = [random.normal(size=(6, 3)) * [1, 10, 1] for _ in range(300)]
    labels = []
    for rows in features:
        scores = rows @ (truth / [1, 10, 1]) + random.gumbel(size=6) * 0.3
        labels.append((scores == scores.max()).astype(int))
    weights = pairwise_weights(features, labels)
    # Whatever the unit of a feature.
    assert weights[1] / weights[0] == pytest.approx(-0.05, abs=0.01)
    assert abs(weights[2] / weights[0]) < 0.1
    # One question with ten thousand wrong answers does not outvote the others.
    many = [np.concatenate([[[-1.0, 0, 0]], random.normal(size=(10_000, 3))])]
    together = pairwise_weights(features + many, [*labels, [1] + [0] * 10_000])
    assert together[0] > 0.8 * weights[0]


SHARING = [
    RankingQuestion(f"{thing} {number}", (f"a {thing} {number}",), (f"a hen {number}", "an ox"))
    for number in range(6)
    for thing in ("dog", "cat", "cow")
]


def learn(training, validation, cosine_of_right):
    """The overlap learned beside cosines of which those of right answers are larger by this."""
    random = np.random.default_rng(1)
    cosines = [
        random.normal(size=len(each.labels)) * 0.1 + cosine_of_right * np.array(each.labels)
        for each in validation
    ]
    return learn_overlap(training, validation, cosines, "words", seed=0)


def scores_of(overlap, question):
    return overlap.of(question.text, question.candidates)


def test_the_overlap_counts_as_much_as_it_helps():
    beside_bad, beside_good = (learn(SHARING[:9], SHARING[9:], size) for size in (0.0, 0.5))
    for overlap in (beside_bad, beside_good):
        assert all(scores_of(overlap, each).argmax() == 0 for each in SHARING)
    large, small = (np.abs(each.weights).max() for each in (beside_bad, beside_good))
    assert large > 3 * small > 0
    # Cosines that are worse than chance are outweighed, and not turned around.
    beside_worse = learn(SHARING[:9], SHARING[9:], -0.5)
    for each in SHARING:
        cosines = -0.5 * np.array(each.labels)
        assert (cosines + scores_of(beside_worse, each)).argmax() == 0


def test_an_overlap_that_misleads_counts_nothing():
    turned = [RankingQuestion(each.text, each.wrong[:1], each.right) for each in SHARING[9:]]
    overlap = learn(SHARING[:9], turned, 0.5)
    assert not np.any(overlap.weights)


def test_pairs_alone_are_given_wrong_answers():
    pairs = [dataclasses.replace(each, wrong=()) for each in SHARING[:9]]
    overlap = learn(pairs, SHARING[9:], 0.0)
    assert all(scores_of(overlap, each).argmax() == 0 for each in SHARING)


def test_a_single_question_is_enough():
    overlap = learn(SHARING[:1], SHARING[1:2], 0.0)
    assert np.isfinite(overlap.weights).all()
    # Where every answer is right for all questions, the validation questions have to do.
    same = [RankingQuestion(text, ("a dog",), ()) for text in ("dog", "cat")]
    assert np.isfinite(learn(same, SHARING[1:2], 0.0).weights).all()
