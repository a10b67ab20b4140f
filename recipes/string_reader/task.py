"""`StringReader`: from pictures and the strings in them to a reader of other pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy
from sklearn.utils import Tags

from recipes import _arguments as arguments
from recipes.estimators import Task, plain_copy
from recipes.images import pixels
from recipes.runs import model_files, temperature
from recipes.runs.after_training import require_finite
from recipes.runs.failures import UserError
from recipes.string_reader import data, evaluation, training
from recipes.string_reader.model import LOSS_KINDS, StringReaderModel, build_string_reader

_LOSSES = {
    "groupedsoftmaxcrossentropy",
    "weightedsigmoidcrossentropy",
    "binarycrossentropy",
    "labelsmoothedcrossentropy",
    "categoricalcrossentropy",
}
"""Those after which a softmax over the logits of a position says which character it is."""


class StringReader(Task):
    """Reads strings in pictures, such as captchas.

    Pictures are paths, PIL images or arrays with values from 0 to 255. Those of another size than
    the model reads are scaled and padded. Strings may differ in length; upper and lower case are
    different characters. The defaults were chosen on validation pictures of captchas and of drawn
    letters.

    Args:
        filters: See `recipes.string_reader.build_string_reader`.
        units: Likewise.
        dropout: Likewise.
        loss: `"grouped"`: one softmax for each position. `"sigmoid"`: one yes-or-no question for
            each character at each position. `"softmax"`: one softmax over all positions, for
            comparison. The most probable string, and how probable it is, are computed in the same
            way after each of these losses: given that exactly one of several independent characters
            stands at a position, which one it is follows a softmax too.
        label_smoothing: That of the loss.
        distort: Whether pictures are moved, bent, covered in part and put under noise in training,
            each time differently.
        epochs: Number of passes over the pictures; `None` for one that follows from how many there
            are, see `recipes.string_reader.training.default_epochs`.
        batch_size: Pictures in a batch.
        learning_rate: The largest learning rate of AdamW.
        diagnosis: Whether `fit` first checks model, loss and data with `keras_ce.diagnose`, and
            stops at errors.
        seed: Seed of all random choices.
        verbose: 0: `fit` prints nothing; 1: a progress bar; 2: a line for each epoch. `"auto"`: a
            bar on a terminal and lines elsewhere.

    Attributes:
        model_: The Keras model: from images (batch, height, width, channels) to flat logits.
        history_: Loss and accuracies of each epoch, by name.

    Example:
        >>> reader = StringReader().fit(images, strings)  # doctest: +SKIP
        >>> reader.read(["captcha.png"])  # doctest: +SKIP
        [('2843', 0.98)]
    """

    model_class: ClassVar = StringReaderModel
    checks: ClassVar = {
        "units": partial(arguments.require_integer, minimum=1),
        "dropout": arguments.require_share,
        "loss": partial(arguments.require_choice, choices=tuple(LOSS_KINDS)),
        "label_smoothing": arguments.require_fraction,
        "distort": arguments.require_flag,
        "epochs": lambda name, value: (
            None if value is None else arguments.require_integer(name, value, minimum=1)
        ),
        "batch_size": partial(arguments.require_integer, minimum=1),
        "learning_rate": arguments.require_positive,
        "diagnosis": arguments.require_flag,
    }

    model_: StringReaderModel
    history_: dict[str, list[float]]

    def __init__(
        self,
        *,
        filters: Sequence[int] = (16, 32, 64, 96),
        units: int = 128,
        dropout: float = 0.3,
        loss: str = "grouped",
        label_smoothing: float = 0.1,
        distort: bool = True,
        epochs: int | None = None,
        batch_size: int = 16,
        learning_rate: float = 2e-3,
        diagnosis: bool = True,
        seed: int = 0,
        verbose: int | str = "auto",
    ) -> None:
        self.filters = filters
        self.units = units
        self.dropout = dropout
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.distort = distort
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.diagnosis = diagnosis
        self.seed = seed
        self.verbose = verbose

    def fit(
        self,
        images: Any,
        strings: Sequence[str],
        validation_data: tuple[Any, Any] | None = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learns to read pictures.

        Args:
            images: The pictures. If they are of several sizes, the model reads pictures of their
                median height.
            strings: The string in each of them.
            validation_data: Other pictures and their strings, which choose the best epoch and
                calibrate the probabilities; by default a twentieth of `images`, of less than 1,000
                a tenth.
            checkpoint: A folder from which a later `fit` with the same settings and data goes on
                where this one was interrupted, and ends with the same model. It is created where it
                is missing, and may be deleted afterwards.

        Returns:
            The reader itself.

        Raises:
            ValueError: If a setting is out of its range, or a picture or a string is invalid.
        """
        self.check_settings()
        verbose = self.keras_verbose()
        known = data.given_images(images, strings, verbose=verbose)
        if validation_data is None:
            known, validation = data.split_validation(known, "the training data")
        else:
            shape = known.pixels.shape[1:]
            validation = data.given_validation(validation_data, shape, verbose=verbose)
        alphabet, length = data.classes_and_length(known, validation)
        epochs = self.epochs or training.default_epochs(len(known))
        of_data = [(each.pixels, each.texts) for each in (known, validation)]
        checkpoints = self.checkpoints(checkpoint, *of_data)
        with self.seeded():
            model = build_string_reader(
                known.pixels.shape[1:],
                length,
                len(alphabet),
                filters=self.filters,
                units=self.units,
                dropout=self.dropout,
                alphabet=alphabet,
                loss_kind=self.loss,
            )
            history = training.train(
                model,
                known,
                validation,
                loss=training.make_loss(self.loss, length, len(alphabet), self.label_smoothing),
                epochs=epochs,
                batch_size=self.batch_size,
                seed=self.seed,
                distort=self.distort,
                # One softmax over all positions is there to be compared with, mistake and all.
                diagnosis=self.diagnosis and self.loss != "softmax",
                learning_rate=self.learning_rate,
                verbose=verbose,
                stage=checkpoints.stage("reader"),
            )
        # Smoothing and sigmoids leave the network less sure than it is right.
        logits, characters = evaluation.characters(model, validation)
        require_finite(logits)
        divisor = temperature.best_temperature(logits, characters)
        temperature.divide_logits(model, divisor, ["characters"])
        model.update_legend(history=history)
        if verbose and training.still_improves(history):
            print(
                f"the validation scores were still rising after {epochs} epochs, at "
                f"{max(history['val_string_accuracy']):.1%} of the strings: more epochs, or more "
                "pictures, will read more"
            )
        with self.seeded():
            self.model_ = plain_copy(model)
        self.restore(self.model_.legend)
        return self

    def read(self, images: Any) -> list[tuple[str, float]]:
        """The most probable string of each picture, and its probability.

        Args:
            images: Pictures; they are brought to the size that the reader has learned from.

        Raises:
            ValueError: If a picture cannot be read.
        """
        return self._read(pixels.to_pixels(images, self.model_.input_shape[1:]))

    def predict(self, images: Any) -> numpy.ndarray:
        """The most probable string of each picture; see `read`."""
        return numpy.array([text for text, _ in self.read(images)], dtype=str)

    def score(self, images: Any, strings: Sequence[str]) -> float:
        """The share of the pictures whose whole string is read right."""
        return self.evaluate(images, strings)["string_accuracy"]

    def evaluate(self, images: Any, strings: Sequence[str]) -> dict[str, float]:
        """Measures how well pictures are read.

        Args:
            images: Pictures, as for `read`.
            strings: The string in each of them.

        Returns:
            The shares of characters and of whole strings that are read right,
            `character_accuracy` and `string_accuracy`.

        Raises:
            ValueError: If there is no picture, or if a picture or a string is invalid.
        """
        model = self.model_
        known = data.given_images(images, strings, model.input_shape[1:])
        data.require_readable(known, model.alphabet, model.output_shape[-1] // len(model.alphabet))
        found = self._read(known.pixels)
        return evaluation.score_texts([text for text, _ in found], known.texts)

    def restore(self, legend: dict[str, Any]) -> None:
        """Sets `history_`."""
        self.history_ = legend.get("history", {})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a file, in Keras's safe mode: nothing in it is executed.

        Args:
            path: What `save` has written; or a `StringReaderModel` with its alphabet, trained with
                a loss of `LOSS_KINDS` and saved by Keras.

        Raises:
            ValueError: If there is no such file, or it is damaged, or holds another model.
        """
        advice = f"name a file that {cls.__name__}.save has written"
        model = model_files.read_model(path, advice)
        if not isinstance(model, StringReaderModel) or not model.alphabet:
            raise UserError(
                f"{os.fspath(path)} holds a Keras model that is not a string reader with its "
                f"alphabet; {advice}"
            )
        loss = model_files.compiled_loss(path)
        if loss is not None and loss.lower().replace("_", "") not in _LOSSES:
            raise UserError(
                f"{os.fspath(path)} was trained with {loss}, whose logits do not say how probable "
                f"a character is; {advice}"
            )
        return cls.of_model(model, path)

    def __sklearn_tags__(self) -> Tags:
        """Pictures, or the paths of pictures, and a string for each."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        return tags

    def _read(self, array: numpy.ndarray) -> list[tuple[str, float]]:
        if not len(array):
            return []
        logits = evaluation.predict_logits(self.model_, array)
        return evaluation.readings(logits, self.model_.alphabet)
