"""What is usual at a time of the year, and differences from it: what xarray groups."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from curator_core import Pipeline, run_pipeline
from curator_core.domains.grid import AnomalyFilter, ClimatologyFilter, NetCDFSink, NetCDFSource
from curator_core.errors import ComponentError, ConfigError
from curator_core.testing import FilterContract
from tests.domains.grid.operations.fields import through

LATITUDES, LONGITUDES = np.array([60.0, 0.0, -60.0]), np.arange(4) * 90.0


def year(number, freq="6h", calendar="standard"):
    """Random numbers through a year, some of them missing."""
    times = xr.date_range(f"{number}-01-01", f"{number}-12-30T18", freq=freq, calendar=calendar, use_cftime=True)
    values = np.random.default_rng(number).random((len(times), 3, 4)).astype("f4")
    values[::7, 1] = np.nan
    about = {"units": "K", "standard_name": "air_temperature"}
    return xr.Dataset(
        {"t": (("time", "lat", "lon"), values, about)},
        {
            "time": times,
            "lat": ("lat", LATITUDES, {"units": "degrees_north"}),
            "lon": ("lon", LONGITUDES, {"units": "degrees_east"}),
        },
    )


class TestClimatology(FilterContract):
    def make_filter(self, tmp_path):
        return ClimatologyFilter(str(tmp_path / "usual.nc"))

    def make_items(self, index):
        return [year(2001 + index, "10D")]

    def is_equal(self, first, second):
        return bool(first.identical(second))


def curated(folder, *steps, sink="out"):
    """Run some filters over the files of a folder."""
    pipeline = Pipeline(NetCDFSource(str(folder / "in")), steps, NetCDFSink(str(folder / sink)), db_dir=folder)
    run_pipeline(pipeline, progress=False, gather=True)


@pytest.mark.parametrize("by", ["month", "day", ["month", "hour"]])
def test_means_are_those_of_xarray(tmp_path, by):
    """Over items, in leap years and others; differences from them, and by their content."""
    (tmp_path / "in").mkdir()
    years = [year(number, "12h") for number in (2000, 2001, 2002)]
    for position, each in enumerate(years):
        each.to_netcdf(tmp_path / "in" / f"{position}.nc")
    file = tmp_path / "usual.nc"
    curated(tmp_path, ClimatologyFilter(str(file), by))
    together = xr.concat(years, "time")
    with xr.open_dataset(file) as usual:
        if by == "day":
            days = together["time"].dt.dayofyear
            late = ~together["time"].dt.is_leap_year & (days > 59)
            wanted = together["t"].groupby((days + late).rename("day")).mean()
        elif by == "month":
            wanted = together["t"].groupby("time.month").mean()
        else:
            parts = [
                together["t"].where(together["time"].dt.hour == hour).groupby("time.month").mean() for hour in (0, 12)
            ]
            wanted = xr.concat(parts, "hour").transpose("month", "hour", "lat", "lon")
        np.testing.assert_allclose(usual["t"].values, wanted.values, rtol=1e-6)
        assert int(usual["t_count"].sum()) == int(together["t"].count())
        assert usual["t"].attrs["units"] == "K"
    step = AnomalyFilter(str(file), ["t"])
    (found,) = through(step, years[0])
    about = {"units": "K", "long_name": "air_temperature anomaly", "units_metadata": "temperature: difference"}
    assert found["t"].attrs == about
    if by == "month":
        expected = years[0]["t"].groupby("time.month") - wanted
        np.testing.assert_allclose(found["t"], expected, atol=1e-6)
        turned = (
            years[0]
            .isel(lat=slice(None, None, -1), lon=[2, 3, 0, 1])
            .assign_coords(lon=("lon", [-180.0, -90.0, 0.0, 90.0], {"units": "degrees_east"}))
        )
        (other,) = through(step, turned)
        np.testing.assert_array_equal(other["t"], found["t"].values[:, ::-1][..., [2, 3, 0, 1]])


def test_items_that_do_not_go_together(tmp_path):
    """Are refused, by name; so are times and fields of which there are no means."""
    (tmp_path / "in").mkdir()
    year(2001, "10D").to_netcdf(tmp_path / "in" / "a.nc")
    other = year(2002, "10D").assign_coords(lat=("lat", LATITUDES + 1, {"units": "degrees_north"}))
    other.to_netcdf(tmp_path / "in" / "b.nc")
    with pytest.raises(Exception, match="'lat' of 't' has other values than in an item before"):
        curated(tmp_path, ClimatologyFilter(str(tmp_path / "usual.nc")))
    (tmp_path / "in" / "b.nc").unlink()
    curated(tmp_path, ClimatologyFilter(str(tmp_path / "days.nc"), "day"))
    step = AnomalyFilter(str(tmp_path / "days.nc"), ["t"])
    with pytest.raises(ComponentError, match="the file has no means of day 2, which the item has"):
        through(step, year(2003))
    kelvin = year(2001, "10D")
    kelvin["t"].attrs["units"] = "degC"
    with pytest.raises(ComponentError, match="field 't' is in 'degC', and its means are in 'K'"):
        through(step, kelvin)
    with pytest.raises(ComponentError, match="the file has no means of 'rain'"):
        through(AnomalyFilter(str(tmp_path / "days.nc"), ["rain"]), kelvin.rename(t="rain"))
    for options in ({"by": []}, {"by": ["month", "month"]}, {"fields": []}):
        with pytest.raises(ConfigError):
            ClimatologyFilter(str(tmp_path / "days.nc"), **options)
