"""What is said where zarr is not installed; the arrays themselves are covered by the datasets made of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

_WITHOUT_ZARR = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "zarr":
            raise ImportError(name)

sys.meta_path.insert(0, Missing())
from curator_core.errors import MissingDependencyError
import curator_core.domains.atoms.filters, curator_core.domains.atoms.sources

for name in ("domains.atoms.sinks", "domains.atoms.dataset", "formats.ragged"):
    try:
        __import__(f"curator_core.{name}")
    except MissingDependencyError as error:
        print(error)
"""


def test_a_missing_zarr_is_named():
    """By whatever writes or reads Zarr, and by nothing else of the same domain."""
    pytest.importorskip("ase_db_backends")
    done = subprocess.run([sys.executable, "-c", _WITHOUT_ZARR], capture_output=True, text=True, check=True)
    text = "Reading and writing Zarr datasets needs zarr. Install it with: pip install 'curator-dagster[zarr]'"
    assert done.stdout.splitlines() == [text] * 3
