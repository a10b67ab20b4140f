"""The lines of docs/elsewhere.md, and what the two sides of a line give.

A line is a row of a table under the heading of a package: its call, ours, and what differs. The
names in it are those of the page's first table.
"""

import ast
import contextlib
import dataclasses
import functools
import importlib
import io
import json
import pathlib
import re

import backends
import keras
import numpy as np

import keras_ce

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "elsewhere.md"
RECORDED = pathlib.Path(__file__).parent / "vectors" / "elsewhere.json"

# Under which heading stands what, where its calls come from (of two things of one name, the last
# module's counts), and what computes them.
PACKAGES = {
    "keras.losses": (["keras.metrics", "keras.losses"], "keras"),
    "tf.nn": (["tensorflow.nn"], "tensorflow"),
    "torch.nn": (["torch.nn"], "torch"),
    "optax": (["optax", "optax.losses"], "jax"),
    "tensorflow-addons": (
        [
            "tensorflow_addons.losses.focal_loss",
            "tensorflow_addons.losses.npairs",
            "tensorflow_addons.losses.triplet",
            "tensorflow_addons.metrics.cohens_kappa",
            "tensorflow_addons.metrics.f_scores",
            "tensorflow_addons.metrics.hamming",
            "tensorflow_addons.metrics.matthews_correlation_coefficient",
        ],
        "tensorflow",
    ),
    "TensorFlow Ranking": (["tensorflow_ranking.python.keras.losses"], "tensorflow"),
    "timm": (["timm.loss"], "torch"),
    "focal-loss": (["focal_loss"], "tensorflow"),
    "coral-ordinal": (["coral_ordinal"], "tensorflow"),
}
# Those that tests import; the others are compared with recorded values.
INSTALLED = ["keras.losses", "tf.nn", "torch.nn", "optax"]
# The names that stand for predictions: what a gradient is taken of. For probabilities it is that of
# their logits, because a constant in a row of it is lost in a softmax.
PREDICTIONS = {"z", "p", "g", "s", "m", "b", "o", "e"}
PROBABILITIES = {"p": "softmax", "g": "sigmoid"}


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of a table: what is written there and what is written here."""

    package: str
    theirs: str
    ours: str
    difference: str

    def __str__(self):
        return f"{self.package}: {self.theirs}"

    @property
    def has_gradient(self):
        """A metric has none."""
        return not self.ours.startswith("metrics.")


def cells(row):
    """The cells of a table's row, without the code spans' marks."""
    return [cell.strip().strip("`") for cell in row.strip().strip("|").split(" | ")]


def tables(text):
    """The rows of each table of the page, by the heading that they stand under."""
    sections = re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    found = {}
    for heading, body in sections:
        blocks = re.findall(r"(?:^\|.*\|\n)+", body, re.MULTILINE)
        rows = [row for block in blocks for row in block.splitlines()[2:]]
        found[heading.strip("`")] = [cells(row) for row in rows]
    return found


def lines(text=None):
    """Every line of every package."""
    found = tables(PAGE.read_text(encoding="utf-8") if text is None else text)
    return [Line(package, *row) for package in PACKAGES for row in found[package]]


def inputs(seed):
    """An array for each name of the page."""
    generator = np.random.default_rng(seed)

    def normal(*shape):
        return 2 * generator.normal(size=shape)

    def softmax(scores):
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)

    z = normal(8, 5)
    ids = generator.permutation(np.arange(8) % 5)
    yes = generator.integers(0, 2, (8, 5))
    yes[:, 0], yes[:, 1] = 0, 1  # a label of each kind in each row
    relevance = generator.permuted(np.arange(40).reshape(8, 5) % 4, axis=-1)
    arrays = {
        "z": z,
        "p": softmax(z),
        "g": 1 / (1 + np.exp(-z)),
        "ids": ids,
        "rows": np.eye(5)[ids],
        "soft": generator.dirichlet(np.ones(5), 8),
        "yes": generator.permuted(yes, axis=-1).astype("float64"),
        "w": generator.uniform(0.2, 4, 5),
        "v": generator.uniform(0.2, 2, 8),
        "s": normal(8, 5),
        "r": relevance.astype("float64"),
        "padded": np.where(np.arange(5) < generator.integers(2, 6, (8, 1)), relevance, -1.0),
        "first": generator.integers(0, 2, 8),
        "t": normal(8, 5),
        "m": normal(4, 5, 3),
        "m_ids": generator.integers(0, 5, (4, 3)),
        "b": generator.uniform(-1, 1, (8, 8)),
        "q_ids": generator.permutation(np.arange(8) // 2),
        "o": -np.sort(-normal(8, 4), axis=-1),
        "e": generator.normal(size=(8, 3)),
    }
    return {
        name: values.astype("int32" if values.dtype.kind == "i" else "float32")
        for name, values in arrays.items()
    }


@functools.cache
def helpers():
    """What the page's own code defines."""
    names = {"__name__": "elsewhere"}
    text = PAGE.read_text(encoding="utf-8")
    for code in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, names)
    return names


def prediction_of(expression):
    """The name in it that stands for the predictions."""
    names = {node.id for node in ast.walk(ast.parse(expression)) if isinstance(node, ast.Name)}
    (name,) = names & PREDICTIONS
    return name


def as_function(expression, names, functions):
    """The expression as a function of its predictions, and which array these are at first.

    `functions` is a module with a `softmax` and a `sigmoid`.
    """
    name = prediction_of(expression)

    def value(variable):
        if name in PROBABILITIES:
            variable = getattr(functions, PROBABILITIES[name])(variable)
        return eval(expression, names | {name: variable})

    return value, "z" if name in PROBABILITIES else name


def ours(line, arrays):
    """Value and gradient, which is 0 of a metric, of our side, on the backend of this process."""
    names = helpers() | {"keras_ce": keras_ce, "metrics": keras_ce.metrics}
    names |= {name: getattr(keras_ce.losses, name) for name in keras_ce.losses.__all__}
    if not line.has_gradient:
        value = eval(line.ours, names | {"keras": keras} | arrays)
        return backends.array(value), np.zeros(())
    return _on_this_backend(line.ours, names, arrays)


def theirs(line, arrays):
    """Value and gradient of their side, by what it is made for."""
    modules, runner = PACKAGES[line.package]
    names = {"np": np}
    for module in map(importlib.import_module, modules):
        names |= vars(module)
    if not line.has_gradient:
        return keras.ops.convert_to_numpy(eval(line.theirs, names | arrays)), np.zeros(())
    return RUNNERS[runner](line.theirs, names, arrays)


def _on_this_backend(expression, names, arrays):
    value, start = as_function(expression, names | {"keras": keras} | arrays, keras.ops)
    return backends.gradient(value, arrays[start])


def _on_tensorflow(expression, names, arrays):
    import tensorflow as tf

    function, start = as_function(expression, names | {"tf": tf} | arrays, tf.nn)
    variable = tf.constant(arrays[start])
    with tf.GradientTape() as tape:
        tape.watch(variable)
        value = function(variable)
        total = tf.reduce_sum(value)
    return value.numpy(), tf.convert_to_tensor(tape.gradient(total, variable)).numpy()


class _TorchFunctions:
    """`softmax` and `sigmoid` along the last axis."""

    @staticmethod
    def softmax(logits):
        return logits.softmax(-1)

    @staticmethod
    def sigmoid(logits):
        return logits.sigmoid()


def _on_torch(expression, names, arrays):
    import torch

    def tensor(array):
        return torch.tensor(array, dtype=torch.int64 if array.dtype.kind == "i" else None)

    tensors = {name: tensor(array) for name, array in arrays.items()}
    names = names | {"torch": torch, "F": torch.nn.functional} | tensors
    function, start = as_function(expression, names, _TorchFunctions)
    variable = tensors[start].clone().requires_grad_()
    value = function(variable)
    value.sum().backward()
    return value.detach().numpy(), variable.grad.numpy()


def _on_jax(expression, names, arrays):
    import jax

    arrays = {name: jax.numpy.asarray(array) for name, array in arrays.items()}
    names = names | {"jax": jax, "jnp": jax.numpy} | arrays
    function, start = as_function(expression, names, jax.nn)
    value, pullback = jax.vjp(jax.jit(function), arrays[start])
    return np.asarray(value), np.asarray(pullback(jax.numpy.ones_like(value))[0])


RUNNERS = {
    "keras": _on_this_backend,
    "tensorflow": _on_tensorflow,
    "torch": _on_torch,
    "jax": _on_jax,
}


def recorded():
    """What stands in the file: `inputs`, `values` by package and call, and how it was made."""
    return json.loads(RECORDED.read_text(encoding="utf-8"))
