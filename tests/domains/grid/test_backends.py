"""Steps that share chunks and shards, processed by several processes: none is lost, and the bytes are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("scipy")

from curator_core import run_pipeline  # noqa: E402 - needs xarray
from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - as above
from curator_core.pipeline.components import Filter  # noqa: E402 - as above
from tests.domains.grid.blocks import BlocksSource, block, tree, write_block  # noqa: E402 - as above

AXES = {"time": {"start": "2020-01-01", "frequency": "6h"}}
ROOT = Path(__file__).parents[3]
OF_PATHS = {"croissant.json", "items/version/c/0", "items/version/zarr.json", "zarr.json"}
"""What says which configuration made the items, in which paths stand."""
BACKENDS = [
    ("process_pool", {"n_jobs": 2}),
    pytest.param("loky", {"n_jobs": 2}, marks=pytest.mark.campaign),
    pytest.param("dask", {"n_jobs": 2}, marks=pytest.mark.campaign),
]


class Nothing(Filter):
    """Another configuration of the same items."""

    name = "test_nothing"

    def __call__(self, items):
        yield from items


def build(folder: Path):
    sink = GridZarrSink(str(folder / "d.zarr"), AXES, chunks={"time": 4}, shards={"time": 16})
    return BlocksSource(str(folder / "input")).write(sink).with_settings(db_file=folder / "run.db", resume=True)


def expected(folder: Path):
    """What the files hold, joined by xarray."""
    return xr.concat([xr.load_dataset(path) for path in sorted((folder / "input").glob("*.nc"))], "time")


def require_all(folder: Path):
    """Every step of every file is in the dataset, with its values."""
    found = xr.open_zarr(folder / "d.zarr", chunks=None).load()
    wanted = expected(folder)
    assert found["time"].values.tolist() == wanted["time"].values.tolist()
    np.testing.assert_array_equal(found["t"].values, wanted["t"].values)
    np.testing.assert_array_equal(found["n"].values, wanted["n"].values)


@pytest.mark.parametrize(("backend", "options"), BACKENDS)
def test_no_step_is_lost(tmp_path, backend, options):
    """12 files of 3 steps in chunks of 4 and shards of 16; then one is corrected, and one added."""
    for number in range(12):
        write_block(tmp_path / "input", 3 * number, 3)
    run_pipeline(build(tmp_path), backend=backend, gather=True, progress=False, **options)
    require_all(tmp_path)
    write_block(tmp_path / "input", 6, 3, seed=1)
    write_block(tmp_path / "input", 36, 3)
    run_pipeline(build(tmp_path), backend=backend, gather=True, progress=False, **options)
    require_all(tmp_path)
    again = tmp_path / "again"
    (again / "input").mkdir(parents=True)
    for path in (tmp_path / "input").iterdir():
        os.link(path, again / "input" / path.name)
    run_pipeline(build(again), gather=True, progress=False)
    one, other = tree(tmp_path / "d.zarr"), tree(again / "d.zarr")
    assert {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)} <= OF_PATHS


@pytest.mark.campaign
@pytest.mark.timeout(900)  # a busy machine takes twice as long
def test_a_dagster_refresh_in_several_processes_loses_no_step(tmp_path):
    """Each item is a step of Dagster's multiprocess executor; a correction is a second refresh."""
    pytest.importorskip("dagster")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    for number in range(4):
        write_block(tmp_path / "input", 3 * number, 3)
    for seed in (1, 2):
        location = str(Path(__file__).with_name("blocks_location.py"))
        done = subprocess.run(
            [sys.executable, "-m", "dagster", "job", "execute", "-f", location, "-j", "blocks_refresh"],
            env=os.environ
            | {"DAGSTER_HOME": str(tmp_path / "home"), "BLOCKS_FOLDER": str(tmp_path), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        require_all(tmp_path)
        write_block(tmp_path / "input", 6, 3, seed=seed)


def test_items_that_fail_leave_the_others(tmp_path):
    """A file on another grid fails by name, with the largest difference, once there is a dataset."""
    for number in range(2):
        write_block(tmp_path / "input", 3 * number, 3)
    run_pipeline(build(tmp_path), gather=True, progress=False)
    moved = block(6, 3)
    moved["lat"] = moved["lat"] + 0.25
    moved.to_netcdf(tmp_path / "input" / "000006.nc", engine="scipy")
    write_block(tmp_path / "input", 9, 3)
    run_pipeline(build(tmp_path), gather=True, progress=False, on_error="skip")
    errors = build(tmp_path).failed_indices
    assert list(errors) == [2]
    assert "'lat' differs from the dataset's by up to 0.25, more than 3e-05" in errors[2]
    found = xr.open_zarr(tmp_path / "d.zarr", chunks=None).load()
    assert np.isnan(found["t"].values[6:9]).all()
    status = xr.open_zarr(tmp_path / "d.zarr", group="slots/time", chunks=None, consolidated=False)["status"].values
    assert status[:, 0].tolist() == [1] * 6 + [0] * 3 + [1] * 3


def test_an_item_that_changes_and_fails_keeps_its_slots(tmp_path):
    """They are marked until it is processed, whatever else changes; once its file is gone they are free."""
    for number in range(3):
        write_block(tmp_path / "input", 3 * number, 3)
    run_pipeline(build(tmp_path), gather=True, progress=False)
    broken = tmp_path / "input" / "000003.nc"
    broken.write_bytes(b"CDF\x01 broken")

    def states(*, as_before=True):
        run_pipeline(build(tmp_path), gather=True, progress=False, on_error="skip")
        found = xr.open_zarr(tmp_path / "d.zarr", chunks=None)
        slots = xr.open_zarr(tmp_path / "d.zarr", group="slots/time", chunks=None, consolidated=False)
        if as_before:
            np.testing.assert_array_equal(found["t"].values[3:6], block(3, 3)["t"].values)
        return slots["status"].values[:, 0].tolist()

    assert states() == [1, 1, 1, 3, 3, 3, 1, 1, 1]
    write_block(tmp_path / "input", 0, 3, seed=1)
    assert states() == [1, 1, 1, 3, 3, 3, 1, 1, 1]
    write_block(tmp_path / "input", 3, 3)
    assert states() == [1] * 9
    broken.write_bytes(b"CDF\x01 broken")
    assert states() == [1, 1, 1, 3, 3, 3, 1, 1, 1]
    for number in (0, 2):
        write_block(tmp_path / "input", 3 * number, 3, seed=2)
    assert states() == [1, 1, 1, 3, 3, 3, 1, 1, 1]
    other = build(tmp_path).with_settings(filters=[Nothing()])
    run_pipeline(other, gather=True, progress=False, on_error="skip")
    assert states(as_before=False) == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    write_block(tmp_path / "input", 3, 3)
    assert states() == [1] * 9
    broken.write_bytes(b"CDF\x01 broken")
    assert states() == [1, 1, 1, 3, 3, 3, 1, 1, 1]
    broken.unlink()
    run_pipeline(build(tmp_path), progress=False)
    assert build(tmp_path).outputs_to_gather() == [str(tmp_path / "d.zarr")]
    assert states(as_before=False) == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert build(tmp_path).outputs_to_gather() == []
