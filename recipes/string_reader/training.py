"""Trains a string reader on pictures that are moved and distorted a little, ever anew."""

from collections.abc import Mapping, Sequence

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
from recipes.images.one_size import margin_colour
from recipes.runs import before_training
from recipes.runs.checkpoints import NOT_KEPT, Stage
from recipes.string_reader.model import BLANK, StringReaderModel

_MOST_EPOCHS = 150


def default_epochs(pictures: int) -> int:
    """How often to pass over so many pictures: over few of them more often.

    On two cores, 4,000 pictures then take five minutes, 1,000 three, and fewer not more.
    """
    return min(_MOST_EPOCHS, 8 + 24_000 // pictures)


def still_improves(history: Mapping[str, Sequence[float]]) -> bool:
    """Whether a training was too short, as its scores on validation pictures tell.

    It was, if a tenth of the strings are still read wrong while the loss falls: by more than a
    twentieth in the last quarter of the epochs.

    Args:
        history: As `train` gives it.
    """
    losses = history["val_loss"]
    before = max(1, len(losses) * 3 // 4)
    still_falls = min(losses) < 0.95 * min(losses[:before])
    return still_falls and max(history["val_string_accuracy"]) < 0.9


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


def flat_labels(texts: Sequence[str], alphabet: str, length: int) -> numpy.ndarray:
    """The texts as one-hot rows side by side, (texts, length * len(alphabet)), `BLANK` at ends."""
    padded = [text.ljust(length, BLANK) for text in texts]
    ids = numpy.array([[alphabet.index(character) for character in text] for text in padded])
    return numpy.eye(len(alphabet), dtype="float32")[ids].reshape(len(texts), -1)


class StringBatches(keras.utils.PyDataset):
    """Batches of pictures and their flat labels, in a new order and distorted anew every epoch.

    Args:
        images: The pictures.
        alphabet: The characters, in the order of their logits.
        length: Number of positions.
        batch_size: Pictures in a batch. Those that do not fill one wait for the next epoch.
        seed: Decides everything that is left to chance.
        distort: Whether pictures are `distorted` and `spoiled`.
    """

    def __init__(
        self,
        images: LabelledImages,
        alphabet: str,
        length: int,
        batch_size: int,
        seed: int,
        *,
        distort: bool = True,
    ) -> None:
        super().__init__()
        self._pixels = images.pixels
        self._labels = flat_labels(images.texts, alphabet, length)
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
            pixels = numpy.stack(
                [spoiled(distorted(picture, random), random) for picture in pixels]
            )
        return pixels, self._labels[rows]


def distorted(pixels: numpy.ndarray, random: numpy.random.Generator) -> numpy.ndarray:
    """A picture scaled, slanted, turned, moved and bent a little; its margin comes into view.

    Args:
        pixels: (height, width, channels), values from 0 to 255.
        random: Where chance comes from.
    """
    height, width, channels = pixels.shape
    # Where in the picture each pixel of the new one comes from; the middle stays, but for a move.
    matrix = numpy.array(
        [
            [1 + random.uniform(-0.1, 0.1), random.uniform(-0.2, 0.2)],
            [random.uniform(-0.04, 0.04), 1 + random.uniform(-0.1, 0.1)],
        ]
    )
    middle = numpy.array([width, height]) / 2
    move = random.uniform(-1, 1, size=2) * [0.04 * width, 0.07 * height]
    # As a rubber sheet on about square cells, whose corners are pulled each on its own.
    rows, columns = (
        min(side, count) for side, count in ((height, 3), (width, 3 * width // height))
    )
    edges = [
        numpy.linspace(0, side, cells + 1).round().astype(int)
        for side, cells in ((width, max(1, columns)), (height, rows))
    ]
    corners = numpy.stack(numpy.meshgrid(*edges), axis=-1)
    pulled = (corners - middle) @ matrix.T + middle + move
    pulled += random.uniform(-0.05, 0.05, size=corners.shape) * height
    cells = [
        (
            (*corners[y, x].tolist(), *corners[y + 1, x + 1].tolist()),
            # Pillow begins in the upper left and goes down first.
            numpy.ravel([pulled[y, x], pulled[y + 1, x], pulled[y + 1, x + 1], pulled[y, x + 1]]),
        )
        for y in range(len(corners) - 1)
        for x in range(corners.shape[1] - 1)
    ]
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels).transform(
        (width, height),
        Image.Transform.MESH,
        cells,
        Image.Resampling.BILINEAR,
        fillcolor=margin_colour(pixels),
    )
    return numpy.array(image).reshape(pixels.shape)


def spoiled(pixels: numpy.ndarray, random: numpy.random.Generator) -> numpy.ndarray:
    """A picture under noise; in every second one, a patch is covered by a colour of the picture.

    Args:
        pixels: (height, width, channels), values from 0 to 255.
        random: Where chance comes from.
    """
    height, width, _ = pixels.shape
    noise = random.standard_normal(pixels.shape, dtype="float32") * random.uniform(0, 12)
    spoiled = pixels + noise
    if random.random() < 0.5:
        size = random.integers(1, max(2, height // 4), size=2)
        top, left = random.integers(0, numpy.maximum(1, [height, width] - size))
        colour = pixels[random.integers(height), random.integers(width)]
        spoiled[top : top + size[0], left : left + size[1]] = colour
    return spoiled.clip(0, 255).astype("uint8")


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
    """Trains a model for all epochs, with steps that shrink to nothing, and keeps the best one.

    Args:
        model: With its alphabet.
        training: The pictures to learn from.
        validation: The pictures whose scores are shown after each epoch. The model is left as it
            was after the epoch with the lowest loss on them.
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
        pictures under `val_...`. Here, the blank ends of shorter strings count as characters.
    """
    alphabet = model.alphabet
    length = model.output_shape[-1] // len(alphabet)
    groups = [len(alphabet)] * length
    batches = StringBatches(training, alphabet, length, batch_size, seed, distort=distort)
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
    keep_best = keras.callbacks.EarlyStopping(patience=epochs, restore_best_weights=True)
    return stage.fit(
        model,
        batches,
        validation_data=(validation.pixels, flat_labels(validation.texts, alphabet, length)),
        validation_batch_size=256,
        epochs=epochs,
        callbacks=[keep_best],
        shuffle=False,  # StringBatches does it
        skip_epochs=batches.skip_epochs,
        verbose=verbose,
    )
