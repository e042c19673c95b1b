"""What is said where zarr is not installed; the arrays themselves are covered by the datasets made of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

_WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
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


def _said_without(package):
    pytest.importorskip("ase_db_backends")
    command = [sys.executable, "-c", _WITHOUT, package]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_missing_zarr_is_named():
    """By whatever writes Zarr, and by nothing else of the same domain: a dataset is read without it."""
    text = "Reading and writing Zarr datasets needs zarr. Install it with: pip install 'curator-dagster[zarr]'"
    assert _said_without("zarr") == [text] * 2


@pytest.mark.parametrize("package", ["numcodecs", "google_crc32c"])
def test_what_a_reader_needs_is_named(package):
    """By whatever reads datasets; zarr brings both."""
    needed = package.replace("_", "-")
    text = f"Reading Zarr datasets needs {needed}. Install it with: pip install 'curator-dagster[zarr]'"
    said = _said_without(package)
    assert text in said
    assert len(said) == 3
