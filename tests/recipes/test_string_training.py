"""Losses, batches, distortions and readings of the string reader's training."""

import itertools
import types

import backends
import numpy as np
import pytest
from scipy.special import expit, softmax

from recipes.images import digit_strings
from recipes.images.labelled_images import LabelledImages
from recipes.string_reader.evaluation import readings, score_texts
from recipes.string_reader.training import (
    StringBatches,
    default_epochs,
    distorted,
    flat_labels,
    make_loss,
    spoiled,
    still_improves,
)

TEXTS = ["ab", "ca", "bb", "cc", "ba"]


@pytest.fixture
def images():
    """Pictures that tell which one they are: of one gray each."""
    pixels = np.full((5, 6, 9, 1), 0, "uint8") + np.arange(40, 240, 40, "uint8").reshape(5, 1, 1, 1)
    return LabelledImages(pixels, TEXTS, [f"{number}.png" for number in range(5)])


def test_flat_labels():
    labels = flat_labels(["ab", "ca"], "abc", 2)
    assert labels.tolist() == [[1, 0, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0]]
    labels = flat_labels(["ba", "b"], "ab∅", 3)
    assert labels.tolist() == [[0, 1, 0, 1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 1, 0, 0, 1]]


def logits_and_labels():
    random = np.random.default_rng(0)
    logits = random.normal(size=(4, 6)).astype("float32")
    return logits, flat_labels(["ab", "ca", "bb", "cc"], "abc", 2)


GRADIENTS = {
    "grouped": lambda z, y: softmax(z.reshape(-1, 2, 3), axis=-1).reshape(z.shape) - y,
    "sigmoid": lambda z, y: (expit(z) - y) / z.shape[1],
    # The label rows sum to 2. Keras's own loss on TensorFlow leaves that factor out.
    "softmax": lambda z, y: 2 * softmax(z, axis=-1) - y,
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_each_loss_has_its_gradient(name):
    logits, labels = logits_and_labels()
    loss = make_loss(name, 2, 3, 0.0)
    gradient = backends.gradient(lambda y_pred, y_true: 4 * loss(y_true, y_pred), logits, labels)[1]
    np.testing.assert_allclose(gradient, GRADIENTS[name](logits, labels), atol=2e-6)


@pytest.mark.parametrize("name", GRADIENTS)
def test_label_smoothing_reaches_each_loss(name):
    logits, labels = logits_and_labels()
    values = [
        backends.array(backends.quick(make_loss(name, 2, 3, share))(labels, logits))
        for share in (0, 0.3)
    ]
    assert abs(values[0] - values[1]) > 1e-3


def test_batches_keep_pictures_and_labels_together(images):
    batches = StringBatches(images, "abc", 2, 2, seed=1)
    labels = flat_labels(TEXTS, "abc", 2)
    assert len(batches) == 2
    seen = []
    for index in range(2):
        pixels, given = batches[index]
        assert pixels.shape == (2, 6, 9, 1)
        assert pixels.dtype == np.uint8
        # Noise, and a patch of the same gray, change no median by much.
        numbers = np.median(pixels, axis=(1, 2, 3)).round(-1).astype(int) // 40 - 1
        np.testing.assert_array_equal(given, labels[numbers])
        seen.extend(numbers)
    assert len(set(seen)) == 4


def test_order_and_distortions_are_new_every_epoch_and_those_of_the_seed():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 9, 3)).astype("uint8")
    images = LabelledImages(pixels, ["ab"] * 8, ["x"] * 8)

    def epochs(seed):
        batches = StringBatches(images, "ab", 2, 8, seed)
        first = batches[0][0]
        batches.on_epoch_end()
        return first, batches[0][0]

    first, second = epochs(1)
    assert not np.array_equal(np.sort(first.ravel()), np.sort(second.ravel()))
    np.testing.assert_array_equal(np.stack(epochs(1)), np.stack([first, second]))
    assert not np.array_equal(epochs(2)[0], first)


def test_pictures_can_stay_as_they_are(images):
    pixels, _ = StringBatches(images, "abc", 2, 5, seed=3, distort=False)[0]
    np.testing.assert_array_equal(np.sort(pixels.ravel()), np.sort(images.pixels.ravel()))
    order = pixels[:, 0, 0, 0] // 40 - 1
    np.testing.assert_array_equal(pixels, images.pixels[order])


def test_few_pictures_make_one_batch(images):
    assert len(StringBatches(images, "abc", 2, 64, seed=0)) == 1
    assert len(StringBatches(images, "abc", 2, 64, seed=0)[0][0]) == 5


def test_what_comes_into_view_has_the_colour_of_the_margin():
    pixels = np.full((20, 40, 3), (10, 200, 90), "uint8")
    pixels[8:12, 15:25] = (250, 0, 0)
    for seed in range(20):
        picture = distorted(pixels, np.random.default_rng(seed))
        assert picture.shape == pixels.shape
        for corner in (picture[0, 0], picture[0, -1], picture[-1, 0], picture[-1, -1]):
            assert corner.tolist() == [10, 200, 90]
        assert picture[6:14, 12:28, 0].max() > 220
    assert not np.array_equal(picture, pixels)


def test_a_distortion_moves_ink_only_a_little():
    """The mark's middle stays within the largest move, slant and bend."""
    pixels = np.zeros((42, 152, 1), "uint8")
    pixels[19:23, 74:78] = 255
    centres = []
    for seed in range(200):
        ink = distorted(pixels, np.random.default_rng(seed))[..., 0].astype(float)
        rows, columns = np.indices(ink.shape)
        centres.append([(ink * rows).sum() / ink.sum(), (ink * columns).sum() / ink.sum()])
    spread = np.ptp(centres, axis=0)
    assert 0.8 * 0.14 * 42 < spread[0] < 1.25 * (0.14 + 0.1) * 42
    assert 0.8 * 0.08 * 152 < spread[1] < 1.25 * (0.08 * 152 + 0.1 * 42)


def test_a_distortion_bends_what_is_straight():
    """No scaling, slant, turn and move makes a line anything but a line."""
    pixels = np.zeros((42, 152, 1), "uint8")
    pixels[20:22] = 255
    columns = np.arange(20, 132)
    crooked = 0
    for seed in range(20):
        ink = distorted(pixels, np.random.default_rng(seed))[..., 0].astype(float)[:, columns]
        heights = (ink * np.arange(42)[:, None]).sum(axis=0) / ink.sum(axis=0)
        line = np.polyval(np.polyfit(columns, heights, 1), columns)
        crooked += np.abs(heights - line).max() > 0.5
    assert crooked > 15


def test_pictures_are_spoiled_by_noise_and_patches():
    pixels = np.full((24, 60, 3), (60, 120, 180), "uint8")
    pixels[10:14, 20:40] = (250, 250, 10)
    noisy = covered = 0
    for seed in range(40):
        picture = spoiled(pixels, np.random.default_rng(seed))
        assert picture.shape == pixels.shape
        assert picture.dtype == np.uint8
        away = picture.astype(int) - pixels
        assert np.abs(np.median(away, axis=(0, 1))).max() <= 1
        noisy += away[:, :, 1].std() > 2
        # A patch on the yellow bar, or of its colour, is further away than any noise.
        covered += (np.abs(away).max(axis=-1) > 90).any()
    assert noisy > 20
    assert 1 <= covered < 30


def test_readings_of_both_kinds_of_logits():
    logits, _ = logits_and_labels()
    found = readings(logits, "abc")
    of_position = softmax(logits.astype("float64").reshape(4, 2, 3), axis=-1)
    texts, probabilities = zip(*found, strict=True)
    assert texts[0] == "".join("abc"[k] for k in of_position[0].argmax(-1))
    np.testing.assert_allclose(probabilities, of_position.max(-1).prod(-1))
    # Independent questions, given that exactly one of the three is answered with yes.
    yes = expit(logits[0, :3].astype("float64"))
    exactly_one = np.array([yes[k] * np.prod(np.delete(1 - yes, k)) for k in range(3)])
    np.testing.assert_allclose(of_position[0, 0], exactly_one / exactly_one.sum())


def test_readings_of_strings_of_several_lengths():
    """The most probable string, by the product of what all strings are made of."""
    logits = np.random.default_rng(4).normal(size=(30, 9)).astype("float32")
    of_position = softmax(logits.astype("float64").reshape(30, 3, 3), axis=-1)
    texts = ["".join(text) for n in (1, 2, 3) for text in itertools.product("ab", repeat=n)]
    lengths = set()
    for (text, probability), rows in zip(readings(logits, "ab∅"), of_position, strict=True):
        of_text = {
            each: np.prod([rows[k, "ab∅".index(c)] for k, c in enumerate((each + "∅")[:3])])
            for each in texts
        }
        assert text == max(of_text, key=of_text.get)
        assert probability == pytest.approx(of_text[text])
        lengths.add(len(text))
    assert lengths == {1, 2, 3}


def test_shares_of_characters_and_of_strings_read_right():
    scores = score_texts(["ab", "cb", "ac", "cc"], ["ab", "ca", "bb", "cc"])
    assert scores == {"character_accuracy": 5 / 8, "string_accuracy": 2 / 4}
    # What is read beyond the end makes a string wrong, and no character.
    scores = score_texts(["abc", "a", "b"], ["ab", "abc", "b"])
    assert scores == {"character_accuracy": 4 / 6, "string_accuracy": 1 / 3}


@pytest.mark.parametrize(
    ("losses", "accuracies", "is_too_short"),
    [
        ([9, 8, 7, 6, 5, 4, 3, 2], [0.5] * 8, True),
        ([9, 8, 7, 6, 5, 4, 3, 2], [0.95] * 8, False),
        ([9, 8, 7, 6, 5, 4, 3.9, 3.95], [0.5] * 8, False),
        ([9, 8, 3, 4, 5, 4, 6, 5], [0.5] * 8, False),
    ],
)
def test_a_training_was_too_short_where_its_loss_still_fell(losses, accuracies, is_too_short):
    history = {"val_loss": losses, "val_string_accuracy": accuracies}
    assert still_improves(history) is is_too_short


def test_fewer_pictures_are_seen_more_often():
    epochs = [default_epochs(count) for count in (1, 100, 300, 1000, 4000, 10**6)]
    assert epochs == sorted(epochs, reverse=True)
    seen = [default_epochs(count) * count for count in (100, 300, 1000, 4000, 10**6)]
    assert seen == sorted(seen)
    assert epochs[-1] >= 5


def test_strings_to_test_with_are_of_other_digits(monkeypatch):
    given = []

    def compose(digits, classes, count, seed):
        given.append({digit.tobytes() for digit in digits})
        return types.SimpleNamespace(classes=set(classes), count=count, seed=seed)

    monkeypatch.setattr(digit_strings, "compose", compose)
    sets = digit_strings.digit_strings(7, 5, 3)
    assert [each.count for each in sets] == [7, 5, 3]
    assert len({each.seed for each in sets}) == 3
    for each in sets:
        assert each.classes == set(range(10))
    training, validation, test = given
    assert not training & validation
    assert not training & test
    assert not validation & test
    assert len(training | validation | test) > 1700


def test_composed_strings_show_their_digits_in_order():
    """One digit is a full square, the other empty: ink stands where the text says."""
    digits = np.stack([np.zeros((8, 8)), np.full((8, 8), 16.0)])
    images = digit_strings.compose(digits, np.array([0, 1]), 40, seed=5)
    assert set("".join(images.texts)) == {"0", "1"}
    step = digit_strings.WIDTH // digit_strings.LENGTH
    for picture, text in zip(images.pixels, images.texts, strict=True):
        paper = np.median(picture[:2])
        for position, character in enumerate(text):
            column = position * step + step // 2
            middle = picture[9:15, column - 2 : column + 3].mean()
            assert (middle < paper - 40) == (character == "1")
    again = digit_strings.compose(digits, np.array([0, 1]), 40, seed=5)
    np.testing.assert_array_equal(images.pixels, again.pixels)
    other = digit_strings.compose(digits, np.array([0, 1]), 40, seed=6)
    assert not np.array_equal(images.pixels, other.pixels)
