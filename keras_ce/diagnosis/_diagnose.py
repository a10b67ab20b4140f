"""`diagnose`: reads a sample, runs the model on it, and asks each family of findings."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

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
    _pairing,
    _structure,
    _weights,
)
from keras_ce.diagnosis._activation import with_random_weights
from keras_ce.diagnosis._checked_model import checked_loss, checked_model
from keras_ce.diagnosis._labels import Labels, labels_of
from keras_ce.diagnosis._outputs import Output, collect, measure_ends, unclear_outputs
from keras_ce.diagnosis._random_state import kept_random_state
from keras_ce.diagnosis._report import Finding, Report
from keras_ce.diagnosis._run import ModelError, rows_at_once, run
from keras_ce.diagnosis._sample import Batch, InputError, is_stream, read_batches
from keras_ce.diagnosis._user_code import UserCodeError, call_user_code, described

# What `get_config` and Keras raise for what cannot be saved, which is no mistake.
_NO_CONFIG = (AttributeError, NotImplementedError, TypeError, ValueError)


def diagnose(
    model: Any, x: Any, y: Any = None, *, loss: Any = None, sample_weight: Any = None
) -> Report:
    """What is wrong with a model, its loss and its data, before a night is spent on them.

    Looks at up to 5,000 rows: at their labels, and for a few seconds at what the model makes of
    them. Changes nothing: weights, optimizer, metrics, seeds and arrays are as before. (What
    cannot be read twice is read once: the batches of a generator, and one order of a
    `tf.data.Dataset` that shuffles.) `docs/diagnosis.md` explains every code.

    Args:
        model: a built `keras.Model`: sequential, functional or subclassed.
        x: inputs: arrays, tensors, lists or dicts of them; or a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, or a generator of batches (inputs, labels, sample_weight).
        y: labels, in the structure of the outputs; left out where `x` gives batches.
        loss: a loss, its name, a function, or a list or dict of them as in `compile`; by default
            the one that the model was compiled with.
        sample_weight: as in `fit`.

    Returns:
        The report: `report.findings`, the worst first; `print(report)` shows a table;
        `report.raise_if_errors()` is for scripts, `report.to_dict()` for JSON. A healthy model
        has no findings.

    Raises:
        TypeError: `model` is not a `keras.Model`.
        ValueError: the model is not built, or neither compiled nor given a loss; the data is
            empty, cannot be read, or does not fit the model's outputs.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> model.compile("adam", "sparse_categorical_crossentropy")
        >>> report = keras_ce.diagnose(model, np.eye(2), np.array([1, 2]))
        >>> [finding.code for finding in report.errors]
        ['logits-as-probabilities']
    """
    checked_model(model)
    loss = checked_loss(model, loss)
    with kept_random_state(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the data or the model warns of is for `fit`
        batches = read_batches(x, y, sample_weight, rows_at_once(model, x))
        findings = list(_numerics.non_finite_data(batches))
        findings += _checked("", _numerics.non_finite_weights, model)
        is_finite = not findings
        collected = _tried(
            findings, "the outputs", "", _collected, model, batches, loss, is_stream(x), findings
        )
        outputs, output_rows = collected or ([], 0)
        context = _Context(model, x, batches, loss, len(outputs), is_finite)
        if outputs:
            findings += _checked("", _weights.ignored_weights, model, batches, outputs)
        for index, output in enumerate(outputs):
            findings += _findings_of(output, context, index)
    return Report(findings, sum(batch.rows for batch in batches), output_rows)


def _collected(
    model: Any, batches: list[Batch], loss: Any, is_batches: bool, findings: list[Finding]
) -> tuple[list[Output], int]:
    """The outputs with what they end in, and how many rows of them there are."""
    try:
        outputs, rows, structure = collect(model, batches, loss)
    except ModelError as error:
        findings.append(_model_fails(error))
        return [], 0
    findings += _checked(
        "", _pairing.structure_mismatch, model, structure, batches[0], loss, is_batches
    )
    unclear = unclear_outputs(outputs)
    if unclear:
        few = keras.tree.map_structure(lambda leaf: leaf[:32], batches[0].x)
        what = "the outputs with other weights"
        others = _tried(findings, what, "", with_random_weights, model, run, few)
        measure_ends(outputs, unclear, others)
    return outputs, rows


class _Context:
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


def _findings_of(output: Output, context: _Context, index: int) -> list[Finding]:
    """The findings of one output: first what its loss expects, then numbers if that fits."""
    name = output.name
    findings: list[Finding] = []
    if context.is_finite:
        findings += _checked(name, _numerics.non_finite_outputs, output)
    if output.loss is None:
        return findings
    if not output.shape:  # one number for all rows: nothing can be told row by row
        return [*findings, _loss_fails(output)] if output.failure else findings
    if context.ignored_losses:
        findings.append(_first_loss_only(output, context))
    findings += _checked(name, _model_output.activation_findings, output)
    findings += _checked(name, _numerics.non_finite_labels, output, output.kind.is_ours)
    if output.kind.family == "embedding":
        findings += _checked(name, _embeddings.collapse, output, context.inputs_differ())
    elif not any(finding.code == "wrong-activation" for finding in findings):
        findings += _checked(name, _model_output.constant_output, output, context.inputs_differ())
    found_in_labels = []
    labels = labels_of(output)
    findings += _checked(name, _metric_findings, output, labels, context, index)
    if labels is not None:
        found_in_labels += _checked(name, _label_kinds.label_findings, output, labels)
        if not found_in_labels:
            found_in_labels += _checked(name, _label_rows.row_findings, output, labels)
            found_in_labels += _checked(name, _balance.constant_labels, output, labels)
            found_in_labels += _checked(
                name,
                _balance.imbalance,
                output,
                labels,
                context.is_reconstruction(output),
                context.class_names,
                context.takes_class_weight,
            )
        if output.kind.family == "embedding" and not found_in_labels:
            found_in_labels += _checked(
                name, _embeddings.without_positives, output, context.is_stream
            )
    findings += found_in_labels
    if any(finding.severity == "error" for finding in findings):
        return findings
    if output.failure:
        return [*findings, _loss_fails(output)]
    for check in (
        _numerics.non_finite_losses,
        _weights.weight_findings,
        _weights.broadcast,
        _numerics.initial_loss,
        _numerics.dead_gradient,
    ):
        findings += _checked(name, check, output)
    return findings


def _checked(
    output: str, check: Callable[..., Iterator[Finding]], *arguments: Any
) -> list[Finding]:
    """The findings of a check, or a note that it fails."""
    findings: list[Finding] = []
    what = check.__name__.replace("_", " ").strip()
    found = _tried(findings, what, output, lambda: list(check(*arguments)))
    return found or findings


def _tried(
    findings: list[Finding], what: str, output: str, function: Callable[..., Any], *arguments: Any
) -> Any:
    """What a function returns; or None, and a note with the error in `findings`."""
    try:
        return function(*arguments)
    except InputError:
        raise  # the caller's mistake, which `diagnose` promises to raise
    except Exception as error:  # the promise: no traceback out of the diagnosis itself
        findings.append(_not_checked(what, error, output))
        return None


def _metric_findings(
    output: Output, labels: Labels | None, context: _Context, index: int
) -> Iterator[Finding]:
    yield from _metrics.metric_findings(output, labels, context.metrics(output, index))


def _not_checked(what: str, error: Exception, output: str) -> Finding:
    fix = "Please report this, with the shapes of labels and outputs."
    if isinstance(error, UserCodeError):
        fix = "It is raised where the model, its loss or a metric is called: look there."
    message = f"{what} could not be looked at: {described(error)}"
    return Finding("not-checked", "note", message, fix, output)


def _first_loss_only(output: Output, context: _Context) -> Finding:
    number = len(context.ignored_losses) + 1
    return Finding(
        "first-loss-only",
        "error",
        f"`loss` is a list of {number} losses for one output: Keras trains on the first, "
        f"{output.kind.name}, and drops the rest.",
        "Write one function that returns their sum.",
        output.name,
    )


def _model_fails(error: ModelError) -> Finding:
    return Finding(
        "model-fails",
        "error",
        f"The model does not run on the first rows: {error}",
        "Compare the shape and dtype of the inputs with `model.input_shape`.",
    )


def _loss_fails(output: Output) -> Finding:
    shapes = f"labels {np.shape(output.pairs[0].y_true)}, outputs {output.shape}"
    return Finding(
        "loss-fails",
        "error",
        f"{output.kind.name} raises on {shapes}: {output.failure}",
        "Give labels of the shape that the loss expects.",
        output.name,
    )
