"""`examples.train_answer_ranker` and `examples.search_answers`, by their command lines."""

import csv
import dataclasses
import io
import json
import pathlib
import random
import shutil
import sys

import keras
import numpy as np
import programs
import pytest
from backends import default_backend_only

from examples import search_answers, train_answer_ranker
from recipes.answer_ranker import AnswerRanker, index, task
from recipes.answer_ranker.evaluation import score_ranking
from recipes.answer_ranker.overlap import FEATURES
from recipes.answer_ranker.question_files import read_answers, read_questions
from recipes.runs.failures import UserError

PROJECT = pathlib.Path(__file__).parents[2]

RESULTS = [
    "answer_encoder.keras",
    "answer_encoder.png",
    "answers.jsonl",
    "history.png",
    "metrics.json",
    "model.png",
    "predictions.csv",
    "question_encoder.keras",
    "question_encoder.png",
    "report.html",
    "run.json",
    "trainer.keras",
]
THINGS = ["dog", "cat", "horse", "cow", "sheep", "goat", "hen", "pig", "duck", "fish"]
# No question shares a word with its answer but the thing: what is asked has to be learned.
ASKED = {"where": "lives in a shed", "when": "wakes at dawn", "why": "since it was hungry"}


def rows(things, seed):
    chosen = random.Random(seed)
    for thing in things:
        for ask in ASKED:
            question = f"{ask} is the {thing} number {seed}"
            for kind, text in ASKED.items():
                yield question, f"the {thing} {text}", int(kind == ask)
            other = chosen.choice(sorted(set(THINGS) - {thing}))
            yield question, f"the {other} {ASKED[ask]}", 0


def write_csv(path, rows, header=("question", "answer", "label")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def train(*arguments):
    train_answer_ranker.main(train_answer_ranker.parse(list(map(str, arguments))))


@pytest.fixture(scope="module", autouse=True)
def few_buckets():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "UNKNOWN_BUCKETS", 50)
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    write_csv(folder / "train.csv", rows(THINGS, 1))
    write_csv(folder / "validation.csv", rows(THINGS[:5], 2))
    write_csv(folder / "test.csv", rows(THINGS[5:], 3))
    return folder


@pytest.fixture(scope="module")
def run(files):
    """A finished run on the generated questions."""
    train(
        *(f"--{name}={files / name}.csv" for name in ("train", "validation", "test")),
        *("--epochs=8", "--batch-size=10", "--seed=3", "--hardest-among=2"),
        f"--output={files / 'run'}",
    )
    return files / "run"


def metrics_of(run):
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def test_a_run_leaves_its_results(run):
    assert sorted(path.name for path in run.iterdir()) == RESULTS
    metrics = metrics_of(run)
    for of_ranking in (metrics, metrics["baseline"], metrics["encoder"]):
        assert 0 < of_ranking["map"] <= of_ranking["mrr"] <= of_ranking["hit_at_10"] == 1
        assert of_ranking["precision_at_1"] <= of_ranking["mrr"]
        assert 0 < of_ranking["recall_at_1"] <= of_ranking["recall_at_5"] <= 1
    assert metrics["questions"] == {"training": 30, "validation": 15, "test": 15}
    assert metrics["answers"] == 30
    # Among all answers it is harder than among a question's candidates.
    assert metrics["baseline"]["recall_at_1"] <= metrics["baseline"]["precision_at_1"] < 0.9
    # The encoder has learned what no shared word says.
    found = metrics["intervals"]["map"]
    assert found["difference"] == pytest.approx(metrics["map"] - metrics["baseline"]["map"])
    assert found["difference_interval"][0] > 0 < 0.05 > found["p_value"]
    assert metrics["seed"] == 3
    assert metrics["epochs"] <= 8
    assert metrics["settings"]["hardest_among"] == 2
    for name in RESULTS:
        if name.endswith(".png"):
            assert (run / name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_predictions_agree_with_metrics_and_with_the_saved_models(run, files):
    with open(run / "predictions.csv", newline="", encoding="utf-8-sig") as file:
        found = list(csv.DictReader(file))
    questions = read_questions(files / "test.csv")
    assert len(found) == sum(len(question.candidates) for question in questions)
    scores = {(row["question"], row["answer"]): float(row["score"]) for row in found}
    of_questions = [
        np.array([scores[each.text, answer] for answer in each.candidates]) for each in questions
    ]
    measures = score_ranking(of_questions, [each.labels for each in questions])
    assert measures["map"] == pytest.approx(metrics_of(run)["map"], abs=1e-3)
    first = [row for row in found if row["question"] == found[0]["question"]]
    assert [int(row["rank"]) for row in first] == list(range(1, len(first) + 1))
    assert sorted((float(row["score"]) for row in first), reverse=True) == [
        float(row["score"]) for row in first
    ]

    models = {
        name: keras.saving.load_model(run / f"{name}.keras", safe_mode=True)
        for name in ("trainer", "question_encoder", "answer_encoder")
    }
    ids = np.arange(2, 20, dtype="int32").reshape(3, 6)
    vectors = [models[f"{name}_encoder"].predict_on_batch(ids) for name in ("question", "answer")]
    expected = (vectors[0] * vectors[1]).sum(axis=1)
    trained = models["trainer"].predict_on_batch([ids, ids, ids])
    np.testing.assert_allclose(trained[:, 0], expected, atol=1e-5)
    assert models["trainer"].token_kind == "stems"
    assert "hors" in models["trainer"].vocabulary


@default_backend_only
def test_pairs_without_wrong_answers_learn_from_the_batch(tmp_path):
    lines = [
        {"query": f"{thing}在哪里 {number}", "title": f"{thing}的地方 {number}"}
        for number in range(6)
        for thing in "狗猫马牛羊鸡"
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    train(
        *(f"--train={file}", "--question-column=query", "--answer-column=title"),
        *("--tokens=characters", "--candidates=6", "--epochs=1"),
        f"--output={tmp_path / 'run'}",
    )
    trainer = keras.saving.load_model(tmp_path / "run" / "trainer.keras", safe_mode=True)
    assert len(trainer.inputs) == 2
    assert "狗" in trainer.vocabulary
    assert metrics_of(tmp_path / "run")["map"] > 0.5


def bad_training(folder, case):
    """Arguments with one mistake, and what the one line has to say."""
    good = write_csv(folder / "good.csv", rows(THINGS[:4], 1))
    if case == "missing file":
        return ["--train", folder / "none.csv"], r"none\.csv does not exist; check the path"
    if case == "missing column":
        file = write_csv(folder / "columns.csv", [("a", "b")], header=("question", "reply"))
        return ["--train", file], r"has no column 'answer'; it has 'question', 'reply': choose"
    if case == "empty answer":
        file = write_csv(folder / "hole.csv", [("a", "", 1)])
        return ["--train", file], r"hole\.csv, row 1: the answer is empty"
    if case == "nothing is right":
        file = write_csv(folder / "wrong.csv", [(f"a{n}", "b", 0) for n in range(30)])
        return ["--train", file], r"wrong\.csv has no question with a right answer to learn from"
    if case == "nothing to rank":
        file = write_csv(folder / "pairs.csv", [("a", "b", 1), ("c", "d", 0)])
        return ["--train", good, "--test", file], (
            r"pairs\.csv has no question to test with with both a right and a wrong answer; give"
        )
    if case == "too few to split":
        file = write_csv(folder / "few.csv", [("a", "b", 1), ("a", "c", 0)])
        return ["--train", file], r"few\.csv has no question to stop by with both"
    if case == "test without train":
        return ["--test", good], r"--test and --validation need --train"
    if case == "huge seed":
        return ["--train", good, "--seed=1099511627776"], r"`seed` must be an integer from 0 to"
    if case == "no epochs":
        return ["--train", good, "--epochs=0"], r"`epochs` must be a positive integer"
    if case == "output holds a run":
        (folder / "run").mkdir()
        (folder / "run" / "metrics.json").write_text("{}", encoding="utf-8")
        return ["--train", good, "--output", folder / "run"], r"already holds a run"
    raise AssertionError(case)


@pytest.mark.parametrize(
    "case",
    [
        "missing file",
        "missing column",
        "empty answer",
        "nothing is right",
        "nothing to rank",
        "too few to split",
        "test without train",
        "huge seed",
        "no epochs",
        "output holds a run",
    ],
)
def test_bad_training_input_is_one_line(tmp_path, monkeypatch, capsys, case):
    arguments, message = bad_training(tmp_path, case)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        train(*arguments)
    assert "\n" not in str(raised.value)
    assert capsys.readouterr().out == ""
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not (tmp_path / "runs").exists()


def search(capsys, *arguments):
    """What a search prints: the state of its index, and the answers to each question."""
    capsys.readouterr()
    search_answers.main(search_answers.parse(list(map(str, arguments))))
    head, *blocks = capsys.readouterr().out.strip().split("\n\n")
    found = [[line.split(maxsplit=1) for line in block.splitlines()[1:]] for block in blocks]
    return head, [[(float(score), answer) for score, answer in lines] for lines in found]


@pytest.fixture
def searchable(run, tmp_path):
    """A copy of the run, whose index a test may spoil."""
    return pathlib.Path(shutil.copytree(run, tmp_path / "searchable"))


def test_search_finds_the_answer_and_keeps_its_index(searchable, capsys):
    questions = ["when is the cow number 1", "why is the duck number 1"]
    head, found = search(capsys, searchable, *questions, "--top=3")
    assert head.startswith("30 answers; index built: ")
    assert [lines[0][1] for lines in found] == [
        "the cow wakes at dawn",
        "the duck since it was hungry",
    ]
    for lines in found:
        assert len(lines) == 3
        assert sorted(lines, reverse=True, key=lambda line: line[0]) == lines
    index = (searchable / "answers.index").read_bytes()
    head, again = search(capsys, searchable, *questions, "--top=3")
    assert head.startswith("30 answers; index loaded: ")
    assert again == found
    assert (searchable / "answers.index").read_bytes() == index


def test_new_answers_are_added_to_the_index(searchable, tmp_path, capsys, monkeypatch):
    file = tmp_path / "notes.txt"
    file.write_text("the cow wakes at dawn\n\nthe cow wakes at dawn\nsome hay\n", encoding="utf-8")
    arguments = [searchable, "when is the cow", "--answers", file]
    assert search(capsys, *arguments)[0].startswith("2 answers; index built")
    assert search(capsys, *arguments)[0].startswith("2 answers; index loaded")
    file.write_text("the cow wakes at dawn\nsome straw\nsome hay\nhay\n", encoding="utf-8")
    encoded = []
    old = index.Encoders.answers
    monkeypatch.setattr(
        index.Encoders, "answers", lambda self, texts: encoded.extend(texts) or old(self, texts)
    )
    head, (lines,) = search(capsys, *arguments)
    assert head.startswith("4 answers; index loaded, 2 added: ")
    assert encoded == ["some straw", "hay"]
    assert {answer for _, answer in lines} == {
        "the cow wakes at dawn",
        *("some straw", "some hay", "hay"),
    }
    assert search(capsys, *arguments)[0].startswith("4 answers; index loaded: ")
    # Where an answer is gone, another index is built.
    file.write_text("the cow lives in a shed\nthe cow wakes\nhay\n", encoding="utf-8")
    head, (lines,) = search(capsys, *arguments)
    assert head.startswith("3 answers; index built")
    assert lines[0][1] == "the cow wakes"


def test_search_gives_the_sums_of_encoder_and_overlap(searchable, capsys):
    question = "where is the hen"
    ranker = AnswerRanker.load(searchable / "trainer.keras")
    ranker.overlap_ = dataclasses.replace(ranker.overlap_, weights=[0.25] * len(FEATURES))
    ranker.save(searchable / "trainer.keras")
    # Options may stand before the question.
    _, (both,) = search(capsys, searchable, "--top=30", question)
    answers, _ = read_answers(searchable / "answers.jsonl", "answer")
    sums = ranker.similarities(question, answers)
    assert [answer for _, answer in both] == [
        answers[row] for row in ranker.rank(question, answers)
    ]
    np.testing.assert_allclose([score for score, _ in both], sorted(sums, reverse=True), atol=6e-4)
    _, (plain,) = search(capsys, searchable, question, "--top=30", "--no-overlap")
    assert plain != both


def test_questions_from_file_to_file_and_for_programs(searchable, tmp_path, capsys):
    answers = write_csv(
        tmp_path / "faq.csv",
        [(f"faq#{number}", text) for number, text in enumerate(["the cow wakes", "some hay"])],
        header=("link", "answer"),
    )
    asked = write_csv(
        tmp_path / "asked.csv",
        [("Q1", "when is the cow"), ("Q2", ""), ("Q3", "xyzzy plugh"), ("Q4", "hay")],
        header=("number", "question"),
    )
    arguments = ["--answers", answers, "--id-column=link", "--top=5", "--input", asked, searchable]

    def run_search(*more):
        capsys.readouterr()
        search_answers.main(search_answers.parse(list(map(str, [*arguments, *more]))))
        return capsys.readouterr()

    printed = run_search("--output", tmp_path / "out.csv").out.splitlines()
    assert printed[1].startswith("4 rows, with row, answer, score, id, answer_2, score_2, id_2: ")
    with open(tmp_path / "out.csv", newline="", encoding="utf-8-sig") as file:
        found = list(csv.DictReader(file))
    assert [(row["number"], row["row"], row["id"], row["answer"]) for row in found] == [
        ("Q1", "1", "faq#0", "the cow wakes"),
        ("Q2", "2", "", ""),
        ("Q3", "3", "", ""),
        ("Q4", "4", "faq#1", "some hay"),
    ]
    answers.write_text(answers.read_text("utf-8") + "faq#2,red straw\n", encoding="utf-8")
    printed = run_search("--json")
    assert printed.err.startswith("3 answers; index loaded, 1 added: ")
    first, *_, last = map(json.loads, printed.out.splitlines())
    assert first["best"][0]["id"] == "faq#0"
    assert len(first["best"]) == 3
    assert last["text"] == "hay"
    assert last["best"][0]["score"] == float(found[3]["score"])


def test_questions_come_from_standard_input(searchable, monkeypatch, capsys):
    lines = "when is the cow\n\nxyzzy plugh\nwhere is the hen\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    _, found = search(capsys, searchable, "--top=1")
    assert [len(lines) for lines in found] == [1, 0, 1]
    assert "cow" in found[0][0][1]
    assert "hen" in found[2][0][1]


def bad_search(run, folder, case):
    if case == "no run":
        return [folder, "hello"], r"is not a run of an answer ranker: it has no trainer\.keras"
    if case == "empty question":
        return [run, "hello", " "], r"question 2 is empty; leave it out"
    if case == "unknown words only":
        return [run, "xyzzy plugh"], r"no word of 'xyzzy plugh' occurs in the training texts or in"
    if case == "no answers":
        (folder / "empty.txt").write_text(" \n", encoding="utf-8")
        return [run, "a", "--answers", folder / "empty.txt"], r"empty\.txt holds no answer"
    if case == "empty answer":
        file = write_csv(folder / "hole.csv", [("a", 1), (" ", 2)], header=("answer", "number"))
        return [run, "a", "--answers", file], r"hole\.csv, row 2: the answer is empty"
    if case == "missing column":
        file = write_csv(folder / "text.csv", [("a",)], header=("text",))
        return [run, "a", "--answers", file], r"no column 'answer'.*choose with --answer-column"
    if case == "unknown format":
        (folder / "notes.doc").write_text("hello", encoding="utf-8")
        return [run, "a", "--answers", folder / "notes.doc"], r"notes\.doc is in no known format"
    if case == "broken model":
        (run / "trainer.keras").write_text("hello", encoding="utf-8")
        return [run, "a"], r"trainer\.keras is not a \.keras model file"
    if case == "another model":
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.save(run / "trainer.keras")
        return [run, "a"], r"trainer\.keras holds a Keras model made elsewhere"
    if case == "no answers asked for":
        return [run, "the cow", "--top=0"], r"`k` must be a positive integer"
    if case == "corrupt index":
        (run / "answers.index").write_bytes(b"hello")
        return [run, "the cow"], r"answers\.index is damaged; remove it to have it built anew"
    raise AssertionError(case)


@pytest.mark.parametrize(
    "case",
    [
        "no run",
        "empty question",
        "unknown words only",
        "no answers",
        "empty answer",
        "missing column",
        "unknown format",
        "broken model",
        "another model",
        "no answers asked for",
        "corrupt index",
    ],
)
def test_a_bad_search_is_one_line_and_nothing_is_lost(searchable, tmp_path, case):
    arguments, message = bad_search(searchable, tmp_path, case)
    before = {path: path.read_bytes() for path in searchable.iterdir()}
    with pytest.raises(UserError, match=message) as raised:
        search_answers.main(search_answers.parse(list(map(str, arguments))))
    assert "\n" not in str(raised.value)
    after = {path: path.read_bytes() for path in searchable.iterdir()}
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("train_answer_ranker", ["--train", "none.csv"]), ("search_answers", [".", "hello"])],
)
def test_the_programs_say_one_line(tmp_path, monkeypatch, capsys, name, arguments):
    monkeypatch.chdir(tmp_path)
    said = programs.ends(monkeypatch, name, *arguments)
    assert said.startswith("error: ")
    assert "\n" not in said
    assert capsys.readouterr() == ("", "")
