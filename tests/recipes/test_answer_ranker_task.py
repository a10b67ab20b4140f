"""`AnswerRanker`: questions and answers in, rankings, searches and files out."""

import copy
import dataclasses
import io
import json
import os
import pathlib
import pickle
import random
import subprocess
import sys
import zipfile

import joblib
import keras
import numpy as np
import pytest
from backends import default_backend_only, step_quickly
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from recipes.answer_ranker import AnswerRanker, index as answer_index, task
from recipes.answer_ranker.baseline import WordIndex
from recipes.answer_ranker.data import RankingQuestion
from recipes.answer_ranker.evaluation import score_ranking
from recipes.answer_ranker.model import RankerModel
from recipes.answer_ranker.overlap import FEATURES

PROJECT = pathlib.Path(__file__).parents[2]
THINGS = ["dog", "cat", "horse", "cow", "sheep", "goat", "hen", "pig", "duck", "fish"]
# No question shares a word with its answer but the thing: what is asked has to be learned.
ASKED = {"where": "lives in a shed", "when": "wakes at dawn", "why": "since it was hungry"}
QUICK = {
    "epochs": 12,
    "batch_size": 10,
    "embedding_dim": 32,
    "hardest_among": 2,
    "seed": 3,
    "verbose": 0,
}


def columns(things, number):
    """Questions, answers and labels."""
    chosen = random.Random(number)
    rows = []
    for thing in things:
        for ask in ASKED:
            question = f"{ask} is the {thing} number {number}"
            rows += [
                (question, f"the {thing} {text}", int(kind == ask)) for kind, text in ASKED.items()
            ]
            other = chosen.choice(sorted(set(THINGS) - {thing}))
            rows.append((question, f"the {other} {ASKED[ask]}", 0))
    return list(zip(*rows, strict=True))


TRAINING, VALIDATION, TEST = columns(THINGS, 1), columns(THINGS[:5], 2), columns(THINGS[5:], 1)
ANSWERS = list(dict.fromkeys(TRAINING[1]))
QUESTION = "when is the cow number 1"


@pytest.fixture(scope="module", autouse=True)
def few_buckets():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "UNKNOWN_BUCKETS", 50)
        yield


@pytest.fixture(scope="module")
def ranker():
    ranker = AnswerRanker(**QUICK).fit(*TRAINING, validation_data=VALIDATION)
    # Here shared words do not help, and would not be seen.
    weights = [0.01 * number for number in range(1, len(FEATURES) + 1)]
    ranker.overlap_ = dataclasses.replace(ranker.overlap_, weights=weights)
    return ranker


@pytest.fixture(scope="module")
def index(ranker):
    return ranker.index(ANSWERS)


# --- learning and ranking ---


def test_it_learns_what_no_shared_word_says(ranker):
    measures = ranker.evaluate(*TEST)
    assert measures["encoder_map"] > 0.9 > measures["bm25_map"]
    assert measures["map"] > 0.9
    assert measures["recall_at_5"] > 0.9
    assert set(ranker.history_) == {"loss", *(f"val_{name}" for name in task.evaluation.MEASURES)}


def test_rank_orders_by_the_sums_of_cosine_and_overlap(ranker, index):
    sums = ranker.similarities(QUESTION, ANSWERS)
    assert sums.shape == (len(ANSWERS),)
    np.testing.assert_array_equal(ranker.rank(QUESTION, ANSWERS), np.argsort(-sums, kind="stable"))
    assert ANSWERS[ranker.rank(QUESTION, ANSWERS)[0]] == "the cow wakes at dawn"
    cosines = {
        answer: score
        for score, _, answer in index.search(QUESTION, len(ANSWERS), add_overlap=False)
    }
    overlap = ranker.overlap_.features(QUESTION, ANSWERS) @ np.array(ranker.overlap_.weights)
    assert overlap.any()
    expected = [cosines[answer] for answer in ANSWERS] + overlap
    np.testing.assert_allclose(sums, expected, atol=1e-6)
    # A score is that of question and answer, whatever else is ranked.
    np.testing.assert_allclose(ranker.similarities(QUESTION, ANSWERS[3:5]), sums[3:5], atol=1e-6)
    assert len(ranker.rank(QUESTION, [])) == 0


def test_evaluate_measures_rank(ranker):
    questions, answers, labels = map(np.array, TEST)
    scores, right, first, recalls = [], [], [], []
    for question in dict.fromkeys(questions):
        is_its = questions == question
        scores.append(ranker.similarities(question, answers[is_its]))
        right.append(labels[is_its])
        first.append(labels[is_its][ranker.rank(question, answers[is_its])[0]])
        everything = list(dict.fromkeys(answers))
        best = [everything[row] for row in ranker.rank(question, everything)]
        wanted = set(answers[is_its & (labels == 1)])
        recalls.append([len(wanted.intersection(best[:k])) / len(wanted) for k in (1, 5)])
    found = ranker.evaluate(*TEST)
    expected = score_ranking(scores, right)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["precision_at_1"] == pytest.approx(np.mean(first))
    recall = [found["recall_at_1"], found["recall_at_5"]]
    assert recall == pytest.approx(np.mean(recalls, axis=0))


def test_bm25_against_its_formula():
    answers = ["the red cow", "the red red barn", "a dog", "!"]
    words = WordIndex(answers[:1], "words")
    words.add(answers[1:])
    lengths = np.array([3, 4, 2, 1])
    occurrences = {"red": np.array([1, 2, 0, 0]), "barn": np.array([0, 1, 0, 0])}
    others = WordIndex(["red", "red hen", "a cow"], "words")
    for counts, size, mean, holding in (
        (words.counts(), 4, lengths.mean(), {"red": 2, "barn": 1}),
        (others.counts(), 3, 5 / 3, {"red": 2, "barn": 0}),
    ):
        expected = np.zeros(4)
        for token, count in occurrences.items():
            rarity = np.log(1 + (size - holding[token] + 0.5) / (holding[token] + 0.5))
            expected += rarity * count / (count + 1.2 * (1 - 0.5 + 0.5 * lengths / mean))
        found = words.scores("red, red barn cat", 1.2, 0.5, counts)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not words.scores("zebra", 1.2, 0.5, words.counts()).any()


@default_backend_only
def test_triples_and_pairs_can_be_learned_from(monkeypatch):
    step_quickly(monkeypatch, RankerModel)
    quick = {**QUICK, "epochs": 1, "candidates": 3, "batch_size": 100}
    questions, answers, labels = TRAINING
    rows = [
        (question, right, wrong)
        for question, right, is_right in zip(*TRAINING, strict=True)
        for wrong in answers[1:3]
        if is_right and wrong != right
    ]
    of_triples = AnswerRanker(**quick).fit_triples(*zip(*rows, strict=True))
    assert len(of_triples.models_.trainer.inputs) == 3
    right = [(q, a) for q, a, label in zip(questions, answers, labels, strict=True) if label]
    # A second `fit` starts anew.
    pairs = list(zip(*right, strict=True))
    of_pairs = of_triples.fit(*pairs, validation_data=pairs)
    assert of_pairs is of_triples
    assert len(of_pairs.models_.trainer.inputs) == 2
    # Without wrong answers, each question is ranked among others' answers.
    assert 0 < of_pairs.evaluate(*pairs)["map"] <= 1


# --- searching ---


def test_search_is_rank_over_the_whole_index(ranker, index):
    order = ranker.rank(QUESTION, ANSWERS)
    sums = ranker.similarities(QUESTION, ANSWERS)
    found = index.search(QUESTION, k=7)
    assert [number for _, number, _ in found] == list(order[:7])
    assert [answer for _, _, answer in found] == [ANSWERS[number] for number in order[:7]]
    np.testing.assert_allclose([score for score, _, _ in found], sums[order[:7]], atol=1e-6)
    assert len(index.search(QUESTION)) == 5
    assert len(index.search(QUESTION, k=10_000)) == len(index) == len(ANSWERS)
    # What a search goes through can be searched by alone, too.
    (by_words,), (by_vectors,) = (
        index.best_by_words([QUESTION], len(ANSWERS)),
        index.best([QUESTION], len(ANSWERS), add_overlap=False),
    )
    for part in (by_words, by_vectors):
        assert [score for score, _, _ in part] == sorted((row[0] for row in part), reverse=True)
    assert by_words[0][0] > 0
    several = index.search([QUESTION, "why is the pig"], k=2)
    assert several[0][0][1:] == found[0][1:]
    assert [len(each) for each in several] == [2, 2]
    assert index.search([]) == []


def test_answers_are_added_without_a_rebuild(ranker, monkeypatch):
    index = ranker.index(ANSWERS[:10], [f"a{number}" for number in range(10)])
    encoded = []
    monkeypatch.setattr(
        answer_index.Encoders,
        "answers",
        lambda self, texts: encoded.extend(texts) or old(self, texts),
    )
    index.add(ANSWERS[10:12], ["x", "y"])
    index.add(ANSWERS[12:])
    assert encoded == ANSWERS[10:]
    assert index.ids == [
        *(f"a{number}" for number in range(10)),
        "x",
        "y",
        *range(12, len(ANSWERS)),
    ]
    monkeypatch.undo()
    at_once = ranker.index(ANSWERS, index.ids)
    for found, expected in zip(
        index.search(QUESTION, 30), at_once.search(QUESTION, 30), strict=True
    ):
        assert found[1:] == expected[1:]
        assert found[0] == pytest.approx(expected[0], abs=1e-6)


old = answer_index.Encoders.answers


def test_an_index_is_one_file(ranker, index, tmp_path):
    path = tmp_path / "answers.index"
    index.save(path)
    index.save(path)  # also over one that is there
    assert os.listdir(tmp_path) == ["answers.index"]
    loaded = ranker.load_index(path)
    assert loaded.search(QUESTION, 4) == index.search(QUESTION, 4)
    loaded.add(["hay"], ["hay"])
    assert loaded.search("hay", 1)[0][1:] == ("hay", "hay")
    content = path.read_bytes()
    for change in (
        content[:100],
        content[:-30],
        b"hello",
        content[:200] + bytes([content[200] ^ 4]) + content[201:],
        content[:-200] + bytes([content[-200] ^ 1]) + content[-199:],
    ):
        path.write_bytes(change)
        with pytest.raises(ValueError, match=r"answers\.index is damaged; remove it") as raised:
            ranker.load_index(path)
        assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match=r"none\.index cannot be read \(No such file"):
        ranker.load_index(tmp_path / "none.index")
    with pytest.raises(ValueError, match=r"cannot be written \(No such file"):
        index.save(tmp_path / "nowhere" / "answers.index")


def test_an_index_belongs_to_its_ranker(ranker, index, tmp_path):
    index.save(tmp_path / "answers.index")
    other = copy.deepcopy(ranker)
    dense = other.models_.question_encoder.get_layer("question_transform")
    dense.set_weights([weights + 0.5 for weights in dense.get_weights()])
    with pytest.raises(ValueError, match=r"was built by another ranker; remove it"):
        other.load_index(tmp_path / "answers.index")


@pytest.mark.parametrize("exact_up_to", [1000, 10_000])
def test_many_answers_are_searched_in_part(ranker, monkeypatch, exact_up_to):
    monkeypatch.setattr(answer_index, "EXACT_UP_TO", exact_up_to)
    many = [*(f"{answer} {number}" for number in range(60) for answer in ANSWERS), *ANSWERS]
    index = ranker.index(many)
    index.add(["a brown bear"], ["bear"])
    for add_overlap in (True, False):
        found = index.search(QUESTION, 3, add_overlap=add_overlap)
        exact = ranker.similarities(QUESTION, [answer for _, _, answer in found])
        if add_overlap:
            np.testing.assert_allclose([score for score, _, _ in found], exact, atol=2e-2)
        assert "the cow wakes at dawn" in found[0][2]
    # Its vector is that of no word known: the words find it.
    assert index.search("a brown bear", 1)[0][1] == "bear"
    assert len(index.search(QUESTION, 300)) == 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "there is no answer; give at least one"),
        (
            (["a", " "],),
            "answer 2 is empty; leave it out",
        ),
        (("abc",), "`answers` must be a sequence of strings"),
        (
            (["a", "b"], ["x"]),
            "`ids` must hold one id for each answer. Received: 1 ids for 2 answers",
        ),
        (
            (["a", "b"], ["x", "x"]),
            "`ids` must hold each id once. Received: 'x' again at position 1",
        ),
        ((["a"], [0.5]), "`ids` must hold texts or integers. Received: 0.5 at position 0"),
    ],
)
def test_a_bad_index_is_one_line(ranker, arguments, message):
    with pytest.raises(ValueError, match=message):
        ranker.index(*arguments)


def test_a_bad_search_is_one_line(index):
    with pytest.raises(ValueError, match="no word of 'xyzzy' occurs in the training texts or in"):
        index.search(["when", "xyzzy"])
    with pytest.raises(ValueError, match="`k` must be a positive integer. Received: k=0"):
        index.search("when", 0)
    with pytest.raises(ValueError, match="`ids` must hold each id once. Received: 3 again"):
        index.add(["a"], [3])


# --- files ---


@default_backend_only
def test_one_file_loads_in_a_new_process(ranker, tmp_path):
    path = tmp_path / "faq.ranker"
    ranker.save(path)
    assert os.listdir(tmp_path) == ["faq.ranker"]
    ranker.index(ANSWERS).save(tmp_path / "answers.index")
    script = f"""
import json
from recipes.answer_ranker import AnswerRanker
ranker = AnswerRanker.load({str(path)!r})
print(json.dumps([
    ranker.get_params(),
    ranker.similarities({QUESTION!r}, {ANSWERS!r}).tolist(),
    ranker.load_index({str(tmp_path / "answers.index")!r}).search({QUESTION!r}, 2),
    ranker.history_,
]))
"""
    completed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    settings, sums, found, history = json.loads(completed.stdout.splitlines()[-1])
    assert settings == ranker.get_params()
    np.testing.assert_allclose(sums, ranker.similarities(QUESTION, ANSWERS), atol=1e-6)
    assert found[0][1:] == list(ranker.index(ANSWERS).search(QUESTION, 1)[0][1:])
    assert history == ranker.history_


@default_backend_only
def test_copies_are_the_same_ranker(ranker, tmp_path):
    joblib.dump(ranker, tmp_path / "ranker.joblib")
    expected = ranker.similarities(QUESTION, ANSWERS)
    for made in (
        pickle.loads(pickle.dumps(ranker)),
        joblib.load(tmp_path / "ranker.joblib"),
        copy.deepcopy(ranker),
    ):
        np.testing.assert_allclose(made.similarities(QUESTION, ANSWERS), expected, atol=1e-6)
        assert made.get_params() == ranker.get_params()
        assert made.bm25_ == ranker.bm25_
        assert made.overlap_ == ranker.overlap_
        trainer, *encoders = made.models_
        for encoder in encoders:
            assert encoder.get_layer("embedding") is trainer.get_layer("embedding")
            assert encoder.get_layer("embedding") is not ranker.models_.trainer.get_layer(
                "embedding"
            )


def test_files_that_are_no_ranker_are_one_line(ranker, tmp_path):
    path = tmp_path / "faq.ranker"
    ranker.save(path)
    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        inside = file.getinfo("model.weights.h5").header_offset + 1000
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save(tmp_path / "other.keras")
    cases = {
        "hello": b"hello",
        "cut": content[: len(content) // 2],
        "flipped": content[:inside] + bytes([content[inside] ^ 8]) + content[inside + 1 :],
        "other": (tmp_path / "other.keras").read_bytes(),
    }
    messages = []
    for name, changed in cases.items():
        path.write_bytes(changed)
        with pytest.raises(
            ValueError, match=r"faq\.ranker .*name a file that AnswerRanker"
        ) as raised:
            AnswerRanker.load(path)
        messages.append(str(raised.value))
        assert "\n" not in messages[-1], name
    assert "damaged" in messages[2]
    assert "made elsewhere" in messages[3]
    with pytest.raises(ValueError, match=r"none does not exist; name a file that AnswerRanker"):
        AnswerRanker.load(tmp_path / "none")


@default_backend_only
def test_a_legend_that_somebody_has_changed_is_one_line(ranker, tmp_path):
    ranker.save(tmp_path / "good.ranker")
    with (
        zipfile.ZipFile(tmp_path / "good.ranker") as good,
        zipfile.ZipFile(tmp_path / "changed.ranker", "w") as changed,
    ):
        for name in good.namelist():
            changed.writestr(name, good.read(name).replace(b'"in_batch"', b'"im_batch"'))
    message = r"changed\.ranker holds a model of AnswerRanker with a damaged legend \(.*im_batch"
    with pytest.raises(ValueError, match=message) as raised:
        AnswerRanker.load(tmp_path / "changed.ranker")
    assert "\n" not in str(raised.value)


# --- an estimator ---


def test_settings_are_stored_as_given():
    odd = np.float32(0.25)
    ranker = AnswerRanker(random_share=odd, epochs="many")
    assert ranker.random_share is odd
    twin = clone(ranker.set_params(epochs=3))
    assert twin is not ranker
    assert twin.get_params() == ranker.get_params()
    assert set(AnswerRanker().get_params()) >= {"tokens", "epochs", "batch_size", "seed"}


def test_what_fit_learns_is_missing_before():
    ranker = AnswerRanker()
    for use in (
        lambda: ranker.models_,
        lambda: ranker.history_,
        lambda: ranker.rank("a", ["b"]),
        lambda: ranker.similarities("a", ["b"]),
        lambda: ranker.evaluate(*TEST),
        lambda: ranker.index(["a"]),
        lambda: ranker.load_index("answers.index"),
        lambda: ranker.save("faq.ranker"),
    ):
        with pytest.raises(NotFittedError, match="call `fit`"):
            use()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": "syllables"}, "`tokens` must be one of 'words', 'stems', 'characters'"),
        ({"epochs": 0}, "`epochs` must be a positive integer. Received: epochs=0"),
        ({"batch_size": 2.5}, "`batch_size` must be a positive integer"),
        ({"in_batch": "yes"}, "`in_batch` must be True or False"),
        ({"random_share": 1.5}, "`random_share` must be a number from 0"),
        ({"hardest_among": 0}, "`hardest_among` must be a positive integer"),
        ({"candidates": -1}, "`candidates` must be a positive integer"),
        ({"temperature": 0}, "`temperature` must be a number > 0"),
        ({"margin": -1}, "`margin` must be a number >= 0"),
        ({"learning_rate": float("inf")}, "`learning_rate` must be a number > 0"),
        ({"units": -1}, "`units` must be a non-negative integer"),
        ({"members": 0}, "`members` must be a positive integer"),
        ({"vectors": 3}, "`vectors` must be None, a path or 'wordllama'"),
        ({"dropout": 1}, "`dropout` must be a number from 0 up to"),
        ({"vocabulary_size": 2}, "`vocabulary_size` must be an integer of at least 3"),
        ({"diagnosis": 1}, "`diagnosis` must be True or False"),
        ({"seed": 1099511627776}, "`seed` must be an integer from 0 to 4294967295"),
        ({"verbose": "loud"}, "`verbose` must be"),
    ],
)
def test_settings_are_checked_by_fit(settings, message):
    with pytest.raises(ValueError, match=message) as raised:
        AnswerRanker(**settings).fit(*TRAINING)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            (["a"], ["b"], [0]),
            "the training data has no question with a right answer to learn from",
        ),
        ((["a", "a"], ["b", "c"], [1, 0]), "no question to stop by with both a right and a wrong"),
        ((["a"], ["b"], [1], (["a"],)), r"`validation_data` must be \(questions, answers\) or"),
    ],
)
def test_data_are_checked_by_fit(data, message):
    with pytest.raises(ValueError, match=message) as raised:
        AnswerRanker(**QUICK).fit(*data)
    assert "\n" not in str(raised.value)


def test_a_model_beyond_the_machine_is_refused_at_once():
    for huge in ({"embedding_dim": 10**9}, {"units": 10**9}):
        with pytest.raises(ValueError, match="give smaller units, embedding_dim and vocabulary_s"):
            AnswerRanker(**{**QUICK, **huge}).fit(*TRAINING, validation_data=VALIDATION)


@default_backend_only
def test_progress_is_shown_or_not_and_the_seed_decides(capsys):
    quick = {**QUICK, "epochs": 2, "hardest_among": 1}
    silent = AnswerRanker(**quick).fit(*TRAINING, validation_data=VALIDATION)
    assert capsys.readouterr().out == ""
    talking = AnswerRanker(**{**quick, "verbose": "auto"})
    talking.fit(*TRAINING, validation_data=VALIDATION)
    lines = capsys.readouterr().out.splitlines()
    assert sum("val_map" in line for line in lines) == 2
    assert not any("\r" in line or "\b" in line for line in lines)
    np.testing.assert_array_equal(
        silent.similarities(QUESTION, ANSWERS), talking.similarities(QUESTION, ANSWERS)
    )


# --- members and vectors ---


@default_backend_only
def test_members_are_averaged_and_are_one_file(tmp_path):
    quick = {**QUICK, "epochs": 1, "hardest_among": 1}
    both = AnswerRanker(**quick, members=2).fit(*TRAINING, validation_data=VALIDATION)
    asked = [RankingQuestion(QUESTION, (), tuple(ANSWERS[:5])), RankingQuestion("why", (), ("a",))]
    alone = []
    for seed in (3, 4):
        member = AnswerRanker(**{**quick, "seed": seed})
        alone.append(member.fit(*TRAINING, validation_data=VALIDATION).cosines(asked))
        if seed == 3:
            assert member.history_ == both.history_
    expected = [np.mean(of_question, axis=0) for of_question in zip(*alone, strict=True)]
    assert np.abs(alone[0][0] - alone[1][0]).max() > 0.01
    path = tmp_path / "faq.ranker"
    both.save(path)
    for made in (both, AnswerRanker.load(path), pickle.loads(pickle.dumps(both))):
        for found, wanted in zip(made.cosines(asked), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert made.members == 2
        scores = made.models_.trainer.predict_on_batch([np.array([[2, 3]])] * 3)
        assert scores.shape == (1, 2)
    found = both.index(ANSWERS).search(QUESTION, 1, add_overlap=False)[0]
    every = both.cosines([RankingQuestion(QUESTION, (), tuple(ANSWERS))])[0]
    assert found[0] == pytest.approx(every.max(), abs=1e-5)


@default_backend_only
def test_vectors_are_where_the_training_starts(tmp_path):
    file = tmp_path / "words.vec"
    directions = np.eye(6)[[0, 0, 1, 2]]
    lines = [
        f"{word} {' '.join(map(str, row))}"
        for word, row in zip(["when", "dawn", "where", "shed"], directions, strict=True)
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    # So small a rate that what it starts from is what it ends with.
    slow = {**QUICK, "epochs": 1, "learning_rate": 1e-9, "vectors": file}
    ranker = AnswerRanker(**slow).fit(*TRAINING, validation_data=VALIDATION)
    (table,) = ranker.models_.trainer.get_layer("embedding").get_weights()
    id_of = {token: number for number, token in enumerate(ranker.models_.trainer.vocabulary)}
    assert table.shape[1] == 6
    for word, row in zip(["when", "dawn", "where", "shed"], directions, strict=True):
        np.testing.assert_allclose(table[id_of[word]], row, atol=1e-5)
    # The others start by chance.
    assert np.count_nonzero(table[id_of["cow"]]) == 6
    ranker.save(tmp_path / "faq.ranker")
    file.unlink()  # only `fit` reads it
    loaded = AnswerRanker.load(tmp_path / "faq.ranker")
    np.testing.assert_allclose(
        loaded.similarities(QUESTION, ANSWERS), ranker.similarities(QUESTION, ANSWERS), atol=1e-6
    )
    with pytest.raises(ValueError, match=r"words\.vec does not exist"):
        AnswerRanker(**slow).fit(*TRAINING, validation_data=VALIDATION)
