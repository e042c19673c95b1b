"""The dataset's asset checks: declared, evaluated wherever the dataset is published, and on their own."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    DagsterInvalidDefinitionError,
    asset_check,
    in_process_executor,
)

from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.filters.statistics.filter import StatisticsFilter
from curator_core.testing import DatasetSink, FileSource, NumbersSource
from curator_dagster import BUILT_IN_CHECKS, Curation, build_curation_defs
from curator_dagster.checks.builtin import Subject, finite_values
from curator_dagster.checks.spec import DatasetChecks
from tests.dagster import readings

DATASET = AssetKey(["readings", "dataset"])


class Station:
    """A curation of readings in a folder, on an instance of its own."""

    def __init__(self, folder, instance):
        self.folder = folder
        self.instance = instance
        self.filters = []
        (folder / "input").mkdir()
        self.put(a="1 2", b="3", c="4 5 6")

    def put(self, **texts):
        for name, text in texts.items():
            (self.folder / "input" / f"{name}.txt").write_text(text)

    def remove(self, name):
        (self.folder / "input" / f"{name}.txt").unlink()

    def defs(self, **options):
        factory = partial(readings.readings_pipeline, self.folder, filters=self.filters)
        return build_curation_defs("readings", factory, executor=in_process_executor, batch_size=100, **options)

    def refresh(self, **options):
        job = self.defs(**options).resolve_job_def("readings_refresh")
        return job.execute_in_process(instance=self.instance, raise_on_error=False)

    def materialize(self, **options):
        return self._run_selected({DATASET}, None, options)

    def check(self, name, **options):
        """Run one check on its own."""
        return self._run_selected(set(), {AssetCheckKey(DATASET, name)}, options)

    def _run_selected(self, assets, checks, options):
        job = self.defs(**options).resolve_implicit_global_asset_job_def()
        subset = job.get_subset(asset_selection=assets, asset_check_selection=checks)
        return subset.execute_in_process(instance=self.instance, raise_on_error=False)

    def evaluate_finite_values(self):
        """The check itself, after a run without Dagster."""
        curation = Curation.of("readings", partial(readings.readings_pipeline, self.folder, filters=self.filters))
        pipeline = curation.open_pipeline()
        run_pipeline(pipeline, progress=False)
        gather_pipeline(pipeline)
        return finite_values(Subject(curation, pipeline))

    def history(self, name, limit=10):
        """Evaluations of a check, the newest first."""
        storage = self.instance.event_log_storage
        records = storage.get_asset_check_execution_history(AssetCheckKey(DATASET, name), limit=limit)
        return [record.evaluation for record in records]

    def latest(self, name):
        return self.history(name, limit=1)[0]

    def materialized(self):
        """Records of the dataset's materializations, the newest first."""
        return self.instance.fetch_materializations(DATASET, limit=10).records

    def dataset(self):
        path = self.folder / "output" / "readings.json"
        return {entry["key"]: entry["rows"] for entry in json.loads(path.read_text())} if path.exists() else None


@pytest.fixture
def station(tmp_path):
    (tmp_path / "home").mkdir()
    with DagsterInstance.local_temp(str(tmp_path / "home"), {"telemetry": {"enabled": False}}) as instance:
        yield Station(tmp_path, instance)


def rows(evaluation, name):
    return [record.data for record in evaluation.metadata[name].value.records]


def test_a_refresh_reports_every_check_of_the_dataset_it_published(station):
    """All pass, and each is of the materialization that the run made."""
    assert station.refresh().success
    (record,) = station.materialized()
    for name in BUILT_IN_CHECKS:
        (found,) = station.history(name)
        assert found.passed, found.description
        assert found.target_materialization_data.storage_id == record.storage_id
        assert found.target_materialization_data.run_id == record.run_id
    assert station.latest("completeness").metadata["n_dataset"].value == 3
    assert station.latest("finite_values").metadata["examined"].value == "reading"


def test_the_checks_are_declared_and_run_with_the_asset_and_on_their_own(station):
    """Materializing the dataset evaluates them all; one can be chosen alone, without publishing."""
    assert station.refresh(checks=False).success
    keys = station.defs().resolve_asset_graph().asset_check_keys
    assert keys == {AssetCheckKey(DATASET, name) for name in BUILT_IN_CHECKS}
    assert [station.history(name) for name in BUILT_IN_CHECKS] == [[], [], []]
    assert station.materialize().success
    newest = station.materialized()[0].storage_id
    for name in BUILT_IN_CHECKS:
        (found,) = station.history(name)
        assert found.passed
        assert found.target_materialization_data.storage_id == newest
    assert station.check("failures").success
    assert len(station.history("failures")) == 2
    assert station.latest("failures").target_materialization_data.storage_id == newest
    assert len(station.history("completeness")) == 1
    assert station.materialized()[0].storage_id == newest


def test_a_tolerated_failure_is_a_warning_with_its_key_and_error(station):
    """The dataset is published without the item, and the checks say so."""
    station.put(b="x")
    assert not station.refresh(max_missing=1).success
    assert set(station.dataset()) == {"a.txt", "c.txt"}
    complete, failed = station.latest("completeness"), station.latest("failures")
    assert not complete.passed
    assert not failed.passed
    assert complete.severity == failed.severity == AssetCheckSeverity.WARN
    assert complete.metadata["n_missing"].value == failed.metadata["n_failed"].value == 1
    error = "ValueError: could not convert string to float: 'x'"
    assert rows(complete, "missing") == [{"key": "b.txt", "error": f"failed: {error}"}]
    assert rows(failed, "failed") == [{"key": "b.txt", "error": error}]
    assert station.latest("finite_values").passed


def test_a_refused_publication_fails_the_run_and_the_checks_speak_of_what_stays(station):
    """Above the tolerance the run says why; failing checks target the last good dataset."""
    assert station.refresh().success
    (good,) = station.materialized()
    station.put(b="x", d="y")
    failed = station.refresh(max_missing=1)
    (failure,) = [event for event in failed.all_events if event.is_step_failure]
    assert "2 of 4 items are missing" in failure.step_failure_data.user_failure_data.description
    assert set(station.dataset()) == {"a.txt", "b.txt", "c.txt"}
    assert len(station.materialized()) == 1
    assert station.latest("failures").severity == AssetCheckSeverity.ERROR
    assert station.latest("failures").target_materialization_data.storage_id == good.storage_id
    complete = station.latest("completeness")
    assert [row["key"] for row in rows(complete, "missing")] == ["d.txt"]
    assert complete.metadata["n_outdated"].value == 1
    assert len(station.history("finite_values")) == 1


def test_a_first_refresh_that_publishes_nothing_tells_what_failed(station):
    """There is no dataset to look into, but failures are reported."""
    station.put(b="x")
    assert not station.refresh().success
    assert station.latest("failures").metadata["n_failed"].value == 1
    assert station.latest("failures").target_materialization_data is None
    assert len(rows(station.latest("completeness"), "missing")) == 3
    assert station.history("finite_values") == []


def test_items_that_were_never_processed_are_missing(station):
    """The check, on its own, sees what came after the dataset."""
    assert station.refresh().success
    station.put(d="7")
    station.remove("a")
    assert station.check("completeness").success
    found = station.latest("completeness")
    assert not found.passed
    assert rows(found, "missing") == [{"key": "d.txt", "error": "new: "}]
    assert found.metadata["n_vanished"].value == 1


@pytest.mark.parametrize("kind", ["statistics", "values", "statistics before another filter", "statistics of a split"])
def test_numbers_that_are_not_finite_are_found_with_their_items(station, kind):
    """From statistics of what the sink got, else from the dataset itself."""
    statistics = StatisticsFilter(str(station.folder / "output" / "statistics.parquet"))
    of_a_split = StatisticsFilter(str(station.folder / "output" / "statistics.parquet"), split="test")
    station.filters = {
        "statistics": [readings.Logarithm(), statistics],
        "values": [readings.Logarithm()],
        "statistics before another filter": [statistics, readings.Logarithm()],
        "statistics of a split": [readings.Logarithm(), of_a_split],
    }[kind]
    assert station.evaluate_finite_values().passed
    station.put(b="1 0 0", d="nan")
    found = station.evaluate_finite_values()
    assert not found.passed
    assert found.severity == AssetCheckSeverity.ERROR
    assert found.description == "3 numbers are NaN or infinite, in reading of b.txt, d.txt"
    assert rows(found, "nonfinite") == [
        {"variable": "reading", "key": "b.txt", "n_nonfinite": 2},
        {"variable": "reading", "key": "d.txt", "n_nonfinite": 1},
    ]


class UnreadTable(readings.ReadingsTable):
    values = None  # as if it had none


def test_what_nobody_can_examine_is_not_called_finite(station, monkeypatch):
    """Without statistics and without a sink that reads its values: a warning, not a pass."""
    monkeypatch.setattr(readings, "ReadingsTable", UnreadTable)
    found = station.evaluate_finite_values()
    assert (found.passed, found.severity) == (False, AssetCheckSeverity.WARN)
    assert found.description.startswith("reading could not be examined")


def test_without_a_change_only_what_may_differ_is_evaluated_again(station):
    """A dataset that stays is not read again; a new one is."""
    for _ in range(2):
        assert station.refresh().success
    assert {name: len(station.history(name)) for name in BUILT_IN_CHECKS} == {
        "completeness": 2,
        "failures": 2,
        "finite_values": 1,
    }
    station.put(a="9")
    assert station.refresh().success
    assert len(station.history("finite_values")) == 2


def test_checks_of_the_user(station):
    """Functions of the path; one that fails, raises or returns nonsense stops neither publication nor the others."""

    def is_json(path):
        """The dataset is JSON."""
        return Path(path).suffix == ".json"

    def is_large(path):
        return AssetCheckResult(passed=False, severity=AssetCheckSeverity.WARN, metadata={"size": 3})

    def is_broken(path):
        raise KeyError(path)

    def is_vague(path):
        return "yes"

    def is_numpy(path):
        return np.bool_(1)

    checks = [is_broken, is_json, "failures", is_large, is_vague, is_numpy]
    for run in (station.refresh, station.materialize):
        assert run(checks=checks).success
        assert station.latest("is_json").passed
        assert station.latest("failures").passed
        assert station.latest("is_numpy").passed
        large = station.latest("is_large")
        assert (large.passed, large.severity, large.metadata["size"].value) == (False, AssetCheckSeverity.WARN, 3)
        assert "KeyError" in station.latest("is_broken").description
        assert "is_broken" in station.latest("is_broken").metadata["traceback"].value
        assert station.latest("is_vague").description == "is_vague returned 'yes', not a bool or an AssetCheckResult."
        assert station.history("completeness") == []
    specs = station.defs(checks=checks).resolve_asset_graph()
    assert specs.get_check_spec(AssetCheckKey(DATASET, "is_json")).description == "The dataset is JSON."


def test_a_check_of_dagsters_own_runs_with_the_asset(station):
    """It is declared beside the others."""

    @asset_check(asset=DATASET)
    def own():
        return AssetCheckResult(passed=True)

    checks = [*BUILT_IN_CHECKS, own]
    assert station.refresh(checks=checks).success
    assert station.materialize(checks=checks).success
    assert station.latest("own").passed
    assert len(station.history("completeness")) == 2


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        (["completeneszs"], "completeness"),
        (["failures", "failures"], "two checks are named 'failures'"),
        ([lambda _: True], "a function with a name"),
        ([3], "a check is the name of a built-in one"),
    ],
)
def test_wrong_checks_are_refused_when_declared(station, checks, message):
    """The message lists what there is."""
    with pytest.raises(DagsterInvalidDefinitionError, match=message):
        station.defs(checks=checks)


def test_vanished_items_leave_the_dataset_and_with_prune_their_partitions(station):
    """The dataset and its manifest follow the source in both cases."""

    def manifest():
        found = json.loads((station.folder / "output" / "readings.json.manifest.json").read_text())
        return [item["key"] for item in found["items"]]

    assert station.refresh().success
    station.remove("a")
    assert station.refresh(prune=False).success
    assert list(station.dataset()) == manifest() == ["b.txt", "c.txt"]
    assert station.instance.get_dynamic_partitions("readings") == ["a.txt", "b.txt", "c.txt"]
    assert station.latest("completeness").passed
    station.remove("b")
    assert station.refresh(prune=True).success
    assert list(station.dataset()) == manifest() == ["c.txt"]
    assert station.instance.get_dynamic_partitions("readings") == ["c.txt"]
    assert station.latest("completeness").metadata["n_dataset"].value == 1


def test_a_dataset_that_is_not_what_was_published(tmp_path):
    """The check reads every file where it is named; what is damaged is said with the items."""
    pytest.importorskip("zarr")
    from ase import Atoms

    from curator_core.domains.atoms import AtomicDataZarrSink

    class Structures(NumbersSource):
        def __getitem__(self, index):
            yield Atoms("H", positions=[[index, 0, 0]])

    sink: Any = AtomicDataZarrSink(str(tmp_path / "d.zarr"))
    pipeline = Pipeline(Structures(2), sink=sink, db_file=tmp_path / "m.db")
    curation = Curation.of("structures", pipeline, checks=["intact"])
    (check,) = DatasetChecks.of(curation, chosen=["intact"]).functions.values()
    assert check(Subject(curation, curation.open_pipeline())).description == "The sink has published no dataset."
    run_pipeline(pipeline, gather=True, progress=False)
    assert check(Subject(curation, curation.open_pipeline())).passed
    (file,) = (path for path in (tmp_path / "d.zarr" / "positions" / "c" / "1").rglob("*") if path.is_file())
    file.unlink()
    found = check(Subject(curation, curation.open_pipeline()))
    assert (found.passed, found.description) == (False, "damages: 1; items: 1, 000001")
    assert {"intact", "as_sources"}.isdisjoint(BUILT_IN_CHECKS)


def test_a_dataset_that_is_not_what_its_sources_give(tmp_path, monkeypatch):
    """The check processes every item again where it is named; who differs is said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / f"in/{name}.txt").write_text("1")
    pipeline = Pipeline(FileSource("in"), sink=DatasetSink("out/d.json"), db_file=tmp_path / "m.db")
    curation = Curation.of("numbers", pipeline, checks=["as_sources"])
    (check,) = DatasetChecks.of(curation, chosen=["as_sources"]).functions.values()
    assert check(Subject(curation, curation.open_pipeline())).description == "The sink has published no dataset."
    run_pipeline(pipeline, gather=True, progress=False)
    assert check(Subject(curation, curation.open_pipeline())).passed
    (tmp_path / "in/b.txt").write_text("22")
    found = check(Subject(curation, curation.open_pipeline()))
    assert (found.passed, found.description) == (False, "damages: 1; items: 1, b.txt")


def test_values_that_are_not_as_expected(tmp_path):
    """The check says what the pipeline's own checks found, with the first item; and that there are none."""
    from curator_core.filters.checks import ValueChecksFilter

    expected = {"value": {"range": [0, 1], "severity": "warn"}}
    step = ValueChecksFilter(str(tmp_path / "checks.json"), expected)
    sink: Any = DatasetSink(str(tmp_path / "numbers.json"))
    pipeline = Pipeline(NumbersSource(3), [step], sink, db_file=tmp_path / "m.db")
    curation = Curation.of("numbers", pipeline, checks=["values"])
    (check,) = DatasetChecks.of(curation, chosen=["values"]).functions.values()
    nothing = check(Subject(curation, curation.open_pipeline()))
    assert (nothing.passed, nothing.severity) == (False, AssetCheckSeverity.WARN)
    assert nothing.description.startswith("The pipeline checks no values, or has not published")
    run_pipeline(pipeline, gather=True, progress=False)
    found = check(Subject(curation, curation.open_pipeline()))
    assert (found.passed, found.severity) == (False, AssetCheckSeverity.WARN)
    assert found.description == "value: 1 of 3 items, expected range [0, 1]"
    table: Any = found.metadata["checks"]
    (record,) = table.records
    assert record.data["first"].startswith("000002: 1 of 1 numbers lie outside 0 to 1, the first 2")
