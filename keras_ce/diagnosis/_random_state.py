"""Random numbers that go on as if nothing had been drawn."""

import contextlib
import random
import sys
from collections.abc import Iterator

import numpy as np


@contextlib.contextmanager
def kept_random_state() -> Iterator[None]:
    """Put the global generators of Python, NumPy and torch back afterwards.

    Keras's own seed generators are variables of the model, which a `keras.StatelessScope` leaves
    alone.
    """
    python, numpy = random.getstate(), np.random.get_state()
    # Looked up, not imported: it is in use or it is not, on any backend.
    torch = sys.modules.get("torch")
    state = torch.get_rng_state() if torch is not None else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if torch is not None:
            torch.set_rng_state(state)
