"""Statistics at every point of a grid, against xarray over all files."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from curator_core import Pipeline, run_pipeline
from curator_core.domains.grid import PointStatisticsFilter
from curator_core.errors import ComponentError, ConfigError, MergeError, UnknownNameError
from curator_core.testing import FilterContract
from curator_core.testing.contracts import tree_bytes
from tests.filters.grids import grid, through

YAML = """
source:
  component: netcdf
  params: {{root: weather, item: {item}}}
filters:
- component: point_statistics
  params: {{output_path: {output}, keep: [latitude, longitude]}}
sink:
  component: grid_zarr
  params: {{output_path: out/grids.zarr}}
"""


class TestContract(FilterContract):
    def make_filter(self, tmp_path):
        return PointStatisticsFilter(str(tmp_path / "points.nc"), ["x"])

    def make_items(self, index):
        return [grid(index + 1)]

    def is_equal(self, first, second):
        return first.identical(second)


def write_day(day, warmer=0.0):
    """Four steps of a field with a gap, and of one on two levels."""
    random = np.random.default_rng(day)
    Path("weather").mkdir(exist_ok=True)
    with netCDF4.Dataset(f"weather/day-{day}.nc", "w") as file:
        for name, length in {"time": 4, "level": 2, "latitude": 3, "longitude": 5}.items():
            file.createDimension(name, length)
        time = file.createVariable("time", "i4", ("time",))
        time.units = f"hours since 2001-01-0{day}"
        time[:] = [0, 6, 12, 18]
        file.createVariable("level", "i4", ("level",))[:] = [850, 500]
        for name, values, units in (
            ("latitude", [50, 40, 30], "degrees_north"),
            ("longitude", np.arange(5) * 72, "degrees_east"),
        ):
            file.createVariable(name, "f4", (name,))[:] = values
            file[name].units = units
        for name, dims in (
            ("t2m", ("time", "latitude", "longitude")),
            ("u", ("time", "level", "latitude", "longitude")),
        ):
            found = file.createVariable(name, "f4", dims, fill_value=-999)
            values = 280 + warmer + random.normal(size=found.shape)
            values[..., 0, 0] = -999  # never there
            values[0, ..., 1, 1] = -999
            found[:] = values
            found.units = "K"


@pytest.fixture
def days(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for day in (1, 2, 3):
        write_day(day)


def curated(item, output="out/points.nc", **options):
    """The statistics, and the bytes of their files."""
    Path("pipeline.yaml").write_text(YAML.format(item=item, output=output))
    run_pipeline(Pipeline.load("pipeline.yaml").with_settings(resume=True), gather=True, progress=False, **options)
    found = xr.open_zarr(output).load() if output.endswith(".zarr") else xr.load_dataset(output)
    return found, tree_bytes(Path(output))


def test_every_point_is_as_xarray_has_it(days):
    """Over all files; from two threads the same bytes, and right after a file was corrected."""
    _, content = curated("file")
    Path("out").rename("before")
    assert curated("file", n_jobs=2, backend="thread_pool")[1] == content
    write_day(2, warmer=5.0)
    found, _ = curated("file")
    wanted = xr.concat([xr.load_dataset(f"weather/day-{day}.nc") for day in (1, 2, 3)], "time")
    for name in ("t2m", "u"):
        over = [dim for dim in wanted[name].dims if dim not in ("latitude", "longitude")]
        numbers = wanted[name].astype("f8")
        assert np.array_equal(found[f"{name}_count"], numbers.count(over))
        assert found[f"{name}_mean"].dims == ("latitude", "longitude")
        assert np.isnan(found[f"{name}_mean"].values[0, 0])
        for what in ("mean", "min", "max"):
            np.testing.assert_allclose(found[f"{name}_{what}"], getattr(numbers, what)(over), rtol=1e-14)
        np.testing.assert_allclose(found[f"{name}_std"], numbers.std(over), rtol=1e-10)
    assert (found["t2m_variance"].units, found["u_min"].cell_methods) == ("(K)2", "time: level: minimum")
    assert found["latitude"].values.tolist() == [50, 40, 30]


def test_a_zarr_group_has_what_the_file_has(days):
    """In types, attributes and values, at once or after a file was corrected."""
    curated("file", "out/points.zarr")
    write_day(2, warmer=5.0)
    found, content = curated("file", "out/points.zarr")
    Path("out").rename("before")
    assert curated("file", "out/points.zarr", n_jobs=2, backend="thread_pool")[1] == content
    Path("out").rename("again")
    xr.testing.assert_identical(found, curated("file")[0])


def test_items_of_one_step_give_the_same(days):
    """To the rounding of the sums."""
    files, _ = curated("file")
    Path("out").rename("before")
    steps, _ = curated("time")
    xr.testing.assert_allclose(files, steps, rtol=1e-12)


def test_what_is_refused(tmp_path):
    """Nothing to keep, another grid, another unit, a variable that is not there or lies along nothing kept."""
    with pytest.raises(ConfigError, match="keep names dimensions"):
        PointStatisticsFilter("p.nc", [])
    with pytest.raises(UnknownNameError):
        PointStatisticsFilter("p.nc", ["x"], split="fit").check_split(None)
    with pytest.raises(ConfigError, match=r"must end in '\.nc' or '\.zarr'"):
        PointStatisticsFilter("p.csv", ["x"]).check()
    for options, why in (
        ({"keep": ["y"]}, "no variable of numbers lies along y"),
        ({"keep": ["level"], "fields": ["rain"]}, "'rain' lies along time, x, and none of level"),
        ({"keep": ["x"], "fields": ["snow"]}, "no variable 'snow'"),
    ):
        with pytest.raises(ComponentError, match=why):
            through(PointStatisticsFilter("p.nc", **options), grid())
    step, shards = PointStatisticsFilter(str(tmp_path / "p.nc"), ["level"]), []
    other = grid()
    other["t"].attrs["units"] = "degC"
    for number, value in enumerate((grid(), grid().assign_coords(level=[850, 501]), other)):
        through(step, value)
        shards.append(tmp_path / f"{number}.npz")
        step.write_shard(str(shards[-1]))
    for second, why in ((1, "its 'level' is not that of the items before"), (2, "its units are 'degC'")):
        with pytest.raises(MergeError, match=why):
            step.merge([str(shards[0]), str(shards[second])], step.output_path)
    shards[0].write_bytes(shards[0].read_bytes()[:-30])
    with pytest.raises(MergeError, match="shard 0 of those to merge cannot be used"):
        step.merge([str(shards[0])], step.output_path)
