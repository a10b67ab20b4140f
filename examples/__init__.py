"""Scripts, run as `python -m examples.NAME` from the project root."""
