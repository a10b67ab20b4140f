"""Which loss, labels and weights belong to which output, as `compile` and `fit` pair them."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_ce.diagnosis._sample import InputError

Path = tuple[Any, ...]


def output_paths(y_pred: Any) -> list[Path]:
    """The place of each output in what the model returns."""
    return [tuple(path) for path, _ in keras.tree.flatten_with_path(y_pred)]


def output_names(model: Any, y_pred: Any) -> list[str]:
    """A name for each output, as a user knows it; one alone has an empty one."""
    paths = output_paths(y_pred)
    if len(paths) == 1 and not paths[0]:
        return [""]
    names = list(getattr(model, "output_names", None) or [])
    if isinstance(y_pred, Mapping) or len(names) != len(paths) or len(set(names)) != len(names):
        return ["/".join(map(str, path)) for path in paths]
    return names


def losses_of_outputs(loss: Any, names: list[str], paths: list[Path], model: Any) -> list[Any]:
    """What was given as the loss of each output, or None."""
    if not isinstance(loss, (list, tuple, Mapping)) or _is_config(loss):
        return [loss] * len(names)
    if len(names) == 1 and isinstance(loss, (list, tuple)):
        return [loss[0] if len(loss) else None]
    if len(names) == 1 and isinstance(loss, Mapping) and len(loss) == 1:
        (key,) = loss
        known = {*names, *map(str, paths[0]), *(getattr(model, "output_names", None) or [])}
        if str(key) in known:
            return [loss[key]]
    return _assign(loss, names, paths, "loss")


def ignored_losses(loss: Any, number_of_outputs: int) -> list[Any]:
    """The losses after the first one in a list for one output."""
    if number_of_outputs != 1 or not isinstance(loss, (list, tuple)):
        return []
    return [each for each in loss[1:] if each is not None]


def parts_of_outputs(
    value: Any, names: list[str], paths: list[Path], has_loss: list[bool], what: str
) -> list[Any]:
    """The labels or weights of each output, or None.

    Raises:
        ValueError: there are more or fewer than outputs, or other names.
    """
    number = len(names)
    leaves = keras.tree.flatten(value)
    if value is None:
        return [None] * number
    if what == "sample_weight" and len(leaves) == 1 and not isinstance(value, Mapping):
        return [leaves[0]] * number  # one for all, as in Keras
    if number == 1 and len(leaves) == 1:
        return [leaves[0]]
    if not isinstance(value, Mapping) and len(leaves) == sum(has_loss) != number:
        rest = iter(leaves)
        return [next(rest) if has else None for has in has_loss]
    return _assign(value, names, paths, what)


def _assign(value: Any, names: list[str], paths: list[Path], what: str) -> list[Any]:
    """Entries of a structure by path, by name or by position."""
    by_path = {
        tuple(path): leaf for path, leaf in keras.tree.flatten_with_path(value) if leaf is not None
    }
    is_complete = isinstance(value, Mapping) or len(keras.tree.flatten(value)) == len(paths)
    if by_path and is_complete and set(by_path) <= set(paths):
        return [by_path.get(path) for path in paths]
    if isinstance(value, Mapping):
        if set(value) <= set(names):
            return [value.get(name) for name in names]
    elif len(value) == len(names):
        return list(value)
    shown = list(value) if isinstance(value, Mapping) else f"{len(keras.tree.flatten(value))} parts"
    raise InputError(
        f"`{what}` must match the outputs of the model. Received: {what} with {shown} for the "
        f"outputs {[name or 'the only one' for name in names]}. Give one entry for each output, "
        "by name or in their order."
    )


def _is_config(loss: Any) -> bool:
    return isinstance(loss, Mapping) and "class_name" in loss
