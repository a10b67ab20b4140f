"""The backend of this process: `backend`, one of three files with the same verbs.

Everything else computes with `keras.ops`. A verb stands here where one backend needs another way
to be exact or fast, or where Keras has no public function: derivatives in closed form, whether a
value can be read now, compilation.
"""

import importlib
from typing import Any

import keras

backend: Any = importlib.import_module(f"keras_ce._core.backends.{keras.backend.backend()}")
