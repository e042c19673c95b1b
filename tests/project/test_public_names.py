"""Packages export what others use of them; a name is loaded when it is first asked for."""

import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = [
    "backends",
    "cli",
    "merge",
    "pipeline",
    "reading",
    "report",
    "run",
    "session",
    "storage",
    "store",
    "workflow",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_exported_name_is_there(name):
    """Each can be had, and others are refused by name."""
    package = import_module(f"curator_core.{name}")
    for exported in {*package.__all__, *getattr(package, "_HOME", ())}:
        assert getattr(package, exported) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018


def test_exports_load_nothing_else():
    """What is imported for its exports alone does not load what they need."""
    packages = "merge, pipeline, report, session, storage"
    code = f"import sys; from curator_core import {packages}; print([m for m in sys.modules if m.count('.') > 1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in eval(done.stdout) if name.startswith("curator_core.")] == []
