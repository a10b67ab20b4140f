"""Triples to learn from: which wrong answers are chosen, and how batches are grouped."""

import numpy as np
import pytest

from recipes.answer_ranker.data import RankingQuestion
from recipes.answer_ranker.training import AnswerTriples
from recipes.runs.failures import UserError

QUESTIONS = [
    RankingQuestion(
        f"question {number}",
        (f"right {number}", f"also {number}"),
        tuple(f"wrong {number} {place}" for place in range(number % 3)),
    )
    for number in range(12)
]
TEXTS = list(dict.fromkeys(text for each in QUESTIONS for text in (each.text, *each.candidates)))


def encode(texts):
    """One token that stands for the text, and as many more as its place says: all lengths."""
    return [[1000 + TEXTS.index(text)] + [1] * (TEXTS.index(text) % 23) for text in texts]


def triples(**options):
    return AnswerTriples(QUESTIONS, encode, 8, **{"seed": 4, **options})


def rows(batches):
    """All questions, right and wrong answers of an epoch, as texts."""
    for index in range(len(batches)):
        inputs, labels = batches[index]
        assert len(labels) == len(inputs[0])
        yield from (
            tuple(TEXTS[row[0] - 1000] for row in line) for line in zip(*inputs, strict=True)
        )


def question_of(text):
    return next(each for each in QUESTIONS if each.text == text)


@pytest.mark.parametrize("random_share", [0.0, 1.0])
def test_each_right_answer_comes_as_often_as_asked(random_share):
    found = list(rows(triples(repeats=3, random_share=random_share)))
    pairs = [(question, right) for question, right, _ in found]
    expected = [(each.text, right) for each in QUESTIONS for right in each.right]
    assert sorted(pairs) == sorted(expected * 3)
    of_others = 0
    for question, _, wrong in found:
        asked = question_of(question)
        assert wrong not in asked.right
        if random_share == 0 and asked.wrong:
            assert wrong in asked.wrong
        of_others += wrong not in asked.wrong
    assert of_others > 0


def test_batches_are_of_similar_length_and_their_labels_say_the_first_is_right():
    batches = triples(repeats=2)
    widths = []
    for index in range(len(batches)):
        (question, right, wrong), labels = batches[index]
        assert right.shape == wrong.shape
        assert question.shape[1] == max(map(len, batches.question_ids))
        assert not labels.any()
        widths.append(right.shape[1])
    assert len(set(widths)) > 1
    # Keras on TensorFlow wants the shortest and the longest first.
    assert widths[0] == min(widths)
    assert widths[1] == max(widths)


def test_every_epoch_chooses_anew_and_the_seed_decides():
    batches, same = triples(random_share=1.0), triples(random_share=1.0)
    first = list(rows(batches))
    assert first == list(rows(same))
    batches.choose()
    assert sorted(first) != sorted(rows(batches))
    assert sorted(first) != sorted(rows(triples(random_share=1.0, seed=5)))


def test_the_hardest_wrong_answer_is_taken():
    batches = triples(random_share=1.0)
    # One coordinate that says how hard an answer is.
    hardness = np.random.default_rng(1).random((len(batches.answer_ids), 1))
    for row, ids in zip(hardness, batches.answer_ids, strict=True):
        if not TEXTS[ids[0] - 1000].startswith("wrong"):
            row[:] = 2  # right for some question: suspicious of all the others
    of_text = {
        TEXTS[ids[0] - 1000]: value
        for ids, value in zip(batches.answer_ids, hardness[:, 0], strict=True)
    }
    drawn = np.mean([of_text[wrong] for _, _, wrong in rows(batches)])
    batches.choose(20, (np.ones((len(batches.question_ids), 1)), hardness))
    hardest = [of_text[wrong] for _, _, wrong in rows(batches)]
    assert np.mean(hardest) > 0.75
    assert max(hardest) < 1 < drawn
    for question, _, wrong in rows(batches):
        assert wrong not in question_of(question).right


def taken_by_score(score_of, among):
    """The wrong answers chosen for questions a and b, of which only a has one that is labelled."""
    questions = [
        RankingQuestion("a", ("right a",), ("labelled",)),
        RankingQuestion("b", ("right b",), ()),
        RankingQuestion("c", (), tuple(set(score_of) - {"right a", "right b", "labelled"})),
    ]
    texts = list(dict.fromkeys(text for each in questions for text in each.candidates))

    def numbers(given):
        return [[2 + number] for number, _ in enumerate(given)]

    batches = AnswerTriples(questions, numbers, 8, 4, repeats=40, random_share=0.5)
    batches.choose(among, (np.ones((2, 1)), np.array([[score_of[text]] for text in texts])))
    taken = ([], [])
    for index in range(len(batches)):
        for question, _, wrong in zip(*batches[index][0], strict=True):
            taken[question[0] - 2].append(texts[wrong[0] - 2])
    return taken


@pytest.mark.parametrize(
    ("of_a", "of_b", "of_labelled", "is_taken"),
    [
        (0.5, 0.4, 0.9, False),  # right a may be right for b, too
        (0.48, 0.5, 0.4, False),  # as it may with nearly the score
        (0.47, 0.5, 0.4, True),
        (-0.51, -0.5, -0.9, False),
        (-0.53, -0.5, -0.9, True),
    ],
)
def test_what_is_nearly_as_good_as_the_right_answer_is_not_taken(of_a, of_b, of_labelled, is_taken):
    others = {f"other {number}": -0.95 for number in range(9)}
    scores = {"right a": of_a, "right b": of_b, "labelled": of_labelled, **others}
    for_a, for_b = taken_by_score(scores, among=12)
    # A label is believed at any score.
    if of_labelled > of_b:
        assert set(for_a) == {"labelled"}
    assert ("right a" in for_b) == is_taken


def test_where_all_may_be_right_the_least_is_taken():
    scores = {"right a": 0.9, "right b": 0.4, "labelled": 0.5}
    _, for_b = taken_by_score(scores, among=3)
    assert for_b.count("labelled") > 0.8 * len(for_b)


def test_in_batch_labels_tell_the_questions_apart():
    batches = triples(in_batch=True, repeats=3)
    assert sum(len(batches[index][1]) for index in range(len(batches))) == 24
    for index in range(len(batches)):
        (question, right), labels = batches[index]
        assert len(question) == len(right) == len(labels)
        for row, label in zip(question, labels, strict=True):
            assert TEXTS[row[0] - 1000] == f"question {label}"


def test_a_question_that_every_answer_answers_cannot_be_learned_from():
    with pytest.raises(UserError, match="every answer is right for .* give wrong ones"):
        AnswerTriples([RankingQuestion("a", ("x", "y"), ())], encode_anything, 8, 0)


def encode_anything(texts):
    return [[2] for _ in texts]
