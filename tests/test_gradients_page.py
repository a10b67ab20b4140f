"""docs/gradients.md is true: its NumPy formulas are run in float64 and compared.

With the gradient that the package gives on this backend, and with this backend's own
differentiation of the definition, because the package's gradients are closed forms as well.
"""

import ast
import inspect
import pathlib
import re

import backends
import numpy as np
import pytest
from keras import ops

import keras_ce.losses

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "gradients.md"
TEXT = PAGE.read_text(encoding="utf-8")
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LOSSES = [name for name in keras_ce.losses.__all__ if inspect.isclass(vars(keras_ce.losses)[name])]

# JAX has no float64 unless the whole process asks for it.
DTYPES = ["float32"] if backends.BACKEND == "jax" else ["float32", "float64"]
TOLERANCE = {"float32": 1e-6, "float64": 1e-13}

ROWS, CLASSES = 6, 5
PRIOR = [0.1, 0.2, 0.4, 0.0, 0.3]
COUNTS = [900, 90, 9, 1, 50]
WEIGHTS = [0.5, 2.0, 1.0, 3.0, 0.0]


def function_name(loss: str) -> str:
    return getattr(keras_ce.losses, loss).__module__.rpartition(".")[2]


def formulas() -> dict:
    """What the page's code blocks define, run from top to bottom."""
    namespace = {"__name__": "gradients"}
    for block in CODE.finditer(TEXT):
        # Errors show the line of the page.
        lines_before = TEXT.count("\n", 0, block.start(1))
        exec(compile("\n" * lines_before + block[1], str(PAGE), "exec"), namespace)
    return namespace


FORMULAS = formulas()


# --- the definitions, from logits, as each backend differentiates them ---


def nats(z):
    return ops.logsumexp(z, -1, keepdims=True) - z


def label_smoothed(z, y, label_smoothing=0.1, prior=None, class_weight=None):
    prior = np.ones(CLASSES) if prior is None else np.array(prior)
    prior = ops.cast(prior / prior.sum(), z.dtype)
    weight = ops.cast(np.array(class_weight or [1.0] * CLASSES), z.dtype)
    q = weight * ((1 - label_smoothing) * y + label_smoothing * prior)
    return ops.sum(q * nats(z), -1)


def grouped(z, y, group_sizes, label_smoothing=0.0):
    total, start = 0.0, 0
    for size in group_sizes:
        q = (1 - label_smoothing) * y[..., start : start + size] + label_smoothing / size
        total = total + ops.sum(q * nats(z[..., start : start + size]), -1)
        start += size
    return total


def logit_adjusted(z, y, class_prior, strength=1.0):
    prior = np.array(class_prior) / np.sum(class_prior)
    return ops.sum(y * nats(z + ops.cast(strength * np.log(prior), z.dtype)), -1)


def focal(z, y, gamma=2.0, class_weight=None):
    weight = ops.cast(np.array(class_weight or [1.0] * CLASSES), z.dtype)
    return ops.sum(weight * y * (1 - ops.softmax(z)) ** gamma * nats(z), -1)


def poly1(z, y, epsilon=1.0):
    return ops.sum(y * (nats(z) + epsilon * (1 - ops.softmax(z))), -1)


def generalized(z, y, q=0.7):
    return ops.sum(y * (1 - ops.softmax(z) ** q) / q, -1)


def symmetric(z, y, alpha=0.1, beta=1.0):
    # Not ops.maximum, which rounds float64 to float32 on torch.
    costs = ops.where(y < np.exp(-4), 4.0, -ops.log(ops.where(y < np.exp(-4), 1.0, y)))
    return ops.sum(alpha * y * nats(z) + beta * ops.softmax(z) * costs, -1)


def in_batch(similarities, ids, temperature=0.05):
    others = ops.cast(ops.not_equal(ids[:, None], ids[None, :]), similarities.dtype)
    z = similarities / temperature
    remain = ops.maximum(others, ops.eye(len(ids), dtype=z.dtype))
    peak = ops.stop_gradient(ops.max(z, -1, keepdims=True))
    return ops.log(ops.sum(remain * ops.exp(z - peak), -1)) - ops.diagonal(z - peak)


def unit(x):
    return x / ops.sqrt(ops.sum(x * x, -1, keepdims=True))


def supervised_contrastive(x, ids, temperature=0.1):
    z = unit(x) @ ops.transpose(unit(x)) / temperature
    others = 1 - ops.eye(len(ids), dtype=z.dtype)
    positives = ops.cast(ops.equal(ids[:, None], ids[None, :]), z.dtype) * others
    number = ops.sum(positives, -1)
    total = ops.log(ops.sum(others * ops.exp(z), -1))
    return ops.sum(positives * (total[:, None] - z), -1) / ops.where(number > 0, number, 1.0)


def triplet_margin(x, ids, margin=0.2, mining="semi-hard", distance="euclidean"):
    """All triplets (B, B, B), and which of them are mined."""
    x = unit(x) if distance == "cosine" else x
    squares = ops.sum((x[:, None] - x[None, :]) ** 2, -1)
    if distance == "euclidean":
        d = ops.sqrt(squares + ops.eye(len(ids), dtype=x.dtype))
    else:
        d = squares if distance == "squared" else squares / 2
    is_same = ops.equal(ids[:, None], ids[None, :])
    is_positive = ops.logical_and(is_same, ops.eye(len(ids)) == 0)
    is_triplet = is_positive[:, :, None] & ops.logical_not(is_same)[:, None, :]
    to, beyond = ops.stop_gradient(d), 1e6
    if mining == "hard":
        farthest = ops.max(ops.where(is_positive, to, -1.0), -1)
        nearest = ops.min(ops.where(is_same, beyond, to), -1)
        is_triplet = is_triplet & ops.equal(to, farthest[:, None])[:, :, None]
        is_triplet = is_triplet & ops.equal(to, nearest[:, None])[:, None, :]
    if mining == "semi-hard":
        to_negatives = ops.where(is_same, beyond, to)[:, None, :]
        to_farther = ops.where(to_negatives > to[:, :, None], to_negatives, beyond)
        nearest = ops.min(to_farther, -1)
        farthest = ops.max(ops.where(is_same, -1.0, to), -1)[:, None]
        mined = ops.where(nearest < beyond, nearest, farthest)
        is_triplet = is_triplet & ops.equal(to_negatives, mined[:, :, None])
    is_triplet = ops.cast(is_triplet, d.dtype)
    hinges = ops.relu(d[:, :, None] - d[:, None, :] + margin)
    number = ops.sum(is_triplet, (1, 2))
    return ops.sum(is_triplet * hinges, (1, 2)) / ops.where(number > 0, number, 1.0)


def without_ignored(y, ignore_label):
    """1 for labels that count and 0 for others, and the labels with a 0 for those others."""
    if ignore_label is None:
        return ops.ones_like(y), y
    is_kept = ops.logical_not(ops.isnan(y)) if ignore_label == "nan" else y != ignore_label
    return ops.cast(is_kept, y.dtype), ops.where(is_kept, y, ops.zeros_like(y))


def weighted_sigmoid(z, y, pos_weight=1.0, label_smoothing=0.0, ignore_label=None):
    weight = ops.cast(np.array(pos_weight), z.dtype)
    counts, y = without_ignored(y, ignore_label)
    y = y * (1 - label_smoothing) + label_smoothing / 2
    losses = weight * y * ops.softplus(-z) + (1 - y) * ops.softplus(z)
    return ops.sum(counts * losses, -1) / ops.maximum(ops.sum(counts, -1), 1)


def asymmetric(z, y, gamma_positive=0.0, gamma_negative=4.0, clip=0.05, ignore_label=None):
    counts, y = without_ignored(y, ignore_label)
    p = ops.sigmoid(z)
    m = ops.relu(p - clip)
    positive = y * (1 - p) ** gamma_positive * -ops.log(p)
    losses = positive + (1 - y) * m**gamma_negative * -ops.log(1 - m)
    return ops.sum(counts * losses, -1) / ops.maximum(ops.sum(counts, -1), 1)


def multi_label_softmax(s, y, ignore_label=None):
    counts, y = without_ignored(y, ignore_label)
    absent = ops.log(1 + ops.sum(counts * (1 - y) * ops.exp(s), -1))
    return absent + ops.log(1 + ops.sum(counts * y * ops.exp(-s), -1))


def margin_ranking(s, relevance, margin=0.1, weighting=None, ignore_label=None):
    counts, _ = without_ignored(relevance, ignore_label)
    weights = ops.cast(relevance[..., :, None] > relevance[..., None, :], s.dtype)
    weights = weights * counts[..., :, None] * counts[..., None, :]
    if weighting == "ndcg":
        # No two scores are equal here: a rank is the number of scores that are not below.
        is_above = ops.cast(s[..., None, :] >= s[..., :, None], s.dtype) * counts[..., None, :]
        rank = ops.sum(is_above, -1)
        # Not ops.maximum, which rounds float64 to float32 on torch; 0 is the rank of padding.
        discount = 1 / ops.log2(1 + ops.where(rank > 0, rank, ops.ones_like(rank)))
        gain = 2.0**relevance
        for each in (gain, discount):
            weights = weights * ops.abs(each[..., :, None] - each[..., None, :])
    hinges = ops.relu(margin - (s[..., :, None] - s[..., None, :]))
    total = ops.sum(weights, (-2, -1))
    return ops.sum(weights * hinges, (-2, -1)) / ops.where(total > 0, total, ops.ones_like(total))


def distillation(z, teacher, temperature=2.0):
    p, log_p = ops.softmax(teacher / temperature), -nats(teacher / temperature)
    return temperature**2 * ops.sum(p * (log_p + nats(z / temperature)), -1)


def listwise(s, r, temperature=1.0, ignore_label=None):
    counts, r = without_ignored(r, ignore_label)
    log_total = ops.log(ops.sum(counts * ops.exp(s / temperature), -1, keepdims=True))
    total = ops.sum(r, -1)
    losses = ops.sum(r * (log_total - s / temperature), -1)
    return losses / ops.where(total > 0, total, ops.ones_like(total))


def ordinal(z, ids):
    above = ops.cast(ids[:, None] > ops.arange(CLASSES), z.dtype)
    return ops.sum(above * ops.softplus(-z) + (1 - above) * ops.softplus(z), -1)


# --- the inputs ---


def logits(generator):
    return generator.normal(size=(ROWS, CLASSES)) * 2


def similarities(generator):
    return generator.uniform(-0.3, 0.3, size=(ROWS, ROWS))


def rows(generator):
    """Labels in [0, 1] with a 0 and a 1 in each row, which do not sum to one."""
    labels = generator.uniform(0, 1, size=(ROWS, CLASSES))
    labels[:, 0], labels[:, 1] = 0, 1
    return generator.permuted(labels, axis=-1)


def rows_with_gaps(generator):
    """The same with a NaN in each row but one."""
    labels = rows(generator)
    labels[np.arange(1, ROWS), generator.integers(0, CLASSES, size=ROWS - 1)] = np.nan
    return labels


def one_hot(generator):
    return np.eye(CLASSES)[generator.integers(0, CLASSES, size=ROWS)]


def relevances(generator):
    return generator.integers(-1, 3, size=(ROWS, CLASSES)).astype("float64")


def grades(generator):
    """Of 0 to 4, a list without a relevant candidate among them."""
    labels = generator.integers(0, 9, size=(ROWS, CLASSES)) / 2
    labels[1] = 0
    return labels


def padded_grades(generator):
    """The same with padding, at most one in a list."""
    labels = grades(generator)
    labels[np.arange(2, ROWS), generator.integers(0, CLASSES, size=ROWS - 2)] = -1
    return labels


def ordered_ids(generator):
    return np.array([0, 5, 3, 1, 2, 4])


def question_ids(generator):
    return np.array([7, 3, 7, -2, 3, 0])


def row_labels(generator):
    return np.array([7, 3, 7, -2, 3, 7])


SCORES_OF = {question_ids: similarities, row_labels: logits}
"""Labels that are ids of rows, and what belongs to them."""

CASES = [
    ("LabelSmoothedCrossentropy", label_smoothed, rows, {}),
    ("LabelSmoothedCrossentropy", label_smoothed, one_hot, {"label_smoothing": 0.2}),
    (
        "LabelSmoothedCrossentropy",
        label_smoothed,
        rows,
        {"label_smoothing": 0.3, "prior": PRIOR, "class_weight": WEIGHTS},
    ),
    ("GroupedSoftmaxCrossentropy", grouped, rows, {"group_sizes": [2, 3]}),
    (
        "GroupedSoftmaxCrossentropy",
        grouped,
        rows,
        {"group_sizes": [3, 2], "label_smoothing": 0.2},
    ),
    ("LogitAdjustedCrossentropy", logit_adjusted, rows, {"class_prior": COUNTS}),
    (
        "LogitAdjustedCrossentropy",
        logit_adjusted,
        one_hot,
        {"class_prior": COUNTS, "strength": 1.5},
    ),
    ("FocalCrossentropy", focal, rows, {}),
    ("FocalCrossentropy", focal, one_hot, {"gamma": 0.5, "class_weight": WEIGHTS}),
    ("Poly1Crossentropy", poly1, rows, {}),
    ("Poly1Crossentropy", poly1, one_hot, {"epsilon": -1}),
    ("GeneralizedCrossentropy", generalized, rows, {}),
    ("GeneralizedCrossentropy", generalized, one_hot, {"q": 0.3}),
    ("SymmetricCrossentropy", symmetric, rows, {}),
    ("SymmetricCrossentropy", symmetric, one_hot, {"alpha": 0.5, "beta": 2.0}),
    ("InBatchCrossentropy", in_batch, question_ids, {}),
    ("InBatchCrossentropy", in_batch, question_ids, {"temperature": 0.2}),
    ("DistillationCrossentropy", distillation, logits, {}),
    ("DistillationCrossentropy", distillation, logits, {"temperature": 0.7}),
    ("ListwiseCrossentropy", listwise, grades, {}),
    ("ListwiseCrossentropy", listwise, padded_grades, {"temperature": 2.5, "ignore_label": -1.0}),
    ("OrdinalCrossentropy", ordinal, ordered_ids, {}),
    ("SupervisedContrastive", supervised_contrastive, row_labels, {}),
    ("SupervisedContrastive", supervised_contrastive, row_labels, {"temperature": 0.5}),
    *(
        ("TripletMargin", triplet_margin, row_labels, {"margin": margin, **given})
        for margin, given in [
            (1.5, {}),
            (2.5, {"mining": "all"}),
            (1.0, {"mining": "hard", "distance": "squared"}),
            (0.5, {"mining": "all", "distance": "cosine"}),
        ]
    ),
    ("WeightedSigmoidCrossentropy", weighted_sigmoid, rows, {}),
    (
        "WeightedSigmoidCrossentropy",
        weighted_sigmoid,
        rows,
        {"pos_weight": [1.0, 2.0, 0.5, 4.0, 3.0], "label_smoothing": 0.1, "ignore_label": 1.0},
    ),
    (
        "WeightedSigmoidCrossentropy",
        weighted_sigmoid,
        rows_with_gaps,
        {"label_smoothing": 0.1, "ignore_label": "nan"},
    ),
    ("AsymmetricSigmoidCrossentropy", asymmetric, rows, {}),
    (
        "AsymmetricSigmoidCrossentropy",
        asymmetric,
        rows,
        {"gamma_positive": 1.5, "gamma_negative": 3.0, "clip": 0.2},
    ),
    ("AsymmetricSigmoidCrossentropy", asymmetric, rows, {"gamma_negative": 0.0, "clip": 0.0}),
    ("AsymmetricSigmoidCrossentropy", asymmetric, rows, {"ignore_label": 0.0}),
    ("AsymmetricSigmoidCrossentropy", asymmetric, rows_with_gaps, {"ignore_label": "nan"}),
    ("MultiLabelSoftmaxCrossentropy", multi_label_softmax, rows, {}),
    ("MultiLabelSoftmaxCrossentropy", multi_label_softmax, rows, {"ignore_label": 1.0}),
    ("MultiLabelSoftmaxCrossentropy", multi_label_softmax, rows_with_gaps, {"ignore_label": "nan"}),
    ("MarginRanking", margin_ranking, relevances, {}),
    ("MarginRanking", margin_ranking, one_hot, {"margin": 1.5}),
    ("MarginRanking", margin_ranking, relevances, {"margin": 1.5, "ignore_label": -1.0}),
    ("MarginRanking", margin_ranking, grades, {"margin": 1.5, "weighting": "ndcg"}),
    (
        "MarginRanking",
        margin_ranking,
        padded_grades,
        {"weighting": "ndcg", "margin": 0.5, "ignore_label": -1.0},
    ),
]
every_case = pytest.mark.parametrize(
    ("loss", "definition", "labels", "arguments"),
    CASES,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)],
)


def options(loss: str) -> set[str]:
    return set(inspect.signature(getattr(keras_ce.losses, loss)).parameters)


def inputs(labels, dtype):
    """Labels and scores that `dtype` holds exactly, and the same in float64."""
    generator = np.random.default_rng(11)
    scores = SCORES_OF.get(labels, logits)(generator).astype(dtype)
    y = labels(generator)
    are_ids = labels is ordered_ids or labels in SCORES_OF
    y = y.astype("int32" if are_ids else dtype)
    exact = y if are_ids else y.astype("float64")
    return y, scores, exact, scores.astype("float64")


def assert_equal_gradients(computed, formula, dtype):
    assert computed.dtype == dtype
    scale = np.maximum(1, np.max(np.abs(formula), -1, keepdims=True))
    assert np.max(np.abs(formula)) > 0.01
    np.testing.assert_array_less(np.abs(computed - formula) / scale, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@every_case
class TestTheFormula:
    def test_is_the_gradient_of_the_package(self, loss, definition, labels, arguments, dtype):
        y, scores, exact_y, exact_scores = inputs(labels, dtype)
        formula = FORMULAS[f"gradient_{function_name(loss)}"](exact_y, exact_scores, **arguments)
        function = getattr(keras_ce.losses, function_name(loss))
        logit_option = {"from_logits": True} if "from_logits" in options(loss) else {}
        _, gradient = backends.gradient(
            lambda scores, y: function(y, scores, **arguments, **logit_option),
            scores,
            y,
        )
        assert_equal_gradients(gradient, formula, dtype)

    def test_is_the_derivative_of_the_definition(self, loss, definition, labels, arguments, dtype):
        y, scores, exact_y, exact_scores = inputs(labels, dtype)
        formula = FORMULAS[f"gradient_{function_name(loss)}"](exact_y, exact_scores, **arguments)
        _, gradient = backends.gradient(
            lambda scores, y: definition(scores, y, **arguments),
            scores,
            y,
        )
        # The plain definitions lose some digits that the losses keep.
        assert_equal_gradients(gradient / 4, formula / 4, dtype)


@every_case
def test_from_probabilities(loss, definition, labels, arguments):
    """The section "From probabilities"."""
    if "from_logits" not in options(loss):
        pytest.skip("takes scores alone")
    generator = np.random.default_rng(12)
    p = generator.dirichlet(np.full(CLASSES, 2.0), size=ROWS).astype("float32")
    y = labels(generator).astype("float32")
    exact = p.astype("float64")
    if "Sigmoid" in loss:
        scores, scale = np.log(exact) - np.log1p(-exact), exact * (1 - exact)
    else:
        scores, scale = np.log(exact), exact
    formula = FORMULAS[f"gradient_{function_name(loss)}"](y.astype("float64"), scores, **arguments)
    function = getattr(keras_ce.losses, function_name(loss))
    _, gradient = backends.gradient(lambda p, y: function(y, p, **arguments), p, y)
    assert_equal_gradients(gradient, formula / scale, "float32")


def test_jacobian():
    """The Jacobian is the derivative of the softmax, in its columns too."""
    z = np.random.default_rng(13).normal(size=CLASSES).astype("float32")
    jacobian = FORMULAS["softmax_jacobian"](z.astype("float64"))
    for row in range(CLASSES):
        _, gradient = backends.gradient(lambda z, row=row: ops.softmax(z)[row], z)
        np.testing.assert_allclose(gradient, jacobian[row], atol=1e-6)


def test_every_loss_has_a_section_with_its_formula_and_a_case():
    sections = dict(
        re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
    )
    assert set(LOSSES) <= set(sections)
    assert {case[0] for case in CASES} == set(LOSSES)
    for loss in LOSSES:
        code = "".join(block[1] for block in CODE.finditer(sections[loss]))
        defined = [node.name for node in ast.parse(code).body if hasattr(node, "name")]
        assert defined == [f"gradient_{function_name(loss)}"]
        shown = re.findall(r"^\$\$\n(.*?)\n\$\$$", sections[loss], re.MULTILINE | re.DOTALL)
        assert any(re.match(r"L(_i)? = ", formula) for formula in shown), loss
        assert any(r"\frac{\partial L" in formula for formula in shown), loss


def test_numbers_of_formulas_lead_to_a_formula():
    numbers = re.findall(r"\\tag\{(\d)\}", TEXT)
    prose = re.sub(r"\$[^$]*\$", "", CODE.sub("", TEXT).replace("$$", "$"))
    assert numbers == ["1", "2", "3", "4"]
    assert set(re.findall(r"\((\d)\)", prose)) == set(numbers)


def test_every_argument_of_a_loss_is_in_its_formula():
    """All but those that leave the formula as it is."""
    for loss in LOSSES:
        formula = FORMULAS[f"gradient_{function_name(loss)}"]
        _, _, *arguments = inspect.signature(formula).parameters
        left = {"from_logits", "ignore_class", "axis", "options"}
        assert set(arguments) == options(loss) - left
