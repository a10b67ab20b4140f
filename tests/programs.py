"""A program of `examples`, run in this process: to start another takes seconds for its imports."""

import runpy
import sys

import pytest


def ends(monkeypatch, name, *arguments):
    """What `python -m examples.NAME ARGUMENTS` says as it ends: a sentence means status 1."""
    monkeypatch.delitem(sys.modules, f"examples.{name}", raising=False)
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    with pytest.raises(SystemExit) as exited:
        runpy.run_module(f"examples.{name}", run_name="__main__", alter_sys=True)
    return exited.value.code
