"""What a model's output ends in: softmax, sigmoid, or neither. From its graph, else measured."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_ce.diagnosis._gradient import if_it_fits
from keras_ce.diagnosis._user_code import call_user_code
from keras_ce.diagnosis._variables import disturbed

# Layers whose output is exactly their activation of something.
_WITH_ACTIVATION = (
    "Activation",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "EinsumDense",
    "SeparableConv1D",
    "SeparableConv2D",
)
# Operations that leave the values as they are, or only move them.
_PASS_ON = ("Dropout", "Flatten", "Identity", "Permute", "Reshape", "Transpose", "Squeeze")
_OPERATIONS = {
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "sigmoid",
    "LogSoftmax": "linear",
    "Relu": "linear",
    "Tanh": "linear",
}
_ACTIVATIONS = {
    "softmax": "softmax",
    "sigmoid": "sigmoid",
    "hard_sigmoid": "sigmoid",
    "linear": "linear",
    "log_softmax": "linear",
    "relu": "linear",
    "tanh": "linear",
}
_TOLERANCE = 1e-2  # of a row's sum, in half precision too


@dataclasses.dataclass(frozen=True)
class End:
    """What an output ends in.

    Attributes:
        kind: `"softmax"`, `"sigmoid"` (within [0, 1], each entry on its own), `"linear"`
            (anything else), or an empty text where it could not be told.
        how: how that was seen, as the end of a sentence.
        is_certain: whether nothing else can be meant.
    """

    kind: str
    how: str = ""
    is_certain: bool = True


def end_in_graph(model: Any, index: int) -> End:
    """What the layers of a sequential or functional model say about output number `index`."""
    # A subclass of a functional model may do more in a `call` of its own.
    if type(model).call.__module__.partition(".")[0] != "keras":
        return End("")
    try:
        if isinstance(model, keras.Sequential):
            return _end_of_layers(list(model.layers))
        operation = _producer(model.operations, model.outputs[index])
        if operation is None:  # the output of a model inside this one
            operation = model.get_layer(model.output_names[index])
        for _ in range(len(model.operations)):
            if type(operation).__name__ not in _PASS_ON and not _is_linear_activation(operation):
                break
            previous = _producer(model.operations, operation.input)
            if previous is None:
                break
            operation = previous
        return _end_of_operation(operation)
    except (AttributeError, IndexError, ValueError, NotImplementedError):
        return End("")  # the graph does not say


def _producer(operations: list[Any], tensor: Any) -> Any:
    for operation in operations:
        try:
            produced = keras.tree.flatten(operation.output)
        except (AttributeError, ValueError):
            continue  # never called, or a layer without one output
        if any(each is tensor for each in produced):
            return operation
    return None


def _end_of_layers(stack: list[Any]) -> End:
    while stack and (type(stack[-1]).__name__ in _PASS_ON or _is_linear_activation(stack[-1])):
        stack = stack[:-1] if len(stack) > 1 else stack
        if len(stack) == 1:
            break
    return _end_of_operation(stack[-1]) if stack else End("")


def _is_linear_activation(operation: Any) -> bool:
    return (
        type(operation) is layers.Activation
        and getattr(operation.activation, "__name__", "") == "linear"
    )


def _end_of_operation(operation: Any) -> End:
    if isinstance(operation, keras.Model):
        outputs = getattr(operation, "outputs", None) or []
        return end_in_graph(operation, 0) if len(outputs) == 1 else End("")
    if type(operation) is layers.TimeDistributed:
        return _end_of_operation(operation.layer)
    class_name = type(operation).__name__
    is_public = type(operation) is getattr(layers, class_name, None)
    described = f"{class_name} {operation.name!r}" if is_public else f"operation {operation.name!r}"
    if is_public and class_name in _WITH_ACTIVATION:
        name = getattr(operation.activation, "__name__", "")
        # By its own identity: a function of the user may have the same name.
        if operation.activation is not getattr(keras.activations, name, None):
            return End("")
        kind = _ACTIVATIONS.get(name, "")
        shown = f"activation={name!r}" if name != "linear" else "no activation"
        return End(kind, f"the last layer, {described}, has {shown}")
    if type(operation).__module__.partition(".")[0] == "keras" and class_name in _OPERATIONS:
        return End(_OPERATIONS[class_name], f"the model ends in the {described}")
    return End("")


def end_of_values(samples: list[Any], perturbed: list[Any] | None) -> End:
    """What the values of an output say, as the model is and with other weights.

    Args:
        samples: outputs (..., C) as they are.
        perturbed: outputs with random weights, or None where there are no weights to change.
    """
    rows = _rows(samples)
    if not len(rows):
        return End("")
    if not _are_within(rows):
        return End("linear", _outside(rows))
    others = _rows(perturbed or [])
    varies = len(others) > 0 and np.ptp(others, axis=0).max() > 1e-3
    if varies and not _are_within(others):
        return End("linear", "other weights lead out of [0, 1]")
    with_weights = ", whatever the weights" if varies else ""
    if rows.shape[-1] > 1 and _sum_to_one(rows) and (not varies or _sum_to_one(others)):
        return End("softmax", f"each of {len(rows):,} rows sums to 1{with_weights}")
    how = f"all {rows.size:,} outputs lie in [0, 1]{with_weights}"
    return End("sigmoid", how, is_certain=bool(varies))


def _outside(rows: Any) -> str:
    outside = rows[(rows < -_TOLERANCE) | (rows > 1 + _TOLERANCE)]
    share = len(outside) / rows.size
    return f"{share:.0%} of the outputs lie outside [0, 1], such as {outside[0]:.3g}"


def group_sums_are_one(samples: list[Any], sizes: tuple[int, ...]) -> bool:
    """Whether each group of every row is a distribution."""
    rows = _rows(samples)
    if not len(rows) or rows.shape[-1] != sum(sizes) or not _are_within(rows):
        return False
    groups = np.split(rows, np.cumsum(sizes)[:-1], axis=-1)
    return all(_sum_to_one(group) for group in groups)


def _rows(samples: list[Any]) -> Any:
    flat = [np.asarray(each, "float64").reshape(-1, each.shape[-1]) for each in samples]
    rows = np.concatenate(flat) if flat else np.zeros((0, 1))
    return rows[np.isfinite(rows).all(-1)]


def _are_within(rows: Any) -> bool:
    return bool(np.all((rows >= -_TOLERANCE) & (rows <= 1 + _TOLERANCE)))


def _sum_to_one(rows: Any) -> bool:
    return bool(np.all(np.abs(rows.sum(-1) - 1) <= _TOLERANCE))


def with_random_weights(model: Any, run: Any, x: Any) -> list[Any] | None:
    """Outputs, one structure for each of a few sets of random weights.

    The model keeps its own: `run` takes the others as arguments.

    Returns:
        The outputs, or None for a model without weights or one that does not take others.

    Raises:
        UserCodeError: the model raises something else than that they do not fit.
    """
    variables = model.trainable_variables
    if not any("float" in variable.dtype for variable in variables):
        return None
    generator = np.random.default_rng(0)
    results = []
    for scale in (1.0, 10.0):
        values = [(each, disturbed(each, scale, generator)) for each in variables]
        outputs = call_user_code(if_it_fits, run, model, x, values)
        del values  # before the next ones are made
        if outputs is None:
            return None
        results.append(outputs)
    return results
