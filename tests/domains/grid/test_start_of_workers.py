"""What a worker process imports before its first item: every one of them pays for it."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import cloudpickle

from curator_core.domains.grid import GridZarrSink, NetCDFSource, write_netcdf_day
from curator_core.filters.statistics import StatisticsFilter

_WORKER = """
import pickle, sys
from pathlib import Path
from curator_core.run.workers.worker import IndexProcessor
from curator_core.records import Item

pipeline = pickle.loads(Path(sys.argv[1]).read_bytes())
with IndexProcessor(pipeline, is_worker=True) as process:
    result = process(Item(0, pipeline.source.key(0)))
print(result.status)
print(*sorted({"curator_core.run.api", "dask", "scipy", "zarr"} & set(sys.modules)))
"""


def test_a_worker_imports_neither_dask_nor_zarr_nor_the_coordinator(tmp_path):
    """Xarray imports dask when it is given values to look at; metadata of Zarr are written at the end."""
    write_netcdf_day(tmp_path / "in", date(2001, 1, 1))
    source = NetCDFSource(str(tmp_path / "in"))
    steps = source.filter(StatisticsFilter(str(tmp_path / "statistics.parquet")))
    pipeline = steps.write(GridZarrSink(str(tmp_path / "out.zarr")))
    (tmp_path / "pipeline").write_bytes(cloudpickle.dumps(pipeline))
    command = [sys.executable, "-c", _WORKER, str(tmp_path / "pipeline")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n") == ["completed", "", ""], done.stderr
