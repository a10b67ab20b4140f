"""The published vectors that a loss can express.

The numbers of the study notes: examples/test_explain_crossentropy.py.
"""

import json
import pathlib

import backends
import numpy as np
import pytest

import keras_ce.losses

asymmetric_sigmoid_crossentropy = backends.quick(keras_ce.losses.asymmetric_sigmoid_crossentropy)
focal_crossentropy = backends.quick(keras_ce.losses.focal_crossentropy)
generalized_crossentropy = backends.quick(keras_ce.losses.generalized_crossentropy)
grouped_softmax_crossentropy = backends.quick(keras_ce.losses.grouped_softmax_crossentropy)
in_batch_crossentropy = backends.quick(keras_ce.losses.in_batch_crossentropy)
label_smoothed_crossentropy = backends.quick(keras_ce.losses.label_smoothed_crossentropy)
margin_ranking = backends.quick(keras_ce.losses.margin_ranking)
multi_label_softmax_crossentropy = backends.quick(keras_ce.losses.multi_label_softmax_crossentropy)
poly1_crossentropy = backends.quick(keras_ce.losses.poly1_crossentropy)
weighted_sigmoid_crossentropy = backends.quick(keras_ce.losses.weighted_sigmoid_crossentropy)

FILE = pathlib.Path(__file__).parent / "vectors" / "published.json"
PUBLISHED = json.loads(FILE.read_text(encoding="utf-8"))


def labels(entry):
    inputs = entry["inputs"]
    return np.array(inputs.get("y_true", inputs.get("target", inputs.get("labels"))))


def predictions(entry):
    inputs = entry["inputs"]
    values = inputs.get("y_pred", inputs.get("logits", inputs.get("scores")))
    as_floats = np.vectorize(float, otypes=["float32"])  # "-inf" is written as text
    return as_floats(np.array(values, dtype=object))


def softmax_value(entry, **arguments):
    loss = label_smoothed_crossentropy(labels(entry), predictions(entry), **arguments)
    return backends.array(loss)


def sigmoid_value(entry, **arguments):
    loss = weighted_sigmoid_crossentropy(
        labels(entry).astype("float32"), predictions(entry), **arguments
    )
    return backends.array(loss)


def weighted_mean(losses, weights):
    return (losses * weights).mean()


def ranked(entry, margin):
    return backends.array(margin_ranking(labels(entry), predictions(entry), margin))


def cosine_scores(inputs):
    def cosine(a, b):
        return np.sum(a * b, -1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)

    anchor, positive, negative = (
        np.array(inputs[name]) for name in ("anchor", "positive", "negative")
    )
    scores = [cosine(anchor, positive), cosine(anchor, negative)]
    return np.stack(scores, -1).astype("float32")


def class_weighted(entry):
    """torch divides the mean by the sum of the labels' weights; ours never do."""
    weight = entry["args"]["weight"]
    losses = softmax_value(
        entry,
        label_smoothing=entry["args"].get("label_smoothing", 0.0),
        class_weight=weight,
        from_logits=True,
    )
    return losses.sum() / np.take(weight, labels(entry)).sum()


def two_scores(entry):
    """torch's target of -1 says that the second input should be the larger."""
    inputs = entry["inputs"]
    scores = np.stack([inputs["input1"], inputs["input2"]], -1).astype("float32")
    index = (np.array(inputs["target"]) < 0).astype("int32")
    return backends.array(margin_ranking(index, scores, entry["args"]["margin"]))


def interleaved(entry):
    pairs = np.reshape(entry["inputs"]["y_pred_interleaved_pos_neg"], (-1, 2)).astype("float32")
    return backends.array(margin_ranking([0, 0], pairs, entry["args"]["margin"])).mean()


def averaged_negatives(entry):
    rows = np.reshape(entry["inputs"]["y_pred_pos_neg_neg"], (-1, 3))
    pairs = np.stack([rows[:, 0], rows[:, 1:].mean(-1)], -1).astype("float32")
    return backends.array(margin_ranking([0, 0], pairs, entry["args"]["margin"])).mean()


def pair_sums(entry, margin=1.0):
    """The sum over pairs: the mean times their number."""
    relevance = labels(entry)
    pairs = (relevance[..., :, None] > relevance[..., None, :]).sum((-2, -1))
    return ranked(entry, margin) * pairs


def smoothed_labels(entry):
    """The gradient at equal logits is 1 / C - q."""
    rows = np.array(entry["inputs"]["labels"], "float32")
    slopes = backends.gradient(
        lambda y_pred, y_true: label_smoothed_crossentropy(
            y_true, y_pred, entry["args"]["alpha"], from_logits=True
        ),
        np.zeros_like(rows),
        rows,
    )[1]
    return 1 / 3 - slopes


def multiple_negatives(entry):
    similarities = unit(entry["inputs"]["anchors"]) @ unit(entry["inputs"]["positives"]).T
    losses = in_batch_crossentropy(
        np.arange(len(similarities)), similarities.astype("float32"), 1 / entry["args"]["scale"]
    )
    return backends.array(losses).mean()


def normalized_temperature(entry):
    """Every embedding is question and answer at once: the column of a row is its partner's.

    The column left out because it has the row's label is then the embedding itself.
    """
    embeddings, ids = unit(entry["inputs"]["embeddings"]), entry["inputs"]["labels"]
    partner = [1, 0, 3, 2]
    similarities = (embeddings @ embeddings.T)[:, partner].astype("float32")
    return backends.array(
        in_batch_crossentropy(ids, similarities, entry["args"]["temperature"])
    ).mean()


def focal_value(entry, **arguments):
    """Keras's alpha is one factor for all classes; its smoothing changes the label rows."""
    rows, smoothing = labels(entry), entry["args"].get("label_smoothing", 0.0)
    if smoothing:
        rows = (1 - smoothing) * rows + smoothing / rows.shape[-1]
    losses = focal_crossentropy(rows, predictions(entry), entry["args"]["gamma"], **arguments)
    return entry["args"].get("alpha", 1.0) * backends.array(losses)


def sigmoid_focal_entries(entry, **arguments):
    """One entry per row; alpha weighs label 1, and 1 - alpha label 0."""
    gamma, alpha = entry["args"]["gamma"], entry["args"].get("alpha")
    flat = np.reshape(labels(entry), -1).astype("float32")
    losses = backends.array(
        asymmetric_sigmoid_crossentropy(
            flat[:, None], np.reshape(predictions(entry), (-1, 1)), gamma, gamma, 0, **arguments
        )
    )
    return losses if alpha is None else losses * np.where(flat == 1, alpha, 1 - alpha)


def polynomial(entry):
    return backends.array(
        poly1_crossentropy(
            labels(entry).astype("float32"),
            predictions(entry),
            entry["args"]["epsilon"],
            from_logits=True,
        )
    )


def asymmetric(entry):
    arguments = entry["args"]
    losses = asymmetric_sigmoid_crossentropy(
        labels(entry),
        predictions(entry),
        arguments["gamma_pos"],
        arguments["gamma_neg"],
        arguments["clip"],
        from_logits=True,
    )
    return backends.array(losses).mean()


def unit(vectors):
    return np.array(vectors) / np.linalg.norm(vectors, axis=-1, keepdims=True)


EXPRESSED = {
    "CategoricalCrossentropyTest.test_unweighted": lambda e: softmax_value(
        e, label_smoothing=0
    ).mean(),
    "CategoricalCrossentropyTest.test_scalar_weighted": lambda e: (
        2.3 * softmax_value(e, label_smoothing=0, from_logits=True).mean()
    ),
    "CategoricalCrossentropyTest.test_sample_weighted": lambda e: weighted_mean(
        softmax_value(e, label_smoothing=0), e["args"]["sample_weight"]
    ),
    "CategoricalCrossentropyTest.test_label_smoothing": lambda e: softmax_value(
        e, from_logits=True
    ).mean(),
    "SparseCategoricalCrossentropyTest.test_no_reduction": lambda e: softmax_value(
        e, label_smoothing=0, from_logits=True
    ),
    "BinaryCrossentropyTest.test_unweighted": lambda e: sigmoid_value(e).mean(),
    "BinaryCrossentropyTest.test_unweighted (logits)": lambda e: sigmoid_value(
        e, from_logits=True
    ).mean(),
    "BinaryCrossentropyTest.test_label_smoothing": lambda e: sigmoid_value(
        e, from_logits=True, label_smoothing=0.1
    ).mean(),
    "SoftmaxCrossEntropyTest": lambda e: softmax_value(e, label_smoothing=0, from_logits=True),
    "SafeSoftmaxCrossEntropyTest": lambda e: softmax_value(e, label_smoothing=0, from_logits=True),
    "SigmoidCrossEntropyTest": lambda e: sigmoid_value(e, from_logits=True),
    "SmoothLabelsTest": smoothed_labels,
    "optax/losses/_ranking_test.py": lambda e: softmax_value(
        e, label_smoothing=0, from_logits=True
    ),
    "rax/_src/losses_test.py": pair_sums,
    "pairwise_hinge_loss_test.py::test_batched_input": pair_sums,
    "pairwise_hinge_loss_test.py::test_loss_reduction": lambda e: pair_sums(e).sum() / 10,
    "loss=rank_hinge,num_neg=1": interleaved,
    "loss=rank_hinge,num_neg=2": averaged_negatives,
    "test_rank_crossentropy_loss": lambda e: softmax_value(
        e, label_smoothing=0, from_logits=True
    ).mean(),
    "BCEWithLogitsLoss": lambda e: backends.array(
        weighted_sigmoid_crossentropy(
            np.ones((10, 64), "float32"),
            np.full((10, 64), 1.5, "float32"),
            [1.0] * 64,
            from_logits=True,
        )
    ).mean(),
    "CrossEntropyLoss docstring": lambda e: softmax_value(
        e, label_smoothing=0, from_logits=True
    ).mean(),
    "loss=sparse_ce_label_smoothing": lambda e: softmax_value(e, from_logits=True).mean(),
    "loss=ce_class_weight": class_weighted,
    "loss=bce_pos_weight": lambda e: sigmoid_value(
        e, from_logits=True, pos_weight=e["args"]["pos_weight"]
    ).mean(),
    "loss=margin_ranking": two_scores,
    "loss=triplet_cosine": lambda e: backends.array(
        margin_ranking([0, 0], cosine_scores(e["inputs"]), e["args"]["margin"])
    ),
    "loss=multiple_negatives_ranking": multiple_negatives,
    "NtxentTest": normalized_temperature,
    "BinaryFocalCrossentropyTest.test_unweighted": lambda e: sigmoid_focal_entries(e).mean(),
    "BinaryFocalCrossentropyTest.test_unweighted (logits)": lambda e: sigmoid_focal_entries(
        e, from_logits=True
    ).mean(),
    "SigmoidFocalCrossEntropy docstring": sigmoid_focal_entries,
    "loss=binary_focal,": sigmoid_focal_entries,
    "CategoricalFocalCrossentropyTest.test_unweighted": lambda e: focal_value(e).mean(),
    "CategoricalFocalCrossentropyTest.test_label_smoothing": lambda e: focal_value(
        e, from_logits=True
    ).mean(),
    "loss=sparse_categorical_focal": focal_value,
    "CategoricalGeneralizedCrossEntropyTest": lambda e: backends.array(
        generalized_crossentropy(labels(e), predictions(e), e["args"]["q"])
    ).mean(),
    "PolyLossTest": polynomial,
    "AsymmetricLossMultiLabel": asymmetric,
    "ZlprLoss": lambda e: backends.array(
        multi_label_softmax_crossentropy(labels(e), predictions(e))
    ).mean(),
}
NOT_EXPRESSED = {
    "KLDivergenceTest": "rows that are not distributions are an error here, not a divergence",
}


def name(entry):
    arguments = ",".join(f"{key}={value}" for key, value in entry["args"].items())
    return f"{entry['source']} loss={entry['loss']},{arguments}"


def found(table, entry):
    """The longest key of a table that an entry's name contains."""
    keys = [key for key in table if key in name(entry)]
    return table[max(keys, key=len)] if keys else None


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: name(entry)[-60:])
def test_published_vectors(entry):
    computed, reason = found(EXPRESSED, entry), found(NOT_EXPRESSED, entry)
    assert (computed is None) != (reason is None), "say whether a loss expresses this vector"
    if computed is None:
        return
    expected = np.array(entry["expected"])
    if "per item" in str(entry["args"].get("reduction")):
        expected = expected.sum(-1)  # Ours is one value per row of candidates.
    np.testing.assert_allclose(computed(entry), expected, atol=entry["tolerance"], rtol=1e-6)
