"""Why a text got its class: the share of each word in the logit."""

from __future__ import annotations

import contextlib
import dataclasses
import html
from collections.abc import Iterator
from typing import Any

import keras
import numpy
import rich.console
import rich.text
from keras import layers, ops

from keras_ce.diagnosis import with_gradient
from recipes.text_classifier.model import AffixEmbedding, NgramLogits, TextClassifierModel
from recipes.text_classifier.ngrams import blocks_of_words, known_rows
from recipes.text_classifier.training import token_ids
from recipes.tokens.vocabulary import pad, split_tokens

_STEPS_AT_ONCE = 128
_MOST_STEPS = 4096
_ACCURACY = 2e-3  # of the difference of logits
_FOR, _AGAINST = (0, 114, 178), (213, 94, 0)


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why a text got its class; `print` shows it in colour on a terminal, a notebook as HTML.

    Attributes:
        label: the class.
        words: the words of the text as the classifier sees them.
        shares: what each word adds to the logit of the class, (words,); below 0 it speaks against.
        logit: the logit of the class for this text.
        baseline: the same for a text of as many words of which nothing is known.
        rest: what no word can be charged with, such as the end of the text after no word.
    """

    label: Any
    words: list[str]
    shares: numpy.ndarray
    logit: float
    baseline: float
    rest: float

    def __str__(self) -> str:
        """Words with their shares, and what they add up to."""
        words = [
            f"{word} ({share:+.2f})" for word, share in zip(self.words, self.shares, strict=True)
        ]
        return f"{self._summary()}\n{' '.join(words)}"

    def __rich__(self) -> rich.console.RenderableType:
        """The words in colour: blue speaks for the class, orange against it."""
        text = rich.text.Text(f"{self._summary()}\n")
        for word, strength in zip(self.words, self._strengths(), strict=True):
            red, green, blue = _FOR if strength > 0 else _AGAINST
            weak = abs(strength) < 0.1
            text.append(word, style="" if weak else f"bold rgb({red},{green},{blue})")
            text.append(" ")
        return text

    def _repr_html_(self) -> str:
        return self.html()

    def html(self) -> str:
        """The text as HTML, each word on a background that says how much it adds."""
        parts = [f"<p>{html.escape(self._summary())}</p>"]
        columns = zip(self.words, self.shares, self._strengths(), strict=True)
        for word, share, strength in columns:
            red, green, blue = _FOR if strength > 0 else _AGAINST
            colour = f"rgba({red},{green},{blue},{0.6 * abs(strength):.2f})"
            parts.append(
                f'<span title="{share:+.3f}" style="background:{colour}">{html.escape(word)}</span>'
            )
        return " ".join(parts)

    def _summary(self) -> str:
        return (
            f"{self.label}: logit {self.logit:.2f}, {self.baseline:.2f} without words; "
            f"the words add {self.shares.sum():+.2f}"
        )

    def _strengths(self) -> numpy.ndarray:
        """The shares, the largest of them 1 or -1."""
        return self.shares / max(1e-9, float(numpy.abs(self.shares).max(initial=0)))


def explain(model: TextClassifierModel, text: str, number: int, label: Any) -> Explanation:
    """The share of each word of a text in the logit of a class.

    Of the network by integrated gradients (Sundararajan et al. 2017) along the embeddings, from
    zero embeddings under the same mask; of the n-grams, which add up, exactly, each divided equally
    among the words that it covers. All shares and `rest` add up to `logit - baseline`.

    Args:
        model: the model, with vocabulary and token kind.
        text: any text.
        number: of the class.
        label: the class, as it is shown.
    """
    words = split_tokens(text, "characters" if model.token_kind == "characters" else "words")
    (ids,) = token_ids(model, [text])
    shares, rest = numpy.zeros(len(words)), 0.0
    of_tokens, end, start = _of_network(model.network(), pad([ids]), number)
    shares[: len(ids)] += of_tokens[: len(ids)]
    layer = model.ngram_layer()
    if layer is not None:
        of_words, rest, bias = _of_ngrams(layer, text, model.token_kind, number)
        shares[: len(of_words)] += of_words
        end += float(of_words.sum()) + rest + bias
        start += bias
    return Explanation(label, words, shares, end, start, rest)


def _of_network(
    network: TextClassifierModel, ids: numpy.ndarray, number: int
) -> tuple[numpy.ndarray, float, float]:
    """The share of each token, (time,), the logit, and the logit of zero embeddings."""

    def logits(scales: Any, ids: Any) -> Any:
        with _scaled(network, scales):
            return network(ids, training=False)[:, number]

    differentiate = with_gradient(logits)

    def at(places: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Values and gradients where all embeddings are a part of themselves, (steps, time)."""
        scales = numpy.repeat(places[:, None], ids.shape[1], axis=1).astype("float32")
        several = ops.convert_to_tensor(numpy.repeat(ids, len(places), axis=0))
        values, gradients = differentiate(ops.convert_to_tensor(scales), several)
        return tuple(keras.ops.convert_to_numpy(each) for each in (values, gradients))

    ends = numpy.zeros(_STEPS_AT_ONCE)  # as many as below: one program
    ends[1] = 1
    (start, end), _ = (each[:2] for each in at(ends))
    steps = _STEPS_AT_ONCE
    while True:
        places = (numpy.arange(steps) + 0.5) / steps
        gradients = [at(part)[1] for part in numpy.split(places, steps // _STEPS_AT_ONCE)]
        shares: numpy.ndarray = numpy.concatenate(gradients).astype("float64").mean(0)
        error = abs(shares.sum() - (end - start))
        if error <= _ACCURACY * max(abs(end - start), 1e-3) or steps >= _MOST_STEPS:
            return shares, float(end), float(start)
        steps *= 2


@contextlib.contextmanager
def _scaled(model: keras.Model, scales: Any) -> Iterator[None]:
    """The embeddings of each token times its scale, (batch, time)."""
    found = list(_embeddings(model))
    for layer in found:
        # Not by `setattr`, which would have Keras track what is set.
        vars(layer)["call"] = _times(layer.call, scales)
    try:
        yield
    finally:
        for layer in found:
            del vars(layer)["call"]


def _times(call: Any, scales: Any) -> Any:
    return lambda *inputs, **options: call(*inputs, **options) * ops.expand_dims(scales, -1)


def _embeddings(model: keras.Model) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _embeddings(layer)
        elif isinstance(layer, (layers.Embedding, AffixEmbedding)):
            yield layer


def _of_ngrams(
    layer: NgramLogits, text: str, token_kind: str, number: int
) -> tuple[numpy.ndarray, float, float]:
    """The share of each word, what no word is charged with, and the bias."""
    hashes, table, bias = layer.get_weights()
    blocks, count = blocks_of_words(text, token_kind)
    shares, rest = numpy.zeros(count), 0.0
    for block in blocks:
        rows = 1 + known_rows(hashes, numpy.array(sorted(block), "int32"))
        norm = numpy.sqrt(max(1.0, float(table[rows, -1].sum())))
        for row in rows:
            share = float(table[row, number]) / norm
            covered = block[int(hashes[row - 1])]
            if covered:
                numpy.add.at(shares, covered, share / len(covered))
            else:
                rest += share
    return shares, rest, float(bias[number])
