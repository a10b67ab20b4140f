"""The string reader: an image in, the logits of a string of fixed length out.

A convolutional trunk sees the whole image once; a branch of its own for each position of the
string then says which character stands there. `examples.train_string_reader` trains it.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import keras
from keras import layers

from recipes._arguments import require_choice, require_integer, require_room, require_share
from recipes.legend import ModelWithLegend, with_legend

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
        """The characters, in the order of their logits, or empty."""
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
    filters: Sequence[int] = (24, 48, 64, 96),
    units: int = 64,
    dropout: float = 0.0,
    alphabet: str = "",
    loss_kind: str = "",
) -> StringReaderModel:
    """Builds a convolutional reader of strings of one length.

    Every block of the trunk is a convolution, batch normalisation, ReLU and a pooling. Rows are
    pooled down to two, columns only as far as each character keeps four of them. Images of 96 and
    more rows are made smaller first, and from 32 rows on the first convolution takes steps of two
    pixels: a CPU then trains on thousands of images in minutes.

    Args:
        image_shape: (height, width, channels) of the images.
        length: Number of characters in a string.
        alphabet_size: Number of different characters.
        filters: Filters of each convolution of the trunk.
        units: Units of the hidden layer of each position's branch.
        dropout: Share of the features dropped in training, before and after that layer.
        alphabet: The characters, in the order of their logits, or empty; kept in the model's file.
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
    widths = [image_shape[2], *filters]
    require_room(9 * sum(map(operator.mul, widths, widths[1:])), "filters")

    images = keras.Input(tuple(image_shape), name="images")
    features = with_legend(images, alphabet=alphabet, loss_kind=loss_kind)
    features = layers.Rescaling(1 / 127.5, offset=-1.0, name="minus_one_to_one")(features)
    shrink = max(1, min(image_shape[0] // 48, image_shape[1] // (12 * length)))
    if shrink > 1:
        features = layers.AveragePooling2D(shrink, name="smaller")(features)
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
    features = layers.Flatten(name="features")(features)
    of_position = features.shape[-1] * units + units * alphabet_size
    require_room(length * of_position, "units, length and filters")

    logits = []
    for position in range(length):
        branch = features
        if dropout:
            branch = layers.Dropout(dropout, name=f"feature_dropout_{position}")(branch)
        branch = layers.Dense(units, use_bias=False, name=f"hidden_{position}")(branch)
        branch = layers.BatchNormalization(
            momentum=_MOMENTUM, name=f"hidden_normalization_{position}"
        )(branch)
        branch = layers.ReLU(name=f"hidden_relu_{position}")(branch)
        if dropout:
            branch = layers.Dropout(dropout, name=f"hidden_dropout_{position}")(branch)
        logits.append(layers.Dense(alphabet_size, name=f"character_{position}")(branch))
    joined = layers.Concatenate(name="logits")(logits) if length > 1 else logits[0]
    return StringReaderModel(images, joined, name="string_reader")
