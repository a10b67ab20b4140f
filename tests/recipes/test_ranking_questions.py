"""Reading questions with right and wrong answers, splitting them, filling up candidates."""

import gzip
import json

import numpy
import pytest

from recipes.answer_ranker.data import (
    RankingQuestion,
    answerable,
    fill_candidates,
    from_labelled,
    from_triples,
    split_questions,
)
from recipes.answer_ranker.question_files import Columns, read_answers, read_questions
from recipes.runs.failures import UserError
from recipes.tables import table_files

PAIRS = "question,answer,label\nwho?,me,1\nwhy?,so,0\nwho?,you,0\nwho?,us,1\nwho?,me,0\n"
GROUPED = [
    RankingQuestion("who?", ("me", "us"), ("you",)),  # the wrong "me" is also a right one
    RankingQuestion("why?", (), ("so",)),
]
WIKIQA = (
    "QuestionID\tQuestion\tDocumentID\tDocumentTitle\tSentenceID\tSentence\tLabel\r\n"
    'Q1\twho?\tD1\tMe\tD1-0\t"It is me\t1\r\n'
    "Q1\twho?\tD1\tMe\tD1-1\tNot me\t0\r\n"
    "Q2\twho?\tD2\tYou\tD2-0\tNot you\t0\r\n"
)


def write(path, text):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.csv.gz"])
def test_labelled_pairs(tmp_path, name):
    questions = read_questions(write(tmp_path / name, PAIRS))
    assert questions == GROUPED
    assert questions[0].candidates == ("me", "us", "you")
    assert questions[0].labels == [1, 1, 0]
    assert answerable(questions) == questions[:1]


def test_named_columns_and_json_lines(tmp_path):
    lines = [{"q": "who?", "a": "me", "l": 1}, {"q": "who?", "a": "you", "l": 0}]
    file = write(tmp_path / "pairs.jsonl.gz", "\n".join(map(json.dumps, lines)))
    expected = [RankingQuestion("who?", ("me",), ("you",))]
    assert read_questions(file, Columns("q", "a", "l")) == expected


def test_pairs_without_labels_are_all_right_and_labels_may_be_words(tmp_path):
    file = write(tmp_path / "faq.csv", "question,answer\nwho?,me\nwhy?,so\n")
    assert read_questions(file) == [
        RankingQuestion("who?", ("me",), ()),
        RankingQuestion("why?", ("so",), ()),
    ]
    with pytest.raises(UserError, match="has no column 'correct'"):
        read_questions(file, Columns(label="correct"))
    words = ["yes", "No", "1.0", "0.0", "TRUE", "false", "right", "wrong"]
    rows = [("who?", f"answer {number}", label) for number, label in enumerate(words)]
    expected = RankingQuestion(
        "who?", tuple(row[1] for row in rows[::2]), tuple(row[1] for row in rows[1::2])
    )
    text = "\n".join(map(",".join, [("question", "answer", "label"), *rows]))
    assert read_questions(write(tmp_path / "words.csv", text)) == [expected]
    assert from_labelled(*map(list, zip(*rows, strict=True))) == [expected]


def test_answers_carry_ids(tmp_path):
    file = write(tmp_path / "a.csv", "link,answer\nx/1,me\nx/2,so\nx/3,me\n")
    assert read_answers(file, "answer", "link") == (["me", "so"], ["x/1", "x/2"])
    assert read_answers(file, "answer") == (["me", "so"], None)
    for text, message in (
        ("link,answer\n1,me\n1,so\n", "row 2: the id '1' stands in row 1 too; give each"),
        ("link,answer\n,me\n", "row 1: the id is empty; fill it in"),
        ("id,answer\n1,me\n", "no column 'link'.*choose with --answer-column and --id-column"),
    ):
        with pytest.raises(UserError, match=message):
            read_answers(write(tmp_path / "b.csv", text), "answer", "link")
    lines = write(tmp_path / "c.txt", "one\x0cstill one\n\ntwo\u2028still two\none\x0cstill one\n")
    assert read_answers(lines, "answer")[0] == ["one\x0cstill one", "two\u2028still two"]
    with pytest.raises(UserError, match=r"--id-column says nothing about .*c\.txt, which has no"):
        read_answers(lines, "answer", "link")


def test_triples_are_known_by_their_columns(tmp_path):
    text = "question\tright\twrong\nwho?\tme\tyou\nwho?\tme\tus\nwhy?\tso\tso\n"
    assert read_questions(write(tmp_path / "triples.tsv", text)) == [
        RankingQuestion("who?", ("me",), ("you", "us")),
        RankingQuestion("why?", ("so",), ()),
    ]


@pytest.mark.parametrize("name", ["wikiqa.tsv", "wikiqa.tsv.gz"])
def test_wikiqa_is_known_by_its_header(tmp_path, name):
    # A quotation mark is text there, and questions are told apart by their ids.
    assert read_questions(write(tmp_path / name, WIKIQA)) == [
        RankingQuestion("who?", ('"It is me',), ("Not me",)),
        RankingQuestion("who?", (), ("Not you",)),
    ]


def test_the_real_files(shared_data):
    questions = read_questions(shared_data / "wikiqa" / "WikiQA-test.tsv.gz")
    assert len(questions) == 633
    assert len(answerable(questions)) == 237
    assert sum(len(question.candidates) for question in answerable(questions)) == 2341
    triples = read_questions(
        shared_data / "simclue" / "train_rank_1w.json",
        Columns("query", right="title", wrong="neg_title"),
    )
    assert sum(len(question.right) for question in triples) > 9_900


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "q,answer,label\n", r"a\.csv has no column 'question'; it has 'q', 'answer', "),
        ("a.csv", "question,right,label\n", r"has no column 'answer'.*--right-column and --wrong"),
        ("a.csv", "question,answer,label\n", r"a\.csv has a header but no rows"),
        ("a.csv", "question,answer,label\nwho?,,1\n", r"row 1: the answer is empty; fill it in"),
        ("a.csv", "question,answer,label\n,me,1\n", r"row 1: the question is empty; fill it in"),
        ("a.csv", "question,answer,label\nwho?,me,2\n", r"row 1: expected the label 1 .*'2'"),
        ("a.csv", "question,right,wrong\nwho?,me,\n", r"row 1: the answer is empty"),
        ("a.csv", " \n", r"a\.csv is empty; expected a question and an answer"),
        ("a.txt", "who? me", r"a\.txt is in no known format; expected a file ending in \.csv"),
        ("a.jsonl", '{"question": "who?"}', r"a\.jsonl has no column 'answer'; it has 'question'"),
        ("a.jsonl", "[1]", r"a\.jsonl, record 1: expected an object"),
        ("a.jsonl", '{"question": 1,\n', r"a\.jsonl, line 1: not valid JSON"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message) as raised:
        read_questions(write(tmp_path / name, text))
    assert "\n" not in str(raised.value)


def test_a_damaged_gzip_file_is_one_line(tmp_path):
    file = tmp_path / "a.csv.gz"
    for content in (gzip.compress(PAIRS.encode())[:-9], b"\x1f\x8b" + b"x" * 40):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.csv\.gz is a damaged gzip file; fetch it again"):
            table_files.read_text(file)


def test_python_and_files_give_the_same_questions(tmp_path):
    questions, answers, labels = zip(*(line.split(",") for line in PAIRS.split()[1:]), strict=True)
    assert from_labelled(questions, numpy.array(answers), list(map(int, labels))) == GROUPED
    rows = [("who?", "me", "you"), ("why?", "so", "no"), ("who?", "me", "us"), ("why?", "so", "so")]
    lines = "\n".join(map("\t".join, [("question", "right", "wrong"), *rows]))
    from_file = read_questions(write(tmp_path / "triples.tsv", lines))
    assert from_triples(*zip(*rows, strict=True)) == from_file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("who?", ["me"], None),
            "`questions` must be a sequence of strings",
        ),
        (
            (["who?", ""], ["me", "you"], None),
            "question 2 is empty; leave it out",
        ),
        ((["who?"], [None], None), "answer 1 is no string but None"),
        ((["who?"], ["me", "you"], None), "as many of each. .*1 questions, 2 answers, 1 labels"),
        ((["who?"], ["me"], [0.5]), r"`labels` must hold 1 \(right\) or 0 .* 0.5 at position 0"),
        ((["who?"], ["me"], ["2"]), "`labels` must hold .* Received: '2' at position 0"),
        ((["who?"], ["me"], [float("nan")]), "`labels` must hold .* Received: nan at position 0"),
    ],
)
def test_bad_sequences_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as raised:
        from_labelled(*arguments)
    assert "\n" not in str(raised.value)


def test_split_depends_on_the_questions_alone():
    numbers = range(50)
    questions = from_labelled(
        [f"question {number}" for number in numbers],
        [f"answer {number}" for number in numbers],
    )
    kept, split_off = split_questions(questions, 0.2, "test")
    assert len(split_off) == 10
    assert sorted(each.text for each in kept + split_off) == sorted(each.text for each in questions)
    again = split_questions(questions[::-1], 0.2, "test")
    assert {each.text for each in again[1]} == {each.text for each in split_off}
    other = split_questions(questions, 0.2, "validation")
    assert {each.text for each in other[1]} != {each.text for each in split_off}


def test_candidates_are_filled_with_wrong_answers():
    questions = [
        RankingQuestion("a", ("right a", "also right"), ()),
        RankingQuestion("b", ("right b",), ("wrong b",)),
        RankingQuestion("c", ("right c",), tuple(f"wrong {number}" for number in range(9))),
    ]
    pool = ["right a", "also right", "right b", "wrong b", "right c", "right c"]
    filled = fill_candidates(questions, 4, pool, seed=1)
    assert [len(each.candidates) for each in filled] == [4, 4, 10]
    for before, after in zip(questions, filled, strict=True):
        assert after.right == before.right
        assert after.wrong[: len(before.wrong)] == before.wrong
        assert not set(after.wrong) & set(after.right)
        assert len(set(after.candidates)) == len(after.candidates)
    assert filled == fill_candidates(questions, 4, pool, seed=1)
    assert len(fill_candidates(questions[:1], 100, pool, seed=1)[0].candidates) == 5
