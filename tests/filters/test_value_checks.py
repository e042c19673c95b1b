"""Checks of values: what passes, what is recorded, what fails an item."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from curator_core import run_pipeline
from curator_core.errors import ComponentError, ConfigError, MergeError, UnknownNameError
from curator_core.filters.checks import ValueChecksFilter
from curator_core.merge import DatasetFacts
from curator_core.testing import FilterContract
from tests.filters.grids import Grids, Nowhere, grid, through

pd = pytest.importorskip("pandas")


def check(value, field="t", **expected):
    """Pass a value through checks of one of its fields."""
    return through(ValueChecksFilter("checks.json", {field: expected}), value)


class TestContract(FilterContract):
    def make_filter(self, tmp_path):
        return ValueChecksFilter(str(tmp_path / "checks.json"), {"x": {"range": [0, 1], "severity": "warn"}})

    def make_items(self, index):
        return [{"x": np.arange(3.0) * index}]

    def is_equal(self, first, second):
        return str(first) == str(second)


@pytest.mark.parametrize(
    ("field", "good", "bad", "said"),
    [
        (
            "t",
            {"range": [280, 291]},
            {"range": [281, None]},
            "1 of 12 numbers lie outside 281 to inf, the first 280.0",
        ),
        ("t", {"range": [None, 291]}, {"range": [0, 290]}, "the first 291.0 at time=2, level=1, x=1"),
        (
            "level",
            {"allowed": [500, 850]},
            {"allowed": [500]},
            "1 of 2 values are none of 500, the first 850 at level=0",
        ),
        (
            "level",
            {"monotonic": "decreasing"},
            {"monotonic": "increasing"},
            "1 of 2 numbers are not larger than the one",
        ),
        ("time", {"monotonic": "either"}, {"monotonic": "decreasing"}, "the first 21600000000 at time=1"),
        ("t", {"units": "kelvin"}, {"units": "degC"}, "its units are 'K'; expected units degC"),
        ("rain", {"units": "kg m**-2"}, {"units": "mm"}, "its units are 'kg m-2'"),
    ],
)
def test_expectations(field, good, bad, said):
    """A value that passes is passed on; another fails its item with the first place."""
    if "units" in good:
        pytest.importorskip("cf_xarray")
    (same,) = check(grid(), field, **good)
    assert same.identical(grid())
    with pytest.raises(ComponentError) as failed:
        check(grid(), field, **bad)
    assert said in str(failed.value)
    assert f"value_checks: value 0: field {field!r}: " in str(failed.value)


def test_missing_values():
    """Have a check of their own, and pass the others; infinite numbers do not."""
    dataset = grid()
    dataset["t"][0, 0, 0] = np.nan
    check(dataset, range=[280, 291], max_nan=0.1)
    with pytest.raises(
        ComponentError, match=r"1 of 12 numbers are NaN, 8\.333%, the first at time=0, level=0, x=0; exp"
    ):
        check(dataset, max_nan=0.08)
    dataset["t"][0, 0, 0] = np.inf
    with pytest.raises(ComponentError, match="the first inf at time=0"):
        check(dataset, range=[None, 291])


def test_texts_and_tables():
    """Allowed values are texts, too; what is no number has no range."""
    frame = pd.DataFrame({"kind": ["a", "b"], "n": [1, 2]})
    check(frame, "kind", allowed=["a", "b", "c"])
    with pytest.raises(ComponentError, match="1 of 2 values are none of a, the first b at rows=1"):
        check(frame, "kind", allowed=["a"])
    with pytest.raises(ComponentError, match="field 'kind' is no number"):
        check(frame, "kind", range=[0, 1])
    with pytest.raises(ComponentError, match="no value of the item has 'm'"):
        check(frame, "m", range=[0, 1])


def test_warnings_are_recorded_over_all_items(tmp_path, monkeypatch, caplog):
    """With the keys of the first items; the dataset is whole."""
    monkeypatch.chdir(tmp_path)
    Path("lengths").write_text("3 2 4")
    expected = {"t": [{"range": [0, 288], "severity": "warn"}, {"range": [0, 400]}], "rain": {"max_nan": 0}}
    step = ValueChecksFilter("out/checks.json", expected)
    pipeline = Grids("lengths").filter(step).write(Nowhere())
    with caplog.at_level(logging.WARNING):
        run_pipeline(pipeline, progress=False, gather=True)
    assert "field 't': 3 of 12 numbers lie outside 0 to 288, the first 289.0" in caplog.text
    first, second, third = DatasetFacts(pipeline).check_results
    assert (first.n_items, first.n_bad_items, first.n_bad_values) == (3, 2, 3 + 7)
    assert [key for key, _ in first.examples] == ["000000", "000002"]
    assert second.is_passed
    assert third.expected == "max_nan 0.0"
    assert json.loads(Path("out/checks.json").read_text())["checks"][0]["severity"] == "warn"


def test_damaged_shards(tmp_path):
    """Are said when they are merged."""
    step = ValueChecksFilter(str(tmp_path / "checks.json"), {"t": {"max_nan": 0}})
    for content in (
        b"{",
        b'{"format": "other"}',
        b'{"format": "curator-value-checks-1", "key": "", "checks": {"u": {}}}',
    ):
        with pytest.raises(MergeError, match="shard 0 of those to merge cannot be used"):
            step.merge_contents([content], step.output_path)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({}, "expected says nothing"),
        ({"t": {}}, r"expected\['t'\] expects nothing; it takes range, allowed"),
        ({"t": {"range": [1]}}, r"expected\['t'\]: range must be a low and a high end"),
        ({"t": {"range": "0-1"}}, "range must be"),
        ({"t": {"monotonic": "up"}}, "increasing, decreasing or either"),
        ({"t": {"max_nan": 2}}, "between 0 and 1"),
        ({"t": {"allowed": []}}, "a list of values"),
        ({"t": {"units": 1}}, "the name of a unit"),
        ({"t": {"range": [0, 1], "severity": "error"}}, "warn or fail"),
    ],
)
def test_expectations_that_are_none(expected, said):
    """Are refused when the filter is made."""
    with pytest.raises(ConfigError, match=said):
        ValueChecksFilter("checks.json", expected)


def test_an_unknown_check():
    """Says which there are."""
    with pytest.raises(UnknownNameError, match="'rnge'"):
        ValueChecksFilter("checks.json", {"t": {"rnge": [0, 1]}})
