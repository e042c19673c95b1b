"""Splits by the time in a key, in every calendar, with a gap."""

from __future__ import annotations

import datetime as dt

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curator_core import SplitByTime
from curator_core.errors import ConfigError
from curator_core.pipeline.splits import split_rule
from curator_core.pipeline.splits.dates import CALENDARS, calendar_of, span

PERIODS = {"train": ["1979", "2014-06-30"], "validation": ["2014-07", "2015-12-31"], "test": ["2016-02", None]}


@pytest.mark.parametrize(
    ("key", "split"),
    [
        ("a.nc#1978-12-31T23:59:59", ""),
        ("a.nc#1979-01-01T00:00:00", "train"),
        ("2030-01-01/a.nc#2014-06-30T18:00:00", "train"),
        ("a.nc#2014-07-01T00:00:00", "validation"),
        ("a.nc#2015-12-31T23:59:59.500000", "validation"),
        ("a.nc#2016-01-15T00:00:00", ""),
        ("t2m_2016-02.nc", "test"),
        ("t2m_2100-12-31.nc", "test"),
    ],
)
def test_periods(key, split):
    """Have their first and last date in them; what lies between is in none."""
    assert SplitByTime(PERIODS).split(key) == split


def test_a_gap():
    """Is kept before the start of a later period, whichever has what is next to it."""
    rule = SplitByTime(PERIODS, gap="7d")
    assert rule.split("#2014-06-24T00:00:00") == "train"
    assert rule.split("#2014-06-24T06:00:00") == ""
    assert rule.split("#2014-07-01T00:00:00") == "validation"
    assert rule.split("#2015-12-31T18:00:00") == "validation"
    assert SplitByTime(PERIODS, gap="36h").split("#2014-06-29T12:00:00") == "train"
    assert SplitByTime(PERIODS, gap="90min").split("#2014-06-30T22:31:00") == ""


def test_items_of_several_steps():
    """Are in a split with all of their steps, or in none."""
    rule = SplitByTime(PERIODS, duration="1d")
    assert rule.split("#2014-06-30T00:00:00") == "train"
    assert rule.split("#2014-06-30T06:00:00") == ""
    assert SplitByTime(PERIODS, duration="1d", gap="1d").split("#2014-06-30T00:00:00") == ""


@given(st.dates(dt.date(1600, 1, 1), dt.date(2400, 1, 1)), st.integers(1, 400))
def test_gaps_are_those_of_the_calendar(start, n_days):
    """As Python counts days in the Gregorian one."""
    before = start - dt.timedelta(1)
    rule = SplitByTime({"a": [None, before.isoformat()], "b": [start.isoformat(), None]}, gap=f"{n_days}d")
    last = start - dt.timedelta(n_days)
    assert rule.split(f"#{last.isoformat()}T00:00:00") == "a"
    assert rule.split(f"#{last.isoformat()}T00:00:01") == ""
    assert rule.split(f"#{start.isoformat()}T00:00:00") == "b"


@pytest.mark.parametrize("calendar", CALENDARS)
def test_calendars(calendar):
    """Know their dates, and years follow each other without a gap; cftime counts the same."""
    cftime = pytest.importorskip("cftime")
    name = calendar_of(calendar)
    dates = "1999 2000 1900 2000-02 1999-12 2000-02-28 2001-02-28 2000-12-30 2000-02-28T23:59"
    for text in dates.split():
        start, end = span(text, name)
        parts = [int(part) for part in text.replace("T", "-").replace(":", "-").split("-")]
        date = cftime.datetime(*[*parts, *(1, 1, 1)[len(parts) :]], calendar=calendar)
        epoch = cftime.datetime(1999, 1, 1, calendar=calendar)
        assert (date - epoch).total_seconds() == start - span("1999-01-01", name)[0]
        assert end > start
    assert span("1999", name)[1] == span("2000", name)[0]
    with pytest.raises(ConfigError, match="is no date of the calendar"):
        span("2000-02-31", name)


def test_dates_of_other_calendars():
    """A 30th of February is in a year of 360 days, and nowhere else."""
    assert SplitByTime({"a": ["2000-02-30", "2000-02-30"]}, calendar="360_day").split("#2000-02-30T12:00:00") == "a"
    with pytest.raises(ConfigError, match="no date of the calendar gregorian"):
        SplitByTime({"a": ["2000", None]}).split("#2000-02-30T12:00:00")


def test_a_pattern():
    """Finds times that are written otherwise, as far as they go."""
    rule = SplitByTime({"a": ["2001-03", "2001-03"]}, pattern=r"_(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)?\.nc$")
    assert rule.split("sst_20010315.nc") == "a"
    assert rule.split("sst_200103.nc") == "a"
    assert rule.split("sst_200104.nc") == ""
    with pytest.raises(ConfigError, match=r"finds no time in the key 'sst\.nc'"):
        rule.split("sst.nc")


def test_dates_in_a_pipeline_file_need_no_quotes():
    """YAML reads them as dates; the rule is the one of their text."""
    rule = split_rule(
        yaml.safe_load("{by: time, periods: {train: [2015-01-01, 2015-12-31], test: [2016-01-01T06:00:00, null]}}"),
        where="split",
    )
    assert isinstance(rule, SplitByTime)
    assert rule.periods == {"train": ["2015-01-01", "2015-12-31"], "test": ["2016-01-01T06:00:00", None]}
    assert split_rule(rule.described(), where="split") == rule


def test_in_a_pipeline_file():
    """With years that YAML reads as numbers; it is described as it was given."""
    entry = {"by": "time", "periods": {"train": [1979, 2015], "test": ["2016-02", None]}, "gap": "7d"}
    rule = split_rule(entry, where="split")
    assert isinstance(rule, SplitByTime)
    assert rule.split("#2015-12-31T00:00:00") == "train"
    assert split_rule(rule.described(), where="split") == rule
    assert rule.names == ["test", "train"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"periods": {"a": ["2000", "2001"], "b": ["2001", "2002"]}}, "'a' and 'b' overlap"),
        ({"periods": {"a": ["2001", "2000"]}}, "ends before it starts"),
        ({"periods": {"a": ["2001"]}}, "its first and its last date"),
        ({"periods": {"a": ["01.02.2001", None]}}, "is no date"),
        ({"periods": {"": ["2001", None]}}, "not empty"),
        ({"periods": {"a": ["2001", None]}, "gap": "7 days"}, "no length of time"),
        ({"periods": {"a": ["2001", None]}, "calendar": "lunar"}, "calendar 'lunar' is none of"),
        ({"periods": {"a": ["2001", None]}, "pattern": "("}, "no regular expression"),
        ({"periods": {"a": ["2001", None]}, "pattern": "x"}, "finds no"),
    ],
)
def test_rules_that_are_none(options, said):
    """Are refused when they are made."""
    with pytest.raises(ConfigError, match=said):
        SplitByTime(**options)
