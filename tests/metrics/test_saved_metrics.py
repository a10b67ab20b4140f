"""Metrics of a saved model, in a new process."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_ce.metrics import ExpectedCalibrationError, GroupedAccuracy

SCRIPT = """
import sys, keras, numpy as np, keras_ce
for name in ("letters", "calibration"):
    model = keras.saving.load_model(f"{sys.argv[1]}/{name}.keras", safe_mode=True)
    data = np.load(f"{sys.argv[1]}/{name}.npz")
    results = model.evaluate(data["x"], data["y"], return_dict=True, verbose=0)
    print("RESULT", results[name])
"""


def test_a_new_process_loads_metrics_and_gets_their_values(tmp_path):
    generator = np.random.default_rng(0)
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    ids = generator.integers(0, 2, (64, 3))
    compiled = {
        "letters": (GroupedAccuracy([2, 5, 3], mode="each", name="letters"), "mse"),
        "calibration": (ExpectedCalibrationError(4, from_logits=True, name="calibration"), sparse),
    }
    labels = {
        "letters": np.concatenate([np.eye(n)[ids[:, g]] for g, n in enumerate([2, 5, 3])], -1),
        "calibration": ids[:, 0],
    }
    expected = []
    for name, (metric, loss) in compiled.items():
        x = generator.normal(size=(64, 10)).astype("float32")
        model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10)])
        model.compile(loss=loss, metrics=[metric])
        results = model.evaluate(x, labels[name], return_dict=True, verbose=0)
        assert 0.01 < results[name] < 0.99
        expected.append(results[name])
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", x=x, y=labels[name])
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    found = [float(line.split()[1]) for line in printed.splitlines() if "RESULT" in line]
    assert found == pytest.approx(expected, rel=1e-6)
