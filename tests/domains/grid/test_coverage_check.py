"""Asset checks of what of a grid is there, in Dagster, on datasets with gaps."""

from __future__ import annotations

import pytest

pytest.importorskip("xarray")
dagster = pytest.importorskip("dagster")

from curator_core import run_pipeline  # noqa: E402 - as above
from curator_core.domains.grid import GridZarrSink  # noqa: E402 - as above
from curator_dagster import CoverageCheck, Curation, build_curation_defs  # noqa: E402 - as above
from curator_dagster.checks.builtin import Subject  # noqa: E402 - as above
from tests.domains.grid.blocks import BlocksSource, write_block  # noqa: E402 - as above

AXES = {"time": {"start": "2020-01-01", "end": "2020-01-03T06", "frequency": "6h"}}


@pytest.fixture
def weather(tmp_path):
    """A factory of a pipeline of ten slots, of which files have seven, and `t` of one of them is to be replaced."""
    for first, n_steps in ((0, 3), (5, 4)):
        write_block(tmp_path / "in", first, n_steps)

    def build():
        sink = GridZarrSink(str(tmp_path / "out" / "weather.zarr"), AXES)
        return BlocksSource(str(tmp_path / "in")).write(sink).with_settings(db_file=str(tmp_path / "out" / "m.db"))

    return build


@pytest.fixture
def evaluate(weather):
    """Evaluates a check on the published dataset."""
    run_pipeline(weather(), gather=True, progress=False)
    subject = Subject(Curation.of("weather", weather), weather())
    return lambda **bounds: CoverageCheck(**bounds).evaluate(subject)


@pytest.mark.parametrize(
    ("bounds", "problem"),
    [
        ({}, "n: 3 of 10 steps are missing, max_missing is 0; t: 3 of 10"),
        ({"max_missing": 3}, ""),
        ({"max_missing": 2}, "3 of 10"),
        ({"max_missing": 0.3}, ""),
        ({"max_missing": 0.29}, "3 of 10"),
        ({"max_missing": None}, ""),
        ({"max_missing": None, "min_values": 0.7}, ""),
        ({"max_missing": None, "min_values": 0.71}, "70.0% of the values"),
        ({"variables": {"n": {"max_missing": 3}}, "only": ("n",)}, ""),
        ({"variables": {"n": {"max_missing": 3}}}, "t: 3 of 10"),
        ({"max_missing": 3, "variables": {"q": {"max_missing": 3}}}, "no variable 'q'"),
        ({"max_missing": 3, "only": ("q",)}, "no variable 'q'"),
    ],
)
def test_what_is_missing_is_counted_against_the_bounds(evaluate, bounds, problem):
    """By number and by share, of all variables and of some."""
    found = evaluate(**bounds)
    assert found.passed is not bool(problem)
    assert problem in found.description
    rows = {record.data["variable"]: record.data["never_written"] for record in found.metadata["availability"].records}
    assert set(rows.values()) <= {3}


def test_failed_and_provisional_steps_have_bounds(tmp_path, weather, evaluate):
    """A file that changed and fails leaves steps that are not as the source has them now."""
    (tmp_path / "in" / "000000.nc").write_bytes(b"CDF\x01 broken")
    run_pipeline(weather().with_settings(resume=True), gather=True, on_error="skip", progress=False)
    subject = Subject(Curation.of("weather", weather), weather())
    found = CoverageCheck(max_missing=3).evaluate(subject)
    assert (found.passed, found.severity) == (False, dagster.AssetCheckSeverity.ERROR)
    assert "t: 3 of 10 steps are failed, max_failed is 0" in found.description
    assert CoverageCheck(max_missing=3, max_failed=3, max_provisional=0).evaluate(subject).passed


@pytest.mark.parametrize(
    "bounds",
    [
        {"max_missing": -1},
        {"max_missing": 1.5},
        {"max_failed": "2"},
        {"min_values": 70},
        {"variables": {"t": {"max_gone": 1}}},
        {"variables": {"t": {"max_missing": True}}},
        {"name": "two words"},
    ],
)
def test_bounds_that_are_none_are_refused(bounds):
    """When the code location is loaded, not when the check is made."""
    with pytest.raises(dagster.DagsterInvalidDefinitionError, match="CoverageCheck"):
        CoverageCheck(**bounds)


def test_dagster_evaluates_it_with_the_dataset(weather):
    """The materialization and the evaluation stand in one run; two checks have two names."""
    checks = [CoverageCheck(max_missing=0.5), CoverageCheck(name="no_gaps", is_warning=True)]
    defs = build_curation_defs("weather", weather, checks=checks, executor=dagster.in_process_executor)
    with dagster.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("weather_refresh")
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        found = {one.check_name: (one.passed, one.severity.value) for one in result.get_asset_check_evaluations()}
    assert found == {"coverage": (True, "ERROR"), "no_gaps": (False, "WARN")}


def test_a_sink_without_slots_cannot_be_checked(tmp_path):
    """It is said, and the check has failed."""
    from curator_core.testing import DatasetSink, NumbersSource

    def build():
        return NumbersSource(3).write(DatasetSink(str(tmp_path / "o.json"))).with_settings(db_file=str(tmp_path / "m"))

    run_pipeline(build(), gather=True, progress=False)
    found = CoverageCheck().evaluate(Subject(Curation.of("numbers", build), build()))
    assert not found.passed
    assert "no places for what is missing" in found.description
