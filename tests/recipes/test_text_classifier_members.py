"""`TextClassifier(members=..., distill=..., vectors=...)`: several networks, one, and a start."""

import copy
import itertools
import pathlib
from typing import ClassVar

import keras
import numpy as np
import pytest
from backends import default_backend_only, step_quickly
from sklearn.base import clone

import recipes.text_classifier.task
from recipes.runs.failures import UserError
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import TextClassifier, TextClassifierModel
from recipes.text_classifier.members import TaughtBatches, average_networks
from recipes.text_classifier.networks import Networks
from recipes.text_classifier.training import predict_logits
from recipes.tokens.vector_files import initial_vectors
from recipes.tokens.vocabulary import TokenIds, build_vocabulary

ONE_EPOCH = {
    "epochs": 1,
    "embedding_dim": 4,
    "convolution_widths": (2,),
    "convolution_filters": 4,
    "affix_buckets": 20,
    "learning_rate": 0.02,
    "batch_size": 32,
    "ngrams": 500,
    "diagnosis": False,
    "verbose": 0,
}
WORDS = {"animals": ["dog", "cat", "cow"], "fruits": ["apple", "pear", "plum"]}
PAIRS = itertools.islice(itertools.cycle(zip(*WORDS.values(), strict=True)), 20)
TEXTS, LABELS = zip(
    *((f"the {word} here", name) for pair in PAIRS for word, name in zip(pair, WORDS, strict=True)),
    strict=True,
)
VALIDATION = TEXTS[:6], LABELS[:6]
NEW = ["a dog", "some plum here", "nothing that it knows", "the"]


@pytest.fixture(scope="module", autouse=True)
def quick():
    """A few steps each: to compile them would take longer."""
    with pytest.MonkeyPatch.context() as patch:
        step_quickly(patch, TextClassifierModel)
        yield


def fit(**settings):
    classifier = TextClassifier(**{**ONE_EPOCH, **settings})
    return classifier.fit(TEXTS, LABELS, validation_data=VALIDATION)


@pytest.fixture(scope="module")
def three():
    return fit(members=3, seed=5)


@pytest.fixture(scope="module")
def alone():
    return [fit(seed=seed) for seed in (5, 6, 7)]


def network_logits(classifier, texts=NEW):
    return predict_logits(classifier.model_.network(), texts)


def members(classifier):
    layers = classifier.model_.layers
    return [layer for layer in layers if layer.name.startswith("member_")]


def member_logits(classifier):
    """Of each member, (members, texts, classes)."""
    ids = [TokenIds(classifier.model_.vocabulary, "words")(text) for text in NEW]
    return np.array(
        [
            np.concatenate([keras.ops.convert_to_numpy(member(np.array([each]))) for each in ids])
            for member in members(classifier)
        ]
    )


def test_members_are_the_networks_of_neighbouring_seeds(three, alone):
    found = member_logits(three)
    assert len(found) == 3
    assert not np.allclose(found[0], found[1])
    for member, network in zip(found, map(network_logits, alone), strict=True):
        # Validation texts decide how much they count together: a factor.
        factor = (member * network).sum() / (network**2).sum()
        np.testing.assert_allclose(member, factor * network, atol=1e-5)


def test_their_logits_are_averaged_and_the_ngrams_added_once(three, alone):
    np.testing.assert_allclose(network_logits(three), member_logits(three).mean(0), atol=1e-5)
    found, once = (
        predict_logits(classifier.model_, NEW) - network_logits(classifier)
        for classifier in (three, alone[0])
    )
    factor = (found * once).sum() / (once**2).sum()
    assert factor > 0
    np.testing.assert_allclose(found, factor * once, atol=1e-5)
    assert set(three.evaluate_parts(NEW[:2], [*WORDS])) == {"network", "n-grams"}
    assert set(three.history_) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_all_are_one_file(three, tmp_path):
    three.save(tmp_path / "model.keras")
    loaded = TextClassifier.load(tmp_path / "model.keras")  # in safe mode
    expected = three.predict_proba(NEW)
    np.testing.assert_array_equal(loaded.predict_proba(NEW), expected)
    assert (loaded.members, loaded.distill, loaded.vectors) == (3, False, None)
    assert loaded.best_epochs_ == three.best_epochs_ == [1, 1, 1]
    np.testing.assert_array_equal(copy.deepcopy(three).predict_proba(NEW), expected)
    copied = keras.models.clone_model(three.model_)
    copied.set_weights(three.model_.get_weights())
    np.testing.assert_array_equal(TextClassifier.of_model(copied).predict_proba(NEW), expected)


def test_the_mean_of_one_network_is_the_network(alone):
    network = alone[0].model_.network()
    assert average_networks([network]) is network


def test_a_student_is_one_network(alone):
    student = fit(members=2, distill=True, seed=5)
    assert [(layer.name, layer.count_params()) for layer in student.model_.layers] == [
        (layer.name, layer.count_params()) for layer in alone[0].model_.layers
    ]
    assert not np.allclose(network_logits(student), network_logits(alone[0]))
    assert student.best_epochs_ == [1, 1, 1]
    assert set(student.history_) == {"loss", "accuracy", "val_loss", "val_accuracy"}


@default_backend_only
def test_what_the_student_learns_is_the_teacher():
    """The labels say nothing of the texts."""
    right = [0, 1] * (len(TEXTS) // 2)
    teacher = TextClassifier(**ONE_EPOCH).fit(TEXTS, right, (TEXTS, right)).model_
    assert predict_logits(teacher, TEXTS).argmax(axis=1).tolist() == right
    sizes = {"embedding_dim": 16, "convolution_filters": 16, "batch_size": 8, "learning_rate": 0.05}
    classifier = TextClassifier(**{**ONE_EPOCH, **sizes}, members=2, distill=True)
    training = LabelledTexts(list(TEXTS), [0, 0, 1, 1] * (len(TEXTS) // 4))
    classes = np.array([*WORDS])
    networks = Networks(classifier, classes, build_vocabulary(training.texts, "words", size=100))
    students, _ = networks.train(training, training, teacher)
    for _ in range(4):
        networks.train_further(students, training, teacher)
    learned = predict_logits(students[0], TEXTS).argmax(axis=1)
    assert learned.tolist() == right
    assert np.mean(learned == training.labels) < 0.7


def test_a_batch_has_the_teachers_logits_of_its_own_texts():
    sequences = [[number] * (number + 1) for number in range(9)]
    teacher = np.arange(18.0).reshape(9, 2)
    batches = TaughtBatches(sequences, range(9), teacher, 2, seed=0)
    seen = []
    for number in range(len(batches)):
        ids, labels = batches[number]
        np.testing.assert_array_equal(ids[:, 0], labels["label"])
        np.testing.assert_array_equal(labels["teacher"], teacher[labels["label"]])
        seen += labels["label"].tolist()
    assert sorted(seen) == list(range(9))


@default_backend_only
def test_what_is_trained_is_said(capfd):
    TextClassifier(**{**ONE_EPOCH, "members": 2, "distill": True, "verbose": 2}).fit(TEXTS, LABELS)
    lines = capfd.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(("Epoch", "2/2"))] == [
        "network 1 of 2",
        "network 2 of 2",
        "one network from 2",
        "2 more epochs, on all 40 training texts",
        "one network from 2",
    ]


@default_backend_only
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": 0}, "`members` must be a positive integer. Received: members=0"),
        ({"members": True}, "`members` must be a positive integer. Received: members=True"),
        ({"distill": 1}, "`distill` must be True or False. Received: distill=1"),
        ({"distill": True}, "`distill` makes one network of several: give `members` of at least"),
        ({"vectors": "none.vec"}, "none.vec does not exist; name a text file of vectors"),
        ({"vectors": 3}, "`vectors` must be None, a path or 'wordllama'. Received: vectors=3"),
    ],
)
def test_bad_settings_are_one_line(settings, message):
    with pytest.raises(UserError, match=message) as raised:
        TextClassifier(**{**ONE_EPOCH, **settings}).fit(TEXTS, LABELS)
    assert "\n" not in str(raised.value)


@default_backend_only
class TestVectors:
    vectors: ClassVar = {
        "the": [3.0, 0, -1, 0.5, 2],
        "dog": [1.0, 2, 3, 4, 5],
        "plum": [-2.0, 0, 2, 0, 1],
    }

    @pytest.fixture
    def file(self, tmp_path):
        rows = [f"{word} {' '.join(map(str, each))}\n" for word, each in self.vectors.items()]
        path = tmp_path / "some.vec"
        path.write_text("3 5\n" + "".join(rows))
        return path

    def test_the_embedding_starts_from_them(self, file):
        # No step changes anything.
        found, plain = (
            fit(learning_rate=1e-30, **more).model_
            for more in ({"vectors": file}, {"embedding_dim": 5})
        )
        tables = [model.get_layer("embedding").get_weights()[0] for model in (found, plain)]
        places = [found.vocabulary.index(word) for word in self.vectors]
        expected = np.array(list(self.vectors.values()))
        share = tables[0][places[0], 0] / 3
        assert share > 0
        np.testing.assert_allclose(tables[0][places], share * expected, rtol=1e-5, atol=1e-9)
        others = [place for place in range(len(found.vocabulary)) if place not in places]
        np.testing.assert_allclose(tables[0][others], tables[1][others], atol=1e-9)
        assert tables[0][others].any()

    def test_they_are_read_once(self, file, monkeypatch, capfd):
        """For the texts that are set aside too, which a full vocabulary may not hold."""
        asked = []

        def read(source, vocabulary, *arguments):
            asked.append(vocabulary)
            return initial_vectors(source, vocabulary, *arguments)

        monkeypatch.setattr(recipes.text_classifier.task, "initial_vectors", read)
        texts = [f"the {word} here" for word in TEXTS]
        settings = {**ONE_EPOCH, "verbose": 2}
        classifier = TextClassifier(vectors=file, vocabulary_size=7, **settings)
        classifier.fit(texts, LABELS)
        (vocabulary,) = asked
        assert vocabulary[:2] == ["", "[unknown]"]
        assert {*classifier.model_.vocabulary} <= {*vocabulary}
        assert f"reads the vectors of {file}\n" in capfd.readouterr().out

    def test_a_saved_classifier_does_without_the_file(self, file, tmp_path):
        classifier = TextClassifier(vectors=file, **ONE_EPOCH)
        assert clone(classifier).vectors == classifier.get_params()["vectors"] == file
        classifier.fit(TEXTS, LABELS, VALIDATION)
        expected = classifier.predict_proba(NEW)
        classifier.save(tmp_path / "model.keras")
        file.unlink()
        loaded = TextClassifier.load(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded.predict_proba(NEW), expected)
        assert loaded.vectors == str(file)
        assert isinstance(file, pathlib.Path)
