"""Training steps per second of an answer ranker, grouped by length and padded to the longest text.

    python -m benchmarks.ranker_throughput --train WikiQA-train.tsv.gz

Trains the same models on the same triples, once with the batches of `examples.train_answer_ranker`,
once with every batch padded to the longest text of the whole set. The first epoch compiles and is
not counted. Prints a Markdown table.
"""

import argparse

import keras
import numpy as np

import keras_ce
from benchmarks.epoch_times import EpochTimes
from examples import ranking_questions, train_answer_ranker, vocabulary
from examples.answer_triples import AnswerTriples
from examples.failures import positive_integer
from examples.vocabulary import TokenIds
from recipes.answer_ranker import build_answer_ranker

MODELS = {
    "sum of words": train_answer_ranker.ARCHITECTURE,
    "LSTM (64)": {},
}


class PaddedToTheLongest(keras.utils.PyDataset):
    """The same batches, every answer as wide as the longest one."""

    def __init__(self, triples: AnswerTriples) -> None:
        super().__init__()
        self._triples = triples
        longest = max(map(len, triples.answer_ids))
        self._width = -(-longest // 8) * 8

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._triples)

    def __getitem__(self, index: int) -> tuple:
        """One batch."""
        (question, *answers), labels = self._triples[index]
        wide = [np.pad(ids, ((0, 0), (0, self._width - ids.shape[1]))) for ids in answers]
        return (question, *wide), labels


def main() -> None:
    """Measures both ways of padding for each model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranker_throughput")
    parser.add_argument("--train", required=True, metavar="FILE", help="questions with answers")
    parser.add_argument("--epochs", type=positive_integer, default=2, help="counted ones")
    options = parser.parse_args()
    questions = ranking_questions.read_questions(options.train)
    texts = [text for each in questions for text in (each.text, *each.candidates)]
    tokens = vocabulary.build_vocabulary(texts, "stems", size=30_000, minimum_count=2)
    print("| model | grouped by length | padded to the longest | times as fast |")
    print("|---|---|---|---|")
    for name, architecture in MODELS.items():
        rates = []
        for padded in (False, True):
            keras.utils.set_random_seed(0)
            ranker = build_answer_ranker(len(tokens), **architecture)
            triples = AnswerTriples(
                questions, lambda texts: list(map(TokenIds(tokens, "stems"), texts)), 64, 0
            )
            ranker.trainer.compile("adam", keras_ce.losses.MarginRanking(0.3))
            times = EpochTimes()
            ranker.trainer.fit(
                PaddedToTheLongest(triples) if padded else triples,
                epochs=1 + options.epochs,
                shuffle=False,
                verbose=0,
                callbacks=[times],
            )
            rates.append(len(triples) * options.epochs / sum(times.seconds[1:]))
        grouped, whole = rates
        print(f"| {name} | {grouped:.1f} steps/s | {whole:.1f} steps/s | {grouped / whole:.2f} |")


if __name__ == "__main__":
    main()
