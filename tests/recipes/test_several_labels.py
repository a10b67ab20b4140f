"""Several labels for each text: `TextClassifier` with lists and with indicator arrays."""

import copy

import numpy as np
import pytest
from backends import default_backend_only, step_quickly
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score, get_scorer, hamming_loss, log_loss
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import MultiLabelBinarizer
from sklearn.svm import LinearSVC

import keras_ce
from recipes.runs.failures import UserError
from recipes.runs.temperature import best_factors
from recipes.text_classifier import TextClassifier, TextClassifierModel, losses, several_labels
from recipes.text_classifier.ngrams import fit_linear_model, text_ngrams, tfidf

SMALL = {
    "embedding_dim": 8,
    "convolution_widths": (2,),
    "convolution_filters": 8,
    "affix_buckets": 50,
    "learning_rate": 0.02,
    "batch_size": 16,
    "verbose": 0,
}
ONE_STEP = {**SMALL, "epochs": 1, "batch_size": 64, "diagnosis": False}
PARTS = {"animal": "dog", "food": "bread", "sleep": "bed"}
CLASSES = sorted(PARTS)


def some_texts(count):
    """Texts with each combination of labels in turn, none and all of them included."""
    labels = [
        [name for place, name in enumerate(CLASSES) if number >> place & 1]
        for number in range(count)
    ]
    words = [" ".join(PARTS[name] for name in each) for each in labels]
    return [f"the {each} number {number}" for number, each in enumerate(words)], labels


TEXTS, LABELS = some_texts(64)
INDICATORS = MultiLabelBinarizer(classes=CLASSES).fit_transform(LABELS)
NEW = ["a dog", "some bread in bed", "nothing at all", "dog bread bed"]
NEW_LABELS = [["animal"], ["food", "sleep"], [], ["animal", "food", "sleep"]]


@pytest.fixture(scope="module", autouse=True)
def quick():
    """A few steps each: to compile them would take longer."""
    with pytest.MonkeyPatch.context() as patch:
        step_quickly(patch, TextClassifierModel)
        yield


@pytest.fixture(scope="module")
def fitted():
    return TextClassifier(epochs=6, seed=2, **SMALL).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def of_indicators():
    return TextClassifier(epochs=3, classes=CLASSES, **SMALL).fit(TEXTS, INDICATORS)


def test_it_learns_each_label_by_itself(fitted):
    assert fitted.classes_.tolist() == CLASSES
    assert fitted.predict(NEW) == NEW_LABELS
    probabilities = fitted.predict_proba(NEW)
    assert probabilities.shape == (4, 3)
    assert probabilities[3].sum() > 2
    predicted = (probabilities >= fitted.thresholds_).tolist()
    assert predicted == [[name in each for name in CLASSES] for each in NEW_LABELS]
    assert set(fitted.history_) == {"loss", "micro_f1", "val_loss", "val_micro_f1"}
    assert fitted.threshold_ is None


@default_backend_only
def test_scores_are_those_of_scikit_learn(fitted):
    labels = [{"animal"}, ("food",), ["sleep"], []]  # some of them wrong
    targets = MultiLabelBinarizer(classes=CLASSES).fit_transform(labels)
    probabilities = fitted.predict_proba(NEW)
    predicted = probabilities >= fitted.thresholds_
    measured = fitted.evaluate(NEW, labels)
    assert list(measured) == ["micro_f1", "macro_f1", "hamming", "nll", "ece"]
    assert measured["micro_f1"] == pytest.approx(f1_score(targets, predicted, average="micro"))
    assert measured["macro_f1"] == pytest.approx(f1_score(targets, predicted, average="macro"))
    assert measured["hamming"] == pytest.approx(hamming_loss(targets, predicted))
    of_each = [
        log_loss(*each, labels=[0, 1]) for each in zip(targets.T, probabilities.T, strict=True)
    ]
    assert measured["nll"] == pytest.approx(np.mean(of_each), rel=1e-5)
    calibration = keras_ce.metrics.ExpectedCalibrationError()
    calibration.update_state(targets.reshape(-1, 1), probabilities.reshape(-1, 1))
    assert measured["ece"] == pytest.approx(float(calibration.result()), abs=1e-5)
    assert fitted.score(NEW, labels) == accuracy_score(targets, predicted) == 0.25
    weights = [0, 1, 1, 1]
    assert fitted.score(NEW, labels, sample_weight=weights) == 0
    parts = fitted.evaluate_parts(NEW, NEW_LABELS)
    assert list(parts) == ["network", "n-grams"]
    assert list(parts["n-grams"]) == ["micro_f1", "macro_f1", "hamming"]


def test_macro_f1_is_over_the_labels_that_occur():
    targets, predicted = np.array([[1, 0, 0], [0, 1, 0]]), np.array([[1, 0, 0], [0, 0, 0]])
    assert several_labels.scores_of_predictions(predicted, targets)["macro_f1"] == 0.5
    nothing = np.zeros((2, 3), int)
    assert several_labels.scores_of_predictions(nothing, nothing) == {
        "micro_f1": 0,
        "macro_f1": 0,
        "hamming": 0,
    }


@pytest.mark.parametrize("loss", ["auto", "multi-label-softmax"])
def test_one_file_holds_everything(fitted, loss, tmp_path):
    classifier = fitted
    if loss != "auto":
        classifier = TextClassifier(loss=loss, **SMALL | {"epochs": 4}).fit(TEXTS, LABELS)
        assert classifier.score(TEXTS, LABELS) > 0.5
    classifier.save(tmp_path / "model.keras")
    loaded = TextClassifier.load(tmp_path / "model.keras")
    assert loaded.loss == loss
    np.testing.assert_array_equal(loaded.thresholds_, classifier.thresholds_)
    np.testing.assert_allclose(loaded.predict_proba(NEW), classifier.predict_proba(NEW), rtol=1e-5)
    assert loaded.predict(NEW) == classifier.predict(NEW)
    assert copy.deepcopy(classifier).predict(NEW) == classifier.predict(NEW)


class TestIndicators:
    def test_they_come_back(self, of_indicators, tmp_path):
        assert of_indicators.classes_.tolist() == CLASSES
        predicted = of_indicators.predict(TEXTS)
        assert predicted.shape == INDICATORS.shape
        assert set(np.unique(predicted)) <= {0, 1}
        assert of_indicators.score(TEXTS, INDICATORS) == accuracy_score(INDICATORS, predicted)
        assert of_indicators.evaluate(TEXTS, LABELS) == of_indicators.evaluate(TEXTS, INDICATORS)
        of_indicators.save(tmp_path / "model.keras")
        loaded = TextClassifier.load(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded.predict(TEXTS), predicted)

    @default_backend_only
    def test_they_may_be_sparse(self, of_indicators):
        sparse = csr_array(INDICATORS)
        assert of_indicators.evaluate(TEXTS, sparse) == of_indicators.evaluate(TEXTS, INDICATORS)
        classes, ids = several_labels.classes_and_ids(sparse, 64, CLASSES)
        assert (classes.tolist(), ids) == (
            CLASSES,
            several_labels.classes_and_ids(INDICATORS, 64, CLASSES)[1],
        )

    @default_backend_only
    def test_the_columns_keep_their_order(self):
        backwards = CLASSES[::-1]
        classifier = TextClassifier(classes=backwards, **ONE_STEP)
        classifier.fit(TEXTS, INDICATORS[:, ::-1])
        assert classifier.classes_.tolist() == backwards
        of_linear = classifier.evaluate_parts(TEXTS, INDICATORS[:, ::-1])["n-grams"]
        assert of_linear["micro_f1"] > 0.9

    @default_backend_only
    def test_a_data_frame_is_an_array(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(INDICATORS, columns=CLASSES)
        classifier = TextClassifier(classes=frame.columns, **ONE_STEP)
        classifier.fit(pandas.Series(TEXTS), frame)
        assert classifier.predict(NEW).shape == (4, 3)

    @default_backend_only
    def test_scikit_learn_selects_models(self, of_indicators):
        cloned = clone(of_indicators).set_params(epochs=1)
        scores = cross_val_score(cloned, TEXTS, INDICATORS, cv=2, error_score="raise")
        assert scores.shape == (2,)
        assert ((scores >= 0) & (scores <= 1)).all()
        of_scikit_learn = get_scorer("f1_micro")(of_indicators, TEXTS, INDICATORS)
        measured = of_indicators.evaluate(TEXTS, INDICATORS)["micro_f1"]
        assert of_scikit_learn == pytest.approx(measured)


@default_backend_only
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([(1, 10), {2}, [], [2, 2]] * 8, {1, 2, 10}),
        ([np.array(["b", "a"]), frozenset("b"), [], ["c"]] * 8, {"a", "b", "c"}),
    ],
    ids=["numbers", "arrays and sets"],
)
def test_any_collection_is_a_list_of_labels(labels, expected):
    classifier = TextClassifier(**ONE_STEP).fit(TEXTS[:32], labels)
    assert classifier.classes_.tolist() == sorted(expected)
    predicted = classifier.predict(TEXTS)
    assert all(isinstance(each, list) for each in predicted)
    assert {type(label) for each in predicted for label in each} <= {type(min(expected))}


@default_backend_only
class TestThresholds:
    """The reference tries every threshold there is."""

    def logits(self, texts=200):
        random = np.random.default_rng(4)
        targets = random.random((texts, 3)) < [0.5, 0.2, 0.02]
        return random.normal(size=(texts, 3)) + 1.5 * targets - 1, targets.astype(int)

    def test_each_has_the_highest_f1(self, monkeypatch):
        monkeypatch.setattr(several_labels, "_TEXTS_OF_ALL", 0)
        logits, targets = self.logits()
        thresholds = several_labels.best_thresholds(logits, targets)
        for column, target, threshold in zip(logits.T, targets.T, thresholds, strict=True):
            tried = [f1_score(target, column >= each) for each in column]
            assert f1_score(target, expit(column) >= threshold) == max(tried)

    def test_few_texts_are_drawn_to_what_is_best_for_all(self):
        logits, targets = self.logits()
        targets[:, 2] = 0  # and one without any
        found = several_labels.best_thresholds(logits, targets)
        pairs = logits.ravel()
        tried = [f1_score(targets.ravel(), pairs >= each) for each in pairs]
        assert f1_score(targets.ravel(), expit(pairs) >= found[2]) == max(tried)
        alone = several_labels.best_thresholds(logits[:, :1], targets[:, :1])
        count = targets[:, 0].sum()
        expected = (count * logit(alone[0]) + 10 * logit(found[2])) / (count + 10)
        assert logit(found[0]) == pytest.approx(expected)

    def test_without_any_label_it_is_a_half(self):
        logits, targets = self.logits()
        assert several_labels.best_thresholds(logits, 0 * targets) == [0.5] * 3


@default_backend_only
def test_the_shares_of_two_models_are_those_of_the_highest_likelihood():
    random = np.random.default_rng(5)
    targets = (random.random((300, 4)) < 0.3).astype(int)
    several = [random.normal(size=(300, 4)) + scale * (targets - 0.5) for scale in (1, 2)]

    def loss(factors):
        probabilities = expit(factors[0] * several[0] + factors[1] * several[1])
        # And one example that has half of each label.
        halves = -(np.log(probabilities) + np.log(1 - probabilities)).mean() / 2
        return log_loss(targets.ravel(), probabilities.ravel()) + halves / 300

    expected = minimize(loss, [1, 1], method="Nelder-Mead").x
    assert best_factors(several, targets) == pytest.approx(expected, abs=1e-2)


def plain_and_scaled_svm(features, is_of_class, weight):
    """The mean decision of a linear SVM and of one on features times their log-count ratios."""
    features = features.toarray()
    with_it = 1 + (features[is_of_class] > 0).sum(axis=0)
    without = 1 + (features[~is_of_class] > 0).sum(axis=0)
    ratio = np.log((with_it / with_it.sum()) / (without / without.sum()))
    decisions = []
    for each in (features, features * ratio):
        machine = LinearSVC(tol=1e-2, random_state=0, class_weight={1: weight})
        decisions.append(machine.fit(each, is_of_class).decision_function(each))
    return np.mean(decisions, axis=0)


@default_backend_only
def test_the_linear_model_is_two_svms_for_each_label():
    weights = [1.0, 1.0, 5.0]
    linear = fit_linear_model(
        TEXTS, INDICATORS, token_kind="words", size=1000, class_weight=weights, seed=0
    )
    features = tfidf([text_ngrams(text, "words") for text in TEXTS], linear.hashes, linear.rarity)
    expected = [
        plain_and_scaled_svm(features, column == 1, weight)
        for column, weight in zip(np.array(INDICATORS).T, weights, strict=True)
    ]
    np.testing.assert_allclose(linear.logits(TEXTS), np.transpose(expected), atol=1e-6)


class TestLoss:
    logits = np.array([[2.0, 0.5, -1.0]] * 3, dtype="float32")
    targets = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0]])

    @pytest.mark.parametrize(
        ("loss", "weights", "expected"),
        [
            ("auto", None, keras_ce.losses.WeightedSigmoidCrossentropy(from_logits=True)),
            (
                "sigmoid",
                [1.0, 2.0, 3.0],
                keras_ce.losses.WeightedSigmoidCrossentropy([1.0, 2.0, 3.0], from_logits=True),
            ),
            ("multi-label-softmax", None, keras_ce.losses.MultiLabelSoftmaxCrossentropy()),
        ],
    )
    def test_it_is_the_one_of_its_name(self, loss, weights, expected):
        found = losses.loss_of(TextClassifier(loss=loss), np.asarray(self.targets), weights)
        assert type(found) is type(expected)
        assert float(found(self.targets, self.logits)) == float(expected(self.targets, self.logits))

    def test_balanced_is_absent_over_present(self):
        classes, ids = np.array(["a", "b"]), [(0,), (0, 1), (), (0,)]
        weights = losses.class_weights("balanced", "sigmoid", classes, ids)
        assert weights == pytest.approx([1 / 3, 3])

    @default_backend_only
    @pytest.mark.parametrize(
        ("settings", "labels", "message"),
        [
            (
                {"label_smoothing": 0.0},
                LABELS,
                "`label_smoothing` says nothing about the loss 'sigmoid', only about 'smoothed';",
            ),
            (
                {"loss": "focal", "label_smoothing": 0.2},
                ["a", "b"] * 32,
                "`label_smoothing` says nothing about the loss 'focal', only about 'smoothed'; le",
            ),
            ({"gamma": 3}, ["a", "b"] * 32, "`gamma` says nothing about the loss 'smoothed', only"),
            ({"strength": 2}, LABELS, "`strength` says nothing about the loss 'sigmoid', only abo"),
            ({"q": 1}, LABELS, "`q` says nothing about the loss 'sigmoid', only about 'generali"),
            ({"loss": "focal"}, LABELS, "the loss 'focal' is not for several labels for each text"),
            (
                {"loss": "sigmoid"},
                ["a", "b"] * 32,
                "'sigmoid' is not for one label for each text; leave it out, or choose one of 'smo",
            ),
            (
                {"loss": "multi-label-softmax", "class_weight": "balanced"},
                LABELS,
                "the loss 'multi-label-softmax' takes no `class_weight`; leave it out, or choose",
            ),
            (
                {"class_weight": {"animal": 0}},
                LABELS,
                r"`class_weight\['animal'\]` must be a number > 0",
            ),
        ],
    )
    def test_what_does_not_fit_is_one_line(self, settings, labels, message):
        with pytest.raises(UserError, match=message):
            TextClassifier(**ONE_STEP | settings).fit(TEXTS, labels)


THREE = ["a", "b", "c"]


@default_backend_only
@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (
            INDICATORS[:3],
            {},
            r"indicator array.*name its columns: TextClassifier\(classes=\[\.\.\.",
        ),
        (INDICATORS[:2], {"classes": CLASSES}, r"\(texts, classes\), \(3, 3\). Received: \(2, 3\)"),
        (
            INDICATORS[:3],
            {"classes": ["a", "b"]},
            r"\(texts, classes\), \(3, 2\). Received: \(3, 3\)",
        ),
        (INDICATORS[:3] * 2, {"classes": CLASSES}, "must hold 0 and 1 only. Received: 2"),
        (INDICATORS[:3], {"classes": ["a", "b", "a"]}, "`classes` has a name twice"),
        (
            INDICATORS[:3],
            {"classes": "abc"},
            "`classes` must be a sequence of labels, one for each",
        ),
        (INDICATORS[:3], {"classes": ["a", None, "b"]}, "entry 2 of `classes` is missing"),
        ([["a"], ["b"], []], {"classes": THREE}, "`classes` names the columns of an indicator"),
        (INDICATORS[:3].tolist(), {"classes": THREE}, r"or give numpy\.array\(labels\) where the"),
        (
            ["a", "b", "c"],
            {"classes": THREE},
            "indicator array, and `labels` is none; leave it out",
        ),
        (csr_array(INDICATORS[:2]), {"classes": CLASSES}, r"\(3, 3\). Received: \(2, 3\)"),
        (np.zeros((3, 0)), {"classes": []}, "the texts have no class; give texts of at least two"),
        (np.array("a"), {}, r"must have one dimension, .*Received: shape \(\)"),
        (np.zeros((3, 1, 1)), {}, r"must have one dimension, .*Received: shape \(3, 1, 1\)"),
        ([["a"], "b", []], {}, "where one text has a list of labels, all need one.*'b' for text 2"),
        ([["a"], ["b"]], {}, "a list of labels for each text. Received: 3 texts and 2 lists"),
        ([["a"], ["b", None], []], {}, "label 2 of text 2 is missing"),
        ([["a"], ["b", 1], []], {}, "must be all strings or all numbers.*1 as label 2 of text 2"),
        ([["a"], [["b"]], []], {}, r"label 1 of text 2 is neither a string nor a number: \['b'\]"),
        ([[], [], []], {}, "no text has a label; give texts with labels"),
        ([["a"], [], ["a"]], {}, r"the texts have one class only \('a'\)"),
    ],
)
def test_bad_labels_are_one_line(labels, settings, message):
    with pytest.raises(UserError, match=message) as raised:
        TextClassifier(**ONE_STEP | settings).fit(TEXTS[:3], labels)
    assert "\n" not in str(raised.value)


class TestLabelsOfNothingOrEverything:
    """There is nothing to learn of them, and folds of rare labels have them."""

    @default_backend_only
    @pytest.mark.parametrize(("entry", "who"), [(0, "no text"), (1, "every text")])
    def test_they_have_one_probability(self, entry, who):
        indicators = INDICATORS.copy()
        indicators[:, 1] = entry
        classifier = TextClassifier(classes=CLASSES, class_weight="balanced", **ONE_STEP)
        with pytest.warns(UserWarning, match=f"{who} to learn from has the label 'food': its"):
            classifier.fit(TEXTS, indicators)
        found = classifier.predict_proba([*TEXTS, "of no word"])[:, 1]
        assert found.max() - found.min() < 1e-6
        assert (found > 0.95).all() if entry else (found < 0.05).all()
        assert (classifier.predict(TEXTS)[:, 1] == entry).all()
        assert classifier.evaluate(TEXTS, indicators)["nll"] < np.log(2)
        of_linear = classifier.evaluate_parts(TEXTS, indicators)["n-grams"]
        assert of_linear["micro_f1"] > 0.9

    @default_backend_only
    def test_without_any_other_label_there_is_nothing_to_learn(self):
        indicators = np.tile([0, 1, 0], (64, 1))
        message = "no text to learn from has the label 'animal' .and 2 more labels are such., so"
        with pytest.raises(UserError, match=message):
            TextClassifier(classes=CLASSES, **ONE_STEP).fit(TEXTS, indicators)

    @default_backend_only
    @pytest.mark.parametrize("place", [0, 36])
    def test_one_text_is_enough_wherever_it_is(self, place):
        """Also where it is one of the texts that are set aside at first."""
        labels = [["sleep", *(["food"] if number != place else [])] for number in range(64)]
        labels[5] = ["food"]
        classifier = TextClassifier(**ONE_STEP | {"ngrams": 0}).fit(TEXTS, labels)
        probabilities = classifier.predict_proba(TEXTS)
        assert (probabilities.max(axis=0) > probabilities.min(axis=0)).all()

    @default_backend_only
    def test_the_chance_is_that_of_laplace(self):
        targets = np.array([[1, 0, 1]] * 98)
        targets[5, 2] = 0
        found = several_labels.constant_logits(targets)
        assert {number: expit(each) for number, each in found.items()} == {
            0: pytest.approx(0.99),
            1: pytest.approx(0.01),
        }

    @default_backend_only
    def test_folds_may_lack_a_label(self):
        indicators = np.column_stack([INDICATORS, np.arange(64) < 2])
        classifier = TextClassifier(classes=[*CLASSES, "zoo"], **ONE_STEP | {"ngrams": 0})
        folds = [(np.arange(16, 64), np.arange(16))]
        with pytest.warns(UserWarning, match="no text to learn from has the label 'zoo'"):
            (score,) = cross_val_score(classifier, TEXTS, indicators, cv=folds, error_score="raise")
        assert 0 <= score <= 1


def test_what_needs_one_label_for_each_text_says_so(fitted):
    with pytest.raises(UserError, match="abstain_below is for one label for each text; of sever"):
        fitted.abstain_below(NEW, NEW_LABELS)
    with pytest.raises(UserError, match="there are labels that no training text has: tools; the"):
        fitted.evaluate(NEW, [*NEW_LABELS[:3], ["tools"]])
    with pytest.raises(UserError, match="where one text has a list of labels, all need one"):
        fitted.score(NEW, CLASSES + CLASSES[:1])
    with pytest.raises(UserError, match="label 1 is neither a string nor a number"):
        TextClassifier(**ONE_STEP).fit(TEXTS, ["a", "b"] * 32, (NEW, NEW_LABELS))
