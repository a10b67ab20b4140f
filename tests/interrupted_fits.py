"""Small trainings of every task; as a program, it kills them in the middle of a checkpoint.

    python interrupted_fits.py FOLDER TASK...

Each is a copy of the one process that imports what they need, which takes longer than they do.
"""

import os
import pathlib
import signal
import sys

import drawn_strings
import keras
import numpy as np
import pytest
from backends import step_quickly

from recipes.answer_ranker import AnswerRanker
from recipes.next_word import NextWord
from recipes.runs import checkpoints
from recipes.string_reader import StringReader
from recipes.text_classifier import TextClassifier

CHANCE = np.random.default_rng(0)
LABELS = [number % 2 for number in range(60)]
TEXTS = [" ".join(CHANCE.choice(list("abcdefgh")[2 * label :][:6], size=6)) for label in LABELS]


def quick(fit):
    """Small models that TensorFlow takes longer to trace than to train step by step."""

    def fit_quickly(folder):
        with pytest.MonkeyPatch.context() as patch:
            step_quickly(patch, keras.Model)
            return fit(folder)

    return fit_quickly


@quick
def text_classifier(folder):
    sizes = {"embedding_dim": 4, "convolution_filters": 2, "convolution_widths": (2,), "ngrams": 50}
    task = TextClassifier(epochs=3, batch_size=32, affix_buckets=9, diagnosis=False, **sizes)
    return task.set_params(verbose=0).fit(TEXTS, LABELS, checkpoint=folder)


def answer_ranker(folder):
    # Each wrong answer is the one that the model of the epoch before finds hardest.
    task = AnswerRanker(epochs=3, embedding_dim=4, hardest_among=2, in_batch=False, verbose=0)
    answers = [text[::-1] for text in TEXTS]
    return task.set_params(diagnosis=False).fit(TEXTS, answers, checkpoint=folder)


@quick
def string_reader(folder):
    _, strings, images = zip(*drawn_strings.strings(40), strict=True)
    task = StringReader(filters=(2,), units=2, epochs=3, batch_size=16, diagnosis=False, verbose=0)
    return task.fit(images, strings, checkpoint=folder)


def next_word(folder):
    sizes = {"units": 4, "embedding_dim": 4, "sequence_length": 8, "words_per_epoch": 100}
    return NextWord(epochs=3, verbose=0, minimum_count=1, **sizes).fit(TEXTS, checkpoint=folder)


FITS = {
    "text_classifier": text_classifier,
    "answer_ranker": answer_ranker,
    "string_reader": string_reader,
    "next_word": next_word,
}


def _kill_in_the_middle_of_the_second(savez):
    count = 0

    def save(path, **content):
        nonlocal count
        count += 1
        savez(path, **content)
        if count == 2:
            os.truncate(path, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    return save


if __name__ == "__main__":
    checkpoints.SHARE_OF_TIME = float("inf")
    np.savez = _kill_in_the_middle_of_the_second(np.savez)
    for task in sys.argv[2:]:
        process = os.fork()
        if not process:
            FITS[task](pathlib.Path(sys.argv[1]) / task)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        print(task, os.WTERMSIG(status), flush=True)
