"""Writes tests/vectors/elsewhere.json: values and gradients of packages that tests do not install.

    pip install -e . tensorflow torch tf_keras focal-loss
    pip install --no-deps timm coral-ordinal
    pip download --no-deps tensorflow-addons tensorflow-ranking  # and unpack both wheels into DIR
    TF_USE_LEGACY_KERAS=1 PYTHONPATH=DIR:tests python tests/record_elsewhere.py

The code that runs is that of the released wheels. tensorflow-addons, TensorFlow Ranking and timm
are not imported as a whole, because they fail there with today's TensorFlow or without
torchvision: the modules of their losses are, past the `__init__.py` of the packages above.
"""

import importlib.metadata
import json
import pathlib
import re
import sys
import types
import typing

import elsewhere

SEED = 19
NOT_AS_A_WHOLE = [
    "tensorflow_addons",
    "tensorflow_addons.utils",
    "tensorflow_addons.losses",
    "tensorflow_addons.metrics",
    "tensorflow_ranking",
    "tensorflow_ranking.python",
    "tensorflow_ranking.python.keras",
    "timm",
]
VERSIONS = [
    "coral-ordinal",
    "focal-loss",
    "tensorflow",
    "tensorflow-addons",
    "tensorflow-ranking",
    "tf_keras",
    "timm",
    "torch",
]


def without_init(name):
    """Makes a package importable whose `__init__.py` is not run."""
    top, *below = name.split(".")
    folder = next(path for path in map(pathlib.Path, sys.path) if (path / top).is_dir()) / top
    module = types.ModuleType(name)
    module.__path__ = [str(folder.joinpath(*below))]
    sys.modules[name] = module


def without_type_names():
    """The module of tensorflow-addons that says what its annotations mean; it asks for Keras 2."""
    names = ["AcceptableDTypes", "FloatTensorLike", "Number", "TensorLike"]
    module = types.ModuleType("tensorflow_addons.utils.types")
    vars(module).update(dict.fromkeys(names, typing.Any))
    sys.modules[module.__name__] = module


def decimals(array):
    """As lists, with the nine digits that say which float32 it is."""
    if array.dtype.kind != "f":
        return array.tolist()
    return json.loads(
        json.dumps(array.tolist()), parse_float=lambda text: float(f"{float(text):.9g}")
    )


def main():
    for name in NOT_AS_A_WHOLE:
        without_init(name)
    without_type_names()
    arrays = elsewhere.inputs(SEED)
    values = {package: {} for package in elsewhere.PACKAGES if package not in elsewhere.INSTALLED}
    for line in elsewhere.lines():
        if line.package in values:
            value, gradient = elsewhere.theirs(line, arrays)
            values[line.package][line.theirs] = {
                "value": decimals(value),
                "gradient": decimals(gradient),
            }
    record = {
        "made_by": "tests/record_elsewhere.py, which says how",
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "inputs": {name: decimals(array) for name, array in arrays.items()},
        "values": values,
    }
    text = json.dumps(record, indent=1)
    # A row of numbers is one line.
    text = re.sub(
        r"\[\s+([^\[\]]*?)\s+\]", lambda match: "[" + " ".join(match[1].split()) + "]", text
    )
    elsewhere.RECORDED.write_text(text + "\n", encoding="utf-8")
    print(sum(map(len, values.values())), "values and gradients")


if __name__ == "__main__":
    main()
