"""Times in another calendar, against xarray's conversion."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import yaml

from curator_core import Pipeline, open_dataset, run_pipeline
from curator_core.domains.grid import CalendarFilter
from curator_core.errors import ComponentError, ConfigError
from tests.domains.grid.operations.fields import through


def daily(calendar, start="2000-02-25", n=8):
    """A field at noon of some days, with bounds, counted as files do."""
    days = np.arange(n)
    about = {"units": f"days since {start}", "calendar": calendar, "bounds": "edges"}
    edges = ("time", "nv"), np.stack([days, days + 1], axis=1).astype("f8")
    return xr.Dataset({"t": ("time", days + 0.5)}, {"time": ("time", days + 0.5, about), "edges": edges})


@pytest.mark.parametrize("pair", [("noleap", "standard"), ("standard", "noleap"), ("360_day", "standard")])
def test_dates_are_those_of_xarray(pair, caplog):
    """Of the steps that stay, also their values; what is left out is said. Edges are dates that there are."""
    former, calendar = pair
    given = daily(former, "2001-02-25" if former == "360_day" else "2000-02-25")
    (found,) = through(CalendarFilter(calendar, absent="drop"), given)
    decoded = xr.decode_cf(given.drop_vars("edges"), decode_times=xr.coders.CFDatetimeCoder(use_cftime=True))
    wanted = decoded.convert_calendar(calendar, align_on="date", use_cftime=True)
    got = xr.decode_cf(found, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True))
    assert got["time"].values.tolist() == wanted["time"].values.tolist()
    np.testing.assert_array_equal(got["t"], wanted["t"])
    assert (found["edges"][1:, 0].values == found["edges"][:-1, 1].values).all() or former == "standard"
    assert ("are left out" in caplog.text) == (len(wanted["time"]) < len(given["time"]))
    assert found["time"].attrs["calendar"] == calendar


def test_what_cannot_keep_its_date_fails():
    """Alone, with the date; so do lead times that would change, and what has no times."""
    with pytest.raises(ComponentError, match=r"'time': noleap has no 2000-02-29T12:00:00. Leave such steps out"):
        through(CalendarFilter("noleap"), daily("standard"))
    forecast = daily("noleap").assign_coords(start=((), 0, {"units": "days since 2000-02-25", "calendar": "noleap"}))
    with pytest.raises(ComponentError, match="'start' and 'time' would have other distances"):
        through(CalendarFilter("standard"), forecast)
    with pytest.raises(ComponentError, match="it has no times"):
        through(CalendarFilter("standard"), xr.Dataset({"t": ("x", [1.0])}))
    with pytest.raises(ConfigError, match="'lunar' is none of 360_day"):
        CalendarFilter("lunar")


def test_files_of_two_calendars_become_one_dataset(tmp_path):
    """From a pipeline file; 29 February of the one without leap years is a gap."""
    (tmp_path / "in").mkdir()
    daily("noleap").to_netcdf(tmp_path / "in/a.nc")
    daily("standard", "2000-03-05", 3).to_netcdf(tmp_path / "in/b.nc")
    file = tmp_path / "p.yaml"
    config = {
        "source": {"component": "netcdf", "params": {"root": str(tmp_path / "in")}},
        "filters": [{"component": "calendar", "params": {"calendar": "standard"}}],
        "sink": {"component": "grid_zarr", "params": {"output_path": str(tmp_path / "d.zarr")}},
    }
    file.write_text(yaml.safe_dump(config))
    run_pipeline(Pipeline.load(file).with_settings(db_dir=tmp_path), gather=True, progress=False)
    found = open_dataset(tmp_path / "d.zarr")["t"]
    assert found.sizes["time"] == 11 + 1
    assert found["time"].values[np.isnan(found.values)].astype("M8[D]").astype(str).tolist() == ["2000-02-29"]
