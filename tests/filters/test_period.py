"""Statistics of a period, against xarray's selection."""

from __future__ import annotations

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("datasketches")
pytest.importorskip("pyarrow.parquet")

from curator_core.errors import ComponentError, ConfigError, MergeError  # noqa: E402 - needs xarray
from curator_core.filters.statistics import StatisticsFilter  # noqa: E402 - as above
from tests.filters.test_statistics import table  # noqa: E402 - as above

DAY = 86_400_000_000


def days(calendar, first=0, n=900):
    """A field that counts days since 1970, as sources of grids give it."""
    about = {"units": "microseconds since 1970-01-01", "calendar": calendar}
    numbers = np.arange(first, first + n)
    return xr.Dataset({"t": (("time", "x"), np.stack([numbers, -numbers], 1) * 1.0)}).assign_coords(
        time=xr.Variable("time", numbers * DAY, about)
    )


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_steps_are_those_that_xarray_selects(tmp_path, calendar):
    """Both ends are in it, in the calendar of the item, however steps are divided; and dates of NumPy."""
    whole = days(calendar)
    items = [whole.isel(time=slice(0, 400)), whole.isel(time=slice(400, None))]
    decoded = xr.decode_cf(whole, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True))
    for period, chosen in (
        (["1971", "1971"], slice("1971", "1971")),
        (["1971-02-01", None], slice("1971-02-01", None)),
        ([None, "1970-12-30"], slice(None, "1970-12-30")),
    ):
        wanted = decoded["t"].sel(time=chosen)
        row = table([[each] for each in items], tmp_path, period=period)["t"]
        assert (row["count"], row["max"], row["min"]) == (wanted.size, wanted.max(), wanted.min())
    if calendar == "standard":
        assert table([[xr.decode_cf(whole)]], tmp_path, period=["1971", "1971"])["t"]["count"] == 2 * 365
    assert table([[whole.isel(time=n)] for n in (1, 9)], tmp_path, period=["1970-01-10", None])["t"]["max"] == 9


def test_what_has_no_period_is_said(tmp_path):
    """Before anything runs, by item, and when no item has a step in it."""
    for period in (["1971"], "1971", ["1972", "1971"], ["soon", None], ["1971-13", None]):
        with pytest.raises(ConfigError, match="statistics: "):
            StatisticsFilter("s.parquet", period=period)
    step = StatisticsFilter("s.parquet", period=["1970-02-30", None])
    for value, message in (
        ({"t": np.ones(3)}, "one of datasets with times"),
        (days("standard").drop_vars("time"), "needs steps of one time, and it has none"),
        (days("standard"), "the period is none of its calendar: '1970-02-30' is no date"),
    ):
        with pytest.raises(ComponentError, match=message):
            list(step(iter([value])))
    with pytest.raises(MergeError, match="no item has a step in the period"):
        table([[days("standard")]], tmp_path, period=["1990", None])
