"""The metrics of `compile`, against what the loss takes outputs and labels for."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

import keras_ce.metrics
from keras_ce.diagnosis._labels import Labels, are_numbers
from keras_ce.diagnosis._losses import FunctionLoss
from keras_ce.diagnosis._outputs import Output
from keras_ce.diagnosis._report import Finding, Severity
from keras_ce.diagnosis._written import call, written

KERAS = keras.metrics

_OF_IDS = ("SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy")
_OF_ROWS = ("CategoricalAccuracy", "TopKCategoricalAccuracy")
_OF_DISTANCES = ("MeanAbsoluteError", "MeanSquaredError", "RootMeanSquaredError")
_ACCURACY = ("accuracy", "acc")
_THRESHOLDS = ("threshold", "thresholds")


class _Metric:
    """One metric of `compile`: its class, its arguments, and how the user wrote it."""

    def __init__(self, kind: type, config: Mapping[str, Any], shown: str, by_keras: bool) -> None:
        self.kind = kind
        self.config = dict(config)
        self.shown = shown
        self.is_chosen_by_keras = by_keras
        self.name = kind.__name__
        self.is_ours = kind is getattr(keras_ce.metrics, kind.__name__, None)
        self.arguments = set(inspect.signature(kind).parameters)

    def written(self, **changes: Any) -> str:
        """The metric as a call; its name in the logs stays."""
        return call(self.kind, {**self.config, **changes})


def metric_findings(output: Output, labels: Labels | None, metrics: list[Any]) -> Iterator[Finding]:
    """`accuracy-on-logits` and `contradicting-metric`, the first of each."""
    known = [each for each in (_metric(output, given) for given in metrics) if each is not None]
    for check in (_on_logits, _of_ours, lambda output, metric: _of_labels(output, metric, labels)):
        for metric in known:
            finding = check(output, metric)
            if finding is not None:
                yield finding
                break


def _metric(output: Output, given: Any) -> _Metric | None:
    """A metric as the configuration of `compile` has it, if Keras or this package has it."""
    if isinstance(given, str):
        if given.lower() in _ACCURACY:
            label = output.pairs[0].y_true
            if label is None or not output.shape:
                return None
            kind = _chosen_by_keras(np.shape(label), output.shape)
            return _Metric(kind, {"name": given}, given, True)
        try:
            made = KERAS.get(given)
        except (ValueError, TypeError):
            return None
        if not isinstance(made, KERAS.Metric):
            return None
        return _Metric(type(made), {**made.get_config(), "name": given}, given, False)
    if not isinstance(given, Mapping) or "class_name" not in given:
        return None
    module = str(given.get("module") or "")
    registered = str(given.get("registered_name") or "")
    name = given["class_name"]
    is_ours = registered.startswith("keras_ce>")
    found = getattr(keras_ce.metrics if is_ours else KERAS, name, None)
    if found is None or not (is_ours or module.partition(".")[0] == "keras"):
        return None
    return _Metric(found, given.get("config", {}), name, False)


def _chosen_by_keras(labels: tuple[int, ...], outputs: tuple[int, ...]) -> type:
    """What Keras takes "accuracy" for."""
    if outputs[-1] == 1:
        return KERAS.BinaryAccuracy
    if len(labels) < len(outputs) or labels[-1] == 1:
        return KERAS.SparseCategoricalAccuracy
    return KERAS.CategoricalAccuracy


def _on_logits(output: Output, metric: _Metric) -> Finding | None:
    """A metric of Keras that takes logits for probabilities."""
    kind, config = output.kind, metric.config
    if metric.is_ours or not kind.from_logits or kind.family not in ("sigmoid", "softmax"):
        return None
    is_sigmoid = kind.family == "sigmoid"
    if metric.name == "BinaryAccuracy" and not is_sigmoid:
        return None  # contradicting-metric says it
    why = "takes the outputs for probabilities"
    has_many = "num_thresholds" in metric.arguments
    argument = next(
        (each for each in _THRESHOLDS if each in metric.arguments and not has_many), None
    )
    if argument is not None:
        # F1 without a threshold takes the largest output, and so does the best of k.
        default = None if metric.name in ("F1Score", "FBetaScore") else 0.5
        threshold = config.get(argument, default)
        if threshold is None and default is not None and config.get("top_k") is None:
            threshold = 0.5
        if threshold not in (0.5, [0.5], (0.5,)):
            return None
        why = "counts an output above 0.5 as yes"
        fix = _without_threshold(output, metric, argument)
    elif has_many and not config.get("from_logits"):
        # Thresholds of its own, between 0 and 1.
        takes_logits = is_sigmoid and "from_logits" in metric.arguments
        fix = metric.written(from_logits=True) if takes_logits else _with_activation(output)
    elif "from_logits" in metric.arguments and not config.get("from_logits"):
        fix = metric.written(from_logits=True)
    else:
        return None
    if fix[0] == "k":
        fix = f"In place of {metric.shown!r} write {fix}."
    return Finding(
        "accuracy-on-logits",
        "error",
        f"The metric {metric.shown!r} {why}, and {kind.name} takes them for logits"
        + (
            ", where yes begins at 0: outputs from 0 to 0.5 are counted wrong."
            if argument and is_sigmoid
            else ": what it measures means nothing."
        ),
        fix,
        output.name,
    )


def _without_threshold(output: Output, metric: _Metric, argument: str) -> str:
    if metric.name in ("F1Score", "FBetaScore"):
        if output.kind.family == "softmax":
            return metric.written(threshold=None)
        if metric.name == "F1Score":  # Keras's takes no threshold of 0.
            config = {**metric.config, "from_logits": True}
            return call(keras_ce.metrics.F1Score, config)
        return _with_activation(output)
    if output.kind.family == "softmax":
        return _with_activation(output)
    return metric.written(**{argument: 0.0})


def _with_activation(output: Output) -> str:
    activation = "sigmoid" if output.kind.family == "sigmoid" else "softmax"
    fix = f"End the model in activation={activation!r} and "
    if isinstance(output.loss, FunctionLoss):
        return f"{fix}give from_logits=False to the loss that the function calls."
    if "from_logits" not in output.loss.get_config():
        return f"{fix}take a loss of probabilities, or leave the metric out."
    return f"{fix}write {written(output, from_logits=False)}."


def _of_ours(output: Output, metric: _Metric) -> Finding | None:
    """A metric of ours whose `from_logits` is not that of the loss, where it makes a difference."""
    of_loss = output.kind.from_logits
    if not metric.is_ours or of_loss is None:
        return None
    # The largest of several scores is the same.
    has_threshold = metric.config.get("threshold") is not None or output.num_classes == 1
    makes_a_difference = has_threshold or metric.name == "ExpectedCalibrationError"
    if not makes_a_difference or metric.config.get("from_logits", of_loss) == of_loss:
        return None
    takes, gets = ("probabilities", "logits") if of_loss else ("logits", "probabilities")
    return Finding(
        "accuracy-on-logits",
        "error",
        f"The metric {metric.name} takes the outputs for {takes} (from_logits={not of_loss}), and "
        f"{output.kind.name} for {gets}: what it measures means nothing.",
        f"Write {metric.written(from_logits=of_loss)}.",
        output.name,
    )


def _of_labels(output: Output, metric: _Metric, labels: Labels | None) -> Finding | None:
    """A metric of other labels than those of the loss."""
    if labels is None or not are_numbers(labels.values) or metric.is_ours:
        return None
    family, number, form, name = output.kind.family, output.num_classes, labels.form, metric.name
    values = np.asarray(labels.counted, "float64")
    accuracies = (*_OF_IDS, *_OF_ROWS)
    severity: Severity = "error"
    if family == "grouped" and name in accuracies:
        sizes = list(output.kind.group_sizes)
        why = "makes one choice among the classes of all groups"
        fix = call(keras_ce.metrics.GroupedAccuracy, {"group_sizes": sizes})
    elif family in ("sigmoid", "multi-label") and form == "rows" and number > 1:
        is_binary = np.isin(values, (0, 1)).all() and len(values)
        if name not in accuracies or not is_binary or (values.sum(-1) == 1).all():
            return None
        severity = "warning"
        why = "compares the largest output of a row with its first 1, and rows have several or none"
        of_logits = bool(output.kind.from_logits)
        threshold = 0.0 if of_logits else 0.5
        fix = call(
            KERAS.BinaryAccuracy, {"name": metric.config.get("name"), "threshold": threshold}
        )
    elif family == "regression" and (metric.is_chosen_by_keras or name == "BinaryAccuracy"):
        if len(np.unique(values)) <= 2 or (form == "rows" and number > 1):
            return None
        severity = "warning"
        why = "counts labels that are equal to a rounded output, and these are measured values"
        fix = call(KERAS.MeanAbsoluteError, {})
    elif number == 1 and name in accuracies and family in ("sigmoid", "softmax"):
        why = "looks for the largest of several outputs, and there is one: it is always right"
        fix = metric.written() if family == "softmax" else _binary_accuracy(output)
    elif family != "softmax" or number == 1:
        return None
    elif name in _OF_IDS and form == "rows":
        why, fix = "takes class ids, and the labels are rows", _counterpart(metric)
    elif name in _OF_ROWS and form == "ids":
        why, fix = "takes rows, and the labels are class ids", _counterpart(metric)
    elif name in _OF_DISTANCES and form == "ids":
        why = f"compares a class id with each of {number} outputs"
        fix = call(KERAS.SparseCategoricalAccuracy, {})
    elif name == "BinaryAccuracy":
        why = f"asks each of {number} outputs for itself whether it is above a threshold"
        kind = KERAS.SparseCategoricalAccuracy if form == "ids" else KERAS.CategoricalAccuracy
        fix = call(kind, {"name": metric.config.get("name")})
    else:
        return None
    return Finding(
        "contradicting-metric",
        severity,
        f"The metric {metric.shown!r} {why}, and the loss is {output.kind.name}: what it measures "
        "means nothing.",
        f"In place of {metric.shown!r} write {fix}.",
        output.name,
    )


def _binary_accuracy(output: Output) -> str:
    return call(KERAS.BinaryAccuracy, {"threshold": 0.0 if output.kind.from_logits else 0.5})


def _counterpart(metric: _Metric) -> str:
    """The same accuracy of ids for that of rows, and the other way round."""
    name = metric.name.removeprefix("Sparse") if metric.name in _OF_IDS else f"Sparse{metric.name}"
    return call(getattr(KERAS, name), metric.config)
