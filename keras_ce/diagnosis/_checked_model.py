"""What all entry points ask of a model and its loss."""

from typing import Any

import keras


def checked_model(model: Any) -> None:
    """Raises unless it is a built model.

    Raises:
        TypeError: it is not a `keras.Model`.
        ValueError: it is not built.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a `keras.Model`. Received: {model!r} (of type "
            f"{type(model).__name__})."
        )
    if not model.built:
        raise ValueError(
            f"`model` must be built, so that there are weights to look at. Received: "
            f"{model.name!r}, which has not seen an input yet. Call it on one batch first."
        )


def checked_loss(model: Any, loss: Any) -> Any:
    """The loss that is given, else the one that the model was compiled with.

    Raises:
        ValueError: there is neither.
    """
    if loss is None and not model.compiled:
        raise ValueError(
            "`loss` is missing: the model is not compiled. Call `model.compile(loss=...)` first, "
            "or give `loss`."
        )
    return model.loss if loss is None else loss
