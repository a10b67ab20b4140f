"""What the model ends in, against what its loss takes it for."""

from collections.abc import Iterator

import keras
import numpy as np

from keras_ce.diagnosis._activation import group_sums_are_one
from keras_ce.diagnosis._losses import FunctionLoss
from keras_ce.diagnosis._outputs import Output, is_constant
from keras_ce.diagnosis._report import Finding, Severity
from keras_ce.diagnosis._written import rewritten, softmax_loss, written


def activation_findings(output: Output) -> Iterator[Finding]:
    """`double-softmax`, `logits-as-probabilities` and `wrong-activation`."""
    kind, end = output.kind, output.end
    if not end.kind or kind.from_logits is None:
        return
    severity: Severity = "error" if end.is_certain else "warning"
    if kind.from_logits:
        if end.kind in ("softmax", "sigmoid") or _is_grouped_softmax(output):
            yield _double(output, severity)
    elif end.kind == "linear":
        if not _are_distributions_anyway(output):
            yield _logits(output, severity)
    elif kind.family == "softmax" and end.kind == "sigmoid":
        if end.is_certain:
            yield _sigmoid_for_softmax(output)
    elif kind.family == "sigmoid" and end.kind == "softmax":
        yield _softmax_for_sigmoid(output)
    elif len(kind.group_sizes) > 1 and end.is_certain and not _is_grouped_softmax(output):
        yield Finding(
            "wrong-activation",
            "error",
            f"{kind.name} takes a softmax inside each group, and {end.how}, with groups that do "
            "not sum to 1.",
            f"Remove the activation from the model and write {written(output, from_logits=True)}.",
            output.name,
        )


def _double(output: Output, severity: Severity) -> Finding:
    kind, end = output.kind, output.end
    is_sigmoid = kind.family in ("sigmoid", "multi-label", "ordinal")
    applied = "a sigmoid" if is_sigmoid else "a softmax"
    takes_logits_only = kind.is_ours and "from_logits" not in output.loss.get_config()
    states = f"{kind.name} takes logits"
    if not takes_logits_only:
        states = f"{kind.name} has from_logits=True"
    fix = "Remove the activation from the model and leave the loss as it is (exact)"
    if isinstance(output.loss, FunctionLoss):
        fix += ", or give from_logits=False to the loss that the function calls."
    elif takes_logits_only or kind.family == "ctc":
        fix += "."
    else:
        fix += f", or write {written(output, from_logits=False)}."
    if severity == "warning":
        fix = (
            "Look at the end of the model's `call`: with an activation there, remove it; without "
            "one, ignore this."
        )
    return Finding(
        "double-softmax",
        severity,
        f"{states} and applies {applied} itself, and {end.how}: it is applied twice, and no "
        "prediction can be confident.",
        fix,
        output.name,
    )


def _logits(output: Output, severity: Severity) -> Finding:
    kind, end = output.kind, output.end
    if "from_logits" in output.loss.get_config():
        fix = f"Write {written(output, from_logits=True)}."
    elif isinstance(output.loss, FunctionLoss):
        fix = "Give from_logits=True to the loss that the function calls."
    else:
        name = "sigmoid" if kind.family in ("sigmoid", "overlap") else "softmax"
        fix = f"End the model in activation={name!r}: this loss has no from_logits."
    return Finding(
        "logits-as-probabilities",
        severity,
        f"{kind.name} takes probabilities (from_logits=False), and {end.how}: logits are clipped "
        "as if they were probabilities, and most gradients are lost.",
        fix,
        output.name,
    )


def _sigmoid_for_softmax(output: Output) -> Finding:
    fix = "End the model in activation='softmax'"
    if "from_logits" in output.loss.get_config():
        fix += f", or in no activation, and write {written(output, from_logits=True)}"
    fix += "."
    if output.num_classes == 1:
        other = rewritten(output, keras.losses.BinaryCrossentropy)
        fix = f"For a yes-or-no question with one output unit write {other}."
    return Finding(
        "wrong-activation",
        "error",
        f"{output.kind.name} takes the probabilities of exclusive classes, a softmax, and "
        f"{output.end.how}: they are a sigmoid's, and do not sum to 1.",
        fix,
        output.name,
    )


def _softmax_for_sigmoid(output: Output) -> Finding:
    if output.num_classes == 1:
        return Finding(
            "wrong-activation",
            "error",
            f"{output.end.how[:1].upper()}{output.end.how[1:]}: the softmax of one unit is always "
            "1, whatever the weights.",
            "End the model in activation='sigmoid'.",
            output.name,
        )
    return Finding(
        "wrong-activation",
        "error",
        f"{output.kind.name} takes independent yes-or-no probabilities, a sigmoid, and "
        f"{output.end.how}: the classes of a softmax exclude each other.",
        f"For exclusive classes write {softmax_loss(output, 'rows')}; for several labels at once "
        "end the model in activation='sigmoid'.",
        output.name,
    )


def _is_grouped_softmax(output: Output) -> bool:
    sizes = output.kind.group_sizes
    return bool(sizes) and group_sums_are_one([pair.y_pred for pair in output.seen], sizes)


def _are_distributions_anyway(output: Output) -> bool:
    """A last layer without activation may average distributions: its rows sum to 1."""
    return output.num_classes > 1 and group_sums_are_one(
        [np.moveaxis(pair.y_pred, output.kind.axis, -1) for pair in output.seen],
        (output.num_classes,),
    )


def constant_output(output: Output, inputs_differ: bool) -> Iterator[Finding]:
    """`constant-output`: rows that differ, and one prediction for all of them."""
    if not inputs_differ or not is_constant(output):
        return
    if output.is_untrained and output.still_varies:
        return  # a last layer that begins with zeros is a way to begin
    rows = sum(len(pair.y_pred) for pair in output.seen)
    if output.still_varies:
        why = "other weights would tell the rows apart"
        fix = (
            "Compare with a prediction of the class shares: if it is the same, the training has "
            "collapsed; lower the learning rate, scale the inputs, and start anew."
        )
    else:
        why = "no other weights change that"
        fix = "Look for an activation over one unit, a cut connection, or inputs rounded to 0."
    yield Finding(
        "constant-output",
        "warning" if output.still_varies else "error",
        f"The prediction is the same for all of {rows:,} rows with different inputs, and {why}.",
        fix,
        output.name,
    )
