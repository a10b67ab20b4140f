"""What a fix of `keras_ce.diagnose` offers to paste."""

import re

import keras
import numpy as np

import keras_ce

NAMES = {"keras": keras, "keras_ce": keras_ce, "np": np}


def calls(text):
    """The calls in a text: `keras.losses.X(...)`, `keras_ce.metrics.X(...)`, `fit(...)`."""
    found = []
    for start in re.finditer(r"(?<![\w.])(keras(_ce)?\.(losses|metrics)\.\w+|fit)\(", text):
        depth = 0
        for end in range(start.end() - 1, len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if not depth:
                found.append(text[start.start() : end + 1])
                break
    return found


def made(code):
    """What a call makes: a loss, a metric, or the arguments of `fit` as a dict."""
    return eval(code.replace("fit(", "dict(") if code.startswith("fit(") else code, NAMES)
