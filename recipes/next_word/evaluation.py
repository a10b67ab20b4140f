"""What a finished next-word model leaves in its run folder, and the numbers in it."""

import csv
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy

import keras_ce
from recipes.next_word.training import Scores
from recipes.tokens.vocabulary import UNKNOWN_ID

MEASURES = {
    "perplexity": "perplexity",
    "nll": "nats per word",
    "accuracy": "accuracy",
    "hit_at_5": "among the best five",
}
PREDICTIONS = 500
CONTEXT_WORDS = 12
WEIGHTS = numpy.linspace(0, 1, 21)


def measures(scores: Scores) -> dict[str, float]:
    """Scores over all positions: each word counts the same, whatever batch it came in."""
    nll = float(scores.losses.astype("float64").mean())
    is_right = scores.best == scores.words[:, None]
    return {
        "perplexity": float(numpy.exp(nll)),
        "nll": nll,
        "accuracy": float(is_right[:, 0].mean()),
        "hit_at_5": float(is_right.any(axis=1).mean()),
        "unknown_share": float((scores.words == UNKNOWN_ID).mean()),
    }


def combined(
    of_validation: tuple[numpy.ndarray, numpy.ndarray], of_test: tuple[numpy.ndarray, numpy.ndarray]
) -> dict[str, float]:
    """Both models' probabilities averaged, with the weight that does best on validation texts.

    Args:
        of_validation: The network's losses and the baseline's probabilities of the right words.
        of_test: Likewise.
    """

    def nll(losses: numpy.ndarray, probabilities: numpy.ndarray, weight: float) -> float:
        of_network = numpy.exp(-losses.astype("float64"))
        return float(-numpy.log(weight * of_network + (1 - weight) * probabilities).mean())

    weight = float(min(WEIGHTS, key=lambda weight: nll(*of_validation, weight)))
    reached = nll(*of_test, weight)
    return {
        "network_weight": round(weight, 2),
        "perplexity": float(numpy.exp(reached)),
        "nll": reached,
    }


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Prints the numbers of the network beside those of the baseline and of the two combined."""
    print(f"\n{'on the test texts':28}{'network':>10}{'trigrams':>10}{'combined':>10}")
    for name, meaning in MEASURES.items():
        columns = [metrics[name], metrics["baseline"][name], metrics["combined"].get(name)]
        digits = 1 if name == "perplexity" else 4
        shown = ("-" if value is None else f"{value:.{digits}f}" for value in columns)
        print(f"{meaning:28}" + "".join(f"{value:>10}" for value in shown))
    print(
        f"\nvocabulary: {metrics['vocabulary_size']} words; {metrics['unknown_share']:.1%} of the "
        "test words are unknown, and count as one word to be predicted"
    )
    if metrics["perplexity"] > metrics["baseline"]["perplexity"]:
        print("the network alone does not beat the trigrams")


def write_predictions(
    folder: pathlib.Path,
    texts: Sequence[numpy.ndarray],
    scores: Scores,
    vocabulary: Sequence[str],
) -> None:
    """Writes `predictions.csv`: words of the test texts in their context, and the five guessed."""
    step = max(1, len(scores.words) // PREDICTIONS)
    number = scores.best.shape[1]
    # The mark at the beginning makes spreadsheet programs read UTF-8.
    with open(folder / "predictions.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        guesses = range(1, number + 1)
        names = [name for guess in guesses for name in (f"guess_{guess}", f"probability_{guess}")]
        writer.writerow(["context", "word", "probability", *names])
        for position, (context, word) in enumerate(_words_in_context(texts)):
            if position % step:
                continue
            row = [" ".join(vocabulary[token] for token in context), vocabulary[word]]
            row.append(f"{numpy.exp(-scores.losses[position]):.4f}")
            for guess, probability in zip(
                scores.best[position], scores.probabilities[position], strict=True
            ):
                row += [vocabulary[guess], f"{probability:.4f}"]
            writer.writerow(row)


def _words_in_context(
    texts: Sequence[numpy.ndarray],
) -> Iterator[tuple[numpy.ndarray, numpy.integer]]:
    for text in texts:
        for place, word in enumerate(text):
            yield text[max(0, place - CONTEXT_WORDS) : place], word


def continuation(predictor: keras.Model, tokens: Sequence[int], words: int) -> list[int]:
    """The most probable known word after the tokens, then after that one, and so on."""
    tokens = list(tokens)
    begun = len(tokens)
    # Of one width, that nothing is compiled anew for each word.
    width = begun + words
    for end in range(begun, width):
        row = numpy.zeros((1, width), dtype="int32")
        row[0, :end] = tokens
        logits = predictor.predict_on_batch(row)[0, end - 1]
        tokens.append(int(logits[UNKNOWN_ID + 1 :].argmax()) + UNKNOWN_ID + 1)
    return tokens[begun:]


def draw_history(folder: pathlib.Path, history: Mapping[str, Sequence[float]]) -> None:
    """Draws `history.png`: the loss of every epoch, on training and validation texts."""
    figure = keras_ce.plots.training_history(history, ["loss"])
    figure.savefig(folder / "history.png", dpi=150)
