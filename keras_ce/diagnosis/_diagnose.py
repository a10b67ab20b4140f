"""`diagnose`: reads a sample, runs the model on it, and goes through the table of checks."""

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_ce.diagnosis import _numerics, _pairing, _weights
from keras_ce.diagnosis._activation import with_random_weights
from keras_ce.diagnosis._checked_model import checked_loss, checked_model
from keras_ce.diagnosis._checks import CHECKS, Context, Examined, before_examination
from keras_ce.diagnosis._outputs import Output, collect, measure_ends, unclear_outputs
from keras_ce.diagnosis._random_state import kept_random_state
from keras_ce.diagnosis._report import Finding, Report
from keras_ce.diagnosis._run import ModelError, rows_at_once, run
from keras_ce.diagnosis._sample import Batch, InputError, is_stream, read_batches
from keras_ce.diagnosis._user_code import UserCodeError, described


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
        context = Context(model, x, batches, loss, len(outputs), is_finite)
        if outputs:
            findings += _checked("", _weights.ignored_weights, model, batches, outputs)
        for index, output in enumerate(outputs):
            findings += _findings_of(before_examination(output, index, context))
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


def _findings_of(examined: Examined) -> list[Finding]:
    """The findings of one output, check by check."""
    for needs, checks in itertools.groupby(CHECKS, key=lambda check: check.needs):
        if not needs(examined):
            continue
        for check in checks:
            name = examined.output.name
            found = _checked(name, check.look, examined, what=check.name)
            examined.findings += found
            examined.found_in_labels |= check.is_of_labels and bool(found)
    return examined.findings


def _checked(
    output: str, check: Callable[..., Iterator[Finding]], *arguments: Any, what: str = ""
) -> list[Finding]:
    """The findings of a check, or a note that it fails."""
    findings: list[Finding] = []
    what = what or check.__name__.replace("_", " ")
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


def _not_checked(what: str, error: Exception, output: str) -> Finding:
    fix = "Please report this, with the shapes of labels and outputs."
    if isinstance(error, UserCodeError):
        fix = "It is raised where the model, its loss or a metric is called: look there."
    message = f"{what} could not be looked at: {described(error)}"
    return Finding("not-checked", "note", message, fix, output)


def _model_fails(error: ModelError) -> Finding:
    return Finding(
        "model-fails",
        "error",
        f"The model does not run on the first rows: {error}",
        "Compare the shape and dtype of the inputs with `model.input_shape`.",
    )
