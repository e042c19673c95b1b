"""Times of items over days, months and years: what xarray takes, of whole periods alone."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from curator_core.domains.grid import ResampleFilter
from curator_core.errors import ComponentError, ConfigError
from tests.domains.grid.operations.fields import through


def series(start="2000-01-01", end="2000-02-29T18", freq="6h", calendar="standard", **about):
    """Random numbers in time, as a source gives them."""
    times = xr.date_range(start, end, freq=freq, calendar=calendar, use_cftime=True)
    values = np.random.default_rng(2).random((len(times), 3)).astype("f4")
    return xr.Dataset({"t": (("time", "x"), values, {"units": "K", **about})}, {"time": times})


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
@pytest.mark.parametrize(("period", "freq"), [("12h", "12h"), ("month", "MS")])
@pytest.mark.parametrize(
    ("statistic", "method"), [("mean", "mean"), ("sum", "sum"), ("min", "minimum"), ("max", "maximum")]
)
def test_numbers_are_those_of_xarray(calendar, period, freq, statistic, method):
    """In every calendar; times are the begin of periods, with bounds."""
    given = series(
        end="2000-02-30T18" if calendar == "360_day" else f"2000-02-{28 if calendar == 'noleap' else 29}T18",
        calendar=calendar,
    )
    (found,) = through(ResampleFilter(period, statistic), given)
    wanted = getattr(given.resample(time=freq), statistic)()
    np.testing.assert_allclose(found["t"].values, wanted["t"].values, rtol=2e-6)
    assert found["t"].attrs == {"units": "K", "cell_methods": f"time: {method}"}
    decoded = xr.decode_cf(found, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True))
    assert decoded["time"].values.tolist() == wanted["time"].values.tolist()
    bounds = decoded["time_bnds"].values
    assert (bounds[:, 0] == decoded["time"].values).all()
    assert (bounds[1:, 0] == bounds[:-1, 1]).all()


def test_periods_that_are_not_whole(caplog):
    """Fail, are masked or left out, and are named."""
    given = series("2000-01-01T06", "2000-01-03T18")
    with pytest.raises(ComponentError, match=r"1 of 3 periods are not whole: 2000-01-01T00:00:00 \(75%\)"):
        through(ResampleFilter("day"), given)
    (masked,) = through(ResampleFilter("day", incomplete="mask"), given)
    (dropped,) = through(ResampleFilter("day", incomplete="drop"), given)
    assert np.isnan(masked["t"].values).all(axis=1).tolist() == [True, False, False]
    np.testing.assert_array_equal(dropped["t"], masked["t"][1:])
    assert "2000-01-01T00:00:00 (75%), which are left out" in caplog.text
    with pytest.raises(ComponentError, match="no month is whole"):
        through(ResampleFilter("month", incomplete="drop"), given)
    gap = given.isel(time=[i for i in range(11) if i != 5])
    with pytest.raises(ComponentError, match="2 of 3 periods are not whole"):
        through(ResampleFilter("day"), gap)


def test_bounds_say_what_a_time_is():
    """Months count by their days; sums that are dated at their end belong to the day before."""
    months = np.array([0, 31, 59, 90], np.int64)
    edges = {"units": "days since 2001-01-01", "bounds": "b"}
    given = xr.Dataset(
        {"t": ("time", [1.0, 2.0, 3.0])},
        {"time": ("time", months[:-1] + 15, edges), "b": (("time", "nv"), np.stack([months[:-1], months[1:]], axis=1))},
    ).drop_indexes("time")
    with pytest.raises(ComponentError, match=r"2001-01-01T00:00:00 \(25%\)"):
        through(ResampleFilter("year"), given)
    twice = np.array([0, 31, 365], np.int64)
    given = xr.Dataset(
        {"t": ("time", [1.0, 2.0])},
        {"time": ("time", twice[:-1], edges), "b": (("time", "nv"), np.stack([twice[:-1], twice[1:]], axis=1))},
    ).drop_indexes("time")
    (found,) = through(ResampleFilter("year"), given)
    np.testing.assert_allclose(found["t"], [(31 + 2 * 334) / 365])
    with pytest.raises(
        ComponentError, match="step from 2001-02-01T00:00:00 to 2002-01-01T00:00:00 is not within one month"
    ):
        through(ResampleFilter("month"), given)
    hourly = series("2000-01-01T01", "2000-01-02T00", "1h")
    (found,) = through(ResampleFilter("day", "sum", stamp="end"), hourly)
    np.testing.assert_allclose(found["t"].values[0], hourly["t"].values.sum(axis=0), rtol=1e-6)


def test_missing_values():
    """Make a mean missing, unless enough is there; a sum always."""
    given = series(end="2000-01-01T18")
    given["t"][0, 0] = np.nan
    (found,) = through(ResampleFilter("day"), given)
    assert np.isnan(found["t"].values[0]).tolist() == [True, False, False]
    (found,) = through(ResampleFilter("day", min_valid=0.75), given)
    np.testing.assert_allclose(found["t"].values[0], np.nanmean(given["t"], axis=0), rtol=1e-6)
    (found,) = through(ResampleFilter("day", "max", min_valid=0.75), given)
    np.testing.assert_array_equal(found["t"].values[0], np.nanmax(given["t"], axis=0))


def test_what_cannot_be_resampled():
    """Is named before the run, or fails the item."""
    given = series()
    for changed, options, said in (
        (given.isel(time=[0]), {}, "has one time and no bounds: say how long its step is"),
        (given.isel(time=[0, 1, 1]), {"step": "6h"}, "steps that overlap, or are there twice, at 2000-01-01T06:00:00"),
        (given.drop_vars("time"), {}, "it has 0 dimensions of time, none, and one is needed"),
        (series(units="mm/day"), {"statistic": "sum"}, "field 't' in 'mm/day' is a rate"),
        (series(units="kg m-2 s-1"), {"statistic": "sum"}, "field 't' in 'kg m-2 s-1' is a rate"),
        (series(flag_values=[0, 1]), {}, "field 't' has flags, of which there is no mean"),
    ):
        with pytest.raises(ComponentError, match=said):
            through(ResampleFilter("day", **options), changed)
    for arguments in (["5h"], ["week"], ["0h"], ["day", "sum"]):
        with pytest.raises(ConfigError):
            ResampleFilter(*arguments, min_valid=0.5 if len(arguments) > 1 else 1.0)
