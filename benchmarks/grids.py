"""Fields of weather: curated, counted, read for training, against the libraries that do the same reads and writes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cfgrib
import eccodes
import netCDF4
import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from benchmarks.datasets import new_bytes
from benchmarks.timing import Row, Work, best_seconds, seconds
from curator_core import Pipeline, run_pipeline
from curator_core.domains.grid import GRIBSource, GridZarrSink, NetCDFSource
from curator_core.filters.statistics import StatisticsFilter

if TYPE_CHECKING:
    import xarray as xr

STEPS = 24
"""Of a file: a day."""
ONE_DEGREE, TWO_DEGREES = (181, 360), (91, 180)
"""Latitudes and longitudes: 6.3 and 1.6 MB of float32 for each variable of a file."""
DIMS, NAMES = ("time", "latitude", "longitude"), ("t2m", "u10")
ROUNDS = 3
CURATING, TWO, STATISTICS, GRIB, WINDOWS, NEW_BYTES, CHANGE = 1.1, 1.7, 0.15, 5.0, 0.8, 0.02, 0.05
"""Targets."""


def grid_rows(
    n_files: int = 20, n_many: int = 160, n_small: int = 100, n_messages: int = 744, n_rounds: int = ROUNDS
) -> Iterator[Row]:
    """Files of NetCDF, a file of GRIB, and the dataset that is made of the first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for day in range(n_files):
            write_day(folder / "input", day)
        yield from _curating_rows(folder, n_files, n_rounds)
        yield _two_row(folder / "many", n_many)
        yield _window_row(folder / "grids.zarr", n_rounds)
        yield _grib_row(folder, n_messages, n_rounds)
        yield from _change_rows(folder / "small", n_small)


def write_day(folder: Path, day: int, grid: tuple[int, int] = ONE_DEGREE, seed: int = 0) -> None:
    """A file of hourly fields, smooth with noise, as NetCDF-4 with deflate."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng((day, seed))
    shape = (STEPS, *grid)
    axes = np.linspace(90, -90, grid[0]), np.linspace(0, 360, grid[1], endpoint=False)
    north, east = np.meshgrid(*axes, indexing="ij")
    with netCDF4.Dataset(folder / f"day-{day:03d}.nc", "w") as file:
        for name, length in zip(DIMS, shape, strict=True):
            file.createDimension(name, length)
        time = file.createVariable("time", "i4", ("time",))
        time.units = "hours since 2001-01-01"
        time[:] = 24 * day + np.arange(STEPS)
        for name, values, units in zip(("latitude", "longitude"), axes, ("degrees_north", "degrees_east"), strict=True):
            file.createVariable(name, "f4", (name,))[:] = values
            file[name].units = units
        for name, mean, spread in (("t2m", 280, 25), ("u10", 0, 8)):
            found = file.createVariable(name, "f4", DIMS, zlib=True, complevel=4, chunksizes=(1, *grid))
            waves = np.cos(np.deg2rad(3 * north)) * np.sin(np.deg2rad(2 * east + random.uniform(0, 360)))
            values = mean + spread * (waves + 0.05 * random.standard_normal(shape))
            found[:] = np.round(values, 2)  # as archives have them, to a few digits
            found.units = "K" if name == "t2m" else "m s-1"


def _write_like(folder: Path, day: int, other: int) -> None:
    """A file of another time with the values of an earlier one, which takes no time to make."""
    if day == other:
        write_day(folder, day)
        return
    path = folder / f"day-{day:03d}.nc"
    shutil.copyfile(folder / f"day-{other:03d}.nc", path)
    with netCDF4.Dataset(path, "a") as file:
        file["time"][:] = STEPS * day + np.arange(STEPS)


def _pipeline(folder: Path, n_files: int, *, statistics: bool = False) -> Pipeline[Any]:
    axes = {"time": {"start": "2001-01-01", "frequency": "1h", "end": _last(n_files)}}
    source: Any = NetCDFSource(str(folder / "input"))
    if statistics:
        source = source.filter(StatisticsFilter(str(folder / "statistics.parquet")))
    sink = GridZarrSink(str(folder / "grids.zarr"), axes, chunks={"time": 8}, shards={"time": STEPS})
    pipeline: Pipeline[Any] = source.write(sink)
    return pipeline.with_settings(db_file=folder / "grids.db", resume=True)


def _last(n_files: int) -> str:
    return str(np.datetime64("2001-01-01T00") + np.timedelta64(STEPS * n_files - 1, "h"))


def _curated(folder: Path, n_files: int, *, n_jobs: int = 1, statistics: bool = False) -> None:
    shutil.rmtree(folder / "grids.zarr", ignore_errors=True)
    shutil.rmtree(folder / "grids.zarr.versions", ignore_errors=True)
    for file in folder.glob("grids.db*"):
        file.unlink()
    pipeline = _pipeline(folder, n_files, statistics=statistics)
    run_pipeline(pipeline, n_jobs=n_jobs, gather=True, progress=False)


def _by_libraries(folder: Path, n_files: int, grid: tuple[int, int] = ONE_DEGREE) -> None:
    """The same reads and writes by netCDF4 and zarr, which waits for no disk and knows no gaps."""
    path = folder / "plain.zarr"
    shutil.rmtree(path, ignore_errors=True)
    group = zarr.create_group(str(path))
    arrays = {
        name: group.create_array(
            name,
            shape=(STEPS * n_files, *grid),
            chunks=(8, *grid),
            shards=(STEPS, *grid),
            dtype="float32",
            compressors=ZstdCodec(level=1),
        )
        for name in NAMES
    }
    for number, file in enumerate(sorted((folder / "input").iterdir())):
        with netCDF4.Dataset(file) as dataset:
            for name, array in arrays.items():
                array[number * STEPS : (number + 1) * STEPS] = dataset[name][:]


def _curating_rows(folder: Path, n_files: int, n_rounds: int) -> Iterator[Row]:
    with zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1}):  # one process has one core here
        works: dict[str, Work] = {
            "libraries": partial(_by_libraries, folder, n_files),
            "statistics": partial(_curated, folder, n_files, statistics=True),
            "one": partial(_curated, folder, n_files),
        }
        taken = best_seconds(works, n_rounds)
    ratio = taken["one"] / taken["libraries"]
    each = f"{taken['one'] / n_files * 1e3:.0f} ms a file"
    measure = f"{n_files} NetCDF files of 12.5 MB curated: time, over netCDF4 and zarr"
    yield Row(measure, f"{ratio:.2f} × ({each})", f"≤ {CURATING:g} ×", ratio <= CURATING)
    ratio = taken["statistics"] / taken["one"] - 1
    measure = "statistics of both variables on top"
    yield Row(measure, f"{ratio:.0%}", f"≤ {STATISTICS:.0%}", ratio <= STATISTICS)


def _two_row(folder: Path, n_files: int) -> Row:
    """So many files that it takes much longer than what begins and ends a run; every eighth has values of its own."""
    for day in range(n_files):
        _write_like(folder / "input", day, day % max(1, n_files // 8))
    with zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1}):
        works = {f"{n}": partial(_curated, folder, n_files, n_jobs=n) for n in (1, 2)}
        taken = best_seconds(works, 1)
    shutil.rmtree(folder)
    ratio = taken["1"] / taken["2"]
    measure = f"{n_files} NetCDF files of 12.5 MB curated by 2 processes: speed over that of one"
    return Row(measure, f"{ratio:.2f} ×", f"≥ {TWO:g} ×", ratio >= TWO)


def _change_rows(folder: Path, n_files: int) -> Iterator[Row]:
    """One file is corrected: it is processed, and the dataset published."""
    for day in range(n_files):
        write_day(folder / "input", day, TWO_DEGREES)
    _curated(folder, n_files)
    write_day(folder / "input", n_files // 2, TWO_DEGREES, seed=1)
    shutil.copytree(folder / "grids.zarr", folder / "before.zarr", copy_function=os.link)
    pipeline = _pipeline(folder, n_files)
    taken = seconds(lambda: run_pipeline(pipeline, gather=True, progress=False))
    taken /= seconds(partial(_by_libraries, folder, n_files, TWO_DEGREES))
    new = new_bytes(folder / "grids.zarr", folder / "before.zarr")
    measure = f"one of {n_files} files corrected"
    yield Row(f"{measure}: new bytes", f"{new:.1%}", f"≤ {NEW_BYTES:.0%}", new <= NEW_BYTES)
    yield Row(f"{measure}: time, over reading and writing all", f"{taken:.1%}", f"≤ {CHANGE:.0%}", taken <= CHANGE)


def _window_row(path: Path, n_rounds: int) -> Row:
    from curator_core.reading.torch import TimeWindows  # noqa: PLC0415 - the other rows do without

    windows = TimeWindows(path, ["-1h", 0], ["1h"], list(NAMES))
    group = zarr.open_group(str(path), mode="r")
    batches = np.split(np.random.default_rng(0).permutation(len(windows))[:32], 8)

    def plain() -> None:
        for slot in windows.slots[np.concatenate(batches)].tolist():
            for name in NAMES:
                group[name][slot - 1 : slot + 2]  # type: ignore[index]

    def read() -> None:
        for batch in batches:
            windows.__getitems__(batch.tolist())

    taken = best_seconds({"zarr": plain, "windows": read}, 3 * n_rounds)
    ratio = taken["zarr"] / taken["windows"]
    measure = "windows of three steps at random, four at once: speed over that of zarr"
    return Row(measure, f"{ratio:.0%}", f"≥ {WINDOWS:.0%}", ratio >= WINDOWS)


def write_messages(path: Path, n_messages: int) -> None:
    """Hourly fields of 31 × 16 points."""
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    random = np.random.default_rng(0)
    n_points = eccodes.codes_get_size(handle, "values")
    start = np.datetime64("2001-01-01T00")
    with path.open("wb") as file:
        for number in range(n_messages):
            date, hour = str(start + np.timedelta64(number, "h")).split("T")
            eccodes.codes_set(handle, "dataDate", int(date.replace("-", "")))
            eccodes.codes_set(handle, "dataTime", int(hour) * 100)
            eccodes.codes_set_values(handle, random.standard_normal(n_points))
            eccodes.codes_write(handle, file)
    eccodes.codes_release(handle)


def _grib_row(folder: Path, n_messages: int, n_rounds: int) -> Row:
    (folder / "grib").mkdir()
    path = folder / "grib" / "month.grib2"
    write_messages(path, n_messages)
    source = GRIBSource(str(folder / "grib"), "*.grib2")

    def by_cfgrib() -> xr.Dataset:
        return cfgrib.open_dataset(str(path), indexpath="").load()

    def by_source() -> xr.Dataset:
        (found,) = source[0]
        return found

    (ours,), (theirs,) = by_source().data_vars.values(), by_cfgrib().data_vars.values()
    np.testing.assert_array_equal(ours.values.ravel(), theirs.values.ravel())
    taken = best_seconds({"cfgrib": by_cfgrib, "source": by_source}, n_rounds)
    ratio = taken["cfgrib"] / taken["source"]
    each = ", ".join(f"{name} {time / n_messages * 1e6:.0f} µs" for name, time in taken.items())
    measure = f"GRIB of {n_messages} messages read: speed over that of cfgrib"
    return Row(measure, f"{ratio:.1f} × ({each})", f"≥ {GRIB:g} ×", ratio >= GRIB)
