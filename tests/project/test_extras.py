"""Each domain works with its own extra alone, and says which one is missing of the others."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CURATE = """
from curator_core import open_dataset, run_pipeline
pipeline = source.write(sink).with_settings(db_file="run.db")
assert len(run_pipeline(pipeline, gather=True, progress=False)) == 1
found = open_dataset(sink.output_path)
"""

PROGRAMS = {
    "atoms": """
from ase.build import molecule
import ase.db, ase_db_backends
with ase.db.connect("in.aselmdb", type="aselmdb") as db:
    db.write(molecule("H2O"))
from curator_core.domains.atoms import ASELMDBSource, AtomicDataZarrSink
source, sink = ASELMDBSource("."), AtomicDataZarrSink("out.zarr")
""",
    "grid": """
import netCDF4, numpy as np
with netCDF4.Dataset("in.nc", "w") as file:
    for name, values in (("time", [0, 6]), ("lat", [1, 2, 3])):
        file.createDimension(name, len(values))
        file.createVariable(name, "f8", (name,))[:] = values
    file["time"].units = "hours since 2000-01-01"
    file.createVariable("t", "f4", ("time", "lat"))[:] = np.ones((2, 3))
from curator_core.domains.grid import GridZarrSink, NetCDFSource
source, sink = NetCDFSource("."), GridZarrSink("out.zarr")
""",
    "mesh": """
import pyvista
pyvista.Sphere().save("in.vtp")
from curator_core.domains.mesh import MeshZarrSink, VTKSource
source, sink = VTKSource(".", "*.vtp"), MeshZarrSink("out.zarr")
""",
    "table": """
open("in.csv", "w").write("a,b\\n1,x\\n2,y\\n")
from curator_core.domains.table import CSVSource, ParquetSink
source, sink = CSVSource("."), ParquetSink("out.parquet")
""",
}
COUNTS = {
    "atoms": "len(found) == 1",
    "grid": "found['t'].shape == (2, 3)",
    "mesh": "found[0].n_cells == 1680",
    "table": "len(found) == 2",
}
NEEDED_BY_TESTS = {"atoms": "ase_db_backends", "grid": "netCDF4", "mesh": "pyvista", "table": "pyarrow"}


def run_alone(extras, code, folder):
    """Run a program where only some extras are installed."""
    command = [sys.executable, "-W", "error::ImportWarning", "-m", "tests.project.alone", extras, "-c", code]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.campaign
@pytest.mark.parametrize("extra", PROGRAMS)
def test_a_domain_works_alone(tmp_path, extra):
    """Files are read, published and opened with what its extra brings."""
    pytest.importorskip(NEEDED_BY_TESTS[extra])
    done = run_alone(extra, f"{PROGRAMS[extra]}{CURATE}assert {COUNTS[extra]}, found\n", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_extra_is_named(tmp_path):
    """With the core alone, every domain says what to install."""
    code = """
from importlib import import_module
from curator_core.errors import MissingDependencyError
from curator_core.pipeline.registry import components
for extra in ("atoms", "grid", "mesh", "table"):
    try:
        import_module(f"curator_core.domains.{extra}")
    except MissingDependencyError as exc:
        assert f"[{extra}]" in str(exc), exc
    else:
        raise AssertionError(f"{extra} is there")
"""
    done = run_alone("", code, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
