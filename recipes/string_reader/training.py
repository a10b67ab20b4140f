"""Trains a string reader on pictures that are moved and distorted a little, ever anew."""

from collections.abc import Sequence

import keras
import numpy
from PIL import Image

from keras_ce.losses import (
    GroupedSoftmaxCrossentropy,
    LabelSmoothedCrossentropy,
    WeightedSigmoidCrossentropy,
)
from keras_ce.metrics import GroupedAccuracy
from recipes.images.labelled_images import LabelledImages
from recipes.runs import before_training
from recipes.runs.checkpoints import NOT_KEPT, Stage
from recipes.string_reader.model import StringReaderModel


def make_loss(
    name: str, length: int, alphabet_size: int, label_smoothing: float
) -> keras.losses.Loss:
    """One of the three losses of a flat vector with a one in each group.

    Args:
        name: `grouped`: a softmax inside each group. `sigmoid`: every entry a question of its own.
            `softmax`: one over all entries, whose label rows then sum to `length`.
        length: Number of groups.
        alphabet_size: Number of classes of each group.
        label_smoothing: As the loss defines it.
    """
    if name == "grouped":
        return GroupedSoftmaxCrossentropy(
            [alphabet_size] * length, from_logits=True, label_smoothing=label_smoothing
        )
    if name == "sigmoid":
        return WeightedSigmoidCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    return LabelSmoothedCrossentropy(label_smoothing, from_logits=True)


def flat_labels(texts: Sequence[str], alphabet: str) -> numpy.ndarray:
    """The texts as one-hot rows side by side, (texts, length * len(alphabet))."""
    ids = numpy.array([[alphabet.index(character) for character in text] for text in texts])
    return numpy.eye(len(alphabet), dtype="float32")[ids].reshape(len(texts), -1)


class StringBatches(keras.utils.PyDataset):
    """Batches of pictures and their flat labels, in a new order and distorted anew every epoch.

    Args:
        images: The pictures.
        alphabet: The characters, in the order of their logits.
        batch_size: Pictures in a batch. Those that do not fill one wait for the next epoch.
        seed: Decides everything that is left to chance.
        distort: Whether pictures are distorted.
    """

    def __init__(
        self,
        images: LabelledImages,
        alphabet: str,
        batch_size: int,
        seed: int,
        *,
        distort: bool = True,
    ) -> None:
        super().__init__()
        self._pixels = images.pixels
        self._labels = flat_labels(images.texts, alphabet)
        self._batch_size = min(batch_size, len(images))
        self._seed = seed
        self._distort = distort
        self._epoch = -1
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Shuffles for the next epoch."""
        self._epoch += 1
        order = numpy.random.default_rng([self._seed, self._epoch])
        self._order = order.permutation(len(self._labels))

    def skip_epochs(self, number: int) -> None:
        """Goes to the order and the distortions after so many epochs."""
        self._epoch += number - 1
        self.on_epoch_end()

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._labels) // self._batch_size

    def __getitem__(self, index: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Pictures (batch, height, width, channels) and labels of one batch."""
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        random = numpy.random.default_rng([self._seed, self._epoch, index])
        pixels = self._pixels[rows]
        if self._distort:
            pixels = numpy.stack([distorted(picture, random) for picture in pixels])
        return pixels, self._labels[rows]


def distorted(pixels: numpy.ndarray, random: numpy.random.Generator) -> numpy.ndarray:
    """A picture scaled, slanted, turned and moved a little; what comes into view is its margin.

    Args:
        pixels: (height, width, channels), values from 0 to 255.
        random: Where chance comes from.
    """
    height, width, channels = pixels.shape
    rows = numpy.concatenate([pixels[0], pixels[-1]])
    margin = tuple(int(value) for value in numpy.median(rows, axis=0))
    # Where in the picture each pixel of the new one comes from; the middle stays, but for a move.
    matrix = numpy.array(
        [
            [1 + random.uniform(-0.1, 0.1), random.uniform(-0.2, 0.2)],
            [random.uniform(-0.04, 0.04), 1 + random.uniform(-0.1, 0.1)],
        ]
    )
    middle = numpy.array([width, height]) / 2
    move = random.uniform(-1, 1, size=2) * [0.04 * width, 0.07 * height]
    offset = middle + move - matrix @ middle
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels).transform(
        (width, height),
        Image.Transform.AFFINE,
        (*matrix[0], offset[0], *matrix[1], offset[1]),
        Image.Resampling.BILINEAR,
        fillcolor=margin[0] if channels == 1 else margin,
    )
    return numpy.array(image).reshape(pixels.shape)


def train(
    model: StringReaderModel,
    training: LabelledImages,
    validation: LabelledImages,
    *,
    loss: keras.losses.Loss,
    epochs: int,
    batch_size: int,
    seed: int,
    distort: bool = True,
    diagnosis: bool = False,
    learning_rate: float = 2e-3,
    verbose: int = 2,
    stage: Stage = NOT_KEPT,
) -> dict[str, list[float]]:
    """Trains a model for all epochs, with steps that shrink to nothing.

    Args:
        model: With its alphabet.
        training: The pictures to learn from.
        validation: The pictures whose scores are shown after each epoch; they decide nothing.
        loss: Of flat labels and logits, such as `make_loss` makes.
        epochs: Number of passes over the training pictures.
        batch_size: Pictures in a batch.
        seed: Seed of order and distortions.
        distort: See `StringBatches`.
        diagnosis: Whether to stop before the first step where `keras_ce.diagnose` finds errors.
        learning_rate: The largest, of AdamW; reached after the first twentieth of the steps.
        verbose: As `keras.Model.fit` takes it.
        stage: Where the training is kept, and goes on from.

    Returns:
        Loss, `string_accuracy` and `character_accuracy` of each epoch, those on validation
        pictures under `val_...`.
    """
    alphabet = model.alphabet
    groups = [len(alphabet)] * len(training.texts[0])
    batches = StringBatches(training, alphabet, batch_size, seed, distort=distort)
    steps = epochs * len(batches)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate / 100, steps, warmup_target=learning_rate, warmup_steps=steps // 20
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=1e-4),
        loss=loss,
        metrics=[
            GroupedAccuracy(groups, name="string_accuracy"),
            GroupedAccuracy(groups, mode="each", name="character_accuracy"),
        ],
    )
    # Else TensorFlow traces the step twice: again when the optimizer has made its variables.
    model.optimizer.build(model.trainable_variables)
    if diagnosis and not stage.epochs:
        before_training.stop_on_errors(model, batches, verbose=verbose)
    return stage.fit(
        model,
        batches,
        validation_data=(validation.pixels, flat_labels(validation.texts, alphabet)),
        validation_batch_size=256,
        epochs=epochs,
        shuffle=False,  # StringBatches does it
        skip_epochs=batches.skip_epochs,
        verbose=verbose,
    )
