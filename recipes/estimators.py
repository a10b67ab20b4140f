"""What every task of the recipes is: a scikit-learn estimator around a Keras model."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import keras
import numpy

try:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
except ModuleNotFoundError:
    raise ImportError('the tasks need scikit-learn: pip install "keras-ce[recipes]"') from None

from recipes._arguments import require_integer, require_seed
from recipes.legend import ModelWithLegend
from recipes.runs import model_files
from recipes.runs.checkpoints import Checkpoints
from recipes.runs.failures import UserError


class Task(BaseEstimator):
    """The base of `TextClassifier`, `AnswerRanker`, `StringReader` and `NextWord`.

    A task's `__init__` stores each setting under its name and does nothing else; `seed` and
    `verbose` are among them. What `fit` learned ends in `_`; before `fit`, such a name raises
    `NotFittedError`. A task provides:

    - `model_class`: the class of its Keras model, a `ModelWithLegend`;
    - `checks`: for each setting, a function of its name and its value that raises a `ValueError`
      (those of `recipes._arguments`). `fit` calls `check_settings()` first. `seed` and `verbose`
      are checked here;
    - `fit`, which works inside `with self.seeded():`, passes `verbose=self.keras_verbose()` to
      Keras, sets `self.model_`, whose legend holds all that the task must know again, and returns
      `self`;
    - `restore(legend)`, which sets, from that legend, what else `fit` learned (`classes_`, ...).

    Then saving, loading, pickle, joblib, deepcopy and `clone` work. A task of several models
    overrides `save` and `load`, and uses `recipes.runs.model_files`.
    """

    model_class: ClassVar[type[ModelWithLegend]]
    checks: ClassVar[Mapping[str, Callable[[str, Any], None]]] = {}

    seed: int
    verbose: int | str

    def check_settings(self) -> None:
        """Raises `UserError`, which is a `ValueError`, for the first setting that is no good."""
        require_seed("seed", self.seed)
        if self.verbose != "auto":
            require_integer("verbose", self.verbose, 0)
        for name, check in self.checks.items():
            check(name, getattr(self, name))

    def keras_verbose(self) -> int:
        """What `verbose` means for Keras: 0 nothing, 1 a progress bar, 2 one line per epoch."""
        if self.verbose == "auto":
            return 1 if sys.stdout.isatty() else 2
        return min(int(self.verbose), 2)

    @contextlib.contextmanager
    def seeded(self, seed: int | None = None) -> Iterator[None]:
        """Chance follows `seed` inside; Python's and NumPy's is afterwards what it was before.

        Args:
            seed: Another one than the task's own.
        """
        of_python, of_numpy = random.getstate(), numpy.random.get_state()
        keras.utils.set_random_seed(int(self.seed if seed is None else seed))
        try:
            yield
        finally:
            random.setstate(of_python)
            numpy.random.set_state(of_numpy)

    def checkpoints(self, folder: str | os.PathLike[str] | None, *data: Any) -> Checkpoints:
        """Where `fit` keeps its state, and goes on from.

        Args:
            folder: The argument `checkpoint` of `fit`; `None` to keep nothing.
            data: All that the training depends on beside the settings.
        """
        settings = {name: _as_json(value) for name, value in self.get_params().items()}
        settings.pop("verbose")
        return Checkpoints(folder, {"task": type(self).__name__, **settings}, data)

    def __getattr__(self, name: str) -> Any:
        """Says of what `fit` learns that it has not been called; anything else does not exist."""
        is_learned = name.endswith("_") and not name.startswith("_")
        if is_learned and not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"this {type(self).__name__} has no `{name}` yet: call `fit`, or `load` a saved one"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` or `load` has given a model."""
        return "model_" in vars(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one file: the model, and in it all that the task knows.

        Args:
            path: Where to; a file that is there is replaced. `keras.models.load_model` reads it
                too, if its name ends in `.keras` and after `import recipes`, which brings the
                layers that it is made of.

        Raises:
            NotFittedError: Before `fit`.
            UserError: If it cannot be written.
        """
        model = self.model_
        model.update_legend(**self.legend_entries())
        model_files.write_model(model, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what `save` has written, in Keras's safe mode: nothing in the file is executed.

        Raises:
            UserError: If there is no such file, or it is damaged, or not of this task.
        """
        advice = f"name a file that {cls.__name__}.save has written"
        model = model_files.read_model(path, advice)
        legend = model.legend if isinstance(model, ModelWithLegend) else {}
        if not isinstance(model, cls.model_class) or legend.get("task") != cls.__name__:
            made_by = f"by {legend['task']}" if "task" in legend else "elsewhere"
            raise UserError(f"{os.fspath(path)} holds a Keras model made {made_by}; {advice}")
        return cls.of_model(model, path)

    def legend_entries(self) -> dict[str, Any]:
        """What `of_model` must find in the legend of a model: task and settings."""
        return {"task": type(self).__name__, "settings": _as_json(self.get_params())}

    @classmethod
    def of_model(
        cls, model: ModelWithLegend, path: str | os.PathLike[str] = "the model's file"
    ) -> Self:
        """The task that a trained model belongs to, with the settings of its legend.

        Args:
            model: The model.
            path: The file that it was read from, for the message.

        Raises:
            UserError: If somebody has written another legend into the file.
        """
        legend = model.legend
        try:
            task = cls(**_from_json(legend.get("settings", {"items": []})))
            task.model_ = model
            task.restore(legend)
        except UserError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise UserError(
                f"{os.fspath(path)} holds a model of {cls.__name__} with a damaged legend "
                f"({' '.join(str(error).split())}); copy the file again"
            ) from None
        return task

    def restore(self, legend: dict[str, Any]) -> None:
        """Sets what `fit` learned beside the model, from the model's legend."""


def plain_copy(model: keras.Model) -> keras.Model:
    """A model without its optimizer: a third of the size, and loading it needs no loss."""
    plain = type(model).from_config(model.get_config())
    plain.set_weights(model.get_weights())
    return plain


def _as_json(value: Any) -> Any:
    """Settings as JSON can hold them: a dict, whose keys may be numbers, as its items."""
    if isinstance(value, Mapping):
        return {"items": [[_as_json(key), _as_json(each)] for key, each in value.items()]}
    if isinstance(value, numpy.ndarray | numpy.generic):
        return _as_json(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_json(each) for each in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {_from_json(key): _from_json(each) for key, each in value["items"]}
    return [_from_json(each) for each in value] if isinstance(value, list) else value
