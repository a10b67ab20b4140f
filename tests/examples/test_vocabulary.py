"""Tokens, vocabulary, padded batches."""

import zlib

import numpy as np
import pytest

from recipes.text_classifier.training import TextBatches
from recipes.tokens.vocabulary import TokenIds, build_vocabulary, pad, split_tokens


def test_tokens():
    assert split_tokens("Don't PANIC, ok_ay?", "words") == [
        *("don", "'", "t", "panic", ",", "ok_ay", "?")
    ]
    assert split_tokens("Don't PANIC, ok_ay?", "cased") == ["Don", "t", "PANIC", "ok_ay"]
    assert split_tokens("我 爱AI。", "characters") == ["我", "爱", "a", "i", "。"]


def test_marks_belong_to_their_letters_and_accents_have_one_form():
    assert split_tokens("हिन्दी में!", "words") == ["हिन्दी", "में", "!"]
    assert split_tokens("हिन्दी में", "cased") == ["हिन्दी", "में"]
    assert split_tokens("นี้ Q\u0323", "characters") == ["นี้", "q\u0323"]
    assert split_tokens("می\u200cخواهم", "words") == ["می\u200cخواهم"]
    for kind in ("cased", "words", "stems"):
        assert split_tokens("cafe\u0301", kind) == split_tokens("caf\u00e9", kind) == ["caf\u00e9"]


def test_vocabulary_is_ordered_by_frequency_and_then_by_name():
    texts = ["b a b", "c b a d"]
    assert build_vocabulary(texts, "words", size=100) == ["", "[unknown]", "b", "a", "c", "d"]
    assert build_vocabulary(texts, "words", size=4) == ["", "[unknown]", "b", "a"]
    assert build_vocabulary(texts, "words", size=9, minimum_count=2)[2:] == ["b", "a"]


def test_ids():
    ids = TokenIds(["", "[unknown]", "b", "a"], "words", longest=4)
    assert ids("A b never A b") == [3, 2, 1, 3]
    assert ids("[unknown]") == [1, 1, 1]  # three tokens that training never showed
    assert ids("") == []
    assert TokenIds(["", "[unknown]", "b"], "words", longest=None)("b " * 300) == [2] * 300


def test_stems_put_the_forms_of_a_word_together():
    assert split_tokens("Parsing, parsed PARSES; flies!", "stems") == [
        *("pars", ",", "pars", "pars", ";", "fli", "!")
    ]


def test_unknown_tokens_have_hashed_ids_where_there_are_buckets():
    ids = TokenIds(["", "[unknown]", "b"], "words", buckets=1000)
    first, known, other, again = ids("zebra b okapi Zebra")
    assert known == 2
    assert first == again != other
    assert all(3 <= each < 1003 for each in (first, other))
    # The same in every process: Python's own hash is not.
    assert first == 3 + zlib.crc32(b"zebra") % 1000


def test_pad():
    np.testing.assert_array_equal(pad([[5], [6, 7, 8]], multiple=2), [[5, 0, 0, 0], [6, 7, 8, 0]])
    assert pad([[]]).shape == (1, 8)
    assert pad([[1] * 8, [1] * 9]).shape == (2, 16)


@pytest.mark.parametrize("seed", [None, 4])
def test_batches_hold_every_text_once_with_its_label(seed):
    sequences = [[number + 2] * (1 + number % 23) for number in range(70)]
    batches = TextBatches(sequences, list(range(70)), batch_size=8, seed=seed)
    for _ in range(3):
        rows = []
        padding = 0
        for ids, labels in (batches[index] for index in range(len(batches))):
            padding += int((ids == 0).sum())
            for row, label in zip(ids, labels, strict=True):
                assert row[row > 0].tolist() == sequences[label]
                rows.append(int(label))
        assert sorted(rows) == list(range(70))
        # One width for all would cost 70 * 24 - 820 = 860.
        assert padding < 500
        widths = [batches[index][0].shape[1] for index in range(len(batches))]
        assert (widths[0], widths[1]) == (min(widths), max(widths))
        batches.on_epoch_end()


def test_batches_come_in_an_order_that_the_seed_decides():
    sequences = [[1] * (1 + number % 23) for number in range(70)]

    def orders(seed):
        batches = TextBatches(sequences, list(range(70)), batch_size=8, seed=seed)
        for _ in range(2):
            yield [batches[index][1].tolist() for index in range(len(batches))]
            batches.on_epoch_end()

    first, second = orders(1)
    assert first != second
    assert [first, second] == list(orders(1))
    assert first != next(orders(2))
