"""What a model carries in its own file: the meaning of its numbers.

`keras.models.clone_model` copies layers by their configs and drops whatever else hangs on a model.
So what a model knows beside its weights stands in the config of one of its layers.
"""

from __future__ import annotations

import json
from typing import Any

import keras
from keras import layers

NAME = "legend"


@keras.saving.register_keras_serializable(package="keras_ce")
class Legend(layers.Layer):
    """Passes its inputs on unchanged; its config says what the numbers of the model stand for.

    Args:
        entries: Such as `{"vocabulary": ["", "[unknown]", "the"]}`; what JSON can hold.
    """

    def __init__(self, entries: dict[str, Any], **options: Any) -> None:
        """See the class."""
        super().__init__(**options)
        self.supports_masking = True
        # As text: Keras would take a dict for something that holds weights, and watch it.
        self._text = json.dumps(entries)

    @property
    def entries(self) -> dict[str, Any]:
        """A copy of the entries."""
        return dict(json.loads(self._text))

    def update(self, **entries: Any) -> None:
        """Adds entries, or replaces them: what was learned after the model was built."""
        self._text = json.dumps(self.entries | entries)

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {**super().get_config(), "entries": self.entries}


def with_legend(inputs: Any, **entries: Any) -> Any:
    """The inputs of a model, marked with what its numbers stand for.

    Args:
        inputs: A symbolic tensor, or several: all models that are built on them have the legend.
        entries: What JSON can hold; empty ones are left out.

    Returns:
        What the next layer takes; `inputs` themselves where there is no entry.
    """
    present = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in entries.items()
        if value is not None and len(value) > 0
    }
    if not present:
        return inputs
    layer = Legend(present, name=NAME)
    return [layer(each) for each in inputs] if isinstance(inputs, list) else layer(inputs)


@keras.saving.register_keras_serializable(package="keras_ce")
class ModelWithLegend(keras.Model):
    """A functional model that may begin with a `Legend`."""

    @property
    def legend(self) -> dict[str, Any]:
        """What the numbers of the model stand for; empty where it was built without."""
        layer = self._legend_layer()
        return {} if layer is None else layer.entries

    def update_legend(self, **entries: Any) -> None:
        """Adds entries to the legend, or replaces them.

        Raises:
            ValueError: If the model was built without a legend.
        """
        layer = self._legend_layer()
        if layer is None:
            raise ValueError("the model was built without a legend: give its builder one entry")
        layer.update(**entries)

    def _legend_layer(self) -> Legend | None:
        return next((layer for layer in self.layers if isinstance(layer, Legend)), None)
