"""`keras_ce.plots`: what the lines and bars show, where they are drawn, and what is refused.

That matplotlib is not imported with keras_ce: tests/test_public_api.py.
"""

import doctest
import io
import sys

import keras
import matplotlib.figure
import numpy as np
import pytest
from backends import default_backend_only, invalid
from scipy.special import expit

import keras_ce.plots
from keras_ce import losses

FUNCTIONS = keras_ce.plots.__all__
HISTORY = {"loss": [2.0, 1.0, 0.5], "val_loss": [2.5, 1.5, 1.2], "accuracy": [0.1, 0.5, 0.9]}
DRAWN = {
    "loss_and_gradient": lambda ax=None: keras_ce.plots.loss_and_gradient(
        losses.WeightedSigmoidCrossentropy(from_logits=True), [1.0], points=31, ax=ax
    ),
    "loss_surface": lambda ax=None: keras_ce.plots.loss_surface(
        losses.MarginRanking(0.5), [1, 0], points=5, ax=ax
    ),
    "reliability_diagram": lambda ax=None: keras_ce.plots.reliability_diagram(
        [0, 1, 1], [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]], ax=ax
    ),
    "risk_coverage": lambda ax=None: keras_ce.plots.risk_coverage(
        [0, 1, 1], [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]], ax=ax
    ),
    "smoothed_label": lambda ax=None: keras_ce.plots.smoothed_label([0, 1, 0], ax=ax),
    "squared_error_and_crossentropy": lambda ax=None: keras_ce.plots.squared_error_and_crossentropy(
        points=11, ax=ax
    ),
    "training_history": lambda ax=None: keras_ce.plots.training_history(HISTORY, ax=ax),
}
PANELS = {
    "loss_and_gradient": 2,
    "loss_surface": 1,
    "reliability_diagram": 1,
    "risk_coverage": 1,
    "smoothed_label": 1,
    "squared_error_and_crossentropy": 2,
    "training_history": 2,
}


def lines(panel):
    """The drawn lines by their label."""
    return {line.get_label(): line.get_xydata().T for line in panel.lines}


def heights(panel, label):
    (bars,) = [bars for bars in panel.containers if bars.get_label().startswith(label)]
    return np.array([[bar.get_x(), bar.get_y(), bar.get_height()] for bar in bars])


@default_backend_only
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_new_figure_is_returned_and_can_be_written(name):
    figure = DRAWN[name]()
    assert isinstance(figure, matplotlib.figure.Figure)
    drawn = [panel for panel in figure.axes if panel.get_label() != "<colorbar>"]
    assert len(drawn) == PANELS[name]
    assert all(panel.get_xlabel() and panel.get_ylabel() for panel in drawn)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    assert file.getvalue().startswith(b"\x89PNG")


@default_backend_only
@pytest.mark.parametrize("name", FUNCTIONS)
def test_given_axes_are_drawn_on(name):
    figure = matplotlib.figure.Figure()
    axes = list(figure.subplots(1, 3))
    count = PANELS[name]
    ax = axes[1] if count == 1 else axes[1:]
    assert DRAWN[name](ax) is figure
    assert not axes[0].has_data()
    assert all(panel.has_data() for panel in axes[1 : 1 + count])
    for wrong in (axes, axes[:1] * (3 - count), ["ax"] * count):
        with pytest.raises(ValueError, match=r"`ax` must be (one|a sequence of 2) Axes.*Received"):
            DRAWN[name](wrong)


@default_backend_only
@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_example_is_true(name):
    function = getattr(keras_ce.plots, name)
    names = {"keras": keras, "keras_ce": keras_ce}
    example = doctest.DocTestParser().get_doctest(function.__doc__, names, name, None, 0)
    assert example.examples
    report = []
    failed, _ = doctest.DocTestRunner().run(example, out=report.append)
    assert failed == 0, "".join(report)


def test_every_function_has_its_file_and_is_drawn_here():
    assert set(DRAWN) == set(FUNCTIONS)
    for name in FUNCTIONS:
        assert getattr(keras_ce.plots, name).__module__ == f"keras_ce.plots.{name}"


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    with pytest.raises(ImportError, match="not installed: pip install matplotlib") as raised:
        keras_ce.plots.smoothed_label([0, 1])
    assert "\n" not in str(raised.value)


# For each loss: a label, and what `loss_and_gradient` needs beside it.
CASES = [
    (losses.LabelSmoothedCrossentropy(0.1, from_logits=True), [1, 0], {}),
    (losses.LabelSmoothedCrossentropy(0.1), [1, 0, 0], {}),
    (losses.WeightedSigmoidCrossentropy(3.0, from_logits=True), [1.0], {}),
    (losses.GroupedSoftmaxCrossentropy([2, 3], from_logits=True), [1, 0, 0, 1, 0], {}),
    (losses.MarginRanking(1.0), [1, 0], {"y_pred": [0.0, 0.5]}),
    (
        losses.InBatchCrossentropy(1.0),
        [0, 1],
        {"y_pred": [[0.0, 0.5], [0.2, 0.9]], "entry": (0, 1)},
    ),
    *(
        (
            loss,
            [0, 0, 1],
            {"y_pred": [[1.0, 0.2], [0.3, 0.8], [-2.0, -0.2]], "entry": (0, 1)},
        )
        for loss in (
            losses.SupervisedContrastive(1.0),
            losses.TripletMargin(30.0, distance="squared"),
        )
    ),
    (losses.DistillationCrossentropy(), [1.5, 0.0], {}),
    (losses.FocalCrossentropy(from_logits=True), [1, 0], {}),
    (losses.ListwiseCrossentropy(), [2, 1], {}),
    (losses.OrdinalCrossentropy(), 1, {"y_pred": [0.5, -0.5]}),
    (losses.AsymmetricSigmoidCrossentropy(from_logits=True), [0, 1], {"entry": 1}),
    (losses.MultiLabelSoftmaxCrossentropy(), [1, 0], {}),
    (losses.LogitAdjustedCrossentropy([0.9, 0.1]), [1, 0], {}),
    (losses.Poly1Crossentropy(from_logits=True), [1, 0], {}),
    (losses.GeneralizedCrossentropy(from_logits=True), [1, 0], {}),
    (losses.SymmetricCrossentropy(from_logits=True), [1, 0], {}),
]


def test_every_loss_is_among_the_cases():
    classes = {name for name in vars(losses) if isinstance(getattr(losses, name), type)}
    assert classes == {type(loss).__name__ for loss, _, _ in CASES}


@pytest.mark.parametrize(("loss", "y_true", "options"), CASES, ids=lambda case: str(case)[:40])
def test_the_gradient_is_the_slope_of_the_loss(loss, y_true, options):
    points = 31 if isinstance(options.get("entry", 0), int) else 9
    figure = keras_ce.plots.loss_and_gradient(
        loss, y_true, logits=(-3.0, 3.2), points=points, **options
    )
    (name, (along, values)), *others = lines(figure.axes[0]).items()
    _, slopes = lines(figure.axes[1])[name]
    assert not others
    assert name == f"keras_ce: {type(loss).__name__}"
    assert along[0] == pytest.approx(-3.0)
    assert along[-1] == pytest.approx(3.2)
    assert np.ptp(values) > 0.1
    # The mean of the slopes at both ends of each step: exact but for the curvature, and a kink.
    tolerance = 0.12 if isinstance(loss, losses.MarginRanking) else 0.03 if points == 31 else 0.06
    steps = np.diff(values)
    expected = (slopes[1:] + slopes[:-1]) / 2 * np.diff(along)
    np.testing.assert_allclose(steps, expected, atol=tolerance)


def surface(figure):
    """The colours' levels, and the places and directions of the arrows."""
    panel = figure.axes[0]
    contours, arrows = (
        next(each for each in panel.collections if type(each).__name__ == kind)
        for kind in ("QuadContourSet", "Quiver")
    )
    return contours, np.c_[arrows.X, arrows.Y], np.c_[arrows.U, arrows.V]


def test_the_surface_of_a_ranking_loss_is_flat_where_the_right_score_leads():
    figure = keras_ce.plots.loss_surface(
        losses.MarginRanking(0.5), [1, 0], limits=(-1.0, 1.0), points=9
    )
    contours, places, downhill = surface(figure)
    # The worst is a lead of 2 of the wrong one.
    assert contours.zmin == pytest.approx(0)
    assert contours.zmax == pytest.approx(2.5)
    is_flat = places[:, 0] - places[:, 1] >= 0.5
    np.testing.assert_array_equal(downhill[is_flat], 0)
    np.testing.assert_allclose(downhill[~is_flat], [[1, -1]] * (~is_flat).sum(), atol=1e-6)
    assert (is_flat.sum(), len(places)) == (28, 81)


def test_the_surface_under_a_moving_embedding():
    loss = losses.SupervisedContrastive(1.0, reduction="sum")
    ids, embeddings = [0, 0, 1], np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.5]], "float32")
    figure = keras_ce.plots.loss_surface(
        loss, ids, embeddings, entries=((0, 1), (0, 0)), limits=(-1.5, 1.4), points=4
    )
    _, places, downhill = surface(figure)

    def at(second, first):
        moved = embeddings.copy()
        moved[0] = first, second
        return float(loss(ids, moved))

    for place, arrow in zip(places, downhill, strict=True):
        slopes = [(at(*place + step) - at(*place - step)) / 2e-2 for step in 1e-2 * np.eye(2)]
        np.testing.assert_allclose(arrow, np.negative(slopes), atol=0.02)
    assert np.abs(downhill).max() > 0.1


@default_backend_only
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limits": (1, 1)}, r"`limits` must be \(smallest, largest\)"),
        ({"points": 1}, "`points` must be an integer of at least 2"),
        ({"y_true": 1}, "`y_true` must be the label of one position"),
        ({"entries": (0, 0)}, "`entries` must be the indexes of two scores, 1 numbers each"),
        ({"entries": ((0, 0), (0, 1))}, "`entries` must be the indexes of two scores"),
    ],
)
def test_what_a_surface_refuses(options, message):
    options = {"y_true": [1, 0], **options}
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        keras_ce.plots.loss_surface(losses.MarginRanking(0.5), **options)


def test_loss_and_gradient_of_one_sigmoid():
    figure = keras_ce.plots.loss_and_gradient(
        losses.WeightedSigmoidCrossentropy(from_logits=True), [1.0], logits=(-4, 2), points=31
    )
    along = np.linspace(-4, 2, 31)
    name = "keras_ce: WeightedSigmoidCrossentropy"
    np.testing.assert_allclose(
        lines(figure.axes[0])[name], [along, np.log1p(np.exp(-along))], atol=1e-6
    )
    np.testing.assert_allclose(lines(figure.axes[1])[name], [along, expit(along) - 1], atol=1e-6)


@pytest.mark.parametrize(
    ("ours", "others", "y_true"),
    [
        (losses.WeightedSigmoidCrossentropy(), keras.losses.BinaryCrossentropy(), [1.0]),
        (losses.LabelSmoothedCrossentropy(0), keras.losses.CategoricalCrossentropy(), [1, 0]),
    ],
)
def test_the_dead_zone_of_clipped_probabilities_is_shown(ours, others, y_true):
    figure = keras_ce.plots.loss_and_gradient(ours, y_true, compare_with=others, points=31)
    first, second = (f"keras_ce: {type(ours).__name__}", f"keras: {type(others).__name__}")
    along, slopes = lines(figure.axes[1])[first]
    _, clipped = lines(figure.axes[1])[second]
    assert np.all(clipped[along < -17] == 0)
    np.testing.assert_allclose(slopes[along < -17], -1, atol=1e-6)
    np.testing.assert_allclose(clipped[along > -15], slopes[along > -15], atol=1e-5)
    assert "its gradient is exactly 0" in [
        text.get_text() for text in figure.axes[0].get_legend().get_texts()
    ]
    for panel in figure.axes:
        (shaded,) = panel.collections
        edges = shaded.get_paths()[0].vertices[:, 0]
        assert edges.min() == -25
        assert -17.5 < edges.max() < -15


def test_two_losses_that_both_learn_have_no_dead_zone():
    figure = keras_ce.plots.loss_and_gradient(
        losses.FocalCrossentropy(from_logits=True),
        [1, 0],
        compare_with=losses.LabelSmoothedCrossentropy(from_logits=True),
        names=["focal", "smoothed"],
        points=31,
    )
    assert list(lines(figure.axes[0])) == list(lines(figure.axes[1])) == ["focal", "smoothed"]
    assert not figure.axes[0].collections
    # Where both have nothing left to learn, neither is dead.
    figure = keras_ce.plots.loss_and_gradient(
        losses.MarginRanking(0.1), [1, 0], compare_with=losses.MarginRanking(0.2), points=31
    )
    assert not figure.axes[0].collections


def test_the_activation_is_applied_to_a_loss_of_probabilities_alone():
    def steep(scores):
        return keras.ops.sigmoid(3 * scores)

    def slopes(loss):
        figure = keras_ce.plots.loss_and_gradient(
            loss, [1.0, 0.0], activation=steep, logits=(-1, 1), points=31
        )
        return next(iter(lines(figure.axes[1]).values()))[1]

    along = np.linspace(-1, 1, 31)
    of_probabilities = slopes(losses.WeightedSigmoidCrossentropy())
    np.testing.assert_allclose(of_probabilities, 1.5 * (expit(3 * along) - 1), atol=1e-5)
    of_logits = slopes(losses.WeightedSigmoidCrossentropy(from_logits=True))
    np.testing.assert_allclose(of_logits, 0.5 * (expit(along) - 1), atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "label"),
    [
        (losses.MarginRanking(), "loss"),
        (keras.losses.MeanSquaredError(), "loss"),
        (losses.LabelSmoothedCrossentropy(from_logits=True), "loss (nats)"),
    ],
)
def test_nats_are_those_of_a_crossentropy(loss, label):
    figure = keras_ce.plots.loss_and_gradient(loss, [1.0, 0.0], points=3)
    assert figure.axes[0].get_ylabel() == label


def test_the_unit_can_be_left_out():
    loss = losses.LabelSmoothedCrossentropy(from_logits=True)
    figure = keras_ce.plots.loss_and_gradient(loss, [1.0, 0.0], points=31, unit="")
    assert figure.axes[0].get_ylabel() == "loss"
    assert figure.axes[1].get_ylabel() == "gradient (per unit of the logit)"
    figure = keras_ce.plots.training_history({"loss": [1, 2]}, unit="")
    assert figure.axes[0].get_ylabel() == "loss"
    figure = keras_ce.plots.training_history({"loss": [1, 2]})
    assert figure.axes[0].get_ylabel() == "loss (nats)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"logits": (3, 3)}, r"`logits` must be \(smallest, largest\). Received: logits=\(3, 3\)"),
        ({"names": ["a", "b"]}, r"`names` must hold a name for each of the 1 curves. Received"),
        ({"points": 1}, r"`points` must be an integer of at least 2. Received: points=1"),
    ],
)
def test_arguments_of_loss_and_gradient_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        keras_ce.plots.loss_and_gradient(losses.MarginRanking(), [1, 0], **options)


def test_squared_error_stops_where_crossentropy_pulls_hardest():
    figure = keras_ce.plots.squared_error_and_crossentropy(logits=(-8, 8), points=31)
    left, right = map(lines, figure.axes)
    along = np.linspace(-8, 8, 31)
    p = expit(along)
    np.testing.assert_allclose(left["cross-entropy"][1], -np.log(p), atol=1e-6)
    np.testing.assert_allclose(left["squared error"][1], (1 - p) ** 2, atol=1e-6)
    np.testing.assert_allclose(right["cross-entropy"][1], p - 1, atol=1e-6)
    expected = -2 * (1 - p) * p * (1 - p)
    np.testing.assert_allclose(right["squared error"][1], expected, atol=1e-6)
    assert abs(right["squared error"][1][0]) < 0.001 < abs(right["cross-entropy"][1][0])


def reliability_by_hand(y_true, y_pred, num_bins):
    bins = [[] for _ in range(num_bins)]
    for label, row in zip(y_true, y_pred, strict=True):
        best = int(np.argmax(row))
        number = min(int(np.ceil(row[best] * num_bins - 1e-6)) - 1, num_bins - 1)
        bins[number].append((row[best], best == label))
    return bins


def test_bars_and_number_of_the_reliability_diagram():
    random = np.random.default_rng(2)
    y_pred = random.dirichlet([0.7] * 3, size=200).astype("float32")
    y_true = random.integers(3, size=200)
    (panel,) = keras_ce.plots.reliability_diagram(y_true, y_pred, num_bins=5).axes
    bins = [entries for entries in reliability_by_hand(y_true, y_pred, 5) if entries]
    right = [np.mean([hit for _, hit in entries]) for entries in bins]
    confidence = [np.mean([sure for sure, _ in entries]) for entries in bins]
    bars, gaps = heights(panel, "share that is right"), heights(panel, "gap")
    np.testing.assert_allclose(bars[:, 2], right, atol=1e-5)
    np.testing.assert_allclose(gaps[:, 1] + gaps[:, 2], confidence, atol=1e-5)
    np.testing.assert_allclose(gaps[:, 1], right, atol=1e-5)
    np.testing.assert_allclose(bars[:, 0], [0.2, 0.4, 0.6, 0.8], atol=1e-6)
    assert [text.get_text() for text in panel.texts] == [str(len(entries)) for entries in bins]
    metric = keras_ce.metrics.ExpectedCalibrationError(num_bins=5)
    metric.update_state(y_true, y_pred)
    assert panel.get_title() == (f"calibration error {float(metric.result()):.3f}, 200 predictions")


def test_reliability_of_logits_and_of_binary_predictions():
    logits = np.array([[2.0, 0.0], [0.0, 1.0]])
    softmaxed = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = [
        heights(keras_ce.plots.reliability_diagram([0, 0], rows, from_logits=kind).axes[0], "share")
        for rows, kind in (
            (logits, True),
            (softmaxed, False),
            (logits[:, 1:] - logits[:, :1], True),
        )
    ]
    np.testing.assert_allclose(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2])


@default_backend_only
@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        (
            np.zeros((0,), "int32"),
            np.zeros((0, 2)),
            r"at least one prediction. Received: y_pred.shape=\(0, 2\)",
        ),
        ([0, 1], [0.5, 0.5], r"`y_pred` with a batch axis .*Received: y_pred.shape=\(2,\)"),
    ],
)
def test_what_a_reliability_diagram_refuses(y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        keras_ce.plots.reliability_diagram(y_true, y_pred)


def test_values_that_a_reliability_diagram_refuses():
    with invalid("y_pred", "from 0 to 1", fix="from_logits=True", position=(1, 0), value=2):
        keras_ce.plots.reliability_diagram([0, 1], [[0.5, 0.5], [2.0, 0.0]])
    with invalid("y_true", "integers from 0 to 1", position=(1,), value=5):
        keras_ce.plots.reliability_diagram([0, 5], [[0.6, 0.4], [0.2, 0.8]])


def test_risk_and_coverage():
    y_pred = [[0.9, 0.1], [0.2, 0.8], [0.75, 0.25], [0.25, 0.75], [0.6, 0.4]]
    y_true = [0, 1, 1, 1, 1]  # the third is wrong, as sure as the fourth, and so is the last
    for scores, kind in ((y_pred, False), (np.log(y_pred), True)):
        (panel,) = keras_ce.plots.risk_coverage(y_true, scores, from_logits=kind).axes
        found = lines(panel)
        np.testing.assert_allclose(
            found["the surest first"], [[0.2, 0.4, 0.8, 1], [0, 0, 1 / 4, 2 / 5]], atol=1e-12
        )
        np.testing.assert_allclose(
            found["the right first"], [[0.2, 0.4, 0.6, 0.8, 1], [0, 0, 0, 1 / 4, 2 / 5]]
        )
        mean = (0 + 0 + 1 / 4 + 1 / 4 + 2 / 5) / 5
        assert panel.get_title() == f"2 of 5 wrong, {mean:.3f} on average over the curve"


@default_backend_only
@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([], np.zeros((0, 2)), r"Received: y_true.shape=\(0,\), y_pred.shape=\(0, 2\)"),
        ([0, 1], [0.5, 0.5], r"`y_pred` \(examples, classes\).* y_pred.shape=\(2,\)"),
        ([0], [[0.5, 0.5], [1, 0]], r"y_true.shape=\(1,\), y_pred.shape=\(2, 2\)"),
        ([0, 1], [[0.5, np.nan], [1, 0]], "`y_pred` must hold numbers. Received: NaN"),
    ],
)
def test_what_risk_and_coverage_refuse(y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        keras_ce.plots.risk_coverage(y_true, y_pred)


def test_a_smoothed_label_and_its_lowest_loss():
    prior = [2.0, 1.0, 1.0]
    (panel,) = keras_ce.plots.smoothed_label(
        [0, 1, 0], 0.2, prior=prior, class_names=["cat", "dog", "pig"]
    ).axes
    smoothed = np.array([0.1, 0.85, 0.05])
    np.testing.assert_allclose(heights(panel, "label")[:, 2], [0, 1, 0])
    np.testing.assert_allclose(heights(panel, "smoothed by 0.2")[:, 2], smoothed)
    assert [label.get_text() for label in panel.get_xticklabels()] == ["cat", "dog", "pig"]
    lowest = -(smoothed * np.log(smoothed)).sum()
    legend = panel.get_legend().get_texts()[1].get_text()
    assert legend == f"smoothed by 0.2, lowest loss {lowest:.3f} nats"
    (panel,) = keras_ce.plots.smoothed_label([1, 0, 0, 0], 0.4).axes
    np.testing.assert_allclose(heights(panel, "smoothed")[:, 2], [0.7, 0.1, 0.1, 0.1])
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0", "1", "2", "3"]


@default_backend_only
@pytest.mark.parametrize(
    ("label", "options", "message"),
    [
        ([0, 1], {"prior": [1, 1, 1]}, r"an entry for each class. Received: 2, 3 and 2 entries"),
        ([0, 1], {"class_names": ["a"]}, r"an entry for each class. Received: 2, 2 and 1 entries"),
    ],
)
def test_what_a_smoothed_label_refuses(label, options, message):
    with pytest.raises(ValueError, match=message):
        keras_ce.plots.smoothed_label(label, **options)


def test_what_a_smoothed_label_must_hold():
    with invalid("label_smoothing", "from 0 to 1", value=2):
        keras_ce.plots.smoothed_label([0, 1], 2)
    with invalid("prior", "a non-negative number", position=(1,), value=-1):
        keras_ce.plots.smoothed_label([0, 1], prior=[1, -1])
    with invalid("label", "distributions", fix="The sum", position=(), value=2):
        keras_ce.plots.smoothed_label([1, 1])


def test_the_curves_of_a_history():
    history = {**HISTORY, "learning_rate": [1, 2, 3]}
    figure = keras_ce.plots.training_history(history)
    assert [panel.get_ylabel() for panel in figure.axes] == ["loss (nats)", "accuracy"]
    left, right = map(lines, figure.axes)
    np.testing.assert_array_equal(left["training"], [[1, 2, 3], HISTORY["loss"]])
    np.testing.assert_array_equal(left["validation"], [[1, 2, 3], HISTORY["val_loss"]])
    assert list(right) == ["training"]
    assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())


def test_a_history_object_and_chosen_metrics():
    history = keras.callbacks.History()
    history.history = HISTORY
    (panel,) = keras_ce.plots.training_history(history, ["accuracy"]).axes
    assert panel.get_ylabel() == "accuracy"
    with pytest.raises(ValueError, match=r"lacks \['recall'\]; it has \['accuracy', 'loss', 'val"):
        keras_ce.plots.training_history(history, ["loss", "recall"])
    with pytest.raises(ValueError, match=r"`history` must hold a value per epoch"):
        keras_ce.plots.training_history({})


def trained(**options):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    rows = np.ones((2, 1), "float32")
    return model.fit(rows, rows, validation_data=(rows, rows), verbose=0, **options)


def epochs_of(figure):
    return {label: line[0].tolist() for label, line in lines(figure.axes[0]).items()}


class TestEpochs:
    def test_a_training_that_went_on(self):
        figure = keras_ce.plots.training_history(trained(initial_epoch=3, epochs=6))
        assert epochs_of(figure) == {"training": [4, 5, 6], "validation": [4, 5, 6]}

    def test_validation_of_every_second_epoch(self):
        history = trained(epochs=5, validation_freq=2)
        assert epochs_of(keras_ce.plots.training_history(history)) == {
            "training": [1, 2, 3, 4, 5],
            "validation": [2, 4],
        }

    def test_both(self):
        history = trained(initial_epoch=3, epochs=9, validation_freq=2)
        figure = keras_ce.plots.training_history(history)
        assert epochs_of(figure)["validation"] == [4, 6, 8]

    def test_validation_of_some_epochs(self):
        history = trained(epochs=5, validation_freq=[1, 5])
        figure = keras_ce.plots.training_history(history, validation_freq=[1, 5])
        assert epochs_of(figure)["validation"] == [1, 5]

    def test_lists_of_a_training_that_went_on(self):
        history = {"loss": [3.0, 2.0], "val_loss": [2.5]}
        figure = keras_ce.plots.training_history(history, initial_epoch=9, validation_freq=10)
        assert epochs_of(figure) == {"training": [10, 11], "validation": [10]}

    def test_what_leaves_a_choice_is_refused(self):
        # Of every third, fourth or fifth?
        history = trained(epochs=5, validation_freq=3)
        with pytest.raises(ValueError, match=r"1 value for 5 epochs.*`validation_freq` of `fit`"):
            keras_ce.plots.training_history(history)
        figure = keras_ce.plots.training_history(history, validation_freq=3)
        assert epochs_of(figure)["validation"] == [3]
        with pytest.raises(ValueError, match=r"Received: validation_freq=2, and 1 value for 5"):
            keras_ce.plots.training_history(history, validation_freq=2)


def test_a_number_for_a_label_needs_scores():
    with pytest.raises(ValueError, match=r"`y_true` must be the label of one position.*y_true=0"):
        keras_ce.plots.loss_and_gradient(losses.MarginRanking(), 0)
