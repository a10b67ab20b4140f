"""How well a next-word model predicts, and what a training leaves in its run folder."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy
from keras import ops

import keras_ce
from recipes.next_word.training import tokens_and_next, windows
from recipes.runs.intervals import Outcomes
from recipes.runs.report_page import Picture, Section, Table
from recipes.runs.training_run import TrainingRun, print_comparison
from recipes.tokens.trigrams import TrigramModel, contexts_and_words
from recipes.tokens.vocabulary import UNKNOWN_ID, pad

MEASURES = {
    "perplexity": "perplexity",
    "nll": "nats per word",
    "accuracy": "accuracy",
    "hit_at_5": "among the best five",
}
BEST = 5
FIRST_WORD_ID = UNKNOWN_ID + 1
PREDICTIONS = 500
CONTEXT_WORDS = 12
CONTINUATIONS = 3
WEIGHTS = numpy.linspace(0, 1, 21)
DISCOUNTS = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
POSITIONS_AT_ONCE = 2048
"""Whose features exist at the same time."""


class Scores(NamedTuple):
    """What a model says of every word of some texts, in the order of the texts."""

    words: numpy.ndarray
    """The right words (positions,)."""
    losses: numpy.ndarray
    """The negative logarithm of the probability of each, in nats (positions,)."""
    best: numpy.ndarray
    """The most probable words, the best first (positions, number)."""
    probabilities: numpy.ndarray
    """The probability of each of those."""


def score_texts(
    predictor: keras.Model,
    texts: Sequence[numpy.ndarray],
    sequence_length: int,
    number: int = BEST,
) -> Scores:
    """Scores a model, without the matrix of all positions and all words.

    Args:
        predictor: From token ids to logits of the next word.
        texts: The word ids of each text.
        sequence_length: Words in a window.
        number: How many of the most probable words to give, where there are as many; 0 saves
            half the time.
    """
    pieces = windows(texts, sequence_length)
    width = max(len(piece) - 1 for piece in pieces)
    head = predictor.get_layer("next_word")
    read = keras.Model(predictor.input, predictor.get_layer("features").output)
    scores: list[Scores] = []
    rows = max(1, POSITIONS_AT_ONCE // width)
    for start in range(0, len(pieces), rows):
        chosen = pieces[start : start + rows]
        tokens, next_tokens = tokens_and_next(chosen, width)
        features = ops.convert_to_tensor(read.predict_on_batch(tokens))
        losses = keras_ce.losses.linear_crossentropy(
            next_tokens, features, head.kernel, head.bias, ignore_class=0, class_axis=0
        )
        arrays = [ops.convert_to_numpy(losses)]
        if number:
            logarithms, best = head.top_k(features, min(number, head.num_classes))
            arrays += map(ops.convert_to_numpy, (best, ops.exp(logarithms)))
        else:
            arrays += [numpy.zeros((*next_tokens.shape, 0))] * 2
        for row, piece in enumerate(chosen):
            length = len(piece) - 1
            scores.append(Scores(piece[1:], *(each[row, :length] for each in arrays)))
    return Scores(*map(numpy.concatenate, zip(*scores, strict=True)))


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


class TrigramScores(NamedTuple):
    """What the best of the trigram models says of the validation and of the test texts."""

    metrics: dict[str, float | str]
    """On the test texts: `perplexity`, `nll`, `accuracy`, `hit_at_5`; what the `model` is, its
    `discount`, and the `seconds` it all took."""
    validation: numpy.ndarray
    """The probability of each word of the validation texts, in their order."""
    test: numpy.ndarray
    """Likewise."""
    is_right: numpy.ndarray
    """Whether each word of the test texts is its first guess, its second, ... (positions, 5)."""


def score_trigrams(
    training: Sequence[numpy.ndarray],
    validation: Sequence[numpy.ndarray],
    test: Sequence[numpy.ndarray],
    vocabulary_size: int,
) -> TrigramScores:
    """Counts triples, chooses the discount on the validation texts and scores the test texts."""
    start = time.perf_counter()
    asked = contexts_and_words(validation)
    models = [TrigramModel(training, vocabulary_size, discount) for discount in DISCOUNTS]
    of_validation = [model.probabilities(*asked) for model in models]
    chosen = int(numpy.argmax([numpy.log(each).mean() for each in of_validation]))
    older, last, word = contexts_and_words(test)
    of_test = models[chosen].probabilities(older, last, word)
    pairs, index = numpy.unique(numpy.stack([older, last]), axis=1, return_inverse=True)
    best = models[chosen].best_words(pairs[0], pairs[1], BEST)  # Padding, if any, is never right.
    is_right = best[index.ravel()] == word[:, None]
    nll = float(-numpy.log(of_test).mean())
    metrics: dict[str, float | str] = {
        "model": "interpolated Kneser-Ney trigrams",
        "discount": DISCOUNTS[chosen],
        "perplexity": float(numpy.exp(nll)),
        "nll": nll,
        "accuracy": float(is_right[:, 0].mean()),
        "hit_at_5": float(is_right.any(axis=1).mean()),
        "seconds": round(time.perf_counter() - start, 2),
    }
    return TrigramScores(metrics, of_validation[chosen], of_test, is_right)


def outcomes(
    texts: Sequence[numpy.ndarray], scores: Scores, trigrams: TrigramScores
) -> dict[str, Outcomes]:
    """What each test text has to say; its words are no rows, since they depend on each other.

    Args:
        texts: The word ids of each test text.
        scores: Of the network.
        trigrams: Of the baseline.
    """
    text_of_word = numpy.repeat(numpy.arange(len(texts)), [len(text) for text in texts])
    words = numpy.bincount(text_of_word, minlength=len(texts))

    def of_texts(losses: numpy.ndarray, is_right: numpy.ndarray) -> dict[str, numpy.ndarray]:
        of_words = {"nll": losses, "accuracy": is_right[:, 0], "hit_at_5": is_right.any(axis=1)}
        return {
            name: numpy.stack(
                [numpy.bincount(text_of_word, values, minlength=len(texts)), words], axis=1
            )
            for name, values in of_words.items()
        }

    def per_word(sums: numpy.ndarray) -> float:
        total, number = sums.sum(axis=0)
        return float(total / number)

    network = of_texts(scores.losses, scores.best == scores.words[:, None])
    rival = of_texts(-numpy.log(trigrams.test), trigrams.is_right)
    return {
        "perplexity": Outcomes(
            lambda sums: float(numpy.exp(per_word(sums))), network["nll"], rival["nll"]
        ),
        **{name: Outcomes(per_word, network[name], rival[name]) for name in network},
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


def write_report(
    run: TrainingRun, training: Sequence[str], validation: Sequence[str], test: Sequence[str]
) -> None:
    """Writes and prints how well a model predicts the words of texts that it has not seen.

    Args:
        run: With the fitted task.
        training: The texts that it has learned from, for the baseline.
        validation: Those that said when to stop; they choose what else is to be chosen.
        test: The other texts.
    """
    model = run.task
    words = model.vocabulary_
    ids_of_test = model.token_ids(test)
    scores = model.scores(test)
    trigrams = score_trigrams(
        model.token_ids(training), model.token_ids(validation), ids_of_test, len(words)
    )
    metrics = run.report(
        measures(scores),
        trigrams.metrics,
        outcomes(ids_of_test, scores, trigrams),
        combined=combined(
            (model.scores(validation, number=0).losses, trigrams.validation),
            (scores.losses, trigrams.test),
        ),
        vocabulary_size=len(words),
    )
    guesses = range(1, scores.best.shape[1] + 1)
    names = [name for guess in guesses for name in (f"guess_{guess}", f"probability_{guess}")]
    run.write_table(
        "predictions.csv",
        ["context", "word", "probability", *names],
        _predictions(ids_of_test, scores, words),
    )
    run.draw_history(["loss"])
    columns = {"network": metrics, "trigrams": metrics["baseline"], "combined": metrics["combined"]}
    print_comparison("on the test texts", MEASURES, columns)
    begun_and_added = []
    for text in ids_of_test[:CONTINUATIONS]:
        begun = text[:CONTEXT_WORDS].tolist()
        added = continuation(model.model_, begun, model.sequence_length, CONTEXT_WORDS)
        begun_and_added.append(
            [" ".join(words[token] for token in tokens) for tokens in (begun, added)]
        )
    run.write_page(
        metrics,
        MEASURES,
        columns,
        [
            Section("The training", [Picture(run.folder / "history.png", "loss")]),
            Section(
                "How it goes on",
                [Table(["beginning of a test text", "the most probable words"], begun_and_added)],
            ),
        ],
        [
            f"The vocabulary has {len(words):,} words; {metrics['unknown_share']:.1%} of the test "
            "words are unknown, and count as one word. The intervals are over test texts"
        ],
    )
    print(
        f"vocabulary: {len(words)} words; {metrics['unknown_share']:.1%} of the test words are "
        "unknown, and count as one word to be predicted"
    )
    if metrics["perplexity"] > metrics["baseline"]["perplexity"]:
        print("the network alone does not beat the trigrams")
    for shown in begun_and_added:
        print(" ... ".join(shown))


def _predictions(
    texts: Sequence[numpy.ndarray], scores: Scores, vocabulary: Sequence[str]
) -> Iterator[list[str]]:
    """Words of the texts in their context, and the most probable ones."""
    step = max(1, len(scores.words) // PREDICTIONS)
    for position, (context, word) in enumerate(_words_in_context(texts)):
        if position % step:
            continue
        row = [" ".join(vocabulary[token] for token in context), vocabulary[int(word)]]
        row.append(f"{numpy.exp(-scores.losses[position]):.4f}")
        for guess, probability in zip(
            scores.best[position], scores.probabilities[position], strict=True
        ):
            row += [vocabulary[guess], f"{probability:.4f}"]
        yield row


def _words_in_context(
    texts: Sequence[numpy.ndarray],
) -> Iterator[tuple[numpy.ndarray, numpy.integer]]:
    for text in texts:
        for place, word in enumerate(text):
            yield text[max(0, place - CONTEXT_WORDS) : place], word


def next_logits(
    predictor: keras.Model, tokens: Sequence[int], sequence_length: int
) -> numpy.ndarray:
    """The logits of the word after the tokens, (words,).

    Args:
        predictor: From token ids to logits of the next word.
        tokens: What stands so far; before it comes, as in training, the unknown word.
        sequence_length: How many of the last words count, as many as in a window of the training.
    """
    context = [UNKNOWN_ID, *tokens][-sequence_length:]
    return predictor.predict_on_batch(pad([context]))[0, len(context) - 1]


def continuation(
    predictor: keras.Model, tokens: Sequence[int], sequence_length: int, words: int
) -> list[int]:
    """The most probable known word after the tokens, then after that one, and so on."""
    tokens = list(tokens)
    for _ in range(words):
        logits = next_logits(predictor, tokens, sequence_length)
        tokens.append(int(logits[FIRST_WORD_ID:].argmax()) + FIRST_WORD_ID)
    return tokens[-words:]
