"""`TextClassifier`: learning, model selection, files, copies, and one line for bad input."""

import contextlib
import copy
import io
import itertools
import pickle
import random

import joblib
import keras
import numpy as np
import pytest
from backends import default_backend_only, step_quickly
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks
from sklearn.utils.class_weight import compute_class_weight

import keras_ce
import recipes.text_classifier.task
from recipes.runs.failures import UserError
from recipes.text_classifier import (
    TextClassifier,
    TextClassifierModel,
    build_text_classifier,
    labelling,
)
from recipes.text_classifier.losses import class_weights, loss_of
from recipes.text_classifier.ngrams import fit_linear_model
from recipes.text_classifier.training import predict_logits

SMALL = {
    "embedding_dim": 8,
    "convolution_widths": (2,),
    "convolution_filters": 8,
    "affix_buckets": 50,
    "learning_rate": 0.02,
    "batch_size": 16,
    "diagnosis": False,
    "verbose": 0,
}
# Where nothing has to be learned.
ONE_STEP = {**SMALL, "epochs": 1, "batch_size": 64}
WORDS = {"animals": ["dog", "cat", "cow"], "fruits": ["apple", "pear", "plum"]}


def some_texts(count):
    words = itertools.cycle(zip(*WORDS.values(), strict=True))
    pairs = itertools.islice(words, -(-count // 2))
    named = [(word, name) for pair in pairs for word, name in zip(pair, WORDS, strict=True)]
    texts = [f"the {word} number {row}" for row, (word, _) in enumerate(named)]
    return texts[:count], [name for _, name in named][:count]


TEXTS, LABELS = some_texts(60)
NEW, NEW_LABELS = ["a dog", "some plum", "my cow", "your pear"], [*WORDS, *WORDS]


def small_model():
    return build_text_classifier(
        4,
        2,
        embedding_dim=2,
        units=2,
        vocabulary=["", "[unknown]", "dog", "plum"],
        class_names=["animals", "fruits"],
        token_kind="words",
    )


@pytest.fixture(scope="module", autouse=True)
def quick():
    """A few steps each: to compile them would take longer."""
    with pytest.MonkeyPatch.context() as patch:
        step_quickly(patch, TextClassifierModel)
        yield


@pytest.fixture(scope="module")
def fitted():
    return TextClassifier(epochs=5, seed=2, **SMALL).fit(TEXTS, LABELS)


def test_it_learns_and_says_how_sure_it_is(fitted):
    assert fitted.classes_.tolist() == ["animals", "fruits"]
    assert fitted.predict(NEW).tolist() == NEW_LABELS
    probabilities = fitted.predict_proba(NEW)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert probabilities.argmax(axis=1).tolist() == [0, 1, 0, 1]
    assert set(fitted.history_) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert fitted.score(NEW, NEW_LABELS) == 1


def test_evaluate_gives_what_scikit_learn_gives(fitted):
    labels = [*NEW_LABELS[:3], "animals"]  # one of them wrong
    measured = fitted.evaluate(NEW, labels)
    predicted, probabilities = fitted.predict(NEW), fitted.predict_proba(NEW)
    assert measured["accuracy"] == accuracy_score(labels, predicted) == 0.75
    assert measured["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert measured["nll"] == pytest.approx(log_loss(labels, probabilities))
    calibration = keras_ce.metrics.ExpectedCalibrationError()
    calibration.update_state(np.array([0, 1, 0, 0]), probabilities.astype("float32"))
    assert measured["ece"] == pytest.approx(float(calibration.result()), abs=1e-5)


@default_backend_only
@pytest.mark.parametrize(
    "labels",
    [
        [10, 2] * 10,
        np.array([1.0, 0.0] * 10),
        [True, False] * 10,
        np.array(["01", "1"] * 10, dtype=object),
    ],
    ids=["integers", "floats", "flags", "array of objects"],
)
def test_labels_come_back_in_the_form_that_fit_got(labels, tmp_path):
    texts = np.array(TEXTS[:20])
    classifier = TextClassifier(**ONE_STEP).fit(texts, labels)
    assert classifier.classes_.tolist() == sorted(set(np.asarray(labels).tolist()))
    predicted = classifier.predict(texts)
    assert {type(label) for label in predicted.tolist()} == {type(np.asarray(labels).tolist()[0])}
    classifier.save(tmp_path / "model.keras")
    loaded = TextClassifier.load(tmp_path / "model.keras")
    assert loaded.predict(texts).tolist() == predicted.tolist()
    assert loaded.classes_.dtype == classifier.classes_.dtype


@default_backend_only
def test_validation_data_decides_and_is_not_learned_from():
    given = TextClassifier(**ONE_STEP).fit(TEXTS, LABELS, validation_data=(NEW, NEW_LABELS))
    assert "my" not in given.model_.vocabulary
    assert "59" in given.model_.vocabulary
    held_out = TextClassifier(**ONE_STEP).fit(TEXTS, LABELS)
    # Set aside by a hash and, once that has told how long to train, learned from too.
    assert set(given.model_.vocabulary) == set(held_out.model_.vocabulary)


def test_the_seed_decides_and_nothing_outside_is_touched():
    random.seed(5)
    np.random.seed(5)
    expected = (random.random(), np.random.rand())
    random.seed(5)
    np.random.seed(5)
    first, again, other = (
        TextClassifier(seed=seed, **ONE_STEP).fit(TEXTS[:20], LABELS[:20]).predict_proba(NEW)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (random.random(), np.random.rand()) == expected


def test_network_and_ngrams_are_measured_by_themselves(fitted):
    parts = fitted.evaluate_parts(NEW, NEW_LABELS)
    assert list(parts) == ["network", "n-grams"]
    assert [list(part) for part in parts.values()] == [["accuracy", "macro_f1"]] * 2
    linear = fit_linear_model(
        TEXTS,
        [sorted(WORDS).index(label) for label in LABELS],
        token_kind="words",
        size=fitted.ngrams,
        class_weight=None,
        seed=2,
    )
    right = linear.logits(NEW).argmax(axis=1) == [0, 1, 0, 1]
    assert parts["n-grams"]["accuracy"] == right.mean()
    of_network = predict_logits(fitted.model_.network(), NEW).argmax(axis=1)
    assert parts["network"]["accuracy"] == accuracy_score([0, 1, 0, 1], of_network)


@default_backend_only
def test_without_ngrams_the_network_is_alone():
    alone = TextClassifier(ngrams=0, **ONE_STEP).fit(TEXTS, LABELS)
    assert len(alone.model_.inputs) == 1
    assert alone.evaluate_parts(NEW, NEW_LABELS) == {}
    few = TextClassifier(ngrams=7, **ONE_STEP).fit(TEXTS, LABELS)
    assert few.model_.ngram_layer().size == 7
    with pytest.raises(UserError, match="`ngrams` must be a non-negative integer"):
        TextClassifier(ngrams=-1, **ONE_STEP).fit(TEXTS, LABELS)


class TestFiles:
    def test_one_file_holds_everything(self, fitted, tmp_path):
        fitted.save(tmp_path / "any.name")
        fitted.save(str(tmp_path / "any.name"))  # again: replaced
        assert [path.name for path in tmp_path.iterdir()] == ["any.name"]
        loaded = TextClassifier.load(tmp_path / "any.name")
        assert loaded.get_params() == {**fitted.get_params(), "convolution_widths": [2]}
        assert loaded.history_ == fitted.history_
        np.testing.assert_array_equal(loaded.predict_proba(NEW), fitted.predict_proba(NEW))

    @default_backend_only
    def test_class_weights_by_label_survive(self, tmp_path):
        classifier = TextClassifier(class_weight={1: 2.0, 0: 1.0}, **ONE_STEP)
        classifier.fit(TEXTS[:20], [0, 1] * 10).save(tmp_path / "model.keras")
        loaded = TextClassifier.load(tmp_path / "model.keras")
        assert loaded.class_weight == {1: 2.0, 0: 1.0}

    @default_backend_only
    def test_damage_is_one_line(self, fitted, tmp_path):
        fitted.save(tmp_path / "good.keras")
        good = (tmp_path / "good.keras").read_bytes()
        damaged = tmp_path / "damaged.keras"
        places = random.Random(0).sample(range(2, len(good)), 40)
        messages = []
        for place in places:
            bits = bytes([good[place] ^ 1 << place % 8])
            damaged.write_bytes(good[:place] + bits + good[place + 1 :])
            with contextlib.suppress(UserError):  # a date, say, may differ
                TextClassifier.load(damaged)
                continue
            with pytest.raises(UserError) as raised:
                TextClassifier.load(damaged)
            messages.append(str(raised.value))
        assert len(messages) > 30
        assert all("\n" not in each and str(damaged) in each for each in messages)
        damaged.write_bytes(good[: len(good) // 2])
        with pytest.raises(UserError, match=r"damaged\.keras is a damaged model file; copy it"):
            TextClassifier.load(damaged)

    @pytest.mark.parametrize(
        ("loss", "of_exclusive", "of_independent"),
        [
            (keras_ce.losses.FocalCrossentropy(from_logits=True), True, False),
            (keras_ce.losses.WeightedSigmoidCrossentropy(from_logits=True), False, True),
            (keras_ce.losses.MultiLabelSoftmaxCrossentropy(), False, True),
            ("binary_crossentropy", False, True),
            (keras_ce.losses.label_smoothed_crossentropy, True, False),
            (None, False, False),
        ],
    )
    def test_the_file_knows_its_loss(self, tmp_path, loss, of_exclusive, of_independent):
        for thresholds, is_read in ((None, of_exclusive), ([0.0, 1.0], of_independent)):
            model = small_model()
            if thresholds is not None:
                model.update_legend(thresholds=thresholds)
            if loss is not None:
                model.compile("sgd", loss)
            model.save(tmp_path / "model.keras")
            if is_read:
                loaded = TextClassifier.load(tmp_path / "model.keras")
                assert loaded.classes_.tolist() == ["animals", "fruits"]
                assert loaded.predict_proba(["dog"]).shape == (1, 2)
                assert thresholds is None or loaded.predict(["dog"]) == [["animals"]]
            else:
                kind = "exclusive" if thresholds is None else "independent"
                message = f"was trained with .*, and TextClassifier reads logits of {kind} classes"
                with pytest.raises(UserError, match=message):
                    TextClassifier.load(tmp_path / "model.keras")

    @default_backend_only
    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ({"thresholds": [0.5] * 3}, r"a threshold from 0 to 1 for each of 2 classes. Received"),
            ({"thresholds": [0.5, "0.5"]}, "a threshold from 0 to 1 for each of 2 classes"),
            ({"thresholds": [0.5, None]}, "a threshold from 0 to 1 for each of 2 classes"),
            ({"thresholds": [0.5, 1.5]}, "a threshold from 0 to 1 for each of 2 classes"),
            ({"thresholds": 0.5}, "a threshold from 0 to 1 for each of 2 classes. Received: 0.5"),
            ({"threshold": "0.5"}, "must hold a threshold from 0 to 1. Received: '0.5'; name"),
        ],
    )
    def test_thresholds_are_probabilities(self, tmp_path, entry, message):
        model = small_model()
        model.update_legend(loss="sigmoid" if "thresholds" in entry else "softmax", **entry)
        model.save(tmp_path / "model.keras")
        with pytest.raises(UserError, match=message) as raised:
            TextClassifier.load(tmp_path / "model.keras")
        assert "\n" not in str(raised.value)


class TestCopies:
    def test_a_cloned_keras_model_keeps_what_it_carries(self, fitted):
        copied = keras.models.clone_model(fitted.model_)
        assert copied.vocabulary == fitted.model_.vocabulary
        assert copied.class_names == ("animals", "fruits")
        assert copied.token_kind == "words"
        table = keras.ops.convert_to_numpy(copied.get_layer("affixes").table)
        assert table.any()
        copied.set_weights(fitted.model_.get_weights())
        np.testing.assert_array_equal(
            TextClassifier.of_model(copied).predict_proba(NEW), fitted.predict_proba(NEW)
        )

    @pytest.mark.parametrize("way", ["pickle", "joblib", "deepcopy"])
    def test_a_fitted_copy_predicts_the_same(self, fitted, way):
        if way == "joblib":
            file = io.BytesIO()
            joblib.dump(fitted, file)
            file.seek(0)
            copied = joblib.load(file)
        else:
            copied = (
                copy.deepcopy(fitted) if way == "deepcopy" else pickle.loads(pickle.dumps(fitted))
            )
        np.testing.assert_array_equal(copied.predict_proba(NEW), fitted.predict_proba(NEW))
        assert copied.history_ == fitted.history_

    def test_clone_has_the_settings_and_nothing_learned(self, fitted):
        cloned = clone(fitted)
        assert cloned.get_params() == fitted.get_params()
        for name in ("classes_", "history_", "model_"):
            with pytest.raises(NotFittedError, match=f"has no `{name}` yet: call `fit`"):
                getattr(cloned, name)
        with pytest.raises(NotFittedError):
            cloned.predict(NEW)
        with pytest.raises(NotFittedError):
            cloned.save("nowhere")


@default_backend_only
class TestModelSelection:
    def test_cross_validation_is_stratified(self):
        # Sorted by label: folds in order would hold one class each, and none could be trained.
        labels, texts = zip(*sorted(zip(LABELS, TEXTS, strict=True)), strict=True)
        scores = cross_val_score(TextClassifier(**ONE_STEP), list(texts), labels, cv=2)
        assert ((scores >= 0) & (scores <= 1)).all()

    def test_a_grid_is_searched(self):
        parts = [(range(12), range(12, 16))]
        search = GridSearchCV(TextClassifier(**ONE_STEP), {"embedding_dim": [2, 4]}, cv=parts)
        search.fit(TEXTS[:16], LABELS[:16])
        assert search.best_params_["embedding_dim"] in (2, 4)
        assert search.best_estimator_.embedding_dim == search.best_params_["embedding_dim"]

    @pytest.mark.parametrize(
        "name",
        [
            "check_do_not_raise_errors_in_init_or_set_params",
            "check_estimator_cloneable",
            "check_estimator_repr",
            "check_estimator_tags_renamed",
            "check_get_params_invariance",
            "check_mixin_order",
            "check_no_attributes_set_in_init",
            "check_parameters_default_constructible",
            "check_set_params",
            "check_valid_tag_types",
        ],
    )
    def test_scikit_learns_own_check(self, name):
        getattr(estimator_checks, name)("TextClassifier", TextClassifier())


class TestClassWeight:
    ids = np.array([0] * 6 + [1] * 2 + [2])
    classes = np.array(["a", "b", "c"])

    def weights(self, given):
        return class_weights(given, "smoothed", self.classes, self.ids)

    def test_balanced(self):
        expected = compute_class_weight("balanced", classes=self.classes, y=self.classes[self.ids])
        assert self.weights("balanced") == pytest.approx(expected)

    def test_others(self):
        assert self.weights(None) is None
        assert self.weights({"c": 3}) == [1.0, 1.0, 3.0]
        assert self.weights([1, 2, 0.5]) == [1.0, 2.0, 0.5]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("heavy", "`class_weight` must be None, 'balanced', a dict or a sequence"),
            ({"d": 1}, r"`class_weight` has labels that no text has: \['d'\]; the labels are"),
            ([1, 2], "`class_weight` must have a number for each of 3 classes. Received: 2"),
            ([1, 2, -1], r"`class_weight\['c'\]` must be a number >= 0"),
        ],
    )
    def test_bad_ones(self, given, message):
        with pytest.raises(ValueError, match=message):
            self.weights(given)

    @default_backend_only
    def test_they_reach_the_loss(self):
        settings = SMALL | {"epochs": 3, "class_weight": {"fruits": 0.0}}
        classifier = TextClassifier(**settings).fit(TEXTS, LABELS)
        assert set(classifier.predict(TEXTS)) == {"animals"}


class TestLoss:
    ids = np.array([0] * 6 + [1] * 2 + [2])
    logits = np.array([[2.0, 0.5, -1.0]] * 9, dtype="float32")

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            (
                {"label_smoothing": 0.2},
                keras_ce.losses.LabelSmoothedCrossentropy(0.2, from_logits=True),
            ),
            ({"loss": "focal", "gamma": 1}, keras_ce.losses.FocalCrossentropy(1, from_logits=True)),
            (
                {"loss": "logit-adjusted", "strength": 0.5},
                keras_ce.losses.LogitAdjustedCrossentropy([6, 2, 1], 0.5),
            ),
            (
                {"loss": "generalized", "q": 0.3},
                keras_ce.losses.GeneralizedCrossentropy(0.3, from_logits=True),
            ),
        ],
    )
    def test_it_is_the_one_of_its_name_with_its_argument(self, settings, expected):
        found = loss_of(TextClassifier(**settings), self.ids, None)
        assert type(found) is type(expected)
        assert float(found(self.ids, self.logits)) == float(expected(self.ids, self.logits))

    @pytest.mark.parametrize("loss", ["smoothed", "focal"])
    def test_class_weights_reach_it(self, loss):
        classifier = TextClassifier(loss=loss, label_smoothing=0)
        given = [1.0, 0.0, 0.0], None
        weighted, plain = (loss_of(classifier, self.ids, each) for each in given)
        assert float(weighted([1, 2], self.logits[:2])) == 0 < float(plain([1, 2], self.logits[:2]))

    @pytest.mark.parametrize("loss", ["logit-adjusted", "generalized"])
    def test_class_weights_that_nobody_would_look_at_are_refused(self, loss):
        classifier = TextClassifier(loss=loss, class_weight="balanced", **ONE_STEP)
        message = f"the loss '{loss}' takes no `class_weight`; leave it out, or choose one of"
        with pytest.raises(ValueError, match=message):
            classifier.fit(TEXTS, LABELS)

    @default_backend_only
    def test_a_network_is_trained_with_it_and_remembers(self, tmp_path):
        classifier = TextClassifier(loss="focal", gamma=4, ngrams=0, **SMALL | {"epochs": 8})
        classifier.fit(TEXTS, LABELS)
        # Two equally probable classes cost 0.5 ** 4 ln 2 = 0.043.
        assert max(classifier.history_["val_loss"]) < 0.06
        assert classifier.predict(NEW).tolist() == NEW_LABELS
        classifier.save(tmp_path / "model.keras")
        loaded = TextClassifier.load(tmp_path / "model.keras")
        assert (loaded.loss, loaded.gamma) == ("focal", 4)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ("one text", ["a"], "`texts` must be a sequence of strings.*put a single text in a list"),
        (None, ["a"], "`texts` must be a sequence of strings"),
        (np.zeros((2, 2)), [0, 1], r"`texts` must have one dimension. Received: shape \(2, 2\)"),
        ([], [], "there is no text; give at least one"),
        (["a", " "], [0, 1], "text 2 is empty; leave it out"),
        (["a", float("nan")], [0, 1], "text 2 is no string but nan; leave it out or convert it"),
        (["a", "b"], [0], "one label for each text. Received: 2 texts and 1 labels"),
        (["a", "b"], "ab", "`labels` must be a sequence with one label for each text"),
        (["a", "b"], [{}, {}], r"label 1 is neither a string nor a number: {}"),
        (["a", "b"], np.zeros((2, 2, 1)), r"Received: shape \(2, 2, 1\)"),
        (["a", "b"], ["x", None], "label 2 is missing; leave such texts out or give them a label"),
        (["a", "b"], [0, float("nan")], "label 2 is missing; leave such texts"),
        (["a", "b"], ["x", 1], "must be all strings or all numbers. Received: 'x' first and 1"),
        (["a", "b"], [0.5, 1], "Unknown label type: continuous numbers, such as 0.5"),
        (["a", "b"], ["x", "x"], r"the texts have one class only \('x'\); give texts of at least"),
        (["a", "b"], ["x", "y"], "there are too few texts to set some aside; give more, or name"),
    ],
)
def test_bad_texts_and_labels_are_one_line(texts, labels, message):
    with pytest.raises(ValueError, match=message) as raised:
        TextClassifier(**SMALL).fit(texts, labels)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("tokens", "letters", "`tokens` must be one of 'words', 'stems', 'characters'"),
        ("epochs", 0, "`epochs` must be a positive integer. Received: epochs=0"),
        ("batch_size", 1.5, "`batch_size` must be a positive integer"),
        ("label_smoothing", float("nan"), "`label_smoothing` must be a number from 0 up to"),
        ("loss", "hinge", "`loss` must be one of 'auto', 'smoothed', 'focal', 'logit-adjusted', "),
        ("gamma", -1, "`gamma` must be a number >= 0. Received: gamma=-1"),
        ("strength", float("inf"), "`strength` must be a number >= 0. Received: strength=inf"),
        ("q", 0, "`q` must be a number above 0 and up to 1. Received: q=0"),
        ("q", 1.1, "`q` must be a number above 0 and up to 1. Received: q=1.1"),
        ("dropout", 1, "`dropout` must be a number from 0 up to, but not including, 1"),
        ("seed", 1099511627776, "`seed` must be an integer from 0 to 4294967295"),
        ("seed", -1, "`seed` must be an integer from 0 to 4294967295"),
        ("vocabulary_size", 2, "`vocabulary_size` must be an integer of at least 3"),
        ("units", 1_000_000_000, r"the model would have .* give smaller units, embedding_dim"),
        ("embedding_dim", 10**12, r"the model would have .* give smaller units, embedding_dim"),
        ("affix_buckets", 10**12, r"the model would have .* give smaller units, embedding_dim"),
        ("convolution_widths", 3, "`convolution_widths` must be a sequence of positive integers"),
        ("learning_rate", 0, "`learning_rate` must be a number > 0. Received: learning_rate=0"),
        ("patience", -1, "`patience` must be a non-negative integer"),
        ("diagnosis", "no", "`diagnosis` must be True or False"),
        ("verbose", "loud", "`verbose` must be a non-negative integer. Received: verbose='loud'"),
        ("class_weight", "heavy", "`class_weight` must be None, 'balanced', a dict or a sequence"),
    ],
)
def test_settings_are_checked_by_fit(setting, value, message):
    classifier = TextClassifier(**SMALL | {setting: value})  # not by the constructor
    with pytest.raises(ValueError, match=message) as raised:
        classifier.fit(TEXTS, LABELS)
    assert "\n" not in str(raised.value)


def test_labels_to_evaluate_with_must_be_known(fitted):
    with pytest.raises(ValueError, match="there are labels that no training text has: tools; the"):
        fitted.evaluate(NEW, [*NEW_LABELS[:3], "tools"])


@default_backend_only
class TestAbstaining:
    """What `find_threshold` finds is tested in test_abstention.py."""

    texts, labels = some_texts(400)

    @pytest.fixture
    def unsure(self, fitted):
        """Right on the first 300 of the texts by sureness, and a coin on the others."""
        classifier = copy.deepcopy(fitted)
        probabilities = classifier.predict_proba(self.texts)
        order = np.argsort(-probabilities.max(axis=1))
        labels = classifier.classes_[probabilities.argmax(axis=1)]
        wrong = order[300::2]
        labels[wrong] = classifier.classes_[1 - probabilities[wrong].argmax(axis=1)]
        return classifier, probabilities, labels

    def test_predict_holds_back_what_is_less_sure(self, unsure, tmp_path):
        classifier, probabilities, labels = unsure
        assert classifier.threshold_ is None
        always = classifier.predict(self.texts)
        threshold = classifier.abstain_below(self.texts, labels, accuracy=0.95, confidence=0.95)
        assert threshold == classifier.threshold_
        sureness = probabilities.max(axis=1)
        is_answered = sureness >= threshold
        assert 250 < is_answered.sum() < 400
        predicted = classifier.predict(self.texts)
        assert predicted.dtype == object
        assert [label is None for label in predicted] == (~is_answered).tolist()
        assert predicted[is_answered].tolist() == always[is_answered].tolist()
        # What counts every text counts it as before.
        assert classifier.score(self.texts, always) == 1
        assert classifier.score(self.texts, labels) == pytest.approx(350 / 400)
        assert classifier.evaluate(self.texts, labels)["accuracy"] == pytest.approx(350 / 400)
        weights = np.where(always == labels, 0.0, 1.0)
        assert classifier.score(self.texts, labels, sample_weight=weights) == 0
        np.testing.assert_array_equal(classifier.predict_proba(self.texts), probabilities)
        classifier.save(tmp_path / "model.keras")  # and read in safe mode
        for copied in (
            TextClassifier.load(tmp_path / "model.keras"),
            pickle.loads(pickle.dumps(classifier)),
        ):
            assert copied.threshold_ == threshold
            assert copied.predict(self.texts).tolist() == predicted.tolist()
        found = list(labelling.best_classes(classifier, self.texts, 2))
        assert [len(best) for best in found] == np.where(is_answered, 2, 1).tolist()
        assert [best[0][0] for best in found] == predicted.tolist()
        assert [best[0][1] for best in found] == pytest.approx(sureness, abs=1e-4)

    def test_a_promise_that_cannot_be_kept_changes_nothing(self, unsure):
        classifier, _, labels = unsure
        threshold = classifier.abstain_below(self.texts, labels, 0.9)
        coins = ["animals", "fruits"] * 200
        for texts, of_texts, promise, message in (
            (self.texts, coins[:3] + coins[:397], {}, "no threshold keeps a promise of"),
            (NEW, NEW_LABELS, {}, "takes at least 59 labelled examples"),
            (NEW, NEW_LABELS, {"accuracy": 1}, "`accuracy` must be a number between 0 and 1"),
            (NEW, NEW_LABELS, {"accuracy": 95}, "`accuracy` must be a number between 0 and 1"),
            (NEW, NEW_LABELS, {"confidence": 0}, "`confidence` must be a number between 0 and 1"),
            (NEW, NEW_LABELS[1:], {}, "one label for each text"),
            (NEW, ["tools"] * 4, {}, "there are labels that no training text has: tools"),
        ):
            with pytest.raises(ValueError, match=message) as raised:
                classifier.abstain_below(texts, of_texts, **promise)
            assert "\n" not in str(raised.value)
        assert classifier.threshold_ == classifier.model_.legend["threshold"] == threshold

    @default_backend_only
    def test_a_new_fit_and_a_clone_answer_always(self):
        classifier = TextClassifier(**ONE_STEP).fit(TEXTS, LABELS)
        classifier.abstain_below(TEXTS, classifier.predict(TEXTS))
        assert classifier.threshold_ is not None
        with pytest.raises(NotFittedError, match="has no `threshold_` yet"):
            clone(classifier).threshold_  # noqa: B018
        assert classifier.fit(TEXTS[:20], LABELS[:20]).threshold_ is None


@default_backend_only
@pytest.mark.parametrize("labels", [LABELS, [[label] for label in LABELS]], ids=["one", "lists"])
@pytest.mark.parametrize("validation", [None, (NEW, NEW_LABELS)], ids=["no", "validation"])
def test_a_training_that_diverges_is_one_line(labels, validation):
    if validation and isinstance(labels[0], list):
        validation = (NEW, [[label] for label in NEW_LABELS])
    with pytest.raises(UserError, match="the training has diverged: .*; give a smaller learning_r"):
        TextClassifier(**ONE_STEP | {"learning_rate": 1e30}).fit(TEXTS, labels, validation)


@default_backend_only
def test_the_last_training_may_diverge_alone(monkeypatch):
    """The one that learns from the validation texts too."""
    train = recipes.text_classifier.networks.train

    def diverge(network, training, validation, **settings):
        if validation is None:
            settings["learning_rate"] = 1e30
        return train(network, training, validation, **settings)

    monkeypatch.setattr(recipes.text_classifier.networks, "train", diverge)
    with pytest.raises(UserError, match="the training has diverged"):
        TextClassifier(**ONE_STEP).fit(TEXTS, LABELS)


@default_backend_only
def test_what_is_printed(capfd):
    settings = SMALL | {"epochs": 1}
    TextClassifier(**settings).fit(TEXTS[:20], LABELS[:20])
    assert capfd.readouterr().out == ""
    TextClassifier(**settings | {"verbose": "auto"}).fit(TEXTS[:20], LABELS[:20])
    printed = capfd.readouterr().out.splitlines()  # no terminal: a line per epoch
    assert [line.partition(" - ")[0] for line in printed] == [
        "2/2",
        "2 more epochs, on all 20 training texts",
        "Epoch 1/2",
        "2/2",
        "Epoch 2/2",
        "2/2",
    ]
