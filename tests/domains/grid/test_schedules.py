"""Processes that write one dataset of grids at the same time, in random schedules: no step is lost.

``make schedules`` goes through ten thousand; what runs here by default is a sample.
"""

from __future__ import annotations

import os

import pytest

pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("netCDF4")
pytest.importorskip("zarr")

from tests.domains.grid.schedule_runs import Runs
from tests.domains.grid.schedules import Processes

N_SCHEDULES = int(os.environ.get("CURATOR_SCHEDULES", "10"))
AT_ONCE = 250
"""Schedules that two processes go through, before others begin."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(0, N_SCHEDULES, AT_ONCE))
def test_two_processes_write_one_dataset(tmp_path, record_property, first):
    """Parts written at once, by both, from what a process saw before; kills, late, corrected, broken and lost files."""
    processes = Processes()
    for seed in range(first, min(first + AT_ONCE, N_SCHEDULES)):
        (tmp_path / f"{seed}").mkdir()
        processes.go(tmp_path / f"{seed}", seed)
    processes.end()
    assert processes.counts["schedules"] == min(AT_ONCE, N_SCHEDULES - first)
    for name, count in processes.counts.items():
        record_property(name, count)  # for --junit-xml


RUNS = [
    ("sequential", False, 1),
    pytest.param("thread_pool", False, 4, marks=pytest.mark.campaign),
    pytest.param("process_pool", True, 3, marks=pytest.mark.campaign),
    pytest.param("dask", True, 1, marks=pytest.mark.campaign),
    pytest.param("dagster", False, 1, marks=pytest.mark.campaign),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("backend", "may_kill", "n_schedules"), RUNS)
def test_runs_write_one_dataset(tmp_path, backend, may_kill, n_schedules):
    """Whole runs, which process what is due, gather, and find the workers that were killed."""
    for seed in range(n_schedules):
        (tmp_path / f"{seed}").mkdir()
        Runs(backend, may_kill=may_kill).go(tmp_path / f"{seed}", seed)
