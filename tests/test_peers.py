"""The peers themselves on random inputs and extremes, and by how much ours differ on purpose."""

import functools
import warnings

import backends
import numpy as np
import pytest

from keras_ce.losses import (
    LabelSmoothedCrossentropy,
    SupervisedContrastive,
    WeightedSigmoidCrossentropy,
    asymmetric_sigmoid_crossentropy,
    distillation_crossentropy,
    label_smoothed_crossentropy,
    listwise_crossentropy,
    margin_ranking,
    poly1_crossentropy,
    supervised_contrastive,
    triplet_margin,
    weighted_sigmoid_crossentropy,
)

ROWS, CLASSES = 64, 7
_generator = np.random.default_rng(20261121)
SCALES = np.repeat([0.01, 1.0, 30.0, 5000.0], ROWS // 4)[:, None]  # up to about 1e4
LOGITS = (_generator.normal(size=(ROWS, CLASSES)) * SCALES).astype("float32")
MODERATE = _generator.normal(size=(ROWS, CLASSES)).astype("float32") * 3
IDS = _generator.integers(0, CLASSES, ROWS)
SOFT = _generator.dirichlet(np.ones(CLASSES), ROWS).astype("float32")
BINARY = _generator.integers(0, 2, (ROWS, CLASSES)).astype("float32")
WEIGHTS = [0.5, 2.0, 1.0, 5.0, 0.25, 2.0, 0.0]


@pytest.fixture(scope="module")
def functional():
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    return torch.nn.functional


@pytest.fixture(scope="module")
def optax():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what other packages say while they load is not ours
        return pytest.importorskip("optax", reason="the extra `peers` is not installed")


@pytest.fixture(scope="module")
def metric_learning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reason = "the extra `peers` is not installed"
        package = pytest.importorskip("pytorch_metric_learning", reason=reason)
        from pytorch_metric_learning import distances, losses, miners, reducers  # noqa: F401
    return package


def torch_run(loss, y_pred, *others):
    """Value and gradient of `loss(y_pred, *others)` by torch itself, in float64."""
    import torch

    y_pred = torch.tensor(np.asarray(y_pred, "float64"), requires_grad=True)
    others = [torch.tensor(item) for item in others]
    others = [item.double() if item.is_floating_point() else item for item in others]
    value = loss(y_pred, *others)
    value.sum().backward()
    return value.detach().numpy(), y_pred.grad.numpy()


def optax_run(loss, y_pred, *others):
    """Value and gradient of `loss(y_pred, *others)` by JAX, in float32."""
    import jax

    value, pullback = jax.vjp(lambda y_pred: loss(y_pred, *others), jax.numpy.asarray(y_pred))
    return np.asarray(value), np.asarray(pullback(jax.numpy.ones_like(value))[0])


def run(loss, y_pred, y_true, *arguments, **options):
    """Value and gradient of one of ours."""
    return backends.gradient(
        lambda y_pred, y_true: loss(y_true, y_pred, *arguments, **options),
        y_pred,
        y_true,
    )


def agree(ours, theirs, rtol=5e-6, atol=1e-30):
    np.testing.assert_allclose(ours[0], theirs[0], rtol=rtol, atol=atol)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5, atol=2e-6)


class TestTorchCrossEntropy:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
    @pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["plain", "weighted"])
    @pytest.mark.parametrize("labels", [IDS, SOFT], ids=["ids", "rows"])
    def test_every_row(self, functional, labels, weight, smoothing):
        def loss(y_pred, y_true):
            given = None if weight is None else y_pred.new_tensor(weight)
            return functional.cross_entropy(
                y_pred, y_true, given, reduction="none", label_smoothing=smoothing
            )

        ours = run(
            label_smoothed_crossentropy,
            LOGITS,
            labels,
            smoothing,
            from_logits=True,
            class_weight=weight,
        )
        # Below 1e-12 torch's own `logsumexp(x) - x_y` has no digits left.
        agree(ours, torch_run(loss, LOGITS, labels), atol=1e-12)

    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    def test_the_mean_has_another_divisor(self, functional, smoothing):
        """torch divides by the sum of the weights of the labels' classes; ours by the rows."""

        def loss(y_pred, y_true):
            return functional.cross_entropy(
                y_pred, y_true, y_pred.new_tensor(WEIGHTS), label_smoothing=smoothing
            )

        theirs = torch_run(loss, MODERATE, IDS)
        ours = run(
            LabelSmoothedCrossentropy(smoothing, from_logits=True, class_weight=WEIGHTS),
            MODERATE,
            IDS,
        )
        factor = ROWS / np.take(WEIGHTS, IDS).sum()
        assert abs(factor - 1) > 0.2
        np.testing.assert_allclose(ours[0] * factor, theirs[0], rtol=5e-6)
        np.testing.assert_allclose(ours[1] * factor, theirs[1], rtol=1e-5, atol=1e-7)
        # For soft rows torch divides by the number of rows, too: no difference.
        theirs = torch_run(loss, MODERATE, SOFT)
        ours = run(
            LabelSmoothedCrossentropy(smoothing, from_logits=True, class_weight=WEIGHTS),
            MODERATE,
            SOFT,
        )
        agree(ours, theirs)

    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    @pytest.mark.parametrize("ignore", [-100, 3])
    def test_ignored_rows(self, functional, ignore, reduction):
        labels = np.where(np.arange(ROWS) % 4 == 1, ignore, IDS)

        def loss(y_pred, y_true):
            return functional.cross_entropy(
                y_pred, y_true, ignore_index=ignore, label_smoothing=0.1, reduction=reduction
            )

        ours = run(
            LabelSmoothedCrossentropy(from_logits=True, ignore_class=ignore, reduction=reduction),
            LOGITS,
            labels,
        )
        agree(ours, torch_run(loss, LOGITS, labels))

    def test_all_rows_ignored_is_0_and_not_nan(self, functional):
        labels = np.full(ROWS, -100)
        theirs, _ = torch_run(functional.cross_entropy, MODERATE, labels)
        assert np.isnan(theirs)
        loss = LabelSmoothedCrossentropy(from_logits=True, ignore_class=-100)
        value, slopes = run(loss, MODERATE, labels)
        assert value == 0
        assert np.all(slopes == 0)

    def test_row_3_the_hidden_ignore_index(self, functional):
        """torch takes -100 as loss 0; ours refuse it unless it is said."""
        labels = np.where(np.arange(ROWS) == 5, -100, IDS)
        theirs, _ = torch_run(
            functools.partial(functional.cross_entropy, reduction="none"), MODERATE, labels
        )
        assert theirs[5] == 0
        with pytest.raises(ValueError, match=r"Received: -100 at position \(5,\)"):
            label_smoothed_crossentropy(labels, MODERATE, 0, from_logits=True)

    def test_row_16_small_losses_keep_the_digits_that_torch_loses(self, functional):
        import torch

        logits = np.array([[20.0, 0.0], [30.0, 0.0], [60.0, 0.0]], "float32")
        labels = np.zeros(3, "int64")
        theirs = functional.cross_entropy(
            torch.tensor(logits), torch.tensor(labels), reduction="none"
        ).numpy()
        np.testing.assert_array_equal(theirs, 0)
        ours, _ = run(label_smoothed_crossentropy, logits, labels, 0, from_logits=True)
        np.testing.assert_allclose(ours, np.exp([-20.0, -30.0, -60.0]), rtol=5e-6)


class TestTorchBinaryCrossEntropy:
    @pytest.mark.parametrize("labels", [BINARY, SOFT], ids=["binary", "soft"])
    @pytest.mark.parametrize(
        "pos_weight",
        [1.0, 3.0, [0.5, 2.0, 1.0, 3.0, 0.25, 1.0, 1e7]],
        ids=["one", "three", "each"],
    )
    def test_with_logits_and_pos_weight(self, functional, pos_weight, labels):
        def loss(y_pred, y_true):
            weight = y_pred.new_tensor(pos_weight)
            losses = functional.binary_cross_entropy_with_logits(
                y_pred, y_true, pos_weight=weight, reduction="none"
            )
            return losses.mean(-1)

        ours = run(weighted_sigmoid_crossentropy, LOGITS, labels, pos_weight, from_logits=True)
        theirs = torch_run(loss, LOGITS, labels)
        agree(ours, theirs)

    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    def test_reductions(self, functional, reduction):
        """The sum of ours is over rows of means: torch's is over entries."""

        def loss(y_pred, y_true):
            return functional.binary_cross_entropy_with_logits(y_pred, y_true, reduction=reduction)

        loss_of_ours = WeightedSigmoidCrossentropy(from_logits=True, reduction=reduction)
        ours = run(loss_of_ours, LOGITS, BINARY)
        factor = CLASSES if reduction == "sum" else 1
        theirs = torch_run(loss, LOGITS, BINARY)
        agree([factor * item for item in ours], theirs)


class TestTorchRanking:
    @pytest.mark.parametrize("margin", [0.0, 0.1, 1.0])
    def test_margin_ranking(self, functional, margin):
        """torch's target -1 says that the second input should be the larger: index 1."""
        scores, index = LOGITS[:, :2], IDS % 2

        def loss(y_pred, y_true):
            return functional.margin_ranking_loss(
                y_pred[:, 0], y_pred[:, 1], 1 - 2 * y_true, margin=margin, reduction="none"
            )

        ours = run(margin_ranking, scores, index, margin)
        agree(ours, torch_run(loss, scores, index), atol=2e-4)  # a difference of numbers near 1e4
        moderate = run(margin_ranking, MODERATE[:, :2], index, margin)
        agree(moderate, torch_run(loss, MODERATE[:, :2], index), atol=1e-6)

    @pytest.mark.parametrize("margin", [0.1, 1.0])
    def test_multi_margin(self, functional, margin):
        """torch divides the hinges of a row by the classes; ours by the pairs, one less."""

        def loss(y_pred, y_true):
            return functional.multi_margin_loss(y_pred, y_true, margin=margin, reduction="none")

        values, slopes = run(margin_ranking, MODERATE, IDS, margin)
        factor = (CLASSES - 1) / CLASSES
        agree((values * factor, slopes * factor), torch_run(loss, MODERATE, IDS), atol=1e-6)

    def test_a_pair_at_the_margin_pulls_in_torch_and_not_in_ours(self, functional):
        """A kink: torch's clamp gives the whole slope there, ours none, as relu."""
        scores = np.array([[0.5, 0.0]], "float32")

        def loss(y_pred, y_true):
            return functional.margin_ranking_loss(
                y_pred[:, 0], y_pred[:, 1], 1 - 2 * y_true, margin=0.5, reduction="none"
            )

        theirs = torch_run(loss, scores, np.array([0]))
        ours = run(margin_ranking, scores, np.array([0]), 0.5)
        assert ours[0] == theirs[0] == 0
        np.testing.assert_array_equal(theirs[1], [[-1, 1]])
        np.testing.assert_array_equal(ours[1], [[0, 0]])


class TestTorchDivergence:
    @pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
    def test_distillation(self, functional, temperature):
        """What every tutorial writes, in float64."""

        def loss(y_pred, y_true):
            return temperature**2 * functional.kl_div(
                functional.log_softmax(y_pred / temperature, -1),
                functional.log_softmax(y_true.double() / temperature, -1),
                reduction="none",
                log_target=True,
            ).sum(-1)

        for student in (LOGITS, MODERATE, MODERATE[::-1] + np.float32(0.01)):
            teacher = MODERATE[::-1].copy()
            ours = run(distillation_crossentropy, student, teacher, temperature)
            agree(ours, torch_run(loss, student, teacher), rtol=1e-5, atol=1e-12)


class TestOptax:
    """optax computes in float32 and subtracts: it has about 1e-7 of the largest logit."""

    @pytest.mark.parametrize("labels", [IDS, SOFT], ids=["ids", "rows"])
    def test_softmax(self, optax, labels):
        def loss(y_pred, y_true):
            if y_true.ndim == 1:
                return optax.softmax_cross_entropy_with_integer_labels(y_pred, y_true)
            return optax.softmax_cross_entropy(y_pred, y_true)

        ours = run(label_smoothed_crossentropy, LOGITS, labels, 0, from_logits=True)
        agree(ours, optax_run(loss, LOGITS, labels), atol=1e-5)

    def test_row_11_safe_softmax_with_infinite_logits(self, optax):
        logits = LOGITS.copy()
        logits[::2, 2] = -np.inf
        logits[1::4, :3] = -np.inf
        rows = np.where(np.isneginf(logits), 0, SOFT)
        ours = run(label_smoothed_crossentropy, logits, rows, 0, from_logits=True)
        assert np.all(np.isfinite(ours[0]))
        agree(ours, optax_run(optax.safe_softmax_cross_entropy, logits, rows), atol=1e-5)
        # With mass on the infinite logit both are infinite.
        rows = np.full_like(rows, 1 / CLASSES)
        ours, _ = run(label_smoothed_crossentropy, logits, rows, 0, from_logits=True)
        theirs, _ = optax_run(optax.safe_softmax_cross_entropy, logits, rows)
        has_infinity = np.isneginf(logits).any(-1)
        np.testing.assert_array_equal(np.isposinf(ours), has_infinity)
        np.testing.assert_array_equal(np.isposinf(theirs), has_infinity)

    def test_ranking_softmax(self, optax):
        """optax, as Rax, adds up what ours divides by the sum of the relevances."""
        grades = _generator.integers(0, 4, (ROWS, CLASSES)).astype("float32")
        grades[:, 0] = 1
        counts = _generator.uniform(size=(ROWS, CLASSES)) < 0.7
        counts[:, 0] = True

        def loss(y_pred, y_true):
            return optax.losses.ranking_softmax_loss(
                y_pred, y_true, where=counts, reduce_fn=None
            ) / (y_true * counts).sum(-1)

        padded = np.where(counts, grades, -1)
        ours = run(listwise_crossentropy, MODERATE, padded, ignore_label=-1)
        agree(ours, optax_run(loss, MODERATE, grades), atol=1e-5)

    @pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
    @pytest.mark.parametrize("labels", [BINARY, SOFT], ids=["binary", "soft"])
    def test_sigmoid_focal(self, optax, labels, gamma):
        """For labels of 0 and 1; a soft label counts in optax's exponent's base, too."""

        def loss(y_pred, y_true):
            return optax.sigmoid_focal_loss(y_pred, y_true, gamma=gamma).mean(-1)

        ours = run(
            asymmetric_sigmoid_crossentropy, MODERATE, labels, gamma, gamma, 0, from_logits=True
        )
        theirs = optax_run(loss, MODERATE, labels)
        if labels is BINARY or gamma == 0:
            agree(ours, theirs, rtol=1e-5, atol=1e-6)
        else:
            assert np.max(np.abs(ours[0] - theirs[0])) > 0.1

    def test_row_8_sigmoid_focal_saturated(self, optax):
        """Where Keras's gradient is NaN or 0, optax's lives and agrees."""
        logits = np.array([[20.0], [-20.0], [-100.0], [100.0]], "float32")
        labels = np.array([[1.0], [0.0], [1.0], [0.0]], "float32")

        def loss(y_pred, y_true):
            return optax.sigmoid_focal_loss(y_pred, y_true, gamma=0.5)[:, 0]

        ours = run(asymmetric_sigmoid_crossentropy, logits, labels, 0.5, 0.5, 0, from_logits=True)
        theirs = optax_run(loss, logits, labels)
        rest = np.exp(-20.0)
        np.testing.assert_allclose(ours[0], [rest**1.5, rest**1.5, 100, 100], rtol=1e-5)
        slopes = [-1.5 * rest**1.5, 1.5 * rest**1.5, -1, 1]
        np.testing.assert_allclose(ours[1][:, 0], slopes, rtol=1e-5)
        np.testing.assert_allclose(theirs[1], ours[1], rtol=1e-4)

    @pytest.mark.parametrize("epsilon", [-1.0, 0.0, 2.0])
    @pytest.mark.parametrize("labels", [np.eye(CLASSES)[IDS].astype("float32"), SOFT],
                             ids=["one-hot", "soft"])  # fmt: skip
    def test_poly(self, optax, labels, epsilon):
        def loss(y_pred, y_true):
            return optax.losses.poly_loss_cross_entropy(y_pred, y_true, epsilon=epsilon)

        ours = run(poly1_crossentropy, LOGITS, labels, epsilon, from_logits=True)
        agree(ours, optax_run(loss, LOGITS, labels), atol=1e-5)

    def test_poly_of_rows_that_do_not_sum_to_one(self, optax):
        rows = SOFT * np.linspace(0.1, 3, ROWS, dtype="float32")[:, None]

        def loss(y_pred, y_true):
            return optax.losses.poly_loss_cross_entropy(y_pred, y_true, epsilon=2.0)

        ours = run(poly1_crossentropy, MODERATE, rows, 2.0, from_logits=True)
        agree(ours, optax_run(loss, MODERATE, rows), atol=1e-5)


# --- pytorch-metric-learning, on torch ---

LABELS = np.array([3, 1, 3, 5, 1, 1, 3, 5, 9, 2, 2, 1])
EMBEDDINGS = _generator.normal(size=(12, 16)).astype("float32")


def ours_of_embeddings(function, **arguments):
    return backends.gradient(
        lambda y_pred, y_true: function(y_true, y_pred, **arguments), EMBEDDINGS, LABELS
    )


def peer_of_embeddings(metric_learning, loss, miner=None):
    """The losses of anchors (B,), 0 where there is none, and the gradient of their sum.

    The peer reduces in ways of its own; without reducer it gives elements, or triplets.
    """
    import torch

    labels = torch.tensor(LABELS)

    def losses(embeddings):
        mined = miner(embeddings, labels) if miner else None
        (found,) = loss(embeddings, labels, mined).values()
        if found["reduction_type"] == "element":
            return found["losses"]
        anchors = found["indices"][0]
        number = torch.bincount(anchors, minlength=len(labels)).clamp(min=1)
        total = torch.zeros(len(labels), dtype=embeddings.dtype)
        return total.index_add(0, anchors, found["losses"]) / number

    return torch_run(losses, EMBEDDINGS)


def assert_same_embeddings(found, expected):
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5 * np.abs(expected[1]).max())
    assert np.count_nonzero(expected[0]) >= 6


def test_contrast_of_metric_learning(metric_learning):
    loss = metric_learning.losses.SupConLoss(
        temperature=0.2, reducer=metric_learning.reducers.DoNothingReducer()
    )
    expected = peer_of_embeddings(metric_learning, loss)
    assert_same_embeddings(ours_of_embeddings(supervised_contrastive, temperature=0.2), expected)


def test_the_mean_of_contrast_of_metric_learning(metric_learning):
    """Its default leaves out rows of loss 0: here those that have no positive, as we do."""
    import torch

    expected = metric_learning.losses.SupConLoss(0.2)(
        torch.tensor(EMBEDDINGS), torch.tensor(LABELS)
    )
    value = SupervisedContrastive(0.2)(LABELS, EMBEDDINGS)
    np.testing.assert_allclose(float(value), float(expected), rtol=1e-5)


def test_a_batch_of_one_label_has_a_contrast_here_and_none_there(metric_learning):
    import torch

    labels = torch.zeros(12, dtype=torch.int64)
    assert float(metric_learning.losses.SupConLoss(0.2)(torch.tensor(EMBEDDINGS), labels)) == 0
    assert float(SupervisedContrastive(0.2)(np.zeros(12), EMBEDDINGS)) > np.log(11)


@pytest.mark.parametrize("mining", ["all", "hard"])
@pytest.mark.parametrize("distance", ["euclidean", "squared", "cosine"])
def test_triplets_of_metric_learning(metric_learning, mining, distance):
    """Its semi-hard miner takes all triplets inside the margin instead of one negative each."""
    measure = {
        "euclidean": lambda: metric_learning.distances.LpDistance(normalize_embeddings=False),
        "squared": lambda: metric_learning.distances.LpDistance(
            normalize_embeddings=False, power=2
        ),
        "cosine": metric_learning.distances.CosineSimilarity,
    }[distance]()
    loss = metric_learning.losses.TripletMarginLoss(
        1.5, distance=measure, reducer=metric_learning.reducers.DoNothingReducer()
    )
    miner = metric_learning.miners.BatchHardMiner(distance=measure) if mining == "hard" else None
    expected = peer_of_embeddings(metric_learning, loss, miner)
    found = ours_of_embeddings(triplet_margin, margin=1.5, mining=mining, distance=distance)
    assert_same_embeddings(found, expected)
