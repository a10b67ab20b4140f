"""The table of what is looked for in each output of a model: codes, needs, and who looks.

Each check sees at most the rows of the sample, a few thousand, and the few hundred of them that the
model and its loss were run on: that bounds its memory and its time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_ce.diagnosis import (
    _balance,
    _embeddings,
    _label_kinds,
    _label_rows,
    _metrics,
    _model_output,
    _numerics,
    _structure,
    _weights,
)
from keras_ce.diagnosis._labels import Labels, labels_of
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._report import Finding
from keras_ce.diagnosis._sample import Batch, is_stream
from keras_ce.diagnosis._user_code import UserCodeError, call_user_code

# What `get_config` and Keras raise for what cannot be saved, which is no mistake.
_NO_CONFIG = (AttributeError, NotImplementedError, TypeError, ValueError)


class Context:
    """What the checks of an output need to know beyond it."""

    def __init__(
        self,
        model: Any,
        x: Any,
        batches: list[Batch],
        loss: Any,
        outputs: int,
        is_finite: bool,
    ) -> None:
        self.model = model
        self.inputs = [keras.tree.flatten(batch.x) for batch in batches]
        self.ignored_losses = _structure.ignored_losses(loss, outputs)
        self.is_finite = is_finite
        self.is_stream = is_stream(x)
        # Those of the model, or of a dataset as keras.utils.image_dataset_from_directory has them.
        names = getattr(model, "class_names", None) or getattr(x, "class_names", None)
        self.class_names = list(names or [])
        # Keras takes `class_weight` for one output, without weights, and from no generator.
        is_dataset = isinstance(x, keras.utils.PyDataset) or hasattr(x, "element_spec")
        self.takes_class_weight = (
            outputs == 1
            and (is_dataset or not self.is_stream)
            and all(batch.sample_weight is None for batch in batches)
        )
        self.number_of_outputs = outputs

    def inputs_differ(self) -> bool:
        """Whether rows of the inputs differ at all."""
        for leaves in self.inputs:
            for leaf in leaves:
                array = np.asarray(leaf)
                if len(array) and (array != array[:1]).any():
                    return True
        return False

    def is_reconstruction(self, output: Output) -> bool:
        """Whether the labels are the inputs themselves, as an autoencoder's."""
        label = output.pairs[0].y_true
        return any(
            np.shape(leaf) == np.shape(label) and np.array_equal(leaf, label)
            for leaf in self.inputs[0]
        )

    def metrics(self, output: Output, index: int) -> list[Any]:
        """The metrics of one output, as the configuration of `compile` names them.

        Raises:
            UserCodeError: a metric or loss fails to describe itself.
        """
        try:
            config = call_user_code(self.model.get_compile_config) or {}
        except UserCodeError as error:
            if isinstance(error.__cause__, _NO_CONFIG):
                return []
            raise
        found: list[Any] = []
        for part in (config.get("metrics"), config.get("weighted_metrics")):
            if isinstance(part, Mapping) and "class_name" not in part:
                part = part.get(output.name)
            elif isinstance(part, list) and self.number_of_outputs > 1:
                part = part[index] if len(part) == self.number_of_outputs else None
            found += part if isinstance(part, list) else [part]
        return found


@dataclasses.dataclass
class Examined:
    """One output of a model, and what has been found in it so far."""

    output: Output
    index: int
    """Of the output in the model."""
    context: Context
    labels: Labels | None
    findings: list[Finding] = dataclasses.field(default_factory=list)
    found_in_labels: bool = False

    @property
    def own_labels(self) -> Labels:
        """The labels, for checks that need them."""
        assert self.labels is not None
        return self.labels

    def has_loss(self) -> bool:
        """The output has a loss."""
        return self.output.loss is not None

    def has_rows(self) -> bool:
        """The output is more than one number for all rows."""
        return self.has_loss() and bool(self.output.shape)

    def has_labels(self) -> bool:
        """The loss takes labels, and they can be read."""
        return self.has_rows() and self.labels is not None

    def labels_are_fine(self) -> bool:
        """Nothing was found in the labels so far."""
        return self.has_labels() and not self.found_in_labels

    def is_embedding(self) -> bool:
        """The loss takes embeddings."""
        return self.has_rows() and self.output.kind.family == "embedding"

    def activation_is_right(self) -> bool:
        """The output is no embedding, and ends in an activation that the loss may take."""
        codes = {finding.code for finding in self.findings}
        return self.has_rows() and not self.is_embedding() and "wrong-activation" not in codes

    def is_sound(self) -> bool:
        """No error was found so far, and the loss runs: its numbers say something."""
        return self.has_rows() and not self.output.failure and not self._has_errors()

    def only_fails(self) -> bool:
        """The loss raises, and no error was found that says why."""
        says_why = self.has_rows() and self._has_errors()
        return self.has_loss() and bool(self.output.failure) and not says_why

    def data_is_finite(self) -> bool:
        """No input and no weight is NaN or infinite."""
        return self.context.is_finite

    def _has_errors(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)


class Check(NamedTuple):
    """A line of the table."""

    name: str
    """What could not be looked at, where the check itself fails."""
    codes: tuple[str, ...]
    """Of the findings that it can have."""
    needs: Callable[[Examined], bool]
    """Whether there is anything to look at."""
    look: Callable[[Examined], Iterator[Finding]]
    is_of_labels: bool = False
    """Whether what it finds are mistakes of the labels."""


def first_loss_only(examined: Examined) -> Iterator[Finding]:
    """A list of losses for one output, of which Keras takes the first."""
    if not examined.context.ignored_losses:
        return
    number = len(examined.context.ignored_losses) + 1
    yield Finding(
        "first-loss-only",
        "error",
        f"`loss` is a list of {number} losses for one output: Keras trains on the first, "
        f"{examined.output.kind.name}, and drops the rest.",
        "Write one function that returns their sum.",
        examined.output.name,
    )


def loss_fails(examined: Examined) -> Iterator[Finding]:
    """A loss that raises."""
    output = examined.output
    shapes = f"labels {np.shape(output.pairs[0].y_true)}, outputs {output.shape}"
    yield Finding(
        "loss-fails",
        "error",
        f"{output.kind.name} raises on {shapes}: {output.failure}",
        "Give labels of the shape that the loss expects.",
        output.name,
    )


def metric_findings(examined: Examined) -> Iterator[Finding]:
    """The metrics of `compile`."""
    metrics = examined.context.metrics(examined.output, examined.index)
    yield from _metrics.metric_findings(examined.output, examined.labels, metrics)


def imbalance(examined: Examined) -> Iterator[Finding]:
    """How often the classes occur."""
    output, context = examined.output, examined.context
    yield from _balance.imbalance(
        output,
        examined.own_labels,
        context.is_reconstruction(output),
        context.class_names,
        context.takes_class_weight,
    )


# In this order: what a later check would misread is found by an earlier one. Neighbours that need
# the same are asked together: what one of them finds does not keep the next from looking.
CHECKS = (
    Check(
        "non finite outputs",
        ("non-finite",),
        Examined.data_is_finite,
        lambda examined: _numerics.non_finite_outputs(examined.output),
    ),
    Check("first loss only", ("first-loss-only",), Examined.has_rows, first_loss_only),
    Check(
        "activation findings",
        ("double-softmax", "logits-as-probabilities", "wrong-activation"),
        Examined.has_rows,
        lambda examined: _model_output.activation_findings(examined.output),
    ),
    Check(
        "non finite labels",
        ("non-finite",),
        Examined.has_rows,
        lambda examined: _numerics.non_finite_labels(examined.output, examined.output.kind.is_ours),
    ),
    Check(
        "collapse",
        ("collapse",),
        Examined.is_embedding,
        lambda examined: _embeddings.collapse(examined.output, examined.context.inputs_differ()),
    ),
    Check(
        "constant output",
        ("constant-output",),
        Examined.activation_is_right,
        lambda examined: _model_output.constant_output(
            examined.output, examined.context.inputs_differ()
        ),
    ),
    Check(
        "metric findings",
        ("accuracy-on-logits", "contradicting-metric"),
        Examined.has_rows,
        metric_findings,
    ),
    Check(
        "label findings",
        ("label-kind", "label-out-of-range", "half-precision-ids"),
        Examined.has_labels,
        lambda examined: _label_kinds.label_findings(examined.output, examined.own_labels),
        True,
    ),
    Check(
        "labels row by row",
        (
            "exclusive-with-sigmoid",
            "grouped-labels",
            "multi-label-with-softmax",
            "not-a-distribution",
        ),
        Examined.labels_are_fine,
        lambda examined: _label_rows.row_findings(examined.output, examined.own_labels),
        True,
    ),
    Check(
        "constant labels",
        ("constant-labels",),
        Examined.labels_are_fine,
        lambda examined: _balance.constant_labels(examined.output, examined.own_labels),
        True,
    ),
    Check("imbalance", ("imbalance",), Examined.labels_are_fine, imbalance, True),
    Check(
        "positives",
        ("without-positives",),
        lambda examined: examined.is_embedding() and examined.labels_are_fine(),
        lambda examined: _embeddings.without_positives(examined.output, examined.context.is_stream),
        True,
    ),
    Check("loss", ("loss-fails",), Examined.only_fails, loss_fails),
    Check(
        "non finite losses",
        ("non-finite",),
        Examined.is_sound,
        lambda examined: _numerics.non_finite_losses(examined.output),
    ),
    Check(
        "weight findings",
        ("broadcast", "weights-along-time"),
        Examined.is_sound,
        lambda examined: _weights.weight_findings(examined.output),
    ),
    Check(
        "broadcast",
        ("broadcast",),
        Examined.is_sound,
        lambda examined: _weights.broadcast(examined.output),
    ),
    Check(
        "initial loss",
        ("initial-loss",),
        Examined.is_sound,
        lambda examined: _numerics.initial_loss(examined.output),
    ),
    Check(
        "dead gradient",
        ("dead-gradient",),
        Examined.is_sound,
        lambda examined: _numerics.dead_gradient(examined.output),
    ),
)


def before_examination(output: Output, index: int, context: Context) -> Examined:
    """An output before its examination."""
    labels = labels_of(output) if output.loss is not None and output.shape else None
    return Examined(output, index, context, labels)
