"""Statistics of changes over a step, against NumPy over all times."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr

from curator_core import run_pipeline
from curator_core.domains.grid import NetCDFSource, TendencyStatisticsFilter
from curator_core.errors import ComponentError, ConfigError, MergeError, UnknownNameError
from curator_core.testing import FilterContract
from tests.filters.grids import Nowhere, grid, through

HOUR = 3_600_000_000


class TestContract(FilterContract):
    def make_filter(self, tmp_path):
        return TendencyStatisticsFilter(str(tmp_path / "changes.parquet"), "6h")

    def make_items(self, index):
        found = grid(index + 1)
        return [found.assign_coords(time=found["time"] + index * 24 * HOUR).assign_coords(level=[850, 500])]

    def is_equal(self, first, second):
        return first.identical(second)


def series(hours, calendar="noleap"):
    """Fields at some hours, one on levels, with a number that is missing and one that is infinite."""
    random = np.random.default_rng(3)
    t = random.normal(280, 10, (200, 2, 3)).astype("f4")[: max(hours) + 1][hours]
    p = random.normal(1e5, 10, (200, 3))[: max(hours) + 1][hours]
    t[hours.index(7), 0, 1], p[hours.index(8), 2] = np.nan, np.inf
    about = {"units": "hours since 2001-02-27", "calendar": calendar}
    return xr.Dataset(
        {"t": (("time", "level", "x"), t, {"units": "K"}), "p": (("time", "x"), p, {"units": "Pa"})},
        {"time": ("time", np.array(hours), about), "level": ("level", [850, 500])},
    )


def merged(items, folder, order=None, **options):
    """The table of a division into items, and its bytes."""
    step = TendencyStatisticsFilter(str(folder / "changes.parquet"), "6h", **options)
    shards = []
    for number, item in enumerate(items):
        through(step, *item)
        shards.append(str(folder / f"{number}.npz"))
        step.write_shard(shards[-1])
    step.merge([shards[at] for at in (range(len(shards)) if order is None else order)], step.output_path)
    return pq.read_table(step.output_path).to_pylist(), Path(step.output_path).read_bytes()


def wanted(values, hours):
    """Differences of the pairs of times that are six hours apart."""
    at = {hour: n for n, hour in enumerate(hours)}
    pairs = [(at[hour], at[hour + 6]) for hour in hours if hour + 6 in at]
    first, second = (values[[pair[n] for pair in pairs]].astype("f8") for n in range(2))
    with np.errstate(invalid="ignore"):
        return second - first, len(pairs)


def test_every_division_into_items_is_as_numpy_has_it(tmp_path):
    """Hourly times with a gap of ten hours and a lonely time, in one, three, interleaved and single items."""
    hours = [*range(20), *range(30, 50), 70]
    all_times = series(hours)
    rows, content = merged([[all_times]], tmp_path, by=["level"])
    fields = {"p": all_times["p"], **{f"t[level={v}]": all_times["t"][:, n] for n, v in enumerate((850, 500))}}
    assert [row["field"] for row in rows] == sorted(fields)
    for row in rows:
        found, n_pairs = wanted(fields[row["field"]].values, hours)
        finite = found[np.isfinite(found)]
        assert (row["count"], row["n_nonfinite"]) == (finite.size, found.size - finite.size)
        assert (row["n_pairs"], row["n_steps"], n_pairs) == (28, 41, 28)
        assert (row["min"], row["max"]) == (finite.min(), finite.max())
        np.testing.assert_allclose([row["mean"], row["std"]], [finite.mean(), finite.std()], rtol=1e-12)
    assert [row["n_nonfinite"] for row in rows] == [2, 0, 2]
    assert (rows[0]["units"], rows[2]["variable"], rows[2]["level"]) == ("Pa", "t", "850")
    cuts = [all_times.isel(time=at) for at in (slice(0, 3), slice(3, 23), slice(23, None))]
    divisions = {
        "three": [[cut] for cut in cuts],
        "values of one item": [[cuts[2], cuts[0]], [cuts[1]]],
        "interleaved": [[all_times.isel(time=slice(n, None, 4))] for n in range(4)],
        "reversed": [[all_times.isel(time=slice(None, None, -1), level=[1, 0])]],
        "single": [[all_times.isel(time=[at])] for at in range(len(hours))],
    }
    for name, items in divisions.items():
        order = np.random.default_rng(1).permutation(len(items))
        assert merged(items, tmp_path, order, by=["level"])[1] == content, name


def test_calendars_decide_what_is_a_step_apart(tmp_path):
    """The same dates in a leap year: 28 February 18:00 is six hours before 1 March in one calendar only."""
    for calendar, n_pairs in (("noleap", 1), ("standard", 0)):
        items = []
        for date in ("2000-02-28 18:00", "2000-03-01 00:00"):
            about = {"units": f"hours since {date}", "calendar": calendar}
            items.append([xr.Dataset({"t": ("time", [1.0])}, {"time": ("time", [0], about)})])
        (row,), _ = merged(items, tmp_path)
        assert (row["n_pairs"], row["n_steps"], row["mean"]) == (n_pairs, 2, 0.0 if n_pairs else None)


def write_day(day, warmer=0.0, name=None):
    """Four times of a field on two levels."""
    with netCDF4.Dataset(f"weather/{name or day}.nc", "w") as file:
        for dim, length in {"time": 4, "level": 2, "x": 5}.items():
            file.createDimension(dim, length)
        file.createVariable("time", "i4", ("time",))[:] = [0, 6, 12, 18]
        file["time"].units = f"hours since 2001-01-0{day}"
        file.createVariable("level", "i4", ("level",))[:] = [850, 500]
        values = np.random.default_rng(day).normal(size=(4, 2, 5)) + warmer
        file.createVariable("t", "f4", ("time", "level", "x"))[:] = values


def curated(item="file", **options):
    """The file of statistics."""
    step = TendencyStatisticsFilter("out/changes.parquet", "6h", by=["level"])
    pipeline = NetCDFSource("weather", item=item).filter(step).write(Nowhere()).with_settings(resume=True)
    run_pipeline(pipeline, gather=True, progress=False, **options)
    return Path("out/changes.parquet").read_bytes()


def test_threads_single_times_and_corrected_files_give_the_same_bytes(tmp_path, monkeypatch):
    """As from scratch; and a file that holds a time of another fails by the names of both."""
    monkeypatch.chdir(tmp_path)
    Path("weather").mkdir()
    for day in (1, 2, 3):
        write_day(day)
    before = curated()
    write_day(2, warmer=5.0)
    corrected = curated()
    assert corrected != before
    for number, options in enumerate(({"n_jobs": 2, "backend": "thread_pool"}, {"item": "time"})):
        Path("out").rename(f"out-{number}")
        assert curated(**options) == corrected
    values = np.concatenate([xr.load_dataset(f"weather/{day}.nc")["t"].values[:, 0] for day in (1, 2, 3)])
    found = np.diff(values.astype("f8"), axis=0)
    row = pq.read_table("out/changes.parquet").to_pylist()[1]
    assert (row["count"], row["min"], row["n_pairs"]) == (found.size, found.min(), 11)
    assert row["mean"] == pytest.approx(found.mean(), rel=1e-12)
    write_day(3, name="again")
    Path("out").rename("out-2")
    with pytest.raises(MergeError, match=r"at 2001-01-03T00:00:00 is in the items '3.nc' and 'again.nc'"):
        curated()


def test_what_is_refused(tmp_path):
    """Steps that are none, fields that are not there, forecasts, times that are there twice, other units."""
    for step, options in (("month", {}), ("0h", {}), ("6h", {"fields": []})):
        with pytest.raises(ConfigError, match="step"):
            TendencyStatisticsFilter("c.parquet", step, **options)
    with pytest.raises(UnknownNameError):
        TendencyStatisticsFilter("c.parquet", "6h", split="fit").check_split(None)
    forecast = grid().assign_coords(x=("x", [0, 6], {"standard_name": "forecast_period", "units": "hours"}))
    for value, options, why in (
        (grid(), {"fields": ["snow"]}, "no field 'snow'"),
        (grid(), {"by": ["time"]}, "along which differences are taken"),
        (forecast, {}, "is of forecasts, by 'x'"),
        (xr.concat([grid(), grid(1)], "time"), {}, "is there twice at 1970-01-01T00:00:00"),
    ):
        with pytest.raises(ComponentError, match=why):
            through(TendencyStatisticsFilter("c.parquet", "6h", **options), value)
    later = grid().assign_coords(time=grid()["time"] + 18 * HOUR)
    other = later.copy()
    other["t"].attrs["units"] = "degC"
    for second, options, why in (
        (other, {}, "'t' is in other units"),
        (later.assign_coords(level=[850, 501]), {}, "'t' is on other coordinates"),
        (grid(), {}, "'rain' at 1970-01-01T00:00:00 is in the items '' and ''"),
        (later, {"by": ["member"]}, "no item has the dimension 'member'"),
    ):
        with pytest.raises(MergeError, match=f"^tendency_statistics: .*{why}"):
            merged([[grid()], [second]], tmp_path, **options)
    (tmp_path / "0.npz").write_bytes((tmp_path / "0.npz").read_bytes()[:-30])
    with pytest.raises(MergeError, match="shard 0 of those to merge cannot be used"):
        TendencyStatisticsFilter("c.parquet", "6h").merge([str(tmp_path / "0.npz")], str(tmp_path / "c.parquet"))


def test_a_step_that_no_two_times_are_apart_is_said(tmp_path, caplog):
    """The table is written, and empty of numbers: a step of hours in place of days, say."""
    whole = series([*range(7, 9)])
    (row, *_), _ = merged([[whole]], tmp_path)
    assert (row["n_pairs"], row["n_steps"], row["mean"]) == (0, 2, None)
    assert "no two times of 'p' are a step apart" in caplog.text
