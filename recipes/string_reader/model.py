"""The string reader: an image in, the logits of the characters of a string out.

A convolutional trunk sees the whole image once and gives its columns; each position of the string
then looks at the columns where its turn is, and says which character stands there. All of that is
the same for every position. `examples.train_string_reader` trains it.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import keras
from keras import layers

from recipes._arguments import require_choice, require_integer, require_room, require_share
from recipes.legend import ModelWithLegend, with_legend
from recipes.string_reader.layers import CharacterByCharacter, PictureContrast

BLANK = "∅"
"""The class of the positions after the end of a string, where others are longer."""
# Keeps the columns apart: fewer for each character, and neighbours run into each other.
_COLUMNS_PER_CHARACTER = 4
_ROWS = 2
# Keras's 0.99 takes some hundred steps to forget its beginning: a few hundred pictures train less.
_MOMENTUM = 0.9

LOSS_KINDS = {
    "grouped": "one softmax for each position",
    "sigmoid": "each character of each position a question of its own",
    "softmax": "one softmax over all positions",
}
"""The losses of a flat vector with a one in each group, and what each of them asks."""


@keras.saving.register_keras_serializable(package="keras_ce")
class StringReaderModel(ModelWithLegend):
    """A functional model that carries, in its own file, what its logits stand for."""

    @property
    def alphabet(self) -> str:
        """The characters, in the order of their logits, `BLANK` the last if it is one; or empty."""
        return self.legend.get("alphabet", "")

    @property
    def loss_kind(self) -> str:
        """What the model is trained with, one of `LOSS_KINDS`, or empty."""
        return self.legend.get("loss_kind", "")


def build_string_reader(
    image_shape: Sequence[int],
    length: int = 4,
    alphabet_size: int = 10,
    *,
    filters: Sequence[int] = (16, 32, 64, 96),
    units: int = 128,
    dropout: float = 0.0,
    alphabet: str = "",
    loss_kind: str = "",
) -> StringReaderModel:
    """Builds a convolutional reader of strings.

    `PictureContrast` comes first. Every block of the trunk is a convolution, batch normalisation,
    ReLU and a pooling. Rows are pooled down to two, columns only as far as each character keeps
    four of them. Images of 96 and more rows are made smaller first, and from 32 rows on the first
    convolution takes steps of two pixels: a CPU then trains on thousands of images in minutes. A
    convolution along the columns follows, and `CharacterByCharacter`.

    Args:
        image_shape: (height, width, channels) of the images.
        length: Number of characters in the longest string.
        alphabet_size: Number of classes of a position: of different characters, and one more for
            the end of shorter strings, if there are any.
        filters: Filters of each convolution of the trunk.
        units: Filters of the convolution along the columns.
        dropout: Share of the features of a position dropped in training; half of it before the
            convolution along the columns.
        alphabet: The characters, in the order of their logits, or empty; kept in the model's file.
            `BLANK` is the last of them if strings may be shorter than `length`.
        loss_kind: What it will be trained with, one of `LOSS_KINDS`, or empty; likewise.

    Returns:
        A model from images (batch, height, width, channels) with values from 0 to 255 to logits
        (batch, length * alphabet_size): the characters of the first position, then those of the
        second, and so on. Compile it with
        `GroupedSoftmaxCrossentropy([alphabet_size] * length, from_logits=True)`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    for name, sizes in (("image_shape", image_shape), ("filters", filters)):
        if isinstance(sizes, str) or not isinstance(sizes, Sequence) or not sizes:
            raise ValueError(
                f"`{name}` must be a sequence of positive integers. Received: {name}={sizes!r}."
            )
        for index, size in enumerate(sizes):
            require_integer(f"{name}[{index}]", size, 1)
    if len(image_shape) != 3:
        raise ValueError(
            "`image_shape` must be (height, width, channels), for example (42, 152, 3). "
            f"Received: image_shape={image_shape!r}."
        )
    require_integer("length", length, 1)
    require_integer("alphabet_size", alphabet_size, 1)
    require_integer("units", units, 1)
    require_share("dropout", dropout)
    if not isinstance(alphabet, str) or len(alphabet) not in (0, alphabet_size):
        raise ValueError(
            f"`alphabet` must be a string of {alphabet_size} characters, one for each logit of a "
            f"position, or empty. Received: alphabet={alphabet!r}."
        )
    require_choice("loss_kind", loss_kind, ("", *LOSS_KINDS))
    channels = image_shape[2]
    widths = [channels + (channels > 1), *filters]
    require_room(9 * sum(map(operator.mul, widths, widths[1:])), "filters")

    images = keras.Input(tuple(image_shape), name="images")
    features = with_legend(images, alphabet=alphabet, loss_kind=loss_kind)
    shrink = max(1, min(image_shape[0] // 48, image_shape[1] // (12 * length)))
    if shrink > 1:
        features = layers.AveragePooling2D(shrink, name="smaller")(features)
    # Means over many pixels, and a count along many columns, are nothing for half precision.
    features = PictureContrast(dtype="float32", name="contrast")(features)
    step = 2 if features.shape[1] >= 32 else 1
    for index, width in enumerate(filters):
        is_first = index == 0
        features = layers.Conv2D(
            width,
            5 if is_first else 3,
            strides=step if is_first else 1,
            padding="same",
            use_bias=False,  # the normalisation has one
            name=f"convolution_{index}",
        )(features)
        features = layers.BatchNormalization(momentum=_MOMENTUM, name=f"normalization_{index}")(
            features
        )
        features = layers.ReLU(name=f"relu_{index}")(features)
        _, rows, columns, _ = features.shape
        pool = (
            2 if rows >= 2 * _ROWS else 1,
            2 if columns >= 2 * _COLUMNS_PER_CHARACTER * length else 1,
        )
        if pool != (1, 1) and not (is_first and step > 1):
            features = layers.MaxPooling2D(pool, name=f"pooling_{index}")(features)
    _, rows, columns, width = features.shape
    require_room(3 * rows * width * units + units * alphabet_size, "units and filters")
    features = layers.Permute((2, 1, 3), name="columns_first")(features)
    features = layers.Reshape((columns, rows * width), name="columns")(features)
    if dropout:
        features = layers.SpatialDropout1D(dropout / 2, name="column_dropout")(features)
    features = layers.Conv1D(units, 3, padding="same", use_bias=False, name="along_columns")(
        features
    )
    features = layers.BatchNormalization(momentum=_MOMENTUM, name="columns_normalization")(features)
    features = layers.ReLU(name="columns_relu")(features)
    shares = layers.Conv1D(32, 5, padding="same", activation="relu", name="neighbours")(features)
    # Zeros: positions must begin with even shares of the columns. From random ones that were
    # normalised too, a training on 1,000 pictures of letters never learned to count.
    shares = layers.Dense(1, kernel_initializer="zeros", name="shares")(shares)
    features = CharacterByCharacter(length, dtype="float32", name="positions")(features, shares)
    if dropout:
        features = layers.Dropout(dropout, name="position_dropout")(features)
    logits = layers.Dense(alphabet_size, name="characters")(features)
    logits = layers.Reshape((length * alphabet_size,), name="logits")(logits)
    return StringReaderModel(images, logits, name="string_reader")
