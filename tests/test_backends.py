"""The kit for backends."""

from __future__ import annotations

import subprocess
import sys

import pytest

import curator_core
from curator_core import backends


def test_every_name_of_the_kit_can_be_had():
    """Each is documented, the same object as at the top where that has it, and an unknown one is an AttributeError."""
    for name in backends.__all__:
        found = getattr(backends, name)
        assert found.__doc__
        assert getattr(curator_core, name, found) is found
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = backends.nothing


def test_the_kit_is_loaded_when_it_is_used():
    """Importing it loads no module of runs."""
    code = "import sys, curator_core.backends; print('curator_core.run' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
