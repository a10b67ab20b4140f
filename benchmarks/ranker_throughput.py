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
from benchmarks import throughput
from recipes.answer_ranker import build_answer_ranker
from recipes.answer_ranker.question_files import read_questions
from recipes.answer_ranker.task import ARCHITECTURE
from recipes.answer_ranker.training import AnswerTriples
from recipes.tokens import vocabulary
from recipes.tokens.vocabulary import TokenIds

MODELS = {
    "sum of words": {**ARCHITECTURE, "embedding_dim": 300, "units": 0, "dropout": 0.2},
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
    parser.add_argument("--epochs", type=int, default=2, help="counted ones")
    options = parser.parse_args()
    questions = read_questions(options.train)
    texts = [text for each in questions for text in (each.text, *each.candidates)]
    tokens = vocabulary.build_vocabulary(texts, "stems", size=30_000, minimum_count=2)

    def steps_per_second(architecture: dict, padded: bool) -> float:
        keras.utils.set_random_seed(0)
        trainer = build_answer_ranker(len(tokens), **architecture).trainer
        trainer.compile("adam", keras_ce.losses.MarginRanking(0.3))
        triples = AnswerTriples(
            questions, lambda texts: list(map(TokenIds(tokens, "stems"), texts)), 64, 0
        )
        given = PaddedToTheLongest(triples) if padded else triples
        return len(triples) * throughput.epochs_per_second(trainer, given, options.epochs)

    throughput.print_comparison(MODELS, steps_per_second, "steps/s")


if __name__ == "__main__":
    main()
