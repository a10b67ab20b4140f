"""Scripts, run as `python -m examples.NAME` from the project root."""

import os

# TensorFlow greets everybody who imports it with lines about the machine: not in these programs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
