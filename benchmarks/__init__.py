"""Scripts that measure, each run as `python -m benchmarks.NAME` from the project root."""
