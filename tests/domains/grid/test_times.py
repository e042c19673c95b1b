"""Times: whole microseconds since 1970, whatever the file counts in."""

from __future__ import annotations

import cftime
import numpy as np
import pytest
import xarray as xr

from curator_core.domains.grid.times import (
    CALENDARS,
    EPOCH_UNITS,
    TimeError,
    calendar_of,
    counts_time,
    decode,
    encode,
    label,
)

REFERENCES = (
    "1-1-1",
    "1582-10-04 12:00",
    "1900-02-01 00:00:00.0",
    "1970-01-01T00:00:00Z",
    "2000-02-28 12:00:00 +01:00",
)


@pytest.mark.parametrize("calendar", sorted(CALENDARS))
@pytest.mark.parametrize("unit", ["seconds", "minutes", "hours", "days"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_dates_are_those_of_cftime(calendar, unit, reference):
    """In every calendar, before and after 1970, across the end of the Julian calendar."""
    values = np.array([-40.25, -1.0, 0.0, 0.5, 59.0, 366.0, 800_000.125])
    if calendar in ("standard", "julian") and reference == "1-1-1":
        values = values[2:]  # there is no year 0
    units = f"{unit} since {reference}"
    expected = cftime.num2date(values, units, calendar, only_use_cftime_datetimes=True)
    assert list(decode(encode(values, units, calendar), calendar)) == list(expected)


@pytest.mark.parametrize(
    ("reference", "instant"),
    [
        ("2000-1-1 12", "2000-01-01T12:00:00"),  # cftime leaves out the hour
        ("2000-01-01T06Z", "2000-01-01T06:00:00"),
        ("2000-01-01 00:00:00 -6", "2000-01-01T06:00:00"),
        ("2000-01-01 00:00 +1:00", "1999-12-31T23:00:00"),
        ("1970-1-1 0:00:00 0:00", "1970-01-01T00:00:00"),
        ("1899-12 00:00:00", "1899-12-01T00:00:00"),
        ("1850", "1850-01-01T00:00:00"),
        ("1970/01/02", "1970-01-02T00:00:00"),
        ("19800131 06:30", "1980-01-31T06:30:00"),
    ],
)
def test_all_of_a_reference_counts(reference, instant):
    """As in UDUNITS, whose dates these are."""
    assert label(encode(np.array([0]), f"hours since {reference}").item(), "standard") == instant


@pytest.mark.parametrize("reference", ["01-JAN-1981", "2000-01-01 06:00 EST", "2000-01-01 6 o'clock", "the start"])
def test_a_reference_that_is_no_date_is_an_error(reference):
    """Also where it begins with one."""
    with pytest.raises(TimeError, match="is no date: write it as"):
        encode(np.array([0]), f"hours since {reference}")


def test_xarray_decodes_them():
    """With the attributes that a grid has."""
    instants = encode(np.array([0.0, 1.5]), "days since 2001-02-28", "noleap")
    variable = xr.Variable(("time",), instants, {"units": EPOCH_UNITS, "calendar": "noleap"})
    decoded = xr.decode_cf(xr.Dataset({"time": variable}))["time"]
    assert decoded.values.tolist() == [
        cftime.DatetimeNoLeap(2001, 2, 28),
        cftime.DatetimeNoLeap(2001, 3, 1, 12),
    ]


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.float32, np.float64])
def test_the_same_instant_is_the_same_number(dtype):
    """In hours, in days, in seconds, of any type: joined by equality, never doubled."""
    hours = encode(np.array([8, 16], dtype), "hours since 2001-01-01", None)
    third = np.array([8, 16]) / 24
    assert encode(third, "days since 2001-01-01", "gregorian").tolist() == hours.tolist()
    assert encode(third + 36890, "days since 1900-01-01", "standard").tolist() == hours.tolist()
    assert encode(np.array([20010101 + 1 / 3, 20010101 + 2 / 3]), "day as %Y%m%d.%f", None).tolist() == hours.tolist()


def test_a_fraction_of_a_second_is_kept():
    """Where the type tells it."""
    instants = encode(np.array([561.337372]), "seconds since 2000-01-01 12:00:00", None)
    assert label(instants[0], "standard") == "2000-01-01T12:09:21.337372"
    assert encode(np.array([1_500_000_001], np.int64), "nanoseconds since 1970-01-01", None).tolist() == [1_500_000]


@pytest.mark.parametrize(
    ("values", "units", "calendar", "expected"),
    [
        ([0, 1, 14], "months since 2000-01-01", "standard", ["2000-01-01", "2000-02-01", "2001-03-01"]),
        ([-1.0, 0.5], "months since 2001-03-01", "noleap", ["2001-02-01", "2001-03-16T12:00:00"]),
        ([0.5], "months since 1960-01-01", "360_day", ["1960-01-16"]),
        ([1, 2], "years since 1999-02-15 06:00", None, ["2000-02-15T06:00:00", "2001-02-15T06:00:00"]),
        ([19851231.25], "day as %Y%m%d.%f", "proleptic_gregorian", ["1985-12-31T06:00:00"]),
        ([20000230], "day as %Y%m%d.%f", "360_day", ["2000-02-30"]),
        ([200002.5], "month as %Y%m.%f", "360_day", ["2000-02-16"]),
        ([2001], "year as %Y.%f", None, ["2001-01-01"]),
    ],
)
def test_months_years_and_dates_as_numbers(values, units, calendar, expected):
    """Months of a calendar have their own lengths, and a fraction is one of the month."""
    assert counts_time(units)
    name = calendar_of(calendar)
    found = [label(instant, name).removesuffix("T00:00:00") for instant in encode(np.array(values), units, calendar)]
    assert found == expected


@pytest.mark.parametrize(
    ("values", "units", "calendar", "match"),
    [
        ([0], "days since 2001-01-01", "tai", "calendar 'tai' is none of 360_day"),
        ([0], "days since 2001-02-30", "standard", "2001-02-30.*standard"),
        ([1], "months since 2001-01-31", "standard", "months since 2001-01-31"),
        ([20010230], "day as %Y%m%d.%f", "standard", "%Y%m%d"),
        ([0], "day as %Y%m", "standard", "does not say its day"),
        ([9.96921e36], "days since 2001-01-01", "standard", "140,000 years away"),
        ([np.nan], "days since 2001-01-01", "standard", "is no number"),
        (["a"], "days since 2001-01-01", "standard", "is no number"),
    ],
)
def test_what_is_no_time_is_refused(values, units, calendar, match):
    """With the units, or the calendar, and never guessed."""
    with pytest.raises(TimeError, match=match):
        encode(np.array(values), units, calendar)


@pytest.mark.parametrize("units", ["days", "K", "wibble", "events since 2001-01-01", 3, None, "month", ""])
def test_what_counts_no_time(units):
    """Numbers stay what they are."""
    assert not counts_time(units)
