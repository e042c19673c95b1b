"""What is said where zarr, or a package that it brings, is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

_WITHOUT = """
import sys

sys.modules[sys.argv[1]] = None  # importing it fails
from curator_core.errors import MissingDependencyError
import curator_core.domains.atoms.filters, curator_core.domains.atoms.sources

for name in sys.argv[2:]:
    try:
        __import__(f"curator_core.{name}")
    except MissingDependencyError as error:
        print(error)
"""


def _said_without(package, *modules):
    pytest.importorskip("ase_db_backends")
    command = [sys.executable, "-c", _WITHOUT, package, *modules]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_missing_zarr_is_named():
    """By what writes datasets, and by nothing else of the same domain."""
    text = "Reading and writing Zarr datasets needs zarr. Install it with: pip install 'curator-dagster[zarr]'"
    assert _said_without("zarr", "domains.atoms.sinks", "domains.ragged.sinks") == [text] * 2


_PUBLIC = """
import sys
from importlib import import_module
sys.modules.update(dict.fromkeys(["google_crc32c", "numcodecs", "xarray", "zarr"]))

from curator_core.errors import MissingDependencyError

for module in ["curator_core", "curator_core.merge", "curator_core.report", "curator_dagster"]:
    for name in import_module(module).__all__:
        try:
            getattr(import_module(module), name)
        except MissingDependencyError as error:
            print(name, error)
"""


def test_what_needs_no_zarr_does_without():
    """The pipelines of text files and tables, in Dagster and without: only a dataset of Zarr misses it, when opened."""
    pytest.importorskip("dagster")
    done = subprocess.run([sys.executable, "-c", _PUBLIC], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("package", ["numcodecs", "google_crc32c"])
def test_what_a_reader_needs_is_named(package):
    """By what reads files without zarr, which brings both."""
    needed = package.replace("_", "-")
    text = f"Reading Zarr datasets needs {needed}. Install it with: pip install 'curator-dagster[zarr]'"
    assert _said_without(package, "formats.shard_reader") == [text]
